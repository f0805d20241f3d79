//! `expand`: a row for each value of a list.

use super::{Command, Example, Takes, field};
use crate::cell::Shape;
use crate::eval::{Reader, Rows};
use crate::functions::items;
use crate::plan::{FieldRef, Pipe};
use crate::scope::{Column, Scope};

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

pub(super) fn scope(field: &FieldRef, mut scope: Scope) -> Scope {
    match scope.find(field) {
        crate::scope::Place::Column(at) => scope.columns[at].shape = Shape::Text,
        _ => scope.put(Column::new(&field.typed, Shape::Text)),
    }
    scope
}

pub(super) fn run<'a>(field: &FieldRef, rows: Rows<'a>) -> Rows<'a> {
    let reader = Reader::new(&rows.scope, field);
    let scope = scope(field, rows.scope.clone());
    let crate::scope::Place::Column(place) = scope.find(field) else { return rows };
    let expanded = rows.rows.iter().flat_map(|row| {
        let mut values = items(&reader.cell(row));
        if values.is_empty() {
            values.push(crate::cell::Cell::Null);
        }
        values.into_iter().map(move |value| {
            let mut row = row.clone();
            let value = Shape::Text.fit(value);
            match row.cells.get_mut(place) {
                Some(cell) => *cell = value,
                None => row.cells.push(value),
            }
            row
        })
    });
    Rows { rows: expanded.collect(), scope }
}
