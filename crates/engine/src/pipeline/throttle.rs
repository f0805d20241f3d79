//! Rules that cost too much run behind the stream.
//!
//! Once a second a batch is measured. A rule that in two minutes one after the other takes more of
//! a core than it may is taken off the stream, with the rules that are bound to it. What they know
//! goes on over the stored events, in the background and for a share of the time: they find what
//! they would have found, later. When somebody changes the rule or switches it off they come back,
//! as soon as they have seen what the stream has.

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
use crate::pipeline::watch::warm_up;
use crate::rulebook::RuleBook;
use crate::status::Throttled;

/// Time between two batches that are measured.
const MEASURE_INTERVAL: Duration = Duration::from_secs(1);
/// Rules that are taken off the stream at most; where many cost much, the machine is too small.
const BEHIND_MAX: usize = 16;
/// Events that are looked at in one step.
const STEP_EVENTS: i64 = 20_000;
/// The pause after a step, in times that the step took: where they are near the stream, and where
/// they are far behind.
const PAUSES: [u32; 2] = [9, 1];
/// Events beyond which they are far behind.
const FAR_EVENTS: i64 = 10 * STEP_EVENTS;
/// The pause after a step that failed; it doubles each time.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
const RETRY_DOUBLINGS_MAX: u32 = 8;
/// Panics after which the events of a step are passed over, as the stream does with a block.
const PANICS_MAX: u32 = 3;

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
    /// The rule that cost too much in the window before: one may have been a bad moment.
    suspect: Option<u32>,
}

impl Meter {
    pub(super) fn new(limit: CostLimit) -> Self {
        let now = Instant::now();
        Self {
            limit,
            begun: now,
            due: now,
            events: 0,
            measured: 0,
            of_rule: HashMap::new(),
            suspect: None,
        }
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

    /// At the end of a window: the rule that costs most, if that is too much and was in the window
    /// before; and its share of a core.
    pub(super) fn too_costly(&mut self) -> Option<(u32, f64)> {
        let elapsed = self.begun.elapsed();
        if self.limit.core_share_max == 0.0 || elapsed < self.limit.window {
            return None;
        }
        let ended = std::mem::replace(self, Self::new(self.limit));
        let (rule, cost) = ended.of_rule.into_iter().max_by_key(|(_, cost)| *cost)?;
        let scale = ended.events as f64 / ended.measured.max(1) as f64;
        let share = cost.as_secs_f64() * scale / elapsed.as_secs_f64();
        self.suspect = (share > ended.limit.core_share_max).then_some(rule);
        (self.suspect.is_some() && self.suspect == ended.suspect).then_some((rule, share))
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
    /// True when somebody changed it: it goes back as soon as it has caught up.
    returns: bool,
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
    pub(super) behind: Behind,
    /// In the order of their events.
    pub(super) detections: Vec<Detection>,
    /// Of events that came late even for these rules.
    pub(super) late: Vec<Detection>,
}

pub(super) type StepResult = Result<Stepped, StepError>;

/// What a step works on.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) snapshot: Snapshot,
    pub(super) book: Arc<RuleBook>,
    /// Events below it are there.
    pub(super) end: i64,
}

impl Behind {
    /// What its rules know.
    pub(super) fn known(&self) -> Result<Checkpoint, CheckpointError> {
        Checkpoint::from_bytes(&self.detector)
    }

    /// Id of the rule that cost too much.
    pub(super) fn rule(&self) -> &str {
        &self.rule
    }

    /// Looks at the next events.
    pub(super) fn step(mut self, work: &Work) -> StepResult {
        let rules = Arc::new(RuleSet::compile(select(work.book.loaded.clone(), &self.ids)).0);
        let (mut detector, fresh) = Detector::resume(rules.clone(), &self.known()?);
        warm_up(&mut detector, &fresh, &work.snapshot, self.next);
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
        let late =
            late.into_iter().filter(|detection| self.speak.contains(&detection.rule.id)).collect();
        self.late.done();
        self.detector = detector.checkpoint(end).to_bytes()?;
        self.next = end;
        Ok(Stepped { behind: self, detections, late })
    }
}

/// When rules may take their next step.
#[derive(Debug, Clone, Copy)]
struct Turn {
    due: Instant,
    failures: u32,
    panics: u32,
}

/// The rules behind the stream, and the step that is under way.
pub(super) struct Throttle {
    pub(super) meter: Meter,
    behind: Vec<Behind>,
    turns: HashMap<String, Turn>,
    stepping: Receiver<StepResult>,
    /// The rule whose step is under way, with its version, and since when.
    under_way: Option<(String, String, Instant)>,
}

impl Throttle {
    /// Goes on with what was behind.
    pub(super) fn new(limit: CostLimit, behind: Vec<Behind>) -> Self {
        let (turns, stepping) = (HashMap::new(), never());
        Self { meter: Meter::new(limit), behind, turns, stepping, under_way: None }
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

    /// Takes a rule off the stream, which knew `known` and `late` when it came to the event that
    /// `known` has next. False when there are too many already.
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
        self.behind.push(Behind {
            rule: rule.id.clone(),
            version: rule.version.clone(),
            title: rule.title.clone(),
            core_share,
            ids: Vec::new(),
            speak: BTreeSet::new(),
            returns: false,
            detector: known.to_bytes()?,
            late,
            next: known.next,
        });
        self.share_out(book);
        Ok(true)
    }

    /// Puts the rule back that was taken off last. What it knew then.
    pub(super) fn put_back(&mut self, book: &RuleBook) -> Option<Checkpoint> {
        let last = self.behind.pop();
        self.share_out(book);
        last?.known().ok()
    }

    /// Says which rules run where: each speaks at one place.
    fn share_out(&mut self, book: &RuleBook) {
        let (mut gone, mut left) = (Vec::new(), loud(&book.rules));
        for behind in &mut self.behind {
            gone.push(behind.rule.clone());
            behind.ids = bound(&book.loaded, std::slice::from_ref(&behind.rule));
            let after = loud(&RuleSet::compile(without(&book.loaded, &gone)).0);
            behind.speak = left.difference(&after).cloned().collect();
            left = after;
        }
    }

    /// Rules that somebody changed or switched off return when they have caught up; one that is
    /// gone does not.
    pub(super) fn change_rules(&mut self, book: &RuleBook) {
        let off: BTreeSet<&str> = book.off.iter().map(|off| off.rule.id.as_str()).collect();
        let infos: HashMap<&str, &Arc<RuleInfo>> =
            book.rules.rules().iter().map(|info| (info.id.as_str(), info)).collect();
        for behind in &mut self.behind {
            let Some(info) = infos.get(behind.rule.as_str()) else { continue };
            behind.returns |= info.version != behind.version || off.contains(info.id.as_str());
            (behind.version, behind.title) = (info.version.clone(), info.title.clone());
        }
        self.behind.retain(|behind| infos.contains_key(behind.rule.as_str()));
        self.share_out(book);
        // What a step finds with the rules of before is looked for again.
        self.under_way.iter_mut().for_each(|(_, version, _)| version.clear());
    }

    /// What a rule knows that returns, and what its heirs know: all are so near that what is
    /// missing can be looked at at once.
    pub(super) fn returning(&self, end: i64) -> Option<(Behind, Vec<Behind>)> {
        if self.under_way.is_some() {
            return None;
        }
        let near = |behind: &Behind| end - behind.next <= STEP_EVENTS;
        let may = |behind: &&Behind| behind.returns && near(behind) && self.heirs(behind).all(near);
        let behind = self.behind.iter().find(may)?;
        Some((behind.clone(), self.heirs(behind).cloned().collect()))
    }

    /// Those that share rules of which this one has the say, and one of which has it afterwards.
    fn heirs<'a>(&'a self, of: &'a Behind) -> impl Iterator<Item = &'a Behind> {
        self.behind.iter().filter(|other| {
            other.rule != of.rule && other.ids.iter().any(|id| of.speak.contains(id))
        })
    }

    /// The rule is on the stream again. Its heirs, which have come to the same event, go on with
    /// what it knew of the rules that they share: what they know of those themselves began later.
    ///
    /// # Errors
    /// When what one of them knows cannot be read; then nothing has changed.
    pub(super) fn returned(
        &mut self,
        behind: &Behind,
        heirs: Vec<Behind>,
        book: &RuleBook,
    ) -> Result<(), CheckpointError> {
        let heirs = heirs.into_iter().map(|heir| {
            let detector = behind.known()?.join(heir.known()?).to_bytes()?;
            Ok(Behind { detector, ..heir })
        });
        for heir in heirs.collect::<Result<Vec<_>, CheckpointError>>()? {
            let mut all = self.behind.iter_mut();
            if let Some(known) = all.find(|known| known.rule == heir.rule) {
                *known = heir;
            }
        }
        self.behind.retain(|known| known.rule != behind.rule);
        self.turns.remove(&behind.rule);
        self.share_out(book);
        Ok(())
    }

    /// Looks at the next stored events with the rules that are furthest behind of those whose turn
    /// it is.
    pub(super) fn step_if_due(&mut self, work: &dyn Fn() -> Work, end: i64) {
        let now = Instant::now();
        if self.under_way.is_some() {
            return;
        }
        let due = |behind: &&Behind| {
            behind.next < end && self.turns.get(&behind.rule).is_none_or(|turn| turn.due <= now)
        };
        let Some(behind) = self.behind.iter().filter(due).min_by_key(|behind| behind.next) else {
            return;
        };
        let (behind, work) = (behind.clone(), work());
        let (rule, version) = (behind.rule.clone(), behind.version.clone());
        let (say, stepping) = crossbeam_channel::bounded(1);
        let run = move || drop(say.send(behind.step(&work)));
        match std::thread::Builder::new().name("behind".into()).spawn(run) {
            Ok(_) => (self.stepping, self.under_way) = (stepping, Some((rule, version, now))),
            Err(error) => {
                tracing::warn!(%error, "rules behind the stream go on later");
                self.later(&rule, false);
            }
        }
    }

    /// Where a step says what it found.
    pub(super) fn stepping(&self) -> &Receiver<StepResult> {
        &self.stepping
    }

    /// Takes what a step found, on a stream that is at `end`; `None` when it found nothing, will be
    /// tried again, or is not wanted any more.
    pub(super) fn stepped(&mut self, stepped: Option<StepResult>, end: i64) -> Option<Stepped> {
        self.stepping = never();
        let (rule, version, begun) = self.under_way.take()?;
        match stepped {
            Some(Ok(stepped)) => {
                let same = |b: &&mut Behind| b.rule == rule && b.version == version;
                let known = self.behind.iter_mut().find(same)?;
                // Which rules run where may have changed meanwhile, what they know has not.
                known.detector = stepped.behind.detector;
                known.late = stepped.behind.late;
                known.next = stepped.behind.next;
                let far = usize::from(end - known.next > FAR_EVENTS);
                let due = Instant::now() + begun.elapsed() * PAUSES[far];
                self.turns.insert(rule, Turn { due, failures: 0, panics: 0 });
                Some(Stepped { behind: known.clone(), ..stepped })
            }
            Some(Err(error)) => {
                tracing::warn!(rule, %error, "a rule behind the stream tries again");
                self.later(&rule, false);
                None
            }
            None => {
                tracing::error!(rule, "BUG: a rule behind the stream panicked");
                self.later(&rule, true);
                None
            }
        }
    }

    /// A step that failed is tried again; what makes it panic each time is passed over.
    pub(super) fn later(&mut self, rule: &str, panicked: bool) {
        let now = Instant::now();
        let turn =
            self.turns.entry(rule.to_string()).or_insert(Turn { due: now, failures: 0, panics: 0 });
        turn.due = now + RETRY_INTERVAL * 2u32.pow(turn.failures.min(RETRY_DOUBLINGS_MAX));
        turn.failures += 1;
        turn.panics += u32::from(panicked);
        if turn.panics >= PANICS_MAX
            && let Some(behind) = self.behind.iter_mut().find(|behind| behind.rule == rule)
        {
            tracing::error!(rule, first_event = behind.next, "it passes over {STEP_EVENTS} events");
            behind.next += STEP_EVENTS;
            turn.panics = 0;
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
