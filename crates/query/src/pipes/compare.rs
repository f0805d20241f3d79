//! `compare`: the table beside that of an earlier window.

use std::collections::HashMap;

use super::{Command, Example, Takes, span};
use crate::cell::{Cell, Shape};
use crate::eval::{Before, Rows, compare_rows};
use crate::plan::Pipe;
use crate::scope::{Column, Scope};
use pugmark_event::time::{DAY, Micros};

/// The table beside that of an earlier window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// How much earlier, in microseconds.
    pub shift: Micros,
}

pub(super) const COMMAND: Command = Command {
    name: "compare",
    other_names: &["timewrap"],
    usage: "compare 1d",
    about: "Puts a table beside that of the same question over an earlier window.",
    doc: "The question up to here is asked again over its range moved back by so much: a day, if \
          nothing is said. Rows are the same if their groups are, and of stretches of time those \
          that lie so much apart. A figure `x` gets `x_before` and `x_change`, in percent. Rows \
          that only one side has are there too. Charts stay in the order of time; other tables \
          have the greatest difference first. The question needs a time range.",
    examples: &[Example {
        query: "* | stats count() by host.name | compare 1h",
        rows: &["web-1 · 1 · 4 · -75", "web-2 · 0 · 3 · -100"],
    }],
    takes: Takes::Number,
    read: |parser| {
        parser.cursor.blanks();
        let shift = if parser.at_end() { DAY } else { span(parser)? };
        Ok(vec![Pipe::Compare(Compare { shift })])
    },
};

fn is_figure(column: &Column) -> bool {
    !column.key && matches!(column.shape, Shape::Long | Shape::Float)
}

pub(super) fn scope(before: &Scope) -> Scope {
    let mut columns = Vec::new();
    for column in &before.columns {
        columns.push(column.clone());
        if is_figure(column) {
            columns.push(Column::new(format!("{}_before", column.name), column.shape));
            columns.push(Column::new(format!("{}_change", column.name), Shape::Float));
        }
    }
    Scope::table(columns)
}

impl Compare {
    pub(super) fn run<'a>(&self, rows: Rows<'a>, before: &Before<'_>) -> Result<Rows<'a>, String> {
        let earlier = before.known.rows(&before.question(), self.shift)?;
        let columns = rows.scope.columns.clone();
        let keys: Vec<usize> = (0..columns.len()).filter(|at| columns[*at].key).collect();
        let key = |cells: &[Cell], shift: Micros| -> Vec<Cell> {
            let cell = |at: &usize| match &cells[*at] {
                Cell::Time(time) => Cell::Time(time.saturating_add(shift)),
                other => other.clone(),
            };
            keys.iter().map(cell).collect()
        };
        let mut pairs = Vec::<(Vec<Cell>, [Option<Vec<Cell>>; 2])>::new();
        let mut places = HashMap::<String, usize>::new();
        let now = rows.rows.into_iter().map(|row| (0, key(&row.cells, 0), row.cells));
        let then = earlier.rows.iter();
        let then = then.map(|cells| (1, key(cells, self.shift), cells.clone()));
        for (side, key, cells) in now.chain(then) {
            let place = *places.entry(format!("{key:?}")).or_insert_with(|| {
                pairs.push((key, [None, None]));
                pairs.len() - 1
            });
            pairs[place].1[side] = Some(cells);
        }
        let mut found: Vec<(f64, Vec<Cell>, Vec<Cell>)> = pairs
            .into_iter()
            .map(|(key, [now, then])| {
                let (difference, cells) = side_by_side(&columns, &key, now, then);
                (difference, key, cells)
            })
            .collect();
        let charts = keys.iter().any(|at| columns[*at].shape == Shape::Time);
        found.sort_by(|a, b| {
            let by_difference = if charts { 0.0f64.total_cmp(&0.0) } else { b.0.total_cmp(&a.0) };
            by_difference.then_with(|| compare_rows(&a.1, &b.1))
        });
        let cells = found.into_iter().map(|(_, _, cells)| cells).collect();
        Ok(Rows::of_table(scope(&rows.scope).columns, cells))
    }
}

/// How much the first figure differs, and the row.
fn side_by_side(
    columns: &[Column],
    key: &[Cell],
    now: Option<Vec<Cell>>,
    then: Option<Vec<Cell>>,
) -> (f64, Vec<Cell>) {
    let mut keys = key.iter();
    let mut cells = Vec::new();
    let mut difference = None;
    for (at, column) in columns.iter().enumerate() {
        // Where a side has no such row nothing was counted; other figures are not known.
        let side = |row: &Option<Vec<Cell>>| match row {
            Some(cells) => cells[at].clone(),
            None if column.shape == Shape::Long => Cell::Long(0),
            None => Cell::Null,
        };
        if column.key {
            cells.push(keys.next().cloned().unwrap_or(Cell::Null));
        } else if is_figure(column) {
            let (new, old) = (side(&now), side(&then));
            let (x, y) = (new.number().unwrap_or(0.0), old.number().unwrap_or(0.0));
            difference.get_or_insert((x - y).abs());
            let change = match (new.number(), old.number()) {
                (Some(x), Some(y)) => Cell::float((x - y) / y.abs() * 100.0),
                _ => Cell::Null,
            };
            cells.extend([new, old, change]);
        } else {
            let value = now.as_ref().or(then.as_ref()).map(|cells| cells[at].clone());
            cells.push(value.unwrap_or(Cell::Null));
        }
    }
    (difference.unwrap_or(0.0), cells)
}
