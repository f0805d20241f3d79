//! Batches in, detections out: event rules and correlations together.
//!
//! Correlations work in event time and in the order in which events come, so the same events give
//! the same detections however they are cut into batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use pugmark_event::fields::{self, FieldId};
use pugmark_event::time::{DAY, HOUR, MINUTE, Micros, SECOND};
use pugmark_event::{Batch, Entity};

use crate::correlation::state::State;
use crate::correlation::window::{Entry, Found};
use crate::correlation::{Correlation, Kind, bits};
use crate::detection::{Detection, Reason, RuleInfo, cut, stable_hash, stable_id};
use crate::entity;
use crate::logsource::groups;
use crate::rule::{Comparison, Number};
use crate::ruleset::{Match, RuleSet};
use crate::view::{FieldPlan, View};

/// Events below a firing that the correlation above keeps as evidence.
const EVIDENCE_BELOW_MAX: usize = 20;

/// Runs a rule set over a stream of batches, in their order. It holds what correlations know.
#[derive(Debug)]
pub struct Detector {
    rules: Arc<RuleSet>,
    states: Vec<State>,
    /// Per rule, the correlations that refer to it and at which place.
    feeds: HashMap<u32, Vec<(usize, u32)>>,
    /// Fields that correlations read.
    names: Arc<[String]>,
    /// A rule whose detections count although it is silent.
    loud: Option<u32>,
}

/// What comes to a correlation: a match of an event rule, or a firing of a correlation below.
struct Input {
    entry: Entry,
    /// Values of the fields it groups by.
    key: Vec<(Option<FieldId>, String)>,
    /// The event rule that matched.
    matched: Option<u32>,
}

/// One row of the batch at hand.
struct Row<'r, 'b> {
    batch: &'r Batch,
    row: usize,
    time: Micros,
    id: i64,
    source: u64,
    fields: &'r RowFields<'b>,
}

impl Detector {
    /// A detector that has seen nothing.
    pub fn new(rules: Arc<RuleSet>) -> Self {
        let mut feeds: HashMap<u32, Vec<(usize, u32)>> = HashMap::new();
        let mut names: Vec<String> = Vec::new();
        for (index, correlation) in rules.correlations().iter().enumerate() {
            for (place, &rule) in (0u32..).zip(&correlation.refs) {
                feeds.entry(rule).or_default().push((index, place));
            }
            let fields = correlation.group_fields.iter().chain(&correlation.value_fields);
            for name in fields.flatten() {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
        }
        let states = rules.correlations().iter().map(|_| State::default()).collect();
        Self { rules, states, feeds, names: names.into(), loud: None }
    }

    /// A detector that gives detections of `rule` even if it only feeds a correlation.
    pub fn for_rule(rules: Arc<RuleSet>, rule: u32) -> Self {
        Self { loud: Some(rule), ..Self::new(rules) }
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
        let (rules, names) = (self.rules.clone(), self.names.clone());
        let matches = rules.matches(batch);
        let mut detections = Vec::new();
        if matches.is_empty() {
            return detections;
        }
        let fed = matches.iter().filter(|m| self.feeds.contains_key(&m.rule)).map(|m| m.row);
        let fields = RowFields::new(batch, &names, fed);
        for of_row in matches.chunk_by(|a, b| a.row == b.row) {
            self.row(batch, of_row, &fields, &mut detections);
        }
        detections
    }

    fn row(
        &mut self,
        batch: &Batch,
        matches: &[Match],
        fields: &RowFields<'_>,
        out: &mut Vec<Detection>,
    ) {
        let row = matches[0].row as usize;
        let (Some(&time), Some(&id)) = (batch.event_times().get(row), batch.ids().get(row)) else {
            return;
        };
        let source = source_hash(batch, row);
        let row = Row { batch, row, time, id, source, fields };
        // Correlations stand in an order in which each comes after those below it.
        let mut open: BTreeMap<usize, Vec<Input>> = BTreeMap::new();
        for found in matches {
            if self.speaks(found.rule) {
                out.push(self.event_detection(found.rule, &row));
            }
            for &(correlation, place) in self.feeds.get(&found.rule).into_iter().flatten() {
                let rule = &self.rules.correlations()[correlation];
                if let Some(input) = event_input(rule, place, found.rule, &row) {
                    open.entry(correlation).or_default().push(input);
                }
            }
        }
        while let Some((correlation, inputs)) = open.pop_first() {
            self.correlate(correlation, inputs, &row, &mut open, out);
        }
    }

    /// Gives the inputs of one row to a correlation; it fires at most once.
    fn correlate(
        &mut self,
        index: usize,
        inputs: Vec<Input>,
        row: &Row<'_, '_>,
        open: &mut BTreeMap<usize, Vec<Input>>,
        out: &mut Vec<Detection>,
    ) {
        let rules = self.rules.clone();
        let rule = &rules.correlations()[index];
        let received = row.batch.received_times().get(row.row).copied().unwrap_or(row.time);
        let mut spoke = false;
        for input in inputs {
            let key = joined(&input.key);
            let found = self.states[index].add(rule, &key, input.entry.clone(), received);
            let Some(found) = found else { continue };
            for &(above, place) in self.feeds.get(&rule.rule).into_iter().flatten() {
                let parent = &rules.correlations()[above];
                if (found.fresh || !parent.kind.counts())
                    && let Some(input) = firing_input(rule, parent, place, &input, &found)
                {
                    open.entry(above).or_default().push(input);
                }
            }
            if found.fresh && !spoke && self.speaks(rule.rule) {
                spoke = true;
                out.push(self.correlation_detection(rule, &key, &input, found, row));
            }
        }
    }

    fn speaks(&self, rule: u32) -> bool {
        !self.info(rule).silent || self.loud == Some(rule)
    }

    fn info(&self, rule: u32) -> &Arc<RuleInfo> {
        &self.rules.rules()[rule as usize]
    }

    fn event_detection(&self, rule: u32, row: &Row<'_, '_>) -> Detection {
        let info = self.info(rule);
        Detection {
            id: stable_id(&[&info.id, "event", &row.id.to_string()]),
            rule: info.clone(),
            time: row.time,
            event_id: row.id,
            entity: entity::of_event(info, row.batch, row.row),
            events: vec![row.id],
            count: 1,
            why: self.rules.explain(rule, row.batch, row.row),
        }
    }

    fn correlation_detection(
        &self,
        rule: &Correlation,
        key: &str,
        input: &Input,
        found: Found,
        row: &Row<'_, '_>,
    ) -> Detection {
        let info = self.info(rule.rule);
        let mut why: Vec<Reason> = vec![Reason {
            selection: "correlation".into(),
            field: counted(rule),
            test: test_of(rule),
            value: found.count.to_string(),
        }];
        for (name, (_, value)) in rule.group_by.iter().zip(&input.key) {
            why.push(Reason {
                selection: "correlation".into(),
                field: name.clone(),
                test: "is the same".into(),
                value: cut(value),
            });
        }
        if let Some(matched) = input.matched {
            why.extend(self.rules.explain(matched, row.batch, row.row));
        }
        let entity = entity::of_group(&input.key).unwrap_or_else(|| match input.matched {
            Some(matched) => entity::of_event(self.info(matched), row.batch, row.row),
            None => Entity::none(),
        });
        Detection {
            id: stable_id(&[&info.id, key, &row.id.to_string()]),
            rule: info.clone(),
            time: found.time,
            event_id: row.id,
            entity,
            events: found.events,
            count: found.count,
            why,
        }
    }
}

/// A match of an event rule as input. Events without a field that the rule groups by (or counts)
/// belong to no key and are left out.
fn event_input(rule: &Correlation, place: u32, matched: u32, row: &Row<'_, '_>) -> Option<Input> {
    let mut key = Vec::with_capacity(rule.group_by.len());
    for name in &rule.group_fields[place as usize] {
        key.push(row.fields.get(row.row, name)?);
    }
    let mut values = Vec::new();
    for name in &rule.value_fields[place as usize] {
        values.push(row.fields.get(row.row, name)?.1);
    }
    let value = value_of(rule, &values)?;
    let entry = Entry {
        time: row.time,
        id: row.id,
        source: row.source,
        reference: place,
        value,
        evidence: None,
    };
    Some(Input { entry, key, matched: Some(matched) })
}

/// A firing as input of the correlation above: its fields are those that it grouped by.
fn firing_input(
    below: &Correlation,
    above: &Correlation,
    place: u32,
    input: &Input,
    found: &Found,
) -> Option<Input> {
    let get = |name: &String| {
        let index = below.group_by.iter().position(|known| known == name)?;
        input.key.get(index).cloned()
    };
    let key = above.group_fields[place as usize].iter().map(get).collect::<Option<Vec<_>>>()?;
    let values = above.value_fields[place as usize].iter().map(get).collect::<Option<Vec<_>>>()?;
    let values: Vec<String> = values.into_iter().map(|(_, value)| value).collect();
    let last = found.events.len().saturating_sub(EVIDENCE_BELOW_MAX);
    let entry = Entry {
        time: found.time,
        id: input.entry.id,
        source: input.entry.source,
        reference: place,
        value: value_of(above, &values)?,
        evidence: Some(found.events[last..].into()),
    };
    Some(Input { entry, key, matched: input.matched })
}

/// What the correlation counts of an event; `None` when it adds numbers and this is none.
fn value_of(rule: &Correlation, values: &[String]) -> Option<u64> {
    match (&rule.kind, values) {
        (Kind::Aggregate(..), [value]) => Some(bits(Number::read(value)?.float())),
        (_, []) => Some(0),
        (_, values) => Some(stable_hash(&values.iter().map(String::as_str).collect::<Vec<_>>())),
    }
}

fn source_hash(batch: &Batch, row: usize) -> u64 {
    use arrow::array::Array;
    let source = batch.text(fields::EVENT_SOURCE).filter(|column| column.is_valid(row));
    source.map_or(0, |column| stable_hash(&[column.value(row)]))
}

/// Values of one key as one text; lengths keep `a,bc` and `ab,c` apart.
fn joined(key: &[(Option<FieldId>, String)]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for (_, value) in key {
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

/// The fields that correlations read, over the rows that feed them.
struct RowFields<'b> {
    names: &'b [String],
    /// Per product: its name and the view.
    views: Vec<(&'b str, View<'b>)>,
    /// Row of the batch to view and row of the view.
    rows: HashMap<usize, (usize, usize)>,
}

impl<'b> RowFields<'b> {
    fn new(batch: &'b Batch, names: &'b [String], fed: impl Iterator<Item = u32>) -> Self {
        let fed: hashbrown::HashSet<u32> = fed.collect();
        let mut views: Vec<(&str, View<'_>)> = Vec::new();
        let mut rows = HashMap::new();
        if fed.is_empty() || names.is_empty() {
            return Self { names, views, rows };
        }
        for (source, mut of_source) in groups(batch) {
            of_source.retain(|row| fed.contains(row));
            if of_source.is_empty() {
                continue;
            }
            for (at, &row) in of_source.iter().enumerate() {
                rows.insert(row as usize, (views.len(), at));
            }
            let plan = FieldPlan::new(source.product, names.to_vec());
            views.push((source.product, View::new(batch, of_source, &plan)));
        }
        Self { names, views, rows }
    }

    /// The value of a field, with what the registry calls it.
    fn get(&self, row: usize, name: &str) -> Option<(Option<FieldId>, String)> {
        let &(view, at) = self.rows.get(&row)?;
        let index = self.names.iter().position(|known| known == name)?;
        let (product, view) = &self.views[view];
        let value = view.columns[index].at(at).filter(|v| !v.null && !v.text.is_empty())?;
        Some((fields::resolve(product, name), value.text.clone().into_owned()))
    }
}
