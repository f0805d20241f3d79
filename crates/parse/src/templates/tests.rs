//! Tests of the miner: what it makes of messages, one by one and by the thousand.

use proptest::prelude::*;

use super::*;

fn miner() -> Miner {
    Miner::new(Limits::default())
}

/// The template that one message gets on its own.
fn typed(message: &str) -> String {
    let mut miner = miner();
    let id = miner.learn(message, &mut Vec::new());
    miner.template(id).unwrap().typed()
}

#[test]
fn values_are_slots_by_how_they_are_written() {
    let check = |message: &str, expected: &str| assert_eq!(typed(message), expected, "{message}");
    check("", "");
    check("plain words stay, all of them.", "plain words stay, all of them.");
    check(
        "took 12ms, 3.5GB, 67% of -4 +5 .5",
        "took <number>, <number>, <number> of <number> <number> <number>",
    );
    check("1,234,567 rows", "<number> rows");
    check("version v1.2.3 of 2.6.5-1.358", "version <number> of <number>");
    check("from 10.0.0.1 port 22", "from <ip> port <number>");
    check("at 10.0.0.1:50010, [::1] fe80::1:2", "at <ip>, [<ip>] <ip>");
    check("1.2.3.4.5 999.1.1.1", "<number> <number>");
    check("mac FF:F2:9F:16:E2:23", "mac <id>");
    check("get https://a.example/b?c=d&e=f.", "get <url>.");
    check("GET /shop/item?id=7 HTTP/1.1", "GET <url> HTTP/<number>");
    check("open /etc/passwd: denied", "open <path>: denied");
    check(r"load C:\Windows\a.dll or \\host\share", r"load <path> or <path>");
    check("tree/torus Input/output PS/2", "tree/torus Input/output PS/<number>");
    check("0x1f 003a90fc deadbee7", "<hex> <hex> <hex>");
    check("a@b@c@d a@b", "<id> a@b");
    check("b9000564-fe1a-409b-b8cc-1e88b294cd1d", "<id>");
    check("block blk_-6952295868487656571 done", "block <id> done");
    check("Foo@7c1503a3 anna@a.example", "Foo@<hex> <user>");
    check(
        "pool-1-thread-2 core.2275 CPU#0",
        "pool-<number>-thread-<number> core.<number> CPU#<number>",
    );
    check(
        "1#22##3 5-6.7 worker-1#2",
        "<number>#<number>##<number> <number> worker-<number>#<number>",
    );
    check("done=  true", "done= <text>");
    check("L3 ssh2 mod_jk2 stay", "L3 ssh2 mod_jk2 stay");
    check("fpr29=0x1 r1=2", "fpr29=<hex> r1=<number>");
    check("2005-06-03T15:42:50.675Z 15:42:50,675 06/03/2005", "<time> <time> <time>");
    check("at Fri Jul 01 08:16:53 PDT 2005, Jun  9 06:06:20", "at <time>, <time>");
    check("May I Sat down", "May I Sat down");
    check("depth....................0", "depth....................<number>");
    check("mail.a.example to db-4:9000 db/10.0.0.1:80", "<host> to <host>");
    check("org.apache.hadoop.Foo Main.java", "org.apache.hadoop.Foo Main.java");
    check(
        "session opened for user root by (uid=0)",
        "session opened for user <user> by (uid=<number>)",
    );
    check("check pass; user unknown", "check pass; user unknown");
    check("Failed password for root from 10.0.0.1", "Failed password for <user> from <ip>");
    check("rhost=10.0.0.1  user=root tty=ssh", "rhost=<ip> user=<user> tty=ssh");
    check(
        "enabled: true, isEmpty=FALSE, that is true, so true",
        "enabled: <text>, isEmpty=<text>, that is <text>, so true",
    );
    check("tag=\"View Lock\" said \"hello you\"", "tag=\"<text>\" said \"hello you\"");
    check("delete blk_12345 blk_23456, blk_34567 now", "delete <id> now");
    check("from 10.0.0.1 () init() []", "from <ip> (<text>) init() [<text>]");
    check("can't 'hlt'", "can't 'hlt'");
    check("-- ... * : #", "-- ... * : #");
    check("für 3 Äpfel", "für <number> Äpfel");
}

/// The templates that are left after some messages, with their counts, in the order of their text.
fn left(messages: &[&str]) -> Vec<(String, u64)> {
    let mut miner = miner();
    for message in messages {
        miner.learn(message, &mut Vec::new());
    }
    let mut left: Vec<_> = miner.templates().map(|t| (t.text(), t.count())).collect();
    left.sort();
    left
}

#[test]
fn words_become_slots_when_enough_of_them_differ() {
    let check = |messages: &[&str], expected: &[(&str, u64)]| {
        let left = left(messages);
        let left: Vec<_> = left.iter().map(|(text, count)| (text.as_str(), *count)).collect();
        assert_eq!(left, expected);
    };
    // Two words are two templates, four with much in common are one.
    check(
        &["cable of torus y is loose now", "cable of torus z is loose now"],
        &[("cable of torus y is loose now", 1), ("cable of torus z is loose now", 1)],
    );
    let names = ["anna", "ben", "carla", "dora", "emil"]
        .map(|name| format!("the account {name} was locked today"));
    check(&names.each_ref().map(String::as_str), &[("the account <*> was locked today", 5)]);
    // Values at the second, any number of them at once.
    check(
        &["lock tag=a name=b held", "lock tag=c name=d held"],
        &[("lock tag=<*> name=<*> held", 2)],
    );
    check(&["mode 'safe' is on", "mode 'fast' is on"], &[("mode '<*>' is on", 2)]);
    check(&["link eth0 went down", "link eth1 went down"], &[("link <*> went down", 2)]);
    // Keys never.
    check(
        &["a=1", "b=1", "c=1", "d=1", "e=1", "f=1"],
        &[("a=<*>", 1), ("b=<*>", 1), ("c=<*>", 1), ("d=<*>", 1), ("e=<*>", 1), ("f=<*>", 1)],
    );
    // Few words in common are not enough, and spaces are no difference.
    check(&["go  away", "go home", "go away"], &[("go away", 2), ("go home", 1)]);
    // A slot and one word are enough when the rest is the same.
    check(
        &["drive sda of the array failed", "drive 12 of the array failed"],
        &[("drive <*> of the array failed", 2)],
    );
}

#[test]
fn names_that_are_new_each_time_are_slots() {
    let check = |lines: usize, line: fn(&str, &str, &str) -> String, expected: usize| {
        let word = |number: usize| {
            let letter = |at: u32| (b'a' + (number * 37 / 26usize.pow(at) % 26) as u8) as char;
            (0..4).map(letter).collect::<String>()
        };
        let message = |n: usize| line(&word(3 * n), &word(3 * n + 1), &word(3 * n + 2));
        let messages: Vec<String> = (0..lines).map(message).collect();
        let left = left(&messages.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(left.len(), expected, "{left:?}");
    };
    check(15, |a, b, c| format!("unit {a} moved from {b} to {c}"), 15);
    check(16, |a, b, c| format!("unit {a} moved from {b} to {c}"), 1);
    check(64, |a, b, c| format!("unit {a} moved from {b} to {c}"), 1);
    // More that differs than is shared.
    check(64, |a, b, c| format!("unit {a} {b} {c}"), 64);
    check(64, |a, b, c| format!("{a} {b} {c}"), 64);
}

#[test]
fn ids_stay_meaningful_through_merges() {
    let mut miner = miner();
    let mut slots = Vec::new();
    let names = ["anna", "ben", "carla", "dora", "emil"];
    let messages = names.map(|name| format!("the account {name} was locked today"));
    let ids = messages.each_ref().map(|message| miner.learn(message, &mut slots));
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| miner.resolve(*id) == ids[0]));
    assert_eq!(miner.template(ids[1]).unwrap().text(), "the account <*> was locked today");
    assert_eq!(miner.merges().len(), 3);
    assert_eq!(slots, [Slot { start: 12, end: 16, kind: SlotKind::Text }]);
    let template = miner.template(ids[0]).unwrap();
    assert_eq!((template.first(), template.count()), (messages[0].as_str(), 5));
    // The same in every process: other texts may know it.
    let other = Miner::new(Limits { seed: 7, ..Limits::default() }).learn(&messages[0], &mut slots);
    assert_eq!(other, ids[0]);
}

#[test]
fn finding_learns_nothing() {
    let mut miner = miner();
    let mut slots = Vec::new();
    assert_eq!(miner.find("took 12ms", &mut slots), None);
    let id = miner.learn("took 12ms", &mut slots);
    assert_eq!(miner.find("took 7", &mut slots), Some(id));
    assert_eq!(slots, [Slot { start: 5, end: 6, kind: SlotKind::Number }]);
    assert_eq!(miner.template(id).unwrap().count(), 1);
    assert_eq!(miner.counts().misses, 1);
}

#[test]
fn limits_hold() {
    let limits = Limits { templates_max: 20, merges_max: 4, ..Limits::default() };
    let mut miner = Miner::new(limits);
    let mut slots = Vec::new();
    let word =
        |number: usize| format!("{}{}", "abcdefghij".repeat(number % 9 + 1), "z".repeat(number));
    for number in 0..200 {
        let message = format!("{} {} stays", word(number), word(number + 1));
        let id = miner.learn(&message, &mut slots);
        assert!(miner.template(id).is_some());
        assert!(miner.counts().templates <= 20 && miner.merges().len() <= 4);
    }
    let counts = miner.counts();
    assert!(counts.caught > 0, "{counts:?}");
    // The shape has room for a message that shares most with a template.
    miner.learn("cdefg hij stays", &mut slots);
    assert_eq!(miner.counts().templates, 20);

    let mut small = Miner::new(Limits { bytes_max: 20_000, ..Limits::default() });
    for number in 0..200 {
        small.learn(&format!("{} and {}", word(number), word(number * 7)), &mut slots);
    }
    assert!(small.counts().caught > 0 && small.counts().templates < 100);
}

#[test]
fn long_messages_end_in_one_slot() {
    let mut miner = miner();
    let mut slots = Vec::new();
    for (message, whole) in [
        ("word ".repeat(50_000), 8190),
        ("ä".repeat(500_000), 8192),
        ("1 ".repeat(1000), 254),
        (format!("{} 10.0.0.1", "=".repeat(9000)), 8192),
    ] {
        let id = miner.learn(&message, &mut slots);
        let last = slots.last().unwrap();
        assert_eq!(last.end as usize, message.len());
        assert_eq!(
            slots.iter().filter(|slot| slot.end > 8192).count(),
            usize::from(last.end > 8192)
        );
        assert!(last.start <= whole, "{last:?}");
        assert!(miner.template(id).unwrap().text().len() <= 8192 + 3);
    }
}

/// Pieces of messages that meet in unforeseen ways.
fn message() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => proptest::sample::select(vec![
            "user", "for", "invalid", "from", "failed", "the", "is", "true", "10.0.0.1", "::1", ":",
            "/", "12", "-", "=", "\"", "(", ")", "[", "]", "0x1f", "blk_-1", "a.b.c", "Jun 9",
            "12:00:01", "..", "@", "'",
            "http://", "ä", "#", ",", "key=", "eth0", "C:\\x", "%", "\u{1f600}",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    proptest::collection::vec((piece, proptest::sample::select(vec![" ", "", "  "])), 0..14)
        .prop_map(|pieces| pieces.into_iter().map(|(piece, space)| piece + space).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn templates_fit_their_messages(messages in proptest::collection::vec(message(), 1..30)) {
        let mut miner = Miner::new(Limits { templates_max: 12, ..Limits::default() });
        let mut slots = Vec::new();
        let mut ids = Vec::new();
        for message in &messages {
            let id = miner.learn(message, &mut slots);
            let mut again = Vec::new();
            prop_assert_eq!(miner.learn(message, &mut again), id);
            prop_assert_eq!(&again, &slots);
            ids.push(id);
            prop_assert!(miner.counts().templates <= 12);
            let mut done = 0;
            for slot in &slots {
                prop_assert!(done <= slot.start && slot.start <= slot.end);
                prop_assert!(message.get(slot.start as usize..slot.end as usize).is_some());
                done = slot.end;
            }
            prop_assert!(done as usize <= message.len());
        }
        // Also after merges, static text stands in the message, in order and between its slots.
        for (message, id) in messages.iter().zip(ids) {
            let template = miner.template(id).expect("ids stay meaningful");
            if template.id().0 == hash::stable(b"<*>", 0) {
                continue;
            }
            let mut rest = message.as_str();
            for part in template.parts() {
                let Part::Text(text) = part else { continue };
                for word in text.split_ascii_whitespace() {
                    let at = rest.find(word);
                    prop_assert!(at.is_some(), "{word:?} of {:?} in {message:?}", template.text());
                    rest = &rest[at.unwrap_or(0) + word.len()..];
                }
            }
        }
    }

    #[test]
    fn every_slot_has_its_range(messages in proptest::collection::vec(message(), 1..20)) {
        let mut miner = Miner::new(Limits::default());
        let mut slots = Vec::new();
        for message in &messages {
            let id = miner.learn(message, &mut slots);
            let parts = miner.template(id).expect("just given").parts();
            let places = parts.filter(|part| matches!(part, Part::Slot(_))).count();
            prop_assert_eq!(places, slots.len());
        }
    }
}
