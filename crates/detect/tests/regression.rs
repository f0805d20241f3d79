//! The community's labelled samples: each rule fires on its own events, read from EVTX or as the
//! device wrote them.

#![allow(clippy::print_stderr, reason = "tests say what they skipped and counted")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pugmark_detect::{Detector, RuleSet, RuleSource, load};
use pugmark_parse::{Input, Parser, frame};

const NOW: i64 = 1_795_428_000_000_000;

fn files(dir: &Path, ending: &str, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, into);
        } else if path.extension().is_some_and(|e| e == ending) {
            into.push(path);
        }
    }
    into.sort();
}

/// How often each rule fires on one file.
fn fired(rules: &Arc<RuleSet>, parser: &Parser, path: &Path) -> BTreeMap<String, usize> {
    let mut fired = BTreeMap::new();
    let mut detector = Detector::new(rules.clone());
    let bytes = std::fs::read(path).unwrap();
    let mut first_id = 1;
    let frames = frame::open(std::io::Cursor::new(bytes), 1 << 30).unwrap();
    for records in frames.map_while(Result::ok) {
        let input =
            Input { source: "hunt", records: &records, first_id, received: NOW, format: None };
        for detection in detector.process(&parser.parse(&input)) {
            *fired.entry(detection.rule.id.clone()).or_default() += 1;
        }
        first_id += records.len() as i64;
    }
    fired
}

#[test]
fn labelled_samples_fire_their_rules() {
    let dir = Path::new(concat!(env!("WORKSPACE_ROOT"), "../shared/data/sigma"));
    if !dir.exists() {
        eprintln!("skipped: ../shared is absent");
        return;
    }
    let mut paths = Vec::new();
    for folder in ["rules", "rules-emerging-threats", "rules-threat-hunting"] {
        files(&dir.join(folder), "yml", &mut paths);
    }
    let sources: Vec<RuleSource> = paths
        .iter()
        .map(|path| RuleSource {
            path: path.display().to_string(),
            text: std::fs::read_to_string(path).unwrap(),
        })
        .collect();
    let rules = Arc::new(RuleSet::compile(load(&sources).rules).0);
    let parser = Parser::builtin().unwrap();
    let mut infos = Vec::new();
    files(&dir.join("regression_data"), "yml", &mut infos);
    let (mut hits, mut misses, mut others) = (0, Vec::new(), 0);
    for info in &infos {
        let text = std::fs::read_to_string(info).unwrap();
        let info_text: yaml_serde::Value = yaml_serde::from_str(&text).unwrap();
        let id = info_text["rule_metadata"][0]["id"].as_str().unwrap_or_default().to_string();
        let title = info_text["rule_metadata"][0]["title"].as_str().unwrap_or_default();
        let mut samples = Vec::new();
        files(info.parent().unwrap(), "evtx", &mut samples);
        files(info.parent().unwrap(), "raw", &mut samples);
        let fired: Vec<_> = samples.iter().map(|path| fired(&rules, &parser, path)).collect();
        others += fired.iter().flat_map(|f| f.keys()).filter(|key| **key != id).count();
        match fired.iter().any(|f| f.contains_key(&id)) {
            true => hits += 1,
            false => misses.push(format!("{id} {title}")),
        }
    }
    eprintln!("{hits} of {} rules fire on their samples; {others} others", infos.len());
    eprintln!("misses: {misses:#?}");
    assert!(infos.len() > 100, "only {} samples", infos.len());
    assert!(misses.is_empty(), "{hits} of {}", infos.len());
}
