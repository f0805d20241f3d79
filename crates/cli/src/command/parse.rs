//! `pugmark parse`: how the records of a file become events.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::ValueEnum;
use pugmark_engine::hunt::FILE_BYTES_MAX;
use pugmark_engine::parsers::{ParserBook, own_packs};
use pugmark_engine::transforms::Found;
use pugmark_engine::{Reader, TransformBook};
use pugmark_event::json::RowWriter;
use pugmark_event::{Batch, fields};
use pugmark_parse::{Headers, Input, Parser, frame};
use pugmark_transform::Transform;
use serde_json::Value;

use crate::error::{CliError, Exit};
use crate::files;
use crate::output::{Row, cell, printable, safe_json, say};

/// Longest piece of a record or a value that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 120;
/// Forms of lines without a pack that are listed.
const UNKNOWN_MAX: usize = 10;
/// Columns that every event has, or that are shown elsewhere.
const ALWAYS: [&str; 9] = [
    "@timestamp",
    "event.ingested",
    "event.id",
    "event.source",
    "event.original",
    "event.module",
    "event.issues",
    "message",
    "event.attribute_kinds",
];

/// Show how records become events
///
/// Each record of the files with the pack that understood it, the fields that it got, and what is
/// left over; then a summary. Nothing is stored.
///
/// Examples:
///   pugmark parse /var/log/auth.log
///   pugmark parse access.log --format json | head -1
///   pugmark parse unknown.log --pack openssh/sshd
///   pugmark parse shop.log --transform shop.yaml
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Files, folders or globs; - for standard input
    #[arg(value_name = "FILE", required_unless_present = "list")]
    files: Vec<PathBuf>,
    /// Ask this pack alone, whatever the records look like (vendor/product)
    #[arg(long, value_name = "NAME")]
    pack: Option<String>,
    /// Folder with packs of your own, <vendor>/<product>/parser.yaml
    #[arg(long, value_name = "DIR")]
    packs: Option<PathBuf>,
    /// Name of the source, which some packs look at [default: the file's name]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Transform the events as this file says
    #[arg(long, value_name = "FILE")]
    transform: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Records to show before the summary
    #[arg(long, value_name = "N", default_value_t = 20)]
    rows: usize,
    /// List the packs and their log sources
    #[arg(long, conflicts_with = "files")]
    list: bool,
}

/// How events are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, with a summary.
    Text,
    /// One event a line, all of them.
    Json,
}

pub(crate) fn run(args: &Args) -> Result<Exit, CliError> {
    let mut parser = parser(args.packs.as_deref())?;
    if args.list {
        return list(&parser);
    }
    if let Some(pack) = &args.pack {
        parser.force(&full_name(&parser, pack)).map_err(|e| CliError::usage(e.to_string()))?;
    }
    let book = match &args.transform {
        Some(file) => transform(file)?,
        None => TransformBook::default(),
    };
    // Its samples are records of its source, whatever their file is called.
    let source = book.transforms.list().first().map(Transform::sample_source);
    let source = args.source.clone().or(source);
    let reader = Reader::new(ParserBook::of(parser), book);
    let mut summary = Summary::default();
    each_batch(&args.files, source.as_deref(), &reader, &mut |batch| {
        let rows = RowWriter::new(batch.columns());
        let mut line = Vec::new();
        for row in 0..batch.rows() {
            line.clear();
            rows.write(row, &mut line);
            let text = String::from_utf8_lossy(&line);
            if args.format == Format::Json {
                say(&safe_json(&text))?;
                continue;
            }
            let event: Row = serde_json::from_str(&text).context("an event is no JSON")?;
            if summary.records < args.rows {
                say(&shown(&event))?;
            }
            summary.add(&event);
        }
        Ok(())
    })?;
    match args.format {
        Format::Json => std::io::stdout().flush().context("cannot write")?,
        Format::Text => say(&summary.text())?,
    }
    for (name, count) in reader.counts().into_iter().filter(|_| args.format == Format::Text) {
        let reason = count.reason.map_or_else(String::new, |reason| format!(": {reason}"));
        let line = format!("transform {name}: {} of {} failed", count.failed, count.events);
        say(&printable(&(line + &reason)))?;
    }
    Ok(Exit::Done)
}

/// The one transform of a file.
fn transform(file: &Path) -> Result<TransformBook, CliError> {
    let sources = vec![super::transform::read(file)?];
    let book = TransformBook::compile(Found { sources, problems: Vec::new() }, Vec::new());
    match book.problems.first() {
        Some(problem) => Err(CliError::usage(super::transform::described(problem))),
        None => Ok(book),
    }
}

/// The packs in the binary, and those in a folder, of which none may be broken.
fn parser(packs: Option<&Path>) -> Result<Parser, CliError> {
    let (own, unread) = packs.map(own_packs).unwrap_or_default();
    let (parser, broken) = Parser::with_own(&own).context("a parser pack is broken")?;
    match unread.into_iter().chain(broken).next() {
        Some(problem) => Err(CliError::usage(problem.to_string())),
        None => Ok(parser),
    }
}

fn list(parser: &Parser) -> Result<Exit, CliError> {
    for (name, pack) in parser.names().zip(parser.catalog()) {
        let sources: Vec<String> = pack.sources.iter().map(source_text).collect();
        say(&format!("{name:<32} {}", sources.join(" ")))?;
    }
    Ok(Exit::Done)
}

/// Product, category and service with dashes where there is none.
fn source_text(source: &[String; 3]) -> String {
    let part = |text: &String| if text.is_empty() { "-".to_string() } else { text.clone() };
    source.iter().map(part).collect::<Vec<_>>().join("/")
}

/// `sshd` is `openssh/sshd`, while only one pack ends so.
fn full_name(parser: &Parser, name: &str) -> String {
    let end = format!("/{name}");
    let mut ending = parser.names().filter(|full| full.ends_with(&end));
    match (ending.next(), ending.next()) {
        (Some(full), None) => full.to_string(),
        _ => name.to_string(),
    }
}

/// Parses all files, block by block.
pub(super) fn each_batch(
    paths: &[PathBuf],
    source: Option<&str>,
    reader: &Reader,
    each: &mut dyn FnMut(&Batch) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let received = chrono::Utc::now().timestamp_micros();
    let mut first_id = 1;
    for file in files::expand(paths)? {
        let name = file.name();
        let source = source.map_or_else(|| source_of(&file), str::to_string);
        let blocks = frame::open(file.open(&Arc::default())?, FILE_BYTES_MAX)
            .with_context(|| format!("cannot read {name}"))?;
        let mut headers = Headers::default();
        for block in blocks {
            let records = block.with_context(|| format!("cannot read {name}"))?;
            let header = headers.next(&records);
            let format = header.as_deref();
            let input = Input { source: &source, records: &records, first_id, received, format };
            each(&reader.read(&input))?;
            first_id += records.len() as i64;
        }
    }
    Ok(())
}

/// The file's name without its ending.
fn source_of(file: &files::Input) -> String {
    match file {
        files::Input::Stdin => "stdin".to_string(),
        files::Input::File(path) => {
            path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        }
    }
}

/// One event for a person: the record, who understood it, its fields, what is left.
fn shown(event: &Row) -> String {
    let record = cut(&cell(event.get("event.original")));
    let pack = module(event).unwrap_or("no pack");
    let mut text = format!("{record}\n  {pack}, {}", cell(event.get("@timestamp")));
    let value = |(name, value): (&String, &Value)| format!("{name}={}", cut(&cell(Some(value))));
    let known = |name: &str| fields::by_ecs_name(name).is_some();
    let columns = event.iter().filter(|(n, _)| known(n) && !ALWAYS.contains(&n.as_str()));
    let columns: Vec<String> = columns.map(value).collect();
    let tail: Vec<String> = event.iter().filter(|(n, _)| !known(n)).map(value).collect();
    for (label, list) in [("fields", columns), ("own names", tail)] {
        if !list.is_empty() {
            text += &format!("\n  {label}: {}", list.join(" "));
        }
    }
    if module(event).is_none() && event.contains_key("message") {
        text += &format!("\n  left over: {}", cut(&cell(event.get("message"))));
    }
    if event.contains_key("event.issues") {
        text += &format!("\n  issues: {}", cell(event.get("event.issues")));
    }
    text + "\n"
}

fn module(event: &Row) -> Option<&str> {
    event.get("event.module").and_then(Value::as_str)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", printable(&text[..end])),
        None => printable(text).into_owned(),
    }
}

/// What the files hold.
#[derive(Default)]
struct Summary {
    records: usize,
    packs: BTreeMap<String, usize>,
    issues: BTreeMap<String, usize>,
    /// Messages without a pack, their digits made alike.
    unknown: BTreeMap<String, usize>,
}

impl Summary {
    /// Forms of unknown messages that are counted.
    const FORMS_MAX: usize = 10_000;

    fn add(&mut self, event: &Row) {
        self.records += 1;
        match module(event) {
            Some(pack) => *self.packs.entry(pack.to_string()).or_default() += 1,
            None => {
                let form = form(&cell(event.get("message")));
                if self.unknown.len() < Self::FORMS_MAX || self.unknown.contains_key(&form) {
                    *self.unknown.entry(form).or_default() += 1;
                }
            }
        }
        for issue in cell(event.get("event.issues")).split(',').filter(|issue| !issue.is_empty()) {
            *self.issues.entry(issue.trim().to_string()).or_default() += 1;
        }
    }

    fn text(&self) -> String {
        let known: usize = self.packs.values().sum();
        let percent = known * 100 / self.records.max(1);
        let mut text =
            format!("{} records, {known} ({percent} %) understood by a pack", self.records);
        for (title, list, count) in [
            ("packs", &self.packs, usize::MAX),
            ("issues", &self.issues, usize::MAX),
            ("without a pack, the commonest first", &self.unknown, UNKNOWN_MAX),
        ] {
            let mut list: Vec<(&String, &usize)> = list.iter().collect();
            list.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
            if !list.is_empty() {
                text += &format!("\n{title}:");
            }
            for (name, count) in list.into_iter().take(count) {
                text += &format!("\n{count:>8}  {}", cut(name));
            }
        }
        text
    }
}

/// A message with its digits made alike, so that lines that differ in numbers count together.
fn form(message: &str) -> String {
    let mut form = String::new();
    for c in message.chars().take(2 * SHOWN_CHARS_MAX) {
        match c.is_ascii_digit() {
            true if form.ends_with('#') => {}
            true => form.push('#'),
            false => form.push(c),
        }
    }
    form
}
