//! Tables of proposals: what a pack says that was made of these records.

use proptest::prelude::*;
use pugmark_event::Records;
use pugmark_event::json::RowWriter;
use serde_json::{Map, Value};

use super::*;

/// 2026-11-23T10:00:00Z
const RECEIVED: i64 = 1_795_428_000_000_000;

fn events(proposal: &Proposal, input: &Input<'_>) -> Vec<Map<String, Value>> {
    let pack = PackSource { path: "acme/gate".into(), text: proposal.text.clone() };
    let parser = Parser::new(&[pack]).unwrap_or_else(|e| panic!("{e}\n{}", proposal.text));
    let batch = parser.parse(input);
    let writer = RowWriter::new(batch.columns());
    let row = |i| {
        let mut json = Vec::new();
        writer.write(i, &mut json);
        serde_json::from_slice(&json).unwrap()
    };
    (0..batch.rows()).map(row).collect()
}

fn with<T>(lines: &[&str], then: impl FnOnce(&Input<'_>) -> T) -> T {
    let records: Records = lines.iter().map(|line| line.as_bytes()).collect();
    then(&Input {
        source: "gate",
        records: &records,
        first_id: 1,
        received: RECEIVED,
        format: None,
    })
}

/// Proposes a pack for the lines and checks what it says of the first of them.
#[track_caller]
fn check(lines: &[&str], expected: &[(&str, &str)]) {
    with(lines, |input| {
        let proposal = propose(input, "acme/gate");
        let event = &events(&proposal, input)[0];
        for (name, value) in expected {
            let found = event.get(*name).map(|v| v.to_string().trim_matches('"').to_string());
            let found = found.unwrap_or_default();
            assert_eq!(found, *value, "{name}\n{event:?}\n{}", proposal.text);
        }
    });
}

#[test]
fn text_says_its_fields_with_the_words_around_them() {
    check(
        &[
            "Nov 23 09:58:01 gw gated[7]: Failed password for anna from 192.0.2.7 port 4711 ssh",
            "Nov 23 09:58:02 gw gated[7]: Failed password for bob from 192.0.2.8 port 4712 ssh",
        ],
        &[
            ("event.module", "acme/gate"),
            ("user.name", "anna"),
            ("source.ip", "192.0.2.7"),
            ("source.port", "4711"),
            ("event.outcome", "failure"),
            ("event.action", "failed_password"),
            ("event.category", "authentication"),
        ],
    );
    check(
        &["Nov 23 09:58:01 gw gated[7]: opened tunnel from 192.0.2.7:4711 to 198.51.100.2:443"],
        &[
            ("source.ip", "192.0.2.7"),
            ("source.port", "4711"),
            ("destination.ip", "198.51.100.2"),
            ("destination.port", "443"),
            ("event.outcome", "success"),
        ],
    );
    check(
        &["Nov 23 09:58:01 gw gated[7]: deny tcp src outside:192.0.2.7/4711 dst in:10.0.0.5(22)"],
        &[("source.ip", "192.0.2.7"), ("source.port", "4711"), ("destination.port", "22")],
    );
    check(
        &["gate access denied: login user=anna client=2001:db8::7 tries=3"],
        &[
            ("user.name", "anna"),
            ("source.ip", "2001:db8::7"),
            ("gate.tries", "3"),
            ("event.outcome", "failure"),
        ],
    );
}

#[test]
fn records_are_read_as_the_parser_reads_them() {
    let colours = "\u{1b}[32mlogin\u{1b}[0m of anna from 192.0.2.7 denied";
    check(&[colours], &[("event.module", "acme/gate"), ("source.ip", "192.0.2.7")]);
    let wide: Vec<u8> =
        "login of anna from 192.0.2.7 denied".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wide = std::str::from_utf8(&wide).expect("ASCII and zeros");
    check(&[wide], &[("event.module", "acme/gate"), ("source.ip", "192.0.2.7")]);
}

#[test]
fn names_and_values_say_their_fields() {
    check(
        &[
            r#"{"gTime":"2026-11-23T09:58:01Z","srcaddr":"192.0.2.7:4711","login":"anna","verdict":"DENY"}"#,
            r#"{"gTime":"2026-11-23T09:58:02Z","srcaddr":"192.0.2.8:4711","login":"bob","verdict":"PASS"}"#,
        ],
        &[
            ("@timestamp", "2026-11-23T09:58:01Z"),
            ("source.ip", "192.0.2.7"),
            ("source.port", "4711"),
            ("user.name", "anna"),
            ("event.outcome", "failure"),
        ],
    );
}

#[test]
fn a_pattern_is_pinned_so_that_a_name_cannot_play_another_message() {
    with(&["Nov 23 09:58:01 gw gated[7]: Invalid user anna from 192.0.2.7 port 4711"], |input| {
        let proposal = propose(input, "acme/gate");
        let line = "Nov 23 09:58:01 gw gated[7]: Invalid user x from 203.0.113.9 port 1 \
            from 192.0.2.7 port 4711";
        with(&[line], |input| {
            assert_eq!(events(&proposal, input)[0].get("source.ip"), None, "{}", proposal.text);
        });
    });
}

#[test]
fn what_others_write_is_not_taken() {
    let ours = [
        r#"{"time":"2026-11-23T09:58:01Z","gateZone":"a","user":"anna","doorNumber":4}"#,
        "Nov 23 09:58:01 gw gated[7]: door 4 was opened by anna",
        "door 4 was opened by anna today",
    ];
    let theirs = [
        r#"{"time":"2026-11-23T09:58:01Z","user":"anna","level":"info"}"#,
        "Nov 23 09:58:01 gw other[7]: door 4 was opened by anna",
        "Nov 23 09:58:01 gw gated[7]: window 4 was shut by anna",
        "today",
    ];
    with(&ours, |input| {
        let proposal = propose(input, "acme/gate");
        assert!(proposal.remaining.is_empty(), "{}", proposal.text);
        with(&theirs, |input| {
            for (event, line) in events(&proposal, input).iter().zip(theirs) {
                assert_eq!(event.get("event.module"), None, "{line}\n{}", proposal.text);
            }
        });
    });
}

/// Lines of all sorts, with whatever may break out of a comment, a scalar or a pattern.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let odd = concat!(
        r##"[a-z0-9 '"#:\\(){}\[\]*+?.$^|&!%@`,<>=\n\r\tA-Zé"##,
        r"\u{85}\u{2028}\u{202e}\u{feff}-]{0,30}",
    );
    let line = prop_oneof![
        odd.prop_map(String::from),
        odd.prop_map(|text| format!("Nov 23 09:58:01 gw gated[7]: Failed login for {text} from x")),
        odd.prop_map(|text| format!("<13>Nov 23 09:58:01 gw {text}: user {text} from 192.0.2.7")),
        (odd, odd).prop_map(|(a, b)| serde_json::json!({a: b.clone(), "status": b}).to_string()),
        (odd, "[a-z*.\\[\\]=-]{1,8}").prop_map(|(a, b)| format!("src=192.0.2.7 {b}={a:?} {a}=1")),
        any::<String>(),
    ];
    proptest::collection::vec(line, 0..8)
}

proptest! {
    #[test]
    fn a_proposal_loads_and_takes_what_it_shows(lines in lines(), name in "[a-z/\n'\"#:é]{0,12}") {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        with(&lines, |input| {
            let proposal = propose(input, &name);
            let events = events(&proposal, input);
            let left: Vec<usize> = (0..lines.len())
                .filter(|i| events[*i].get("event.module").is_none())
                .collect();
            prop_assert_eq!(&proposal.remaining, &left, "{}", proposal.text);
            let counted: usize = proposal.patterns.iter().map(|p| p.count).sum();
            prop_assert!(counted <= lines.len() - left.len());
            prop_assert!((0.0..=1.0).contains(&proposal.confidence));
            Ok(())
        })?;
    }
}
