//! What rules make of events before anything is remembered.
//!
//! A pure function of batch and rules, so batches may be looked at in any order, on any thread, and
//! by whoever reads stored events. [`Detector::follow`](crate::Detector::follow) takes the hits in
//! the order of their ids.

use std::collections::BTreeMap;

use arrow::array::Array;
use hashbrown::{HashMap, HashSet};
use pugmark_event::entity::EntityKind;
use pugmark_event::fields::{self, FieldId};
use pugmark_event::time::Micros;
use pugmark_event::{Batch, Entity};
use serde::{Deserialize, Serialize};

use crate::correlation::{Correlation, Kind, bits};
use crate::cost::Costs;
use crate::detection::stable_hash;
use crate::entity;
use crate::logsource::groups;
use crate::rule::Number;
use crate::ruleset::{Match, RuleSet};
use crate::view::{FieldPlan, View};

/// An event that rules matched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// Id of the event.
    pub id: i64,
    /// When it happened.
    pub time: Micros,
    /// When it was received.
    pub received: Micros,
    /// Its row in the batch.
    pub row: u32,
    /// Hash of the source it came from.
    pub(crate) source: u64,
    /// The rules, in their order.
    pub(crate) matched: Vec<Matched>,
}

/// A rule that matched an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Matched {
    /// Index into [`RuleSet::rules`].
    pub(crate) rule: u32,
    /// Who it is about, where a detection may ask.
    pub(crate) entity: Entity,
    /// What it gives to correlations.
    pub(crate) inputs: Vec<Input>,
}

/// What one event gives to one correlation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Input {
    /// Index into the correlations of the rule set.
    pub(crate) correlation: u32,
    /// Which of the rules that the correlation refers to.
    pub(crate) place: u32,
    /// Values of the fields that the correlation groups by.
    pub(crate) key: Vec<KeyPart>,
    /// Hash of the counted value, or the [`bits`] of the number.
    pub(crate) value: u64,
}

/// Value of one field that a correlation groups by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyPart {
    /// What the field names, if it names an entity.
    pub(crate) kind: Option<EntityKind>,
    pub(crate) value: String,
}

/// Which correlations each rule feeds, and what they read.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    /// Per rule, the correlations that refer to it and at which place.
    of_rule: HashMap<u32, Vec<(u32, u32)>>,
    /// Rules that feed a correlation which is about what its events are about.
    asked_whom: HashSet<u32>,
    /// Fields that correlations read.
    names: Vec<String>,
}

impl Feeds {
    pub(crate) fn new(correlations: &[Correlation]) -> Self {
        let mut feeds = Self::default();
        for (index, correlation) in (0u32..).zip(correlations) {
            for (place, &rule) in (0u32..).zip(&correlation.refs) {
                feeds.of_rule.entry(rule).or_default().push((index, place));
                if correlation.group_by.is_empty() {
                    feeds.asked_whom.insert(rule);
                }
            }
            let fields = correlation.group_fields.iter().chain(&correlation.value_fields);
            for name in fields.flatten() {
                if !feeds.names.contains(name) {
                    feeds.names.push(name.clone());
                }
            }
        }
        feeds
    }

    /// Correlations that refer to a rule, and at which place.
    pub(crate) fn of(&self, rule: u32) -> &[(u32, u32)] {
        self.of_rule.get(&rule).map_or(&[], Vec::as_slice)
    }

    /// Names of the fields that correlations read.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }
}

impl Hit {
    /// A hash of the source that the event came from.
    pub fn source(&self) -> u64 {
        self.source
    }
}

impl RuleSet {
    /// The events of a batch that rules matched, in the order of the rows.
    pub fn hits(&self, batch: &Batch) -> Vec<Hit> {
        self.hits_measured(batch, &mut Costs::off())
    }

    /// The same, and what each rule costs.
    pub fn hits_measured(&self, batch: &Batch, costs: &mut Costs) -> Vec<Hit> {
        let matches = self.matches_measured(batch, costs);
        if matches.is_empty() {
            return Vec::new();
        }
        let fed = matches.iter().filter(|m| !self.feeds().of(m.rule).is_empty()).map(|m| m.row);
        let fields = RowFields::new(batch, self.feeds().names(), fed);
        let of_row = matches.chunk_by(|a, b| a.row == b.row);
        of_row.filter_map(|matches| self.hit(batch, matches, &fields)).collect()
    }

    /// The correlations that an event may complete, also through others, as indices into
    /// [`RuleSet::rules`], each with how far from the event in time its windows reach.
    pub fn reached(&self, hit: &Hit) -> Vec<(u32, Micros)> {
        let inputs = hit.matched.iter().flat_map(|matched| &matched.inputs);
        let mut open: BTreeMap<u32, Micros> = inputs.map(|input| (input.correlation, 0)).collect();
        let mut reached = Vec::new();
        // Correlations stand in an order in which each comes after those below it.
        while let Some((index, below)) = open.pop_first() {
            let correlation = &self.correlations()[index as usize];
            let reach = below.saturating_add(correlation.span);
            reached.push((correlation.rule, reach));
            for &(above, _) in self.feeds().of(correlation.rule) {
                let known = open.entry(above).or_default();
                *known = reach.max(*known);
            }
        }
        reached
    }

    fn hit(&self, batch: &Batch, matches: &[Match], fields: &RowFields<'_>) -> Option<Hit> {
        let row = matches.first()?.row as usize;
        let (&time, &id) = (batch.event_times().get(row)?, batch.ids().get(row)?);
        let received = batch.received_times().get(row).copied().unwrap_or(time);
        let matched = matches.iter().map(|m| self.matched(m.rule, batch, row, fields)).collect();
        Some(Hit { id, time, received, row: row as u32, source: source_hash(batch, row), matched })
    }

    fn matched(&self, rule: u32, batch: &Batch, row: usize, fields: &RowFields<'_>) -> Matched {
        let info = &self.infos[rule as usize];
        let entity = match !info.silent || self.feeds().asked_whom.contains(&rule) {
            true => entity::of_event(info, batch, row),
            false => Entity::none(),
        };
        let inputs = self.feeds().of(rule).iter().filter_map(|&(correlation, place)| {
            let asked = &self.correlations()[correlation as usize];
            let (key, value) = input(asked, place, row, fields)?;
            Some(Input { correlation, place, key, value })
        });
        Matched { rule, entity, inputs: inputs.collect() }
    }
}

/// Key and counted value of an event. Events without a field that the rule groups by (or counts)
/// belong to no key and are left out.
fn input(
    rule: &Correlation,
    place: u32,
    row: usize,
    fields: &RowFields<'_>,
) -> Option<(Vec<KeyPart>, u64)> {
    let part = |name: &String| {
        let (field, value) = fields.get(row, name)?;
        let kind = field.and_then(|field| field.field().role).map(EntityKind::from);
        Some(KeyPart { kind, value: value.to_string() })
    };
    let key = rule.group_fields[place as usize].iter().map(part).collect::<Option<Vec<_>>>()?;
    let names = rule.value_fields[place as usize].iter();
    let values = names.map(|name| Some(fields.get(row, name)?.1)).collect::<Option<Vec<_>>>()?;
    Some((key, value_of(rule, &values)?))
}

/// What the correlation counts of an event; `None` when it adds numbers and this is none.
pub(crate) fn value_of(rule: &Correlation, values: &[&str]) -> Option<u64> {
    match (&rule.kind, values) {
        (Kind::Aggregate(..), [value]) => Some(bits(Number::read(value)?.float())),
        (_, []) => Some(0),
        (_, values) => Some(stable_hash(values)),
    }
}

fn source_hash(batch: &Batch, row: usize) -> u64 {
    let source = batch.text(fields::EVENT_SOURCE).filter(|column| column.is_valid(row));
    source.map_or(0, |column| stable_hash(&[column.value(row)]))
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
        let fed: HashSet<u32> = fed.collect();
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
    fn get(&self, row: usize, name: &str) -> Option<(Option<FieldId>, &str)> {
        let &(view, at) = self.rows.get(&row)?;
        let index = self.names.iter().position(|known| known == name)?;
        let (product, view) = &self.views[view];
        let value = view.columns[index].at(at).filter(|v| !v.null && !v.text.is_empty())?;
        Some((fields::resolve(product, name), value.text.as_ref()))
    }
}
