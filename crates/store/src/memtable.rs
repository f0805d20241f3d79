//! Events that are in no segment yet, in the order of their ids.
//!
//! Search sees them at once. A flush seals those that are processed and turns them into segments;
//! until that is done they stay visible.

use std::sync::{Arc, OnceLock};

use pugmark_event::Batch;
use pugmark_event::time::Micros;

use crate::ledger::{Book, Counts};
use crate::quarantine::Aside;
use crate::segment::counted::{self, Counted};

/// Small neighbours are joined up to this many rows, so that a trickle of single records does not
/// make a thousand tiny batches.
const JOINED_ROWS_MAX: usize = 8192;

/// A batch in memory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) batch: Batch,
    pub(crate) book: Book,
    /// First id, and the id after the last.
    pub(crate) ids: (i64, i64),
    /// Earliest and latest event time.
    pub(crate) times: (Micros, Micros),
    pub(crate) bytes: usize,
    counted: OnceLock<Counted>,
}

impl Entry {
    /// `None` for a batch without rows.
    pub(crate) fn new(batch: Batch, book: Book) -> Option<Self> {
        let (ids, times) = (batch.ids(), batch.event_times());
        let ids = (*ids.iter().min()?, ids.iter().max()? + 1);
        let times = (*times.iter().min()?, *times.iter().max()?);
        let bytes = batch.columns().get_array_memory_size();
        Some(Self { batch, book, ids, times, bytes, counted: OnceLock::new() })
    }

    /// In how many of its events each column has a value; kept once somebody has asked.
    pub(crate) fn counted(&self) -> &Counted {
        self.counted.get_or_init(|| counted::of_batch(self.batch.columns()))
    }

    fn joined(a: &Entry, b: &Entry) -> Option<Entry> {
        let batch = Batch::concat(&[a.batch.clone(), b.batch.clone()]).ok()?;
        let mut book = a.book.clone();
        book.merge(&b.book);
        Entry::new(batch, book)
    }
}

/// What a flush writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sealed {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) asides: Vec<Arc<Aside>>,
    /// Id after the last one sealed.
    pub(crate) mark: i64,
}

impl Sealed {
    /// Counts of everything sealed.
    pub(crate) fn book(&self) -> Book {
        let mut book = Book::default();
        for entry in &self.entries {
            book.merge(&entry.book);
        }
        for aside in &self.asides {
            let rows = aside.rows.len() as u64;
            let counts = Counts::quarantined(rows, aside.raw_bytes() as u64, aside.received);
            book.add(&aside.source, &counts);
        }
        book
    }

    pub(crate) fn bytes(&self) -> usize {
        let entries: usize = self.entries.iter().map(|e| e.bytes).sum();
        entries + self.asides.iter().map(|a| a.bytes()).sum::<usize>()
    }
}

/// Events in memory.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    entries: Vec<Arc<Entry>>,
    asides: Vec<Arc<Aside>>,
    bytes: usize,
}

impl Memtable {
    pub(crate) fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    pub(crate) fn asides(&self) -> &[Arc<Aside>] {
        &self.asides
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a batch. False when one of its ids is here already: it would be found twice.
    pub(crate) fn insert(&mut self, entry: Entry) -> bool {
        let at = self.entries.partition_point(|e| e.ids.0 < entry.ids.0);
        let before = at.checked_sub(1).map(|i| self.entries[i].ids.1);
        let after = self.entries.get(at).map(|e| e.ids.0);
        if before.is_some_and(|end| end > entry.ids.0)
            || after.is_some_and(|first| first < entry.ids.1)
        {
            return false;
        }
        self.bytes += entry.bytes;
        self.entries.insert(at, Arc::new(entry));
        true
    }

    /// Adds records set aside. False when one of their ids is here already.
    pub(crate) fn set_aside(&mut self, aside: Aside) -> bool {
        let (start, end) = (aside.start_id(), aside.end_id());
        if self.asides.iter().any(|a| a.start_id() < end && start < a.end_id()) {
            return false;
        }
        self.bytes += aside.bytes();
        self.asides.push(Arc::new(aside));
        true
    }

    /// Joins the newest small batches below `processed`. Each row is copied a few times at most,
    /// since only neighbours of like size are joined.
    pub(crate) fn tidy(&mut self, processed: i64) {
        loop {
            let done = self.entries.partition_point(|e| e.ids.1 <= processed);
            let Some([.., a, b]) = self.entries.get(..done) else { return };
            let (rows_a, rows_b) = (a.batch.rows(), b.batch.rows());
            if rows_a > 2 * rows_b || rows_a + rows_b > JOINED_ROWS_MAX {
                return;
            }
            let Some(joined) = Entry::joined(a, b) else { return };
            self.bytes = self.bytes + joined.bytes - a.bytes - b.bytes;
            self.entries.splice(done - 2..done, [Arc::new(joined)]);
        }
    }

    /// Takes out, in the order of ids, what lies below `processed`, up to about `bytes_max`.
    pub(crate) fn seal(&mut self, processed: i64, bytes_max: usize) -> Sealed {
        let mut bytes = 0;
        let count = self
            .entries
            .iter()
            .take_while(|entry| {
                let fits = bytes == 0 || bytes + entry.bytes <= bytes_max;
                bytes += entry.bytes;
                entry.ids.1 <= processed && fits
            })
            .count();
        let mark = match self.entries.get(count) {
            Some(next) => next.ids.0.min(processed),
            None => processed,
        };
        let entries: Vec<_> = self.entries.drain(..count).collect();
        let (asides, rest) = self.asides.drain(..).partition(|a| a.end_id() <= mark);
        self.asides = rest;
        let sealed = Sealed { entries, asides, mark };
        self.bytes -= sealed.bytes();
        sealed
    }

    /// Puts back what could not be written.
    pub(crate) fn unseal(&mut self, sealed: Sealed) {
        self.bytes += sealed.bytes();
        self.entries.splice(0..0, sealed.entries);
        self.asides.splice(0..0, sealed.asides);
    }
}
