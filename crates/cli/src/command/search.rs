//! `pugmark search`: asks for events or a table.

use futures::StreamExt;
use pugmark_connect::Client;
use pugmark_event::json::RowWriter;
use pugmark_event::time;
use pugmark_query::{Kind, Request, Search, SearchError};

use super::Where;
use crate::error::{CliError, Exit};
use crate::output::{Format, Printer};
use crate::settings::Settings;

/// Ask a question
///
/// Examples:
///   pugmark search 'sshd "failed password"' --from now-1h
///   pugmark search 'source.ip:203.0.113.0/24 | stats count() by user.name | sort -count'
///   pugmark search '* | timechart span=1h count() by event.source' --format csv
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The question; see the query language guide
    query: String,
    #[command(flatten)]
    place: Where,
    /// Start, such as 2026-11-23, 2026-11-23T10:00:00Z or now-15m
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// End (not included)
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Events at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    match args.place.client()? {
        Some(client) => ask_server(&args, &client).await,
        None => ask_folder(&args, &settings).await,
    }
}

async fn ask_server(args: &Args, client: &Client) -> Result<Exit, CliError> {
    let (from, to) = (args.from.as_deref(), args.to.as_deref());
    let (mut chunks, columns) = client.search(&args.query, from, to, Some(args.limit)).await?;
    let mut printer = Printer::new(args.format, columns);
    let mut pending: Vec<u8> = Vec::new();
    while let Some(chunk) = chunks.next().await {
        pending.extend_from_slice(&chunk?);
        let whole = pending.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        for line in pending[..whole].split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            print_line(&mut printer, &String::from_utf8_lossy(line))?;
        }
        pending.drain(..whole);
        printer.flush()?;
    }
    printer.finish()?;
    Ok(Exit::Done)
}

/// An answer that fails half-way ends with a line that says why.
fn print_line(printer: &mut Printer, line: &str) -> Result<(), CliError> {
    if line.starts_with("{\"error\":{") {
        let said: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(message) = said["error"]["message"].as_str() {
            return Err(anyhow::anyhow!("the answer is not complete: {message}").into());
        }
    }
    Ok(printer.line(line)?)
}

async fn ask_folder(args: &Args, settings: &Settings) -> Result<Exit, CliError> {
    let now = chrono::Utc::now().timestamp_micros();
    let bound = |text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => time::parse_bound(text, now).map(Some).ok_or_else(|| {
            CliError::usage(format!("{text:?} is no time"))
                .hint("write 2026-11-23, 2026-11-23T10:00:00Z or now-15m")
        }),
    };
    let plan = pugmark_query::parse(&args.query).map_err(|d| query_error(&args.query, &d))?;
    let (from, to) = (bound(&args.from)?, bound(&args.to)?);
    let request = Request { plan, from, to, limit: Some(args.limit), now };
    let dir = args.place.dir(settings);
    let (_store, search) = crate::node::open_read_only(&dir, settings).await?;
    let mut answer = search.search(request).await.map_err(|e| search_error(&args.query, e))?;
    let columns = if answer.kind == Kind::Table { answer.columns } else { Vec::new() };
    let mut printer = Printer::new(args.format, columns);
    let mut line = Vec::new();
    while let Some(batch) = answer.rows.next().await {
        let batch = batch.map_err(|e| search_error(&args.query, e))?;
        let writer = RowWriter::new(&batch);
        for row in 0..batch.num_rows() {
            line.clear();
            writer.write(row, &mut line);
            printer.line(&String::from_utf8_lossy(&line))?;
        }
    }
    printer.finish()?;
    Ok(Exit::Done)
}

fn search_error(query: &str, error: SearchError) -> CliError {
    match error {
        SearchError::BadQuery(diagnostics) => query_error(query, &diagnostics),
        other => anyhow::Error::from(other).into(),
    }
}

/// The query with a mark under the place that is wrong.
fn query_error(query: &str, diagnostics: &[pugmark_query::Diagnostic]) -> CliError {
    let Some(first) = diagnostics.first() else { return CliError::usage("the query is wrong") };
    let shown = query.replace(['\n', '\t'], " ");
    let before = query.get(..first.from).map_or(0, |t| t.chars().count());
    let marked = query.get(first.from..first.to).map_or(1, |t| t.chars().count()).max(1);
    let caret = format!("{}{}", " ".repeat(before), "^".repeat(marked));
    let error = CliError::usage(format!("{}\n\n  {shown}\n  {caret}", first.message));
    match &first.hint {
        Some(hint) => error.hint(hint.clone()),
        None => error,
    }
}
