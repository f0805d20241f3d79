//! `sequence`: rows of one entity that follow each other in an order.

use std::fmt::{Display, Formatter};

use super::transaction::{entity, stretch, stretch_cells};
use super::{By, Command, Example, Takes, span};
use crate::cell::{Cell, Shape, order};
use crate::eval::{Matcher, Reader, Rows, compare_rows};
use crate::plan::{FieldRef, Filter, Pipe};
use crate::scope::{Column, Scope};
use pugmark_event::fields::EVENT_ID;
use pugmark_event::time::{Micros, format_span};

/// Steps of one sequence.
const STEPS_MAX: usize = 10;

/// Rows of one entity that pass the steps one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// The entity.
    pub by: Vec<FieldRef>,
    /// The longest time from the first step to the last, in microseconds.
    pub within: Micros,
    /// The steps in their order: two at least.
    pub steps: Vec<Filter>,
}

pub(super) const COMMAND: Command = Command {
    name: "sequence",
    other_names: &["eql"],
    usage: "sequence by source.ip within=10m [ event.outcome:failure ] [ event.outcome:success ]",
    about: "Finds rows of one entity that follow each other in an order.",
    doc: "The steps stand in square brackets: conditions as `where` takes them. Other rows may lie \
          between. Each sequence found has the entity, the time of its first row as `@timestamp`, \
          its `end`, its `duration` in seconds, and the ids of its `events` as a list. Of rows \
          that pass the first step the newest before the second counts; a row is in one sequence \
          at most. Rows without the entity are left out. The newest comes first.",
    examples: &[
        Example {
            query: "* | sequence by source.ip within=2m [ event.outcome:failure ] [ \
                event.outcome:success ]",
            rows: &[
                "203.0.113.7 · 2026-11-23T10:00:40Z · 2026-11-23T10:01:00Z · 20 · [\"3\",\"4\"]",
            ],
        },
        Example {
            query: "* | sequence by source.ip within=1h [ event.outcome:success ] [ where bytes > \
                1000 ] | fields source.ip, events",
            rows: &["203.0.113.7 · [\"4\",\"7\"]"],
        },
    ],
    takes: Takes::Fields(&["by", "within="]),
    read: |parser| {
        let mut by = super::by(parser)?;
        parser.cursor.blanks();
        let at = parser.cursor.at;
        if !parser.option("within") {
            return Err(parser
                .cursor
                .fault(at, "`within=` and a span of time are missing here")
                .into());
        }
        let within = span(parser)?;
        if by.is_empty() {
            by = super::by(parser)?;
        }
        let mut steps = Vec::new();
        parser.cursor.blanks();
        let at = parser.cursor.at;
        while parser.cursor.peek() == Some('[') {
            steps.push(parser.step()?);
            parser.cursor.blanks();
        }
        if !(2..=STEPS_MAX).contains(&steps.len()) {
            let message = format!("a sequence has 2 to {STEPS_MAX} steps in square brackets");
            return Err(parser.cursor.fault(at, message).into());
        }
        Ok(vec![Pipe::Sequence(Sequence { by, within, steps })])
    },
};

/// Rows so far that passed the first steps.
#[derive(Clone)]
struct Partial {
    start: Micros,
    places: Vec<usize>,
}

impl Sequence {
    pub(super) fn scope(&self, before: &Scope) -> Scope {
        let mut columns: Vec<Column> = entity(&self.by, before).collect();
        columns.extend(stretch());
        columns.push(Column::new("events", Shape::Text));
        Scope::table(columns)
    }

    pub(super) fn run<'a>(&self, rows: Rows<'a>) -> Rows<'a> {
        let times = rows.times();
        let id = FieldRef::new(EVENT_ID.name());
        let id = Reader::new(&rows.scope, &id);
        let steps: Vec<Matcher> =
            self.steps.iter().map(|step| Matcher::of(step, &rows.scope)).collect();
        let mut found = Vec::new();
        for (key, places) in rows.grouped_by_age(&self.by) {
            if key.contains(&Cell::Null) {
                continue;
            }
            let time = |place: usize| times[place].unwrap_or_default();
            let passes = |step: usize, place: usize| steps[step].passes(&rows.rows[place]);
            for places in self.find(places, time, passes) {
                let (Some(first), Some(last)) = (places.first(), places.last()) else { continue };
                let mut row = key.clone();
                row.extend(stretch_cells(time(*first), time(*last)));
                let ids = places.iter().map(|place| id.cell(&rows.rows[*place]).text());
                row.push(crate::functions::list(ids));
                found.push(row);
            }
        }
        let start = self.by.len();
        found.sort_by(|a, b| {
            order(&a[start], &b[start], true).then_with(|| compare_rows(&a[..start], &b[..start]))
        });
        Rows::of_table(self.scope(&rows.scope).columns, found)
    }

    /// The sequences among places, the oldest first; `passes` says whether the row in a place
    /// passes a step, given before the place.
    pub fn find(
        &self,
        places: impl IntoIterator<Item = usize>,
        time: impl Fn(usize) -> Micros,
        passes: impl Fn(usize, usize) -> bool,
    ) -> Vec<Vec<usize>> {
        let last = self.steps.len() - 1;
        let mut partials: Vec<Option<Partial>> = vec![None; last];
        let mut found = Vec::new();
        for place in places {
            let now = time(place);
            // From the last step on, so that a row is one step of a sequence only.
            for step in (0..=last).rev().filter(|step| passes(*step, place)) {
                let before = match step.checked_sub(1) {
                    None => Some(Partial { start: now, places: Vec::new() }),
                    Some(earlier) => partials[earlier]
                        .clone()
                        .filter(|partial| now.saturating_sub(partial.start) <= self.within),
                };
                let Some(mut partial) = before else { continue };
                partial.places.push(place);
                if step == last {
                    found.push(partial.places);
                    partials.fill(None);
                    break;
                }
                partials[step] = Some(partial);
            }
        }
        found
    }
}

impl Display for Sequence {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "sequence{} within={}", By(&self.by), format_span(self.within))?;
        self.steps.iter().try_for_each(|step| write!(f, " [ {step} ]"))
    }
}
