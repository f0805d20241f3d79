//! Output: tables for people, JSON and CSV for programs. Log text is the attacker's, so nothing
//! that steers a terminal, a spreadsheet or the reading direction leaves here as it is.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use pugmark_event::csv;
pub(crate) use pugmark_event::printable::{is_unsafe, printable};
use serde_json::{Map, Value};

use crate::place::Place;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    Table,
    /// One JSON object a line.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

/// A JSON object with its keys in order.
pub(crate) type Row = Map<String, Value>;

/// Columns of an event that a table shows; the last one takes the rest of the line.
const EVENT_COLUMNS: &[&str] = &["@timestamp", "event.source", "host.name", "event.original"];
/// Rows that a table holds before it is printed: widths need all of them.
const TABLE_ROWS_MAX: usize = 10_000;

/// A JSON line in which unsafe characters are `\u` escapes, which mean the same to a reader.
pub(crate) fn safe_json(line: &str) -> Cow<'_, str> {
    if !line.chars().any(is_unsafe) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// One cell as text: strings without quotes, the rest as JSON.
pub(crate) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => printable(&text.replace(['\n', '\t'], " ")).into_owned(),
        Some(other) => other.to_string(),
    }
}

/// Prints rows as they come.
pub(crate) struct Printer {
    format: Format,
    out: std::io::BufWriter<Box<dyn Write + Send>>,
    /// A terminal wraps what is too wide for it.
    is_terminal: bool,
    /// Columns of a table; none for events.
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    header_written: bool,
    events: bool,
    /// Where the file belongs that is printed to.
    place: Place,
}

impl Printer {
    /// A printer for rows with these columns; no columns means events.
    pub(crate) fn new(format: Format, columns: Vec<String>) -> Printer {
        let stdout = std::io::stdout();
        let is_terminal = stdout.is_terminal();
        Printer { is_terminal, ..Printer::to(Box::new(stdout), format, columns) }
    }

    /// The same for another place than stdout.
    pub(crate) fn to(out: Box<dyn Write + Send>, format: Format, columns: Vec<String>) -> Printer {
        let events = columns.is_empty();
        let columns = match (events, format) {
            (true, Format::Table) => EVENT_COLUMNS.iter().map(ToString::to_string).collect(),
            (true, _) => csv::EVENT_FIELDS.iter().map(ToString::to_string).collect(),
            (false, _) => columns,
        };
        let out = std::io::BufWriter::new(out);
        Printer {
            format,
            out,
            is_terminal: false,
            columns,
            rows: Vec::new(),
            header_written: false,
            events,
            place: Place::default(),
        }
    }

    /// Prints to a file that takes its place at the end.
    pub(crate) fn at(mut self, place: Place) -> Printer {
        self.place = place;
        self
    }

    /// Prints one row, given as a JSON line.
    pub(crate) fn line(&mut self, line: &str) -> anyhow::Result<()> {
        match self.format {
            Format::Json => Ok(writeln!(self.out, "{}", safe_json(line))?),
            Format::Csv | Format::Table => self.row(&serde_json::from_str(line)?),
        }
    }

    /// Prints one row.
    pub(crate) fn row(&mut self, row: &Row) -> anyhow::Result<()> {
        match self.format {
            Format::Json => {
                writeln!(self.out, "{}", safe_json(&serde_json::to_string(row)?))?;
            }
            Format::Csv => self.csv(row)?,
            // Events stream; only the table of a statistic needs all rows for its widths.
            Format::Table if self.events => {
                let cells: Vec<_> = self.columns.iter().map(|c| cell(row.get(c))).collect();
                writeln!(self.out, "{}", cells.join("  "))?;
            }
            Format::Table => {
                self.rows.push(self.columns.iter().map(|c| cell(row.get(c))).collect());
                if self.rows.len() >= TABLE_ROWS_MAX {
                    self.table()?;
                }
            }
        }
        Ok(())
    }

    fn csv(&mut self, row: &Row) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        if !std::mem::replace(&mut self.header_written, true) {
            csv::write_header(&self.columns, &mut lines);
        }
        csv::write_row(&self.columns, row, &mut lines);
        Ok(self.out.write_all(&lines)?)
    }

    fn table(&mut self) -> anyhow::Result<()> {
        let mut table = Table::new();
        table.load_preset(NOTHING);
        let arrangement = match self.is_terminal {
            true => ContentArrangement::Dynamic,
            false => ContentArrangement::Disabled,
        };
        table.set_content_arrangement(arrangement);
        if !std::mem::replace(&mut self.header_written, true) {
            table.set_header(&self.columns);
        }
        table.add_rows(self.rows.drain(..));
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Prints what is left. Call it once, at the end.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        if !self.rows.is_empty() {
            self.table()?;
        }
        self.out.flush()?;
        Ok(self.place.take()?)
    }

    /// Sends what is printed so far on its way, for results that trickle.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }
}

/// A word beside the answer, on stderr: the answer itself may go into a file or a pipe.
#[allow(clippy::print_stderr, reason = "not part of the answer")]
pub(crate) fn remark(text: &str) {
    eprintln!("{text}");
}

/// Prints one line of plain text to stdout.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    Ok(writeln!(out, "{text}")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(safe_json("\"\u{9b}\""), "\"\\u009b\"");
    }
}
