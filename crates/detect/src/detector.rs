//! Batches in, detections out: event rules and correlations together.
//!
//! Correlations work in event time and in the order in which events come, so the same events give
//! the same detections however they are cut into batches. What they know at some event can be kept
//! as a [`Checkpoint`] and taken up again, also with other rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use pugmark_event::time::{DAY, HOUR, MINUTE, Micros, SECOND};
use pugmark_event::{Batch, Entity};

use crate::checkpoint::Checkpoint;
use crate::correlation::state::State;
use crate::correlation::window::{Entry, Found};
use crate::correlation::{Correlation, Kind};
use crate::cost::Costs;
use crate::detection::{Detection, Reason, RuleInfo, cut, stable_id};
use crate::entity;
use crate::hit::{Hit, Input, KeyPart, value_of};
use crate::rule::Comparison;
use crate::ruleset::RuleSet;

/// Events below a firing that the correlation above keeps as evidence.
const EVIDENCE_BELOW_MAX: usize = 20;

/// Runs a rule set over a stream of events, in the order of their ids. It holds what correlations
/// know.
#[derive(Debug)]
pub struct Detector {
    rules: Arc<RuleSet>,
    states: Vec<State>,
}

/// A detection, and the event rule that says more about the event that completed it.
#[derive(Debug)]
pub struct Firing {
    /// The detection; of its reasons only those that correlations give.
    pub detection: Detection,
    /// The rule to ask with [`RuleSet::explain`] for what the event itself shows.
    pub matched: u32,
}

/// What comes to a correlation: a match of an event rule, or a firing of a correlation below.
struct Arrival<'h> {
    entry: Entry,
    key: Vec<KeyPart>,
    /// The event rule that matched.
    matched: u32,
    /// Who the event is about.
    entity: &'h Entity,
}

impl Detector {
    /// A detector that has seen nothing.
    pub fn new(rules: Arc<RuleSet>) -> Self {
        let states = rules.correlations().iter().map(|_| State::default()).collect();
        Self { rules, states }
    }

    /// A detector that goes on where another was, and the indices of the correlations of which the
    /// checkpoint knows nothing: rules that are new, or read otherwise than then.
    pub fn resume(rules: Arc<RuleSet>, checkpoint: &Checkpoint) -> (Self, Vec<u32>) {
        let mut detector = Self::new(rules.clone());
        let mut fresh = Vec::new();
        for (rule, state) in rules.correlations().iter().zip(&mut detector.states) {
            match checkpoint.state(rules.rules()[rule.rule as usize].as_ref(), rule) {
                Some(known) => *state = known,
                None => fresh.push(rule.rule),
            }
        }
        (detector, fresh)
    }

    /// What it knows, before the event with the id `next`.
    pub fn checkpoint(&self, next: i64) -> Checkpoint {
        let rules = self.rules.correlations().iter();
        let known = rules.map(|rule| self.info(rule.rule).as_ref()).zip(&self.states);
        Checkpoint::new(next, known)
    }

    /// Takes over what another detector of the same rules knows of these correlations.
    pub fn adopt(&mut self, rules: &[u32], mut other: Detector) {
        let all = self.rules.correlations().iter().zip(&mut self.states).zip(&mut other.states);
        for ((rule, state), known) in all {
            if rules.contains(&rule.rule) {
                *state = std::mem::take(known);
            }
        }
    }

    /// The longest time that these correlations look back, in microseconds.
    pub fn span(&self, rules: &[u32]) -> Micros {
        let all = self.rules.correlations().iter().filter(|rule| rules.contains(&rule.rule));
        all.map(|rule| rule.span).max().unwrap_or_default()
    }

    /// The rules it runs.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Per correlation that ran out of room: the rule and how many keys it had to forget.
    pub fn evictions(&self) -> Vec<(Arc<RuleInfo>, u64)> {
        let pairs = self.rules.correlations().iter().zip(&self.states);
        pairs
            .filter(|(_, state)| state.evicted > 0)
            .map(|(rule, state)| (self.info(rule.rule).clone(), state.evicted))
            .collect()
    }

    /// The detections that the events of a batch complete, in the order of the rows.
    pub fn process(&mut self, batch: &Batch) -> Vec<Detection> {
        let hits = self.rules.hits(batch);
        self.process_hits(batch, &hits, &mut Costs::off())
    }

    /// The same where the hits of the batch are known, and what each rule costs.
    pub fn process_hits(
        &mut self,
        batch: &Batch,
        hits: &[Hit],
        costs: &mut Costs,
    ) -> Vec<Detection> {
        let rules = self.rules.clone();
        let mut detections = Vec::new();
        for hit in hits {
            for Firing { mut detection, matched } in self.follow_measured(hit, costs) {
                let begun = costs.begin();
                detection.why.extend(rules.explain(matched, batch, hit.row as usize));
                costs.charge(&[matched], begun);
                detections.push(detection);
            }
        }
        detections
    }

    /// The detections that one event completes. Events come in the order of their ids.
    pub fn follow(&mut self, hit: &Hit) -> Vec<Firing> {
        self.follow_measured(hit, &mut Costs::off())
    }

    fn follow_measured(&mut self, hit: &Hit, costs: &mut Costs) -> Vec<Firing> {
        let mut out = Vec::new();
        // Correlations stand in an order in which each comes after those below it.
        let mut open: BTreeMap<u32, Vec<Arrival<'_>>> = BTreeMap::new();
        for matched in &hit.matched {
            if !self.info(matched.rule).silent {
                let detection = self.event_detection(matched.rule, &matched.entity, hit);
                out.push(Firing { detection, matched: matched.rule });
            }
            for input in &matched.inputs {
                let (matched, entity) = (matched.rule, &matched.entity);
                let arrival =
                    Arrival { entry: entry(hit, input), key: input.key.clone(), matched, entity };
                open.entry(input.correlation).or_default().push(arrival);
            }
        }
        while let Some((correlation, arrivals)) = open.pop_first() {
            let begun = costs.begin();
            self.correlate(correlation as usize, arrivals, hit, &mut open, &mut out);
            costs.charge(&[self.rules.correlations()[correlation as usize].rule], begun);
        }
        out
    }

    /// Gives what one event brings to a correlation; it fires at most once.
    fn correlate<'h>(
        &mut self,
        index: usize,
        arrivals: Vec<Arrival<'h>>,
        hit: &'h Hit,
        open: &mut BTreeMap<u32, Vec<Arrival<'h>>>,
        out: &mut Vec<Firing>,
    ) {
        let rules = self.rules.clone();
        let rule = &rules.correlations()[index];
        let mut spoke = false;
        for arrival in arrivals {
            let key = joined(&arrival.key);
            let found = self.states[index].add(rule, &key, arrival.entry.clone(), hit.received);
            let Some(found) = found else { continue };
            for &(above, place) in rules.feeds().of(rule.rule) {
                let parent = &rules.correlations()[above as usize];
                if (found.fresh.is_some() || !parent.kind.counts())
                    && let Some(arrival) = raised(rule, parent, place, &arrival, &found)
                {
                    open.entry(above).or_default().push(arrival);
                }
            }
            if let Some(count) = found.fresh
                && !spoke
                && !self.info(rule.rule).silent
            {
                spoke = true;
                let detection = self.correlation_detection(rule, &key, &arrival, found, count, hit);
                out.push(Firing { detection, matched: arrival.matched });
            }
        }
    }

    fn info(&self, rule: u32) -> &Arc<RuleInfo> {
        &self.rules.rules()[rule as usize]
    }

    fn event_detection(&self, rule: u32, entity: &Entity, hit: &Hit) -> Detection {
        let info = self.info(rule);
        Detection {
            id: stable_id(&[&info.id, &info.version, "event", &hit.id.to_string()]),
            rule: info.clone(),
            time: hit.time,
            event_id: hit.id,
            entity: entity.clone(),
            events: vec![hit.id],
            count: 1,
            why: Vec::new(),
        }
    }

    fn correlation_detection(
        &self,
        rule: &Correlation,
        key: &str,
        arrival: &Arrival<'_>,
        found: Found,
        count: u64,
        hit: &Hit,
    ) -> Detection {
        let info = self.info(rule.rule);
        let mut why: Vec<Reason> = vec![Reason {
            selection: "correlation".into(),
            field: counted(rule),
            test: test_of(rule),
            value: count.to_string(),
        }];
        for (name, part) in rule.group_by.iter().zip(&arrival.key) {
            why.push(Reason {
                selection: "correlation".into(),
                field: name.clone(),
                test: "is the same".into(),
                value: cut(&part.value),
            });
        }
        Detection {
            // The event that completes it says which window of the key it is.
            id: stable_id(&[&info.id, &info.version, key, &hit.id.to_string()]),
            rule: info.clone(),
            time: found.time,
            event_id: hit.id,
            entity: entity::of_group(&arrival.key).unwrap_or_else(|| arrival.entity.clone()),
            events: found.events,
            count,
            why,
        }
    }
}

fn entry(hit: &Hit, input: &Input) -> Entry {
    Entry {
        time: hit.time,
        id: hit.id,
        source: hit.source,
        reference: input.place,
        value: input.value,
        evidence: None,
    }
}

/// What a firing brings to the correlation above: its fields are those that it grouped by.
fn raised<'h>(
    below: &Correlation,
    above: &Correlation,
    place: u32,
    arrival: &Arrival<'h>,
    found: &Found,
) -> Option<Arrival<'h>> {
    let get = |name: &String| {
        let index = below.group_by.iter().position(|known| known == name)?;
        arrival.key.get(index)
    };
    let key = above.group_fields[place as usize].iter().map(|name| get(name).cloned());
    let key = key.collect::<Option<Vec<_>>>()?;
    let values = above.value_fields[place as usize].iter();
    let values = values.map(|name| Some(get(name)?.value.as_str())).collect::<Option<Vec<_>>>()?;
    let last = found.events.len().saturating_sub(EVIDENCE_BELOW_MAX);
    let entry = Entry {
        time: found.time,
        id: arrival.entry.id,
        source: arrival.entry.source,
        reference: place,
        value: value_of(above, &values)?,
        evidence: Some(found.events[last..].into()),
    };
    Some(Arrival { entry, key, matched: arrival.matched, entity: arrival.entity })
}

/// Values of one key as one text; lengths keep `a,bc` and `ab,c` apart.
fn joined(key: &[KeyPart]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for KeyPart { value, .. } in key {
        let _ = write!(text, "{}:{value};", value.len());
    }
    text
}

fn counted(rule: &Correlation) -> String {
    match &rule.kind {
        Kind::EventCount(_) => "event_count".into(),
        Kind::ValueCount(_) => {
            let names = rule.value_fields.first().map(|names| names.join(", "));
            format!("value_count of {}", names.unwrap_or_default())
        }
        Kind::Aggregate(aggregate, _) => {
            let names = rule.value_fields.first().map(|names| names.join(", "));
            format!("{aggregate} of {}", names.unwrap_or_default())
        }
        Kind::Temporal(_) => "temporal".into(),
        Kind::TemporalOrdered => "temporal_ordered".into(),
    }
}

fn test_of(rule: &Correlation) -> String {
    let list = |list: &[(Comparison, u64)]| {
        let tests: Vec<_> = list
            .iter()
            .map(|(comparison, count)| format!("{} {count}", comparison.sign()))
            .collect();
        tests.join(" and ")
    };
    let test = match &rule.kind {
        Kind::EventCount(tests) | Kind::ValueCount(tests) | Kind::Aggregate(_, tests) => {
            list(tests)
        }
        Kind::Temporal(_) => format!("{} rules together", rule.refs.len()),
        Kind::TemporalOrdered => format!("{} rules in order", rule.refs.len()),
    };
    format!("{test} within {}", span(rule.span))
}

fn span(span: Micros) -> String {
    for (unit, letter) in [(DAY, 'd'), (HOUR, 'h'), (MINUTE, 'm')] {
        if span % unit == 0 {
            return format!("{}{letter}", span / unit);
        }
    }
    format!("{}s", span / SECOND)
}
