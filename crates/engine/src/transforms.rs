//! Where transforms come from, what is wrong with them, and how they do on samples.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pugmark_event::json::RowWriter;
use pugmark_event::time::Micros;
use pugmark_event::{Batch, Records};
use pugmark_parse::{Input, Parser};
use pugmark_store::KeptTransform;
use pugmark_transform::{Outcome, Problem, TransformSource, TransformTest, Transforms};
use serde_json::{Map, Value};

use crate::rules;

/// Longest name of a transform in bytes.
const NAME_BYTES_MAX: usize = 64;
/// When sample records count as received: years are guessed from it where a record has none.
const SAMPLE_RECEIVED: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z
/// Rounds that a program is timed for, and events in each.
const TIMED_ROUNDS: usize = 3;
const TIMED_EVENTS: usize = 1000;

/// Transforms that run, and those that do not.
#[derive(Debug, Default)]
pub struct TransformBook {
    /// The ones that run.
    pub transforms: Transforms,
    /// The text of each, also of those that do not.
    pub sources: Vec<TransformSource>,
    /// Those that were set aside, and why.
    pub problems: Vec<Problem>,
}

impl TransformBook {
    /// Compiles what was found in a folder and what was written in the product; the latter stands
    /// in for one of the same name.
    pub fn compile(found: Found, kept: Vec<KeptTransform>) -> Self {
        let source = |kept: KeptTransform| TransformSource { name: kept.name, text: kept.text };
        let kept: Vec<TransformSource> = kept.into_iter().map(source).collect();
        let names: BTreeSet<&str> = kept.iter().map(|source| source.name.as_str()).collect();
        let stays = |source: &TransformSource| !names.contains(source.name.as_str());
        let sources: Vec<TransformSource> = found.sources.into_iter().filter(stays).collect();
        let sources = [sources, kept].concat();
        let (transforms, problems) = Transforms::compile(&sources);
        let problems = [found.problems, problems].concat();
        Self { transforms, sources, problems }
    }

    /// The text of a transform.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.sources.iter().find(|source| source.name == name).map(|source| source.text.as_str())
    }

    /// Says what was set aside.
    pub fn report(&self) {
        for Problem { name, line, message, hint, .. } in &self.problems {
            tracing::warn!(name, line, hint, "transform left out: {message}");
        }
    }
}

/// Files with transforms as found in a folder.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Their texts.
    pub sources: Vec<TransformSource>,
    /// Files that cannot be read.
    pub problems: Vec<Problem>,
}

/// Reads the transforms of a folder, in order of their names; a folder that is not there has none.
pub fn read_folder(dir: &Path) -> Found {
    let mut found = Found::default();
    for path in files(dir) {
        let name = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
        let taken = found.sources.iter().any(|source| source.name == name);
        let read = match taken {
            true => Err("there is another of this name".to_string()),
            false => check_name(&name).and_then(|()| rules::read_text(&path)),
        };
        match read {
            Ok(text) => found.sources.push(TransformSource { name, text }),
            Err(message) => found.problems.push(Problem {
                name: path.display().to_string(),
                line: None,
                column: None,
                message,
                hint: "check the file, its name, and who may read it".into(),
            }),
        }
    }
    found
}

/// The files with transforms of a folder, by their names.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    match dir.is_dir() {
        true => rules::files(dir).unwrap_or_default(),
        false => Vec::new(),
    }
}

/// Whether a transform may be called so; the text says why not.
///
/// # Errors
/// When the name is empty, long, or has other characters than letters, digits, `_`, `-` and `.`.
pub fn check_name(name: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(good) {
        true => Ok(()),
        false => Err(format!(
            "a name has 1 to {NAME_BYTES_MAX} letters, digits, and the signs `_`, `-` and `.`"
        )),
    }
}

/// One record before and after the transforms.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The event as the parser made it.
    pub before: Map<String, Value>,
    /// The event as it would be stored.
    pub after: Map<String, Value>,
    /// What the transforms say of it.
    pub outcomes: Vec<Outcome>,
}

/// Shows what transforms make of sample records of a source. Nothing is stored.
pub fn samples(
    transforms: &Transforms,
    parser: &Parser,
    source: &str,
    records: &Records,
) -> Vec<Sample> {
    records
        .iter()
        .map(|record| {
            let before = parse(parser, source, std::iter::once(record).collect());
            let begun = Instant::now();
            let (after, outcomes) = transforms.apply(source, before.clone(), &|| begun.elapsed());
            Sample { before: row(&before), after: row(&after), outcomes }
        })
        .collect()
}

/// Time that the transforms take for an event of a source, the best of a few rounds over the
/// samples; none where there is nothing to measure.
pub fn time_per_event(
    transforms: &Transforms,
    parser: &Parser,
    source: &str,
    records: &Records,
) -> Option<Duration> {
    let rounds = TIMED_EVENTS.div_ceil(records.len().max(1));
    let many: Records = (0..rounds).flat_map(|_| records.iter()).collect();
    if records.is_empty() || !transforms.concerns(source) {
        return None;
    }
    let events = u32::try_from(many.len()).unwrap_or(u32::MAX);
    let batch = parse(parser, source, many);
    let round = |_| {
        let begun = Instant::now();
        transforms.apply(source, batch.clone(), &|| begun.elapsed());
        begun.elapsed()
    };
    (0..TIMED_ROUNDS).map(round).min().map(|best| best / events)
}

/// How one test of a transform went.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformTestResult {
    /// Name of the transform.
    pub name: String,
    /// The record.
    pub input: String,
    /// Fields that are not as expected: name, expected, found (null where there is none).
    pub wrong: Vec<(String, Value, Value)>,
    /// Why the transform failed on it, where it did.
    pub reason: Option<String>,
}

impl TransformTestResult {
    /// True when the event was as the test says.
    pub fn passed(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// Runs the tests that stand in the files of transforms, each transform by itself.
pub fn run_tests(
    sources: &[TransformSource],
    parser: &Parser,
) -> (Vec<TransformTestResult>, Vec<Problem>) {
    let (mut results, mut problems) = (Vec::new(), Vec::new());
    for source in sources {
        let (transforms, more) = Transforms::compile(std::slice::from_ref(source));
        problems.extend(more);
        for transform in transforms.list() {
            let run = |test: &TransformTest| {
                run_test(&transforms, parser, transform.sample_source(), test)
            };
            results.extend(transform.tests().iter().map(run));
        }
    }
    (results, problems)
}

fn run_test(
    transforms: &Transforms,
    parser: &Parser,
    source: String,
    test: &TransformTest,
) -> TransformTestResult {
    let source = test.source.clone().unwrap_or(source);
    let records: Records = std::iter::once(test.input.as_bytes()).collect();
    let mut samples = samples(transforms, parser, &source, &records);
    let sample = samples.pop().unwrap_or_else(|| Sample {
        before: Map::new(),
        after: Map::new(),
        outcomes: Vec::new(),
    });
    let found = |name: &String| sample.after.get(name).cloned().unwrap_or(Value::Null);
    let wrong = test.expected.iter().filter(|(name, expected)| found(name) != **expected);
    TransformTestResult {
        name: transforms.list().first().map_or_else(String::new, |t| t.name().to_string()),
        input: test.input.clone(),
        wrong: wrong.map(|(n, expected)| (n.clone(), expected.clone(), found(n))).collect(),
        reason: sample.outcomes.into_iter().find_map(|outcome| outcome.reason),
    }
}

fn parse(parser: &Parser, source: &str, records: Records) -> Batch {
    let received = SAMPLE_RECEIVED;
    parser.parse(&Input { source, records: &records, first_id: 1, received, format: None })
}

fn row(batch: &Batch) -> Map<String, Value> {
    let mut json = Vec::new();
    RowWriter::new(batch.columns()).write(0, &mut json);
    serde_json::from_slice(&json).unwrap_or_default()
}
