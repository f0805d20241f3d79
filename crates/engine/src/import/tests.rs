//! Imports of packages that are good, changed, edited by hand, or hostile.

use std::fs;
use std::io::Write;

use super::*;

const NOW: Micros = 1_795_478_400_000_000;
const DRL: &str = "rules are under the [Detection Rule\nLicense (DRL) 1.1](https://example.org)";

fn rule(title: &str, rest: &str) -> String {
    format!(
        "title: {title}\nid: {title}\n{rest}logsource: {{product: linux}}\n\
             detection: {{s: {{a: b}}, condition: s}}\n"
    )
}

fn zip(path: &Path, files: &[(&str, &str)]) {
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, text) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

fn options() -> ImportOptions {
    ImportOptions { name: "sigmahq".into(), ..ImportOptions::default() }
}

/// Imports an archive of these files into `dir`.
fn run(dir: &Path, files: &[(&str, &str)]) -> Result<Imported, ImportError> {
    let archive = dir.join("sigma.zip");
    zip(&archive, files);
    import(&archive, &dir.join("rules"), &options(), NOW)
}

#[test]
fn an_archive_is_imported_and_later_updated() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("rules/imported/sigmahq");
    let (a, b, c) = (rule("a", ""), rule("b", ""), rule("c", ""));
    let first = [
        ("sigma-1/LICENSE", DRL),
        ("sigma-1/rules/a.yml", a.as_str()),
        ("sigma-1/rules/deep/b.yml", &b),
        ("sigma-1/rules/c.yml", &c),
        ("sigma-1/.github/x.yml", &a),
        ("sigma-1/rules/README.md", "text"),
        ("sigma-1/rules/other.yml", "a: b"),
        ("sigma-1/rules/import.yaml", "source: x\nlicense: none\n"),
    ];
    let imported = run(dir.path(), &first).unwrap();
    let expected = ["LICENSE", "rules/a.yml", "rules/c.yml", "rules/deep/b.yml"];
    assert_eq!(
        (imported.new.as_slice(), imported.rules),
        (expected.map(String::from).as_slice(), 3)
    );
    assert_eq!(imported.license, "DRL 1.1");
    assert_eq!(fs::read_to_string(root.join("rules/a.yml")).unwrap(), a);
    let record = fs::read_to_string(root.join(RECORD)).unwrap();
    assert!(
        record.contains("source: sigma.zip") && record.contains("license: DRL 1.1"),
        "{record}"
    );

    // The same again changes nothing.
    let again = run(dir.path(), &first).unwrap();
    assert_eq!((again.new, again.changed, again.removed, again.kept.len()), Default::default());

    // A person edits one and adds another; the next version has new texts and leaves one out.
    let own = rule("own", "");
    fs::write(root.join("rules/a.yml"), "edited").unwrap();
    fs::write(root.join("rules/own.yml"), &own).unwrap();
    fs::write(dir.path().join("rules/exception.yaml"), "mine").unwrap();
    let (a2, c2, d) = (rule("a2", ""), rule("c2", ""), rule("d", ""));
    let second = [
        ("sigma-2/LICENSE", DRL),
        ("sigma-2/rules/a.yml", a2.as_str()),
        ("sigma-2/rules/c.yml", &c2),
        ("sigma-2/rules/d.yml", &d),
    ];
    let next = run(dir.path(), &second).unwrap();
    assert_eq!(next.new, ["rules/d.yml"]);
    assert_eq!(next.changed, ["rules/c.yml"]);
    assert_eq!(next.removed, ["rules/deep/b.yml"]);
    assert_eq!(next.kept, ["rules/a.yml"]);
    assert!(!root.join("rules/deep").exists());
    assert_eq!(fs::read_to_string(root.join("rules/a.yml")).unwrap(), "edited");
    assert_eq!(fs::read_to_string(root.join("rules/own.yml")).unwrap(), own);
    assert_eq!(fs::read_to_string(dir.path().join("rules/exception.yaml")).unwrap(), "mine");

    // It stays the person's, also when it is gone from the package; deleted is edited, too.
    fs::remove_file(root.join("rules/c.yml")).unwrap();
    assert_eq!(run(dir.path(), &second).unwrap().kept, ["rules/a.yml", "rules/c.yml"]);
    let third = run(dir.path(), &[("rules/d.yml", &d), ("rules/c.yml", &c)]).unwrap();
    assert_eq!(third.kept, ["rules/c.yml", "rules/a.yml"]);
    assert_eq!((third.new.len(), third.removed.as_slice()), (0, &["LICENSE".to_string()][..]));
}

#[test]
fn a_folder_is_imported_like_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("sigma/rules/.git")).unwrap();
    fs::write(dir.path().join("sigma/rules/a.yml"), rule("a", "")).unwrap();
    fs::write(dir.path().join("sigma/rules/.git/b.yml"), rule("b", "")).unwrap();
    let into = dir.path().join("rules");
    let imported = import(&dir.path().join("sigma"), &into, &options(), NOW).unwrap();
    assert_eq!(
        (imported.new.as_slice(), imported.license.as_str()),
        (&["rules/a.yml".into()][..], "")
    );
    let licensed = ImportOptions { license: Some("MIT".into()), ..options() };
    let imported = import(&dir.path().join("sigma"), &into, &licensed, NOW).unwrap();
    assert_eq!(imported.license, "MIT");
    let (sources, problems) = crate::rules::read_folder(&into).unwrap();
    assert_eq!(problems, []);
    let (set, problems) = crate::rules::compile(&sources);
    assert_eq!(problems, []);
    assert_eq!(set.rules()[0].license, "MIT");
}

#[test]
fn levels_and_statuses_choose() {
    let check = |rest: &str, min: Option<Severity>, statuses: &[&str], expected: Rank| {
        let statuses = statuses.iter().map(ToString::to_string).collect();
        let options = ImportOptions { min_level: min, statuses, ..options() };
        assert_eq!(rank(rule("x", rest).as_bytes(), &options), expected, "{rest} {options:?}");
    };
    check("level: low\n", None, &[], Rank::Wanted);
    check("level: low\n", Some(Severity::Medium), &[], Rank::LeftOut);
    check("level: high\n", Some(Severity::Medium), &[], Rank::Wanted);
    check("", Some(Severity::Medium), &[], Rank::Wanted);
    check("status: deprecated\n", None, &[], Rank::LeftOut);
    check("status: deprecated\n", None, &["deprecated"], Rank::Wanted);
    check("status: test\n", None, &["stable", "test"], Rank::Wanted);
    check("status: experimental\n", None, &["stable", "test"], Rank::LeftOut);
    let both = format!("{}---\n{}", rule("x", "level: low\n"), rule("y", "level: high\n"));
    let options = ImportOptions { min_level: Some(Severity::High), ..options() };
    assert_eq!(rank(both.as_bytes(), &options), Rank::Wanted);
    assert_eq!(rank(b"title: F\nfilter: {rules: any}\n", &options), Rank::Filter);
    assert_eq!(rank(b"\xff", &options), Rank::NoRule);
}

#[test]
fn what_leads_elsewhere_is_refused() {
    for name in ["../a.yml", "/etc/a.yml", "x/../../a.yml", "C:\\a.yml", "x\\..\\a.yml", "x//a.yml"]
    {
        let dir = tempfile::tempdir().unwrap();
        let text = rule("a", "");
        let error = run(dir.path(), &[("good.yml", &text), (name, &text)]).unwrap_err();
        assert!(matches!(error, ImportError::Outside(_)), "{name}: {error}");
        assert!(!dir.path().join("rules").exists(), "{name}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sigma.zip"), "no archive").unwrap();
    let error = import(&dir.path().join("sigma.zip"), dir.path(), &options(), NOW).unwrap_err();
    assert!(matches!(error, ImportError::Archive { .. }), "{error}");
    let bad = ImportOptions { name: "../x".into(), ..options() };
    assert!(matches!(import(dir.path(), dir.path(), &bad, NOW), Err(ImportError::Name(_))));
}

#[cfg(unix)]
#[test]
fn links_are_neither_followed_nor_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir_all(dir.path().join("rules/imported")).unwrap();
    fs::create_dir_all(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, dir.path().join("rules/imported/sigmahq")).unwrap();
    let error = run(dir.path(), &[("a.yml", &rule("a", ""))]).unwrap_err();
    assert!(matches!(error, ImportError::Link(_)), "{error}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn bombs_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let big = format!("{}# {}", rule("big", ""), "x".repeat(2 << 20));
    let imported = run(dir.path(), &[("a.yml", &rule("a", "")), ("big.yml", &big)]).unwrap();
    assert_eq!(imported.rules, 1);
}

#[test]
fn licences_are_known_by_their_words() {
    for (text, expected) in [
        (DRL, Some("DRL 1.1")),
        ("Apache License\n  Version 2.0, January 2004", Some("Apache-2.0")),
        ("MIT License\n\nPermission is hereby granted, free of\ncharge, to", Some("MIT")),
        ("All rights reserved", None),
    ] {
        assert_eq!(license(text), expected, "{text}");
    }
}
