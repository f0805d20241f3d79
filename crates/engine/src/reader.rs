//! Records to events: the parser, after it the correction of the source's clock, the transforms of
//! users, and what is known about values.
//!
//! Whatever reads records that are stored goes through one [`Reader`], so that the stream, a
//! reparse, a replay of quarantine and a question to the WAL give the same event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pugmark_event::Batch;
use pugmark_parse::clean::correct_clock;
use pugmark_parse::{Input, Parser, Readings};
use pugmark_transform::Outcome;

use crate::corrections::Corrections;
use crate::enrichment::Enrichment;
use crate::parsers::ParserBook;
use crate::status::TransformTrouble;
use crate::transforms::TransformBook;

/// Turns records into events. Other packs and transforms may take the place of those in force at
/// any time.
pub struct Reader {
    parsers: ArcSwap<ParserBook>,
    corrections: ArcSwap<Corrections>,
    book: ArcSwap<TransformBook>,
    enrichment: Option<Enrichment>,
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
    /// A reader with these packs and transforms, and with nothing known about values.
    pub fn new(parsers: ParserBook, book: TransformBook) -> Self {
        Self {
            parsers: ArcSwap::from_pointee(parsers),
            corrections: ArcSwap::default(),
            book: ArcSwap::from_pointee(book),
            enrichment: None,
            counts: Mutex::default(),
        }
    }

    /// The same with corrections of clocks.
    pub fn corrected(self, corrections: Corrections) -> Self {
        Self { corrections: ArcSwap::from_pointee(corrections), ..self }
    }

    /// The same with what is known about values.
    pub fn enriched(self, enrichment: Enrichment) -> Self {
        Self { enrichment: Some(enrichment), ..self }
    }

    /// Makes events of a block: as many as there are records, in their order.
    pub fn read(&self, input: &Input<'_>) -> Batch {
        let batch = self.parsers.load().parser.parse(input);
        let batch = self.correct(input, batch);
        self.enrich(self.transform(input, batch))
    }

    /// The same for a block of the stream, which also teaches who has which address; and how its
    /// records were read.
    pub(crate) fn read_stream(&self, input: &Input<'_>) -> (Batch, Readings) {
        let (batch, readings) = self.parsers.load().parser.parse_readings(input);
        let batch = self.transform(input, self.correct(input, batch));
        if let Some(enrichment) = &self.enrichment {
            enrichment.learn(&batch);
        }
        (self.enrich(batch), readings)
    }

    fn enrich(&self, batch: Batch) -> Batch {
        match &self.enrichment {
            Some(enrichment) => enrichment.enrich(batch),
            None => batch,
        }
    }

    fn correct(&self, input: &Input<'_>, batch: Batch) -> Batch {
        let seconds = self.corrections.load().seconds_at(input.source, input.received);
        if seconds == 0 {
            return batch;
        }
        correct_clock(&batch, seconds).unwrap_or_else(|error| {
            tracing::error!(%error, source = input.source, "the times of a block stay as written");
            batch
        })
    }

    fn transform(&self, input: &Input<'_>, batch: Batch) -> Batch {
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
    pub fn parser(&self) -> Arc<Parser> {
        self.parsers.load().parser.clone()
    }

    /// The corrections of clocks.
    pub fn corrections(&self) -> Arc<Corrections> {
        self.corrections.load_full()
    }

    /// Reads with other corrections of clocks from the next block on.
    pub(crate) fn change_corrections(&self, corrections: Corrections) {
        self.corrections.store(Arc::new(corrections));
    }

    /// The packs of the user's own, and those that were left out.
    pub fn parsers(&self) -> Arc<ParserBook> {
        self.parsers.load_full()
    }

    /// Reads with other packs from the next block on.
    pub fn change_parsers(&self, parsers: ParserBook) {
        self.parsers.store(Arc::new(parsers));
    }

    /// What is known about values.
    pub fn enrichment(&self) -> Option<&Enrichment> {
        self.enrichment.as_ref()
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
