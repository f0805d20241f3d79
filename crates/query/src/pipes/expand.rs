//! `expand`: a row for each value of a list.

use super::{Command, Example, Takes, field};
use crate::cell::{Cell, Shape};
use crate::eval::{Reader, Rows};
use crate::functions::items;
use crate::plan::{FieldRef, Pipe};
use crate::scope::{Column, Place, Scope};

pub(super) const COMMAND: Command = Command {
    name: "expand",
    other_names: &["mv-expand", "unnest", "explode"],
    usage: "expand tags",
    about: "Makes a row for each value of a list.",
    doc: "A list is text in JSON, as a record brings it or `split` and `values` make it. A single \
          value stays one row, and so does a row without one. Of a list, 1000 values are looked \
          at.",
    examples: &[
        Example {
            query: "tags:* | expand tags | fields event.id, tags",
            rows: &["6 · web", "6 · error"],
        },
        Example {
            query: "* | stats values(user.name) as who by host.name | expand who",
            rows: &["web-1 · admin", "web-1 · bob", "web-1 · root", "web-2 · admin", "web-2 · bob"],
        },
    ],
    takes: Takes::Fields(&[]),
    read: |parser| Ok(vec![Pipe::Expand(field(parser)?)]),
};

fn column(field: &FieldRef, before: &Scope) -> Column {
    match before.find(field) {
        Place::Column(at) => Column { shape: Shape::Text, ..before.columns[at].clone() },
        _ => Column::new(&field.typed, Shape::Text),
    }
}

pub(super) fn scope(field: &FieldRef, mut scope: Scope) -> Scope {
    scope.put(column(field, &scope));
    scope
}

pub(super) fn run<'a>(field: &FieldRef, mut rows: Rows<'a>) -> Rows<'a> {
    let reader = Reader::new(&rows.scope, field);
    let mut cells = Vec::new();
    for row in std::mem::take(&mut rows.rows) {
        let mut values = items(&reader.cell(&row));
        if values.is_empty() {
            values.push(Cell::Null);
        }
        rows.rows.extend(std::iter::repeat_n(row, values.len()));
        cells.extend(values.into_iter().map(|value| Shape::Text.fit(value)));
    }
    rows.put(column(field, &rows.scope), cells);
    rows
}
