//! Detection on the stream, and what makes it go on after an end as if there had been none.
//!
//! What rules over time know is written down every few seconds, with the id of the first event that
//! they had not seen. A start reads it and shows the detector what came after: first what is in
//! segments by now, without raising anything, since those detections were folded before their
//! events left the WAL; then what the WAL hands out again, where alerts know which detections they
//! folded. So the same events give the same detections, however often the process ended meanwhile.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, never};
use pugmark_detect::{Checkpoint, Detection, Detector, Hit, LATENESS, RuleInfo, RuleSet};
use pugmark_event::Batch;
use pugmark_event::time::{DAY, MINUTE, Micros};
use pugmark_store::{CheckpointOf, Scan, ScanPart, Snapshot, Store};
use serde::{Deserialize, Serialize};

use crate::history::{History, HistoryError, SortedHits};
use crate::pipeline::late::Late;
use crate::pipeline::throttle::{
    Behind, CostLimit, StepError, StepResult, Stepped, Throttle, Work,
};
use crate::rulebook::RuleBook;
use crate::status::{Forgotten, Throttled};

/// Writing checkpoints takes at most this share of the time.
const KEEP_SHARE: u32 = 20;
/// How far back stored events are read for rules that know nothing.
const WARM_UP_MAX: Micros = DAY;
/// Events read for them at most; a start must not wait for a huge day.
const WARM_UP_EVENTS_MAX: u64 = 500_000;

/// Time between two looks at late events, at least.
const REVIEW_INTERVAL: Duration = Duration::from_secs(10);

/// Longer than any review takes: the end of one sets the time of the next.
const REVIEW_NEVER: Duration = Duration::from_secs(1 << 30);

/// What a review of late events gives.
pub(super) type Reviewed = Result<Vec<Detection>, HistoryError>;

/// What is kept on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    detector: Vec<u8>,
    late: Late,
    behind: Vec<Behind>,
}

/// The detector of the stream.
pub(super) struct Watch {
    store: Arc<Store>,
    book: Arc<RuleBook>,
    detector: Detector,
    late: Late,
    throttle: Throttle,
    /// Where a review that is under way says what it found.
    reviewed: Receiver<Reviewed>,
    /// When the next review may begin.
    review_due: Instant,
    /// Id of the first event that it has not seen.
    next: i64,
    /// Events below it are in the store: after a start fewer than it has seen.
    visible: i64,
    /// True when the last checkpoint is behind.
    unkept: bool,
    due: Instant,
    /// Time between two checkpoints at least.
    interval: Duration,
}

impl Watch {
    /// Goes on where the last process was.
    pub(super) fn start(
        store: Arc<Store>,
        book: Arc<RuleBook>,
        interval: Duration,
        limit: CostLimit,
    ) -> Self {
        let mark = store.mark();
        let (known, mut late, behind) = match read(&store) {
            Some((known, late, behind)) => (Some(known), late, behind),
            None => (None, Late::default(), Vec::new()),
        };
        let mut throttle = Throttle::new(limit, behind);
        throttle.change_rules(&book);
        let rules = throttle.stream(&book);
        let next = known.as_ref().map_or(mark, |known| known.next);
        let (detector, fresh) = match &known {
            Some(known) => Detector::resume(rules, known),
            None => (Detector::new(rules.clone()), correlations(&rules)),
        };
        let is_new = known.is_none();
        late.failed();
        let now = Instant::now();
        let mut watch = Self {
            store,
            book,
            detector,
            late,
            throttle,
            reviewed: never(),
            review_due: now + REVIEW_INTERVAL,
            next,
            visible: mark,
            unkept: false,
            due: now + interval,
            interval,
        };
        warm_up(&mut watch.detector, &fresh, &watch.store.snapshot(), watch.next);
        if next < mark {
            watch.catch_up(mark);
        }
        if is_new {
            // From here on no start has to guess what came before.
            watch.keep();
        }
        watch
    }

    /// The detections of the events of a batch that it has not seen yet.
    pub(super) fn detect(&mut self, batch: &Batch) -> Vec<Detection> {
        let seen = batch.ids().partition_point(|id| *id < self.next);
        let batch = batch.slice(seen, batch.rows() - seen);
        let rules = self.detector.rules().clone();
        let detected = catch_unwind(AssertUnwindSafe(|| {
            let mut costs = self.throttle.meter.costs(&rules);
            let hits = rules.hits_measured(&batch, &mut costs);
            self.late.note(&hits, &rules);
            let detections = self.detector.process_hits(&batch, &hits, &mut costs);
            self.throttle.meter.note(batch.rows(), &costs);
            detections
        }));
        match detected {
            Ok(detections) => detections,
            Err(_) => {
                tracing::error!(
                    first_event = batch.ids().first(),
                    "BUG: detection panicked; the events are stored, rules missed this block"
                );
                // State that a panic may have torn is not trusted.
                self.detector = Detector::new(self.detector.rules().clone());
                Vec::new()
            }
        }
    }

    /// Everything below `end` is done: its events are visible, its detections are in stored alerts.
    pub(super) fn seen(&mut self, end: i64) {
        self.unkept |= end > self.next;
        self.next = self.next.max(end);
        self.visible = self.visible.max(end);
    }

    /// Goes on with other rules. Those over time that are new see what was stored lately.
    pub(super) fn change_rules(&mut self, book: Arc<RuleBook>) {
        self.throttle.change_rules(&book);
        self.book = book;
        let new_over_time = self.take_up_rules(self.detector.checkpoint(self.next));
        tracing::info!(
            rules = self.detector.rules().rules().len(),
            new_over_time,
            "other rules watch the stream now"
        );
    }

    /// Watches with the rules of the stream as they are now. How many over time are new.
    fn take_up_rules(&mut self, known: Checkpoint) -> usize {
        let (detector, fresh) = Detector::resume(self.throttle.stream(&self.book), &known);
        self.detector = detector;
        self.throttle.meter.start();
        warm_up(&mut self.detector, &fresh, &self.store.snapshot(), self.next);
        fresh.len()
    }

    /// Takes the rule off the stream that cost too much lately, lets those that are off it go on,
    /// and takes one back that returns: with what it found.
    pub(super) fn throttle_if_due(&mut self) -> Vec<Stepped> {
        if let Some((rule, core_share)) = self.throttle.meter.too_costly() {
            let info = self.detector.rules().rules()[rule as usize].clone();
            self.take_off(&info, core_share);
        }
        let returned = self.return_if_near();
        let (store, book, end) = (&self.store, &self.book, self.next.min(self.visible));
        let work = || Work { snapshot: store.snapshot(), book: book.clone(), end };
        self.throttle.step_if_due(&work, end);
        returned
    }

    fn take_off(&mut self, info: &RuleInfo, core_share: f64) {
        let known = self.detector.checkpoint(self.next);
        let late = self.late.branch();
        match self.throttle.take_off((info, core_share), &self.book, &known, late) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tracing::warn!(%error, "a rule that costs too much stays"),
        }
        self.take_up_rules(known);
        // Only what is kept tells a start that these events were not seen by the rule.
        if self.keep() {
            let (rule, core_percent) = (&info.id, core_share * 100.0);
            tracing::warn!(rule, core_percent, "a rule that costs too much runs behind the stream");
        } else {
            let known = self.detector.checkpoint(self.next);
            let before = self.throttle.put_back(&self.book);
            self.take_up_rules(before.map_or(known.clone(), |before| known.join(before)));
        }
    }

    /// Takes a rule back that has seen nearly all that the stream has; it sees the rest at once.
    fn return_if_near(&mut self) -> Vec<Stepped> {
        let end = self.next;
        let returning = self.throttle.returning(end).filter(|_| self.visible >= end);
        let Some((behind, heirs)) = returning else { return Vec::new() };
        let rule = behind.rule().to_string();
        let work = Work { snapshot: self.store.snapshot(), book: self.book.clone(), end };
        let all = std::iter::once(behind).chain(heirs);
        let steps = || all.map(|one| one.step(&work)).collect::<Result<Vec<_>, _>>();
        let Ok(stepped) = catch_unwind(AssertUnwindSafe(steps)) else {
            tracing::error!(rule, "BUG: a rule that returns to the stream panicked");
            self.throttle.later(&rule, true);
            return Vec::new();
        };
        match stepped.and_then(|stepped| self.take_back(stepped)) {
            Ok(stepped) => {
                tracing::info!(rule, "the rule watches the stream again");
                stepped
            }
            Err(error) => {
                tracing::warn!(rule, %error, "the rule returns to the stream later");
                self.throttle.later(&rule, false);
                Vec::new()
            }
        }
    }

    /// Goes on with what the first one knows; the others, its heirs, stay behind the stream.
    fn take_back(&mut self, stepped: Vec<Stepped>) -> Result<Vec<Stepped>, StepError> {
        let mut all = stepped.iter().map(|one| one.behind.clone());
        if let Some(behind) = all.next() {
            let known = self.detector.checkpoint(self.next).join(behind.known()?);
            self.throttle.returned(&behind, all.collect(), &self.book)?;
            self.take_up_rules(known);
            self.unkept = true;
        }
        Ok(stepped)
    }

    /// Where rules behind the stream say what they found.
    pub(super) fn stepping(&self) -> &Receiver<StepResult> {
        self.throttle.stepping()
    }

    /// What rules behind the stream found.
    pub(super) fn stepped(&mut self, stepped: Option<StepResult>) -> Option<Stepped> {
        self.unkept = true;
        self.throttle.stepped(stepped, self.next)
    }

    /// Rules behind the stream.
    pub(super) fn throttled(&self) -> Vec<Throttled> {
        self.throttle.throttled(self.next)
    }

    /// Looks at what late events may complete, in the background.
    pub(super) fn review_if_due(&mut self) {
        if !self.late.is_due() || Instant::now() < self.review_due {
            return;
        }
        // Another one begins when this has said what it found.
        self.review_due = Instant::now() + REVIEW_NEVER;
        let work = self.late.take(self.store.snapshot(), self.book.clone());
        let (say, reviewed) = crossbeam_channel::bounded(1);
        let run = move || drop(say.send(work.run()));
        match std::thread::Builder::new().name("review".into()).spawn(run) {
            Ok(_) => self.reviewed = reviewed,
            Err(error) => {
                tracing::warn!(%error, "late events are looked at later");
                self.review_is_over(false);
            }
        }
    }

    /// Where a review says what it found.
    pub(super) fn reviewed(&self) -> &Receiver<Reviewed> {
        &self.reviewed
    }

    /// The detections that late events complete.
    pub(super) fn review(&mut self, found: Reviewed) -> Vec<Detection> {
        self.review_is_over(found.is_ok());
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "late events are looked at again later");
            Vec::new()
        })
    }

    fn review_is_over(&mut self, done: bool) {
        match done {
            true => self.late.done(),
            false => self.late.failed(),
        }
        self.reviewed = never();
        self.review_due = Instant::now() + REVIEW_INTERVAL;
    }

    /// Rules that ran out of room.
    pub(super) fn forgotten(&self) -> Vec<Forgotten> {
        let evictions = self.detector.evictions().into_iter();
        let forgotten = evictions.map(|(rule, keys)| Forgotten {
            rule: rule.id.clone(),
            title: rule.title.clone(),
            keys,
        });
        forgotten.collect()
    }

    /// Writes a checkpoint if it is time. True when it did.
    pub(super) fn keep_if_due(&mut self) -> bool {
        let due = self.unkept && Instant::now() >= self.due;
        if due {
            self.keep();
        }
        due
    }

    /// Writes a checkpoint. Without it the next start takes longer, so a failure is only said.
    /// True when it is written.
    pub(super) fn keep(&mut self) -> bool {
        let begun = Instant::now();
        let detector = self.detector.checkpoint(self.next).to_bytes();
        let written = detector.map_err(|error| error.to_string()).and_then(|detector| {
            let (late, behind) = (self.late.clone(), self.throttle.behind());
            let kept = Kept { detector, late, behind };
            let bytes = postcard::to_allocvec(&kept).map_err(|error| error.to_string())?;
            self.store
                .put_checkpoint(CheckpointOf::Detection, &bytes)
                .map_err(|error| error.to_string())
        });
        match written {
            Ok(()) => self.unkept = false,
            Err(error) => {
                self.unkept = true;
                tracing::warn!(error, "cannot write the checkpoint of detection");
            }
        }
        self.due = Instant::now() + self.interval.max(begun.elapsed() * KEEP_SHARE);
        !self.unkept
    }

    /// Shows it the events from where it is up to `mark`, which are in segments.
    fn catch_up(&mut self, mark: i64) {
        let history =
            History { ids: Some((self.next, mark - 1)), ..History::new(self.store.snapshot()) };
        match hits(&history, self.detector.rules()).and_then(SortedHits::read) {
            Ok(hits) => {
                let (late, rules) = (&mut self.late, self.detector.rules().clone());
                let noted = hits.inspect(|hit| {
                    hit.iter().for_each(|hit| late.note(std::slice::from_ref(hit), &rules));
                });
                follow(&mut self.detector, noted);
            }
            Err(error) => {
                tracing::warn!(%error, "rules over time miss events before the last end")
            }
        }
        self.next = mark;
    }
}

/// Lets rules over time that know nothing see the newest stored events before `next`.
pub(super) fn warm_up(detector: &mut Detector, fresh: &[u32], snapshot: &Snapshot, next: i64) {
    let span = (detector.span(fresh) + LATENESS).min(WARM_UP_MAX);
    let Some(newest) = snapshot.newest_event_time().filter(|_| !fresh.is_empty()) else {
        return;
    };
    let mut history = History { ids: Some((i64::MIN, next - 1)), ..History::new(snapshot.clone()) };
    history.from = Some(newest.saturating_sub(span));
    while events(&history) > WARM_UP_EVENTS_MAX
        && let Some(from) = history.from
        && newest - from > MINUTE
    {
        history.from = Some(newest - (newest - from) / 2);
    }
    let mut other = Detector::new(detector.rules().clone());
    match hits(&history, other.rules()).and_then(SortedHits::read) {
        Ok(hits) => follow(&mut other, hits),
        Err(error) => tracing::warn!(%error, "cannot read stored events for rules over time"),
    }
    detector.adopt(fresh, other);
}

/// The checkpoint, if there is one that fits the store.
fn read(store: &Store) -> Option<(Checkpoint, Late, Vec<Behind>)> {
    let bytes = store.checkpoint(CheckpointOf::Detection).map_err(|error| error.to_string());
    let read = bytes.and_then(|bytes| {
        let Some(bytes) = bytes else { return Ok(None) };
        let kept: Kept = postcard::from_bytes(&bytes).map_err(|error| error.to_string())?;
        let known = Checkpoint::from_bytes(&kept.detector).map_err(|error| error.to_string())?;
        match known.next <= store.durable_end() {
            true => Ok(Some((known, kept.late, kept.behind))),
            false => Err("the checkpoint of detection is newer than the data".to_string()),
        }
    });
    read.unwrap_or_else(|error| {
        tracing::warn!(error, "rules over time begin with what was stored lately");
        None
    })
}

fn correlations(rules: &RuleSet) -> Vec<u32> {
    let all = (0u32..).zip(rules.rules());
    all.filter(|(_, info)| info.correlation).map(|(rule, _)| rule).collect()
}

fn events(history: &History) -> u64 {
    let scan = Scan { from: history.from, ids: history.ids, ..Scan::default() };
    history.snapshot.scan(scan).iter().map(ScanPart::rows).sum()
}

fn hits(history: &History, rules: &Arc<RuleSet>) -> Result<SortedHits, HistoryError> {
    history.hits(rules, &mut |_, _| ControlFlow::Continue(()))
}

/// Shows hits to a detector; what it detects was raised before.
fn follow(detector: &mut Detector, hits: impl Iterator<Item = Result<Hit, HistoryError>>) {
    for hit in hits {
        match hit {
            Ok(hit) => drop(detector.follow(&hit)),
            Err(error) => {
                return tracing::warn!(%error, "rules over time miss some stored events");
            }
        }
    }
}
