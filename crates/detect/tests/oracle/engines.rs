//! Both engines with the same rules, and the comparison of what they say.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use arrow::array::Array;
use pugmark_detect::{RuleSet, RuleSource, load};
use pugmark_event::fields::{self, Kind};
use pugmark_event::{Batch, Value, time};
use rsigma_eval::Engine;
use rsigma_eval::event::JsonEvent;
use rsigma_parser::{Detection, SigmaRule};
use serde_json::{Map, Value as Json};

use crate::{files, known};

/// Product, category and service.
pub(crate) type Source = [String; 3];

pub(crate) struct Engines {
    pub(crate) set: RuleSet,
    pub(crate) rules: Vec<SigmaRule>,
    /// Rules of the other engine by log source.
    others: HashMap<Source, Other>,
    pub(crate) tally: Tally,
}

/// What was compared.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) events: usize,
    pub(crate) matches: usize,
    /// Differences that are faults of the other engine.
    pub(crate) known: usize,
    pub(crate) differences: Vec<String>,
    /// Rules that matched something.
    pub(crate) fired: BTreeSet<String>,
}

/// The other engine with the rules of one log source.
struct Other {
    engine: Engine,
    /// The names that its rules use, as the parser writes them and as events have them.
    names: Vec<(String, String)>,
    keywords: bool,
}

impl Engines {
    /// All rules of the community that need no placeholders.
    pub(crate) fn new(shared: &Path) -> Self {
        let mut sources = Vec::new();
        let mut rules = Vec::new();
        for folder in ["rules", "rules-emerging-threats", "rules-threat-hunting"] {
            for path in files::below(&shared.join("sigma").join(folder), &["yml"]) {
                let text = std::fs::read_to_string(&path).unwrap();
                if text.contains("|expand") {
                    continue;
                }
                rules.extend(rsigma_parser::parse_sigma_yaml(&text).unwrap().rules);
                sources.push(RuleSource { path: path.display().to_string(), text });
            }
        }
        Self::of(&sources, rules)
    }

    pub(crate) fn of(sources: &[RuleSource], rules: Vec<SigmaRule>) -> Self {
        let loaded = load(sources);
        assert_eq!(loaded.problems, []);
        let (set, problems) = RuleSet::compile(loaded.rules);
        assert_eq!(problems, []);
        Self { set, rules, others: HashMap::new(), tally: Tally::default() }
    }

    /// Runs both over every row.
    pub(crate) fn compare(&mut self, what: &str, batch: &Batch) {
        let mut ours: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); batch.rows()];
        for found in self.set.matches(batch) {
            ours[found.row as usize].insert(&self.set.rules()[found.rule as usize].id);
        }
        let tally = &mut self.tally;
        for (row, ours) in ours.into_iter().enumerate() {
            tally.events += 1;
            tally.matches += ours.len();
            tally.fired.extend(ours.iter().map(ToString::to_string));
            let source = source(batch, row);
            let other = self
                .others
                .entry(source.clone())
                .or_insert_with(|| Other::new(&self.rules, &source));
            let event = other.event(batch, row, &source[0]);
            let theirs = other.matches(&event);
            let theirs: BTreeSet<&str> = theirs.iter().map(String::as_str).collect();
            for id in ours.symmetric_difference(&theirs) {
                let here = ours.contains(id);
                let rule = self.rules.iter().find(|rule| rule.id.as_deref() == Some(*id)).unwrap();
                if known::refers_to_array(rule, &event) {
                    tally.known += 1;
                    continue;
                }
                let side = if here { "here" } else { "there" };
                let mut read = event.clone();
                read.remove("event.original");
                read.retain(|name, _| mentions(rule, name));
                tally.differences.push(format!(
                    "{what}: only {side}: {id} {}: {}",
                    rule.title,
                    Json::Object(read)
                ));
            }
        }
    }

    /// Says what was counted; fails on a difference that is not listed.
    #[track_caller]
    pub(crate) fn finish(self, matches_min: usize) {
        let Tally { events, matches, known, differences, fired } = self.tally;
        eprintln!(
            "{events} events, {} rules, {matches} matches of {} rules, {known} known and {} other differences",
            self.rules.len(),
            fired.len(),
            differences.len(),
        );
        assert!(matches >= matches_min, "only {matches} matches");
        let shown: Vec<_> = differences.iter().take(40).collect();
        assert!(differences.is_empty(), "{} differences: {shown:#?}", differences.len());
    }
}

/// True when a rule reads this field.
fn mentions(rule: &SigmaRule, name: &str) -> bool {
    let mut names = BTreeSet::new();
    for detection in rule.detection.named.values() {
        field_names(detection, &mut names);
    }
    names.contains(name)
}

/// The log source of an event.
fn source(batch: &Batch, row: usize) -> Source {
    [fields::PRODUCT, fields::CATEGORY, fields::SERVICE].map(|field| {
        let column = batch.text(field).filter(|column| column.is_valid(row));
        column.map(|column| column.value(row).to_string()).unwrap_or_default()
    })
}

/// True when a rule names no more than the event has, and nothing else.
fn reads(rule: &SigmaRule, [product, category, service]: &Source) -> bool {
    let same = |rule: &Option<String>, event: &String| rule.as_ref().is_none_or(|r| r == event);
    same(&rule.logsource.product, product)
        && (same(&rule.logsource.category, category) || implied(rule, category))
        && same(&rule.logsource.service, service)
}

/// Every registry event is a `registry_event`, and a start of classic PowerShell the start of a
/// provider, also where it has a category of its own.
fn implied(rule: &SigmaRule, category: &str) -> bool {
    match rule.logsource.category.as_deref() {
        Some("registry_event") => category.starts_with("registry_"),
        Some("ps_classic_provider_start") => category == "ps_classic_start",
        _ => false,
    }
}

impl Other {
    fn new(rules: &[SigmaRule], source: &Source) -> Self {
        let mut engine = Engine::new();
        let mut names = BTreeSet::new();
        let mut keywords = false;
        let read: Vec<&SigmaRule> = rules.iter().filter(|rule| reads(rule, source)).collect();
        for rule in &read {
            for detection in rule.detection.named.values() {
                keywords |= field_names(detection, &mut names);
            }
        }
        let mended: Vec<SigmaRule> = read.iter().map(|rule| known::mended(rule)).collect();
        let refused = engine.add_rules(&mended);
        assert!(refused.is_empty(), "{refused:?}");
        let names = names
            .into_iter()
            .map(|name| (name.replace("\\[", "[").replace("\\]", "]"), name))
            .map(|(native, written)| (written, native))
            .collect();
        Self { engine, names, keywords }
    }

    fn matches(&self, event: &Map<String, Json>) -> Vec<String> {
        let event = Json::Object(event.clone());
        let results = self.engine.evaluate(&JsonEvent::borrow(&event));
        results.into_iter().filter_map(|result| result.header.rule_id).collect()
    }

    /// What the columns show under the names that rules use. Words without a field are searched in
    /// the record here, in all texts there: it gets the record as text and, where it is JSON, as
    /// values too.
    fn event(&self, batch: &Batch, row: usize, product: &str) -> Map<String, Json> {
        let attributes: Vec<(&str, Value<'_>)> = batch.attributes().row(row).collect();
        let mut event = Map::new();
        for (written, native) in &self.names {
            if let Some(value) = shown(batch, row, product, native, &attributes) {
                event.insert(written.clone(), value);
            }
        }
        if self.keywords {
            let raw = String::from_utf8_lossy(batch.original(row)).into_owned();
            let parsed = serde_json::from_str::<Json>(&raw).unwrap_or_default();
            event.insert("event.original".into(), Json::Array(vec![raw.into(), parsed]));
        }
        event
    }
}

/// The value that a rule's name stands for: an attribute of exactly that name, else a column, else
/// an attribute of that name in other case.
fn shown(
    batch: &Batch,
    row: usize,
    product: &str,
    name: &str,
    attributes: &[(&str, Value<'_>)],
) -> Option<Json> {
    let exact = attributes.iter().rfind(|(known, _)| *known == name);
    if let Some((_, value)) = exact {
        return Some(json(*value));
    }
    if let Some(value) = fields::resolve(product, name).and_then(|id| column(batch, row, id)) {
        return Some(value);
    }
    let folded = name.to_lowercase();
    attributes.iter().find(|(known, _)| known.to_lowercase() == folded).map(|(_, v)| json(*v))
}

fn column(batch: &Batch, row: usize, id: pugmark_event::FieldId) -> Option<Json> {
    match id.field().kind {
        Kind::Text | Kind::Ip => {
            let column = batch.text(id).filter(|column| column.is_valid(row))?;
            Some(column.value(row).into())
        }
        Kind::Long => {
            let column = batch.long(id).filter(|column| column.is_valid(row))?;
            Some(column.value(row).into())
        }
        Kind::Time if id == fields::EVENT_TIME => {
            Some(time::format(batch.event_times()[row]).into())
        }
        Kind::Time => Some(time::format(batch.received_times()[row]).into()),
        Kind::Bytes => None,
    }
}

fn json(value: Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Text(text) => text.into(),
        Value::Bool(bool) => bool.into(),
        // What would not be written again as it was is text.
        Value::Number(text) => serde_json::from_str::<Json>(text)
            .ok()
            .filter(|number| number.to_string() == text)
            .unwrap_or_else(|| text.into()),
        Value::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

/// Adds the fields that a detection reads; true when it has words without a field.
pub(crate) fn field_names(detection: &Detection, names: &mut BTreeSet<String>) -> bool {
    match detection {
        Detection::AllOf(items) => {
            let mut keywords = false;
            for item in items {
                match &item.field.name {
                    Some(name) => {
                        names.insert(name.clone());
                        let other =
                            item.field.modifiers.contains(&rsigma_parser::Modifier::FieldRef);
                        let values = item.values.iter().filter(|_| other);
                        names.extend(values.filter_map(|value| match value {
                            rsigma_parser::SigmaValue::String(text) => text.as_plain(),
                            _ => None,
                        }));
                    }
                    None => keywords = true,
                }
            }
            keywords
        }
        Detection::AnyOf(parts) | Detection::And(parts) => {
            parts.iter().fold(false, |keywords, part| field_names(part, names) | keywords)
        }
        Detection::Keywords(_) => true,
        other => panic!("no rule of the community has {other:?}"),
    }
}

/// A rule's log source as an event has it.
pub(crate) fn source_of(rule: &SigmaRule) -> Source {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let source = &rule.logsource;
    [part(&source.product), part(&source.category), part(&source.service)]
}
