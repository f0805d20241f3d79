//! `lookup`: columns from a table that is kept under a name.

use std::fmt::{Display, Formatter};

use super::{Command, Example, Takes, field, list, must, name_as};
use crate::cell::{Cell, Shape};
use crate::display::{Name, join};
use crate::eval::{Known, LookupTable, Reader, Rows};
use crate::plan::{FieldRef, Pipe};
use crate::scope::{Column, Scope};
use pugmark_event::time::Micros;

/// Columns from a table that is kept under a name: one row at most for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// The name of the table.
    pub table: String,
    /// What is looked up.
    pub key: FieldRef,
    /// The columns of the table, and how they are called here.
    pub columns: Vec<(String, String)>,
}

pub(super) const COMMAND: Command = Command {
    name: "lookup",
    other_names: &[],
    usage: "lookup assets source.ip output owner, site as location",
    about: "Adds columns from a table: your own, of places of addresses, or of indicators.",
    doc: "Tables are uploaded as CSV, see [enrichment](../guide/enrichment.md). Built in are \
          `geo` (country, network, organization) and `ranges` (label) of addresses. A table \
          whose rows hold for some time is asked for the time of the event. Where there is no row the columns are absent.",
    examples: &[Example {
        query: "* | stats count() by user.name | lookup people user.name output team, level as \
            rank",
        rows: &["admin · 3 · ops · 2", "bob · 3 · dev · 1", "root · 2 ·  · "],
    }],
    takes: Takes::Table(&["output", "as"]),
    read: |parser| {
        parser.cursor.blanks();
        let from = parser.cursor.at;
        let Some(table) = parser.cursor.word(super::NAME_ENDS)? else {
            return Err(parser
                .cursor
                .fault(from, "the name of a lookup table is missing here")
                .into());
        };
        let key = field(parser)?;
        parser.cursor.blanks();
        must(parser, "output", "columns")?;
        let columns = list(parser, name_as)?;
        Ok(vec![Pipe::Lookup(Lookup { table: table.text(), key, columns })])
    },
};

impl Lookup {
    pub(super) fn scope(&self, mut scope: Scope) -> Scope {
        for (_, name) in &self.columns {
            scope.put(Column::new(name, Shape::Text));
        }
        scope
    }

    /// Whether the table has the columns.
    ///
    /// # Errors
    /// With a sentence when it has not.
    pub fn check(&self, table: &dyn LookupTable) -> Result<(), String> {
        let there = table.columns();
        match self.columns.iter().find(|(name, _)| !there.contains(name)) {
            None => Ok(()),
            Some((column, _)) => Err(format!(
                "the table `{}` has no column `{column}`; it has {}",
                self.table,
                there.join(", ")
            )),
        }
    }

    pub(super) fn run<'a>(
        &self,
        mut rows: Rows<'a>,
        known: &dyn Known,
    ) -> Result<Rows<'a>, String> {
        let table = known.table(&self.table)?;
        self.check(&*table)?;
        let times = rows.times();
        let reader = Reader::new(&rows.scope, &self.key);
        let keys: Vec<Cell> = rows.rows.iter().map(|row| reader.cell(row)).collect();
        for (column, name) in &self.columns {
            let value = |(key, time): (&Cell, &Option<Micros>)| {
                let found = key.is_some().then(|| table.value(&key.text(), *time, column));
                found.flatten().map_or(Cell::Null, Cell::Text)
            };
            let values = keys.iter().zip(&times).map(value);
            rows.put(Column::new(name, Shape::Text), values);
        }
        Ok(rows)
    }
}

impl Display for Lookup {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "lookup {} {} output ", Name(&self.table), self.key)?;
        join(f, &self.columns, ", ", |f, (column, name)| match name == column {
            true => write!(f, "{}", Name(column)),
            false => write!(f, "{} as {}", Name(column), Name(name)),
        })
    }
}
