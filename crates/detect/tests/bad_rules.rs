//! Malformed and hostile rule files: each gets a message that says where, what and what to do, and
//! the rules beside it still load.

use std::time::{Duration, Instant};

use pugmark_detect::{Problem, RuleSet, RuleSource, load};

const GOOD: &str = "title: Good\nid: good\nlogsource: {product: linux}\ndetection:\n  \
                    sel: {user.name: root}\n  condition: sel\n";

/// Loads and compiles one file with a good rule beside it; gives what was wrong.
#[track_caller]
fn problems(text: &str) -> Vec<Problem> {
    let sources = [("bad.yml", text), ("good.yml", GOOD)]
        .map(|(path, text)| RuleSource { path: path.into(), text: text.into() });
    let mut loaded = load(&sources);
    let (set, problems) = RuleSet::compile(loaded.rules);
    assert!(set.index_of("good").is_some(), "the good rule is gone");
    loaded.problems.extend(problems);
    loaded.problems
}

/// A problem of the file on this line whose message holds `expected`; it says what to do.
#[track_caller]
fn check_line(text: &str, line: usize, expected: &str) {
    let problems = problems(text);
    let found = problems.iter().find(|problem| problem.message.contains(expected));
    let Some(found) = found else { panic!("{expected:?} not in {problems:?} of\n{text}") };
    assert_eq!((found.path.as_str(), found.line), ("bad.yml", Some(line)), "{found}");
    assert!(!found.hint.is_empty(), "no hint: {found}");
    assert!(found.message.chars().count() <= 400, "{found}");
}

#[track_caller]
fn check(text: &str, expected: &str) {
    check_line(text, 1, expected);
}

/// The rule of the specification's own tests, with a line replaced or gone.
#[track_caller]
fn rule(line: usize, instead: &str, expected: &str) {
    let mut lines = [
        "title: A Title",
        "id: 545a5da6-f103-4919-a519-e9aec1026ee4",
        "status: test",
        "logsource: {product: windows, service: application}",
        "detection:",
        "  selection:",
        "    Provider_Name: 'Application Error'",
        "  condition: selection",
        "level: high",
    ];
    lines[line] = instead;
    check_line(&format!("# comment\n---\n{}\n", lines.join("\n")), 3, expected);
}

#[test]
fn a_part_of_a_rule_is_missing_or_another_kind() {
    rule(0, "", "Missing required field 'title'");
    rule(0, "title: [A, Title]", "Missing required field 'title'");
    rule(0, "title: \"A Title", "YAML parse error");
    rule(0, "title: A Title\ntitle: Another", "duplicate entry");
    rule(0, "\ttitle: A Title", "YAML parse error");
    rule(2, "status: unsure", "invalid status");
    rule(0, "title: 5", "Missing required field 'title'");
    rule(3, "", "Missing required field 'logsource'");
    rule(3, "logsource: windows", "logsource must be a mapping");
    rule(3, "logsource: {product: [windows, linux]}", "logsource: `product` must be text");
    rule(3, "logsource: {service: {a: b}}", "logsource: `service` must be text");
    rule(4, "detections:", "Missing required field 'detection'");
    rule(5, "  other:", "the condition names `selection`");
    rule(6, "", "empty selection");
    rule(6, "    []", "an empty list");
    rule(6, "    - null", "empty selection");
    rule(6, "    Provider_Name: *unknown", "unknown anchor");
    rule(6, "    Provider_Name: a\n    Provider_Name: b", "duplicate entry");
    // One fault does not hide another.
    check(
        "title: T\nstatus: unsure\nlogsource: {product: [a]}\ndetection: {sel: {a: b}, \
         condition: sel}\n",
        "`product` must be text",
    );
    rule(6, "    Provider_Name: {a: b}", "`Provider_Name` has a list or a mapping");
    rule(6, "    Provider_Name: [a, [b]]", "`Provider_Name` has a list or a mapping");
    rule(6, "    - [a, b]", "a list in a list");
    rule(6, "    - Provider_Name: {a: b}", "`Provider_Name` has a list or a mapping");
    rule(6, "    5: a", "a field's name must be text");
    rule(7, "", "Missing required field 'condition'");
    rule(7, "  condition: []", "empty condition");
    rule(7, "  condition: 5", "condition must be a string");
    rule(8, "level: mad", "invalid level");
    check("- title\n- logsource\n", "not a YAML mapping");
    check("42\n", "not a YAML mapping");
    check_line(&format!("{GOOD}---\ntitle: Second\n"), 8, "Missing required field 'detection'");
}

/// An item of a selection.
#[track_caller]
fn item(item: &str, expected: &str) {
    rule(6, &format!("    {item}"), expected);
}

#[test]
fn an_item_makes_no_sense() {
    item("a|: x", "Unknown modifier ''");
    item("a|CONTAINS: x", "Unknown modifier 'CONTAINS'");
    item("a|contains|startswith: x", "exclude each other");
    item("a|contains: null", "null where a value is needed");
    item("a|base64|re: x", "encodings only go with text");
    item("a|base64|base64offset: x", "exclude each other");
    item("a|base64: 'x*'", "has wildcards");
    item("a|base64offset: ''", "too short");
    item("a|windash: '-a -b -c -d -e'", "more than 4 dashes");
    item("a|i: x", "only go with re");
    item("a|re: '*'", "repetition operator missing expression");
    item("a|re: '\\1'", "backreferences are not supported");
    item("a|re: 'a{5000000}'", "exceeds size limit");
    item("a|cidr: 300.0.0.0/8", "is not a network");
    item("a|cidr|contains: 10.0.0.0/8", "do not go with re, cidr");
    item("a|cidr: null", "null where a value is needed");
    item("a|lt|gt: 5", "two operators");
    item("a|gte: 1e400", "is not a number");
    item("a|exists: maybe", "neither true nor false");
    item("a|fieldref|re: x", "two operators");
    item("a|minute: 1.5", "whole number");
    item("a|neq: []", "empty list of values");
}

#[test]
fn a_condition_makes_no_sense() {
    for condition in
        ["not", "selection or", "or selection", "selection selection", "(selection", "selection)"]
    {
        rule(7, &format!("  condition: {condition}"), "Condition parse error");
    }
    for condition in [
        "()",
        "1 of",
        "them",
        "selection*",
        "'*'",
        "NOT selection",
        "a.b",
        "99999999999999999999 of them",
    ] {
        rule(7, &format!("  condition: {condition}"), "Condition parse error");
    }
    rule(7, "  condition: 1 of 5", "no selection is called `5`");
    rule(7, "  condition: [selection, other]", "names `other`");
}

/// A correlation like that of the specification's own tests, with a line replaced or gone.
#[track_caller]
fn correlation(line: usize, instead: &str, expected: &str) {
    let mut lines = [
        "  type: event_count",
        "  rules: [good]",
        "  group-by: [user.name]",
        "  timespan: 5m",
        "  condition: {gte: 10}",
    ];
    lines[line] = instead;
    check(&format!("title: C\nid: c\ncorrelation:\n{}\n", lines.join("\n")), expected);
}

#[test]
fn a_correlation_makes_no_sense() {
    correlation(0, "", "Missing correlation type");
    correlation(0, "  type: frequency", "Unknown correlation type");
    correlation(0, "  type: value_count", "which field it counts");
    correlation(0, "  type: value_sum", "reads one field");
    correlation(1, "", "without `rules`");
    correlation(1, "  rules: []", "without `rules`");
    correlation(1, "  rules: [nowhere]", "refers to `nowhere`");
    correlation(1, "  rules: [c]", "in a circle");
    correlation(1, "  rules: {good: 1}", "`rules` must be a name or a list of names");
    correlation(2, "  group-by: {a: b}", "`group-by` must be a field or a list of fields");
    correlation(2, "  group-by: [a, [b]]", "`group-by` must be a field or a list of fields");
    correlation(2, "  group-by: [a]\n  generate: often", "`generate` must be true or false");
    correlation(2, "  group-by: [a]\n  aliases: [a]", "`aliases` must be a mapping");
    correlation(2, "  group-by: [a]\n  aliases: {a: b}", "`aliases` must be a mapping");
    correlation(3, "", "timeframe");
    correlation(3, "  timespan: 0s", "not within 1s and 31d");
    correlation(3, "  timespan: 1y", "not within 1s and 31d");
    correlation(3, "  timespan: -5m", "Invalid timespan");
    correlation(3, "  timespan: 99999999999999999999d", "Invalid timespan");
    correlation(4, "", "requires a condition");
    correlation(4, "  condition: {}", "must have an operator");
    correlation(4, "  condition: {gte: many}", "requires a numeric value");
    correlation(4, "  condition: {gte: -1}", "the count -1 is below 0");
    correlation(4, "  condition: {gte: 100001}", "above 100000");
    correlation(4, "  condition: 5", "must be a mapping or string");
    correlation(4, "  condition: good and", "Condition parse error");
}

#[test]
fn a_filter_makes_no_sense() {
    let filter = |body: &str, expected: &str| {
        check(&format!("title: F\nlogsource: {{product: linux}}\nfilter: {body}\n"), expected);
    };
    filter("5", "Missing required field 'filter'");
    filter("{rules: [nowhere], sel: {a: b}, condition: sel}", "for `nowhere`");
    filter("{rules: [good], condition: sel}", "names `sel`");
    filter("{rules: [good], sel: {a: b}}", "Missing required field 'condition'");
}

/// A text that is made to cost too much is refused, and soon.
#[track_caller]
fn bounded(text: &str) {
    let start = Instant::now();
    let problems = problems(text);
    // Ten times what a slow machine needs for a build without optimisation.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(!problems.is_empty(), "accepted");
    for problem in problems {
        assert!(problem.to_string().len() < 2000, "{problem}");
        assert!(!problem.hint.is_empty(), "{problem}");
    }
}

/// A rule with this item.
fn with(item: &str) -> String {
    format!(
        "title: T\nlogsource: {{product: x}}\ndetection:\n  sel: {{{item}}}\n  condition: sel\n"
    )
}

#[test]
fn an_expression_without_bounds_is_refused_soon() {
    bounded(&with(&format!("a|re: '{}'", "x".repeat(10 << 20))));
    bounded(&with(&format!("a|re: '{}x{}'", "(".repeat(10_000), ")".repeat(10_000))));
    bounded(&with("a|re: '(((((a{100}){100}){100}){100}){100})'"));
}

#[test]
fn yaml_without_bounds_is_refused_soon() {
    bounded(&with(&format!("a: {}x{}", "[".repeat(10_000), "]".repeat(10_000))));
    bounded(&with(&format!("a: {}x{}", "{b: ".repeat(10_000), "}".repeat(10_000))));
    // Each line is ten times the one before.
    let mut laughs = String::from("l0: &l0 [x]\n");
    for level in 1..12 {
        let before = format!("*l{},", level - 1).repeat(10);
        laughs.push_str(&format!("l{level}: &l{level} [{before}]\n"));
    }
    bounded(&format!("{laughs}{}", with("a: *l11")));
    let many: String = (0..2000).map(|id| format!("title: T{id}\nid: same\n---\n")).collect();
    bounded(&many);
}

#[test]
fn a_condition_without_bounds_is_refused_soon() {
    let condition =
        |text: String| with("a: b").replace("condition: sel", &format!("condition: {text}"));
    bounded(&condition(format!("{}sel", "not ".repeat(10_000))));
    bounded(&condition(format!("{}sel{}", "not(".repeat(10_000), ")".repeat(10_000))));
    bounded(&condition(format!("{}sel{}", "sel or not (".repeat(5_000), ")".repeat(5_000))));
}
