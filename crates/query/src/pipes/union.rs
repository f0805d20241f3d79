//! `union`: the rows of another question.

use super::{Command, Example, Takes};
use crate::cell::Cell;
use crate::eval::{Known, Row, Rows};
use crate::plan::{Pipe, Plan};
use crate::scope::Scope;

/// Rows of the other question.
pub const UNION_ROWS_MAX: usize = 1_000_000;

pub(super) const COMMAND: Command = Command {
    name: "union",
    other_names: &["append"],
    usage: "union [ event.action:logout | stats count() by user.name ]",
    about: "Adds the rows of another question behind those that are there.",
    doc: "The other question stands in square brackets and is asked over the same range; both \
          make a table. Columns of the same name are one column, and where a side has no such \
          column its rows have no value there. To look for two kinds of events write `a or b`.",
    examples: &[Example {
        query: "event.outcome:failure | stats count() as failed by host.name | union [ bytes:* | \
            stats sum(bytes) as bytes by host.name ]",
        rows: &["web-1 · 4 · ", "web-2 ·  · 90640"],
    }],
    takes: Takes::Words(&["["]),
    read: |parser| Ok(vec![Pipe::Union(Box::new(parser.sub_plan()?))]),
};

pub(super) fn scope(plan: &Plan, mut scope: Scope) -> Scope {
    for column in plan.scope().columns {
        match scope.columns.iter_mut().find(|known| known.name == column.name) {
            Some(known) => known.shape = known.shape.joined(column.shape),
            None => scope.columns.push(column),
        }
    }
    scope
}

pub(super) fn run<'a>(
    plan: &Plan,
    mut rows: Rows<'a>,
    known: &dyn Known,
) -> Result<Rows<'a>, String> {
    let other = known.rows(plan, 0)?;
    if other.rows.len() > UNION_ROWS_MAX {
        return Err(format!(
            "the other query of `union` has more than {UNION_ROWS_MAX} rows; narrow it"
        ));
    }
    let scope = scope(plan, rows.scope.clone());
    for row in &mut rows.rows {
        row.cells.resize(scope.columns.len(), Cell::Null);
        for (cell, column) in row.cells.iter_mut().zip(&scope.columns) {
            *cell = column.shape.fit(std::mem::replace(cell, Cell::Null));
        }
    }
    let place = |name: &str| other.columns.iter().position(|column| column.name == name);
    let places: Vec<Option<usize>> = scope.columns.iter().map(|c| place(&c.name)).collect();
    for row in &other.rows {
        let cell = |(place, column): (&Option<usize>, &crate::scope::Column)| {
            let cell = place.and_then(|place| row.get(place)).cloned().unwrap_or(Cell::Null);
            column.shape.fit(cell)
        };
        let cells = places.iter().zip(&scope.columns).map(cell).collect();
        rows.rows.push(Row { event: None, cells });
    }
    rows.scope = scope;
    Ok(rows)
}
