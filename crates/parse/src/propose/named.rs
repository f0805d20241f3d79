//! Records with native names: what names and values say, and what tells the records from those of
//! other products.

use std::collections::{BTreeMap, BTreeSet};

use pugmark_event::time::Micros;
use pugmark_event::{FieldId, fields};

use super::names::{self, Shape};
use super::{Field, yaml};
use crate::found::{Found, Val};

/// Native names that are looked at.
const NAMES_MAX: usize = 512;
/// Longest value that goes into a pack, in bytes.
const VALUE_BYTES_MAX: usize = 64;
/// Different values of a name that are remembered.
const VALUES_MAX: usize = 64;
/// Tables for the outcome, and names that hold the time.
const TABLES_MAX: usize = 6;
const TIMES_MAX: usize = 4;
/// Of this share of the values a shape is the name's; a value that does not fit stays where it is.
const SHAPE_SHARE: f64 = 0.5;
/// Conditions that tell records apart.
const APPLIES_MAX: usize = 12;
const HAS_MAX: usize = 3;
const IS_MAX: usize = 2;
/// What HTTP says of any answer, so that codes that were not seen are known as well.
const HTTP_CODES: &[&str] = &[
    "200", "201", "202", "204", "206", "301", "302", "303", "304", "307", "308", "400", "401",
    "403", "404", "405", "409", "413", "422", "429", "499", "500", "502", "503", "504",
];

/// What a value says of its event.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Says {
    pub(super) outcome: Option<&'static str>,
    pub(super) category: Option<&'static str>,
}

/// What values say.
pub(super) type Rows = BTreeMap<String, Says>;

/// What is known of one native name.
#[derive(Debug, Default)]
struct Stat {
    records: Vec<usize>,
    shapes: BTreeMap<Shape, usize>,
    /// Values that are short, as many as are remembered.
    values: BTreeSet<String>,
    /// There were more.
    more: bool,
    example: String,
}

impl Stat {
    fn add(&mut self, record: usize, text: &str, received: Micros) {
        if self.records.last() != Some(&record) {
            self.records.push(record);
        }
        if text.is_empty() || text == "-" {
            return;
        }
        *self.shapes.entry(Shape::of(text, received)).or_default() += 1;
        if self.example.is_empty() {
            self.example = yaml::shown(text);
        }
        self.more |= text.len() > VALUE_BYTES_MAX || self.values.len() == VALUES_MAX;
        if text.len() <= VALUE_BYTES_MAX && self.values.len() < VALUES_MAX {
            self.values.insert(text.to_string());
        }
    }

    /// The shape that nearly all values have.
    fn shape(&self) -> Shape {
        let all: usize = self.shapes.values().sum();
        let best = self.shapes.iter().max_by_key(|(_, count)| **count);
        match best {
            Some((shape, count)) if *count as f64 >= SHAPE_SHARE * all as f64 => *shape,
            _ => Shape::Text,
        }
    }

    fn meets(&self, other: &Stat) -> bool {
        self.records.iter().any(|record| other.records.binary_search(record).is_ok())
    }
}

/// The native names of all records.
#[derive(Debug, Default)]
pub(super) struct Names {
    stats: BTreeMap<String, Stat>,
    /// The format knows the field by itself.
    known: BTreeMap<String, Stat>,
}

impl Names {
    /// Counts what is in a record. Records come in their order.
    pub(super) fn add(&mut self, record: usize, found: &Found<'_>, received: Micros) {
        for pair in &found.pairs {
            let is_text = !matches!(pair.value, Val::Null | Val::Json(_));
            if is_text {
                add(&mut self.stats, &pair.name, record, pair.value.text(), received);
            }
        }
        for (id, value) in &found.fields {
            add(&mut self.known, id.name(), record, value.text(), received);
        }
    }

    /// The fields that names stand for, those that the registry knows already among them.
    pub(super) fn fields(&self, product: &str) -> Vec<Field> {
        let mut taken: BTreeMap<FieldId, Vec<&Stat>> = BTreeMap::new();
        for (name, stat) in &self.known {
            if let Some(id) = fields::by_ecs_name(name) {
                taken.entry(id).or_default().push(stat);
            }
        }
        let mut candidates: Vec<(FieldId, f64, &String, &Stat)> = self
            .stats
            .iter()
            .filter_map(|(name, stat)| {
                let known = fields::resolve(product, name).map(|id| (id, 1.0));
                let (id, sure) = known.or_else(|| names::field_of(name, stat.shape()))?;
                let is_there = !stat.shapes.is_empty() && !fields::SYSTEM.contains(&id);
                is_there.then_some((id, sure, name, stat))
            })
            .collect();
        let rank = |name: &str| (name.len(), name.to_string());
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| rank(a.2).cmp(&rank(b.2))));
        let mut out = Vec::new();
        for (id, confidence, name, stat) in candidates {
            let others = taken.entry(id).or_default();
            if others.iter().any(|other| other.meets(stat)) {
                continue;
            }
            others.push(stat);
            let (field, example) = (id.name().to_string(), stat.example.clone());
            let shape = stat.shape();
            out.push(Field { native: name.clone(), field, shape, confidence, example });
        }
        out
    }

    /// Names that hold the time of records in which the format found none.
    pub(super) fn times(&self, untimed: &[usize]) -> Vec<&str> {
        let says = |name: &str| {
            let bare = names::bare(name);
            let ends = ["at", "on", "ts", "when", "start", "published", "created"];
            (bare.contains("time") || bare.contains("date"))
                || bare == "t"
                || ends.iter().any(|end| bare.ends_with(end))
        };
        let mut times: Vec<(&str, usize)> = self
            .stats
            .iter()
            .filter(|(name, stat)| says(name) && stat.shape() == Shape::Time)
            .map(|(name, stat)| {
                let there = |record: &&usize| stat.records.binary_search(record).is_ok();
                (name.as_str(), untimed.iter().filter(there).count())
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        times.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), name.len()));
        times.into_iter().map(|(name, _)| name).take(TIMES_MAX).collect()
    }

    /// For names whose values say how something ended: the values, in lower case, and what they
    /// say.
    pub(super) fn tables(&self) -> Vec<(&str, Rows)> {
        let mut tables: Vec<(usize, &str, Rows)> = Vec::new();
        for (name, stat) in self.stats.iter().chain(&self.known) {
            let shape = stat.shape();
            let code = fields::resolve("", name) == Some(fields::HTTP_STATUS)
                || names::field_of(name, shape).is_some_and(|(id, _)| id == fields::HTTP_STATUS);
            if code && shape == Shape::Number && stat.values.iter().all(|value| is_http(value)) {
                let seen = stat.values.iter().map(String::as_str);
                let rows = HTTP_CODES.iter().copied().chain(seen);
                let rows = rows.map(|code| {
                    (code.to_string(), Says { outcome: Some(of_http(code)), category: None })
                });
                tables.push((usize::MAX, name, rows.collect()));
                continue;
            }
            let Some(rank) = names::outcome_rank(name).filter(|_| shape != Shape::Time) else {
                continue;
            };
            let row = |value: &String| {
                let words = names::words(value);
                let says = Says {
                    outcome: names::outcome_of(name, value),
                    category: names::category(words.iter().map(String::as_str)),
                };
                (says != Says::default()).then(|| (value.to_ascii_lowercase(), says))
            };
            let rows: Rows = stat.values.iter().filter_map(row).collect();
            if !rows.is_empty() {
                tables.push((rank, name, rows));
            }
        }
        tables.sort_by_key(|(rank, name, _)| (*rank, name.len()));
        tables.into_iter().map(|(_, name, rows)| (name, rows)).take(TABLES_MAX).collect()
    }

    /// What tells these records of one format from those of others: sets of names that are there,
    /// and of values that they have.
    pub(super) fn telling(&self, records: &[usize]) -> Vec<Telling<'_>> {
        let mut rest: Vec<usize> = records.to_vec();
        let mut out = Vec::new();
        while !rest.is_empty() && out.len() < APPLIES_MAX {
            let among = |stat: &Stat| {
                rest.iter().filter(|record| stat.records.binary_search(record).is_ok()).count()
            };
            // Names that most records have, the longest first: few others have those.
            let best = self
                .stats
                .iter()
                .filter(|(name, _)| is_own(name))
                .map(|(name, stat)| (among(stat), name.len(), name))
                .max();
            let Some((count, _, name)) = best.filter(|(count, ..)| *count > 0) else { break };
            let stat = &self.stats[name];
            let these: Vec<usize> =
                rest.iter().copied().filter(|r| stat.records.binary_search(r).is_ok()).collect();
            out.push(self.telling_of(&these));
            rest.retain(|record| these.binary_search(record).is_err());
            debug_assert_eq!(these.len(), count);
        }
        if !rest.is_empty() {
            out.push(Telling::default());
        }
        out
    }

    fn telling_of(&self, records: &[usize]) -> Telling<'_> {
        let all = |stat: &&Stat| records.iter().all(|r| stat.records.binary_search(r).is_ok());
        let mut has: Vec<&str> = self
            .stats
            .iter()
            .filter(|(name, stat)| is_own(name) && all(stat))
            .map(|(name, _)| name.as_str())
            .collect();
        has.sort_by_key(|name| std::cmp::Reverse(name.len()));
        has.truncate(HAS_MAX);
        let is = self
            .stats
            .iter()
            .filter(|(name, stat)| {
                let fits =
                    !stat.more && stat.values.len() == 1 && name.len() <= names::NAME_BYTES_MAX;
                names::is_telling(name) && fits && all(stat)
            })
            .filter_map(|(name, stat)| Some((name.as_str(), stat.values.first()?.as_str())))
            .filter(|(_, value)| !value.contains('*'))
            .take(IS_MAX)
            .collect();
        Telling { has, is }
    }
}

fn add(
    stats: &mut BTreeMap<String, Stat>,
    name: &str,
    record: usize,
    text: &str,
    received: Micros,
) {
    if name.is_empty() || name.len() > names::NAME_BYTES_MAX {
        return;
    }
    if !stats.contains_key(name) && stats.len() < NAMES_MAX {
        stats.insert(name.to_string(), Stat::default());
    }
    if let Some(stat) = stats.get_mut(name) {
        stat.add(record, text, received);
    }
}

/// True for a name that few products use.
fn is_own(name: &str) -> bool {
    const OF_FORMATS: &[&str] = &["syslog.", "cisco.", "cef.", "leef."];
    !names::COMMON.contains(&names::bare(name).as_str())
        && !OF_FORMATS.iter().any(|start| name.starts_with(start))
}

fn is_http(value: &str) -> bool {
    value.parse::<u16>().is_ok_and(|code| (100..600).contains(&code))
}

fn of_http(code: &str) -> &'static str {
    if code.starts_with(['4', '5']) { names::FAILURE } else { names::SUCCESS }
}

/// Names and values that tell records from others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Telling<'n> {
    pub(super) has: Vec<&'n str>,
    pub(super) is: Vec<(&'n str, &'n str)>,
}

impl Telling<'_> {
    /// One name alone may be chance.
    pub(super) fn is_enough(&self) -> bool {
        self.has.len() + 2 * self.is.len() > 1
    }
}
