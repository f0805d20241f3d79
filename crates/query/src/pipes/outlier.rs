//! `outlier`: values that lie far from the others.

use std::fmt::{Display, Formatter};

use super::baseline::Usual;
use super::{By, Command, Example, Takes, field};
use crate::cell::{Cell, Shape};
use crate::eval::{Reader, Rows};
use crate::plan::{FieldRef, Pipe};
use crate::scope::{Column, Scope};

/// From how many spreads on a value is far, where nothing is said.
const THRESHOLD: f64 = 3.5;

/// How far each value of a table lies from the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlier {
    /// The value.
    pub field: FieldRef,
    /// Among which rows: those with the same values here.
    pub by: Vec<FieldRef>,
    /// From which distance on a row is kept.
    pub threshold: f64,
}

pub(super) const COMMAND: Command = Command {
    name: "outlier",
    other_names: &["outliers"],
    usage: "outlier bytes by host.name threshold=3.5",
    about: "Keeps the rows of a table whose value lies far from the others.",
    doc: "Far is from `threshold` (3.5) spreads on, above or below the median of all rows with the \
          same values behind `by`; the spread is that of `baseline`. The distance is in the column \
          `score`, with a minus where the value is below.",
    examples: &[
        Example {
            query: "* | stats count() by user.name, host.name, source.ip | eval count = \
                if(user.name = \"root\", 50, count) | outlier count",
            rows: &["root · web-1 · 203.0.113.7 · 50 · 32.37555645487657"],
        },
        Example {
            query: "* | stats count() by user.name | outlier count threshold=100",
            rows: &[],
        },
    ],
    takes: Takes::Fields(&["by", "threshold="]),
    read: |parser| {
        let field = field(parser)?;
        let mut by = super::by(parser)?;
        let mut threshold = THRESHOLD;
        if parser.option("threshold") {
            parser.cursor.blanks();
            let at = parser.cursor.at;
            let word = parser.cursor.word(super::NAME_ENDS)?;
            let number = word.and_then(|word| word.raw.parse::<f64>().ok());
            threshold = number
                .filter(|n| *n > 0.0 && n.is_finite())
                .ok_or_else(|| parser.cursor.fault(at, "this is a number above 0"))?;
        }
        if by.is_empty() {
            by = super::by(parser)?;
        }
        Ok(vec![Pipe::Outlier(Outlier { field, by, threshold })])
    },
};

fn score() -> Column {
    Column::new("score", Shape::Float)
}

pub(super) fn scope(mut scope: Scope) -> Scope {
    scope.put(score());
    scope
}

impl Outlier {
    pub(super) fn run<'a>(&self, mut rows: Rows<'a>) -> Rows<'a> {
        let value = Reader::new(&rows.scope, &self.field);
        let values: Vec<Option<f64>> =
            rows.rows.iter().map(|row| value.cell(row).number()).collect();
        let mut scores = vec![None; rows.rows.len()];
        for (_, places) in rows.grouped(&self.by, (0..rows.rows.len()).collect()) {
            let usual = Usual::of(places.iter().filter_map(|place| values[*place]).collect());
            for place in places {
                scores[place] = values[place].map(|value| usual.score(value));
            }
        }
        let far = |score: &Option<f64>| score.is_some_and(|score| score.abs() >= self.threshold);
        rows.put(score(), scores.iter().map(|score| score.map_or(Cell::Null, Cell::float)));
        let mut scores = scores.iter();
        rows.rows.retain(|_| scores.next().is_some_and(far));
        rows
    }
}

impl Display for Outlier {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "outlier {}{} threshold={}", self.field, By(&self.by), self.threshold)
    }
}
