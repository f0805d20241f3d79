//! Our own rules pass the tests written beside them, on records as products write them.

#![allow(clippy::print_stderr, reason = "tests say what they skipped and counted")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pugmark_detect::{RuleSet, RuleSource, RuleTest, check_test, load};
use pugmark_event::time::DAY;
use pugmark_event::{Batch, Records};
use pugmark_parse::{Input, Parser};

const NOW: i64 = 1_795_428_000_000_000;

fn rule_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rule_files(&path, into);
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            into.push(path);
        }
    }
    into.sort();
}

fn parse(parser: &Parser, test: &RuleTest) -> Batch {
    let lines = test.records.lines().filter(|line| !line.trim().is_empty());
    let records: Records = lines.map(str::as_bytes).collect();
    parser.parse(&Input {
        source: "test",
        records: &records,
        first_id: 1,
        received: NOW + DAY,
        format: None,
    })
}

#[test]
fn our_rules_pass_their_tests() {
    let dir = Path::new(concat!(env!("WORKSPACE_ROOT"), "content/rules"));
    let mut paths = Vec::new();
    rule_files(dir, &mut paths);
    let sources: Vec<RuleSource> = paths
        .iter()
        .map(|path| RuleSource {
            path: path.strip_prefix(dir).unwrap().display().to_string(),
            text: std::fs::read_to_string(path).unwrap(),
        })
        .collect();
    let loaded = load(&sources);
    assert_eq!(loaded.problems, []);
    let (mut rules, problems) = RuleSet::compile(loaded.rules);
    assert_eq!(problems, []);
    (0..rules.rules().len() as u32).for_each(|rule| rules.unsilence(rule));
    let rules = Arc::new(rules);
    let parser = Parser::builtin().unwrap();
    let failures: Vec<String> = loaded
        .tests
        .iter()
        .filter_map(|test| check_test(&rules, test, &[parse(&parser, test)]).err())
        .map(|e| e.to_string())
        .collect();
    eprintln!("{} rules, {} tests", rules.rules().len(), loaded.tests.len());
    assert!(failures.is_empty(), "{} failures: {failures:#?}", failures.len());
}
