//! `pugmark hunt`: rules over files, without a server.

mod html;
mod rows;
mod samples;
mod sorted;
mod summary;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use parking_lot::Mutex;
use pugmark_detect::RuleSet;
use pugmark_engine::hunt::{Hunt, Summary};
use pugmark_engine::rules;
use pugmark_event::Severity;
use rayon::prelude::*;

use crate::error::{CliError, Exit};
use crate::files::archive::Unpacker;
use crate::files::{self, Input};
use crate::output::{Format, Printer};
use samples::Samples;
use sorted::{Key, Row, Sorter};

/// Look for attacks in files, without a server
///
/// Reads EVTX, JSON and log files, also compressed ones and those in zip and tar archives, and
/// prints a timeline: one line for each detection, in the order of event time over all files. What
/// was read and who was seen is told on stderr at the end.
///
/// Examples:
///   pugmark hunt evidence/ --rules sigma/rules
///   pugmark hunt evidence.zip --min-level high --format csv --output timeline.csv
///   pugmark hunt evidence/ --html report.html
///   pugmark hunt memory.dmp --carve
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Files, folders, globs, zip and tar archives, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Folder with Sigma rules [default: the rules in the binary]
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// Only detections of this level and above
    #[arg(long, visible_alias = "level", value_name = "LEVEL", value_parser = level)]
    #[arg(default_value = "informational")]
    min_level: Severity,
    /// Exit with 3 when there is a detection of this level or above
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    fail_on: Option<Severity>,
    /// How to print the timeline
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write the timeline to this file [default: stdout]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a report for people to this file: one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the summary to this file, as JSON
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Look for EVTX chunks at any place in the files: memory dumps, unallocated space
    #[arg(long)]
    carve: bool,
    /// Password of encrypted zip archives [default: infected]
    #[arg(long, value_name = "TEXT")]
    password: Option<String>,
}

fn level(text: &str) -> Result<Severity, String> {
    Severity::from_name(text)
        .ok_or_else(|| "use informational, low, medium, high or critical".to_string())
}

pub(crate) fn run(args: Args) -> Result<Exit, CliError> {
    let inputs = files::expand(&args.paths)?;
    let hunt = Hunt::new(crate::node::parser()?, Arc::new(load(&args.rules)?), now())
        .with_level(args.min_level)
        .with_carving(args.carve);
    // Opened before the work: nobody wants to learn of a bad path after an hour.
    let printer = printer(&args)?;
    let html = args.html.as_deref().map(create).transpose()?;
    let json = args.summary.as_deref().map(create).transpose()?;
    let evidence = Evidence::new(hunt, args.format, html.is_some());
    let unpacker = Unpacker { password: args.password };
    inputs.par_iter().for_each(|input| evidence.read(&unpacker, input));
    let Found { rows, samples, summary } = evidence.found()?;
    print(printer, rows)?;
    if let Some(out) = html {
        html::write(out, &summary, &samples, now()).context("the HTML report is incomplete")?;
    }
    if let Some(out) = json {
        serde_json::to_writer_pretty(out, &summary::json(&summary))
            .context("the summary is incomplete")?;
    }
    summary::tell(&summary)?;
    let highest = summary.levels.last_key_value().map(|(level, _)| *level);
    let fails = args.fail_on.is_some_and(|level| highest >= Some(level));
    Ok(if fails { Exit::Findings } else { Exit::Done })
}

fn now() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

fn load(folders: &[PathBuf]) -> Result<RuleSet, CliError> {
    let mut sources = if folders.is_empty() { rules::builtin() } else { Vec::new() };
    let mut broken = Vec::new();
    for dir in folders {
        let (more, problems) = rules::read_folder(dir).map_err(|e| {
            CliError::usage(format!("cannot read rules from {}: {e}", dir.display()))
        })?;
        sources.extend(more);
        broken.extend(problems);
    }
    let (set, problems) = rules::compile(&sources);
    broken.extend(problems);
    for problem in &broken {
        tracing::info!(path = problem.path, "rule left out: {}", problem.message);
    }
    if set.rules().is_empty() {
        return Err(CliError::usage("there are no rules to hunt with")
            .hint("`pugmark rules check DIR` says what is wrong with the rules of a folder"));
    }
    if !broken.is_empty() {
        tracing::warn!("{} rules cannot be used; `pugmark rules check` says why", broken.len());
    }
    Ok(set)
}

fn create(path: &Path) -> Result<std::io::BufWriter<std::fs::File>, CliError> {
    let file = std::fs::File::create(path)
        .map_err(|e| CliError::usage(format!("cannot write {}: {e}", path.display())))?;
    Ok(std::io::BufWriter::new(file))
}

fn printer(args: &Args) -> Result<Printer, CliError> {
    let columns = rows::columns(args.format).iter().map(ToString::to_string).collect();
    Ok(match &args.output {
        Some(path) => Printer::to(Box::new(create(path)?), args.format, columns),
        None => Printer::new(args.format, columns),
    })
}

fn print(mut printer: Printer, rows: Sorter) -> anyhow::Result<()> {
    for row in rows.finish().context("temporary files cannot be read")? {
        let row = row.context("temporary files cannot be read")?;
        printer.line(std::str::from_utf8(&row.text)?)?;
    }
    printer.finish()
}

/// What comes out of the files, from all cores.
struct Evidence {
    hunt: Hunt,
    format: Format,
    /// Only a report shows samples.
    samples: Option<Mutex<Samples>>,
    rows: Mutex<Sorter>,
    summary: Mutex<Summary>,
    /// The first row that could not be kept.
    failed: Mutex<Option<std::io::Error>>,
}

/// All that was found.
struct Found {
    rows: Sorter,
    samples: Samples,
    summary: Summary,
}

impl Evidence {
    fn new(hunt: Hunt, format: Format, with_samples: bool) -> Self {
        Self {
            hunt,
            format,
            samples: with_samples.then(Mutex::default),
            rows: Mutex::default(),
            summary: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    fn read(&self, unpacker: &Unpacker, input: &Input) {
        let problems = unpacker.each(input, &|name, reader| self.file(name, reader));
        let mut summary = self.summary.lock();
        problems.into_iter().for_each(|problem| summary.problem(problem));
    }

    fn file(&self, name: &str, reader: &mut (dyn Read + Send)) {
        let file: Arc<str> = name.into();
        let mut place = 0;
        let mut summary = Summary::default();
        self.hunt.file(name, reader, &mut summary, |finding| {
            place += 1;
            let key = Key { time: finding.detection.time, file: file.clone(), place };
            if let Some(samples) = &self.samples {
                samples.lock().offer(&key, finding);
            }
            let text = rows::text(self.format, finding, name);
            if let Err(error) = self.rows.lock().push(Row { key, text }) {
                self.failed.lock().get_or_insert(error);
            }
        });
        self.summary.lock().merge(summary);
    }

    fn found(self) -> anyhow::Result<Found> {
        if let Some(error) = self.failed.into_inner() {
            return Err(anyhow::Error::new(error)
                .context("findings were lost: temporary files cannot be written; set TMPDIR"));
        }
        Ok(Found {
            rows: self.rows.into_inner(),
            samples: self.samples.map(Mutex::into_inner).unwrap_or_default(),
            summary: self.summary.into_inner(),
        })
    }
}
