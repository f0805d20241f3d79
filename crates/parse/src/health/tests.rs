//! Cases of breaks and of quiet, and what must hold for any records.

use proptest::prelude::*;
use pugmark_event::Records;
use pugmark_event::time::{HOUR, MINUTE, SECOND};

use super::*;
use crate::clean::Cause;
use crate::{Input, Parser};

const NOW: i64 = 1_795_428_000_000_000;

/// Records of one shape: their number, and the text of each.
type Phase = (u32, fn(u32) -> String);

fn parser() -> &'static Parser {
    static PARSER: std::sync::LazyLock<Parser> =
        std::sync::LazyLock::new(|| Parser::builtin().unwrap());
    &PARSER
}

/// Shows it lines as blocks of `rows`, and gives the breaks that were said.
fn show(health: &mut Health, lines: &[String], first_id: i64, rows: usize) -> Vec<Break> {
    let mut breaks = Vec::new();
    let mut id = first_id;
    for block in lines.chunks(rows.max(1)) {
        let records: Records = block.iter().map(|line| line.as_bytes()).collect();
        let input =
            Input { source: "s", records: &records, first_id: id, received: NOW, format: None };
        let (batch, readings) = parser().parse_readings(&input);
        assert_eq!(readings.len(), batch.rows());
        breaks.extend(health.observe(&batch, &readings));
        id += block.len() as i64;
    }
    breaks
}

fn lines(phases: &[Phase]) -> Vec<String> {
    phases.iter().flat_map(|(count, line)| (0..*count).map(line)).collect()
}

fn said(breaks: &[Break]) -> Vec<String> {
    breaks
        .iter()
        .map(|each| {
            let place = [each.program.as_str(), &each.reader, &each.kind].join("|");
            // Shares depend on where in a window the shape changed.
            format!("{place}: {}", each.what).replace(char::is_numeric, "")
        })
        .collect()
}

#[track_caller]
fn check(phases: &[Phase], expected: &[&str]) {
    // Wherever in a window the shape changes.
    for more in [0, 1, 93, 199] {
        let mut health = Health::new(1);
        let mut all: Vec<String> = (0..more).map(phases[0].1).collect();
        all.extend(lines(phases));
        let breaks = show(&mut health, &all, 1, 97);
        assert_eq!(said(&breaks), expected, "{more} events more");
    }
}

fn order(n: u32) -> String {
    let user = ["anna", "ben", "cleo"][n as usize % 3];
    format!(
        r#"{{"time":"2026-11-23T10:00:00Z","msg":"order {n} placed","basket":"b{n}","size":{n},"login":"{user}"}}"#
    )
}

fn order_without_basket(n: u32) -> String {
    order(n).replace(&format!(r#","basket":"b{n}""#), "")
}

fn order_of_text(n: u32) -> String {
    order(n).replace(&format!(r#""size":{n}"#), &format!(r#""size":"{n} kB""#))
}

fn order_without_time(n: u32) -> String {
    order(n).replace(r#""time":"2026-11-23T10:00:00Z","#, "")
}

fn port(n: u32) -> String {
    format!(r#"{{"time":"2026-11-23T10:00:00Z","msg":"in","source.port":{}}}"#, n + 1)
}

fn port_by_name(_: u32) -> String {
    r#"{"time":"2026-11-23T10:00:00Z","msg":"in","source.port":"ssh"}"#.to_string()
}

fn access(n: u32) -> String {
    format!(r#"192.0.2.{} - - [23/Nov/2026:09:00:00 +0000] "GET /{n} HTTP/1.1" 200 {n}"#, n % 250)
}

fn pairs(n: u32) -> String {
    format!("ts=2026-11-23T10:00:00Z level=info method=GET path=/{n} status=200 bytes={n}")
}

fn garbage(n: u32) -> String {
    let mut word = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let letters = std::iter::from_fn(|| {
        word = word.rotate_left(11).wrapping_mul(0x2545_f491_4f6c_dd1d);
        Some(char::from(b'a' + (word >> 59) as u8 % 26))
    });
    letters.take(12).collect()
}

fn sshd(n: u32) -> String {
    format!(
        "Nov 23 09:00:00 web1 sshd[{n}]: Failed password for root from 203.0.113.7 port {n} ssh2"
    )
}

fn sshd_in_another_language(n: u32) -> String {
    format!("Nov 23 09:00:00 web1 sshd[{n}]: Passwort falsch: root, 203.0.113.7, {n}")
}

fn cron(n: u32) -> String {
    format!("Nov 23 09:00:00 web1 CRON[{n}]: (root) CMD (/usr/local/bin/report {n})")
}

fn shop(n: u32) -> String {
    format!("Nov 23 09:00:00 web1 shop[{n}]: basket={n} total={n}.50 user=anna")
}

/// Nine orders and one line without a basket: a mix inside one stream.
fn mixed(n: u32) -> String {
    if n.is_multiple_of(12) { order_without_basket(n) } else { order(n) }
}

#[test]
fn what_is_no_longer_as_it_was_is_said_once() {
    check(
        &[(800, order), (800, order_without_basket)],
        &["|json|:  % of the events had basket, now none has"],
    );
    check(&[(800, order), (800, order_of_text)], &["|json|: size was number, now it is text"]);
    check(
        &[(800, order), (800, order_without_time)],
        &["|json|:  % of the events had @timestamp, now none has"],
    );
    check(
        &[(800, port), (800, port_by_name)],
        &["|json|: source.port was number, now it is conflict"],
    );
    check(&[(800, access), (800, pairs)], &["||: ncsa/access read the records, now keyvalue does"]);
    check(&[(800, access), (800, garbage)], &["||:  % of the records were understood, now  % are"]);
    check(
        &[(800, sshd), (800, sshd_in_another_language)],
        &["sshd||:  % of the events had event.action, now none has"],
    );
}

#[test]
fn what_heals_may_break_again() {
    check(
        &[(800, order), (400, order_without_basket), (800, order), (400, order_without_basket)],
        &["|json|:  % of the events had basket, now none has"; 2],
    );
    let again = "||: ncsa/access read the records, now keyvalue does";
    check(&[(800, access), (400, pairs), (500, access)], &[again]);
}

#[test]
fn what_lasts_is_the_new_usual() {
    let lasting = LASTING * WINDOW + 3 * LEARN;
    check(
        &[(1000, order), (lasting, order_of_text), (1000, order)],
        &["|json|: size was number, now it is text", "|json|: size was text, now it is number"],
    );
}

#[test]
fn an_ordinary_mix_is_quiet() {
    // At night only cron speaks.
    check(&[(800, sshd), (50, cron), (800, shop), (3000, cron), (800, sshd)], &[]);
    // A program that is new.
    check(&[(800, sshd), (800, shop)], &[]);
    // Lines that were always there, now alone.
    check(&[(2400, mixed), (600, order_without_basket)], &[]);
    // A better reader.
    check(&[(800, pairs), (800, access)], &[]);
    // Too little to say.
    check(&[(300, order), (400, order_without_basket)], &[]);
    check(&[(800, order), (150, order_without_basket), (800, order)], &[]);
}

#[test]
fn garbage_among_records_is_no_break() {
    let mut health = Health::new(1);
    let line = |n: u32| if n.is_multiple_of(3) { garbage(n) } else { access(n) };
    let mut all = lines(&[(800, access)]);
    all.extend((0..2000).map(line));
    assert_eq!(said(&show(&mut health, &all, 1, 100)), [""; 0]);
    let report = health.report("s").unwrap();
    assert_eq!(report.state, State::Healthy);
    assert!(report.errors.len() <= 20 && !report.errors.is_empty());
    assert!((0.7..0.8).contains(&report.understood), "{}", report.understood);
}

#[test]
fn a_report_says_who_reads_what() {
    let mut health = Health::new(1);
    let all = lines(&[(600, sshd), (200, shop), (820, order), (400, order_without_basket)]);
    show(&mut health, &all, 1, 100);
    let report = health.report("s").unwrap();
    assert_eq!((report.events, report.state), (2020, State::Broken));
    let readers: Vec<(&str, bool)> =
        report.readers.iter().map(|reader| (reader.name.as_str(), reader.pack)).collect();
    assert_eq!(readers[..2], [("json", false), ("openssh/sshd", true)]);
    let json = report.streams.iter().find(|stream| stream.reader == "json").unwrap();
    let basket = json.fields.iter().find(|field| field.name == "basket").unwrap();
    assert_eq!((basket.kind, basket.vanished, basket.newest), (FieldKind::Text, true, 0.0));
    assert!(basket.share > 0.9);
    assert_eq!(report.breaks, health.breaks());
    assert_eq!(report.breaks.len(), 1);
}

#[test]
fn another_parser_is_no_change_of_the_source() {
    let mut health = Health::new(1);
    show(&mut health, &lines(&[(800, order)]), 1, 100);
    let bytes = health.to_bytes("parser 1").unwrap();
    for (parser, expected) in [("parser 1", 1), ("parser 2", 0)] {
        let mut health = Health::from_bytes(&bytes, parser, 9).unwrap();
        let after = lines(&[(800, order_without_basket)]);
        assert_eq!(show(&mut health, &after, 801, 100).len(), expected, "{parser}");
    }
}

#[test]
fn a_new_kind_is_told_once_the_source_is_known() {
    let usual = |n: u32| match n % 3 {
        0 => cron(n),
        1 => sshd(n),
        _ => shop(n),
    };
    let other = "Nov 23 09:00:00 web1 kernel: Out of memory: Killed process 7 (mysqld)";
    let mut health = Health::new(1);
    // While the source is learnt, nothing is new.
    let mut all = vec![other.replace("Out of memory: Killed", "Starting").clone()];
    all.extend((0..6000).map(usual));
    show(&mut health, &all, 1, 100);
    assert_eq!(health.report("s").unwrap().new_kinds, []);
    let mut more = vec![other.to_string()];
    more.extend((0..400).map(usual));
    let mut again = Health::from_bytes(&health.to_bytes("").unwrap(), "", 5).unwrap();
    for health in [&mut health, &mut again] {
        show(health, &more, 10_000, 100);
        let report = health.report("s").unwrap();
        let kinds = report.new_kinds;
        assert_eq!(kinds.len(), 1, "{kinds:?}");
        assert_eq!(kinds[0].event_id, 10_000);
        assert!(kinds[0].example.starts_with("Out of memory"), "{kinds:?}");
    }
}

/// Shows it events of 20 minutes that are written so many microseconds before their receipt, with a
/// correction in force.
fn show_clock(health: &mut Health, delay: i64, correction_seconds: i64, first_id: i64) {
    for minute in 0..20 {
        let received = NOW + (first_id + minute) * MINUTE;
        let line = |n: i64| {
            let time = pugmark_event::time::format(received - delay - n * 100_000);
            format!(r#"{{"time":"{time}","msg":"order {n}"}}"#)
        };
        let lines: Vec<String> = (0..9).map(line).chain(["no time".to_string()]).collect();
        let records: Records = lines.iter().map(|line| line.as_bytes()).collect();
        let id = first_id + minute * 10;
        let input = Input { source: "s", records: &records, first_id: id, received, format: None };
        let (batch, readings) = parser().parse_readings(&input);
        let batch = crate::clean::correct_clock(&batch, correction_seconds).unwrap();
        health.observe(&batch, &readings);
    }
}

#[test]
fn a_wrong_clock_is_told_by_the_times_that_were_written() {
    let clock = |health: &Health| {
        let report = health.report("s").unwrap();
        report.clock.map(|clock| (clock.cause, clock.correction))
    };
    for (delay, expected) in [
        (SECOND, (Cause::None, 0)),
        (-2 * HOUR, (Cause::Zone, -2 * HOUR)),
        (7 * MINUTE, (Cause::Clock, 7 * MINUTE)),
    ] {
        for correction_seconds in [0, -7200, 420] {
            let mut health = Health::new(1);
            show_clock(&mut health, delay, correction_seconds, 1);
            assert_eq!(clock(&health), Some(expected), "{delay} {correction_seconds}");
            // A restart, and half of the events again.
            let bytes = health.to_bytes("p").unwrap();
            let mut again = Health::from_bytes(&bytes, "p", 3).unwrap();
            assert_eq!(clock(&again), Some(expected));
            show_clock(&mut again, 0, 0, 1);
            assert_eq!(clock(&again), Some(expected));
            // Another parser may read other times.
            let other = Health::from_bytes(&bytes, "q", 3).unwrap();
            assert_eq!(clock(&other), None);
        }
    }
}

#[test]
fn a_checkpoint_without_clocks_is_read() {
    let mut health = Health::new(1);
    show(&mut health, &lines(&[(800, order)]), 1, 100);
    let bytes = health.to_bytes("p").unwrap();
    let (_, clocks): (Kept<'_>, &[u8]) = postcard::take_from_bytes(&bytes).unwrap();
    let before = &bytes[..bytes.len() - clocks.len()];
    let known = Health::from_bytes(before, "p", 1).unwrap();
    assert_eq!(known.report("s").unwrap().events, 800);
    assert!(Health::from_bytes(&bytes[..bytes.len() - 1], "p", 1).is_err());
}

/// A source of stable programs, each with its own text.
const PROGRAMS: [fn(u32) -> String; 6] = [sshd, cron, shop, order, access, pairs];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn stable_streams_never_break_however_they_are_mixed(
        bursts in prop::collection::vec((0usize..PROGRAMS.len(), 1u32..700), 1..20),
    ) {
        let mut health = Health::new(1);
        // Each is familiar before the mix begins.
        let first = (0..40).flat_map(|n| PROGRAMS.map(|program| program(n)));
        let mixed = bursts.iter().flat_map(|(at, count)| (0..*count).map(|n| PROGRAMS[*at](n)));
        let all: Vec<String> = first.chain(mixed).collect();
        prop_assert_eq!(said(&show(&mut health, &all, 1, 250)), vec![""; 0]);
    }

    #[test]
    fn blocks_replays_and_restarts_change_nothing(
        rows in 1usize..300,
        cut in 0usize..1500,
        back in 0usize..300,
    ) {
        let all = lines(&[(800, order), (400, order_without_basket), (300, garbage)]);
        let mut whole = Health::new(1);
        let expected = show(&mut whole, &all, 1, 100);
        let mut health = Health::new(1);
        let mut found = show(&mut health, &all[..cut], 1, rows);
        // A restart, and a replay of what was seen already.
        let mut health = Health::from_bytes(&health.to_bytes("p").unwrap(), "p", 1).unwrap();
        let start = cut.saturating_sub(back);
        found.extend(show(&mut health, &all[start..], start as i64 + 1, rows));
        prop_assert_eq!(found, expected);
        prop_assert_eq!(health.report("s"), whole.report("s"));
    }

    #[test]
    fn hostile_records_stay_within_bounds(
        seeds in prop::collection::vec(any::<u32>(), 1..1500),
        form in 0u8..3,
    ) {
        let line = |n: &u32| match form {
            0 => garbage(*n),
            1 => format!(r#"{{"{}":1,"event.action":"{}"}}"#, garbage(*n), garbage(n / 2)),
            _ => format!("Nov 23 09:00:00 web1 {}[1]: {}={n}", garbage(*n), garbage(n / 3)),
        };
        let all: Vec<String> = seeds.iter().map(line).collect();
        let mut health = Health::new(1);
        show(&mut health, &all, 1, 500);
        let source = &health.sources["s"];
        prop_assert!(source.kept.groups.len() <= GROUPS_MAX);
        prop_assert!(source.kept.streams.len() <= STREAMS_MAX);
        prop_assert!(source.kept.streams.iter().all(|stream| stream.fields.len() <= FIELDS_MAX));
        prop_assert_eq!(health.room, FIELDS_ALL_MAX - source.fields());
        prop_assert_eq!(health.report("s").map(|report| report.events), Some(all.len() as u64));
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Health::from_bytes(&bytes, "", 1);
    }
}

#[test]
fn sources_beyond_the_bound_are_not_looked_at() {
    let mut health = Health::new(1);
    let records: Records = [b"x".as_slice()].into_iter().collect();
    for n in 0..SOURCES_MAX + 10 {
        let source = format!("s{n}");
        let first_id = n as i64 + 1;
        let input =
            Input { source: &source, records: &records, first_id, received: NOW, format: None };
        let (batch, readings) = parser().parse_readings(&input);
        health.observe(&batch, &readings);
    }
    assert_eq!(health.summaries().count(), SOURCES_MAX);
}
