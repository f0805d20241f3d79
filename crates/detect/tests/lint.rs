//! What the lint says of our own rules (nothing) and of the community's (nearly nothing untrue).

#![allow(clippy::print_stderr, reason = "tests say what they skipped and counted")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pugmark_detect::{Known, KnownSource, Lint, LintLevel, RuleSource, lint, load};
use pugmark_parse::Parser;

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

fn lints(dir: &Path) -> (usize, Vec<Lint>) {
    let mut sources = Vec::new();
    rule_files(dir, &mut sources);
    let catalog = Parser::builtin().unwrap().catalog();
    let known = catalog.into_iter().map(|pack| KnownSource {
        sources: pack.sources.into_iter().collect(),
        names: pack.names,
        open: pack.open,
    });
    let loaded = load(&sources);
    let known = Known { sources: known.collect(), seen: None };
    (loaded.rules.len(), lint(&loaded, &known))
}

#[test]
fn our_rules_are_clean() {
    let dir = Path::new(concat!(env!("WORKSPACE_ROOT"), "content/rules"));
    let (rules, lints) = lints(dir);
    assert!(rules > 200, "only {rules} rules");
    let loud: Vec<_> = lints.iter().filter(|l| l.level > LintLevel::Note).collect();
    assert!(loud.is_empty(), "{loud:#?}");
}

#[test]
fn the_community_is_hardly_blamed() {
    let dir = Path::new(concat!(env!("WORKSPACE_ROOT"), "../shared/data/sigma"));
    if !dir.exists() {
        eprintln!("skipped: ../shared is absent");
        return;
    }
    let (rules, lints) = lints(dir);
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for lint in &lints {
        *counts.entry((lint.code, lint.level.name())).or_default() += 1;
    }
    eprintln!("{rules} rules: {counts:?}");
    // Log sources without a parser are a fact about us. What is left was looked at: it is true.
    let blamed = |level| lints.iter().filter(|l| l.level == level && l.code != "no-parser").count();
    assert_eq!(blamed(LintLevel::Error), 0);
    assert!(blamed(LintLevel::Warning) <= 20, "{counts:?}");
}
