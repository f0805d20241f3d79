//! `pugmark templates`: the templates that the messages of a file were made from.

use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use pugmark_engine::parsers::ParserBook;
use pugmark_engine::{Reader, TransformBook};
use pugmark_event::{Batch, fields};
use pugmark_parse::Parser;
use pugmark_parse::templates::{Limits, Miner, TemplateId};

use super::parse::each_batch;
use crate::error::{CliError, Exit};
use crate::output::{printable, safe_json, say};

/// Show the templates of messages
///
/// Programs print the same few texts with other values in them. Each record's time, level and other
/// envelope are taken off first; what is left is its message.
///
/// Examples:
///   pugmark templates app.log
///   pugmark templates app.log --format json | head -1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Files, folders or globs; - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Templates to list, the commonest first
    #[arg(long, value_name = "N", default_value_t = 100)]
    rows: usize,
    /// Take each record as a message, with its time and all
    #[arg(long)]
    raw: bool,
}

/// How templates are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A list of templates with their counts.
    Text,
    /// One object for each record, in their order.
    Json,
}

pub(crate) fn run(args: &Args) -> Result<Exit, CliError> {
    let parser = Parser::builtin().context("a parser pack is broken")?;
    let reader = Reader::new(ParserBook::of(parser), TransformBook::default());
    let mut miner = Miner::new(Limits::default());
    let (mut ids, mut slots) = (Vec::new(), Vec::new());
    each_batch(&args.files, None, &reader, &mut |batch| {
        for row in 0..batch.rows() {
            ids.push(miner.learn(&message(batch, row, args.raw), &mut slots));
        }
        Ok(())
    })?;
    match args.format {
        Format::Json => records(&miner, &ids)?,
        Format::Text => list(&miner, ids.len(), args.rows)?,
    }
    Ok(Exit::Done)
}

/// The text of a record without its envelope; the record where it has none.
fn message(batch: &Batch, row: usize, raw: bool) -> String {
    let messages = batch.text(fields::MESSAGE).filter(|_| !raw);
    let known = messages.and_then(|texts| texts.iter().nth(row).flatten());
    known.map_or_else(|| String::from_utf8_lossy(batch.original(row)).into_owned(), str::to_string)
}

/// What became of each record. Templates are learnt on the way, so a record shows what the template
/// it was given had become by the end.
fn records(miner: &Miner, ids: &[TemplateId]) -> Result<(), CliError> {
    for id in ids {
        let id = miner.resolve(*id);
        let text = miner.template(id).map(|template| template.text()).unwrap_or_default();
        let object = serde_json::json!({"template.id": format!("{:016x}", id.0), "template": text});
        say(&safe_json(&object.to_string()))?;
    }
    Ok(())
}

fn list(miner: &Miner, records: usize, rows: usize) -> Result<(), CliError> {
    let mut templates: Vec<_> = miner.templates().collect();
    templates.sort_by_key(|template| (std::cmp::Reverse(template.count()), template.id()));
    say(&format!("{records} records, {} templates", templates.len()))?;
    for template in templates.iter().take(rows) {
        say(&format!("{:>8}  {}", template.count(), printable(&template.typed())))?;
    }
    Ok(())
}
