//! The community's rules load and compile, all of them.

#![allow(clippy::print_stderr, reason = "tests say what they skipped and counted")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use pugmark_detect::{RuleSet, RuleSource, load};

/// Rule files below a folder, in the order of their paths.
fn rule_files(dir: &Path, into: &mut Vec<RuleSource>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rule_files(&path, into);
        } else if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            into.push(RuleSource { path: path.display().to_string(), text });
        }
    }
}

#[test]
fn every_community_rule_loads() {
    let dir = Path::new(concat!(env!("WORKSPACE_ROOT"), "../shared/data/sigma"));
    if !dir.exists() {
        eprintln!("skipped: ../shared is absent");
        return;
    }
    let mut sources = Vec::new();
    for folder in ["rules", "rules-emerging-threats", "rules-threat-hunting"] {
        rule_files(&dir.join(folder), &mut sources);
    }
    for source in &mut sources {
        source.path = source.path.replace(&format!("{}/", dir.display()), "");
    }
    let start = Instant::now();
    let loaded = load(&sources);
    let read = start.elapsed();
    let count = loaded.rules.len();
    let (set, problems) = RuleSet::compile(loaded.rules);
    let took = start.elapsed();
    eprintln!("{count} rules of {} files: read {read:?}, all {took:?}", sources.len());
    let problems: Vec<String> =
        loaded.problems.iter().chain(&problems).map(|problem| problem.to_string()).collect();
    eprintln!("{}", problems.join("\n"));
    assert!(sources.len() > 3000, "only {} files", sources.len());
    // Rules with placeholders need values that are not in them.
    let unexpected: Vec<_> = problems.iter().filter(|p| !p.contains("placeholder")).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert_eq!(set.rules().len(), count);
}
