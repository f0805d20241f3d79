//! Rows as CSV (RFC 4180) that a spreadsheet cannot be made to run: what the API and the CLI write.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::printable::printable;

/// The fields of an event that CSV has: its columns must be known before the first row is.
pub const EVENT_FIELDS: &[&str] = &[
    "@timestamp",
    "event.id",
    "event.source",
    "host.name",
    "user.name",
    "source.ip",
    "destination.ip",
    "event.action",
    "event.outcome",
    "message",
    "event.original",
];

/// Appends the line that names the columns.
pub fn write_header(columns: &[String], out: &mut Vec<u8>) {
    write_record(columns.iter().map(|column| text_cell(column)), out);
}

/// Appends a row: the values of these columns, of which those that are not there stay empty.
pub fn write_row(columns: &[String], row: &Map<String, Value>, out: &mut Vec<u8>) {
    write_record(columns.iter().map(|column| cell(row.get(column))), out);
}

/// A value as it stands in a cell, before it is quoted.
pub fn cell(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => text_cell(text),
        Some(other) => Cow::Owned(printable(&other.to_string()).into_owned()),
    }
}

/// What spreadsheets take for the start of a formula, also in full width (OWASP, CSV injection).
const FORMULA_STARTS: [char; 11] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// Text in a cell; what a spreadsheet would run as a formula gets a quote in front. A number is
/// none, also a negative one.
fn text_cell(text: &str) -> Cow<'_, str> {
    match text.starts_with(FORMULA_STARTS) {
        true => Cow::Owned(format!("'{}", printable(text))),
        false => printable(text),
    }
}

fn write_record<'a>(cells: impl Iterator<Item = Cow<'a, str>>, out: &mut Vec<u8>) {
    let (start, mut count) = (out.len(), 0);
    for cell in cells {
        if count > 0 {
            out.push(b',');
        }
        count += 1;
        // Some spreadsheets split at semicolons and tabs too.
        match cell.contains([',', ';', '\t', '"', '\n', '\r']) {
            true => {
                out.push(b'"');
                out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
                out.push(b'"');
            }
            false => out.extend_from_slice(cell.as_bytes()),
        }
    }
    if count == 1 && out.len() == start {
        // An empty line is no row to those who read it.
        out.extend_from_slice(b"\"\"");
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spreadsheets_run_nothing() {
        for (value, expected) in [
            (json!("=cmd|x"), "'=cmd|x"),
            (json!("@SUM"), "'@SUM"),
            (json!("\u{ff1d}1"), "'\u{ff1d}1"),
            (json!("\t=1"), "'\t=1"),
            (json!(-5), "-5"),
            (json!(null), ""),
            (json!(["a"]), "[\"a\"]"),
            (json!("fine"), "fine"),
            (json!("a\u{202e}b"), "a\\u{202e}b"),
        ] {
            assert_eq!(cell(Some(&value)), expected);
        }
    }

    #[test]
    fn rows_are_quoted_where_they_must() {
        for (columns, row, expected) in [
            (&["a", "b"][..], json!({"a": 1, "b": "x"}), "a,b\n1,x\n"),
            (&["a"][..], json!({"a": "x,\"y\"\nz"}), "a\n\"x,\"\"y\"\"\nz\"\n"),
            (&["-a", "b"][..], json!({"c": 1}), "'-a,b\n,\n"),
            (&["a"][..], json!({}), "a\n\"\"\n"),
        ] {
            let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
            let mut out = Vec::new();
            write_header(&columns, &mut out);
            write_row(&columns, row.as_object().unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
