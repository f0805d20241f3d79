//! `pugmark propose`: a parser pack for records that no pack knows.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use pugmark_engine::hunt::FILE_BYTES_MAX;
use pugmark_engine::parsers;
use pugmark_event::Records;
use pugmark_parse::propose::{self, Field, Proposal, RECORDS_MAX};
use pugmark_parse::{Input, frame};

use crate::error::{CliError, Exit};
use crate::files;
use crate::output::{printable, remark, say};

/// Records that the pack does not take, of which so many are shown.
const REMAINING_MAX: usize = 5;

/// Propose a parser pack for records that none knows
///
/// The pack comes from the records alone: the forms of their messages, what the values look like
/// and the words around them. It is printed with what it rests on as comments; with --write it goes
/// to a folder, where `pugmark parse --packs` and the server's parsers.dir find it. Read it before
/// you rely on it.
///
/// Examples:
///   pugmark propose till.log --name shop/till
///   pugmark propose till.log --name shop/till --write my-parsers
///   pugmark parse till.log --packs my-parsers
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// File with records; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What the pack is to be called (vendor/product)
    #[arg(long, value_name = "NAME", default_value = "own/product")]
    name: String,
    /// Write the pack to this folder
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<Exit, CliError> {
    parsers::check_name(&args.name).map_err(|error| CliError::usage(error.to_string()))?;
    let records = records(&args.file)?;
    let received = chrono::Utc::now().timestamp_micros();
    let source = args.file.file_stem().unwrap_or_default().to_string_lossy();
    let input = Input { source: &source, records: &records, first_id: 1, received, format: None };
    let proposal = propose::propose(&input, &args.name);
    match &args.write {
        Some(dir) => {
            parsers::put(dir, &args.name, &proposal.text)
                .map_err(|error| CliError::usage(error.to_string()))?;
            say(&format!("{} written to {}", args.name, dir.display()))?;
        }
        None => say(&printable_lines(&proposal.text))?,
    }
    remark(&printable_lines(&summary(&proposal, &records)));
    Ok(if proposal.covered > 0.0 { Exit::Done } else { Exit::No })
}

/// The first records of the file.
fn records(path: &PathBuf) -> Result<Records, CliError> {
    let mut all = Records::default();
    for file in files::expand(std::slice::from_ref(path))? {
        let name = file.name();
        let blocks = frame::open(file.open(&Arc::default())?, FILE_BYTES_MAX)
            .with_context(|| format!("cannot read {name}"))?;
        for block in blocks {
            let records = block.with_context(|| format!("cannot read {name}"))?;
            let room = RECORDS_MAX - all.len();
            records.iter().take(room).for_each(|record| all.push(record));
            if all.len() >= RECORDS_MAX {
                return Ok(all);
            }
        }
    }
    Ok(all)
}

fn summary(proposal: &Proposal, records: &Records) -> String {
    let percent = |share: f64| (share * 100.0).round();
    let mut text = format!(
        "{} records, {} % taken by the pack; confidence {} %",
        proposal.records,
        percent(proposal.covered),
        percent(proposal.confidence)
    );
    for pattern in &proposal.patterns {
        text += &format!("\n{:>8}  {}", pattern.count, pattern.example);
        text += &fields(&pattern.fields);
        for (name, value) in &pattern.values {
            text += &format!("\n            {name}: {value}");
        }
    }
    text += &fields(&proposal.fields);
    if !proposal.remaining.is_empty() {
        text += &format!("\nnot taken: {} records, such as", proposal.remaining.len());
    }
    let all: Vec<&[u8]> = records.iter().collect();
    for at in proposal.remaining.iter().take(REMAINING_MAX) {
        let record = all.get(*at).copied().unwrap_or_default();
        text += &format!("\n          {}", String::from_utf8_lossy(record));
    }
    text
}

fn fields(fields: &[Field]) -> String {
    let shown = |field: &Field| {
        let native = if field.native.is_empty() { "" } else { &format!("{} -> ", field.native) };
        let Field { field: name, example, .. } = field;
        format!(
            "\n            {native}{name} ({}, {:.0} %), such as {example}",
            field.shape.name(),
            field.confidence * 100.0
        )
    };
    fields.iter().map(shown).collect()
}

/// Text of several lines that a terminal may show.
fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}
