//! Rules and parser packs bring their proof.

use std::collections::BTreeMap;

use super::tree::{File, Problem, Tree};

/// Every rule has an id of its own; every rule file a level, and tests that fire and that do not.
pub(crate) fn rules(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut ids: BTreeMap<&str, String> = BTreeMap::new();
    for file in yaml(tree, "content/rules/") {
        for (line, document) in documents(&file.text) {
            let Some(id) = value(document, "id") else {
                problems.push(file.problem(line, "a rule without `id:`", "add a random UUID"));
                continue;
            };
            if let Some(other) = ids.insert(id, format!("{}:{line}", file.path)) {
                let what = format!("the id of {other} again");
                problems.push(file.problem(line, what, "an id is of one rule: make a new UUID"));
            }
        }
        problems.extend(proof(file));
    }
    problems
}

fn proof(file: &File) -> Vec<Problem> {
    let counts: Vec<&str> = file
        .text
        .lines()
        .filter_map(|line| line.split_once("detections:"))
        .map(|(_, count)| count.trim().trim_end_matches('}').trim())
        .collect();
    let has_level = documents(&file.text).iter().any(|(_, text)| value(text, "level").is_some());
    let missing = [
        (has_level, "no `level:`", "say how bad it is: informational to critical"),
        (
            counts.iter().any(|count| *count != "0"),
            "no test in which it fires",
            "add one under `tests:`, with the detections it must make",
        ),
        (
            counts.contains(&"0"),
            "no test in which it stays silent",
            "add a near miss under `tests:` with `detections: 0`",
        ),
    ];
    let missing = missing.iter().filter(|(fine, _, _)| !fine);
    missing.map(|(_, what, hint)| file.problem(1, *what, hint)).collect()
}

/// Every parser pack has tests beside it or inside it.
pub(crate) fn parsers(tree: &Tree) -> Vec<Problem> {
    let packs = yaml(tree, "content/parsers/").filter(|file| !file.path.contains("/tests/"));
    let untested = packs.filter(|pack| {
        let folder = pack.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let beside = format!("{folder}/tests/");
        value(&pack.text, "tests").is_none() && tree.find(&beside, "").next().is_none()
    });
    let hint = "add records and the events they become, in `tests/` beside it";
    untested.map(|file| file.problem(1, "a parser pack without tests", hint)).collect()
}

fn yaml<'a>(tree: &'a Tree, folder: &'a str) -> impl Iterator<Item = &'a File> {
    tree.find(folder, ".yaml").chain(tree.find(folder, ".yml"))
}

/// The YAML documents of a text, each with the line on which it starts.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut line = 1;
    for document in text.split("\n---\n") {
        if document.lines().any(|line| !line.trim().is_empty() && !line.starts_with(['#', '-'])) {
            found.push((line, document));
        }
        line += document.matches('\n').count() + 2;
    }
    found
}

/// What stands after a key of the outermost level.
fn value<'a>(document: &'a str, key: &str) -> Option<&'a str> {
    let after = |line: &'a str| line.strip_prefix(key)?.strip_prefix(':');
    document.lines().find_map(after).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree_of;
    use super::*;

    const GOOD: &str = "id: one\nlevel: high\ntests:\n  - detections: 2\n  - {detections: 0}\n";

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let tree = tree_of(files);
        let problems = rules(&tree).into_iter().chain(parsers(&tree));
        let found: Vec<_> = problems.map(|p| format!("{}: {}", p.place, p.what)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_rule_needs_id_level_and_both_kinds_of_test() {
        check(&[("content/rules/a.yaml", GOOD)], &[]);
        let bare = [
            "content/rules/a.yaml:1: a rule without `id:`",
            "content/rules/a.yaml:1: no `level:`",
            "content/rules/a.yaml:1: no test in which it fires",
            "content/rules/a.yaml:1: no test in which it stays silent",
        ];
        check(&[("content/rules/a.yaml", "title: x\n")], &bare);
    }

    #[test]
    fn an_id_is_of_one_rule() {
        let twice = format!("{GOOD}---\nid: one\n");
        let again = ["content/rules/a.yaml:7: the id of content/rules/a.yaml:1 again"];
        check(&[("content/rules/a.yaml", &twice)], &again);
    }

    #[test]
    fn a_parser_pack_needs_tests() {
        let pack = "content/parsers/openbsd/sshd/parser.yaml";
        check(&[(pack, "x: 1\n")], &[&format!("{pack}:1: a parser pack without tests")]);
        check(&[(pack, "x: 1\ntests:\n - a\n")], &[]);
        check(&[(pack, "x: 1\n"), ("content/parsers/openbsd/sshd/tests/a.json", "{}")], &[]);
    }
}
