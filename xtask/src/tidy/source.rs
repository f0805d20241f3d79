//! What Rust files may not say.

use super::floors::floor_of;
use super::rust::test_lines;
use super::tree::{File, Problem, Tree};

/// What floors 0 to 2 get as arguments instead.
const IMPURE: &[(&str, &str)] = &[
    ("Instant", "time is an argument here"),
    ("SystemTime", "time is an argument here"),
    ("Utc::now", "time is an argument here"),
    ("Local::now", "time is an argument here"),
    ("rand", "chance is an argument here"),
    ("std::fs", "bytes are an argument here"),
    ("std::env", "settings are an argument here"),
    ("std::process", "this floor starts nothing"),
    ("std::thread", "the caller decides on threads"),
    ("TcpStream", "bytes are an argument here"),
    ("TcpListener", "bytes are an argument here"),
    ("UdpSocket", "bytes are an argument here"),
    ("tokio", "this floor does not wait"),
];

/// Floors 0 to 2 are functions of their arguments.
pub(crate) fn pure_floors(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    // A build script runs while the crate is built, not in it.
    let lines = lines_of_floors(tree, 2).into_iter();
    for (file, line, code) in lines.filter(|(file, _, _)| !file.path.ends_with("/build.rs")) {
        for (word, hint) in IMPURE.iter().filter(|(word, _)| has_word(code, word)) {
            problems.push(file.problem(line, format!("`{word}` in floors 0 to 2"), hint));
        }
    }
    problems
}

/// Bad input, disk and network are errors, not panics.
pub(crate) fn unwraps(tree: &Tree) -> Vec<Problem> {
    let hint = "return an error, or say `expect(\"why it cannot be\")`";
    let lines = lines_of_floors(tree, 5).into_iter();
    let found = lines.filter(|(_, _, code)| code.contains(".unwrap()"));
    found.map(|(file, line, _)| file.problem(line, "`.unwrap()` outside a test", hint)).collect()
}

/// No stub, no test that is switched off, no note to oneself.
pub(crate) fn leftovers(tree: &Tree) -> Vec<Problem> {
    let note = concat!("FIX", "ME");
    let mut problems = Vec::new();
    for (file, code) in tree.rust() {
        for (index, (code, text)) in code.lines().zip(file.text.lines()).enumerate() {
            let mut found = |what: &str, hint| problems.push(file.problem(index + 1, what, hint));
            if has_word(code, "todo!") || has_word(code, "unimplemented!") {
                found("a stub", "write it, or leave out what calls it");
            }
            if code.contains("#[ignore") {
                found("a test that does not run", "make it run, or remove it");
            }
            if text.contains(note) {
                found("a note to oneself", "do it, or open an issue and say why in a comment");
            }
        }
    }
    problems
}

/// A file starts by saying what it is.
pub(crate) fn module_docs(tree: &Tree) -> Vec<Problem> {
    let hint = "start with `//! what it is`, and why it is so";
    let without = tree.rust().filter(|(file, _)| !file.text.starts_with("//! "));
    without.map(|(file, _)| file.problem(1, "no module doc", hint)).collect()
}

/// The lines of code outside tests in crates up to a floor: file, line from 1, code.
fn lines_of_floors(tree: &Tree, floor_max: u8) -> Vec<(&File, usize, &str)> {
    let mut lines = Vec::new();
    for (file, code) in tree.rust() {
        if file.krate().and_then(floor_of).is_none_or(|floor| floor > floor_max) {
            continue;
        }
        let tests = test_lines(&file.path, code);
        let code = code.lines().enumerate().filter(|(index, _)| !tests[*index]);
        lines.extend(code.map(|(index, line)| (file, index + 1, line)));
    }
    lines
}

/// Whether the word stands there on its own: `rand` is not in `operand`.
fn has_word(code: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree_of;
    use super::*;

    #[track_caller]
    fn check(check: fn(&Tree) -> Vec<Problem>, path: &str, text: &str, expected: &[usize]) {
        let problems = check(&tree_of(&[(path, text)]));
        let lines = problems.iter().map(|p| p.place.rsplit(':').next().expect("path:line"));
        assert_eq!(lines.map(|l| l.parse().expect("a number")).collect::<Vec<usize>>(), expected);
    }

    #[test]
    fn low_floors_know_no_clock() {
        let text = "use std::time::Duration;\nlet operand = \"rand\"; // std::fs\nlet t = Instant::now();\n\
                    #[cfg(test)]\nmod tests { use std::fs; }\n";
        check(pure_floors, "crates/parse/src/x.rs", text, &[3]);
        check(pure_floors, "crates/store/src/x.rs", text, &[]);
    }

    #[test]
    fn unwrap_is_for_tests() {
        let text =
            "let a = b.unwrap();\nlet a = b.unwrap_or(1);\n#[cfg(test)]\nfn t() { c.unwrap(); }\n";
        check(unwraps, "crates/server/src/x.rs", text, &[1]);
        check(unwraps, "crates/cli/src/x.rs", text, &[]);
        check(unwraps, "crates/server/tests/x.rs", text, &[]);
    }

    #[test]
    fn leftovers_are_found() {
        let ignore = ["#[ign", "ore]"].concat();
        let text = format!("let a = \"todo!\";\ntodo!();\n{ignore}\n// FIX{}: later\n", "ME");
        check(leftovers, "bench/src/x.rs", &text, &[2, 3, 4]);
        check(module_docs, "bench/src/x.rs", "//! What.\n", &[]);
        check(module_docs, "bench/src/x.rs", "fn a() {}\n", &[1]);
    }
}
