//! What holds of every batch, whatever its records are; the targets that parse assert it.

use std::collections::HashSet;

use pugmark_event::build::{CLOCK_AHEAD_MAX, EVENT_TIME_MIN};
use pugmark_event::json::RowWriter;
use pugmark_event::time::Micros;
use pugmark_event::{Batch, Records};
use pugmark_parse::{Input, Parser};

/// When the records of the targets are received: 2026-11-23T10:00:00Z.
pub const RECEIVED: Micros = 1_795_428_000_000_000;

/// Parses the records and asserts what must hold of their events.
pub fn parse(parser: &Parser, input: &Input<'_>) -> Batch {
    let batch = parser.parse(input);
    assert_eq!(batch.rows(), input.records.len(), "as many events as records");
    for (row, record) in input.records.iter().enumerate() {
        assert_eq!(batch.original(row), record, "a record comes back byte for byte");
        let mut names = HashSet::new();
        assert!(
            batch.attributes().row(row).all(|(name, _)| names.insert(name)),
            "a name comes once in an event"
        );
    }
    let believed = EVENT_TIME_MIN..=input.received.saturating_add(CLOCK_AHEAD_MAX);
    for time in batch.event_times() {
        assert!(*time == input.received || believed.contains(time), "{time} is no time to believe");
    }
    beside_odd_bytes(parser, input, &batch);
    batch
}

/// The same records give the same events, also where something that is no text stands behind them:
/// then each is read by itself, and not like others of its shape.
fn beside_odd_bytes(parser: &Parser, input: &Input<'_>, batch: &Batch) {
    let records: Records = input.records.iter().chain([&b"\xff"[..]]).collect();
    let again = parser.parse(&Input { records: &records, ..*input });
    for row in 0..batch.rows() {
        assert_eq!(shown(batch, row), shown(&again, row), "the same bytes give the same event");
    }
}

fn shown(batch: &Batch, row: usize) -> String {
    let mut json = Vec::new();
    RowWriter::new(batch.columns()).write(row, &mut json);
    String::from_utf8(json).expect("JSON is text")
}
