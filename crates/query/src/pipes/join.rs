//! `join`: columns from the rows of another question.

use std::collections::HashMap;
use std::fmt::{Display, Formatter};
use std::sync::Arc;

use super::{Command, Example, Takes, list, name};
use crate::cell::Cell;
use crate::diagnostic::Diagnostic;
use crate::display::join;
use crate::eval::{Known, Rows, Table};
use crate::plan::{FieldRef, Pipe, Plan};
use crate::scope::{Column, Place, Scope};

/// Rows of the other question.
pub const JOIN_ROWS_MAX: usize = 1_000_000;

/// Columns from the rows of another question, whose rows have the same values.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// The fields that must be the same: here, and in the other question.
    pub on: Vec<(FieldRef, FieldRef)>,
    /// Whether rows stay for which there is none.
    pub left: bool,
    /// The other question; it makes a table.
    pub plan: Box<Plan>,
}

pub(super) const COMMAND: Command = Command {
    name: "join",
    other_names: &[],
    usage: "join source.ip [ event.outcome:failure | stats count() as failures by source.ip ]",
    about: "Adds the columns of another question, where its rows have the same values.",
    doc: "The other question stands in square brackets, is asked over the same range, and makes a \
          table of at most a million rows. Of its rows with the same values the first counts, so \
          no row becomes several. Rows for which there is none are left out; with `join left` \
          they stay. Where the field is called differently there: \
          `join user.name = owner [ ... ]`. Texts are compared letter by letter.",
    examples: &[
        Example {
            query: "event.outcome:success | join source.ip [ event.outcome:failure | stats \
                count() as failures by source.ip ] | fields user.name, failures",
            rows: &["admin · 3"],
        },
        Example {
            query: "* | stats count() by user.name | join left user.name = who [ url.path:* | \
                stats sum(bytes) as bytes by user.name | rename user.name as who ]",
            rows: &["admin · 3 · 90000", "bob · 3 · 640", "root · 2 · "],
        },
    ],
    takes: Takes::Fields(&["left", "inner"]),
    read: |parser| {
        let left = parser.keyword("left");
        if !left {
            parser.keyword("inner");
        }
        let on = list(parser, |parser| {
            let (at, here) = name(parser)?;
            let field = parser.field(&here, at)?;
            parser.cursor.blanks();
            let there = if parser.cursor.eat('=') { name(parser)? } else { (at, here) };
            Ok((field, there))
        })?;
        let at = parser.cursor.at;
        let plan = parser.sub_plan()?;
        let scope = plan.scope();
        if scope.events {
            let fault =
                Diagnostic::new(at, parser.cursor.at, "the rows of the other query are events");
            return Err(fault
                .hint("end it with `stats` or `fields`, so that it makes a table")
                .into());
        }
        let mut pairs = Vec::new();
        for (here, (from, there)) in on {
            let other = FieldRef::new(&there);
            if scope.find(&other) == Place::Nowhere {
                let names = scope.names();
                let known: Vec<&str> = names.iter().map(String::as_str).collect();
                let message = format!("the other query has no column `{there}`");
                let fault = Diagnostic::new(from, from + there.len(), message);
                return Err(fault.nearest(&there, &known).into());
            }
            pairs.push((here, other));
        }
        Ok(vec![Pipe::Join(Join { on: pairs, left, plan: Box::new(plan) })])
    },
};

impl Join {
    /// The columns that it adds, by their places in the table of the other question.
    pub fn added(&self) -> Vec<(usize, Column)> {
        let scope = self.plan.scope();
        let is_key =
            |place| self.on.iter().any(|(_, other)| scope.find(other) == Place::Column(place));
        let columns = scope.columns.iter().cloned().enumerate();
        let plain = |(place, column)| (place, Column { key: false, ..column });
        columns.filter(|(place, _)| !is_key(*place)).map(plain).collect()
    }

    pub(super) fn scope(&self, mut scope: Scope) -> Scope {
        scope.columns.extend(self.added().into_iter().map(|(_, column)| column));
        scope
    }

    pub(super) fn run<'a>(
        &self,
        mut rows: Rows<'a>,
        known: &dyn Known,
    ) -> Result<Rows<'a>, String> {
        let matches = Matches::new(self, known.rows(&self.plan, 0)?)?;
        let here: Vec<FieldRef> = self.on.iter().map(|(here, _)| here.clone()).collect();
        let readers = rows.readers(&here);
        let mut kept = Vec::new();
        for mut row in std::mem::take(&mut rows.rows) {
            let key: Vec<Cell> = readers.iter().map(|reader| reader.cell(&row)).collect();
            match matches.find(&key) {
                Some(cells) => row.cells.extend(cells.cloned()),
                None if self.left => row.cells.extend(vec![Cell::Null; matches.columns()]),
                None => continue,
            }
            kept.push(row);
        }
        rows.scope = self.scope(rows.scope.clone());
        Ok(Rows { rows: kept, ..rows })
    }
}

/// The rows of the other question by what they are joined on.
#[derive(Debug)]
pub struct Matches {
    table: Arc<Table>,
    /// The number of the first row of each key.
    rows: HashMap<String, usize>,
    /// Places of the columns that are added.
    added: Vec<usize>,
}

impl Matches {
    /// The first row of each key.
    ///
    /// # Errors
    /// With a sentence when there are too many.
    pub fn new(join: &Join, table: Arc<Table>) -> Result<Self, String> {
        if table.rows.len() > JOIN_ROWS_MAX {
            return Err(format!(
                "the other query of `join` has more than {JOIN_ROWS_MAX} rows; narrow it, or \
                group it with `stats`"
            ));
        }
        let scope = Scope::table(table.columns.clone());
        let keys: Vec<usize> = join
            .on
            .iter()
            .filter_map(|(_, other)| match scope.find(other) {
                Place::Column(at) => Some(at),
                _ => None,
            })
            .collect();
        let added: Vec<usize> = join.added().into_iter().map(|(place, _)| place).collect();
        let mut rows = HashMap::with_capacity(table.rows.len());
        for (number, row) in table.rows.iter().enumerate() {
            if let Some(key) = identity(keys.iter().map(|at| &row[*at])) {
                rows.entry(key).or_insert(number);
            }
        }
        Ok(Self { table, rows, added })
    }

    /// What the other question has for these values, in the added columns.
    pub fn find(&self, key: &[Cell]) -> Option<impl Iterator<Item = &Cell>> {
        let row = &self.table.rows[*self.rows.get(&identity(key.iter())?)?];
        Some(self.added.iter().map(move |at| &row[*at]))
    }

    /// How many columns that is.
    pub fn columns(&self) -> usize {
        self.added.len()
    }
}

/// A key as one text; absent values equal nothing.
fn identity<'a>(mut key: impl ExactSizeIterator<Item = &'a Cell>) -> Option<String> {
    if key.len() == 1 {
        return key.next().filter(|cell| cell.is_some()).map(Cell::text);
    }
    let mut text = String::new();
    for cell in key {
        if *cell == Cell::Null {
            return None;
        }
        let cell = cell.text();
        // Lengths keep neighbours apart.
        text.push_str(&cell.len().to_string());
        text.push(':');
        text.push_str(&cell);
    }
    Some(text)
}

impl Display for Join {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.left { "join left " } else { "join " })?;
        join(f, &self.on, ", ", |f, (here, there)| match here.typed == there.typed {
            true => write!(f, "{here}"),
            false => write!(f, "{here} = {there}"),
        })?;
        write!(f, " [ {} ]", self.plan)
    }
}
