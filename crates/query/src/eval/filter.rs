//! Which rows pass a filter.

use arrow::array::BooleanArray;
use pugmark_event::Batch;
use pugmark_event::conflict::Conflicts;
use pugmark_event::fields::ORIGINAL;

use super::rows::{Reader, Row};
use crate::cell::Cell;
use crate::check::{Check, TextCheck};
use crate::expr::Program;
use crate::plan::{FieldRef, Filter, Target, Test};
use crate::scope::Scope;

/// Which events of `batch` pass `filter`. Part of a filter that cannot be compiled, which
/// [`crate::parse`] never makes, passes nothing.
pub fn matches(filter: &Filter, batch: &Batch) -> BooleanArray {
    Matcher::new(filter).matches(batch)
}

/// A filter made ready for many batches.
#[derive(Debug)]
pub struct Matcher(Node);

#[derive(Debug)]
enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Leaf(Leaf),
    Holds(Program, Vec<Reader>),
    Nothing,
}

#[derive(Debug)]
struct Leaf {
    reader: Reader,
    check: Check,
    /// For values that did not fit the field's column.
    conflicts: Option<TextCheck>,
}

impl Matcher {
    /// Compiles `filter` for events as they are stored.
    pub fn new(filter: &Filter) -> Self {
        Self::of(filter, &Scope::events())
    }

    /// Compiles `filter` for rows of `scope`.
    pub(crate) fn of(filter: &Filter, scope: &Scope) -> Self {
        Self(Node::new(filter, scope))
    }

    /// Which events of `batch` pass.
    pub fn matches(&self, batch: &Batch) -> BooleanArray {
        let row = |row| Row { event: Some((batch, row)), cells: Vec::new() };
        (0..batch.rows()).map(|place| Some(self.passes(&row(place)))).collect()
    }

    /// Whether a row passes.
    pub(crate) fn passes(&self, row: &Row<'_>) -> bool {
        self.0.passes(row)
    }
}

impl Node {
    fn new(filter: &Filter, scope: &Scope) -> Self {
        let all = |parts: &[Filter]| parts.iter().map(|part| Node::new(part, scope)).collect();
        match filter {
            Filter::All => Node::All,
            Filter::And(parts) => Node::And(all(parts)),
            Filter::Or(parts) => Node::Or(all(parts)),
            Filter::Not(part) => Node::Not(Box::new(Node::new(part, scope))),
            Filter::Words(pattern) => Node::Leaf(Leaf {
                reader: Reader::new(scope, &FieldRef::new(ORIGINAL.name())),
                check: TextCheck::anywhere(pattern).map_or(Check::Nothing, Check::Text),
                conflicts: None,
            }),
            Filter::Field(field, test) => Node::Leaf(Leaf::new(field, test, scope)),
            Filter::Holds(expr) => match Program::new(expr, scope) {
                Ok(program) => {
                    let readers = program.fields().iter().map(|f| Reader::new(scope, f)).collect();
                    Node::Holds(program, readers)
                }
                Err(_) => Node::Nothing,
            },
        }
    }

    fn passes(&self, row: &Row<'_>) -> bool {
        match self {
            Node::All => true,
            Node::And(parts) => parts.iter().all(|part| part.passes(row)),
            Node::Or(parts) => parts.iter().any(|part| part.passes(row)),
            Node::Not(part) => !part.passes(row),
            Node::Leaf(leaf) => leaf.passes(row),
            Node::Holds(program, readers) => {
                program.run(&|field| readers[field].cell(row)).is_true()
            }
            Node::Nothing => false,
        }
    }
}

impl Leaf {
    fn new(field: &FieldRef, test: &Test, scope: &Scope) -> Self {
        let reader = Reader::new(scope, field);
        match &reader {
            Reader::Event(target) => Self {
                check: Check::new(target, test).unwrap_or(Check::Nothing),
                conflicts: TextCheck::of_conflicts(target, test),
                reader,
            },
            Reader::Column(_) | Reader::Nowhere => Self {
                check: TextCheck::new(test).map_or(Check::Nothing, Check::Text),
                conflicts: None,
                reader,
            },
        }
    }

    fn passes(&self, row: &Row<'_>) -> bool {
        passes(&self.check, &self.reader.cell(row)) || self.conflicts(row)
    }

    fn conflicts(&self, row: &Row<'_>) -> bool {
        match (&self.conflicts, &self.reader, row.event) {
            (Some(check), Reader::Event(Target::Column(id)), Some((batch, at))) => {
                Conflicts::of(batch.columns(), *id).row(at).any(|text| check.matches(text))
            }
            _ => false,
        }
    }
}

fn passes(check: &Check, cell: &Cell) -> bool {
    match (check, cell) {
        (Check::Nothing, _) | (_, Cell::Null) => false,
        (Check::Exists, _) => true,
        (Check::Range(low, high), Cell::Long(value) | Cell::Time(value)) => {
            (low..=high).contains(&value)
        }
        (Check::Range(..), _) => false,
        (Check::Text(text), cell) => text.matches(&cell.text()),
    }
}
