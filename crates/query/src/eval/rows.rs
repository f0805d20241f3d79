//! Rows between two pipes: events, or rows that a pipe made.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use pugmark_event::Batch;
use pugmark_event::fields::{EVENT_TIME, Kind, RECEIVED_TIME};
use pugmark_event::time::Micros;
use pugmark_event::{FieldId, fields};

use crate::cell::{Cell, order};
use crate::expr::{Expr, Program};
use crate::plan::{FieldRef, Target};
use crate::scope::{Column, Place, Scope, put_at};

/// One row.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// The event that it is, by its batch and its place there; `None` in a table.
    pub event: Option<(&'a Batch, usize)>,
    /// The values of the columns of the scope.
    pub cells: Vec<Cell>,
}

/// Rows and what names stand for in them.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    /// What names stand for.
    pub scope: Scope,
    /// The rows in order.
    pub rows: Vec<Row<'a>>,
}

/// A field made ready for many rows.
#[derive(Debug)]
pub(crate) enum Reader {
    Column(usize),
    Event(Target),
    Nowhere,
}

impl Reader {
    pub(crate) fn new(scope: &Scope, field: &FieldRef) -> Self {
        match scope.find(field) {
            Place::Column(at) => Reader::Column(at),
            Place::Event(target) => Reader::Event(target.clone()),
            Place::Nowhere => Reader::Nowhere,
        }
    }

    pub(crate) fn cell(&self, row: &Row<'_>) -> Cell {
        match (self, row.event) {
            (Reader::Column(at), _) => row.cells.get(*at).cloned().unwrap_or(Cell::Null),
            (Reader::Event(target), Some((batch, place))) => cell(batch, place, target),
            (Reader::Event(_) | Reader::Nowhere, _) => Cell::Null,
        }
    }
}

impl<'a> Rows<'a> {
    /// Rows of a table.
    pub fn of_table(columns: Vec<Column>, rows: Vec<Vec<Cell>>) -> Self {
        let row = |cells| Row { event: None, cells };
        Self { scope: Scope::table(columns), rows: rows.into_iter().map(row).collect() }
    }

    /// The values of these fields in a row.
    pub(crate) fn readers(&self, fields: &[FieldRef]) -> Vec<Reader> {
        fields.iter().map(|field| Reader::new(&self.scope, field)).collect()
    }

    /// The values of an expression in all rows; absent ones if it cannot be computed, which the
    /// parser does not let through.
    pub(crate) fn values(&self, expr: &Expr) -> Vec<Cell> {
        let Ok(program) = Program::new(expr, &self.scope) else {
            return vec![Cell::Null; self.rows.len()];
        };
        let readers = self.readers(program.fields());
        self.rows.iter().map(|row| program.run(&|field| readers[field].cell(row))).collect()
    }

    /// Adds a column and its cells, in the place of one that has its name.
    pub(crate) fn put(&mut self, column: Column, cells: impl IntoIterator<Item = Cell>) {
        let place = self.scope.put(column);
        for (row, cell) in self.rows.iter_mut().zip(cells) {
            put_at(&mut row.cells, place, cell);
        }
    }

    /// The times of all rows: of events when they happened, of a table its column `@timestamp`.
    pub(crate) fn times(&self) -> Vec<Option<Micros>> {
        let field = FieldRef::new(fields::EVENT_TIME.name());
        let reader = Reader::new(&self.scope, &field);
        self.rows.iter().map(|row| reader.cell(row).time()).collect()
    }

    /// The places of the rows from the oldest on; of the same time, events by their ids and rows
    /// of a table from the last on. Rows without a time are left out.
    pub(crate) fn oldest_first(&self) -> Vec<(Micros, usize)> {
        let id = |place: usize| self.rows[place].event.map(|(batch, row)| batch.ids()[row]);
        let times = self.times().into_iter().enumerate();
        let mut places: Vec<(Micros, usize)> =
            times.filter_map(|(place, time)| Some((time?, place))).collect();
        let descending = |place: usize| std::cmp::Reverse(place);
        places.sort_by_key(|(time, place)| (*time, id(*place), descending(*place)));
        places
    }

    /// The places of rows in groups of the same values of `by`, each the oldest first. Rows
    /// without a time are left out.
    pub(crate) fn grouped_by_age(&self, by: &[FieldRef]) -> Vec<(Vec<Cell>, Vec<usize>)> {
        self.grouped(by, self.oldest_first().into_iter().map(|(_, place)| place).collect())
    }

    /// These places of rows in groups of the same values of `by`; in a group they stay in order.
    pub(crate) fn grouped(
        &self,
        by: &[FieldRef],
        places: Vec<usize>,
    ) -> Vec<(Vec<Cell>, Vec<usize>)> {
        let readers = self.readers(by);
        let key = |place: &usize| {
            let row = &self.rows[*place];
            readers.iter().map(|reader| reader.cell(row)).collect()
        };
        let mut groups = group(places.iter().map(key).collect());
        for (_, members) in &mut groups {
            members.iter_mut().for_each(|member| *member = places[*member]);
        }
        groups
    }
}

/// Cells that are the same or not, numbers bit by bit.
struct Key(Vec<Cell>);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Cell, &Cell)| match (a, b) {
            (Cell::Float(a), Cell::Float(b)) => a.to_bits() == b.to_bits(),
            (a, b) => a == b,
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for cell in &self.0 {
            std::mem::discriminant(cell).hash(state);
            match cell {
                Cell::Null => {}
                Cell::Bool(bool) => bool.hash(state),
                Cell::Text(text) => text.hash(state),
                Cell::Long(long) | Cell::Time(long) => long.hash(state),
                Cell::Float(float) => float.to_bits().hash(state),
            }
        }
    }
}

/// Places in groups of the same keys, the groups in the order of the keys.
pub(crate) fn group(keys: Vec<Vec<Cell>>) -> Vec<(Vec<Cell>, Vec<usize>)> {
    let mut groups = HashMap::<Key, Vec<usize>>::new();
    for (place, key) in keys.into_iter().enumerate() {
        groups.entry(Key(key)).or_default().push(place);
    }
    let mut groups: Vec<_> = groups.into_iter().map(|(key, places)| (key.0, places)).collect();
    groups.sort_by(|a, b| compare_rows(&a.0, &b.0));
    groups
}

/// The order of rows by all their cells.
pub(crate) fn compare_rows(a: &[Cell], b: &[Cell]) -> std::cmp::Ordering {
    let mut orders = a.iter().zip(b).map(|(a, b)| order(a, b, false));
    orders.find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
}

/// The value of a field in one event.
pub fn cell(batch: &Batch, row: usize, target: &Target) -> Cell {
    match target {
        Target::Attribute(name) => match batch.attributes().get(row, name) {
            Some(value) => Cell::Text(value.text().to_string()),
            None => Cell::Null,
        },
        Target::Column(id) => column_cell(batch, row, *id),
    }
}

fn column_cell(batch: &Batch, row: usize, id: FieldId) -> Cell {
    use arrow::array::Array;
    match id.field().kind {
        Kind::Text | Kind::Ip => batch
            .text(id)
            .filter(|c| c.is_valid(row))
            .map_or(Cell::Null, |c| Cell::Text(c.value(row).to_string())),
        Kind::Long => batch
            .long(id)
            .filter(|c| c.is_valid(row))
            .map_or(Cell::Null, |c| Cell::Long(c.value(row))),
        Kind::Time if id == EVENT_TIME => Cell::Time(batch.event_times()[row]),
        Kind::Time if id == RECEIVED_TIME => Cell::Time(batch.received_times()[row]),
        Kind::Time => Cell::Null,
        Kind::Bytes => {
            let column = batch.columns().column_by_name(id.column());
            match column.filter(|c| c.is_valid(row)) {
                Some(_) => Cell::Text(String::from_utf8_lossy(batch.original(row)).into_owned()),
                None => Cell::Null,
            }
        }
    }
}
