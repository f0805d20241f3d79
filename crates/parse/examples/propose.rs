//! How good proposed packs are. Run it by hand:
//!
//! - `cargo run --release -p pugmark-parse --example propose`: takes the inputs of our packs' tests
//!   product by product, proposes a pack as if ours were not there, and counts the expected values
//!   that it finds. The inputs show each form once or twice, where a source shows it a thousand
//!   times; the expected values were written by people who know the product.
//! - `... -- FILE`: the proposal for a file.
//! - `... -- --halves FILE`: proposes from the first half of a file; what our packs say of the
//!   second half is expected.
//! - `... -- --product vendor/product` shows a proposal of the table, `... -- --wrong [START]` what
//!   it got wrong.

// An example talks to the person who runs it.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pugmark_event::json::RowWriter;
use pugmark_event::{Records, time};
use pugmark_parse::propose::propose;
use pugmark_parse::{Input, PackSource, Parser, frame};
use serde_json::{Map, Value};

/// The values that are counted.
const FIELDS: [&str; 5] = ["source.ip", "user.name", "event.outcome", "@timestamp", "source.port"];
/// When all tests are received.
const RECEIVED: &str = "2026-11-23T10:00:00Z";
const ROOT: &str = "content/parsers";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("--wrong") => table(words.get(1).map_or("", String::as_str), true),
        Some("--product") => show_product(words.get(1).map_or("", String::as_str)),
        Some("--halves") => halves(words.get(1).map_or("", String::as_str)),
        Some(file) => show(file),
        None => table("", false),
    }
}

fn show(file: &str) {
    let bytes = std::fs::read(file).unwrap_or_else(|e| panic!("{file}: {e}"));
    let records = frame::body(bytes);
    let name = Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
    let name = format!("unknown/{name}");
    let input =
        Input { source: "file", records: &records, first_id: 1, received: now(), format: None };
    print!("{}", propose(&input, &name).text);
}

fn halves(file: &str) {
    let bytes = std::fs::read(file).unwrap_or_else(|e| panic!("{file}: {e}"));
    let records = frame::body(bytes);
    let builtin = Parser::builtin().expect("our packs load");
    let input =
        |records| Input { source: "file", records, first_id: 1, received: now(), format: None };
    let cases: Vec<Case> = records
        .iter()
        .zip(parse(&builtin, &input(&records)))
        .map(|(record, expected)| Case {
            input: String::from_utf8_lossy(record).into_owned(),
            source: String::new(),
            expected,
        })
        .collect();
    let (first, second) = cases.split_at(cases.len() / 2);
    let proposal = with(first, "", |input| propose(input, "unknown/file"));
    let without = Parser::new(&[]).expect("no packs");
    score(&without, second.iter(), "", false).print("second half: formats alone", 0.0);
    let confidence = proposal.confidence;
    score(&parser_of(proposal.text), second.iter(), "", false)
        .print("  proposed from the first", confidence);
}

fn now() -> time::Micros {
    time::parse_rfc3339(RECEIVED).expect("a constant")
}

fn show_product(product: &str) {
    for ((_, hint), cases) in groups().iter().filter(|((name, _), _)| name == product) {
        let proposal = with(cases, hint, |input| propose(input, product));
        println!("{}", proposal.text);
    }
}

/// A record and what is expected of it.
struct Case {
    input: String,
    source: String,
    expected: Map<String, Value>,
}

/// The tests of each product, apart by the header that stands above them.
type Groups = BTreeMap<(String, String), Vec<Case>>;

fn groups() -> Groups {
    let mut groups = Groups::new();
    for product in folders(Path::new(ROOT)).iter().flat_map(|vendor| folders(vendor)) {
        let name = product.strip_prefix(ROOT).expect("below it").display().to_string();
        for file in folders(&product.join("tests")) {
            let text = std::fs::read(&file).expect("a file that was listed");
            let cases: Vec<Value> = serde_json::from_slice(&text).expect("a list of tests");
            for case in &cases {
                let text = |key: &str| case[key].as_str().unwrap_or("").to_string();
                let expected = case["expected"].as_object().cloned().unwrap_or_default();
                let case = Case { input: text("input"), source: text("source"), expected };
                groups.entry((name.clone(), text("format"))).or_default().push(case);
            }
        }
    }
    groups
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    paths
}

fn with<'c, T>(
    cases: impl IntoIterator<Item = &'c Case>,
    hint: &str,
    then: impl FnOnce(&Input<'_>) -> T,
) -> T {
    let cases: Vec<&Case> = cases.into_iter().collect();
    let records: Records = cases.iter().map(|case| case.input.as_bytes()).collect();
    let source = cases.iter().map(|case| case.source.as_str()).find(|name| !name.is_empty());
    let format = Some(hint).filter(|hint| !hint.is_empty());
    let source = source.unwrap_or("test");
    then(&Input { source, records: &records, first_id: 1, received: now(), format })
}

fn parse(parser: &Parser, input: &Input<'_>) -> Vec<Map<String, Value>> {
    let batch = parser.parse(input);
    let writer = RowWriter::new(batch.columns());
    let row = |i| {
        let mut json = Vec::new();
        writer.write(i, &mut json);
        serde_json::from_slice(&json).expect("a row is an object")
    };
    (0..batch.rows()).map(row).collect()
}

fn parser_of(text: String) -> Parser {
    let pack = PackSource { path: "proposed".into(), text };
    Parser::new(&[pack]).expect("a proposed pack loads")
}

/// Of one field: expected, found, and found though it is another or none is expected.
#[derive(Clone, Copy, Default)]
struct Count {
    expected: usize,
    found: usize,
    wrong: usize,
}

#[derive(Clone, Default)]
struct Score {
    records: usize,
    taken: usize,
    confidence: f64,
    fields: [Count; FIELDS.len()],
}

impl Score {
    fn add(&mut self, other: &Score) {
        self.records += other.records;
        self.taken += other.taken;
        self.confidence += other.confidence * other.records as f64;
        for (own, other) in self.fields.iter_mut().zip(other.fields) {
            own.expected += other.expected;
            own.found += other.found;
            own.wrong += other.wrong;
        }
    }

    fn print(&self, name: &str, confidence: f64) {
        print!("{name:32} {:5} {:5} {confidence:5.2}", self.records, self.taken);
        for Count { expected, found, wrong } in self.fields {
            print!("  {found:5}/{expected:<5}{wrong:4}");
        }
        println!();
    }
}

/// What the events of a parser are worth.
fn score<'c>(
    parser: &Parser,
    cases: impl Iterator<Item = &'c Case> + Clone,
    hint: &str,
    wrong: bool,
) -> Score {
    let events = with(cases.clone(), hint, |input| parse(parser, input));
    let mut score = Score { records: events.len(), ..Score::default() };
    for (event, case) in events.iter().zip(cases) {
        score.taken += usize::from(event.contains_key("event.module"));
        for (field, count) in FIELDS.iter().zip(&mut score.fields) {
            // Without a time an event has that of its receipt.
            let none = *field == "@timestamp" && is_untimed(&case.expected);
            let expected = case.expected.get(*field).filter(|_| !none);
            let got = event.get(*field).filter(|_| *field != "@timestamp" || !is_untimed(event));
            count.expected += usize::from(expected.is_some());
            count.found += usize::from(expected.is_some() && got == expected);
            count.wrong += usize::from(got.is_some() && got != expected);
            if wrong && got != expected {
                println!("{field}: {got:?}, expected {expected:?}: {}", case.input);
            }
        }
    }
    score
}

fn is_untimed(event: &Map<String, Value>) -> bool {
    let issues = event.get("event.issues").and_then(Value::as_str).unwrap_or("");
    issues.contains("time_missing")
}

fn table(wanted: &str, wrong: bool) {
    let groups = groups();
    let groups: Vec<_> = groups.iter().filter(|((name, _), _)| name.starts_with(wanted)).collect();
    println!("{:32} lines taken  conf  {}", "", FIELDS.map(|f| format!("{f:>14}")).join(" "));
    let without = Parser::new(&[]).expect("no packs");
    let (mut base, mut all) = (Score::default(), Score::default());
    let (mut held, mut held_base) = (Score::default(), Score::default());
    let mut proposed = Vec::new();
    for ((name, hint), cases) in &groups {
        base.add(&score(&without, cases.iter(), hint, false));
        let proposal = with(cases.iter(), hint, |input| propose(input, name));
        let parser = parser_of(proposal.text);
        let mut own = score(&parser, cases.iter(), hint, wrong);
        own.confidence = proposal.confidence;
        own.print(name, proposal.confidence);
        all.add(&own);
        proposed.push((name, parser));
        let other = || cases.iter().skip(1).step_by(2);
        let half = with(cases.iter().step_by(2), hint, |input| propose(input, name));
        held.add(&score(&parser_of(half.text), other(), hint, false));
        held_base.add(&score(&without, other(), hint, false));
    }
    println!();
    base.print("formats alone", 0.0);
    let confidence = all.confidence / all.records.max(1) as f64;
    all.print("proposed", confidence);
    held_base.print("every other record: formats", 0.0);
    held.print("  proposed from the others", 0.0);
    if !wrong {
        strangers(&groups, &proposed);
    }
}

/// Records of other products that proposed packs would take.
fn strangers(groups: &[(&(String, String), &Vec<Case>)], proposed: &[(&String, Parser)]) {
    let (mut taken, mut asked) = (0, 0);
    let mut worst: BTreeMap<&str, usize> = BTreeMap::new();
    for ((name, hint), cases) in groups {
        for (other, parser) in proposed.iter().filter(|(other, _)| *other != name) {
            let count = score(parser, cases.iter(), hint, false).taken;
            taken += count;
            asked += cases.len();
            *worst.entry(other).or_default() += count;
        }
    }
    println!("records of others taken: {taken} of {asked}");
    let mut worst: Vec<_> = worst.into_iter().filter(|(_, count)| *count > 0).collect();
    worst.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    println!("  most by {:?}", &worst[..worst.len().min(12)]);
}
