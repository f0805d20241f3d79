//! What is asked, as plain types: a filter, then pipes. Nothing here knows who answers.

use pugmark_event::FieldId;
use pugmark_event::fields;
use pugmark_event::time::Micros;

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
        if self.pipes.iter().any(Pipe::makes_table) { Kind::Table } else { Kind::Events }
    }

    /// Names of the columns of a table; `None` when the answer is events.
    pub fn table_columns(&self) -> Option<Vec<String>> {
        self.pipes.iter().fold(None, |columns, pipe| pipe.columns(columns))
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

    /// The place of the table column that this names: the same text, or another name of the same
    /// field.
    pub fn find(&self, columns: &[String]) -> Option<usize> {
        columns
            .iter()
            .position(|c| *c == self.typed)
            .or_else(|| columns.iter().position(|c| FieldRef::new(c).target == self.target))
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

/// One step after the filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Pipe {
    /// Figures for each group.
    Stats {
        /// The figures.
        aggregates: Vec<Aggregate>,
        /// The groups; none means one row for everything.
        by: Vec<FieldRef>,
    },
    /// Figures for each stretch of time, and each value of one field.
    Timechart {
        /// Width of a bucket; `None` is chosen from the range by [`span_for`].
        span: Option<Micros>,
        /// The figures.
        aggregates: Vec<Aggregate>,
        /// Splits each bucket.
        by: Option<FieldRef>,
    },
    /// The most (or least) frequent values.
    Top {
        /// How many.
        rows: usize,
        /// The fields whose values are counted together.
        fields: Vec<FieldRef>,
        /// The least frequent first.
        rare: bool,
    },
    /// Another order. Absent values come last.
    Sort(Vec<SortKey>),
    /// The first rows.
    Head(usize),
    /// These columns only.
    Fields(Vec<FieldRef>),
    /// The rows that pass; after a table-making pipe its fields are the columns of the table.
    Where(Filter),
}

/// One figure of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// What is computed.
    pub function: Function,
    /// Of what; only a count goes without.
    pub field: Option<FieldRef>,
    /// The column's name, where the person gave one.
    pub alias: Option<String>,
}

impl Aggregate {
    /// The name of the column.
    pub fn name(&self) -> String {
        match (&self.alias, &self.field) {
            (Some(alias), _) => alias.clone(),
            (None, Some(field)) => format!("{}({})", self.function.name(), field.typed),
            (None, None) => self.function.name(),
        }
    }
}

/// What is computed of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Rows, or rows that have the field.
    Count,
    /// Sum of the numbers.
    Sum,
    /// Mean of the numbers.
    Avg,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Number of distinct values.
    Distinct,
    /// The value below which so many percent of the numbers lie: 1 to 99. Estimated.
    Percentile(u8),
    /// Value of the oldest event that has one.
    First,
    /// Value of the newest event that has one.
    Last,
}

impl Function {
    /// Names of all functions, for completion and hints.
    pub const NAMES: &[&str] =
        &["count", "sum", "avg", "min", "max", "dc", "p50", "p90", "p95", "p99", "first", "last"];

    /// Reads a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "count" => Function::Count,
            "sum" => Function::Sum,
            "avg" | "mean" => Function::Avg,
            "min" => Function::Min,
            "max" => Function::Max,
            "dc" | "distinct_count" => Function::Distinct,
            "median" => Function::Percentile(50),
            "first" => Function::First,
            "last" => Function::Last,
            other => {
                let percent: u8 = other.strip_prefix('p')?.parse().ok()?;
                return (1..=99).contains(&percent).then_some(Function::Percentile(percent));
            }
        })
    }

    /// The name.
    pub fn name(self) -> String {
        match self {
            Function::Count => "count".into(),
            Function::Sum => "sum".into(),
            Function::Avg => "avg".into(),
            Function::Min => "min".into(),
            Function::Max => "max".into(),
            Function::Distinct => "dc".into(),
            Function::Percentile(percent) => format!("p{percent}"),
            Function::First => "first".into(),
            Function::Last => "last".into(),
        }
    }
}

/// One part of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// By what. Text that is a number comes before other text, ordered as numbers.
    pub field: FieldRef,
    /// Greatest first.
    pub descending: bool,
}

impl Pipe {
    /// True when rows after this pipe are no longer events.
    pub fn makes_table(&self) -> bool {
        !matches!(self, Pipe::Sort(_) | Pipe::Head(_) | Pipe::Where(_))
    }

    /// The columns after this pipe, given those before it; `None` means events.
    pub fn columns(&self, before: Option<Vec<String>>) -> Option<Vec<String>> {
        let typed = |fields: &[FieldRef]| fields.iter().map(|f| f.typed.clone()).collect();
        match self {
            Pipe::Sort(_) | Pipe::Head(_) | Pipe::Where(_) => before,
            Pipe::Fields(fields) => Some(typed(fields)),
            Pipe::Stats { aggregates, by } => {
                let mut columns: Vec<String> = typed(by);
                columns.extend(aggregates.iter().map(Aggregate::name));
                Some(columns)
            }
            Pipe::Timechart { aggregates, by, .. } => {
                let mut columns = vec![TIMECHART_COLUMN.to_string()];
                columns.extend(by.iter().map(|f| f.typed.clone()));
                columns.extend(aggregates.iter().map(Aggregate::name));
                Some(columns)
            }
            Pipe::Top { fields, .. } => {
                let mut columns: Vec<String> = typed(fields);
                columns.push("count".into());
                Some(columns)
            }
        }
    }
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
