//! Which rows pass a filter.

use arrow::array::BooleanArray;
use pugmark_event::Batch;
use pugmark_event::conflict::Conflicts;
use pugmark_event::fields::ORIGINAL;

use super::rows::{Reader, Row, cell};
use crate::cell::Cell;
use crate::check::{Check, TextCheck};
use crate::expr::Program;
use crate::plan::{FieldRef, Filter, Target, Test};
use crate::scope::{Place, Scope};

/// Which events of `batch` pass `filter`. Part of a filter that cannot be compiled, which
/// [`crate::parse`] never makes, passes nothing.
pub fn matches(filter: &Filter, batch: &Batch) -> BooleanArray {
    Matcher::new(filter).matches(batch)
}

/// A filter made ready for many batches.
#[derive(Debug)]
pub struct Matcher {
    node: Node,
    scope: Scope,
}

#[derive(Debug)]
enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Leaf(Leaf),
    Holds(Program),
    Nothing,
}

#[derive(Debug)]
struct Leaf {
    field: FieldRef,
    check: Check,
    /// For values that did not fit the field's column.
    conflicts: Option<TextCheck>,
}

impl Matcher {
    /// Compiles `filter` for events as they are stored.
    pub fn new(filter: &Filter) -> Self {
        Self::of(filter, Scope::events())
    }

    /// Compiles `filter` for rows of `scope`.
    pub(crate) fn of(filter: &Filter, scope: Scope) -> Self {
        Self { node: Node::new(filter, &scope), scope }
    }

    /// Which events of `batch` pass.
    pub fn matches(&self, batch: &Batch) -> BooleanArray {
        let row = |row| Row { event: Some((batch, row)), cells: Vec::new() };
        (0..batch.rows()).map(|place| Some(self.passes(&row(place)))).collect()
    }

    /// Whether a row passes.
    pub(crate) fn passes(&self, row: &Row<'_>) -> bool {
        self.node.passes(row, &self.scope)
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
                field: FieldRef::new(ORIGINAL.name()),
                check: TextCheck::anywhere(pattern).map_or(Check::Nothing, Check::Text),
                conflicts: None,
            }),
            Filter::Field(field, test) => Node::Leaf(Leaf::new(field, test, scope)),
            Filter::Holds(expr) => Program::new(expr, scope).map_or(Node::Nothing, Node::Holds),
        }
    }

    fn passes(&self, row: &Row<'_>, scope: &Scope) -> bool {
        match self {
            Node::All => true,
            Node::And(parts) => parts.iter().all(|part| part.passes(row, scope)),
            Node::Or(parts) => parts.iter().any(|part| part.passes(row, scope)),
            Node::Not(part) => !part.passes(row, scope),
            Node::Leaf(leaf) => leaf.passes(row, scope),
            Node::Holds(program) => {
                let fields = program.fields();
                program.run(&|field| Reader::new(scope, &fields[field]).cell(row)).is_true()
            }
            Node::Nothing => false,
        }
    }
}

impl Leaf {
    fn new(field: &FieldRef, test: &Test, scope: &Scope) -> Self {
        let field = field.clone();
        match scope.find(&field) {
            Place::Event(target) => Self {
                check: Check::new(target, test).unwrap_or(Check::Nothing),
                conflicts: TextCheck::of_conflicts(target, test),
                field,
            },
            Place::Column(_) | Place::Nowhere => Self {
                check: TextCheck::new(test).map_or(Check::Nothing, Check::Text),
                conflicts: None,
                field,
            },
        }
    }

    fn passes(&self, row: &Row<'_>, scope: &Scope) -> bool {
        let place = scope.find(&self.field);
        match (place, row.event) {
            (Place::Event(target), Some((batch, at))) => {
                passes(&self.check, &cell(batch, at, target)) || self.conflicts(batch, at)
            }
            _ => passes(&self.check, &Reader::new(scope, &self.field).cell(row)),
        }
    }

    fn conflicts(&self, batch: &Batch, row: usize) -> bool {
        match (&self.conflicts, &self.field.target) {
            (Some(check), Target::Column(id)) => {
                Conflicts::of(batch.columns(), *id).row(row).any(|text| check.matches(text))
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
