//! `head` and `limit`: the first rows.

use super::{Command, Example, Takes, rows};
use crate::eval::Rows;
use crate::plan::{HEAD_ROWS, Pipe};

pub(super) const COMMAND: Command = Command {
    name: "head",
    other_names: &["take", "first"],
    usage: "head 10",
    about: "Keeps the first rows.",
    doc: "Events come newest first, so these are the newest unless they were sorted. Without a \
          number, 10.",
    examples: &[Example { query: "* | head 2", rows: &["8", "7"] }],
    takes: Takes::Number,
    read: |parser| Ok(vec![Pipe::Head(rows(parser)?.unwrap_or(HEAD_ROWS))]),
};

pub(super) const LIMIT: Command = Command {
    name: "limit",
    other_names: &[],
    usage: "limit 10",
    about: "The same as `head`.",
    doc: "",
    examples: &[Example { query: "* | limit 1", rows: &["8"] }],
    takes: Takes::Number,
    read: COMMAND.read,
};

pub(super) fn run<'a>(count: usize, mut rows: Rows<'a>) -> Rows<'a> {
    rows.rows.truncate(count);
    rows
}
