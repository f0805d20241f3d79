//! Nanoseconds per event of the stages from a request body to detections, for files of logs.
//! Run it by hand, on the files that `pugmark-bench corpus` writes:
//!
//! `cargo run --release -p pugmark-detect --example path -- [--stage NAME] [--rounds N]
//! [--rules FOLDER]... [--other] FILE...`
//!
//! Without folders of rules it uses ours. `match` is detection without correlations and reasons.
//! With `--other`, the last columns are what rsigma-eval needs for the same: one engine for each
//! log source with its rules alone, events flat and in its own form already, so that neither
//! finding the rules nor reading JSON counts. What it matches stands beside what we match.
//!
//! Every figure is time on the processor, of the fastest round: what a stage costs, whatever else
//! the machine does meanwhile. Where the system does not tell, it is time on the clock.

// An example talks to the person who runs it.
#![allow(clippy::print_stdout)]

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::Array;
use pugmark_detect::{Detector, RuleSet, RuleSource};
use pugmark_event::fields::{self, Kind};
use pugmark_event::{Batch, Records, Value};
use pugmark_parse::{Input, Parser, frame};
use rsigma_eval::Engine;
use rsigma_eval::event::JsonEvent;
use rsigma_parser::{Detection, SigmaRule};
use serde_json::Value as Json;

/// Bytes of a body, as senders and the harness cut them.
const BODY_BYTES: usize = 1 << 20;
/// 2026-11-23T10:00:00Z
const RECEIVED: i64 = 1_795_428_000_000_000;

struct Args {
    /// Only this stage is repeated; the others run once. Empty: all.
    stage: String,
    rounds: usize,
    /// Folders of rules; ours when there are none.
    rules: Vec<PathBuf>,
    /// The other engine is measured too.
    other: bool,
    files: Vec<PathBuf>,
}

fn main() {
    let args = args();
    let parser = Parser::builtin().expect("the built-in packs compile");
    let sources = sources(&args.rules);
    let rules = rules(&sources);
    let others = if args.other { others(&sources) } else { Vec::new() };
    println!(
        "{:24} {:>9} {:>6} {:>7} {:>7} {:>7} {:>7} {:>10} {:>9} {:>9} {:>9}",
        "file",
        "events",
        "bytes",
        "frame",
        "parse",
        "match",
        "detect",
        "detections",
        "matches",
        "other",
        "matches"
    );
    for file in &args.files {
        run(file, &args, &parser, &rules, &others);
    }
}

fn args() -> Args {
    let (rules, files) = (Vec::new(), Vec::new());
    let mut args = Args { stage: String::new(), rounds: 5, rules, other: false, files };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--stage" => args.stage = words.next().unwrap_or_default(),
            "--rounds" => {
                args.rounds = words.next().and_then(|n| n.parse().ok()).unwrap_or(args.rounds);
            }
            "--other" => args.other = true,
            "--rules" => args.rules.extend(words.next().map(PathBuf::from)),
            file => args.files.push(file.into()),
        }
    }
    args
}

/// The rule files of these folders, or of `content/rules`.
fn sources(folders: &[PathBuf]) -> Vec<RuleSource> {
    let ours = Path::new(env!("WORKSPACE_ROOT")).join("content/rules");
    let mut folders = if folders.is_empty() { vec![ours] } else { folders.to_vec() };
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder of rules can be read") {
            let path = entry.expect("its entries can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
                let text = std::fs::read_to_string(&path).expect("a rule can be read");
                sources.push(RuleSource { path: path.display().to_string(), text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// The rules, compiled. Says what they cost.
fn rules(sources: &[RuleSource]) -> Arc<RuleSet> {
    let (took, rules) = fastest(1, || {
        let loaded = pugmark_detect::load(sources);
        let (rules, problems) = RuleSet::compile(loaded.rules);
        println!("{} files, {} problems", sources.len(), loaded.problems.len() + problems.len());
        Arc::new(rules)
    });
    println!("{} rules, loaded and compiled in {took:.1?}, {}", rules.rules().len(), memory());
    rules
}

/// The memory of this process.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.map_or_else(|| "memory unknown".into(), |line| line.replace('\t', " "))
}

fn run(file: &Path, args: &Args, parser: &Parser, rules: &Arc<RuleSet>, others: &[SigmaRule]) {
    let bytes = std::fs::read(file).expect("the file can be read");
    let bodies = bodies(&bytes);
    let rounds = |stage: &str| match args.stage.is_empty() || args.stage == stage {
        true => args.rounds,
        false => 1,
    };
    let (framed, blocks) = fastest(rounds("frame"), || {
        bodies.iter().map(|body| frame::body(body.to_vec())).collect::<Vec<Records>>()
    });
    let events: usize = blocks.iter().map(Records::len).sum();
    let parse = || blocks.iter().map(|block| parse(parser, file, block)).collect::<Vec<Batch>>();
    let (parsed, batches) = fastest(rounds("parse"), parse);
    let (detected, detections) = fastest(rounds("detect"), || {
        let mut detector = Detector::new(rules.clone());
        batches.iter().map(|batch| detector.process(batch).len()).sum::<usize>()
    });
    let (matched, matches) = fastest(rounds("match"), || {
        batches.iter().map(|batch| rules.matches(batch).len()).sum::<usize>()
    });
    let (engines, flat) = other_form(others, &batches);
    let (other, other_matches) = fastest(rounds("other"), || {
        let evaluate = |(engine, event): &(usize, Json)| {
            engines[*engine].0.evaluate(&JsonEvent::borrow(event)).len()
        };
        flat.iter().map(evaluate).sum::<usize>()
    });
    let per_event = |time: Duration| time.as_nanos() / events.max(1) as u128;
    println!(
        "{:24} {events:9} {:6} {:7} {:7} {:7} {:7} {detections:10} {matches:9} {:9} \
         {other_matches:9}",
        file.file_name().unwrap_or_default().to_string_lossy(),
        bytes.len() / events.max(1),
        per_event(framed),
        per_event(parsed),
        per_event(matched),
        per_event(detected),
        per_event(other),
    );
}

/// The rules as the other engine reads them; those with placeholders, which we leave out, are not
/// among them.
fn others(sources: &[RuleSource]) -> Vec<SigmaRule> {
    let plain = sources.iter().filter(|source| !source.text.contains("|expand"));
    let read = plain.filter_map(|source| rsigma_parser::parse_sigma_yaml(&source.text).ok());
    read.flat_map(|collection| collection.rules).collect()
}

/// Engines with the fields that their rules read, and events with the numbers of their engines.
type OtherForm = (Vec<(Engine, BTreeSet<String>)>, Vec<(usize, Json)>);

/// An engine for each log source with the fields that its rules read, and each event with the
/// number of its engine.
fn other_form(rules: &[SigmaRule], batches: &[Batch]) -> OtherForm {
    let (mut engines, mut numbers, mut events) = (Vec::new(), HashMap::new(), Vec::new());
    for batch in batches.iter().filter(|_| !rules.is_empty()) {
        for row in 0..batch.rows() {
            let source = [fields::PRODUCT, fields::CATEGORY, fields::SERVICE]
                .map(|field| text(batch, row, field).unwrap_or_default());
            let number = *numbers.entry(source).or_insert_with(|| {
                engines.push(engine(rules, source));
                engines.len() - 1
            });
            events.push((number, event(batch, row, source[0], &engines[number].1)));
        }
    }
    (engines, events)
}

fn engine(rules: &[SigmaRule], event: [&str; 3]) -> (Engine, BTreeSet<String>) {
    let (mut engine, mut names) = (Engine::new(), BTreeSet::new());
    let read: Vec<SigmaRule> = rules
        .iter()
        .filter(|rule| {
            let source = &rule.logsource;
            [&source.product, &source.category, &source.service]
                .into_iter()
                .zip(event)
                .all(|(rule, event)| rule.as_ref().is_none_or(|rule| rule == event))
        })
        .cloned()
        .collect();
    for detection in read.iter().flat_map(|rule| rule.detection.named.values()) {
        names_of(detection, &mut names);
    }
    let refused = engine.add_rules(&read);
    assert!(refused.is_empty(), "{refused:?}");
    (engine, names)
}

fn names_of(detection: &Detection, names: &mut BTreeSet<String>) {
    match detection {
        Detection::AllOf(items) => {
            names.extend(items.iter().filter_map(|item| item.field.name.clone()));
        }
        Detection::AnyOf(parts) | Detection::And(parts) => {
            parts.iter().for_each(|part| names_of(part, names));
        }
        _ => {
            names.insert(fields::ORIGINAL.name().into());
        }
    }
}

/// What the columns show under these names.
fn event(batch: &Batch, row: usize, product: &str, names: &BTreeSet<String>) -> Json {
    let attributes: HashMap<&str, Value<'_>> = batch.attributes().row(row).collect();
    let shown = |name: &String| {
        let value = match (attributes.get(name.as_str()), fields::resolve(product, name)) {
            (Some(Value::Json(text)), _) => serde_json::from_str(text).ok()?,
            (Some(Value::Null), _) => Json::Null,
            (Some(value), _) => value.text().into(),
            (None, Some(id)) if id.field().kind == Kind::Long => {
                batch.long(id).filter(|column| column.is_valid(row))?.value(row).into()
            }
            (None, id) => text(batch, row, id?)?.into(),
        };
        Some((name.clone(), value))
    };
    Json::Object(names.iter().filter_map(shown).collect())
}

fn text(batch: &Batch, row: usize, field: pugmark_event::FieldId) -> Option<&str> {
    Some(batch.text(field).filter(|column| column.is_valid(row))?.value(row))
}

fn parse(parser: &Parser, file: &Path, records: &Records) -> Batch {
    let source = file.file_stem().unwrap_or_default().to_string_lossy();
    let input = Input { source: &source, records, first_id: 1, received: RECEIVED, format: None };
    parser.parse(&input)
}

/// Cuts at line ends into bodies.
fn bodies(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut bodies = Vec::new();
    while bytes.len() > BODY_BYTES {
        let end =
            bytes[..BODY_BYTES].iter().rposition(|b| *b == b'\n').map_or(BODY_BYTES, |i| i + 1);
        let (body, rest) = bytes.split_at(end);
        bodies.push(body);
        bytes = rest;
    }
    bodies.push(bytes);
    bodies
}

fn fastest<T>(rounds: usize, mut work: impl FnMut() -> T) -> (Duration, T) {
    let mut time = Duration::MAX;
    let mut timed = || {
        let (start, clock) = (processor_time(), Instant::now());
        let result = work();
        let spent = processor_time().zip(start).map(|(end, start)| end - start);
        time = time.min(spent.unwrap_or_else(|| clock.elapsed()));
        result
    };
    let mut result = timed();
    for _ in 1..rounds {
        // What the round before made is gone first, as it is in a server.
        drop(result);
        result = timed();
    }
    (time, result)
}

/// Time that this thread has spent on a processor.
fn processor_time() -> Option<Duration> {
    // To give the processor away brings the count up to date.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
