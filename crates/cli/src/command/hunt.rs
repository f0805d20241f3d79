//! `pugmark hunt`: rules over files, without a server.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pugmark_detect::RuleSet;
use pugmark_engine::hunt::{FileReport, Finding, Hunt};
use pugmark_engine::rules;
use pugmark_event::{Severity, time};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::error::{CliError, Exit};
use crate::files::{self, Input};
use crate::output::{Format, Printer, printable};

/// Look for attacks in files, without a server
///
/// Reads EVTX, JSON and log files, also compressed ones, and prints one line for each detection.
///
/// Examples:
///   pugmark hunt evidence/ --rules sigma/rules
///   pugmark hunt Security.evtx --level high --format json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Files, folders, globs, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Folder with Sigma rules [default: the rules in the binary]
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// Only detections of this level and above
    #[arg(long, value_name = "LEVEL", value_parser = level, default_value = "informational")]
    level: Severity,
    /// Exit with 3 when there is a detection of this level or above
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    fail_on: Option<Severity>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

const COLUMNS: [&str; 6] = ["time", "level", "rule.title", "entity", "count", "file"];

fn level(text: &str) -> Result<Severity, String> {
    Severity::from_name(text)
        .ok_or_else(|| "use informational, low, medium, high or critical".to_string())
}

pub(crate) fn run(args: Args) -> Result<Exit, CliError> {
    let inputs = files::expand(&args.paths)?;
    let hunt = Hunt::new(crate::node::parser()?, Arc::new(load(&args)?), now());
    let printer =
        parking_lot::Mutex::new(Printer::new(args.format, COLUMNS.map(str::to_string).to_vec()));
    let highest = AtomicU64::new(0);
    let reports: Vec<Result<FileReport, CliError>> = inputs
        .par_iter()
        .map(|input| {
            let (report, findings) = read(&hunt, input, args.level);
            let mut printer = printer.lock();
            for finding in &findings {
                highest.fetch_max(finding.detection.rule.level as u64, Ordering::Relaxed);
                print(&mut printer, finding, &input.name())?;
            }
            Ok(report)
        })
        .collect();
    let reports = reports.into_iter().collect::<Result<Vec<_>, _>>()?;
    printer.into_inner().finish()?;
    summary(&reports, inputs.len());
    let fails = args.fail_on.is_some_and(|level| highest.load(Ordering::Relaxed) >= level as u64);
    Ok(if fails { Exit::Findings } else { Exit::Done })
}

fn now() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

fn load(args: &Args) -> Result<RuleSet, CliError> {
    let mut sources = if args.rules.is_empty() { rules::builtin() } else { Vec::new() };
    let mut broken = Vec::new();
    for dir in &args.rules {
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

/// Findings of one file. They are held until the file is done, so that files do not mix.
fn read(hunt: &Hunt, input: &Input, level: Severity) -> (FileReport, Vec<Finding>) {
    let mut findings = Vec::new();
    let report = match input.open(&Arc::default()) {
        Ok(reader) => hunt.file(&input.name(), reader, |finding| {
            if finding.detection.rule.level >= level {
                findings.push(finding);
            }
        }),
        Err(error) => FileReport { problems: vec![format!("{error:#}")], ..FileReport::default() },
    };
    (report, findings)
}

fn print(printer: &mut Printer, finding: &Finding, file: &str) -> anyhow::Result<()> {
    let detection = &finding.detection;
    let rule = &detection.rule;
    let event: Value = serde_json::from_slice(&finding.event).unwrap_or_default();
    let row = json!({
        "time": time::format(detection.time),
        "level": rule.level.name(),
        "rule.id": rule.id,
        "rule.title": rule.title,
        "rule.author": rule.author,
        "tags": rule.tags,
        "entity": detection.entity.value,
        "count": detection.count,
        "why": detection.why,
        "file": file,
        "event": event,
    });
    printer.line(&row.to_string())
}

fn summary(reports: &[FileReport], files: usize) {
    let total = |of: fn(&FileReport) -> u64| reports.iter().map(of).sum::<u64>();
    for problem in reports.iter().flat_map(|report| &report.problems) {
        tracing::warn!("{}", printable(problem));
    }
    tracing::info!(
        files,
        records = total(|r| r.records),
        bytes = total(|r| r.bytes),
        not_understood = total(|r| r.not_understood),
        "read"
    );
}
