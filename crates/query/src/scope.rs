//! What names stand for between two pipes.

use crate::cell::Shape;
use crate::plan::{FieldRef, Target};

/// A column that a pipe made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name that is shown.
    pub name: String,
    /// What its values are.
    pub shape: Shape,
    /// Whether it tells the groups of a table apart: what `compare` joins by.
    pub key: bool,
}

impl Column {
    /// A column that is no key.
    pub fn new(name: impl Into<String>, shape: Shape) -> Self {
        Self { name: name.into(), shape, key: false }
    }

    /// A column that tells groups apart.
    pub fn key(name: impl Into<String>, shape: Shape) -> Self {
        Self { key: true, ..Self::new(name, shape) }
    }
}

/// The rows between two pipes: events, whose fields all have names, or rows of a table; and the
/// columns that the pipes before made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Whether the rows are events still.
    pub events: bool,
    /// Columns of the table, or those computed beside the fields of events.
    pub columns: Vec<Column>,
}

/// Where the values of a name are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// In the column of this number.
    Column(usize),
    /// In this field of events.
    Event(&'a Target),
    /// Nowhere: the name is not known.
    Nowhere,
}

impl Scope {
    /// Events as they are stored.
    pub fn events() -> Self {
        Self { events: true, columns: Vec::new() }
    }

    /// Rows of a table with these columns.
    pub fn table(columns: Vec<Column>) -> Self {
        Self { events: false, columns }
    }

    /// Where the values of a field are: a column of the same text goes before one that is another
    /// name of the same field, and any column goes before a field of the event.
    pub fn find<'a>(&self, field: &'a FieldRef) -> Place<'a> {
        let named = self.columns.iter().position(|column| column.name == field.typed);
        let same = |column: &Column| FieldRef::new(&column.name).target == field.target;
        match named.or_else(|| self.columns.iter().position(same)) {
            Some(at) => Place::Column(at),
            None if self.events => Place::Event(&field.target),
            None => Place::Nowhere,
        }
    }

    /// What the values of a field are.
    pub fn shape(&self, field: &FieldRef) -> Shape {
        match self.find(field) {
            Place::Column(at) => self.columns[at].shape,
            Place::Event(target) => Shape::of(target),
            Place::Nowhere => Shape::Text,
        }
    }

    /// The names of the columns.
    pub fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// Adds a column, in the place of one that has its name; gives the place.
    pub fn put(&mut self, column: Column) -> usize {
        let known = self.columns.iter().position(|known| known.name == column.name);
        let place = known.unwrap_or(self.columns.len());
        put_at(&mut self.columns, place, column);
        place
    }
}

/// Puts an item in the place of another, or behind all.
pub(crate) fn put_at<T>(list: &mut Vec<T>, place: usize, item: T) {
    match list.get_mut(place) {
        Some(known) => *known = item,
        None => list.push(item),
    }
}
