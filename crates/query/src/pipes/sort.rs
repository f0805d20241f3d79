//! `sort`: another order.

use std::cmp::Ordering;

use super::{Command, Example, Takes, field, list};
use crate::cell::{Cell, order};
use crate::diagnostic::Diagnostic;
use crate::eval::{Reader, Row, Rows, compare_rows};
use crate::parse::Parser;
use crate::plan::{Pipe, SortKey};

pub(super) const COMMAND: Command = Command {
    name: "sort",
    other_names: &["order"],
    usage: "sort -count, user.name",
    about: "Puts the rows in another order.",
    doc: "A minus before a name, or `desc` after it, means the greatest first. Absent values come \
          last. Of texts, those that are numbers come first, in the order of the numbers. Events \
          come newest first until they are sorted, and stay so among equals.",
    examples: &[
        Example { query: "bytes:* | sort -bytes | fields bytes", rows: &["90000", "512", "128"] },
        Example {
            query: "* | stats count() by user.name | sort count, user.name desc",
            rows: &["root · 2", "bob · 3", "admin · 3"],
        },
    ],
    takes: Takes::Fields(&["desc", "asc"]),
    read: |parser| {
        // `sort by -count` is what others write.
        parser.keyword("by");
        Ok(vec![Pipe::Sort(list(parser, key)?)])
    },
};

/// `-field`, or `field desc`
fn key(parser: &mut Parser<'_>) -> Result<SortKey, Diagnostic> {
    parser.cursor.blanks();
    let mut descending = parser.cursor.eat('-');
    if !descending {
        parser.cursor.eat('+');
    }
    let field = field(parser)?;
    if parser.keyword("desc") {
        descending = true;
    } else if parser.keyword("asc") {
        descending = false;
    }
    Ok(SortKey { field, descending })
}

pub(super) fn run<'a>(keys: &[SortKey], mut rows: Rows<'a>) -> Rows<'a> {
    let readers: Vec<_> =
        keys.iter().map(|key| (Reader::new(&rows.scope, &key.field), key.descending)).collect();
    let events = rows.scope.events;
    let cells = |row: &Row<'_>| readers.iter().map(|(reader, _)| reader.cell(row)).collect();
    let keyed = std::mem::take(&mut rows.rows).into_iter().map(|row| (cells(&row), row));
    let mut keyed: Vec<(Vec<Cell>, Row<'a>)> = keyed.collect();
    // The sort is stable, so equal events stay as they were.
    keyed.sort_by(|(a, row), (b, other)| {
        let each = a.iter().zip(b).zip(&readers);
        let mut orders = each.map(|((a, b), (_, descending))| order(a, b, *descending));
        match orders.find(|order| order.is_ne()) {
            Some(order) => order,
            None if events => Ordering::Equal,
            None => compare_rows(&row.cells, &other.cells),
        }
    });
    rows.rows = keyed.into_iter().map(|(_, row)| row).collect();
    rows
}
