//! Programs over events: what they change, what they must not lose, and where they end.

use std::cell::Cell;
use std::sync::LazyLock;

use proptest::prelude::*;
use pugmark_event::Records;
use pugmark_event::json::RowWriter;
use pugmark_parse::{Input, Parser};

use super::*;

const RECEIVED: i64 = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

static PARSER: LazyLock<Parser> = LazyLock::new(|| Parser::new(&[]).unwrap());

fn parse<R: AsRef<[u8]>>(records: &[R]) -> Batch {
    let records: Records = records.iter().map(AsRef::as_ref).collect();
    let (source, received) = ("app", RECEIVED);
    PARSER.parse(&Input { source, records: &records, first_id: 7, received, format: None })
}

/// The file of a program.
fn yaml(program: &str) -> String {
    let indented: String = program.lines().map(|line| format!("  {line}\n")).collect();
    format!("sources: [app]\nprogram: |2\n{indented}")
}

fn compile<P: AsRef<str>>(programs: &[P]) -> (Transforms, Vec<Problem>) {
    let named = programs.iter().enumerate();
    let source =
        |(i, p): (usize, &P)| TransformSource { name: format!("t{i}"), text: yaml(p.as_ref()) };
    Transforms::compile(&named.map(source).collect::<Vec<_>>())
}

/// The event without the columns that say nothing here.
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

/// What programs, one after the other, make of one record.
#[track_caller]
fn check(programs: &[&str], record: &str, expected: &str) {
    let (transforms, problems) = compile(programs);
    assert_eq!(problems, []);
    let batch = parse(&[record]);
    let (changed, outcomes) = transforms.apply("app", batch.clone(), &still);
    assert_eq!(shown(&changed, 0), expected, "{outcomes:?}");
    assert_eq!((changed.ids(), changed.original(0)), (batch.ids(), batch.original(0)));
    assert_eq!(changed.received_times(), batch.received_times());
}

/// What is wrong with a program: line, column and part of the message and hint.
#[track_caller]
fn check_broken(program: &str, line: usize, column: usize, said: &str) {
    let (transforms, problems) = compile(&[program]);
    assert_eq!(transforms.list().len(), 0);
    let problem = &problems[0];
    let text = format!("{} ({})", problem.message, problem.hint);
    assert_eq!((problem.line, problem.column), (Some(line), Some(column)), "{text}");
    assert!(text.contains(said), "{text}");
}

#[test]
fn a_program_changes_fields() {
    for (program, record, expected) in [
        (
            ".a.b = 2",
            r#"{"a":{"b":1},"c":[1, 2]}"#,
            r#"{"event.issues":"time_missing","a.b":2,"c":[1,2]}"#,
        ),
        (
            ".user.name = upcase(string!(.user.name))\n.source.port = \"80\"\n.new.x = [1, {\"y\": null}]",
            r#"{"user":{"name":"ines"}}"#,
            r#"{"event.issues":"time_missing","user.name":"INES","source.port":80,"new.x":[1,{"y":null}]}"#,
        ),
        (
            "del(.user)\n.gone = null",
            r#"{"user":{"name":"ines"},"gone":1,"left":7.50}"#,
            r#"{"event.issues":"time_missing","left":7.5}"#,
        ),
        (
            ".message = {\"a\": 1.5, \"b\": true}",
            "text of a program",
            r#"{"event.issues":"time_missing","message.a":1.5,"message.b":true}"#,
        ),
        (
            ".\"@timestamp\" = parse_timestamp!(.at, \"%d.%m.%Y %H:%M\")\n.seen = .\"@timestamp\"",
            r#"{"at":"22.11.2026 09:30"}"#,
            r#"{"@timestamp":"2026-11-22T09:30:00Z","at":"22.11.2026 09:30","seen":"2026-11-22T09:30:00Z"}"#,
        ),
        (
            ".\"@timestamp\" = \"soon\"",
            r#"{"a":1}"#,
            r#"{"event.issues":"type:@timestamp,time_missing","conflicts.@timestamp":"soon","a":1}"#,
        ),
        (
            ".logsource.product = \"shop\"\n.event.module = .event.source",
            r#"{"time":"2026-11-23T10:00:00Z"}"#,
            r#"{"logsource.product":"shop","event.module":"app"}"#,
        ),
    ] {
        check(&[program], record, expected);
    }
    // What programs of Vector begin with.
    check(
        &[". |= object!(parse_json!(.message))\ndel(.message)"],
        "Nov 23 10:00:00 web1 app: {\"user\":{\"name\":\"ines\"}}",
        r#"{"event.issues":"year_guessed","host.name":"web1","user.name":"ines","process.name":"app"}"#,
    );
}

#[test]
fn what_a_program_leaves_alone_comes_back_as_it_was() {
    let records = [
        r#"{"a.b":1,"a":{"c":2},"x":{"y":1},"x.y":2,"":3,".":4,"n":1.50,"big":123456789012345678901}"#,
        r#"{"source.port":"007","source.ip":"192.0.2.1","j":[1.0, {"k" : 1e3}],"z":null,"t":true}"#,
        r#"{"user":"x","user.name":"y","event.id":5,"event.issues":"no","event":{"original":"o"}}"#,
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
        "a=1 a=2 time=2099-01-01T00:00:00Z",
        "",
    ];
    let batch = parse(&records);
    let (transforms, _) = compile(&["x = .message"]);
    let (same, outcomes) = transforms.apply("app", batch.clone(), &still);
    assert_eq!(outcomes[0].failed, 0, "{outcomes:?}");
    for row in 0..batch.rows() {
        assert_eq!(shown(&same, row), shown(&batch, row));
    }
    assert_eq!(same.columns(), batch.columns());
    let (other, outcomes) = transforms.apply("another", batch.clone(), &still);
    assert_eq!((other.columns(), outcomes), (batch.columns(), vec![]));
}

#[test]
fn a_program_that_fails_leaves_the_event() {
    let many = format!("l = split(\"{}\", \"\")\n", "a".repeat(200));
    let within = format!("{many}for_each(l) -> |_i, _v| {{ x = 1 }}\n");
    for (program, issue) in [
        (".b = 1\n.a = to_int!(.a)".to_string(), FAILED),
        (".b = 1\n. = [1]".to_string(), FAILED),
        (".b = 1\nabort".to_string(), ABORTED),
        ("abort \"not ours\"".to_string(), ABORTED),
        ("del(.)".to_string(), ABORTED),
        (". = {}".to_string(), ABORTED),
        // 2^20 and more bytes.
        (format!("x = \"{}\"\n{}.x = x", "a".repeat(1024), "x = x + x\n".repeat(11)), LIMIT),
        (format!("{within}.x = [{}]", "1,".repeat(10)), ""),
        (format!("{many}for_each(l) -> |_i, _v| {{ for_each(l) -> |_i, _v| {{ x = 1 }} }}"), LIMIT),
        (format!("{many}x = []\nfor_each(l) -> |_i, _v| {{ x = [x] }}\n.x = x"), LIMIT),
        (
            format!(
                "{many}l = map_values(l) -> |_v| {{ {{ \"a\": 1, \"b\": 2, \"c\": 3, \"d\": 4, \"e\": 5, \
            \"f\": 6 }} }}\n.x = object_from_array!(map_values(l) -> |v| {{ [encode_json(v), v] }})"
            ),
            "",
        ),
    ] {
        let (transforms, problems) = compile(&[&program]);
        assert_eq!(problems, []);
        let batch = parse(&[r#"{"time":"2026-11-23T10:00:00Z","a":"x"}"#]);
        let (changed, outcomes) = transforms.apply("app", batch, &still);
        if issue.is_empty() {
            assert_eq!(outcomes[0].reason, None, "{program}");
            continue;
        }
        let expected = format!(r#"{{"event.issues":"{issue}","a":"x"}}"#);
        assert_eq!(shown(&changed, 0), expected, "{program}\n{outcomes:?}");
        assert_eq!((outcomes[0].events, outcomes[0].failed), (1, 1));
        assert!(outcomes[0].reason.is_some());
    }
}

#[test]
fn programs_run_one_after_the_other_and_one_that_fails_changes_nothing() {
    let record = r#"{"time":"2026-11-23T10:00:00Z","a":1}"#;
    let kept = r#"{"event.issues":"transform_failed","a":1,"b":2,"d":2}"#;
    check(&[".b = 2", ".c = 3\n.c = to_int!(\"x\")", ".d = .b"], record, kept);
    let (transforms, _) = compile(&[".b = 1\n.a = to_int!(.a)"]);
    let outcomes = transforms.apply("app", parse(&[r#"{"a":"x"}"#]), &still).1;
    let reason = outcomes[0].reason.as_ref().unwrap();
    assert!(reason.contains("\"to_int\" in line 4: Invalid integer"), "{reason}");
    check(&["abort", "abort"], record, r#"{"event.issues":"transform_aborted","a":1}"#);
}

#[test]
fn an_event_too_large_or_a_program_too_slow_leaves_the_rest_alone() {
    let large = "x".repeat(EVENT_BYTES_MAX);
    let batch = parse(&["small", &large, "small"]);
    let (transforms, _) = compile(&[".b = 1"]);
    let (changed, outcomes) = transforms.apply("app", batch.clone(), &still);
    assert_eq!((outcomes[0].events, outcomes[0].failed), (3, 1));
    let issues = |row: usize| {
        let issues = changed.text(pugmark_event::fields::ISSUES).unwrap();
        issues.value(row).contains(LIMIT)
    };
    assert_eq!([issues(0), issues(1), issues(2)], [false, true, false]);

    // Each look at the clock costs as much as a block may take.
    let now = Cell::new(Duration::ZERO);
    let elapsed = || {
        now.set(now.get() + BLOCK_TIME);
        now.get()
    };
    let (_, outcomes) = transforms.apply("app", parse(&["a", "b", "c"]), &elapsed);
    assert_eq!((outcomes[0].events, outcomes[0].failed), (3, 1), "{outcomes:?}");
    assert!(outcomes[0].reason.as_ref().unwrap().contains("for this block"), "{outcomes:?}");
}

#[test]
fn what_is_wrong_has_its_place_in_the_file() {
    check_broken(".a = 1\n.b = now()", 4, 8, "it reads the clock");
    check_broken(".a = parse_grok!(.message, \"%{X}\")", 3, 8, "use parse_regex");
    check_broken(".a = parse_jsn!(.message)", 3, 8, "parse_json");
    check_broken(".a = parse_json(.message)", 3, 8, ".a, err = parse_json(.message)");
    check_broken("\n.a = = 1", 4, 8, "syntax error");
    check_broken(".a = 1\n.event.id = 5", 4, 3, "can be read, not written");
    check_broken(".event.original.x = 5", 3, 3, "`.event.original` can be read");
    check_broken(".a = replace(\"a\", \"a\", string!(.b))", 3, 8, "literal");
    check_broken(".a = parse_timestamp!(.t, \"%F\", timezone: \"local\")", 3, 35, "no local time");
    check_broken(&format!(".a = {}1", "!".repeat(1000)), 3, 256, "more than 250");
    check_broken(&" ".repeat(PROGRAM_BYTES_MAX + 1), 3, 3, "at most");
    for (text, said) in [
        ("sources: []\nprogram: .a = 1", "1 to 1000 sources"),
        ("sources: [a]\nprogram: .a = 1\nmore: 1", "more"),
        ("sources: ['[']\nprogram: .a = 1", "error parsing glob"),
        ("sources: [a]", "program"),
    ] {
        let source = TransformSource { name: "t".into(), text: text.into() };
        let (_, problems) = Transforms::compile(&[source]);
        assert!(problems[0].message.contains(said), "{problems:?}");
    }
}

/// The deepest programs that are taken fit into the stack, while they are read and run.
#[test]
fn the_deepest_programs_fit_into_the_stack() {
    let most = nesting::TOKENS_MAX;
    for program in [
        format!(".x = {}true", "!".repeat(most - 10)),
        format!(".x = 1{}", " + 1".repeat(most / 2 - 10)),
        format!(".x = {}1{}", "[".repeat(most - 10), "]".repeat(most - 10)),
        format!(".x = {}1{}", "(".repeat(most / 2 - 10), ")".repeat(most / 2 - 10)),
        format!("{}.x = 1{}", "if true {".repeat(most / 3 - 10), "}".repeat(most / 3 - 10)),
        format!(".x = {}1{}", "{\"a\":".repeat(most / 3 - 10), "}".repeat(most / 3 - 10)),
    ] {
        let (transforms, problems) = compile(&[&program]);
        // Some forms are no program; what matters is that nothing overflows.
        let said: Vec<_> = problems.iter().map(|problem| &problem.message).collect();
        assert!(said.iter().all(|message| !message.contains("more than")), "{said:?}");
        let (after, _) = transforms.apply("app", parse(&["text"]), &still);
        assert_eq!(after.rows(), 1);
    }
}

const PROGRAMS: &[&str] = &[
    ". |= object(parse_json(string(.message) ?? \"\") ?? {}) ?? {}",
    ".a = .b\ndel(.c)\n.b = .\".\"",
    ". = {\"event\": {\"id\": 5, \"issues\": \"x\"}, \"@timestamp\": .a, \"source\": {\"ip\": .b}}",
    "for_each(object!(.)) -> |k, v| { .new = v\n .last = k }",
    ". = map_values(., recursive: true) -> |v| { to_string(v) ?? v }",
    ". = flatten(.)",
    ". = map_keys(., recursive: true) -> |k| { upcase(k) }",
    ".a = to_int!(.a)",
    ".\"@timestamp\" = from_unix_timestamp!(to_int!(.a))",
    "if exists(.a) { abort }",
    ". = compact(.)\n.user = .message\n.message.x = 1",
];

static TRANSFORMS: LazyLock<Vec<Transforms>> = LazyLock::new(|| {
    PROGRAMS.iter().filter_map(|p| Some(compile(&[p]).0).filter(|t| !t.list().is_empty())).collect()
});

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        "192\\.0\\.2\\.[0-9]{1,3}|00[0-9]|2026-11-23T10:00:00Z".prop_map(Value::from),
    ];
    let name = "a|b|c|\\.|a\\.b|source\\.ip|source|ip|user|name|event|id|@timestamp|message|.{0,5}";
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(name, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn a_name_within_another_stays_where_it_was() {
    for record in [r#"{"a":{},"a.b":1}"#, r#"{"a":{"c":2},"a.b":1}"#, r#"{"a.b":1,"a":{}}"#] {
        let batch = parse(&[record]);
        let (transforms, _) = compile(&["x = .a"]);
        let (same, _) = transforms.apply("app", batch.clone(), &still);
        assert_eq!(same.columns(), batch.columns(), "{record}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_record_is_lost_whatever_the_program(
        events in prop::collection::vec(json(), 1..6),
        raw in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut records: Vec<Vec<u8>> =
            events.iter().map(|event| event.to_string().into_bytes()).collect();
        records.push(raw);
        let batch = parse(&records);
        for transforms in TRANSFORMS.iter() {
            let (after, outcomes) = transforms.apply("app", batch.clone(), &still);
            prop_assert_eq!(after.ids(), batch.ids());
            prop_assert_eq!(outcomes[0].events, batch.rows() as u64);
            for (row, record) in records.iter().enumerate() {
                prop_assert_eq!(after.original(row), record.as_slice());
                let mut line = Vec::new();
                RowWriter::new(after.columns()).write(row, &mut line);
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
            }
            let (again, _) = transforms.apply("app", batch.clone(), &still);
            prop_assert_eq!(again.columns(), after.columns());
        }
    }

    #[test]
    fn an_event_that_is_only_read_stays_the_same(events in prop::collection::vec(json(), 1..6)) {
        let records: Vec<Vec<u8>> =
            events.iter().map(|event| event.to_string().into_bytes()).collect();
        let batch = parse(&records);
        let (transforms, _) = compile(&["x = .a"]);
        let (same, _) = transforms.apply("app", batch.clone(), &still);
        prop_assert_eq!(same.columns(), batch.columns());
    }

    #[test]
    fn any_text_is_a_program_or_a_problem(program in "[ .a-c0-9+!=(){}\\[\\],|\n\"'?:&<>#-]{0,60}") {
        let (transforms, problems) = compile(&[&program]);
        prop_assert_eq!(transforms.list().is_empty(), !problems.is_empty());
        transforms.apply("app", parse(&["text"]), &still);
    }
}
