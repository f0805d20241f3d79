//! Moves the times of events by what their source's clock is wrong by, so that it can be undone.
//!
//! The record stays as it is, and the event says by how much it was moved: its time less
//! [`CLOCK_CORRECTION`] is the time that was written.

use std::sync::Arc;

use pugmark_event::batch::BatchError;
use pugmark_event::build::{CLOCK_AHEAD_MAX, EVENT_TIME_MIN, times, with_attribute};
use pugmark_event::fields::EVENT_TIME;
use pugmark_event::time::{CLOCK_CORRECTION, HOUR, Micros, SECOND};
use pugmark_event::{Batch, Value};

/// What is wrong by more is a replay, or a clock without a date: no correction helps.
pub const CORRECTION_SECONDS_MAX: i64 = 26 * HOUR / SECOND;

/// Whether the time of an event is its own: without one it has the time of receipt, to the
/// microsecond.
pub fn is_own_time(time: Micros, received: Micros) -> bool {
    time != received
}

/// The batch with its own times moved by so many seconds. Times of receipt stay, and so does a
/// time that would become an impossible one, as parsers see it: more than a day ahead, or before
/// 2000.
///
/// # Errors
/// When Arrow cannot build the columns, such as text past 2 GiB.
pub fn correct_clock(batch: &Batch, seconds: i64) -> Result<Batch, BatchError> {
    let rows = batch.event_times().iter().zip(batch.received_times());
    let moved: Vec<Option<Micros>> =
        rows.map(|(time, received)| corrected(*time, *received, seconds)).collect();
    if moved.iter().all(Option::is_none) {
        return Ok(batch.clone());
    }
    let text = seconds.to_string();
    let mark = |row: usize| moved[row].map(|_| Value::Number(&text));
    let marked = with_attribute(batch, CLOCK_CORRECTION, mark)?;
    let old = batch.event_times().iter();
    let new = old.zip(&moved).map(|(old, moved)| moved.unwrap_or(*old)).collect();
    marked.with_columns(vec![(Arc::new(EVENT_TIME.field().arrow()), times(new))])
}

/// The time that an event is moved to; `None` where it stays.
fn corrected(time: Micros, received: Micros, seconds: i64) -> Option<Micros> {
    if seconds == 0 || !is_own_time(time, received) {
        return None;
    }
    let moved = time.checked_add(seconds.checked_mul(SECOND)?)?;
    let latest = received.saturating_add(CLOCK_AHEAD_MAX);
    (EVENT_TIME_MIN..=latest).contains(&moved).then_some(moved)
}

/// The time that was written in the event at `row`, whatever correction it has.
pub fn written_time(batch: &Batch, row: usize) -> Micros {
    let time = batch.event_times()[row];
    let seconds = match batch.attributes().get(row, CLOCK_CORRECTION) {
        Some(Value::Number(text)) => text.parse::<i64>().unwrap_or(0),
        _ => 0,
    };
    let seconds = seconds.clamp(-CORRECTION_SECONDS_MAX, CORRECTION_SECONDS_MAX);
    time.saturating_sub(seconds * SECOND)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pugmark_event::time::{DAY, MINUTE};
    use pugmark_event::{BatchBuilder, fields};

    use super::*;

    const NOW: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

    fn batch(times: &[Option<Micros>]) -> Batch {
        let mut builder = BatchBuilder::new("s", NOW);
        for (id, time) in (1..).zip(times) {
            builder.begin(id, b"raw");
            builder.set(fields::USER_NAME, Value::Text("ann"));
            builder.attribute("basket", Value::Number("7"));
            builder.end(*time);
        }
        builder.finish().unwrap()
    }

    /// The time of a single event after a correction; `None` when it says that it was not moved.
    #[track_caller]
    fn check(time: Option<Micros>, seconds: i64, expected: Option<Micros>) {
        let before = batch(&[time]);
        let after = correct_clock(&before, seconds).unwrap();
        let mark = after.attributes().get(0, CLOCK_CORRECTION);
        let text = seconds.to_string();
        assert_eq!(mark, expected.map(|_| Value::Number(&text)), "{time:?} {seconds}");
        assert_eq!(after.event_times()[0], expected.unwrap_or(before.event_times()[0]));
        assert_eq!(written_time(&after, 0), before.event_times()[0]);
    }

    #[test]
    fn own_times_move_and_others_stay() {
        check(Some(NOW + 2 * HOUR), -7200, Some(NOW));
        check(Some(NOW - 7 * MINUTE), 420, Some(NOW));
        check(Some(NOW - HOUR), 0, None);
        // The time of receipt.
        check(None, 7200, None);
        // A clock that nobody believes: the event has the time of receipt.
        check(Some(NOW + 3 * DAY), -7200, None);
        // What would be impossible.
        check(Some(NOW + 23 * HOUR), 2 * 3600, None);
        check(Some(EVENT_TIME_MIN), -1, None);
        check(Some(NOW - HOUR), i64::MAX, None);
    }

    #[test]
    fn nothing_else_of_an_event_changes() {
        let before = batch(&[Some(NOW - HOUR), None]);
        let after = correct_clock(&before, 60).unwrap();
        assert_eq!(after.ids(), before.ids());
        assert_eq!(after.original(0), b"raw");
        assert_eq!(after.text(fields::USER_NAME).unwrap().value(1), "ann");
        let names = |row| after.attributes().row(row).map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(0), [CLOCK_CORRECTION, "basket"]);
        assert_eq!(names(1), ["basket"]);
        assert_eq!(after.attributes().get(0, "basket"), Some(Value::Number("7")));
        let untouched = correct_clock(&before, 0).unwrap();
        assert_eq!(untouched.columns(), before.columns());
    }

    #[test]
    fn what_a_record_calls_so_does_not_pass_for_a_correction() {
        let mut builder = BatchBuilder::new("s", NOW);
        builder.begin(1, b"raw");
        builder.attribute(CLOCK_CORRECTION, Value::Number("5"));
        builder.end(Some(NOW - HOUR));
        let after = correct_clock(&builder.finish().unwrap(), 60).unwrap();
        assert_eq!(after.attributes().get(0, CLOCK_CORRECTION), Some(Value::Number("60")));
        assert_eq!(after.attributes().row(0).count(), 2);
        assert_eq!(written_time(&after, 0), NOW - HOUR);
    }

    proptest! {
        #[test]
        fn any_correction_can_be_undone(
            all in prop::collection::vec(prop::option::of(any::<i64>()), 1..20),
            seconds in prop_oneof![any::<i64>(), -CORRECTION_SECONDS_MAX..=CORRECTION_SECONDS_MAX],
        ) {
            let before = batch(&all);
            let after = correct_clock(&before, seconds).unwrap();
            if seconds.abs_diff(0) <= CORRECTION_SECONDS_MAX as u64 {
                let written: Vec<_> = (0..all.len()).map(|row| written_time(&after, row)).collect();
                prop_assert_eq!(written, before.event_times());
            }
        }
    }
}
