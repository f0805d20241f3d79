//! Rules that cost too much run behind the stream.
//!
//! Once a second a batch is measured. A rule that over a minute takes more of a core than it may
//! is taken off the stream, with the rules that are bound to it. What they know goes on over the
//! stored events, in the background and for a small share of the time: they find what they would
//! have found, later. They come back when somebody changes the rule or switches it off and on.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, never};
use pugmark_detect::{
    Checkpoint, CheckpointError, Costs, Detection, Detector, Rule, RuleInfo, RuleSet, bound, select,
};
use pugmark_store::Snapshot;
use serde::{Deserialize, Serialize};

use crate::history::{History, HistoryError};
use crate::pipeline::late::Late;
use crate::rulebook::RuleBook;
use crate::status::Throttled;

/// Time between two batches that are measured.
const MEASURE_INTERVAL: Duration = Duration::from_secs(1);
/// Rules that are taken off the stream at most; where many cost much, the machine is too small.
const BEHIND_MAX: usize = 16;
/// Events that are looked at in one step.
const STEP_EVENTS: i64 = 20_000;
/// Steps take at most one part in so many of the time.
const STEP_SHARE: u32 = 10;
/// Time that passes before a step that failed is tried again.
const STEP_INTERVAL: Duration = Duration::from_secs(1);
/// Longer than any step takes: the end of one sets the time of the next.
const STEP_NEVER: Duration = Duration::from_secs(1 << 30);

/// What a rule may cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostLimit {
    /// Share of one core; 0 for any.
    pub core_share_max: f64,
    /// Time over which it is measured.
    pub window: Duration,
}

impl Default for CostLimit {
    fn default() -> Self {
        Self { core_share_max: 0.2, window: Duration::from_secs(60) }
    }
}

/// Measures rules on the stream.
pub(super) struct Meter {
    limit: CostLimit,
    begun: Instant,
    /// When the next batch is measured.
    due: Instant,
    /// Events since the window began, and those among them that were measured.
    events: u64,
    measured: u64,
    of_rule: HashMap<u32, Duration>,
}

impl Meter {
    pub(super) fn new(limit: CostLimit) -> Self {
        let now = Instant::now();
        Self { limit, begun: now, due: now, events: 0, measured: 0, of_rule: HashMap::new() }
    }

    /// Starts a window, for other rules.
    pub(super) fn start(&mut self) {
        *self = Self::new(self.limit);
    }

    /// What is to be measured of the next batch.
    pub(super) fn costs(&self, rules: &RuleSet) -> Costs {
        match self.limit.core_share_max > 0.0 && Instant::now() >= self.due {
            true => {
                let begun = Instant::now();
                Costs::of(rules, Box::new(move || begun.elapsed()))
            }
            false => Costs::off(),
        }
    }

    /// Takes what a batch of so many events cost.
    pub(super) fn note(&mut self, events: usize, costs: &Costs) {
        self.events += events as u64;
        let mut measured = false;
        for (rule, cost) in costs.by_rule() {
            measured = true;
            *self.of_rule.entry(rule).or_default() += cost;
        }
        if measured {
            self.measured += events as u64;
            self.due = Instant::now() + MEASURE_INTERVAL.min(self.limit.window / 10);
        }
    }

    /// The rule that costs most, if that is too much, when a window is over; and its share of a
    /// core.
    pub(super) fn too_costly(&mut self) -> Option<(u32, f64)> {
        let elapsed = self.begun.elapsed();
        if self.limit.core_share_max == 0.0 || elapsed < self.limit.window {
            return None;
        }
        let ended = std::mem::replace(self, Self::new(self.limit));
        let (rule, cost) = ended.of_rule.into_iter().max_by_key(|(_, cost)| *cost)?;
        let scale = ended.events as f64 / ended.measured.max(1) as f64;
        let share = cost.as_secs_f64() * scale / elapsed.as_secs_f64();
        (share > ended.limit.core_share_max).then_some((rule, share))
    }
}

/// Rules behind the stream: a costly one and those bound to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Behind {
    /// Id, version and title of the costly one.
    rule: String,
    version: String,
    title: String,
    core_share: f64,
    /// The rules that run here.
    ids: Vec<String>,
    /// Those of which detections come from here.
    speak: BTreeSet<String>,
    /// What they know.
    detector: Vec<u8>,
    late: Late,
    /// Id of the first event that they have not seen.
    next: i64,
}

/// Why a step came to no end.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// What a step gives.
pub(super) struct Stepped {
    behind: Behind,
    /// In the order of their events.
    pub(super) detections: Vec<Detection>,
    /// Of events that came late even for these rules.
    pub(super) late: Vec<Detection>,
}

pub(super) type StepResult = Result<Stepped, StepError>;

/// What a step works on.
struct Work {
    snapshot: Snapshot,
    book: Arc<RuleBook>,
    /// Events below it are there.
    end: i64,
}

impl Behind {
    /// Looks at the next events.
    fn step(mut self, work: &Work) -> StepResult {
        let rules = Arc::new(RuleSet::compile(select(work.book.loaded.clone(), &self.ids)).0);
        let known = Checkpoint::from_bytes(&self.detector)?;
        let (mut detector, _) = Detector::resume(rules.clone(), &known);
        let end = work.end.min(self.next.saturating_add(STEP_EVENTS));
        let history = History {
            ids: Some((self.next, end - 1)),
            threads_max: 1,
            ..History::new(work.snapshot.clone())
        };
        let mut found = Vec::new();
        for hit in history.hits(&rules, &mut |_, _| ControlFlow::Continue(()))?.read()? {
            let hit = hit?;
            self.late.note(std::slice::from_ref(&hit), &rules);
            let fired = detector.follow(&hit).into_iter();
            let spoken = fired.filter(|firing| self.speak.contains(&firing.detection.rule.id));
            found.extend(spoken.map(|firing| (hit.time, firing)));
        }
        let detections = history.explained(&rules, found)?;
        let late = match self.late.is_due() {
            true => self.late.take(work.snapshot.clone(), work.book.clone()).run()?,
            false => Vec::new(),
        };
        self.late.done();
        self.detector = detector.checkpoint(end).to_bytes()?;
        self.next = end;
        Ok(Stepped { behind: self, detections, late })
    }
}

/// The rules behind the stream, and the step that is under way.
pub(super) struct Throttle {
    pub(super) meter: Meter,
    behind: Vec<Behind>,
    stepping: Receiver<StepResult>,
    /// When the next step may begin, and when the last began.
    due: Instant,
    begun: Instant,
}

impl Throttle {
    /// Goes on with what was behind.
    pub(super) fn new(limit: CostLimit, behind: Vec<Behind>) -> Self {
        let now = Instant::now();
        Self { meter: Meter::new(limit), behind, stepping: never(), due: now, begun: now }
    }

    /// What is behind, to be kept.
    pub(super) fn behind(&self) -> Vec<Behind> {
        self.behind.clone()
    }

    /// The rules that watch the stream: all but those behind it.
    pub(super) fn stream(&self, book: &RuleBook) -> Arc<RuleSet> {
        let ids: Vec<String> = self.behind.iter().map(|behind| behind.rule.clone()).collect();
        match ids.is_empty() {
            true => book.rules.clone(),
            false => Arc::new(RuleSet::compile(without(&book.loaded, &ids)).0),
        }
    }

    /// Takes a rule off the stream, which knew `known` and `late` when it came to the event `next`.
    /// False when there are too many already.
    pub(super) fn take_off(
        &mut self,
        (rule, core_share): (&RuleInfo, f64),
        book: &RuleBook,
        known: &Checkpoint,
        late: Late,
    ) -> Result<bool, CheckpointError> {
        if self.behind.len() >= BEHIND_MAX {
            return Ok(false);
        }
        let before = loud(&self.stream(book));
        self.behind.push(Behind {
            rule: rule.id.clone(),
            version: rule.version.clone(),
            title: rule.title.clone(),
            core_share,
            ids: bound(&book.loaded, std::slice::from_ref(&rule.id)),
            speak: BTreeSet::new(),
            detector: known.to_bytes()?,
            late,
            next: known.next,
        });
        let after = loud(&self.stream(book));
        if let Some(behind) = self.behind.last_mut() {
            behind.speak = before.difference(&after).cloned().collect();
        }
        Ok(true)
    }

    /// Rules that changed or were switched off are not behind any more.
    pub(super) fn change_rules(&mut self, book: &RuleBook) {
        let off: BTreeSet<&str> = book.off.iter().map(|off| off.rule.id.as_str()).collect();
        let all = book.rules.rules().iter();
        let versions: HashMap<&str, &str> =
            all.map(|info| (info.id.as_str(), info.version.as_str())).collect();
        self.behind.retain(|behind| {
            let same = versions.get(behind.rule.as_str()) == Some(&behind.version.as_str());
            same && !off.contains(behind.rule.as_str())
        });
    }

    /// Looks at the next stored events with the rules that are furthest behind `end`.
    pub(super) fn step_if_due(
        &mut self,
        snapshot: &dyn Fn() -> Snapshot,
        book: &Arc<RuleBook>,
        end: i64,
    ) {
        let now = Instant::now();
        let Some(behind) = self.behind.iter().min_by_key(|behind| behind.next) else { return };
        if now < self.due || behind.next >= end {
            return;
        }
        let (behind, work) =
            (behind.clone(), Work { snapshot: snapshot(), book: book.clone(), end });
        let (say, stepping) = crossbeam_channel::bounded(1);
        let run = move || drop(say.send(behind.step(&work)));
        match std::thread::Builder::new().name("behind".into()).spawn(run) {
            Ok(_) => (self.stepping, self.begun, self.due) = (stepping, now, now + STEP_NEVER),
            Err(error) => {
                tracing::warn!(%error, "rules behind the stream go on later");
                self.due = now + STEP_INTERVAL;
            }
        }
    }

    /// Where a step says what it found.
    pub(super) fn stepping(&self) -> &Receiver<StepResult> {
        &self.stepping
    }

    /// Takes what a step found; `None` when that is not wanted any more, or it will be tried again.
    pub(super) fn stepped(&mut self, stepped: Option<StepResult>) -> Option<Stepped> {
        let took = self.begun.elapsed();
        self.stepping = never();
        self.due = Instant::now() + took * (STEP_SHARE - 1);
        match stepped {
            Some(Ok(stepped)) => {
                let known = self.behind.iter_mut().find(|behind| {
                    behind.rule == stepped.behind.rule && behind.version == stepped.behind.version
                })?;
                known.clone_from(&stepped.behind);
                Some(stepped)
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "rules behind the stream try again");
                self.due += STEP_INTERVAL;
                None
            }
            None => {
                tracing::error!("BUG: rules behind the stream panicked; they try again");
                self.due += STEP_INTERVAL;
                None
            }
        }
    }

    /// What is behind, for the status; `end` is where the stream is.
    pub(super) fn throttled(&self, end: i64) -> Vec<Throttled> {
        let throttled = self.behind.iter().map(|behind| Throttled {
            rule: behind.rule.clone(),
            title: behind.title.clone(),
            core_percent: behind.core_share * 100.0,
            events_behind: end.saturating_sub(behind.next).max(0) as u64,
        });
        throttled.collect()
    }
}

/// All rules but those with these ids and what is bound to them.
fn without(rules: &[Rule], ids: &[String]) -> Vec<Rule> {
    let gone: BTreeSet<String> = bound(rules, ids).into_iter().collect();
    rules.iter().filter(|rule| !gone.contains(&rule.info.id)).cloned().collect()
}

fn loud(rules: &RuleSet) -> BTreeSet<String> {
    let loud = rules.rules().iter().filter(|info| !info.silent);
    loud.map(|info| info.id.clone()).collect()
}
