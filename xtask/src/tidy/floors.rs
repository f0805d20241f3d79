//! Which crate may depend on which, and who owns the heavy dependencies.

use toml::Table;

use super::tree::{File, Problem, Tree};

/// Folder under `crates/`, floor. A crate depends on lower floors only.
pub(crate) const FLOORS: &[(&str, u8)] = &[
    ("event", 0),
    ("parse", 1),
    ("enrich", 1),
    ("detect", 1),
    ("alert", 2),
    ("query", 2),
    ("transform", 2),
    ("store", 3),
    ("search", 4),
    ("engine", 4),
    ("connect", 5),
    ("server", 5),
    ("cli", 6),
    // For development only: nothing is above it.
    ("sim", DEV),
];

/// The floor of what no user runs: it may use everything, and nothing may use it.
const DEV: u8 = u8::MAX;

/// The start of a dependency's name, the only crate that may name it.
const OWNERS: &[(&str, &str)] = &[
    ("datafusion", "search"),
    ("parquet", "store"),
    ("object_store", "store"),
    ("sqlx", "store"),
    ("reqwest", "connect"),
    ("ureq", "connect"),
    ("vrl", "transform"),
];

/// Two versions of these compile, and then their types do not match.
const ONE_VERSION: [&str; 4] = ["arrow", "parquet", "object_store", "datafusion"];

/// The floor of a folder under `crates/`.
pub(crate) fn floor_of(folder: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == folder).map(|(_, floor)| *floor)
}

/// Every edge between our crates goes down; tests may look sideways.
pub(crate) fn edges(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.find("crates/", "/Cargo.toml") {
        let Some((folder, floor)) = file.krate().and_then(|name| Some((name, floor_of(name)?)))
        else {
            let hint = "add it to FLOORS in xtask/src/tidy/floors.rs and to ARCHITECTURE.md";
            problems.push(file.problem(1, "a crate without a floor", hint));
            continue;
        };
        for (line, name) in dependencies(file) {
            let below = name.strip_prefix("pugmark-").and_then(floor_of);
            if below.is_some_and(|below| below >= floor) {
                let what = format!("{folder} (floor {floor}) depends on {name}");
                let hint = "move the shared part to a lower floor, or turn the edge into a trait";
                problems.push(file.problem(line, what, hint));
            }
        }
    }
    problems
}

/// Only its owner names a heavy dependency.
pub(crate) fn owners(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.find("crates/", "/Cargo.toml") {
        for (line, name) in dependencies(file) {
            let owner = OWNERS.iter().find(|(start, _)| name.starts_with(start));
            if let Some((_, owner)) = owner.filter(|(_, owner)| file.krate() != Some(owner)) {
                let hint = format!("only crates/{owner} names it: use what that crate offers");
                problems.push(file.problem(line, format!("depends on {name}"), &hint));
            }
        }
    }
    problems
}

/// Cargo.lock holds one version of each crate whose types cross our borders.
pub(crate) fn versions(tree: &Tree) -> Vec<Problem> {
    let Some(lock) = tree.file("Cargo.lock") else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    for name in ONE_VERSION {
        let wanted = format!("name = \"{name}\"");
        let lines = lock.text.lines().enumerate().filter(|(_, line)| *line == wanted);
        for (index, _) in lines.skip(1) {
            let hint = "pin it in [workspace.dependencies] to what DataFusion uses";
            problems.push(lock.problem(index + 1, format!("a second version of {name}"), hint));
        }
    }
    problems
}

/// The fuzz targets have a lock of their own; what they run is what is shipped.
pub(crate) fn fuzzed_versions(tree: &Tree) -> Vec<Problem> {
    let (Some(shipped), Some(fuzzed)) = (tree.file("Cargo.lock"), tree.file("fuzz/Cargo.lock"))
    else {
        return Vec::new();
    };
    let shipped: Vec<_> = packages(shipped).map(|(_, name, version)| (name, version)).collect();
    let differs = |name, version| {
        // The fuzzer itself is not shipped at all.
        shipped.iter().any(|(known, _)| *known == name) && !shipped.contains(&(name, version))
    };
    let other = packages(fuzzed).filter(|(_, name, version)| differs(name, version));
    let hint = "copy Cargo.lock to fuzz/ and run `cargo xtask fuzz --seconds 1`";
    other
        .map(|(line, name, _)| fuzzed.problem(line, format!("another version of {name}"), hint))
        .collect()
}

/// The packages of a lock: line, name, version.
fn packages(lock: &File) -> impl Iterator<Item = (usize, &str, &str)> {
    let versions = lock.text.lines().skip(1);
    lock.text.lines().zip(versions).enumerate().filter_map(|(index, (name, version))| {
        Some((index + 1, name.strip_prefix("name = ")?, version.strip_prefix("version = ")?))
    })
}

/// What a crate needs to be built (not to be tested), each with its line in Cargo.toml.
fn dependencies(file: &File) -> Vec<(usize, String)> {
    let table: Table = file.text.parse().unwrap_or_default();
    let sections = ["dependencies", "build-dependencies"];
    let names =
        sections.iter().filter_map(|name| table.get(*name)?.as_table()).flat_map(Table::keys);
    names.map(|name| (line_of(&file.text, name), name.clone())).collect()
}

fn line_of(text: &str, dependency: &str) -> usize {
    let starts = |line: &str| {
        line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with([' ', '.', '=']))
    };
    text.lines().position(starts).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree_of;
    use super::*;

    #[track_caller]
    fn check(check: fn(&Tree) -> Vec<Problem>, path: &str, text: &str, expected: &[&str]) {
        let problems = check(&tree_of(&[(path, text)]));
        let found: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.place, p.what)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn edges_go_down() {
        let up = "[dependencies]\npugmark-event.workspace = true\npugmark-store.workspace = true\n";
        let places = ["crates/alert/Cargo.toml:3: alert (floor 2) depends on pugmark-store"];
        check(edges, "crates/alert/Cargo.toml", up, &places);
        check(edges, "crates/engine/Cargo.toml", up, &[]);
        let test_only = "[dev-dependencies]\npugmark-parse.workspace = true\n";
        check(edges, "crates/detect/Cargo.toml", test_only, &[]);
        let stray = ["crates/misc/Cargo.toml:1: a crate without a floor"];
        check(edges, "crates/misc/Cargo.toml", "", &stray);
    }

    #[test]
    fn heavy_dependencies_have_one_owner() {
        let text = "[dependencies]\ndatafusion-expr = \"55\"\n";
        check(owners, "crates/search/Cargo.toml", text, &[]);
        let place = ["crates/server/Cargo.toml:2: depends on datafusion-expr"];
        check(owners, "crates/server/Cargo.toml", text, &place);
    }

    #[test]
    fn a_second_version_is_found() {
        let lock = "name = \"arrow\"\nname = \"arrow-array\"\nname = \"arrow\"\n";
        check(versions, "Cargo.lock", lock, &["Cargo.lock:3: a second version of arrow"]);
    }

    #[test]
    fn what_is_fuzzed_is_what_is_shipped() {
        let shipped = "name = \"arrow\"\nversion = \"2\"\nname = \"csv\"\nversion = \"1\"\n";
        let fuzzed = "name = \"arrow\"\nversion = \"1\"\nname = \"fuzzer\"\nversion = \"9\"\n";
        for (fuzzed, expected) in [(fuzzed, &["fuzz/Cargo.lock:1"][..]), (shipped, &[])] {
            let tree = tree_of(&[("Cargo.lock", shipped), ("fuzz/Cargo.lock", fuzzed)]);
            let places: Vec<_> = fuzzed_versions(&tree).into_iter().map(|p| p.place).collect();
            assert_eq!(places, expected);
        }
    }
}
