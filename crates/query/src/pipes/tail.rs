//! `tail`: the last rows.

use super::{Command, Example, Takes, rows};
use crate::eval::Rows;
use crate::plan::{HEAD_ROWS, Pipe};

pub(super) const COMMAND: Command = Command {
    name: "tail",
    other_names: &[],
    usage: "tail 10",
    about: "Keeps the last rows, in their order.",
    doc: "Events come newest first, so these are the oldest unless they were sorted. Without a \
          number, 10.",
    examples: &[Example { query: "* | tail 2", rows: &["2", "1"] }],
    takes: Takes::Number,
    read: |parser| Ok(vec![Pipe::Tail(rows(parser)?.unwrap_or(HEAD_ROWS))]),
};

pub(super) fn run<'a>(count: usize, mut rows: Rows<'a>) -> Rows<'a> {
    let first = rows.rows.len().saturating_sub(count);
    rows.rows.drain(..first);
    rows
}
