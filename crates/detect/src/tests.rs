//! Tests of rules over events, through the public functions.

use crate::detection::RuleInfo;

/// A rule that says nothing but its category.
pub(crate) fn info(category: &str) -> RuleInfo {
    RuleInfo {
        id: "r".into(),
        version: String::new(),
        title: "R".into(),
        level: pugmark_event::Severity::Medium,
        description: String::new(),
        author: String::new(),
        license: String::new(),
        references: vec![],
        falsepositives: vec![],
        next_steps: String::new(),
        noise_budget: None,
        tags: vec![],
        product: None,
        category: (!category.is_empty()).then(|| category.into()),
        service: None,
        correlation: false,
        path: String::new(),
        text: String::new(),
        silent: false,
        exceptions: Vec::new(),
    }
}

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use pugmark_event::time::{MINUTE, Micros, SECOND};
use pugmark_event::{Batch, BatchBuilder, Value, fields};

use crate::{
    Checkpoint, CheckpointError, Detection, Detector, Hit, Loaded, RuleSet, RuleSource, check_test,
    load,
};

/// 2026-11-23T10:00:00Z.
const NOW: Micros = 1_795_428_000_000_000;

fn rules(text: &str) -> Arc<RuleSet> {
    let Loaded { rules, problems, .. } =
        load(&[RuleSource { path: "test.yaml".into(), text: text.into() }]);
    assert_eq!(problems, []);
    let (set, problems) = RuleSet::compile(rules);
    assert_eq!(problems, []);
    Arc::new(set)
}

/// A batch of Windows events from JSON objects, each with the fields of one event.
fn batch(events: &[serde_json::Value]) -> Batch {
    let mut builder = BatchBuilder::new("test", NOW);
    for (id, event) in (1..).zip(events) {
        builder.begin(id, event.to_string().as_bytes());
        builder.log_source("windows", "process_creation", "sysmon");
        for (name, value) in event.as_object().unwrap() {
            let text = value.to_string();
            let value = match value {
                serde_json::Value::Null => Value::Null,
                serde_json::Value::Bool(b) => Value::Bool(*b),
                serde_json::Value::Number(_) => Value::Number(&text),
                serde_json::Value::String(s) => Value::Text(s),
                _ => Value::Json(&text),
            };
            builder.native("windows", name, value);
        }
        builder.end(Some(NOW));
    }
    builder.finish().unwrap()
}

/// Matches one event against a rule with this detection, by the matcher and by the plain reading.
#[track_caller]
fn check(detection: &str, event: serde_json::Value, expected: bool) {
    let text = format!(
        "title: T\nid: t\nlogsource: {{product: windows}}\ndetection:\n{}",
        detection.lines().map(|l| format!("  {l}\n")).collect::<String>()
    );
    let set = rules(&text);
    let batch = batch(std::slice::from_ref(&event));
    assert_eq!(!set.matches_plainly(&batch).is_empty(), expected, "plainly: {detection} {event}");
    assert_eq!(!set.matches(&batch).is_empty(), expected, "matcher: {detection} {event}");
    if expected && !detection.contains("not ") {
        assert!(!set.explain(0, &batch, 0).is_empty(), "unexplained: {detection}");
    }
}

/// One item as the whole rule.
#[track_caller]
fn item(item: &str, event: serde_json::Value, expected: bool) {
    check(&format!("sel:\n  {item}\ncondition: sel"), event, expected);
}

#[test]
fn text_is_compared_without_case_unless_told() {
    let run = serde_json::json!({"Image": "C:\\Windows\\CMD.exe", "CommandLine": "cmd /c WHOAMI"});
    item("Image|endswith: '\\cmd.exe'", run.clone(), true);
    item("Image|endswith|cased: '\\cmd.exe'", run.clone(), false);
    item("Image|endswith|cased: '\\CMD.exe'", run.clone(), true);
    item("Image: 'c:\\windows\\cmd.EXE'", run.clone(), true);
    item("Image: '*\\cmd.*'", run.clone(), true);
    item("Image: 'c:\\\\*\\cmd.e?e'", run.clone(), true);
    item("Image: 'c:\\\\*\\cmd.e?'", run.clone(), false);
    item("Image|startswith: 'C:\\Win'", run.clone(), true);
    item("Image|startswith: 'Win'", run.clone(), false);
    item("CommandLine|contains: whoami", run.clone(), true);
    item("CommandLine|contains|all: [whoami, cmd]", run.clone(), true);
    item("CommandLine|contains|all: [whoami, net]", run.clone(), false);
    item("CommandLine|contains: [whoami, net]", run.clone(), true);
    item("CommandLine: '*'", run.clone(), true);
    item("ParentImage: '*'", run, false);
    item("CommandLine|contains: ÄÖ", serde_json::json!({"CommandLine": "xäöx"}), true);
    item("CommandLine: 'a\\*b'", serde_json::json!({"CommandLine": "a*b"}), true);
    item("CommandLine: 'a\\*b'", serde_json::json!({"CommandLine": "axb"}), false);
}

#[test]
fn numbers_nulls_and_arrays() {
    let event = serde_json::json!({
        "EventID": 4688, "LogonType": "3", "Size": 1.5, "Big": "9007199254740993",
        "Flag": true, "Nothing": null, "Empty": "", "Tags": ["alpha", "Beta", 3],
    });
    for (text, expected) in [
        ("EventID: 4688", true),
        ("EventID: '4688'", true),
        ("EventID: [1, 4688]", true),
        ("EventID|startswith: 46", true),
        ("EventID: 468", false),
        ("LogonType: 3", true),
        ("LogonType|gt: 2", true),
        ("LogonType|gt: 3", false),
        ("LogonType|gte: 3", true),
        ("LogonType|lt: 3.5", true),
        ("Size|lte: 1.5", true),
        ("Big|gt: 9007199254740992", true),
        ("Image|lt: 5", false),
        ("Flag: true", true),
        ("Flag: false", false),
        ("Nothing: null", true),
        ("Image: null", true),
        ("EventID: null", false),
        ("Empty: ''", true),
        ("Nothing: ''", false),
        ("Empty: null", false),
        ("Image: [null, '']", true),
        ("Empty|exists: true", true),
        ("Image|exists: true", false),
        ("Image|exists: false", true),
        ("Tags: beta", true),
        ("Tags: 3", true),
        ("Tags|contains: lph", true),
        ("Tags: gamma", false),
        ("EventID|neq: 4688", false),
        ("EventID|neq: [1, 2]", true),
        ("Image|neq: x", false),
        ("Tags|contains|neq: zeta", true),
    ] {
        item(text, event.clone(), expected);
    }
}

#[test]
fn special_modifiers() {
    let event = serde_json::json!({
        "IpAddress": "10.1.2.3", "CommandLine": "powershell –enc aABlAGwAbABvAA==",
        "Same": "abc", "Other": "ABC", "Part": "b", "UtcTime": "2026-11-23T22:05:00Z",
        "Hidden": "xSUVYKE5ldy1PYmplY3Qx",
    });
    for (text, expected) in [
        ("IpAddress|cidr: 10.0.0.0/8", true),
        ("IpAddress|cidr: [192.0.2.0/24, 10.1.2.3]", true),
        ("IpAddress|cidr: 11.0.0.0/8", false),
        ("Same|cidr: 10.0.0.0/8", false),
        ("CommandLine|contains|windash: ' -enc '", true),
        ("CommandLine|contains: ' -enc '", false),
        ("CommandLine|wide|base64|contains: hello", true),
        ("CommandLine|utf16le|base64offset|contains: ell", true),
        ("CommandLine|utf16be|base64offset|contains: hello", false),
        ("Hidden|base64offset|contains: 'IEX(New-Object'", true),
        ("CommandLine|re: 'powershell.{1,3}enc'", true),
        ("CommandLine|re: 'POWERSHELL'", false),
        ("CommandLine|re|i: 'POWERSHELL'", true),
        ("CommandLine|re: '^enc'", false),
        ("Same|fieldref: Other", true),
        ("Same|fieldref|cased: Other", false),
        ("Same|fieldref|contains: Part", true),
        ("Same|fieldref: Nowhere", false),
        ("UtcTime|hour: 22", true),
        ("UtcTime|hour: [1, 2]", false),
        ("UtcTime|week: 48", true),
        ("Same|hour: 22", false),
    ] {
        item(text, event.clone(), expected);
    }
}

#[test]
fn conditions_join_selections() {
    let event = serde_json::json!({"Image": "a", "User": "bob", "CommandLine": "x"});
    let selections = "sel_a: {Image: a}\nsel_b: {User: alice}\nsel_c: {CommandLine: x}\n\
                      _hidden: {Image: z}\nmaps:\n  - {Image: z}\n  - {User: bob, Image: a}";
    for (condition, expected) in [
        ("sel_a and sel_c", true),
        ("sel_a and sel_b", false),
        ("sel_b or sel_c", true),
        ("sel_a and not sel_b", true),
        ("not sel_a", false),
        ("not sel_b", true),
        ("1 of sel_*", true),
        ("all of sel_*", false),
        ("2 of sel_*", true),
        ("3 of sel_*", false),
        ("1 of them", true),
        ("all of them", false),
        ("maps", true),
        ("maps and (sel_b or sel_c)", true),
        ("not (sel_a or sel_b)", false),
    ] {
        check(&format!("{selections}\ncondition: {condition}"), event.clone(), expected);
    }
    check(&format!("{selections}\ncondition: [sel_b, sel_a]"), event, true);
}

#[test]
fn keywords_search_the_raw_record() {
    let event = serde_json::json!({"Data": "Failed \"password\" C:\\temp"});
    for (keywords, expected) in [
        ("['failed']", true),
        ("['fail*word']", true),
        ("['nothing', 'C:\\temp']", true),
        ("['\"password\"']", true),
        ("['nothing']", false),
        ("{'|all': ['failed', 'temp']}", true),
        ("{'|all': ['failed', 'nothing']}", false),
        ("{'|re': 'Fa.led'}", true),
    ] {
        check(&format!("keywords: {keywords}\ncondition: keywords"), event.clone(), expected);
    }
}

#[test]
fn filters_narrow_rules() {
    let set = rules(
        "title: T\nid: t\nlogsource: {product: windows}\ndetection:\n  sel: {Image: a}\n  \
         condition: sel\n---\ntitle: F\nlogsource: {product: windows}\nfilter:\n  rules: [t]\n  \
         own: {User: admin}\n  condition: not own\n",
    );
    let batch = batch(&[
        serde_json::json!({"Image": "a", "User": "admin"}),
        serde_json::json!({"Image": "a", "User": "bob"}),
    ]);
    assert_eq!(set.rules().len(), 1);
    assert_eq!(set.matches(&batch).iter().map(|m| m.row).collect::<Vec<_>>(), [1]);
    assert_eq!(set.matches_plainly(&batch), set.matches(&batch));
}

#[test]
fn explanations_name_what_held() {
    let set = rules(
        "title: T\nid: t\nlogsource: {product: windows}\ndetection:\n  sel:\n    Image|endswith: \
         ['\\cmd.exe', '\\Pwsh.exe']\n  other: {User: x}\n  keys: ['needle']\n  condition: (sel or \
         other) and keys and not other\n",
    );
    let long = format!("{}needle{}", "a".repeat(2000), "b".repeat(2000));
    let batch = batch(&[serde_json::json!({"Image": "C:\\PWSH.exe", "Data": long})]);
    let why = set.explain(0, &batch, 0);
    assert_eq!(why.len(), 2, "{why:?}");
    assert_eq!(
        (why[0].selection.as_str(), why[0].field.as_str(), why[0].test.as_str()),
        ("sel", "Image", "ends with '\\Pwsh.exe'")
    );
    assert_eq!(why[0].value, "C:\\PWSH.exe");
    assert!(why[1].value.contains("needle") && why[1].value.len() <= 512);
    assert!(set.explain(0, &batch, 9).is_empty() && set.explain(9, &batch, 0).is_empty());
}

const CHAIN: &str = "
title: Failure
id: failure
name: failure
logsource: {product: linux}
detection:
  sel: {event.action: ssh_login, event.outcome: failure}
  condition: sel
---
title: Success
id: success
name: success
logsource: {product: linux}
detection:
  sel: {event.action: ssh_login, event.outcome: success}
  condition: sel
---
title: Guessing
id: guessing
name: guessing
level: high
correlation:
  type: event_count
  rules: [failure]
  group-by: [source.ip]
  timespan: 5m
  generate: false
  condition: {gte: 3}
---
title: Guessed
id: guessed
correlation:
  type: temporal_ordered
  rules: [guessing, success]
  group-by: [source.ip]
  timespan: 10m
  generate: true
---
title: Spraying
id: spraying
correlation:
  type: value_count
  rules: [failure]
  group-by: [source.ip]
  timespan: 5m
  condition: {gte: 3, field: user.name}
---
title: Both
id: both
correlation:
  type: temporal
  rules: [failure, success]
  aliases:
    who: {failure: user.name, success: user.name}
  group-by: [who]
  timespan: 1m
";

/// An attempt: seconds after the start, source address, user, success.
type Attempt = (i64, u8, &'static str, bool);

fn attempts(attempts: &[Attempt]) -> Batch {
    let mut builder = BatchBuilder::new("linux", NOW);
    for (id, (seconds, address, user, success)) in (1..).zip(attempts) {
        builder.begin(id, b"raw");
        builder.log_source("linux", "", "sshd");
        builder.text(fields::EVENT_ACTION, "ssh_login");
        builder.text(fields::EVENT_OUTCOME, if *success { "success" } else { "failure" });
        builder.text(fields::SOURCE_IP, &format!("203.0.113.{address}"));
        builder.text(fields::USER_NAME, user);
        builder.end(Some(NOW + seconds * SECOND));
    }
    builder.finish().unwrap()
}

fn shown(detections: &[Detection]) -> Vec<String> {
    detections
        .iter()
        .map(|d| {
            let after = (d.time - NOW) / SECOND;
            format!("{} {} {} n={} {:?}", d.rule.id, d.entity.value, after, d.count, d.events)
        })
        .collect()
}

#[test]
fn correlations_fire_once_and_chain() {
    let mut detector = Detector::new(rules(CHAIN));
    let batch = attempts(&[
        (0, 7, "root", false),
        (10, 7, "root", false),
        (20, 8, "bob", false),
        (30, 7, "root", false),
        (40, 7, "root", false),
        (50, 7, "root", true),
        (200, 8, "bob", true),
    ]);
    let detections = detector.process(&batch);
    assert_eq!(
        shown(&detections),
        [
            "guessing 203.0.113.7 30 n=3 [1, 2, 4]",
            "success root 50 n=1 [6]",
            "both root 50 n=5 [1, 2, 4, 5, 6]",
            "guessed 203.0.113.7 50 n=2 [1, 2, 4, 5, 6]",
            "success bob 200 n=1 [7]",
        ]
        .map(String::from)
    );
    assert_eq!(detections[0].why[0].test, ">= 3 within 5m");
    assert!(detections[0].why.iter().any(|r| r.test == "is 'failure'"));
}

#[test]
fn different_values_are_counted_once_each() {
    let mut detector = Detector::new(rules(CHAIN));
    let mut tries: Vec<Attempt> = (0..600).map(|i| (i / 10, 9, "root", false)).collect();
    tries.extend([(70, 9, "alice", false), (71, 9, "alice", false), (72, 9, "bob", false)]);
    let detections = detector.process(&attempts(&tries));
    let spraying: Vec<_> = detections.iter().filter(|d| d.rule.id == "spraying").collect();
    assert_eq!(spraying.len(), 1);
    assert_eq!((spraying[0].count, spraying[0].time), (3, NOW + 72 * SECOND));
}

#[test]
fn a_verdict_says_what_is_lacking() {
    let text = "title: T\nid: t\nlogsource: {product: windows, category: process_creation}\n\
        detection:\n  img: {Image|endswith: [\\\\cmd.exe, \\\\sh.exe]}\n  cmd:\n    \
        - CommandLine|contains: ' -enc '\n    - CommandLine|contains|all: [a1, b2, c3]\n  \
        quiet: {User: svc}\n  condition: img and cmd and not quiet\n";
    let set = rules(text);
    #[track_caller]
    fn check(set: &RuleSet, event: serde_json::Value, expected: &[&str]) {
        let verdict = set.verdict(0, &batch(&[event]), 0).unwrap();
        let shown: Vec<String> = verdict
            .lacks
            .iter()
            .map(|lack| {
                format!("{}: {} {} [{}]", lack.selection, lack.field, lack.test, lack.value)
            })
            .collect();
        assert_eq!(shown, expected);
        assert_eq!((verdict.fires, verdict.reads), (expected.is_empty(), true));
        assert_eq!(verdict.distance(), (false, expected.len()));
    }
    use serde_json::json;
    let event = |image: &str, line: &str, user: &str| json!({"Image": image, "CommandLine": line, "User": user});
    check(&set, event("C:\\x\\cmd.exe", "cmd -enc x", "ines"), &[]);
    check(
        &set,
        event("C:\\x\\cmd.exe", "cmd b2 c3", "svc"),
        &["cmd: CommandLine contains ' -enc ' [cmd b2 c3]", "quiet: User not (is 'svc') [svc]"],
    );
    check(
        &set,
        json!({"CommandLine": "a1 b2 c3"}),
        &["img: Image ends with '\\cmd.exe' or ends with '\\sh.exe' []"],
    );
    assert_eq!(set.verdict(1, &batch(&[json!({})]), 0), None);
    assert_eq!(set.verdict(0, &batch(&[json!({})]), 1), None);
}

#[test]
fn a_verdict_knows_other_log_sources() {
    let text = "title: T\nid: t\nlogsource: {product: linux}\ndetection:\n  sel: {a: b}\n  \
                condition: sel\n";
    let verdict = rules(text).verdict(0, &batch(&[serde_json::json!({"a": "b"})]), 0).unwrap();
    assert_eq!((verdict.fires, verdict.reads, verdict.lacks.len()), (false, false, 0));
    assert_eq!(verdict.event_source, ["windows", "process_creation", "sysmon"]);
}

#[test]
fn numbers_are_added_up() {
    #[track_caller]
    fn check(correlation: &str, sizes: &[serde_json::Value], expected: &[u64]) {
        let text = format!(
            "title: Sent\nid: sent\nlogsource: {{product: windows}}\ndetection:\n  \
             sel: {{Size|exists: true}}\n  condition: sel\n---\ntitle: Much\nid: much\n\
             correlation:\n  rules: [sent]\n  group-by: [User]\n  timespan: 5m\n  {correlation}\n"
        );
        let mut detector = Detector::new(rules(&text));
        let events: Vec<_> =
            sizes.iter().map(|size| serde_json::json!({"User": "ines", "Size": size})).collect();
        let found: Vec<u64> =
            detector.process(&batch(&events)).iter().map(|detection| detection.count).collect();
        assert_eq!(found, expected, "{correlation}");
    }
    use serde_json::json;
    let sizes = [json!(400), json!("300"), json!("many"), json!(301)];
    check("type: value_sum\n  condition: {field: Size, gt: 1000}", &sizes, &[1001]);
    check("type: value_sum\n  condition: {field: Size, gt: 1001}", &sizes, &[]);
    check("type: value_avg\n  condition: {field: Size, lt: 340, gt: 330}", &sizes, &[333]);
    check("type: value_median\n  condition: {field: Size, eq: 301}", &sizes, &[301]);
    let percentile =
        "type: value_percentile\n  condition: {field: Size, percentile: 100, gte: 400}";
    check(percentile, &sizes, &[400]);
}

#[test]
fn tests_of_rules_count_their_own_detections() {
    let text = format!(
        "{CHAIN}tests:\n  - {{name: a, records: x, detections: 1, rule: guessing}}\n  - {{name: b, \
         records: x, detections: 3, rule: failure}}\n  - {{name: c, records: x, detections: 9}}\n"
    );
    let loaded = load(&[RuleSource { path: "t.yaml".into(), text }]);
    let mut rules = RuleSet::compile(loaded.rules).0;
    rules.unsilence(rules.index_of("failure").unwrap());
    let rules = Arc::new(rules);
    let batch = attempts(&[(0, 7, "r", false), (1, 7, "r", false), (2, 7, "r", false)]);
    let outcome = loaded.tests.iter().map(|t| check_test(&rules, t, std::slice::from_ref(&batch)));
    let outcome: Vec<_> = outcome.map(|o| o.err().map(|e| e.to_string())).collect();
    assert_eq!(outcome[..2], [None, None]);
    assert_eq!(outcome[2].as_deref(), Some("t.yaml: test `c`: 0 detections instead of 9"));
}

#[test]
fn circles_and_lost_references_are_set_aside() {
    let text = "title: A\nid: a\ncorrelation: {type: event_count, rules: [b], timespan: 5m, \
                condition: {gte: 1}}\n---\ntitle: B\nid: b\ncorrelation: {type: event_count, \
                rules: [a], timespan: 5m, condition: {gte: 1}}\n---\ntitle: C\nid: c\n\
                correlation: {type: event_count, rules: [nowhere], timespan: 5m, condition: {gte: \
                1}}\n";
    let loaded = load(&[RuleSource { path: "t.yaml".into(), text: text.into() }]);
    let (set, problems) = RuleSet::compile(loaded.rules);
    assert_eq!((set.rules().len(), problems.len()), (0, 3), "{problems:?}");
}

fn events() -> impl Strategy<Value = Vec<serde_json::Value>> {
    let value = prop_oneof![
        "[abAB*.]{0,4}".prop_map(serde_json::Value::from),
        (0i64..4).prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
        Just(serde_json::json!(["a", "B"])),
    ];
    let event = prop::collection::hash_map(prop::sample::select(&NAMES[..]), value, 0..4);
    prop::collection::vec(event.prop_map(|e| serde_json::to_value(e).unwrap()), 1..12)
}

const NAMES: [&str; 4] = ["Image", "User", "Odd", "LogonType"];

fn generated_item() -> impl Strategy<Value = String> {
    let modifier = prop::sample::select(vec![
        "",
        "|contains",
        "|startswith",
        "|endswith",
        "|contains|cased",
        "|re",
        "|neq",
        "|contains|all",
        "|exists",
        "|gte",
    ]);
    (prop::sample::select(&NAMES[..]), modifier, prop::collection::vec("[abA*?]{1,3}", 2..4))
        .prop_map(|(name, modifier, values)| {
            let quoted: Vec<_> = values.iter().map(|v| format!("'{v}'")).collect();
            let value = match modifier {
                "|exists" => (values[0].len() % 2 == 0).to_string(),
                "|gte" => values[0].len().to_string(),
                "|re" => format!("'{}'", regex::escape(&values[0])),
                "" if values[0] == "a" => "[null, '']".into(),
                _ => format!("[{}]", quoted.join(", ")),
            };
            format!("{name}{modifier}: {value}")
        })
}

fn generated_rules() -> impl Strategy<Value = String> {
    let condition = prop::sample::select(vec![
        "s0",
        "s0 and s1",
        "s0 or s1",
        "s0 and not s1",
        "not s0",
        "1 of them",
        "all of them",
        "2 of them",
        "not 1 of them",
    ]);
    let rule = (prop::collection::vec(generated_item(), 2..4), condition);
    prop::collection::vec(rule, 1..8).prop_map(|rules| {
        let mut text = String::new();
        for (i, (items, condition)) in rules.iter().enumerate() {
            let products =
                ["{product: windows}", "{category: process_creation}", "{product: linux}"];
            text += &format!(
                "---\ntitle: R{i}\nid: r{i}\nlogsource: {}\ndetection:\n",
                products[i % 3]
            );
            for (j, item) in items.iter().enumerate() {
                text += &format!("  s{j}:\n    {item}\n");
            }
            text += &format!("  condition: {condition}\n");
        }
        text
    })
}

proptest! {
    #[test]
    fn the_matcher_agrees_with_the_plain_reading(text in generated_rules(), events in events()) {
        let set = rules(&text);
        let batch = batch(&events);
        prop_assert_eq!(set.matches(&batch), set.matches_plainly(&batch), "{}", text);
    }

    #[test]
    fn any_cut_into_batches_gives_the_same_detections(
        tries in prop::collection::vec(
            (0i64..900, 0u8..3, prop::sample::select(vec!["a", "b", "c", "d"]), any::<bool>()), 1..80,
        ),
        cuts in prop::collection::vec(1usize..20, 1..80),
    ) {
        let set = rules(CHAIN);
        let whole = attempts(&tries);
        let expected = Detector::new(set.clone()).process(&whole);
        let mut detector = Detector::new(set.clone());
        let (mut at, mut found, mut hits) = (0, Vec::new(), Vec::new());
        for cut in cuts.iter().cycle() {
            if at == whole.rows() { break; }
            let rows = (*cut).min(whole.rows() - at);
            let part = whole.slice(at, rows);
            found.extend(detector.process(&part));
            hits.extend(set.hits(&part).iter().map(|hit| postcard::to_allocvec(hit).unwrap()));
            at += rows;
            // A process ends here, and the next one goes on.
            let kept = detector.checkpoint(at as i64 + 1).to_bytes().unwrap();
            let kept = Checkpoint::from_bytes(&kept).unwrap();
            let (resumed, fresh) = Detector::resume(set.clone(), &kept);
            prop_assert_eq!(resumed.checkpoint(at as i64 + 1), kept);
            prop_assert_eq!(fresh, Vec::<u32>::new());
            detector = resumed;
        }
        prop_assert_eq!(&found, &expected);
        // Hits may be found in any order, and kept elsewhere until they are looked at.
        hits.reverse();
        let mut hits: Vec<Hit> = hits.iter().map(|h| postcard::from_bytes(h).unwrap()).collect();
        hits.sort_by_key(|hit| hit.id);
        let mut detector = Detector::new(set);
        let followed = hits.iter().flat_map(|hit| detector.follow(hit));
        let followed: Vec<String> = followed.map(|firing| firing.detection.id).collect();
        let expected: Vec<String> = expected.into_iter().map(|detection| detection.id).collect();
        prop_assert_eq!(followed, expected);
        let ids: BTreeSet<_> = found.iter().map(|d| &d.id).collect();
        prop_assert_eq!(ids.len(), found.len(), "ids are unique");
    }
}

#[test]
fn events_out_of_order_within_the_lateness_still_count() {
    let mut detector = Detector::new(rules(CHAIN));
    let late = crate::LATENESS / SECOND;
    let batch = attempts(&[(late, 7, "r", false), (0, 7, "r", false), (1, 7, "r", false)]);
    let window = 5 * MINUTE / SECOND;
    assert_eq!(detector.process(&batch).len(), usize::from(late < window));
    let batch = attempts(&[(200, 8, "r", false), (0, 8, "r", false), (1, 8, "r", false)]);
    assert_eq!(shown(&detector.process(&batch)), ["guessing 203.0.113.8 200 n=3 [1, 2, 3]"]);
}

#[test]
fn a_rule_that_changed_starts_anew_and_the_others_go_on() {
    let mut detector = Detector::new(rules(CHAIN));
    let two = attempts(&[(0, 7, "r", false), (1, 7, "s", false)]);
    assert_eq!(detector.process(&two), []);
    let kept = detector.checkpoint(3);
    let third = attempts(&[(0, 9, "q", false), (0, 9, "q", true), (2, 7, "t", false)]).slice(2, 1);
    #[track_caller]
    fn check(text: &str, kept: &Checkpoint, third: &Batch, fresh: &[&str], expected: &[&str]) {
        let set = rules(text);
        let (mut detector, anew) = Detector::resume(set.clone(), kept);
        let anew: Vec<_> =
            anew.iter().map(|&rule| set.rules()[rule as usize].id.as_str()).collect();
        assert_eq!(anew, fresh);
        let found = detector.process(third);
        let found: Vec<_> = found.iter().map(|detection| detection.rule.id.as_str()).collect();
        assert_eq!(found, expected);
    }
    check(CHAIN, &kept, &third, &[], &["guessing", "spraying"]);
    let higher = CHAIN.replace("{gte: 3, field", "{gte: 2, field");
    check(&higher, &kept, &third, &["spraying"], &["guessing"]);
    // What a rule refers to is part of it.
    let other = CHAIN.replace("event.outcome: failure}", "event.outcome: [failure]}");
    check(&other, &kept, &third, &["guessing", "spraying", "both", "guessed"], &[]);
}

#[test]
fn bytes_that_are_no_checkpoint_are_refused() {
    let bytes = Detector::new(rules(CHAIN)).checkpoint(7).to_bytes().unwrap();
    let read = Checkpoint::from_bytes;
    assert_eq!(read(&bytes).unwrap().next, 7);
    assert!(matches!(read(&bytes[..bytes.len() - 1]), Err(CheckpointError::Damaged(_))));
    let newer = [&[9], &bytes[1..]].concat();
    assert!(matches!(read(&newer), Err(CheckpointError::Format(9))));
}

#[test]
fn an_event_reaches_through_chains() {
    #[track_caller]
    fn check(success: bool, expected: &[(&str, i64)]) {
        let set = rules(CHAIN);
        let hits = set.hits(&attempts(&[(0, 7, "r", success)]));
        let reached = set.reached(&hits[0]);
        let mut reached: Vec<_> = reached
            .into_iter()
            .map(|(rule, reach)| (set.rules()[rule as usize].id.as_str(), reach / MINUTE))
            .collect();
        reached.sort_unstable();
        assert_eq!(reached, expected);
    }
    check(false, &[("both", 1), ("guessed", 15), ("guessing", 5), ("spraying", 5)]);
    check(true, &[("both", 1), ("guessed", 10)]);
}

#[test]
fn rules_that_nearly_fired_come_nearest_first() {
    let rule = |id: &str, detection: &str| {
        format!(
            "title: {id}\nid: {id}\nlogsource: {{product: windows}}\ndetection:\n  {detection}\n"
        )
    };
    let text = [
        rule("fires", "sel: {Image|endswith: 'whoami.exe'}\n  condition: sel"),
        rule(
            "two",
            "sel: {Image|endswith: 'whoami.exe', User: a, CommandLine: b}\n  condition: sel",
        ),
        rule("one", "sel: {Image|endswith: 'whoami.exe', User: a}\n  condition: sel"),
        rule("nothing", "sel: {User: a}\n  condition: sel"),
        rule(
            "filtered",
            "sel: {Image|contains: who}\n  not: {CommandLine|contains: all}\n  \
             condition: sel and not not_it",
        )
        .replace("not: {", "not_it: {"),
    ];
    let set = rules(&text.join("---\n"));
    let event = serde_json::json!({"Image": "C:\\whoami.exe", "CommandLine": "whoami /all"});
    let near = set.near(&batch(&[event]), 0, 2, 10);
    let near: Vec<(&str, usize)> = near
        .iter()
        .map(|near| (set.rules()[near.rule as usize].id.as_str(), near.verdict.lacks.len()))
        .collect();
    // In the filtered rule two tests hold, in the other one.
    assert_eq!(near, [("fires", 0), ("filtered", 1), ("one", 1), ("two", 2)]);
}

#[test]
fn a_large_checkpoint_comes_back() {
    let set = rules(CHAIN);
    let mut detector = Detector::new(set.clone());
    let tries: Vec<Attempt> = (0..20_000)
        .map(|i| (i / 7, (i * 31 % 30) as u8, ["a", "b", "c", "d"][i as usize * 7 % 4], i % 4 == 0))
        .collect();
    detector.process(&attempts(&tries));
    let kept = detector.checkpoint(20_001);
    assert!(kept.keys() > 50);
    let read = Checkpoint::from_bytes(&kept.to_bytes().unwrap()).unwrap();
    assert!(read == kept);
    let (resumed, _) = Detector::resume(set, &read);
    assert!(resumed.checkpoint(20_001) == kept);
}
