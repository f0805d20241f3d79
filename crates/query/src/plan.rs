//! What is asked, as plain types: a filter, then pipes. Nothing here knows who answers.

use pugmark_event::FieldId;
use pugmark_event::fields;
use pugmark_event::time::{Micros, SECOND};

use crate::cell::{Cell, Shape};
use crate::expr::Expr;
pub use crate::figures::Function;
use crate::functions::{NOW, SPAN};
use crate::pipes::Change;
pub use crate::pipes::{
    Baseline, Compare, Join, Lookup, Outlier, Patterns, Sequence, Stats, Transaction,
};
use crate::scope::{Column, Place, Scope};

/// Prefix that names an attribute even where a column has the same name.
pub const ATTRIBUTES_PREFIX: &str = "attributes.";
/// What `| head` and `| top` keep when no number is given.
pub const HEAD_ROWS: usize = 10;
/// The column that holds the start of each bucket of `| timechart`.
pub const TIMECHART_COLUMN: &str = "@timestamp";

/// A whole question.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Which events.
    pub filter: Filter,
    /// What is done with them, in order.
    pub pipes: Vec<Pipe>,
}

/// What the rows of an answer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole events.
    Events,
    /// Rows that a pipe made.
    Table,
}

impl Kind {
    /// The word that the API uses.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Events => "events",
            Kind::Table => "table",
        }
    }
}

impl Plan {
    /// The events with these ids.
    pub fn of_events(ids: &[i64]) -> Plan {
        let field = FieldRef {
            typed: fields::EVENT_ID.name().to_string(),
            target: Target::Column(fields::EVENT_ID),
        };
        let one = |id: &i64| Filter::Field(field.clone(), Test::Equals(id.to_string()));
        Plan { filter: Filter::Or(ids.iter().map(one).collect()), pipes: Vec::new() }
    }

    /// Whether the rows of the answer are events or rows that a pipe made.
    pub fn kind(&self) -> Kind {
        if self.scope().events { Kind::Events } else { Kind::Table }
    }

    /// The rows of the answer.
    pub fn scope(&self) -> Scope {
        self.pipes.iter().fold(Scope::events(), |scope, pipe| pipe.scope(scope))
    }

    /// The same with everything known that was left to the time at which it is asked: `now`, and
    /// widths and rates that go by the range, of which the first and the last moment are given.
    pub fn bound(&self, now: Micros, (first, last): (Micros, Micros)) -> Plan {
        let width = span_for(first, last.saturating_add(1));
        let seconds = last.saturating_sub(first).saturating_add(1) as f64 / SECOND as f64;
        let expr = |expr: &Expr| {
            let Expr::Call(function, args) = expr else { return None };
            match (function.name, args.as_slice()) {
                (NOW, []) => Some(Expr::Literal(Cell::Time(now))),
                (SPAN, [of]) => Expr::call(
                    SPAN,
                    vec![of.clone(), Expr::Literal(Cell::Float(width as f64 / SECOND as f64))],
                ),
                _ => None,
            }
        };
        Change { expr: &expr, seconds }.plan(self)
    }

    /// Names of the columns of a table; `None` when the answer is events.
    pub fn table_columns(&self) -> Option<Vec<String>> {
        let scope = self.scope();
        (!scope.events).then(|| scope.names())
    }
}

/// Which events. A test of an absent field is false, so its `not` is true.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Every event.
    All,
    /// Every one of these.
    And(Vec<Filter>),
    /// At least one of these.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// The record holds this text somewhere, in upper or lower case.
    Words(Pattern),
    /// The field passes the test.
    Field(FieldRef, Test),
    /// The expression is true.
    Holds(Expr),
}

/// A field as the question names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRef {
    /// As typed: also the name of the column it makes in a table.
    pub typed: String,
    /// What it stands for.
    pub target: Target,
}

/// Where the values of a field are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// In a column of the registry.
    Column(FieldId),
    /// In the attributes, under this name.
    Attribute(String),
}

impl FieldRef {
    /// Finds what a name stands for: a registered field by its ECS name, column name or short
    /// form; anything else is an attribute.
    pub fn new(typed: &str) -> Self {
        let target = match (typed.strip_prefix(ATTRIBUTES_PREFIX), fields::by_name(typed)) {
            (Some(name), _) if !name.is_empty() => Target::Attribute(name.to_string()),
            (_, Some(id)) => Target::Column(id),
            _ => Target::Attribute(typed.to_string()),
        };
        Self { typed: typed.to_string(), target }
    }
}

/// Text with wildcards. Neighbouring text pieces are one piece, as are neighbouring stars.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pattern(pub Vec<Piece>);

/// A part of a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// This text, in upper or lower case.
    Text(String),
    /// Any text, also none: `*`.
    Any,
    /// One character: `?`.
    One,
}

impl Pattern {
    /// Adds literal text.
    pub fn push_text(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.0.push(Piece::Text(text.to_string())),
        }
    }

    /// Adds a wildcard.
    pub fn push_wildcard(&mut self, piece: Piece) {
        if !(piece == Piece::Any && self.0.last() == Some(&Piece::Any)) {
            self.0.push(piece);
        }
    }

    /// The text, if there is no wildcard.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// What a value must be. Text is compared without regard to case.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// This value.
    Equals(String),
    /// A text like this, from its start to its end.
    Like(Pattern),
    /// A text in which this regular expression finds something.
    Regex(String),
    /// Between two bounds, of which at least one is there. Numbers compare as numbers, times as
    /// times, addresses as addresses, other text byte by byte.
    Range {
        /// The least.
        low: Option<Bound>,
        /// The greatest.
        high: Option<Bound>,
    },
    /// An address in this network, as `10.0.0.0/8`; in attributes also exactly this text.
    Network(String),
    /// Any value.
    Exists,
}

/// One end of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The value as typed.
    pub value: String,
    /// Whether the value itself is in the range.
    pub inclusive: bool,
}

/// One step after the filter. What is typed may be another command: `top` is [`Pipe::Stats`],
/// [`Pipe::Sort`] and [`Pipe::Head`].
#[derive(Debug, Clone, PartialEq)]
pub enum Pipe {
    /// The rows that pass; after a table-making pipe its fields are the columns of the table.
    Where(Filter),
    /// Columns computed beside those that are there, one after the other.
    Extend(Vec<Named>),
    /// A table of these columns only.
    Select(Vec<Named>),
    /// Figures for each group.
    Stats(Stats),
    /// Another order. Absent values come last.
    Sort(Vec<SortKey>),
    /// The first rows.
    Head(usize),
    /// The last rows, in their order.
    Tail(usize),
    /// The first rows that have the same values in these fields.
    Dedup {
        /// What is the same.
        by: Vec<FieldRef>,
        /// How many are kept.
        rows: usize,
    },
    /// A row for each value of a list.
    Expand(FieldRef),
    /// Some of the rows, always the same: those whose hash falls below the share.
    Sample {
        /// Between 0 and 1.
        share: f64,
    },
    /// Columns from a table that is kept under a name.
    Lookup(Lookup),
    /// Columns from the rows of another question.
    Join(Join),
    /// The rows of another question after those that are there.
    Union(Box<Plan>),
    /// Rows put together that lie close to each other in time.
    Transaction(Transaction),
    /// Rows that follow each other in an order.
    Sequence(Sequence),
    /// Messages by their templates.
    Patterns(Patterns),
    /// The table beside that of an earlier window.
    Compare(Compare),
    /// Each value beside what is usual for it.
    Baseline(Baseline),
    /// How far each value lies from the others.
    Outlier(Outlier),
}

/// A value with the name of its column.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// The name that is shown.
    pub name: String,
    /// The value.
    pub value: Expr,
}

impl Named {
    /// The start of the stretch of `width` microseconds in which a time lies, under the name of
    /// its field.
    pub fn span(field: FieldRef, width: Micros) -> Self {
        let name = field.typed.clone();
        let seconds = match width % SECOND {
            0 => Cell::Long(width / SECOND),
            _ => Cell::Float(width as f64 / SECOND as f64),
        };
        let args = vec![Expr::Field(field), Expr::Literal(seconds)];
        Self { name, value: Expr::Call(&crate::functions::SPAN_FUNCTION, args) }
    }

    /// The same with a width that [`Plan::bound`] chooses from the range of the question.
    pub(crate) fn auto_span(field: FieldRef) -> Self {
        let name = field.typed.clone();
        Self { name, value: Expr::Call(&crate::functions::SPAN_FUNCTION, vec![Expr::Field(field)]) }
    }

    /// A field under the name that was typed.
    pub fn field(field: FieldRef) -> Self {
        Self { name: field.typed.clone(), value: Expr::Field(field) }
    }
}

/// One figure of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// What is computed.
    pub function: Function,
    /// Of what; only some go without.
    pub of: Option<Expr>,
    /// The column's name, where the person gave one.
    pub alias: Option<String>,
}

impl Aggregate {
    /// The count of rows.
    pub fn count() -> Self {
        Self { function: Function::Count, of: None, alias: None }
    }

    /// The name of the column.
    pub fn name(&self) -> String {
        match (&self.alias, &self.of) {
            (Some(alias), _) => alias.clone(),
            (None, Some(Expr::Field(field))) => {
                format!("{}({})", self.function.name(), field.typed)
            }
            (None, Some(of)) => format!("{}({of})", self.function.name()),
            (None, None) => self.function.name(),
        }
    }

    /// The column of the table.
    pub fn column(&self, scope: &Scope) -> Column {
        let shape = match &self.of {
            Some(of) => self.function.shape(of.shape(scope), is_attribute(of, scope)),
            None => self.function.shape(Shape::Long, false),
        };
        Column::new(self.name(), shape)
    }
}

/// Whether a value is of an attribute, whose texts may be numbers.
pub fn is_attribute(value: &Expr, scope: &Scope) -> bool {
    value
        .field()
        .is_some_and(|field| matches!(scope.find(field), Place::Event(Target::Attribute(_))))
}

/// One part of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// By what. Text that is a number comes before other text, ordered as numbers.
    pub field: FieldRef,
    /// Greatest first.
    pub descending: bool,
}

/// Bucket width for a chart over `from .. to`: the narrowest round width that makes at most 120
/// buckets.
pub fn span_for(from: Micros, to: Micros) -> Micros {
    use pugmark_event::time::{DAY, HOUR, MINUTE, SECOND};
    let range = to.saturating_sub(from).max(1);
    let widths = [
        SECOND,
        5 * SECOND,
        10 * SECOND,
        30 * SECOND,
        MINUTE,
        5 * MINUTE,
        10 * MINUTE,
        30 * MINUTE,
        HOUR,
        3 * HOUR,
        6 * HOUR,
        12 * HOUR,
        DAY,
        7 * DAY,
    ];
    widths.into_iter().find(|width| range / width < 120).unwrap_or_else(|| {
        let weeks = range / (120 * 7 * DAY) + 1;
        weeks.saturating_mul(7 * DAY)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pugmark_event::time::{DAY, HOUR, SECOND};

    #[test]
    fn spans_give_at_most_120_buckets() {
        for (range, expected) in
            [(1, SECOND), (2 * HOUR - 1, 60 * SECOND), (DAY, 1800 * SECOND), (30 * DAY, 12 * HOUR)]
        {
            let span = span_for(0, range);
            assert!(range / span <= 120, "{range}");
            assert_eq!(span, expected, "{range}");
        }
        assert!(span_for(i64::MIN, i64::MAX) > 7 * DAY);
    }

    #[test]
    fn names_stand_for_columns_or_attributes() {
        for (typed, expected) in [
            ("source.ip", Target::Column(fields::SOURCE_IP)),
            ("source_ip", Target::Column(fields::SOURCE_IP)),
            ("user", Target::Column(fields::USER_NAME)),
            ("foo-bar.x", Target::Attribute("foo-bar.x".into())),
            ("attributes.user", Target::Attribute("user".into())),
            ("attributes.", Target::Attribute("attributes.".into())),
        ] {
            assert_eq!(FieldRef::new(typed).target, expected, "{typed}");
        }
    }
}
