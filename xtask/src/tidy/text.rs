//! What documents and settings may not say.

use super::tree::{Problem, Tree};

/// Paths of one machine. In two parts, so that this file does not say them itself.
const MACHINE: &[&str] = &[
    concat!("/work", "/main"),
    concat!("/work", "/shared"),
    concat!("/root", "/.cargo"),
    concat!("/root", "/.cache"),
    concat!("/root", "/.rustup"),
    concat!("/root", "/.npm"),
];

/// The registry that every Cargo.lock names, mirror or not.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

const KINDS: [&str; 6] = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

/// A Markdown file has one `# Title`.
pub(crate) fn titles(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.find("", ".md") {
        let mut in_code = false;
        let mut titles = 0;
        for line in file.text.lines() {
            if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
                in_code = !in_code;
            }
            titles += usize::from(!in_code && line.starts_with("# "));
        }
        if titles != 1 {
            let hint = "one `# Title`, and `## ` below it";
            problems.push(file.problem(1, format!("{titles} titles"), hint));
        }
    }
    problems
}

/// No path and no package registry of one machine.
pub(crate) fn machine(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in &tree.files {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        for (index, line) in file.text.lines().enumerate() {
            let mut found = |what: &str, hint| problems.push(file.problem(index + 1, what, hint));
            if let Some(path) = MACHINE.iter().find(|path| line.contains(**path)) {
                found(&format!("`{path}`"), "a path of one machine: make it relative");
            }
            if names_registry(name, line) {
                found("a package registry", "locks and settings name none: take the line out");
            }
        }
    }
    problems
}

fn names_registry(file_name: &str, line: &str) -> bool {
    match file_name {
        "package-lock.json" => line.contains("\"resolved\": \"http"),
        "Cargo.lock" => line.starts_with("source = ") && !line.contains(CRATES_IO),
        ".npmrc" => line.contains("registry=") || line.contains("_auth"),
        "config.toml" => line.starts_with("[source") || line.starts_with("[registr"),
        _ => false,
    }
}

/// A fragment in `changes/` starts with the kind of change.
pub(crate) fn fragments(tree: &Tree) -> Vec<Problem> {
    let hint = "start with `# Added` (or Changed, Deprecated, Removed, Fixed, Security)";
    let fragments = tree.find("changes/", ".md").filter(|file| file.path != "changes/README.md");
    let kindless = fragments.filter(|file| {
        let title = file.text.lines().next().and_then(|line| line.strip_prefix("# "));
        !title.is_some_and(|title| KINDS.contains(&title))
    });
    kindless.map(|file| file.problem(1, "no kind of change", hint)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree_of;
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expected: &[&str]) {
        let tree = tree_of(&[(path, text)]);
        let checks = [titles(&tree), machine(&tree), fragments(&tree)];
        let found: Vec<_> = checks.iter().flatten().map(|p| p.what.as_str()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_document_has_one_title() {
        check("docs/a.md", "# A\n\n## B\n\n```sh\n# a comment\n```\n", &[]);
        check("docs/a.md", "# A\n# B\n", &["2 titles"]);
        check("docs/a.md", "text\n", &["0 titles"]);
    }

    #[test]
    fn a_lock_names_no_mirror() {
        let npm = "  \"resolved\": \"https://registry.example/a.tgz\",\n";
        check("web/package-lock.json", npm, &["a package registry"]);
        check("Cargo.lock", &format!("source = \"{CRATES_IO}\"\n"), &[]);
        check(
            "Cargo.lock",
            "source = \"registry+https://mirror.example\"\n",
            &["a package registry"],
        );
        let path = MACHINE[0];
        check("a.sh", &format!("cd {path}\n"), &[&format!("`{path}`")]);
    }

    #[test]
    fn a_fragment_says_its_kind() {
        check("changes/a.md", "# Fixed\n\nIt works.\n", &[]);
        check("changes/a.md", "# It works\n", &["no kind of change"]);
    }
}
