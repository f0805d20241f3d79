//! Runs the tests that parser packs bring with them: `content/parsers/*/*/tests/*.json`, each a
//! list of `{"input": raw record, "source"?: name, "format"?: hint, "expected": flat event}`. The
//! hint is a format's name, or the header that stands above the record (`w3c date time c-ip`).
//! Columns that every event has are left out of `expected`, except the time.
//!
//! `PUGMARK_BLESS=1` writes what comes out into the files; read the difference before you commit.

use std::path::{Path, PathBuf};

use pugmark_event::json::RowWriter;
use pugmark_event::{Records, time};
use pugmark_parse::{Input, PackSource, Parser};
use serde_json::{Map, Value};

/// When all tests are received.
const RECEIVED: &str = "2026-11-23T10:00:00Z";

const ROOT: &str = concat!(env!("WORKSPACE_ROOT"), "content/parsers");

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The folder of each pack; `PACKS=vendor/product` names one.
fn products() -> Vec<PathBuf> {
    let wanted = std::env::var("PACKS").unwrap_or_default();
    folders(Path::new(ROOT))
        .iter()
        .flat_map(|vendor| folders(vendor))
        .filter(|product| product.ends_with(&wanted) || wanted.is_empty())
        .collect()
}

/// A parser with the packs as they are on disk now, so that whoever writes one need not build.
fn parser() -> Parser {
    let sources: Vec<PackSource> = folders(Path::new(ROOT))
        .iter()
        .flat_map(|vendor| folders(vendor))
        .map(|product| PackSource {
            path: product.strip_prefix(ROOT).unwrap().display().to_string() + "/parser.yaml",
            text: std::fs::read_to_string(product.join("parser.yaml")).unwrap_or_default(),
        })
        .filter(|source| !source.text.is_empty())
        .collect();
    Parser::new(&sources).unwrap()
}

/// The files with tests of a pack.
fn tests(product: &Path) -> Vec<PathBuf> {
    let mut tests = folders(&product.join("tests"));
    tests.retain(|test| test.extension().is_some_and(|e| e == "json"));
    tests
}

fn parse(parser: &Parser, case: &Value) -> Map<String, Value> {
    let records: Records = [case["input"].as_str().unwrap().as_bytes()].into_iter().collect();
    let source = case["source"].as_str().unwrap_or("test");
    let received = time::parse_rfc3339(RECEIVED).unwrap();
    let format = case["format"].as_str();
    let batch = parser.parse(&Input { source, records: &records, first_id: 1, received, format });
    let mut json = Vec::new();
    RowWriter::new(batch.columns()).write(0, &mut json);
    let mut event: Map<String, Value> = serde_json::from_slice(&json).unwrap();
    for always in ["event.ingested", "event.id", "event.source", "event.original"] {
        event.shift_remove(always);
    }
    event
}

#[test]
fn packs_hold_their_own_tests() {
    let parser = parser();
    let bless = std::env::var_os("PUGMARK_BLESS").is_some();
    let mut failures = Vec::new();
    let mut count = 0;
    for product in products() {
        if tests(&product).is_empty() {
            failures.push(format!("{} brings no tests", product.display()));
        }
    }
    for file in products().iter().flat_map(|product| tests(product)) {
        let mut cases: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for (i, case) in cases.as_array_mut().unwrap().iter_mut().enumerate() {
            count += 1;
            let got = parse(&parser, case);
            if case["expected"].as_object() == Some(&got) {
                continue;
            }
            let shown = serde_json::to_string_pretty(&got).unwrap();
            failures.push(format!("{} [{i}]: {}\n{shown}", file.display(), case["input"]));
            case["expected"] = Value::Object(got);
        }
        if bless {
            std::fs::write(&file, serde_json::to_string_pretty(&cases).unwrap() + "\n").unwrap();
        }
    }
    assert!(failures.is_empty() || bless, "{}", failures.join("\n\n"));
    assert!(count > 50 || std::env::var_os("PACKS").is_some(), "{count} tests");
}
