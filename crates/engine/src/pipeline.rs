//! The pipeline: durable blocks become events, detections and alerts.
//!
//! One thread, in WAL order, so that the same log gives the same alerts every time. A block is
//! done when its events are visible to search and its detections are folded into stored alerts;
//! only then may the WAL forget it. A crash in between replays the block, and alerts remember the
//! last event they folded, so a replay adds nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, never, select};
use pugmark_detect::Detection;
use pugmark_event::Batch;
use pugmark_parse::{Input, Readings};
use pugmark_store::{Block, Store};
use tokio::runtime::Handle;
use tokio::sync::broadcast;

use crate::engine::Notice;
use crate::pipeline::alerts::{AlertBook, Order};
use crate::pipeline::bindings::KeptBindings;
use crate::pipeline::sources::Sources;
use crate::pipeline::throttle::Stepped;
use crate::pipeline::watch::Watch;
use crate::reader::Reader;
use crate::rulebook::RuleBook;
use crate::schedule::Found;
use crate::status::Counters;

mod alerts;
mod bindings;
mod late;
mod sources;
mod throttle;
mod watch;

pub(crate) use sources::SharedHealth;
pub use throttle::CostLimit;

/// How often what is not urgent is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Everything a block passes through.
pub(crate) struct Pipeline {
    pub(crate) store: Arc<Store>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) rules: Arc<RuleBook>,
    pub(crate) notices: broadcast::Sender<Arc<Notice>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) health: SharedHealth,
    pub(crate) runtime: Handle,
    pub(crate) checkpoint_interval: Duration,
    pub(crate) noise_budget: u64,
    pub(crate) cost_limit: CostLimit,
}

impl Pipeline {
    /// Runs until the store closes its end of `blocks`; other rules come through `rules`, and what
    /// scheduled searches found through `found`. Blocks the thread it is called on.
    pub(crate) fn run(
        self,
        blocks: &Receiver<Block>,
        mut rules: Receiver<Arc<RuleBook>>,
        mut found: Receiver<Found>,
    ) {
        let mut watch = Watch::start(
            self.store.clone(),
            self.rules.clone(),
            self.checkpoint_interval,
            self.cost_limit,
        );
        self.counters.set_throttled(watch.throttled());
        let mut sources = Sources::start(
            self.store.clone(),
            &self.reader.parser(),
            self.health.clone(),
            self.checkpoint_interval,
        );
        let mut bindings =
            KeptBindings::start(self.store.clone(), self.reader.clone(), self.checkpoint_interval);
        let mut book = AlertBook::new(self.store.clone(), self.noise_budget);
        let ticks = crossbeam_channel::tick(TICK);
        loop {
            select! {
                recv(blocks) -> block => match block {
                    Ok(block) => {
                        if !self.process(&block, &mut watch, &mut sources, &mut book) {
                            return;
                        }
                    }
                    Err(_) => break,
                },
                recv(rules) -> new => match new {
                    Ok(new) => watch.change_rules(new),
                    Err(_) => rules = never(),
                },
                recv(found) -> new => match new {
                    Ok(Found { detections, raised }) => {
                        if !self.raise(&detections, &mut book, Order::Asked) {
                            return;
                        }
                        // Who waited may have been stopped.
                        let _ = raised.send(());
                    }
                    Err(_) => found = never(),
                },
                recv(watch.reviewed()) -> reviewed => {
                    let late = reviewed.map_or_else(|_| Vec::new(), |found| watch.review(found));
                    if !self.raise(&late, &mut book, Order::Late) {
                        return;
                    }
                },
                recv(watch.stepping()) -> stepped => {
                    let found = watch.stepped(stepped.ok());
                    // Before anything is written down that says they were.
                    if !found.is_none_or(|found| self.raise_behind(found, &mut book)) {
                        return;
                    }
                    // The next step of rules that are far behind must not wait for a tick.
                    let more = watch.throttle_if_due();
                    if !more.into_iter().all(|found| self.raise_behind(found, &mut book)) {
                        return;
                    }
                    self.counters.set_throttled(watch.throttled());
                }
                recv(ticks) -> _ => {
                    watch.review_if_due();
                    let more = watch.throttle_if_due();
                    if !more.into_iter().all(|found| self.raise_behind(found, &mut book)) {
                        return;
                    }
                    self.counters.set_throttled(watch.throttled());
                }
            }
            if watch.keep_if_due() {
                self.counters.set_forgotten(watch.forgotten());
            }
            sources.keep_if_due();
            bindings.keep_if_due();
        }
        watch.keep();
        sources.keep();
        bindings.keep();
    }

    /// False when the block is not done: the engine stops, and the WAL still has it.
    fn process(
        &self,
        block: &Block,
        watch: &mut Watch,
        sources: &mut Sources,
        book: &mut AlertBook,
    ) -> bool {
        let end = block.first_id + block.records.len() as i64;
        if let Some(reason) = &block.quarantine {
            self.store.quarantine(block, 0..block.records.len(), reason);
            self.done(end, watch);
            return true;
        }
        let Some((batch, readings)) = self.parse(block) else {
            self.store.quarantine(block, 0..block.records.len(), "the parser failed on this block");
            self.done(end, watch);
            return true;
        };
        self.counters.count_issues(&batch);
        self.store.insert(batch.clone());
        if self.notices.receiver_count() > 0 {
            // A listener that has gone meanwhile is fine.
            let _ = self.notices.send(Arc::new(Notice::Events(batch.clone())));
        }
        let mut detections = watch.detect(&batch);
        let broken = sources.observe(&batch, &readings);
        let said = !broken.is_empty();
        detections.extend(broken);
        let raised = self.raise(&detections, book, Order::Stream);
        if raised {
            if said {
                // What was said is not said again, whenever the process ends.
                sources.keep();
            }
            self.done(end, watch);
        }
        raised
    }

    /// What rules behind the stream found.
    fn raise_behind(&self, found: Stepped, book: &mut AlertBook) -> bool {
        self.raise(&found.detections, book, Order::Stream)
            && self.raise(&found.late, book, Order::Late)
    }

    /// The WAL may forget what is below `end`.
    fn done(&self, end: i64, watch: &mut Watch) {
        watch.seen(end);
        self.store.processed(end);
    }

    /// Parsing never fails; if a defect makes it panic all the same, the block is set aside whole.
    fn parse(&self, block: &Block) -> Option<(Batch, Readings)> {
        let input = Input {
            source: &block.source,
            records: &block.records,
            first_id: block.first_id,
            received: block.received,
            format: block.format.as_deref(),
        };
        let parsed = catch_unwind(AssertUnwindSafe(|| self.reader.read_stream(&input)));
        parsed
            .inspect_err(|_| tracing::error!(source = %block.source, "BUG: the parser panicked"))
            .ok()
    }

    /// Folds detections into alerts, and waits until the alerts are stored. False when the engine
    /// stops before they are: nobody may write down then that they were.
    fn raise(&self, detections: &[Detection], book: &mut AlertBook, order: Order) -> bool {
        if detections.is_empty() {
            return true;
        }
        self.counters.count_detections(detections.len());
        loop {
            match self.runtime.block_on(book.fold(detections, order)) {
                Ok(changed) => {
                    for alert in changed {
                        let _ = self.notices.send(Arc::new(Notice::Alert(alert)));
                    }
                    return true;
                }
                // The block stays in the WAL until its alerts are stored; try until they are.
                Err(error) => {
                    tracing::error!(%error, "alerts cannot be stored; trying again");
                    std::thread::sleep(std::time::Duration::from_secs(1));
                    if self.store.is_closing() {
                        return false;
                    }
                }
            }
        }
    }
}
