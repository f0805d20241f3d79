//! What names stand for in batches.

use pugmark_query::FieldRef;
use pugmark_query::scope::{Column, Place, Scope};

use crate::columns;
use crate::plan::inner;

/// Names and the columns of a batch that hold their values.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    scope: Scope,
    /// For each column of the scope the column of the batch.
    columns: Vec<String>,
    /// Columns made so far, for their names.
    made: usize,
}

/// What the names of computed columns begin with, which no column of events does.
const MADE_PREFIX: &str = "made ";

impl Names {
    /// Events with their columns.
    pub(crate) fn events() -> Self {
        Self { scope: Scope::events(), columns: Vec::new(), made: 0 }
    }

    /// A table; the columns of its batches are called by their places.
    pub(crate) fn table(columns: Vec<Column>) -> Self {
        let names = (0..columns.len()).map(inner).collect();
        Self { scope: Scope::table(columns), columns: names, made: 0 }
    }

    /// What the names stand for.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The column of a batch that has the values of a field.
    pub(crate) fn column(&self, field: &FieldRef) -> Option<String> {
        match self.scope.find(field) {
            Place::Column(at) => self.columns.get(at).cloned(),
            Place::Event(target) => Some(columns::name(target)),
            Place::Nowhere => None,
        }
    }

    /// A name for a column that is computed.
    pub(crate) fn make(&mut self) -> String {
        self.made += 1;
        format!("{MADE_PREFIX}{}", self.made)
    }

    /// Whether it is the name of a column that is computed.
    pub(crate) fn is_made(column: &str) -> bool {
        column.starts_with(MADE_PREFIX)
    }

    /// Gives the values of a column of the batch a name, which stood for others perhaps.
    pub(crate) fn put(&mut self, column: Column, of_batch: String) {
        let place = self.scope.put(column);
        match self.columns.get_mut(place) {
            Some(known) => *known = of_batch,
            None => self.columns.push(of_batch),
        }
    }
}
