//! `stats`: figures for each group.

use std::collections::BTreeSet;
use std::fmt::{Display, Formatter};

use super::{By, Command, Example, Takes, figures, list, name};
use crate::cell::{Cell, order};
use crate::diagnostic::Diagnostic;
use crate::display::List;
use crate::eval::{Rows, group};
use crate::expr::Expr;
use crate::figures::VALUES_MAX;
use crate::parse::Parser;
use crate::plan::{Aggregate, Function, Named, Pipe, is_attribute};
use crate::scope::{Column, Scope};

/// Figures for each group.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// The figures.
    pub figures: Vec<Aggregate>,
    /// The groups; none means one row for everything.
    pub by: Vec<Named>,
}

pub(super) const COMMAND: Command = Command {
    name: "stats",
    other_names: &["summarize", "aggregate"],
    usage: "stats count() as tries, dc(user.name) by source.ip",
    about: "Computes figures for each group.",
    doc: "Rows without a value form a group too. A group may be a span: `by span(@timestamp, 1h)`, \
          or any expression: `by lower(user.name)`. Figures skip absent values, and those of \
          numbers also what is no number; of nothing, `sum` and its like are absent and `count` \
          is 0. The rows come in the order of their groups. The figures are listed under \
          *Figures*.",
    examples: &[
        Example {
            query: "event.outcome:failure | stats count() as tries, dc(user.name) by source.ip",
            rows: &["198.51.100.4 · 1 · 1", "203.0.113.7 · 3 · 2"],
        },
        Example {
            query: "* | stats count() by span(@timestamp, 1h)",
            rows: &["2026-11-23T10:00:00Z · 7", "2026-11-23T11:00:00Z · 1"],
        },
        Example {
            query: "* | stats values(user.name) as users, earliest(user.name), latest(user.name) \
                by host.name",
            rows: &[
                "web-1 · [\"admin\",\"bob\",\"root\"] · root · bob",
                "web-2 · [\"admin\",\"bob\"] · bob · admin",
            ],
        },
        Example {
            query: "* | stats sum(bytes), avg(bytes), min(bytes), max(bytes), median(bytes)",
            rows: &["90640 · 30213.333333333332 · 128 · 90000 · 512"],
        },
        Example {
            query: "* | stats count() by host.name, user.name | stats count() as users, \
                sum(count) by host.name",
            rows: &["web-1 · 3 · 5", "web-2 · 2 · 3"],
        },
    ],
    takes: Takes::Figures(&["by", "as"]),
    read: |parser| {
        let mut figures = figures(parser, &["by"])?;
        if figures.is_empty() {
            figures.push(Aggregate::count());
        }
        let by = if parser.keyword("by") { list(parser, key)? } else { Vec::new() };
        Ok(vec![Pipe::Stats(Stats { figures, by })])
    },
};

/// A group: a field or an expression, with another name where one is given.
fn key(parser: &mut Parser<'_>) -> Result<Named, Diagnostic> {
    parser.cursor.blanks();
    let from = parser.cursor.at;
    let is_name = !parser.cursor.is_call() || parser.column_with_brackets().is_some();
    let mut key = if is_name {
        Named::field(super::field(parser)?)
    } else {
        let value = parser.expr()?;
        let name = match value.args_of(crate::functions::SPAN).and_then(<[Expr]>::first) {
            // The start of a stretch of a field is called like the field.
            Some(Expr::Field(field)) => field.typed.clone(),
            _ => parser.cursor.since(from).trim_end().to_string(),
        };
        Named { name, value }
    };
    if parser.keyword("as") {
        key.name = name(parser)?.1;
    }
    Ok(key)
}

impl Stats {
    pub(super) fn scope(&self, before: &Scope) -> Scope {
        let key = |named: &Named| Column::key(&named.name, named.value.shape(before));
        let keys = self.by.iter().map(key);
        let figures = self.figures.iter().map(|figure| figure.column(before));
        Scope::table(keys.chain(figures).collect())
    }

    pub(super) fn run<'a>(&self, rows: Rows<'a>) -> Rows<'a> {
        let by: Vec<Vec<Cell>> = self.by.iter().map(|named| rows.values(&named.value)).collect();
        let key = |place: usize| by.iter().map(|values| values[place].clone()).collect();
        let mut groups = group((0..rows.rows.len()).map(key).collect());
        if by.is_empty() && groups.is_empty() {
            groups.push((Vec::new(), Vec::new()));
        }
        let figures = Computed::new(&self.figures, &rows);
        let rows_of = groups.into_iter().map(|(mut key, places)| {
            key.extend(figures.of(&places));
            key
        });
        let scope = self.scope(&rows.scope);
        Rows::of_table(scope.columns, rows_of.collect())
    }
}

/// Figures made ready for the groups of some rows.
pub(super) struct Computed<'f> {
    figures: Vec<(&'f Aggregate, Option<Vec<Cell>>, bool)>,
    /// Whether the rows are events, of which the first is the newest.
    events: bool,
}

impl<'f> Computed<'f> {
    pub(super) fn new(figures: &'f [Aggregate], rows: &Rows<'_>) -> Self {
        let figure = |figure: &'f Aggregate| {
            let attribute = figure.of.as_ref().is_some_and(|of| is_attribute(of, &rows.scope));
            (figure, figure.of.as_ref().map(|of| rows.values(of)), attribute)
        };
        Self { figures: figures.iter().map(figure).collect(), events: rows.scope.events }
    }

    /// The figures of the rows in these places.
    pub(super) fn of(&self, places: &[usize]) -> Vec<Cell> {
        let figure = |(figure, values, attribute): &(&Aggregate, Option<Vec<Cell>>, bool)| {
            let present = values.as_ref().map(|values| {
                let cells = places.iter().map(|place| values[*place].clone());
                cells.filter(Cell::is_some).collect::<Vec<_>>()
            });
            compute(figure.function, places.len(), present, *attribute, self.events)
        };
        self.figures.iter().map(figure).collect()
    }
}

fn compute(
    function: Function,
    rows: usize,
    cells: Option<Vec<Cell>>,
    attribute: bool,
    events: bool,
) -> Cell {
    let Some(cells) = cells else {
        return match function {
            Function::Rate(seconds) => per_second(rows as f64, seconds),
            _ => Cell::Long(rows as i64),
        };
    };
    let numbers: Vec<f64> = cells.iter().filter_map(Cell::number).collect();
    let float = |value: Option<f64>| value.map_or(Cell::Null, Cell::float);
    let some = !numbers.is_empty();
    let sum = || numbers.iter().sum::<f64>();
    let (first, last) = match events {
        true => (cells.last(), cells.first()),
        false => (cells.first(), cells.last()),
    };
    match function {
        Function::Count => Cell::Long(cells.len() as i64),
        Function::Distinct => {
            let distinct: BTreeSet<String> = cells.iter().map(Cell::text).collect();
            Cell::Long(distinct.len() as i64)
        }
        Function::Sum => float(some.then(sum)),
        Function::Avg => float(some.then(|| sum() / numbers.len() as f64)),
        Function::Min => extreme(cells, attribute, false),
        Function::Max => extreme(cells, attribute, true),
        Function::Percentile(percent) => float(percentile(numbers, percent)),
        Function::Stdev => float(stdev(&numbers)),
        Function::Values => values(cells),
        Function::First => first.cloned().unwrap_or(Cell::Null),
        Function::Last => last.cloned().unwrap_or(Cell::Null),
        Function::Rate(seconds) => per_second(sum(), seconds),
    }
}

fn per_second(amount: f64, seconds: Option<f64>) -> Cell {
    seconds.map_or(Cell::Null, |seconds| Cell::float(amount / seconds))
}

/// Least or greatest: of the numbers among attributes, of the values otherwise.
fn extreme(cells: Vec<Cell>, attribute: bool, greatest: bool) -> Cell {
    let least_first = |a: &Cell, b: &Cell| match (a, b) {
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (a, b) => order(a, b, false),
    };
    let cells: Vec<Cell> = match attribute {
        true => cells.iter().filter_map(Cell::number).map(Cell::Float).collect(),
        false => cells,
    };
    let found = match greatest {
        true => cells.into_iter().max_by(least_first),
        false => cells.into_iter().min_by(least_first),
    };
    found.unwrap_or(Cell::Null)
}

fn values(cells: Vec<Cell>) -> Cell {
    if cells.is_empty() {
        return Cell::Null;
    }
    let distinct: BTreeSet<String> = cells.iter().map(Cell::text).collect();
    crate::functions::list(distinct.into_iter().take(VALUES_MAX))
}

/// The value below which so many percent of the numbers lie, between neighbours in proportion.
pub(super) fn percentile(mut numbers: Vec<f64>, percent: u8) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let place = f64::from(percent) / 100.0 * numbers.len().saturating_sub(1) as f64;
    let (low, high) = (numbers.get(place.floor() as usize)?, numbers.get(place.ceil() as usize)?);
    Some(low + (high - low) * place.fract())
}

/// The standard deviation of a sample: of two numbers at least.
pub(super) fn stdev(numbers: &[f64]) -> Option<f64> {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let squares: f64 = numbers.iter().map(|n| (n - mean).powi(2)).sum();
    (numbers.len() > 1).then(|| (squares / (count - 1.0)).sqrt())
}

impl Display for Stats {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "stats {}{}", List(&self.figures), By(&self.by))
    }
}
