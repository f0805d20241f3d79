//! The pipeline: durable blocks become events, detections and alerts.
//!
//! One thread, in WAL order, so that the same log gives the same alerts every time. A block is
//! done when its events are visible to search and its detections are folded into stored alerts;
//! only then may the WAL forget it. A crash in between replays the block, and alerts remember the
//! last event they folded, so a replay adds nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::Receiver;
use pugmark_detect::{Detection, Detector, RuleSet};
use pugmark_event::Batch;
use pugmark_event::time::{HOUR, Micros};
use pugmark_parse::{Input, Parser};
use pugmark_store::{Block, Scan, Store};
use tokio::runtime::Handle;
use tokio::sync::broadcast;

use crate::engine::Notice;
use crate::pipeline::alerts::AlertBook;
use crate::status::Counters;

mod alerts;

/// How far back stored events are read at a start, so that rules over time know what came before.
const WARM_UP: Micros = HOUR;
/// Events read for the warm-up at most; a start must not wait for a huge hour.
const WARM_UP_EVENTS_MAX: usize = 500_000;

/// Everything a block passes through.
pub(crate) struct Pipeline {
    pub(crate) store: Arc<Store>,
    pub(crate) parser: Arc<Parser>,
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) notices: broadcast::Sender<Arc<Notice>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) runtime: Handle,
}

impl Pipeline {
    /// Runs until the store closes its end of `blocks`. Blocks the thread it is called on.
    pub(crate) fn run(self, blocks: &Receiver<Block>) {
        let mut detector = Detector::new(self.rules.clone());
        self.warm_up(&mut detector);
        let book = AlertBook::new(self.store.clone());
        for block in blocks {
            self.process(&block, &mut detector, &book);
        }
    }

    fn process(&self, block: &Block, detector: &mut Detector, book: &AlertBook) {
        let end = block.first_id + block.records.len() as i64;
        if let Some(reason) = &block.quarantine {
            self.store.quarantine(block, 0..block.records.len(), reason);
            return self.store.processed(end);
        }
        let Some(batch) = self.parse(block) else {
            self.store.quarantine(block, 0..block.records.len(), "the parser failed on this block");
            return self.store.processed(end);
        };
        self.counters.count_issues(&batch);
        self.store.insert(batch.clone());
        if self.notices.receiver_count() > 0 {
            // A listener that has gone meanwhile is fine.
            let _ = self.notices.send(Arc::new(Notice::Events(batch.clone())));
        }
        let detections = self.detect(&batch, detector);
        self.counters.count_detections(detections.len());
        self.fold(detections, book);
        self.store.processed(end);
    }

    /// Parsing never fails; if a defect makes it panic all the same, the block is set aside whole.
    fn parse(&self, block: &Block) -> Option<Batch> {
        let input = Input {
            source: &block.source,
            records: &block.records,
            first_id: block.first_id,
            received: block.received,
            format: block.format.as_deref(),
        };
        let parsed = catch_unwind(AssertUnwindSafe(|| self.parser.parse(&input)));
        parsed
            .inspect_err(|_| tracing::error!(source = %block.source, "BUG: the parser panicked"))
            .ok()
    }

    fn detect(&self, batch: &Batch, detector: &mut Detector) -> Vec<Detection> {
        match catch_unwind(AssertUnwindSafe(|| detector.process(batch))) {
            Ok(detections) => detections,
            Err(_) => {
                tracing::error!(
                    first_event = batch.ids().first(),
                    "BUG: detection panicked; the events are stored, rules missed this block"
                );
                // State that a panic may have torn is not trusted.
                *detector = Detector::new(self.rules.clone());
                Vec::new()
            }
        }
    }

    /// Folds detections into alerts, and waits until the alerts are stored.
    fn fold(&self, detections: Vec<Detection>, book: &AlertBook) {
        if detections.is_empty() {
            return;
        }
        loop {
            match self.runtime.block_on(book.fold(&detections)) {
                Ok(changed) => {
                    for alert in changed {
                        let _ = self.notices.send(Arc::new(Notice::Alert(alert)));
                    }
                    return;
                }
                // The block stays in the WAL until its alerts are stored; try until they are.
                Err(error) => {
                    tracing::error!(%error, "alerts cannot be stored; trying again");
                    std::thread::sleep(std::time::Duration::from_secs(1));
                    if self.store.is_closing() {
                        return;
                    }
                }
            }
        }
    }

    /// Shows the detector the newest stored events again, without raising anything: their
    /// detections were folded before. What it learns is the open windows of rules over time.
    fn warm_up(&self, detector: &mut Detector) {
        if !self.rules.rules().iter().any(|rule| rule.correlation) {
            return;
        }
        let snapshot = self.store.snapshot();
        let Some(newest) = snapshot.newest_event_time() else { return };
        let scan = Scan { from: Some(newest - WARM_UP), ..Scan::default() };
        let mut batches: Vec<Batch> = Vec::new();
        let mut rows = 0;
        for part in snapshot.scan(scan) {
            for batch in part.read() {
                match batch
                    .map_err(|e| e.to_string())
                    .and_then(|b| Batch::new(b).map_err(|e| e.to_string()))
                {
                    Ok(batch) => {
                        rows += batch.rows();
                        batches.push(batch);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot read stored events for the warm-up")
                    }
                }
            }
            if rows > WARM_UP_EVENTS_MAX {
                break;
            }
        }
        batches.sort_by_key(|batch| batch.ids().first().copied());
        for batch in &batches {
            self.detect(batch, detector);
        }
        tracing::debug!(rows, "rules over time have seen the newest stored events");
    }
}
