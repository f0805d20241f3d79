//! Limits that old code may exceed, by as much as `xtask/ratchet.toml` says and no more.
//!
//! A limit that forces a purge gets switched off; one that only keeps things from growing stays.
//! An entry may shrink or go, and the check asks for that as soon as it is possible.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Result;
use toml::Table;

use super::rust::{functions, test_lines};
use super::tree::{Problem, Tree};
use crate::shell;

const FILE: &str = "xtask/ratchet.toml";
const FUNCTION_LINES_MAX: usize = 100;
const COLUMNS_MAX: usize = 100;

/// No function outside tests is longer than [`FUNCTION_LINES_MAX`] lines, or than it may be.
pub(crate) fn long_functions(tree: &Tree) -> Vec<Problem> {
    let hint = "split it where it does a second thing";
    compare(tree, "long_functions", &functions_over(tree), hint)
}

/// No line of Rust is wider than [`COLUMNS_MAX`], its strings and links apart.
pub(crate) fn long_lines(tree: &Tree) -> Vec<Problem> {
    let hint = "wrap it (rustfmt wraps code; comments are yours)";
    compare(tree, "long_lines", &lines_over(tree), hint)
}

/// Writes today's state as the new limits.
pub(crate) fn write(tree: &Tree) -> Result<()> {
    let mut text = String::from(
        "# What exceeds the limits of `cargo xtask tidy`. Entries may shrink or go, never grow.\n",
    );
    for (section, found) in
        [("long_functions", functions_over(tree)), ("long_lines", lines_over(tree))]
    {
        text += &format!("\n[{section}]\n");
        for (key, excess) in found {
            text += &format!("\"{key}\" = {}\n", excess.amount);
        }
    }
    fs::write(shell::root().join(FILE), text)?;
    println!("wrote {FILE}");
    Ok(())
}

/// By how much something exceeds its limit, and where it begins.
struct Excess {
    place: String,
    amount: usize,
    what: String,
}

/// Long functions: `path::name` and how many lines.
fn functions_over(tree: &Tree) -> BTreeMap<String, Excess> {
    let mut found = BTreeMap::new();
    for (file, code) in tree.rust() {
        let tests = test_lines(&file.path, code);
        for function in functions(code) {
            if function.lines <= FUNCTION_LINES_MAX || tests[function.line - 1] {
                continue;
            }
            let key = format!("{}::{}", file.path, function.name);
            let what = format!("`{}` has {} lines", function.name, function.lines);
            let place = format!("{}:{}", file.path, function.line);
            found.insert(key, Excess { place, amount: function.lines, what });
        }
    }
    found
}

/// Files with wide lines: `path` and how many.
fn lines_over(tree: &Tree) -> BTreeMap<String, Excess> {
    let mut found: BTreeMap<String, Excess> = BTreeMap::new();
    for (file, code) in tree.rust() {
        for (index, (text, code)) in file.text.lines().zip(code.lines()).enumerate() {
            let literal = code.matches('\0').count();
            if text.chars().count() - literal <= COLUMNS_MAX || text.contains("://") {
                continue;
            }
            let place = format!("{}:{}", file.path, index + 1);
            let first = Excess { place, amount: 0, what: String::new() };
            let excess = found.entry(file.path.clone()).or_insert(first);
            excess.amount += 1;
            excess.what = format!("lines over {COLUMNS_MAX} columns: {}", excess.amount);
        }
    }
    found
}

fn compare(
    tree: &Tree,
    section: &str,
    found: &BTreeMap<String, Excess>,
    hint: &str,
) -> Vec<Problem> {
    let allowed = allowed(tree, section);
    let mut problems = Vec::new();
    for (key, excess) in found {
        if excess.amount > allowed.get(key).copied().unwrap_or(0) {
            let (place, what) = (excess.place.clone(), excess.what.clone());
            problems.push(Problem { place, what, hint: hint.to_string() });
        }
    }
    for (key, limit) in &allowed {
        let now = found.get(key).map_or(0, |excess| excess.amount);
        if now < *limit {
            let what = format!("{section}: `{key}` is {now} now, not {limit}");
            let hint = "run `cargo xtask tidy --ratchet`".to_string();
            problems.push(Problem { place: FILE.to_string(), what, hint });
        }
    }
    problems
}

fn allowed(tree: &Tree, section: &str) -> BTreeMap<String, usize> {
    let table: Table = tree.file(FILE).and_then(|file| file.text.parse().ok()).unwrap_or_default();
    let entries = table.get(section).and_then(|value| value.as_table()).into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), usize::try_from(value.as_integer()?).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree_of;
    use super::*;

    #[track_caller]
    fn check(ratchet: &str, source: &str, expected: &[&str]) {
        let tree = tree_of(&[(FILE, ratchet), ("a.rs", source)]);
        let problems = [long_functions(&tree), long_lines(&tree)].concat_problems();
        assert_eq!(problems, expected);
    }

    trait Concat {
        fn concat_problems(self) -> Vec<String>;
    }

    impl Concat for [Vec<Problem>; 2] {
        fn concat_problems(self) -> Vec<String> {
            self.into_iter().flatten().map(|p| format!("{}: {}", p.place, p.what)).collect()
        }
    }

    #[test]
    fn a_function_may_not_grow() {
        let long = format!("\nfn f() {{{}}}\n", "\n".repeat(119));
        check("", &long, &["a.rs:2: `f` has 120 lines"]);
        check("[long_functions]\n\"a.rs::f\" = 120\n", &long, &[]);
        check("[long_functions]\n\"a.rs::f\" = 119\n", &long, &["a.rs:2: `f` has 120 lines"]);
        let less = ["xtask/ratchet.toml: long_functions: `a.rs::f` is 120 now, not 130"];
        check("[long_functions]\n\"a.rs::f\" = 130\n", &long, &less);
    }

    #[test]
    fn strings_and_links_may_be_wide() {
        let wide = "x".repeat(101);
        check("", &format!("// {wide}\n"), &["a.rs:1: lines over 100 columns: 1"]);
        check("", &format!("let a = \"{wide}\";\n// https://example.org/{wide}\n"), &[]);
    }
}
