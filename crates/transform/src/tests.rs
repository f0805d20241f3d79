use pugmark_event::json::RowWriter;
use pugmark_event::{Records, fields};
use pugmark_parse::{Input, Parser};
use proptest::prelude::*;
use std::sync::LazyLock;

use super::*;

const RECEIVED: i64 = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

static PARSER: LazyLock<Parser> = LazyLock::new(|| Parser::new(&[]).unwrap());

fn parse(records: &[&[u8]]) -> Batch {
    let records: Records = records.iter().copied().collect();
    let source = "app";
    PARSER.parse(&Input { source, records: &records, first_id: 7, received: RECEIVED, format: None })
}

fn yaml(program: &str) -> String {
    let indented: String = program.lines().map(|line| format!("  {line}\n")).collect();
    format!("sources: [app]\nprogram: |\n{indented}")
}

fn compile(programs: &[&str]) -> Transforms {
    let named = programs.iter().enumerate();
    let sources: Vec<TransformSource> = named
        .map(|(i, program)| TransformSource { name: format!("t{i}"), text: yaml(program) })
        .collect();
    let (transforms, problems) = Transforms::compile(&sources);
    assert_eq!(problems, []);
    transforms
}

fn shown(batch: &Batch, row: usize) -> String {
    let mut json = Vec::new();
    RowWriter::new(batch.columns()).write(row, &mut json);
    let mut event: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&json).unwrap();
    for always in ["event.ingested", "event.id", "event.source", "event.original"] {
        assert!(event.shift_remove(always).is_some(), "{always}");
    }
    if event.get("@timestamp") == Some(&"2026-11-23T10:00:00Z".into()) {
        event.shift_remove("@timestamp");
    }
    serde_json::to_string(&event).unwrap()
}

fn still() -> Duration {
    Duration::ZERO
}

/// What programs make of one record.
#[track_caller]
fn check(programs: &[&str], record: &str, expected: &str) {
    let batch = parse(&[record.as_bytes()]);
    let (changed, outcomes) = compile(programs).apply("app", batch.clone(), &still);
    assert_eq!(shown(&changed, 0), expected, "{outcomes:?}");
    assert_eq!((changed.ids(), changed.original(0)), (batch.ids(), batch.original(0)));
    assert_eq!(outcomes.len(), programs.len());
}

#[test]
fn a_program_changes_fields() {
    let record = r#"{"time":"2026-11-23T10:00:00Z","user":{"name":"ines"},"a":{"b":1},"tags":["x"]}"#;
    check(&[".a.b = 1"], record, r#"{"user.name":"ines","time":"2026-11-23T10:00:00Z","a.b":1,"tags":["x"]}"#);
}

#[test]
fn a_program_that_fails_leaves_the_event() {
    let record = r#"{"time":"2026-11-23T10:00:00Z","a":"x"}"#;
    let kept = |issue: &str| {
        format!(r#"{{"event.issues":"{issue}","time":"2026-11-23T10:00:00Z","a":"x"}}"#)
    };
    for (program, issue) in [
        (".b = 1\n.a = to_int!(.a)", FAILED),
        (". = 1", FAILED),
        (".b = 1\nabort", ABORTED),
        ("abort \"not ours\"", ABORTED),
        ("del(.)", ABORTED),
        (". = {}", ABORTED),
        (
            "x = \"a\"\nfor_each([1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21]) -> |_i, _v| \
             { x = x + x }\n.x = x",
            LIMIT,
        ),
        (
            "n = 0\nl = split(\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", \"\")\n\
             for_each(l) -> |_i, _v| { for_each(l) -> |_j, _w| { n = n + 1 } }",
            LIMIT,
        ),
        (
            "x = []\nfor_each(split(\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", \"\")) -> |_i, _v| \
             { x = [x] }\n.x = x",
            LIMIT,
        ),
    ] {
        check(&[program], record, &kept(issue));
    }
}
