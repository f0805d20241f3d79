//! `transaction`: rows of one entity that lie close to each other in time.

use std::fmt::{Display, Formatter};
use std::ops::Range;

use super::stats::Computed;
use super::{By, Command, Example, Takes, figures, span};
use crate::cell::{Cell, Shape, order};
use crate::display::List;
use crate::eval::{Rows, compare_rows};
use crate::plan::{Aggregate, FieldRef, Pipe, TIMECHART_COLUMN};
use crate::scope::{Column, Scope};
use pugmark_event::time::{MINUTE, Micros, SECOND, format_span};

/// The longest pause where nothing is said.
const PAUSE: Micros = 30 * MINUTE;

/// Rows of one entity put together: a new one begins after a pause, or when it has lasted.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// The entity.
    pub by: Vec<FieldRef>,
    /// The longest time between two rows, in microseconds.
    pub pause: Micros,
    /// The longest time from the first row to the last, in microseconds.
    pub span: Option<Micros>,
    /// What is computed of each, beside its start, end, duration and rows.
    pub figures: Vec<Aggregate>,
}

pub(super) const COMMAND: Command = Command {
    name: "transaction",
    other_names: &["session", "sessionize"],
    usage: "transaction values(url.path) as pages by user.name pause=30m span=8h",
    about: "Puts rows of one entity together that lie close to each other in time.",
    doc: "A new one begins after a pause of more than `pause` (30 minutes, if nothing is said), or \
          when it would last longer than `span`. Each has the entity, its start as `@timestamp`, \
          its `end`, its `duration` in seconds, the number of `events`, and the figures that were \
          asked for. Rows without the entity are left out. The newest comes first.",
    examples: &[
        Example {
            query: "* | transaction by source.ip pause=10m",
            rows: &[
                "198.51.100.4 · 2026-11-23T11:30:00Z · 2026-11-23T11:30:00Z · 0 · 1",
                "203.0.113.7 · 2026-11-23T10:20:00Z · 2026-11-23T10:20:00Z · 0 · 1",
                "198.51.100.4 · 2026-11-23T10:05:00Z · 2026-11-23T10:05:30Z · 30 · 2",
                "203.0.113.7 · 2026-11-23T10:00:00Z · 2026-11-23T10:01:00Z · 60 · 4",
            ],
        },
        Example {
            query: "* | transaction values(event.outcome) as outcomes by source.ip pause=2h \
                span=30s | where events > 1 | fields source.ip, duration, outcomes",
            rows: &[
                "198.51.100.4 · 30 · ",
                "203.0.113.7 · 20 · [\"failure\",\"success\"]",
                "203.0.113.7 · 20 · [\"failure\"]",
            ],
        },
    ],
    takes: Takes::Figures(&["by", "pause=", "span="]),
    read: |parser| {
        let figures = figures(parser, &["by", "pause", "span"])?;
        let by = super::by(parser)?;
        let (mut pause, mut longest) = (PAUSE, None);
        loop {
            if parser.option("pause") {
                pause = span(parser)?;
            } else if parser.option("span") {
                longest = Some(span(parser)?);
            } else {
                break;
            }
        }
        Ok(vec![Pipe::Transaction(Transaction { by, pause, span: longest, figures })])
    },
};

/// The columns of a stretch of time: its start, its end, and its length in seconds.
pub(super) fn stretch() -> [Column; 3] {
    [
        Column::key(TIMECHART_COLUMN, Shape::Time),
        Column::new("end", Shape::Time),
        Column::new("duration", Shape::Float),
    ]
}

/// Their values.
pub(super) fn stretch_cells(start: Micros, end: Micros) -> [Cell; 3] {
    let seconds = end.saturating_sub(start) as f64 / SECOND as f64;
    [Cell::Time(start), Cell::Time(end), Cell::Float(seconds)]
}

/// Keys of an entity.
pub(super) fn entity<'s>(
    by: &'s [FieldRef],
    before: &'s Scope,
) -> impl Iterator<Item = Column> + 's {
    by.iter().map(|field| Column::key(&field.typed, before.shape(field)))
}

impl Transaction {
    pub(super) fn scope(&self, before: &Scope) -> Scope {
        let mut columns: Vec<Column> = entity(&self.by, before).collect();
        columns.extend(stretch());
        columns.push(Column::new("events", Shape::Long));
        columns.extend(self.figures.iter().map(|figure| figure.column(before)));
        Scope::table(columns)
    }

    pub(super) fn run<'a>(&self, rows: Rows<'a>) -> Rows<'a> {
        let times = rows.times();
        let time = |place: usize| times[place].unwrap_or_default();
        let figures = Computed::new(&self.figures, &rows);
        let mut found = Vec::new();
        for (key, places) in rows.grouped_by_age(&self.by) {
            if key.contains(&Cell::Null) {
                continue;
            }
            for part in self.parts(places.len(), |at| time(places[at])) {
                let mut places = places[part].to_vec();
                let (Some(first), Some(last)) = (places.first(), places.last()) else { continue };
                let mut row = key.clone();
                row.extend(stretch_cells(time(*first), time(*last)));
                row.push(Cell::Long(places.len() as i64));
                // Figures expect rows in their order.
                places.sort_unstable();
                row.extend(figures.of(&places));
                found.push(row);
            }
        }
        let start = self.by.len();
        found.sort_by(|a, b| {
            order(&a[start], &b[start], true).then_with(|| compare_rows(&a[..start], &b[..start]))
        });
        Rows::of_table(self.scope(&rows.scope).columns, found)
    }

    /// Cuts so many rows of one entity, the oldest first, where a new transaction begins.
    pub fn parts(&self, rows: usize, time: impl Fn(usize) -> Micros) -> Vec<Range<usize>> {
        let (mut parts, mut start) = (Vec::new(), 0);
        for at in 1..=rows {
            let cut = at == rows
                || time(at).saturating_sub(time(at - 1)) > self.pause
                || self.span.is_some_and(|span| time(at).saturating_sub(time(start)) > span);
            if cut {
                parts.push(start..at);
                start = at;
            }
        }
        parts
    }
}

impl Display for Transaction {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("transaction")?;
        if !self.figures.is_empty() {
            write!(f, " {}", List(&self.figures))?;
        }
        write!(f, "{} pause={}", By(&self.by), format_span(self.pause))?;
        self.span.map_or(Ok(()), |span| write!(f, " span={}", format_span(span)))
    }
}
