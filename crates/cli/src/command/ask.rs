//! What commands that ask share: where and when to look, how much to print, and how.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use futures::StreamExt;
use pugmark_connect::Client;
use pugmark_event::json::RowWriter;
use pugmark_query::{Answer, Diagnostic, Kind, Request, SearchError};
use pugmark_store::ParquetExport;
use serde_json::{Value, json};

use super::{Where, bound};
use crate::error::{CliError, Exit};
use crate::output::{Format, Printer, remark};
use crate::place::Place;
use crate::settings::Settings;

/// A question about some time.
#[derive(Debug, clap::Args)]
pub(crate) struct Ask {
    #[command(flatten)]
    pub(crate) place: Where,
    /// Start, such as 2026-11-23, 2026-11-23T10:00:00Z or now-15m
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// End (not included)
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) rows: Rows,
}

/// How many rows, and how they are printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Rows {
    /// Rows at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) limit: usize,
    /// How to print
    #[arg(long, value_enum, default_value_t = AnswerFormat::Table)]
    format: AnswerFormat,
    /// Print to this file, in place of one that is there once the answer is whole
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AnswerFormat {
    /// Columns for people.
    Table,
    /// One JSON object a line.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// A Parquet file, not for terminals.
    Parquet,
}

impl AnswerFormat {
    /// The format of text; `None` for a file that is none.
    fn text(self) -> Option<Format> {
        match self {
            AnswerFormat::Table => Some(Format::Table),
            AnswerFormat::Json => Some(Format::Json),
            AnswerFormat::Csv => Some(Format::Csv),
            AnswerFormat::Parquet => None,
        }
    }
}

impl Ask {
    /// Asks `query` and prints the rows of its answer.
    pub(crate) async fn print(&self, query: &str, settings: &Settings) -> Result<Exit, CliError> {
        match self.place.client()? {
            Some(client) => self.rows.ask(&client, "/api/v1/search", &self.body(query)).await,
            None => {
                let request = self.request(query)?;
                let dir = self.place.dir(settings);
                let (_store, search) = crate::node::open_read_only(&dir, settings).await?;
                let answer = pugmark_query::Search::search(&search, request).await;
                self.rows.print(answer, query).await
            }
        }
    }

    /// The question as a server takes it.
    pub(crate) fn body(&self, query: &str) -> Value {
        json!({"query": query, "from": self.from, "to": self.to, "limit": self.rows.limit})
    }

    /// The question as a search takes it.
    pub(crate) fn request(&self, query: &str) -> Result<Request, CliError> {
        let plan = pugmark_query::parse(query).map_err(|d| query_error(query, &d))?;
        let (from, to) = (bound(self.from.as_deref())?, bound(self.to.as_deref())?);
        let now = chrono::Utc::now().timestamp_micros();
        Ok(Request { plan, from, to, limit: Some(self.rows.limit), now })
    }
}

impl Rows {
    /// The format, for what cannot be a Parquet file.
    pub(crate) fn text_format(&self) -> Result<Format, CliError> {
        self.format.text().ok_or_else(|| {
            CliError::usage("this cannot be printed as Parquet")
                .hint("choose --format table, json or csv")
        })
    }

    /// Asks a server and prints the rows as they come.
    pub(crate) async fn ask(
        &self,
        client: &Client,
        path: &str,
        body: &Value,
    ) -> Result<Exit, CliError> {
        let Some(format) = self.format.text() else { return self.save(client, body).await };
        let (mut chunks, columns) = client.answer(path, body).await?;
        let mut printer = self.printer(format, columns)?;
        let mut lines = Lines::default();
        while let Some(chunk) = chunks.next().await {
            for line in lines.take(&chunk?) {
                print_line(&mut printer, &line)?;
            }
            printer.flush()?;
        }
        printer.finish()?;
        Ok(Exit::Done)
    }

    /// Prints an answer; `question` is what was asked.
    pub(crate) async fn print(
        &self,
        answer: Result<Answer, SearchError>,
        question: &str,
    ) -> Result<Exit, CliError> {
        let mut answer = answer.map_err(|e| search_error(question, e))?;
        let Some(format) = self.format.text() else { return self.write(answer, question).await };
        let columns = if answer.kind == Kind::Table { answer.columns } else { Vec::new() };
        let mut printer = self.printer(format, columns)?;
        let mut line = Vec::new();
        while let Some(batch) = answer.rows.next().await {
            let batch = batch.map_err(|e| search_error(question, e))?;
            let writer = match answer.kind {
                Kind::Events => RowWriter::new(&batch),
                // A table has a value in each column, as it has from a server.
                Kind::Table => RowWriter::new(&batch).with_nulls(),
            };
            for row in 0..batch.num_rows() {
                line.clear();
                writer.write(row, &mut line);
                printer.line(&String::from_utf8_lossy(&line))?;
            }
        }
        printer.finish()?;
        Ok(Exit::Done)
    }

    /// What prints rows with these columns, to where they are wanted.
    pub(crate) fn printer(
        &self,
        format: Format,
        columns: Vec<String>,
    ) -> Result<Printer, CliError> {
        Ok(match self.file()? {
            Some((file, place)) => Printer::to(Box::new(file), format, columns).at(place),
            None => Printer::new(format, columns),
        })
    }

    fn file(&self) -> Result<Option<(std::fs::File, Place)>, CliError> {
        let Some(path) = &self.output else { return Ok(None) };
        let file = Place::create(path);
        Ok(Some(file.with_context(|| format!("cannot write to {}", path.display()))?))
    }

    /// Where bytes go that are no text.
    fn sink(&self) -> Result<(Box<dyn Write + Send>, Place), CliError> {
        match self.file()? {
            Some((file, place)) => Ok((Box::new(std::io::BufWriter::new(file)), place)),
            None if std::io::stdout().is_terminal() => {
                Err(CliError::usage("a Parquet file is not for a terminal")
                    .hint("name a file with --output FILE"))
            }
            None => Ok((Box::new(std::io::stdout()), Place::default())),
        }
    }

    /// Lets a server write the Parquet file, for a question with the bounds of [`Rows::ask`].
    async fn save(&self, client: &Client, body: &Value) -> Result<Exit, CliError> {
        let (mut sink, place) = self.sink()?;
        let mut body = body.clone();
        if let Some(question) = body.as_object_mut() {
            question.remove("limit");
            question.insert("rows_max".into(), json!(self.limit));
            question.insert("format".into(), json!("parquet"));
        }
        let (mut chunks, cap) = client.export(&body).await?;
        while let Some(chunk) = chunks.next().await {
            sink.write_all(&chunk?)?;
        }
        sink.flush()?;
        place.take()?;
        if let Some(cap) = cap.filter(|cap| *cap < self.limit) {
            remark(&format!("the server exports {cap} rows at most"));
        }
        Ok(Exit::Done)
    }

    /// Writes an answer as a Parquet file.
    async fn write(&self, mut answer: Answer, question: &str) -> Result<Exit, CliError> {
        let (mut sink, place) = self.sink()?;
        let mut file: Option<ParquetExport> = None;
        while let Some(batch) = answer.rows.next().await {
            let batch = batch.map_err(|e| search_error(question, e))?;
            let file = match &mut file {
                Some(file) => file,
                none => none
                    .insert(ParquetExport::new(batch.schema_ref()).map_err(anyhow::Error::from)?),
            };
            sink.write_all(&file.write(&batch).map_err(anyhow::Error::from)?)?;
        }
        let rest = match file {
            Some(file) => file.finish(),
            None => ParquetExport::empty(&answer.columns),
        };
        sink.write_all(&rest.map_err(anyhow::Error::from)?)?;
        sink.flush()?;
        place.take()?;
        Ok(Exit::Done)
    }
}

/// Whole lines of what comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    /// The lines that end in the next piece; those without text are left out.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(piece);
        let whole = self.0.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let ended: Vec<u8> = self.0.drain(..whole).collect();
        let lines = ended.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }
}

/// An answer that fails half-way ends with a line that says why.
fn print_line(printer: &mut Printer, line: &str) -> Result<(), CliError> {
    if line.starts_with("{\"error\":{") {
        let said: Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(message) = said["error"]["message"].as_str() {
            let error = CliError::from(anyhow::anyhow!("the answer is not complete: {message}"));
            return Err(match said["error"]["hint"].as_str() {
                Some(hint) => error.hint(hint),
                None => error,
            });
        }
    }
    Ok(printer.line(line)?)
}

pub(crate) fn search_error(query: &str, error: SearchError) -> CliError {
    match error {
        SearchError::BadQuery(diagnostics) => query_error(query, &diagnostics),
        SearchError::BadSql(_) => CliError::usage(error.to_string()),
        SearchError::Limited { ref hint, .. } => {
            let hint = hint.clone();
            CliError::from(anyhow::Error::from(error)).hint(hint)
        }
        other => anyhow::Error::from(other).into(),
    }
}

/// The query with a mark under the place that is wrong.
pub(crate) fn query_error(query: &str, diagnostics: &[Diagnostic]) -> CliError {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole() {
        let mut lines = Lines::default();
        for (piece, expected) in
            [("a\nb", &["a"][..]), ("c", &[]), ("\n\nd\n", &["bc", "d"]), ("", &[])]
        {
            assert_eq!(lines.take(piece.as_bytes()), expected, "{piece:?}");
        }
    }
}
