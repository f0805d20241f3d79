//! Backtest: what rules would have found in everything that is stored, before they are trusted.
//!
//! The matcher and the correlations are those of the stream, fed in the order of ids, so the
//! answer is what the stream would have given. Alerts are counted as the stream would have folded
//! them had nobody judged any.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use pugmark_alert::is_far;
use pugmark_detect::{
    Firing, Hit, Problem, Reason, Rule, RuleInfo, RuleSet, RuleSource, load, select,
};
use pugmark_event::Entity;
use pugmark_event::time::{DAY, Micros};
use serde::Serialize;

use crate::history::{History, HistoryError, Progress};

/// Detections shown of a rule, the newest.
const SAMPLES_MAX: usize = 20;
/// The same where many rules are tried at once.
const SAMPLES_OF_MANY_MAX: usize = 3;
/// Rules that are many.
const RULES_MANY: usize = 16;
/// Entities listed of a rule.
const ENTITIES_MAX: usize = 10;
/// Entities that are told apart, over all rules; beyond it alerts are counted as one each.
const ENTITIES_KNOWN_MAX: usize = 1_000_000;
/// Detections that are compared with those of the version in force.
const COMPARED_MAX: usize = 2_000_000;

/// Why rules cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Nothing can be run.
    #[error("there is no rule to try: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Broken(Vec<Problem>),
    /// No rule is called so.
    #[error("no rule has the id or title `{0}`")]
    Unknown(String),
}

/// Rules to try, and those that they would take the place of.
#[derive(Debug, Clone)]
pub struct Plan {
    rules: Arc<RuleSet>,
    /// The version of the same rules that is in force, where it is another one.
    before: Option<Arc<RuleSet>>,
    /// What is odd about the rules.
    pub problems: Vec<Problem>,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Events of the time asked for.
    pub events: u64,
    /// Events that some rule matched, also those that only feed others.
    pub hits: u64,
    /// How long it took.
    pub seconds: f64,
    /// Per rule, the one with the most alerts first.
    pub rules: Vec<RuleReport>,
}

/// What one rule found.
#[derive(Debug, Clone, Serialize)]
pub struct RuleReport {
    /// Id of the rule.
    pub id: String,
    /// Its title.
    pub title: String,
    /// informational to critical.
    pub level: String,
    /// What was tried.
    pub version: String,
    /// Detections.
    pub detections: u64,
    /// Alerts that they would have become.
    pub alerts: u64,
    /// Days (UTC) with detections, in their order.
    pub days: Vec<DayCount>,
    /// Who or what they are about, the most frequent first, at most ten.
    pub entities: Vec<EntityCount>,
    /// How many different ones there are.
    pub entities_total: u64,
    /// The newest detections.
    pub samples: Vec<Sample>,
    /// What changes against the version in force; absent when there is none, or it is the same.
    pub difference: Option<Difference>,
}

/// A day of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DayCount {
    /// Its beginning, in microseconds since the epoch.
    pub day: Micros,
    /// Detections of that day.
    pub detections: u64,
    /// Alerts that would have opened.
    pub alerts: u64,
}

/// How often a rule found somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntityCount {
    /// Who.
    pub entity: Entity,
    /// Detections.
    pub detections: u64,
}

/// A detection.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Event time, or the end of the window.
    pub time: Micros,
    /// The event that completed it.
    pub event_id: i64,
    /// Who it is about.
    pub entity: Entity,
    /// Events, or different values, that were counted.
    pub count: u64,
    /// Why it fired.
    pub why: Vec<Reason>,
    #[serde(skip)]
    event_time: Micros,
    #[serde(skip)]
    matched: u32,
}

/// Detections by event and entity, against the version in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The version in force.
    pub before: String,
    /// Found by both.
    pub both: u64,
    /// Found only by what is tried.
    pub only_now: u64,
    /// Found only by the version in force.
    pub only_before: u64,
    /// Events of some of those that only the version in force found.
    pub lost_events: Vec<i64>,
}

impl Plan {
    /// Rules of files, which take the place of those in force with the same ids and may refer to
    /// any of them.
    ///
    /// # Errors
    /// When no rule is left to run.
    pub fn of_sources(sources: &[RuleSource], in_force: &[Rule]) -> Result<Self, PlanError> {
        let tried = load(sources);
        let ids: Vec<String> = tried.rules.iter().map(|rule| rule.info.id.clone()).collect();
        let others = in_force.iter().filter(|rule| !ids.contains(&rule.info.id)).cloned();
        let all = others.chain(tried.rules).collect();
        let (mut set, more) = RuleSet::compile(select(all, &ids));
        let problems = [tried.problems, more].concat();
        let named = (0u32..).zip(set.rules()).filter(|(_, info)| ids.contains(&info.id));
        let asked: Vec<u32> = named.map(|(rule, _)| rule).collect();
        if asked.is_empty() {
            return Err(PlanError::Broken(problems));
        }
        // Rules that feed one of the others are not what is asked about, unless nothing else is.
        if asked.iter().all(|&rule| set.rules()[rule as usize].silent) {
            asked.iter().for_each(|&rule| set.unsilence(rule));
        }
        let before = in_force.iter().any(|rule| {
            let same = set.rules().iter().find(|info| info.id == rule.info.id);
            ids.contains(&rule.info.id) && same.is_some_and(|info| info.text != rule.info.text)
        });
        let before = before.then(|| Arc::new(RuleSet::compile(select(in_force.to_vec(), &ids)).0));
        Ok(Self { rules: Arc::new(set), before, problems })
    }

    /// A rule in force by its id or title, also one that only feeds others.
    ///
    /// # Errors
    /// When there is none, or it does not run.
    pub fn of_rule(name: &str, in_force: &[Rule]) -> Result<Self, PlanError> {
        let known = |rule: &&Rule| rule.info.id == name || rule.info.title == name;
        let rule = in_force.iter().find(known);
        let id = rule.ok_or_else(|| PlanError::Unknown(name.into()))?.info.id.clone();
        let (mut set, problems) =
            RuleSet::compile(select(in_force.to_vec(), std::slice::from_ref(&id)));
        let Some(index) = set.index_of(&id) else { return Err(PlanError::Broken(problems)) };
        set.unsilence(index);
        Ok(Self { rules: Arc::new(set), before: None, problems })
    }

    /// The rules that are tried.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Runs it over stored events. `watch` hears how far it is and may stop it.
    ///
    /// # Errors
    /// When the store cannot be read, or `watch` stopped it.
    pub fn run(
        &self,
        history: &History,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Report, HistoryError> {
        let begun = Instant::now();
        let mut tally = Tally::new(&self.rules, self.before.is_some());
        let read = history.follow(&self.rules, watch, &mut |hit, firing| tally.add(hit, firing))?;
        let mut lost = Lost::default();
        if let Some(before) = &self.before {
            let mut compare = |_: &Hit, firing: Firing| lost.add(&tally, &firing);
            history.follow(before, watch, &mut compare)?;
        }
        let mut rules = tally.reports(self.before.as_ref().map(|before| (before, &lost)));
        self.explain(history, &mut rules)?;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(Report { events: read.events, hits: read.hits, seconds, rules })
    }

    /// Adds what the events themselves show to the reasons of the samples.
    fn explain(&self, history: &History, rules: &mut [RuleReport]) -> Result<(), HistoryError> {
        let mut wanted: HashMap<i64, Vec<&mut Sample>> = HashMap::new();
        for sample in rules.iter_mut().flat_map(|rule| &mut rule.samples) {
            wanted.entry(sample.event_id).or_default().push(sample);
        }
        let times = wanted.values().flatten().map(|sample| sample.event_time);
        let (Some(from), Some(to)) = (times.clone().min(), times.max()) else { return Ok(()) };
        let ids: BTreeSet<i64> = wanted.keys().copied().collect();
        for batch in history.events(ids, (from, to + 1))? {
            for (row, id) in batch.ids().iter().enumerate() {
                for sample in wanted.get_mut(id).into_iter().flatten() {
                    sample.why.extend(self.rules.explain(sample.matched, &batch, row));
                }
            }
        }
        Ok(())
    }
}

/// What a detection is told apart by, whatever the version of its rule.
fn identity(firing: &Firing) -> (String, i64, Entity) {
    let detection = &firing.detection;
    (detection.rule.id.clone(), detection.event_id, detection.entity.clone())
}

/// Counts detections.
struct Tally<'r> {
    rules: &'r RuleSet,
    samples_max: usize,
    of_rule: HashMap<String, OfRule>,
    entities: usize,
    /// What was found, where it is compared and not too much.
    found: Option<HashSet<(String, i64, Entity)>>,
}

/// What is counted of one rule.
#[derive(Default)]
struct OfRule {
    detections: u64,
    alerts: u64,
    days: BTreeMap<Micros, DayCount>,
    /// Detections of an entity, and the times of its last alert.
    entities: HashMap<Entity, (u64, Micros, Micros)>,
    samples: VecDeque<Sample>,
}

impl<'r> Tally<'r> {
    fn new(rules: &'r RuleSet, compared: bool) -> Self {
        let many = rules.rules().len() > RULES_MANY;
        let samples_max = if many { SAMPLES_OF_MANY_MAX } else { SAMPLES_MAX };
        let found = compared.then(HashSet::new);
        Self { rules, samples_max, of_rule: HashMap::new(), entities: 0, found }
    }

    fn add(&mut self, hit: &Hit, firing: Firing) {
        if let Some(found) = &mut self.found {
            found.insert(identity(&firing));
            if found.len() > COMPARED_MAX {
                self.found = None;
            }
        }
        let Firing { detection, matched } = firing;
        let of_rule = self.of_rule.entry(detection.rule.id.clone()).or_default();
        let time = detection.time;
        of_rule.detections += 1;
        let opens = match of_rule.entities.get_mut(&detection.entity) {
            Some((count, first, last)) => {
                *count += 1;
                let far = is_far((*first, *last), time);
                (*first, *last) =
                    if far { (time, time) } else { (time.min(*first), time.max(*last)) };
                far
            }
            None => {
                if self.entities < ENTITIES_KNOWN_MAX {
                    self.entities += 1;
                    of_rule.entities.insert(detection.entity.clone(), (1, time, time));
                }
                true
            }
        };
        of_rule.alerts += u64::from(opens);
        let day = time.div_euclid(DAY) * DAY;
        let count = of_rule.days.entry(day).or_insert(DayCount { day, detections: 0, alerts: 0 });
        count.detections += 1;
        count.alerts += u64::from(opens);
        if of_rule.samples.len() == self.samples_max {
            of_rule.samples.pop_front();
        }
        of_rule.samples.push_back(Sample {
            time,
            event_id: detection.event_id,
            entity: detection.entity,
            count: detection.count,
            why: detection.why,
            event_time: hit.time,
            matched,
        });
    }

    fn reports(mut self, compared: Option<(&Arc<RuleSet>, &Lost)>) -> Vec<RuleReport> {
        let compared = compared.filter(|_| self.found.is_some());
        let rules = self.rules.rules().iter().filter(|info| !info.silent);
        let mut reports: Vec<RuleReport> = rules
            .map(|info| {
                let of_rule = self.of_rule.remove(&info.id).unwrap_or_default();
                let difference = compared.and_then(|(before, lost)| {
                    let before = before.rules().iter().find(|rule| rule.id == info.id)?;
                    (before.version != info.version)
                        .then(|| lost.difference(before, of_rule.detections))
                });
                of_rule.report(info, difference)
            })
            .collect();
        reports.sort_by_key(|rule| std::cmp::Reverse((rule.alerts, rule.detections)));
        reports
    }
}

impl OfRule {
    fn report(self, info: &RuleInfo, difference: Option<Difference>) -> RuleReport {
        let entities_total = self.entities.len() as u64;
        let mut entities: Vec<EntityCount> = self
            .entities
            .into_iter()
            .map(|(entity, (detections, ..))| EntityCount { entity, detections })
            .collect();
        entities.sort_by(|a, b| (b.detections, &a.entity).cmp(&(a.detections, &b.entity)));
        entities.truncate(ENTITIES_MAX);
        RuleReport {
            id: info.id.clone(),
            title: info.title.clone(),
            level: info.level.name().into(),
            version: info.version.clone(),
            detections: self.detections,
            alerts: self.alerts,
            days: self.days.into_values().collect(),
            entities,
            entities_total,
            samples: self.samples.into_iter().rev().collect(),
            difference,
        }
    }
}

/// What the version in force found, against what was tried.
#[derive(Default)]
struct Lost {
    of_rule: HashMap<String, Difference>,
}

impl Lost {
    fn add(&mut self, tally: &Tally<'_>, firing: &Firing) {
        let Some(found) = &tally.found else { return };
        let detection = &firing.detection;
        let difference = self.of_rule.entry(detection.rule.id.clone()).or_default();
        if found.contains(&identity(firing)) {
            difference.both += 1;
            return;
        }
        difference.only_before += 1;
        if difference.lost_events.len() < SAMPLES_MAX {
            difference.lost_events.push(detection.event_id);
        }
    }

    fn difference(&self, before: &RuleInfo, detections: u64) -> Difference {
        let mut difference = self.of_rule.get(&before.id).cloned().unwrap_or_default();
        difference.before = before.version.clone();
        difference.only_now = detections.saturating_sub(difference.both);
        difference
    }
}
