//! The offline hunt: real recordings, damaged files, exit codes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
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
    let rules = concat!(env!("WORKSPACE_ROOT"), "content/rules");
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

/// A folder with a rule that fires on `marker`, and what is hunted in.
struct Case {
    dir: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        let rule = RULE.replace("{product: app}", "{}");
        std::fs::write(dir.path().join("rules/marker.yml"), rule).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.dir.path().join(name), bytes).unwrap();
        self.path(name)
    }

    /// Runs a hunt with the rule; what it gave and what it said.
    fn hunt(&self, arguments: &[&str]) -> (String, String) {
        let rules = self.path("rules");
        let output = run(&[&["hunt", "--rules", &rules], arguments].concat());
        let said = text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        (text(&output.stdout), said)
    }

    /// The files of the findings, without the folder of the case.
    #[track_caller]
    fn check(&self, arguments: &[&str], expected: &[&str]) -> String {
        let (out, said) = self.hunt(&[arguments, &["--format", "json"]].concat());
        let folder = self.path("");
        let lines = json_lines(&out);
        let files = lines.iter().map(|l| l["file"].as_str().unwrap().replace(&folder, ""));
        assert_eq!(files.collect::<Vec<_>>(), expected, "{said}");
        said
    }
}

fn marker(second: u32) -> String {
    format!("{{\"@timestamp\":\"2026-11-23T10:00:{second:02}Z\",\"message\":\"a marker\"}}\n")
}

fn zip(files: &[(&str, &[u8])], password: Option<&str>) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let options = zip::write::SimpleFileOptions::default();
        match password {
            Some(password) => {
                let options = options.with_aes_encryption(zip::AesMode::Aes256, password);
                zip.start_file(*name, options).unwrap();
            }
            None => zip.start_file(*name, options).unwrap(),
        }
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar archive of one file with a short name.
fn tar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..263].copy_from_slice(b"ustar\0");
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let padding = bytes.len().next_multiple_of(512) - bytes.len();
    [&header[..], bytes, &vec![0; padding + 1024]].concat()
}

#[test]
fn the_timeline_runs_over_all_files_and_archives() {
    let case = Case::new();
    let (late, early) = (marker(9), marker(1));
    let inner = zip(&[("d/in.log", marker(5).as_bytes())], None);
    case.file("a.log", late.as_bytes());
    case.file("b.zip", &zip(&[("x.log", early.as_bytes()), ("in.zip", &inner)], None));
    case.file("c.tar.gz", &gzip(&tar("t.log", marker(3).as_bytes())));
    case.file("d.zip", &zip(&[("e.log", marker(4).as_bytes())], Some("infected")));
    let all = ["b.zip/x.log", "c.tar.gz/t.log", "d.zip/e.log", "b.zip/in.zip/d/in.log", "a.log"];
    case.check(&[&case.path("*.*")], &all);
    // And from standard input.
    let mut child = pugmark(&["hunt", "-", "--rules", &case.path("rules"), "--format", "json"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&inner).unwrap();
    let lines = json_lines(&text(&child.wait_with_output().unwrap().stdout));
    assert_eq!(lines[0]["file"], "-/d/in.log");
}

#[test]
fn what_an_archive_keeps_to_itself_is_said() {
    let case = Case::new();
    let secret = case.file("s.zip", &zip(&[("e.log", marker(4).as_bytes())], Some("other")));
    let said = case.check(&[&secret], &[]);
    assert!(said.contains("s.zip/e.log") && said.contains("--password"), "{said}");
    case.check(&[&secret, "--password", "other"], &["s.zip/e.log"]);
    let mut deep = zip(&[("m.log", marker(1).as_bytes())], None);
    for name in ["1.zip", "2.zip"] {
        deep = zip(&[(name, &deep)], None);
    }
    let said = case.check(&[&case.file("deep.zip", &deep)], &[]);
    assert!(said.contains("two archives deep") && said.contains("1 problems"), "{said}");
}

#[test]
fn levels_formats_and_outputs_are_chosen() {
    let case = Case::new();
    let record = marker(0).replace("a marker", "=marker\",\"host.name\":\"web1");
    let log = case.file("a.log", record.as_bytes());
    case.check(&[&log, "--min-level", "critical"], &[]);
    case.check(&[&log, "--level", "high"], &["a.log"]);
    let (timeline, summary) = (case.path("t.csv"), case.path("s.json"));
    let arguments = [&*log, "--format", "csv", "--output", &timeline, "--summary", &summary];
    let (out, said) = case.hunt(&arguments);
    assert_eq!(out, "");
    assert!(said.contains("1 files, 1 records"), "{said}");
    let csv = std::fs::read_to_string(timeline).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("time,level,rule.title,rule.id,tags,host.name"), "{csv}");
    assert!(lines[1].starts_with("2026-11-23T10:00:00Z,high,Marker,"), "{csv}");
    assert!(lines[1].contains(",web1,") && lines[1].contains("message: =marker"), "{csv}");
    let summary: Value = serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap();
    assert_eq!(summary["findings"]["levels"]["high"], 1);
    assert_eq!(summary["computers"]["list"][0]["name"], "web1");
    assert_eq!(summary["files"]["list"][0]["records"], 1);
}

#[test]
fn the_report_shows_a_hostile_log_as_text() {
    let case = Case::new();
    let hostile = r#"a marker <script>alert(1)</script> \u001b[31m \" onload=x"#;
    let host = r#"","host.name":"<img src=x>"#;
    let record = marker(0).replace("a marker", &format!("{hostile}{host}"));
    let log = case.file("<b>a.log", record.repeat(30).as_bytes());
    let report = case.path("report.html");
    case.hunt(&[&log, "--html", &report]);
    let page = std::fs::read_to_string(report).unwrap();
    for part in ["<script", "<img", "<b>a", "\u{1b}", "\" onload"] {
        assert!(!page.contains(part), "{part} in {page}");
    }
    for part in [
        "&lt;script&gt;alert(1)",
        "&lt;img src=x&gt;",
        "Marker",
        "30 findings",
        "The first 20 are shown",
        "Computers seen: 1",
        "default-src 'none'",
    ] {
        assert!(page.contains(part), "{part} not in {page}");
    }
}

#[test]
fn logons_are_summed_up() {
    let case = Case::new();
    let failed = "Failed password for root from 203.0.113.7 port 4 ssh2\n";
    let log: String = (0..3).map(|i| format!("Nov 23 10:00:0{i} w sshd[8]: {failed}")).collect();
    let (log, summary) = (case.file("auth.log", log.as_bytes()), case.path("s.json"));
    let (_, said) = case.hunt(&[&log, "--summary", &summary]);
    assert!(said.contains("Logons     0 succeeded, 3 failed"), "{said}");
    let summary: Value = serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap();
    let logon = &summary["logons"]["list"][0];
    for (key, expected) in [("user", "root"), ("host", "w"), ("source", "203.0.113.7")] {
        assert_eq!(logon[key], expected, "{logon}");
    }
    assert_eq!(logon["failures"], 3);
}

/// Every record of Windows is a finding.
const ANY: &str = "
title: Any
id: 6f9d3c4e-6a57-4f4a-a9ab-6d3f1f0c7a12
status: test
logsource: {product: windows}
detection:
  event: {'EventID|exists': true}
  condition: event
level: low
";

#[test]
fn corrupt_and_carved_chunks_give_what_can_be_had() {
    let Some(samples) = shared("evtx/parser-samples/samples") else { return };
    let whole = std::fs::read(samples.join("security.evtx")).unwrap();
    let chunk = |n: usize| 4096 + n * 65_536..4096 + (n + 1) * 65_536;
    let case = Case::new();
    case.file("rules/any.yml", ANY.as_bytes());
    let count = |bytes: &[u8], arguments: &[&str]| {
        let file = case.file("f", bytes);
        let (out, said) = case.hunt(&[&[&*file, "--format", "json"], arguments].concat());
        (json_lines(&out).len(), said)
    };
    let all = count(&whole[..chunk(2).end], &[]).0;
    // The header of the middle chunk is gone; its records are not.
    let mut damaged = whole[..chunk(2).end].to_vec();
    damaged[chunk(1).start..chunk(1).start + 512].fill(0xaa);
    let (found, said) = count(&damaged, &[]);
    assert_eq!(found, all, "{said}");
    assert!(said.contains("its header is damaged"), "{said}");
    // A whole chunk of noise costs that chunk.
    damaged[chunk(1)].fill(0xaa);
    let (found, said) = count(&damaged, &[]);
    assert!(found > all / 2 && found < all, "{found} of {all}: {said}");
    // Chunks at any place in a dump, the last one cut off.
    let noise = vec![b'n'; 12_345];
    let dump = [&noise[..], &whole[chunk(0)], &noise, &whole[chunk(1)], &noise[..77]].concat();
    let two = count(&whole[..chunk(1).end], &[]).0;
    assert_eq!(count(&dump, &["--carve"]).0, two);
    assert_eq!(count(&dump, &[]).0, 0);
    let cut = &dump[..12_345 + 65_536 + 12_345 + 30_000];
    let (found, _) = count(cut, &["--carve"]);
    assert!(found > two / 2 && found < two, "{found} of {two}");
}
