//! Rows as JSON with flat, dotted ECS names: what the API, the CLI and outputs print.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine;

use crate::batch::Attributes;
use crate::conflict::CONFLICTS_PREFIX;
use crate::fields::{self, ATTRIBUTES, FIELDS};
use crate::value::Value;

/// Writes rows of one Arrow batch as JSON objects. Null columns are left out; attributes stand
/// beside the columns under their own names. Works for events and for rows of any statistics.
#[derive(Debug)]
pub struct RowWriter<'a> {
    batch: &'a RecordBatch,
    keys: Vec<&'a str>,
    keep_nulls: bool,
}

impl<'a> RowWriter<'a> {
    /// A writer for `batch`. A column that the registry knows is called by its ECS name.
    pub fn new(batch: &'a RecordBatch) -> Self {
        Self { batch, keys: names(batch), keep_nulls: false }
    }

    /// Writes nulls too, so that every row of a table has every column.
    pub fn with_nulls(mut self) -> Self {
        self.keep_nulls = true;
        self
    }

    /// Appends the row as one JSON object, without a line end.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        for (i, key) in self.keys.iter().enumerate() {
            let column = self.batch.column(i);
            if *key == fields::ATTRIBUTE_KINDS.name() && self.has_attributes() {
                continue;
            }
            if *key == ATTRIBUTES && column.as_map_opt().is_some() {
                self.write_attributes(row, &mut first, out);
                continue;
            }
            if column.is_null(row) && !self.keep_nulls {
                continue;
            }
            begin_entry(key, &mut first, out);
            write_cell(column, row, *key == "event.id", out);
        }
        out.push(b'}');
    }

    fn has_attributes(&self) -> bool {
        self.batch.column_by_name(ATTRIBUTES).is_some()
    }

    fn write_attributes(&self, row: usize, first: &mut bool, out: &mut Vec<u8>) {
        for (key, value) in Attributes::of(self.batch).row(row) {
            // A value that did not fit its column has the column's name.
            if self.is_written(key, row) {
                begin_entry(&[CONFLICTS_PREFIX, key].concat(), first, out);
            } else {
                begin_entry(key, first, out);
            }
            write_value(value, out);
        }
    }

    /// True when the row has a column of this name.
    fn is_written(&self, key: &str, row: usize) -> bool {
        let column = fields::by_ecs_name(key).map(|id| id.column());
        column
            .and_then(|column| self.batch.column_by_name(column))
            .is_some_and(|column| !column.is_null(row))
    }
}

/// The names that rows of `batch` show, in order: the ECS name of a registered column.
pub fn names(batch: &RecordBatch) -> Vec<&str> {
    batch.schema_ref().fields().iter().map(|f| name(f.name())).collect()
}

/// The name under which a column is shown.
pub fn name(column: &str) -> &str {
    FIELDS.iter().find(|field| field.column == column).map_or(column, |field| field.name)
}

fn begin_entry(key: &str, first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(first) {
        out.push(b',');
    }
    write_text(key, out);
    out.push(b':');
}

/// Appends `text` as a JSON string.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("text always serialises into memory");
}

/// Deepest JSON that is written as JSON: readers give up at a depth of their own, often 128.
const DEPTH_MAX: usize = 64;

/// Appends one value as JSON. A number that JSON cannot say stays text, and so does
/// JSON that is broken or deeper than 64 levels.
pub fn write_value(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(_) => out.extend_from_slice(value.text().as_bytes()),
        Value::Number(n) if is_json_number(n) => out.extend_from_slice(n.as_bytes()),
        Value::Json(j) if depth(j) <= DEPTH_MAX && is_json(j) => {
            out.extend_from_slice(j.as_bytes());
        }
        Value::Text(s) | Value::Number(s) | Value::Json(s) => write_text(s, out),
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Most brackets open at once; those inside strings count too, which only errs to the safe side.
fn depth(text: &str) -> usize {
    let (mut open, mut most) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

fn is_json_number(text: &str) -> bool {
    matches!(text.as_bytes().first(), Some(b'-' | b'0'..=b'9'))
        && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

fn write_cell(column: &dyn Array, row: usize, as_text: bool, out: &mut Vec<u8>) {
    if column.is_null(row) {
        return out.extend_from_slice(b"null");
    }
    match column.data_type() {
        DataType::Utf8 => write_text(column.as_string::<i32>().value(row), out),
        DataType::LargeUtf8 => write_text(column.as_string::<i64>().value(row), out),
        DataType::Utf8View => write_text(column.as_string_view().value(row), out),
        // Ids pass 2^53 one day, and JavaScript rounds numbers there.
        DataType::Int64 if as_text => {
            write_text(&column.as_primitive::<Int64Type>().value(row).to_string(), out);
        }
        DataType::Int64 => write_display(column.as_primitive::<Int64Type>().value(row), out),
        DataType::Int32 => write_display(column.as_primitive::<Int32Type>().value(row), out),
        DataType::UInt64 => write_display(column.as_primitive::<UInt64Type>().value(row), out),
        DataType::Float64 => match column.as_primitive::<Float64Type>().value(row) {
            number if number.is_finite() => write_display(number, out),
            _ => out.extend_from_slice(b"null"),
        },
        DataType::Boolean => write_display(column.as_boolean().value(row), out),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let time = column.as_primitive::<TimestampMicrosecondType>().value(row);
            write_text(&crate::time::format(time), out);
        }
        DataType::Binary => {
            let bytes = column.as_binary::<i32>().value(row);
            write_text(&base64::engine::general_purpose::STANDARD.encode(bytes), out);
        }
        _ => write_other(column, row, out),
    }
}

fn write_display(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    use std::io::Write;
    write!(out, "{value}").expect("memory takes every byte");
}

/// Types that only SQL makes: as Arrow prints them.
fn write_other(column: &dyn Array, row: usize, out: &mut Vec<u8>) {
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(column, &options)
        .and_then(|f| f.value(row).try_to_string())
        .unwrap_or_else(|e| format!("({e})"));
    if column.data_type().is_numeric() && is_json_number(&text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_text(&text, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: Value<'_>, expected: &str) {
        let mut out = Vec::new();
        write_value(value, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn values_are_valid_json() {
        check(Value::Text("a\"\u{1b}[31m</script>"), r#""a\"\u001b[31m</script>""#);
        check(Value::Number("1e5"), "1e5");
        check(Value::Number("0x1f"), r#""0x1f""#);
        check(Value::Number("007"), r#""007""#);
        check(Value::Json("[1,2"), r#""[1,2""#);
        check(Value::Json(r#"["a"]"#), r#"["a"]"#);
        let deep = "[".repeat(65) + &"]".repeat(65);
        check(Value::Json(&deep), &format!("\"{deep}\""));
        check(Value::Null, "null");
    }
}
