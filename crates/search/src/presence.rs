//! Which fields events have, and some of their values: help with writing a question, told quickly
//! rather than of every event.

use std::cmp::Reverse;
use std::collections::HashMap;

use arrow::array::{Array, ArrayRef};
use pugmark_event::Kind;
use pugmark_event::conflict;
use pugmark_event::fields::{self, FIELDS};
use pugmark_event::time::{self, Micros};
use pugmark_query::plan::ATTRIBUTES_PREFIX;
use pugmark_query::{FieldPresence, FieldRef, FieldValues, Presence};
use pugmark_store::{Present, PresentColumns, Scan, Snapshot, StoreError};

use crate::columns;
use crate::values::Values;

/// Events with the field after which no further part is looked at.
const EVENTS_MIN: u64 = 2000;
/// Events that are read to find as many, at most.
const ROWS_MAX: u64 = 1 << 19;
/// Parts that are looked at: most of those without the field cost next to nothing.
const PARTS_MAX: usize = 1000;
/// Text that is read, at most: long texts take long to put together.
const TEXT_BYTES_MAX: usize = 2 << 20;
/// Different values that are counted.
const DISTINCT_MAX: usize = 10_000;
/// Longer values are not listed.
const VALUE_BYTES_MAX: usize = 512;

/// What columns say, as people name the fields.
pub(crate) fn of_columns(present: PresentColumns) -> Presence {
    let PresentColumns { events, mut columns, .. } = present;
    let mut found = Vec::new();
    let mut add = |name: String, kind, Present { events, exact }| {
        found.push(FieldPresence { name, kind, events, exact });
    };
    for (id, field) in (0..).map(fields::FieldId).zip(FIELDS) {
        // A value that did not fit its column is found by its field.
        let unfit = format!("{ATTRIBUTES_PREFIX}{}", field.name);
        let unfit = Some(unfit).filter(|_| conflict::possible(id));
        let unfit = unfit.and_then(|column| columns.remove(&column));
        match (columns.remove(field.column), unfit) {
            // An event may have both.
            (Some(fit), Some(unfit)) => {
                let both = (fit.events + unfit.events).min(events.events);
                add(field.name.to_string(), field.kind, Present { events: both, exact: false });
            }
            (Some(one), None) | (None, Some(one)) => add(field.name.to_string(), field.kind, one),
            (None, None) => {}
        }
    }
    for (column, present) in columns {
        let name = column.strip_prefix(ATTRIBUTES_PREFIX).unwrap_or(&column);
        // A name that stands for something else needs its prefix.
        let short = FieldRef::new(name).target == FieldRef::new(&column).target;
        let name = if short { name.to_string() } else { column };
        add(name, Kind::Text, present);
    }
    found.sort_by(|a, b| b.events.cmp(&a.events).then_with(|| a.name.cmp(&b.name)));
    Presence { events: events.events, exact: events.exact, fields: found }
}

/// Values of a field in the newest parts that have it. A part that lies in the range whole counts
/// its dictionary where it has one; of others the one column is read.
pub(crate) fn values(
    snapshot: &Snapshot,
    field: &FieldRef,
    from: Option<Micros>,
    to: Option<Micros>,
) -> Result<FieldValues, StoreError> {
    let column = columns::name(&field.target);
    let scan = Scan { columns: Some(vec![column.clone()]), from, to, ..Scan::default() };
    let mut tally = Tally::default();
    let mut rows = 0;
    for part in snapshot.scan(scan).into_iter().take(PARTS_MAX) {
        if let Some(counts) = part.counts(&column)? {
            tally.add(&counts.values, |at| counts.rows[at].into());
        } else {
            for batch in part.read() {
                let batch = batch?;
                let column = batch.column(0);
                if column.null_count() < column.len() {
                    rows += column.len() as u64;
                }
                tally.add(column, |_| 1);
                if tally.bytes > TEXT_BYTES_MAX {
                    break;
                }
            }
        }
        if tally.events >= EVENTS_MIN || rows > ROWS_MAX || tally.bytes > TEXT_BYTES_MAX {
            break;
        }
    }
    Ok(tally.finish())
}

/// How many events have each value.
#[derive(Default)]
struct Tally {
    events: u64,
    counts: HashMap<String, u64>,
    /// Bytes of text that went in.
    bytes: usize,
}

impl Tally {
    /// Takes in values, each of so many events.
    fn add(&mut self, column: &ArrayRef, events: impl Fn(usize) -> u64) {
        let values = Values::of(column);
        for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
            let events = events(row);
            match values {
                Values::Text(texts) => self.note(texts.value(row), events),
                Values::Long(longs) => self.note(&longs[row].to_string(), events),
                Values::Float(floats) => self.note(&floats[row].to_string(), events),
                Values::Time(times) => self.note(&time::format(times[row]), events),
                Values::Dictionary(..) | Values::Other => return,
            }
        }
    }

    fn note(&mut self, value: &str, events: u64) {
        self.events += events;
        self.bytes += value.len();
        if let Some(count) = self.counts.get_mut(value) {
            *count += events;
        } else if self.counts.len() < DISTINCT_MAX && value.len() <= VALUE_BYTES_MAX && events > 0 {
            self.counts.insert(value.to_string(), events);
        }
    }

    fn finish(self) -> FieldValues {
        let mut values: Vec<(String, u64)> = self.counts.into_iter().collect();
        values.sort_unstable_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
        FieldValues { events: self.events, values }
    }
}
