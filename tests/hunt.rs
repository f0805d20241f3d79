//! The offline hunt: real recordings, damaged files, exit codes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{failure, json_lines, pugmark, run, shared, stdout, text};

/// Rules of the public corpus that must fire on their own recordings, of 129.
const REGRESSION_MIN: usize = 120;

#[test]
fn public_rules_fire_on_their_own_recordings() {
    let Some(sigma) = shared("sigma") else { return };
    let recordings = sigma.join("regression_data");
    let mut arguments = vec!["hunt".to_string(), recordings.display().to_string()];
    for folder in ["rules", "rules-emerging-threats", "rules-threat-hunting"] {
        arguments.extend(["--rules".into(), sigma.join(folder).display().to_string()]);
    }
    arguments.extend(["--format".into(), "json".into()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The rules that fired, by the folder of the recording.
    let mut fired: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for line in json_lines(&stdout(&arguments)) {
        let folder = Path::new(line["file"].as_str().unwrap()).parent().unwrap().to_path_buf();
        fired.entry(folder).or_default().insert(line["rule.id"].as_str().unwrap().to_string());
    }
    let (mut hits, mut misses) = (0, Vec::new());
    for info in infos(&recordings) {
        let folder = info.parent().unwrap();
        let rule = rule_id(&std::fs::read_to_string(&info).unwrap());
        match fired.get(folder).is_some_and(|rules| rules.contains(&rule)) {
            true => hits += 1,
            false => misses.push(format!("{rule} in {}", folder.display())),
        }
    }
    eprintln!("{hits} of {} rules fired; missed:\n{}", hits + misses.len(), misses.join("\n"));
    assert!(hits >= REGRESSION_MIN, "{hits} fired; missed:\n{}", misses.join("\n"));
}

/// Every info.yml below a folder.
fn infos(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(infos(&path));
        } else if path.file_name().is_some_and(|name| name == "info.yml") {
            found.push(path);
        }
    }
    found
}

/// The id below `rule_metadata`.
fn rule_id(info: &str) -> String {
    let rest = info.split("rule_metadata:").nth(1).expect("info.yml names its rule");
    let line = rest.lines().find(|l| l.trim_start().starts_with("- id:")).expect("an id");
    line.split("id:").nth(1).unwrap().trim().to_string()
}

#[test]
fn damaged_files_are_read_as_far_as_they_can_be() {
    let Some(samples) = shared("evtx/parser-samples/samples") else { return };
    let mut files = 0;
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "evtx") {
            continue;
        }
        files += 1;
        let output = run(&["hunt", path.to_str().unwrap(), "--format", "json"]);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{}: {said}", path.display());
        assert!(!said.contains("panicked"), "{}: {said}", path.display());
    }
    assert!(files > 10);
}

#[test]
fn a_cut_file_gives_what_it_has_and_says_so() {
    let Some(samples) = shared("evtx/parser-samples/samples") else { return };
    let whole = std::fs::read(samples.join("security.evtx")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let cut = dir.path().join("cut.evtx");
    // Two chunks of 64 KiB and a half after the header of 4 KiB.
    std::fs::write(&cut, &whole[..4096 + 65_536 * 2 + 30_000]).unwrap();
    let data = dir.path().join("data");
    let args = ["ingest", cut.to_str().unwrap(), "--source", "w", "--format", "json", "--data"];
    let output = run(&[&args[..], &[data.to_str().unwrap()]].concat());
    let received = json_lines(&text(&output.stdout))[0]["received"].as_u64().unwrap();
    assert!(received > 50, "{received} records");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cut.evtx"), "{}", text(&output.stderr));
}

const RULE: &str = "
title: Marker
id: 6f9d3c4e-6a57-4f4a-a9ab-6d3f1f0c7a11
status: test
logsource: {product: app}
detection:
  keywords: [marker]
  condition: keywords
level: high
";

#[test]
fn findings_decide_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let (rules, log) = (dir.path().join("rules"), dir.path().join("app.log"));
    std::fs::create_dir(&rules).unwrap();
    std::fs::write(rules.join("marker.yml"), RULE.replace("{product: app}", "{}")).unwrap();
    std::fs::write(&log, "{\"message\":\"a marker here\"}\n{\"message\":\"none\"}\n").unwrap();
    let (rules, log) = (rules.to_str().unwrap(), log.to_str().unwrap());
    let base = ["hunt", log, "--rules", rules, "--format", "json"];
    let lines = json_lines(&stdout(&base));
    assert_eq!(lines.len(), 1);
    for (key, expected) in [("rule.title", "Marker"), ("level", "high"), ("file", log)] {
        assert_eq!(lines[0][key], expected);
    }
    assert_eq!(lines[0]["event"]["message"], "a marker here");
    let with = |level: &str| run(&[&base[..], &["--fail-on", level]].concat()).status.code();
    assert_eq!((with("high"), with("critical")), (Some(3), Some(0)));
}

#[test]
fn rules_that_cannot_be_used_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    let broken = RULE
        .replace("keywords: [marker]", "sel: {'message|re': '(['}")
        .replace("condition: keywords", "condition: sel");
    std::fs::write(dir.path().join("broken.yml"), broken).unwrap();
    std::fs::write(dir.path().join("nonsense.yml"), "{{{{").unwrap();
    std::fs::write(dir.path().join("good.yml"), RULE).unwrap();
    let path = dir.path().to_str().unwrap();
    let output = run(&["rules", "check", path]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["broken.yml", "nonsense.yml", "2 cannot be used"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = failure(&["rules", "check", "/nowhere"]);
    assert_eq!(code, 2, "{said}");
}

#[test]
fn the_rules_in_the_project_pass_their_tests() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../../content/rules");
    let said = stdout(&["rules", "test", rules]);
    assert!(said.trim_end().ends_with(", 0 failed"), "{said}");
    let said = stdout(&["rules", "check", rules]);
    assert!(said.contains("; 0 cannot be used"), "{said}");
}

#[test]
fn standard_input_is_read_too() {
    let mut command = pugmark(&["hunt", "-", "--format", "json"]);
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let log: String = (0..12)
        .map(|i| format!("Nov 23 10:00:{i:02} w sshd[8]: Failed password for root from 203.0.113.7 port 4{i} ssh2\n"))
        .collect();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), log.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let lines: Vec<Value> = json_lines(&text(&output.stdout));
    assert!(lines.iter().any(|l| l["entity"] == "203.0.113.7"), "{lines:?}");
}
