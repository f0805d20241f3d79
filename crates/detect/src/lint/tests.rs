//! What the lint says of rules with one fault each, and that it says nothing of good ones.

use super::*;
use crate::load::{RuleSource, load};

const RULE: &str = "title: T\nid: t\nlogsource: {product: windows, category: process_creation}\n";

fn known() -> Known {
    let source = |product: &str, category: &str, names: &[&str], open| KnownSource {
        sources: vec![[product.into(), category.into(), String::new()]],
        names: names.iter().map(ToString::to_string).collect(),
        open,
    };
    Known {
        sources: vec![
            source("windows", "process_creation", &["OwnName"], true),
            source("linux", "login", &["ssh.method"], false),
        ],
        seen: None,
    }
}

/// `code line` of what is said above a note, and then of notes in brackets, but for missing tests.
fn said(text: &str, known: &Known) -> Vec<String> {
    let loaded = load(&[RuleSource { path: "r.yaml".into(), text: text.into() }]);
    assert_eq!(loaded.problems, [], "{text}");
    let lints = lint(&loaded, known);
    let shown = |lint: &Lint| match lint.level {
        LintLevel::Note => format!("({} {})", lint.code, lint.line),
        _ => format!("{} {}", lint.code, lint.line),
    };
    lints.iter().filter(|lint| lint.code != "no-tests").map(shown).collect()
}

/// Lints a rule for Windows processes with this detection, which starts on line 5.
#[track_caller]
fn check(detection: &str, expected: &[&str]) {
    let text = format!("{RULE}detection:\n{detection}\n");
    assert_eq!(said(&text, &known()), expected, "{detection}");
}

#[test]
fn names_that_no_event_has() {
    check(
        "  s:\n    Image|endswith: '\\x.exe'\n    CommandLin|contains: evil\n  condition: s",
        &["unknown-field 7"],
    );
    check("  s: {commandline|contains: evil}\n  condition: s", &["unknown-field 5"]);
    check("  s: {OwnField: evil}\n  condition: s", &["(unknown-field 5)"]);
    // Attributes are found whatever their case; ECS names are known everywhere.
    check("  s: {ownname: evil, process.name: x}\n  condition: s", &[]);
    check("  s: {User|fieldref: Usr1}\n  condition: s", &["(unknown-field 5)"]);
    let linux = |field: &str| {
        format!(
            "title: T\nid: t\nlogsource: {{product: linux, category: login}}\n\
                 detection:\n  s: {{{field}: evil}}\n  condition: s\n"
        )
    };
    for (field, expected) in [("ssh.method", 0), ("user", 0), ("anything", 1), ("ssh.metod", 1)] {
        assert_eq!(said(&linux(field), &known()).len(), expected, "{field}");
    }
}

#[test]
fn a_name_that_several_rules_use_is_known() {
    let rule = |id: u32| {
        format!(
            "title: T{id}\nid: t{id}\nlogsource: {{product: windows}}\n\
                 detection:\n  s: {{Odd: v{id}}}\n  condition: s\n"
        )
    };
    let rules: Vec<String> = (0..3).map(rule).collect();
    assert_eq!(said(&rules[..2].join("---\n"), &known()).len(), 2);
    assert_eq!(said(&rules.join("---\n"), &known()).len(), 0);
}

#[test]
fn conditions_that_nothing_fulfils() {
    let never = &["never-fires 7"];
    check("  a: {User: x}\n  b: {User: y}\n  condition: a and b", never);
    check("  a: {User: x}\n  b: {User|startswith: y}\n  condition: a and b", never);
    check("  a: {User: x}\n  b: {User: X}\n  condition: a and b", &[]);
    check("  a: {User: [x, y]}\n  b: {User: [y, z]}\n  condition: a and b", &[]);
    check("  a: {User|endswith: abc}\n  b: {User|contains: b}\n  condition: a and not b", never);
    check("  a: {User|contains: bcd}\n  b: {User|contains: abcde}\n  condition: a and not b", &[]);
    check("  a: {User|contains: evil}\n  b: {User: null}\n  condition: a and b", never);
    check("  a: {User|contains: evil}\n  b: {User|exists: true}\n  condition: a and not b", never);
    check("  a: {User: x}\n  b: {User|neq: x}\n  condition: a and b", never);
    check("  a: {User: x}\n  b: {CommandLine: y}\n  condition: 3 of them", never);
    check("  a: {User: 10.0.0.1}\n  b: {User|cidr: 10.0.0.0/8}\n  condition: a and not b", never);
    check("  a: {ProcessId: 5}\n  b: {ProcessId|gt: 7}\n  condition: a and b", never);
    // Each alternative alone clashes.
    check("  a: {User: x}\n  b: [{User: y}, {User: z}]\n  condition: a and b", never);
    check("  a: {User: x}\n  b: [{User: y}, {CommandLine: z}]\n  condition: a and b", &[]);
    // An attribute may be an array, of which each element counts.
    check("  a: {OwnName: x}\n  b: {OwnName: y}\n  condition: a and b", &[]);
    check("  a: {OwnName: x}\n  b: {OwnName: [x, y]}\n  condition: a and not b", never);
    check("  a: {User|re: '^x'}\n  b: {User: y}\n  condition: a and b", &[]);
}

#[test]
fn selections_that_are_dead_or_unused() {
    let text = "  a: {User: x}\n  b:\n    User|endswith: y\n    'User': zz\n  condition: a or b";
    check(text, &["dead-selection 6"]);
    check("  a: {User: x}\n  b: {User: y}\n  condition: a", &["unused-selection 6"]);
}

#[test]
fn rules_that_are_too_broad() {
    let broad = &["too-broad 6"];
    check("  a: {User: x}\n  condition: not a", broad);
    check("  a: {User: null}\n  condition: a", broad);
    check("  a: {User|contains: ab}\n  condition: a", broad);
    check("  a: {User|contains: '*'}\n  condition: a", broad);
    check("  a: {User|contains: [abc, b]}\n  condition: a", broad);
    check("  a: {User|contains: abc}\n  condition: a", &[]);
    check("  a: {User|contains: '^^'}\n  condition: a", &[]);
    check("  a: {User: x}\n  condition: a", &[]);
    check("  a: {User|re: 'a.*b'}\n  condition: a", &["(slow-regex 5)", "too-broad 6"]);
    check("  a: {User|re: 'admin|root'}\n  condition: a", &[]);
}

#[test]
fn programs_without_their_paths() {
    check("  a:\n    Image: cmd.exe\n  condition: a", &["no-path 6"]);
    check("  a: {Image: 'C:\\cmd.exe'}\n  condition: a", &[]);
    check("  a: {Image: System}\n  condition: a", &[]);
}

#[test]
fn rules_that_say_the_same() {
    let rule = |id: &str, title: &str, detection: &str| {
        format!(
            "title: {title}\nid: {id}\nlogsource: {{product: windows}}\n\
                 detection:\n{detection}\n---\n"
        )
    };
    let first = rule("a", "A", "  x: {User: q, CommandLine: [b, C]}\n  condition: x");
    for (second, expected) in [
        (rule("b", "B", "  y: {CommandLine: [c, B, b], User: Q}\n  condition: y"), "duplicate 8"),
        (rule("b", "B", "  y: {CommandLine: [c]}\n  z: {User: Q}\n  condition: y or z"), ""),
        (rule("b", "a", "  y: {CommandLine: [c]}\n  condition: y"), "(same-title 8)"),
        (rule("b", "B", "  y: {CommandLine: [d, b], User: Q}\n  condition: y"), ""),
    ] {
        assert_eq!(said(&format!("{first}{second}"), &known()).join(","), expected, "{second}");
    }
}

#[test]
fn correlations_over_what_never_fires() {
    let base = |id: &str, condition: &str| {
        format!(
            "title: {id}\nid: {id}\nlogsource: {{product: windows}}\ndetection:\n  \
                 a: {{User: x}}\n  b: {{User: y}}\n  condition: {condition}\n---\n"
        )
    };
    let over = |kind: &str, rest: &str| {
        format!(
            "title: C\nid: c\ncorrelation:\n  type: {kind}\n  rules: [dead, live]\n  \
                 group-by: [User]\n  timespan: 5m\n{rest}"
        )
    };
    let bases = base("dead", "a and b") + &base("live", "a or b");
    for (kind, rest, expected) in [
        ("temporal", "", 2),
        ("temporal_ordered", "", 2),
        ("event_count", "  condition: {gte: 2}\n", 1),
        ("event_count", "  condition: {gte: 5, lt: 3}\n", 2),
    ] {
        let found = said(&format!("{bases}{}", over(kind, rest)), &known());
        let never = found.iter().filter(|said| said.starts_with("never-fires")).count();
        assert_eq!(never, expected, "{kind} {rest} {found:?}");
    }
}

#[test]
fn log_sources_that_nobody_feeds() {
    let rule = |source: &str| {
        format!(
            "title: T\nid: t\nlogsource: {source}\ndetection:\n  s: {{user.name: x}}\n  \
                 condition: s\n"
        )
    };
    let mut known = known();
    assert_eq!(said(&rule("{product: windws}"), &known), ["no-parser 3"]);
    assert_eq!(said(&rule("{product: windows}"), &known), Vec::<String>::new());
    known.seen = Some(vec![["linux".into(), "login".into(), String::new()]]);
    assert_eq!(said(&rule("{product: windows}"), &known), ["no-events 3"]);
    assert_eq!(said(&rule("{category: login}"), &known), Vec::<String>::new());
}

#[test]
fn hostile_rules_take_no_time() {
    let values: Vec<String> = (0..15_000).map(|n| format!("v{n}")).collect();
    let list = values.join(", ");
    let mut text = format!("{RULE}detection:\n");
    for n in 0..3 {
        text += &format!("  s{n}: {{User|contains: [{list}]}}\n");
    }
    text += "  condition: s0 and not s1 and not s2\n";
    let start = std::time::Instant::now();
    said(&text, &known());
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
