//! `dedup`: one row for each value.

use std::collections::HashMap;

use super::{Command, Example, Takes, field_list, rows};
use crate::eval::Rows;
use crate::plan::{FieldRef, Pipe};

pub(super) const COMMAND: Command = Command {
    name: "dedup",
    other_names: &["distinct", "unique"],
    usage: "dedup user.name, host.name",
    about: "Keeps the first row for each value of a field, or of several together.",
    doc: "With a number before the names, so many rows for each. Rows without a value count as \
          rows of the same value. Events come newest first, so the newest stay.",
    examples: &[
        Example { query: "* | dedup user.name", rows: &["8", "7", "2"] },
        Example {
            query: "* | dedup 2 source.ip | fields event.id, source.ip",
            rows: &["8 · 198.51.100.4", "7 · 203.0.113.7", "6 · 198.51.100.4", "4 · 203.0.113.7"],
        },
    ],
    takes: Takes::Fields(&[]),
    read: |parser| {
        let rows = rows(parser)?.unwrap_or(1);
        Ok(vec![Pipe::Dedup { by: field_list(parser)?, rows }])
    },
};

pub(super) fn run<'a>(by: &[FieldRef], count: usize, mut rows: Rows<'a>) -> Rows<'a> {
    let readers = rows.readers(by);
    let mut seen = HashMap::<String, usize>::new();
    rows.rows.retain(|row| {
        let key: Vec<_> = readers.iter().map(|reader| reader.cell(row)).collect();
        let times = seen.entry(format!("{key:?}")).or_default();
        *times += 1;
        *times <= count
    });
    rows
}
