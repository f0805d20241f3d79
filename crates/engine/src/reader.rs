//! Records to events: the parser, and after it the transforms of users.
//!
//! Whatever reads records that are stored goes through one [`Reader`], so that the stream, a
//! reparse, a replay of quarantine and a question to the WAL give the same event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pugmark_event::Batch;
use pugmark_parse::{Input, Parser};
use pugmark_transform::Outcome;

use crate::status::TransformTrouble;
use crate::transforms::TransformBook;

/// Turns records into events. Other transforms may take the place of those in force at any time.
pub struct Reader {
    parser: Arc<Parser>,
    book: ArcSwap<TransformBook>,
    counts: Mutex<BTreeMap<String, TransformCount>>,
}

/// What a transform did since the start or since it was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransformCount {
    /// Events that it was for.
    pub events: u64,
    /// Of these, those that stayed as they were because it failed.
    pub failed: u64,
    /// Why the last that did.
    pub reason: Option<String>,
    /// Nanoseconds that it took.
    pub nanos: u64,
}

impl Reader {
    /// A reader with these transforms.
    pub fn new(parser: Arc<Parser>, book: TransformBook) -> Self {
        Self { parser, book: ArcSwap::from_pointee(book), counts: Mutex::default() }
    }

    /// Parses a block and transforms its events: as many as there are records, in their order.
    pub fn read(&self, input: &Input<'_>) -> Batch {
        let batch = self.parser.parse(input);
        let book = self.book.load();
        if !book.transforms.concerns(input.source) {
            return batch;
        }
        let begun = Instant::now();
        let (batch, outcomes) = book.transforms.apply(input.source, batch, &|| begun.elapsed());
        self.count(outcomes);
        batch
    }

    /// The parser alone.
    pub fn parser(&self) -> &Arc<Parser> {
        &self.parser
    }

    /// The transforms in force, and those that were set aside.
    pub fn book(&self) -> Arc<TransformBook> {
        self.book.load_full()
    }

    /// Reads with other transforms from the next block on. Those that changed count anew.
    pub fn change(&self, book: TransformBook) {
        let old = self.book.swap(Arc::new(book));
        let new = self.book.load();
        let same = |name: &String| old.text(name).is_some() && old.text(name) == new.text(name);
        self.counts.lock().retain(|name, _| same(name));
    }

    /// What each transform did, by name.
    pub fn counts(&self) -> BTreeMap<String, TransformCount> {
        self.counts.lock().clone()
    }

    /// The transforms that do not run, and those that fail.
    pub(crate) fn trouble(&self) -> Vec<TransformTrouble> {
        let book = self.book();
        let broken = book.problems.iter().map(|problem| TransformTrouble {
            name: problem.name.clone(),
            running: false,
            events: 0,
            failed: 0,
            reason: problem.message.clone(),
        });
        let mut trouble: Vec<TransformTrouble> = broken.collect();
        trouble.dedup_by(|a, b| a.name == b.name);
        let failing = self.counts().into_iter().filter(|(_, count)| count.failed > 0);
        trouble.extend(failing.map(|(name, count)| TransformTrouble {
            name,
            running: true,
            events: count.events,
            failed: count.failed,
            reason: count.reason.unwrap_or_default(),
        }));
        trouble
    }

    fn count(&self, outcomes: Vec<Outcome>) {
        let mut counts = self.counts.lock();
        for outcome in outcomes {
            let count = counts.entry(outcome.name).or_default();
            count.events += outcome.events;
            count.failed += outcome.failed;
            count.nanos += u64::try_from(outcome.took.as_nanos()).unwrap_or(u64::MAX);
            if outcome.reason.is_some() {
                count.reason = outcome.reason;
            }
        }
    }
}
