//! `cargo xtask tidy`: the invariants of ARCHITECTURE.md that a machine can check.
//!
//! Plain text scanning: a check that needs a compiler would be too slow to run all the time. One
//! file per family of checks, one line per check in [`CHECKS`]; each answers problems that say
//! where, what, and what to do.

mod content;
mod floors;
mod ratchet;
mod rust;
mod source;
mod text;
mod tree;

use anyhow::{Result, bail};

use crate::shell;
use tree::{Problem, Tree};

/// A check reads the tree and answers what is wrong with it.
type Check = fn(&Tree) -> Vec<Problem>;

const CHECKS: &[(&str, Check)] = &[
    ("crates depend on lower floors only", floors::edges),
    ("heavy dependencies have one owner", floors::owners),
    ("one version of each column crate", floors::versions),
    ("what is fuzzed is what is shipped", floors::fuzzed_versions),
    ("floors 0 to 2 know no clock, chance, file or network", source::pure_floors),
    ("no unwrap in floors 0 to 5", source::unwraps),
    ("nothing is left for later", source::leftovers),
    ("every Rust file says what it is", source::module_docs),
    ("functions stay short", ratchet::long_functions),
    ("lines stay short", ratchet::long_lines),
    ("rules bring their proof", content::rules),
    ("parser packs bring their proof", content::parsers),
    ("documents have one title", text::titles),
    ("nothing of one machine is committed", text::machine),
    ("change fragments have a kind", text::fragments),
];

/// Checks the tree; `--ratchet` writes down today's long functions and lines instead.
pub(crate) fn tidy(args: &[String]) -> Result<()> {
    let tree = Tree::load(&shell::root())?;
    match args {
        [] => check(&tree),
        [flag] if flag == "--ratchet" => ratchet::write(&tree),
        _ => bail!("usage: cargo xtask tidy [--ratchet]"),
    }
}

fn check(tree: &Tree) -> Result<()> {
    let mut count = 0;
    for (name, check) in CHECKS {
        let problems = check(tree);
        if !problems.is_empty() {
            println!("{name}:");
        }
        for problem in &problems {
            println!("  {problem}");
        }
        count += problems.len();
    }
    if count > 0 {
        bail!("the tree is not tidy: {count} problems");
    }
    println!("tidy: {} checks over {} files", CHECKS.len(), tree.files.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        tidy(&[]).expect("`cargo xtask tidy` says what to do");
    }
}
