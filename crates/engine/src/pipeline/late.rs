//! Events that come later than rules over time allow for: what they may complete is looked at again
//! in the store.
//!
//! A rule over time keeps what an event can still meet that is at most [`LATENESS`] behind the
//! newest event of its source (the watermark). An event further behind may lack neighbours that
//! were forgotten, so the rules that it feeds run once more over the stored events around it, in
//! the background. What they detect with such an event as the last piece is raised then.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use pugmark_detect::{Detection, Hit, LATENESS, RuleSet, select};
use pugmark_event::time::Micros;
use pugmark_store::Snapshot;
use serde::{Deserialize, Serialize};

use crate::history::{History, HistoryError};
use crate::rulebook::RuleBook;

/// Sources whose newest event is known; the others count as on time.
const SOURCES_MAX: usize = 10_000;
/// Late events remembered of a rule.
const EVENTS_MAX: usize = 100_000;

/// What came late.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Late {
    /// By the hash of a source, the time of its newest event that a rule matched.
    watermarks: BTreeMap<u64, Micros>,
    /// By the id of a rule over time, where to look again.
    again: BTreeMap<String, Again>,
    /// The same that is being looked at.
    working: BTreeMap<String, Again>,
}

/// Where to look again for one rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Again {
    from: Micros,
    to: Micros,
    /// The late events.
    events: BTreeSet<i64>,
}

impl Late {
    /// Notes the late ones among hits, which come in the order of their ids.
    pub(super) fn note(&mut self, hits: &[Hit], rules: &RuleSet) {
        for hit in hits {
            let source = hit.source();
            match self.watermarks.get(&source).copied() {
                Some(watermark) if hit.time < watermark - LATENESS => self.note_one(hit, rules),
                Some(watermark) if hit.time <= watermark => {}
                None if self.watermarks.len() >= SOURCES_MAX => {}
                _ => drop(self.watermarks.insert(source, hit.time)),
            }
        }
    }

    fn note_one(&mut self, hit: &Hit, rules: &RuleSet) {
        for (rule, reach) in rules.reached(hit) {
            let info = &rules.rules()[rule as usize];
            if info.silent {
                continue;
            }
            let (from, to) = (hit.time.saturating_sub(reach), hit.time.saturating_add(reach));
            let again = self.again.entry(info.id.clone()).or_insert_with(|| Again {
                from,
                to,
                events: BTreeSet::new(),
            });
            (again.from, again.to) = (again.from.min(from), again.to.max(to));
            if again.events.len() < EVENTS_MAX {
                again.events.insert(hit.id);
            }
        }
    }

    /// The same moment in every source, and nothing to look at again: for rules that leave the
    /// stream.
    pub(super) fn branch(&self) -> Late {
        Late { watermarks: self.watermarks.clone(), ..Late::default() }
    }

    /// True when there is something to look at again.
    pub(super) fn is_due(&self) -> bool {
        !self.again.is_empty()
    }

    /// Hands the work over. Until it is [done](Late::done) it stays noted.
    pub(super) fn take(&mut self, snapshot: Snapshot, book: Arc<RuleBook>) -> Work {
        self.working = std::mem::take(&mut self.again);
        Work { again: self.working.clone(), snapshot, book }
    }

    /// What was handed over needs not be done again.
    pub(super) fn done(&mut self) {
        self.working.clear();
    }

    /// What was handed over was not done.
    pub(super) fn failed(&mut self) {
        for (rule, again) in std::mem::take(&mut self.working) {
            let known = self.again.entry(rule).or_insert_with(|| again.clone());
            (known.from, known.to) = (known.from.min(again.from), known.to.max(again.to));
            known.events.extend(again.events);
        }
    }
}

/// Rules to run once more, and over what.
#[derive(Debug)]
pub(super) struct Work {
    again: BTreeMap<String, Again>,
    snapshot: Snapshot,
    book: Arc<RuleBook>,
}

impl Work {
    /// The detections that late events complete, in the order of their events. Reads the store on
    /// one core.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn run(&self) -> Result<Vec<Detection>, HistoryError> {
        let mut found = Vec::new();
        for (rule, again) in &self.again {
            found.extend(self.again(rule, again)?);
        }
        found.sort_by_key(|detection| detection.event_id);
        Ok(found)
    }

    fn again(&self, rule: &String, again: &Again) -> Result<Vec<Detection>, HistoryError> {
        let rules = select(self.book.loaded.clone(), std::slice::from_ref(rule));
        let rules = Arc::new(RuleSet::compile(rules).0);
        let history = History {
            from: Some(again.from),
            to: Some(again.to.saturating_add(1)),
            threads_max: 1,
            ..History::new(self.snapshot.clone())
        };
        let mut found = Vec::new();
        history.follow(&rules, &mut |_| ControlFlow::Continue(()), &mut |hit, firing| {
            if firing.detection.rule.id == *rule && again.events.contains(&hit.id) {
                found.push((hit.time, firing));
            }
        })?;
        history.explained(&rules, found)
    }
}
