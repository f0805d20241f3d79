//! `cargo xtask codegen`: the files whose text lives in the code.
//!
//! A reference page that is written by hand drifts; these cannot. Each is what the binary prints
//! about itself, so a user who has only the binary has the same pages.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// A file, and the words after `pugmark` that print it.
const GENERATED: &[(&str, &[&str])] = &[
    ("docs/reference/fields.md", &["docs", "fields"]),
    ("docs/reference/cli.md", &["docs", "cli"]),
    ("docs/reference/settings.md", &["docs", "settings"]),
    ("docs/reference/rules.md", &["docs", "rules"]),
    ("docs/reference/pql.md", &["docs", "pql"]),
    ("docs/reference/openapi.json", &["docs", "openapi"]),
];

/// Writes every generated file; with `--check` only says which differ.
pub(crate) fn codegen(args: &[String]) -> Result<()> {
    match args {
        [] => each(false),
        [flag] if flag == "--check" => each(true),
        _ => bail!("usage: cargo xtask codegen [--check]"),
    }
}

fn each(check: bool) -> Result<()> {
    // The same words as the build of the tests: another set of packages is another set of features,
    // and cargo would build the query engine a second time.
    shell::run(&mut shell::cargo(shell::BUILD))?;
    let binary = shell::target_dir().join("debug/pugmark");
    let mut stale = Vec::new();
    for (path, words) in GENERATED {
        let text = shell::output(std::process::Command::new(&binary).args(*words))?;
        let file = shell::root().join(path);
        if fs::read_to_string(&file).is_ok_and(|found| found == text) {
            continue;
        }
        if check {
            stale.push(*path);
            continue;
        }
        fs::create_dir_all(file.parent().expect("every path names a folder"))?;
        fs::write(&file, text).with_context(|| format!("cannot write {path}"))?;
        println!("wrote {path}");
    }
    if !stale.is_empty() {
        bail!("not what the code says: {}: run `cargo xtask codegen`", stale.join(", "));
    }
    Ok(())
}
