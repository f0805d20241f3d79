//! `baseline`: each value beside what is usual for its entity.

use std::collections::VecDeque;
use std::fmt::{Display, Formatter};

use super::{By, Command, Example, Takes, field, whole};
use crate::cell::{Cell, Shape};
use crate::eval::{Reader, Rows};
use crate::plan::{FieldRef, Pipe};
use crate::scope::{Column, Scope};

/// Values before that are looked at where nothing is said, and at most.
const WINDOW: usize = 30;
const WINDOW_MAX: usize = 10_000;
/// Values before without which nothing is usual.
const VALUES_MIN: usize = 3;
/// How many spreads from the usual the bounds lie.
const BOUND_SPREADS: f64 = 3.0;
/// What makes the median of distances a standard deviation, if values are normal.
const MAD_TO_DEVIATION: f64 = 1.4826;

/// The columns that are added.
const ADDED: [&str; 4] = ["usual", "low", "high", "score"];

/// Each value of a table beside what is usual for its entity: the values before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// The value.
    pub field: FieldRef,
    /// The entity.
    pub by: Vec<FieldRef>,
    /// How many values before are looked at.
    pub window: usize,
}

pub(super) const COMMAND: Command = Command {
    name: "baseline",
    other_names: &["anomaly", "anomalydetection"],
    usage: "baseline count by user.name window=30",
    about: "Puts each value beside what was usual for its entity before.",
    doc: "For a chart: `timechart span=1h count() by user.name | baseline count by user.name`. \
          Usual is the median of the values before, of at most `window` (30) and at least 3. The \
          spread is their median distance from it, times 1.4826 as for a standard deviation; it \
          is at least a twentieth of the usual value, and at least 1, so that what never changes \
          is not alarmed by one. `low` and `high` lie three spreads from the usual, and `score` \
          says how many spreads the value is above, or with a minus below. Rows go by \
          `@timestamp` where there is one, else by their order.",
    examples: &[
        Example {
            query: "* | timechart span=20s count() | baseline count",
            rows: &[
                "2026-11-23T10:00:00Z · 1 ·  ·  ·  · ",
                "2026-11-23T10:00:20Z · 1 ·  ·  ·  · ",
                "2026-11-23T10:00:40Z · 1 ·  ·  ·  · ",
                "2026-11-23T10:01:00Z · 1 · 1 · -2 · 4 · 0",
                "2026-11-23T10:05:00Z · 1 · 1 · -2 · 4 · 0",
                "2026-11-23T10:05:20Z · 1 · 1 · -2 · 4 · 0",
                "2026-11-23T10:20:00Z · 1 · 1 · -2 · 4 · 0",
                "2026-11-23T11:30:00Z · 1 · 1 · -2 · 4 · 0",
            ],
        },
        Example {
            query: "* | fields @timestamp, bytes, event.id | eval size = coalesce(bytes, 100) | \
                baseline size | where score > 3 | fields event.id, size, usual, high",
            rows: &["7 · 90000 · 100 · 115", "6 · 128 · 100 · 115", "5 · 512 · 100 · 115"],
        },
    ],
    takes: Takes::Fields(&["by", "window="]),
    read: |parser| {
        let field = field(parser)?;
        let mut by = super::by(parser)?;
        let mut window = WINDOW;
        if parser.option("window") {
            window = whole(parser, "a number of values", VALUES_MIN..=WINDOW_MAX)?;
        }
        if by.is_empty() {
            by = super::by(parser)?;
        }
        Ok(vec![Pipe::Baseline(Baseline { field, by, window })])
    },
};

pub(super) fn scope(mut scope: Scope) -> Scope {
    for name in ADDED {
        scope.put(Column::new(name, Shape::Float));
    }
    scope
}

impl Baseline {
    pub(super) fn run<'a>(&self, mut rows: Rows<'a>) -> Rows<'a> {
        let value = Reader::new(&rows.scope, &self.field);
        let values: Vec<Option<f64>> =
            rows.rows.iter().map(|row| value.cell(row).number()).collect();
        let mut found = vec![[const { Cell::Null }; ADDED.len()]; rows.rows.len()];
        for (_, places) in rows.grouped(&self.by, in_time(&rows)) {
            let mut before = VecDeque::new();
            for place in places {
                let Some(value) = values[place] else { continue };
                if before.len() >= VALUES_MIN {
                    found[place] = Usual::of(before.iter().copied().collect()).cells(value);
                }
                before.push_back(value);
                if before.len() > self.window {
                    before.pop_front();
                }
            }
        }
        for (at, name) in ADDED.into_iter().enumerate() {
            rows.put(Column::new(name, Shape::Float), found.iter().map(|cells| cells[at].clone()));
        }
        rows
    }
}

/// The places of rows in the order of time, or as they are where they have none.
fn in_time(rows: &Rows<'_>) -> Vec<usize> {
    let times = rows.times();
    let mut places: Vec<usize> = (0..rows.rows.len()).collect();
    places.sort_by_key(|place| times[*place]);
    places
}

/// What is usual among some values.
pub(super) struct Usual {
    middle: f64,
    spread: f64,
}

impl Usual {
    /// The median of values, and how far they usually lie from it (Iglewicz and Hoaglin, How to
    /// detect and handle outliers, 1993).
    pub(super) fn of(values: Vec<f64>) -> Self {
        let middle = median(values.clone());
        let distances = values.into_iter().map(|value| (value - middle).abs()).collect();
        let spread = (median(distances) * MAD_TO_DEVIATION).max(middle.abs() / 20.0).max(1.0);
        Self { middle, spread }
    }

    /// How many spreads a value lies from the middle.
    pub(super) fn score(&self, value: f64) -> f64 {
        (value - self.middle) / self.spread
    }

    fn cells(&self, value: f64) -> [Cell; ADDED.len()] {
        let bound = BOUND_SPREADS * self.spread;
        [self.middle, self.middle - bound, self.middle + bound, self.score(value)].map(Cell::float)
    }
}

fn median(values: Vec<f64>) -> f64 {
    super::stats::percentile(values, 50).unwrap_or(0.0)
}

impl Display for Baseline {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "baseline {}{} window={}", self.field, By(&self.by), self.window)
    }
}
