//! Figures of groups: what `stats` and `timechart` compute.

use crate::cell::Shape;

/// What is computed of a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// Rows, or rows that have the value.
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
    /// Standard deviation of the numbers, as of a sample.
    Stdev,
    /// The distinct values as a list in JSON, in order, the first [`VALUES_MAX`].
    Values,
    /// Value of the first row that has one: of events the oldest.
    First,
    /// Value of the last row that has one: of events the newest.
    Last,
    /// Rows, or the sum of the numbers, for each second. The seconds are those of the group's
    /// bucket, or of the range of the question; `None` until a range is known.
    Rate(Option<f64>),
}

/// Values of one list.
pub const VALUES_MAX: usize = 1000;

/// A figure as people read about it.
#[derive(Debug)]
pub struct Figure {
    /// What is typed.
    pub name: &'static str,
    /// How it is used.
    pub usage: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Whether it can go without a value.
    pub alone: bool,
    function: Function,
}

const fn figure(
    name: &'static str,
    usage: &'static str,
    function: Function,
    about: &'static str,
) -> Figure {
    Figure { name, usage, about, alone: false, function }
}

const fn alone(
    name: &'static str,
    usage: &'static str,
    function: Function,
    about: &'static str,
) -> Figure {
    Figure { name, usage, about, alone: true, function }
}

/// All figures.
pub const FIGURES: &[Figure] = &[
    alone("count", "count(), count(x)", Function::Count, "rows, or rows that have x"),
    figure("sum", "sum(x)", Function::Sum, "sum of the numbers"),
    figure("avg", "avg(x)", Function::Avg, "mean of the numbers"),
    figure("min", "min(x)", Function::Min, "least value; of an attribute, least number"),
    figure("max", "max(x)", Function::Max, "greatest value; of an attribute, greatest number"),
    figure("dc", "dc(x)", Function::Distinct, "number of distinct values"),
    figure(
        "percentile",
        "percentile(x, 95), p95(x)",
        Function::Percentile(50),
        "value below which so many percent of the numbers lie, estimated",
    ),
    figure("median", "median(x)", Function::Percentile(50), "the same as p50(x)"),
    figure("stdev", "stdev(x)", Function::Stdev, "standard deviation of a sample"),
    figure("values", "values(x)", Function::Values, "the distinct values as a list, 1000 at most"),
    figure(
        "first",
        "first(x)",
        Function::First,
        "value of the oldest event, or of the first row of a table",
    ),
    figure(
        "last",
        "last(x)",
        Function::Last,
        "value of the newest event, or of the last row of a table",
    ),
    figure("earliest", "earliest(x)", Function::First, "the same as first(x)"),
    figure("latest", "latest(x)", Function::Last, "the same as last(x)"),
    alone(
        "rate",
        "rate(), rate(x)",
        Function::Rate(None),
        "rows, or the sum of x, for each second of the bucket, or of the range",
    ),
];

/// Other names.
const OTHER_NAMES: &[(&str, &str)] =
    &[("mean", "avg"), ("distinct_count", "dc"), ("dcount", "dc"), ("make_set", "values")];

impl Function {
    /// Reads a name: one of [`FIGURES`], or `p1` to `p99`.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let other = OTHER_NAMES.iter().find(|(other, _)| *other == name).map(|(_, name)| *name);
        let name = other.unwrap_or(&name);
        if let Some(figure) = FIGURES.iter().find(|figure| figure.name == name) {
            return Some(figure.function);
        }
        let percent: u8 = name.strip_prefix('p')?.parse().ok()?;
        (1..=99).contains(&percent).then_some(Function::Percentile(percent))
    }

    /// The name that it is shown by.
    pub fn name(self) -> String {
        match self {
            Function::Count => "count".into(),
            Function::Sum => "sum".into(),
            Function::Avg => "avg".into(),
            Function::Min => "min".into(),
            Function::Max => "max".into(),
            Function::Distinct => "dc".into(),
            Function::Percentile(percent) => format!("p{percent}"),
            Function::Stdev => "stdev".into(),
            Function::Values => "values".into(),
            Function::First => "first".into(),
            Function::Last => "last".into(),
            Function::Rate(_) => "rate".into(),
        }
    }

    /// Whether it can go without a value.
    pub fn is_alone(self) -> bool {
        matches!(self, Function::Count | Function::Rate(_))
    }

    /// What it is, of values of a shape; `attribute` says that they are of a field whose texts may
    /// be numbers.
    pub fn shape(self, of: Shape, attribute: bool) -> Shape {
        match self {
            Function::Count | Function::Distinct => Shape::Long,
            Function::Sum
            | Function::Avg
            | Function::Percentile(_)
            | Function::Stdev
            | Function::Rate(_) => Shape::Float,
            Function::Min | Function::Max if attribute => Shape::Float,
            Function::Min | Function::Max | Function::First | Function::Last => of,
            Function::Values => Shape::Text,
        }
    }
}
