//! The ledger: for every source, what arrived and what became of it.
//!
//! `received = stored + sampled + folded + quarantined + shed`, to the record, across crashes.
//! Counts are kept per source and minute of receipt; they are written in the transaction that also
//! writes the segments and moves the WAL mark, so a replay can neither lose nor double them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use pugmark_event::Batch;
use pugmark_event::fields;
use pugmark_event::time::{MINUTE, Micros};

/// Counts of one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) received: u64,
    pub(crate) stored: u64,
    pub(crate) sampled: u64,
    pub(crate) folded: u64,
    pub(crate) quarantined: u64,
    pub(crate) shed: u64,
    pub(crate) raw_bytes: u64,
    pub(crate) last_received: Micros,
    /// Of those stored, how many retention has deleted since. Not kept by minute.
    pub(crate) expired: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Counts) {
        self.received += other.received;
        self.stored += other.stored;
        self.sampled += other.sampled;
        self.folded += other.folded;
        self.quarantined += other.quarantined;
        self.shed += other.shed;
        self.raw_bytes += other.raw_bytes;
        self.last_received = self.last_received.max(other.last_received);
        self.expired += other.expired;
    }

    pub(crate) fn stored(rows: u64, raw_bytes: u64, received: Micros) -> Self {
        Self { received: rows, stored: rows, raw_bytes, last_received: received, ..Self::default() }
    }

    pub(crate) fn quarantined(rows: u64, raw_bytes: u64, received: Micros) -> Self {
        Self {
            received: rows,
            quarantined: rows,
            raw_bytes,
            last_received: received,
            ..Self::default()
        }
    }

    pub(crate) fn folded(rows: u64, received: Micros) -> Self {
        Self { received: rows, folded: rows, last_received: received, ..Self::default() }
    }

    pub(crate) fn shed(rows: u64, received: Micros) -> Self {
        Self { received: rows, shed: rows, last_received: received, ..Self::default() }
    }
}

/// Counts of one source, as the ledger shows them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LedgerRow {
    /// The source.
    pub source: String,
    /// Records that arrived.
    pub received: u64,
    /// Records that became events.
    pub stored: u64,
    /// Records dropped on purpose, one in so many being kept.
    pub sampled: u64,
    /// Records that were not stored again, since an equal one of the source just was.
    pub folded: u64,
    /// Records set aside with a reason.
    pub quarantined: u64,
    /// Records dropped because there was no room.
    pub shed: u64,
    /// Of those stored, how many retention has deleted since.
    pub expired: u64,
    /// Bytes of the records stored and quarantined.
    pub raw_bytes: u64,
    /// When the last record arrived.
    pub last_received: Micros,
}

impl LedgerRow {
    pub(crate) fn new(source: &str, counts: &Counts) -> Self {
        Self {
            source: source.to_string(),
            received: counts.received,
            stored: counts.stored,
            sampled: counts.sampled,
            folded: counts.folded,
            quarantined: counts.quarantined,
            shed: counts.shed,
            expired: counts.expired,
            raw_bytes: counts.raw_bytes,
            last_received: counts.last_received,
        }
    }

    /// True when everything received is accounted for.
    pub fn balanced(&self) -> bool {
        self.received == self.stored + self.sampled + self.folded + self.quarantined + self.shed
    }
}

/// Whether the accounts agree with each other and with the segments.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LedgerCheck {
    /// True when nothing is wrong.
    pub balanced: bool,
    /// What is wrong, in words.
    pub problems: Vec<String>,
}

/// Counts of a source in a minute of receipt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    pub(crate) minutes: BTreeMap<(Arc<str>, Micros), Counts>,
}

impl Book {
    pub(crate) fn add(&mut self, source: &Arc<str>, counts: &Counts) {
        let minute = counts.last_received.div_euclid(MINUTE) * MINUTE;
        self.minutes.entry((source.clone(), minute)).or_default().add(counts);
    }

    pub(crate) fn merge(&mut self, other: &Book) {
        for (key, counts) in &other.minutes {
            self.minutes.entry(key.clone()).or_default().add(counts);
        }
    }

    /// The counts of a batch.
    pub(crate) fn of(batch: &Batch) -> Self {
        let sources = batch.text(fields::EVENT_SOURCE);
        let source_of = |row: usize| sources.map_or("", |s| s.value(row));
        let received = batch.received_times();
        let raw_bytes = raw_bytes(batch);
        let mut book = Book::default();
        let mut start = 0;
        for row in 0..batch.rows() {
            let next = row + 1;
            let ends = next == batch.rows()
                || source_of(next) != source_of(row)
                || received[next] != received[row];
            if ends {
                let raw: usize = raw_bytes[start..next].iter().sum();
                let counts = Counts::stored((next - start) as u64, raw as u64, received[row]);
                book.add(&source_of(row).into(), &counts);
                start = next;
            }
        }
        book
    }
}

/// Bytes of each record.
pub(crate) fn raw_bytes(batch: &Batch) -> Vec<usize> {
    let exact = batch.columns().column_by_name(fields::ORIGINAL_BYTES.column());
    let exact = exact.and_then(|column| column.as_binary_opt::<i32>());
    let text = batch.text(fields::ORIGINAL);
    (0..batch.rows())
        .map(|row| match (exact, text) {
            (Some(exact), _) if exact.is_valid(row) => exact.value_length(row) as usize,
            (_, Some(text)) if text.is_valid(row) => text.value_length(row) as usize,
            _ => 0,
        })
        .collect()
}
