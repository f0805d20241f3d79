//! Nanoseconds per event of the stages from a request body to detections, for files of logs.
//! Run it by hand, on the files that `pugmark-bench corpus` writes:
//!
//! `cargo run --release -p pugmark-detect --example path -- [--stage NAME] [--rounds N]
//! [--rules FOLDER]... FILE...`
//!
//! Without folders of rules it uses ours. `match` is detection without correlations and reasons.
//!
//! Every figure is time on the processor, of the fastest round: what a stage costs, whatever else
//! the machine does meanwhile. Where the system does not tell, it is time on the clock.

// An example talks to the person who runs it.
#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pugmark_detect::{Detector, RuleSet, RuleSource};
use pugmark_event::{Batch, Records};
use pugmark_parse::{Input, Parser, frame};

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
    files: Vec<PathBuf>,
}

fn main() {
    let args = args();
    let parser = Parser::builtin().expect("the built-in packs compile");
    let rules = rules(&args.rules);
    println!(
        "{:24} {:>9} {:>6} {:>7} {:>7} {:>7} {:>7} {:>10}",
        "file", "events", "bytes", "frame", "parse", "match", "detect", "detections"
    );
    for file in &args.files {
        run(file, &args, &parser, &rules);
    }
}

fn args() -> Args {
    let (rules, files) = (Vec::new(), Vec::new());
    let mut args = Args { stage: String::new(), rounds: 5, rules, files };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--stage" => args.stage = words.next().unwrap_or_default(),
            "--rounds" => {
                args.rounds = words.next().and_then(|n| n.parse().ok()).unwrap_or(args.rounds);
            }
            "--rules" => args.rules.extend(words.next().map(PathBuf::from)),
            file => args.files.push(file.into()),
        }
    }
    args
}

/// The rules of these folders, or of `content/rules`. Says what they cost.
fn rules(folders: &[PathBuf]) -> Arc<RuleSet> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../content/rules");
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
    let (took, rules) = fastest(1, || {
        let loaded = pugmark_detect::load(&sources);
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

fn run(file: &Path, args: &Args, parser: &Parser, rules: &Arc<RuleSet>) {
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
    let (matched, _) = fastest(rounds("match"), || {
        batches.iter().map(|batch| rules.matches(batch).len()).sum::<usize>()
    });
    let per_event = |time: Duration| time.as_nanos() / events.max(1) as u128;
    println!(
        "{:24} {events:9} {:6} {:7} {:7} {:7} {:7} {detections:10}",
        file.file_name().unwrap_or_default().to_string_lossy(),
        bytes.len() / events.max(1),
        per_event(framed),
        per_event(parsed),
        per_event(matched),
        per_event(detected),
    );
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
