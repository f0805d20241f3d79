//! What of stored events a rule set looks at, so that nothing else need be read.

use std::collections::BTreeSet;

use pugmark_event::fields::{self, FieldId};

use crate::entity;
use crate::logsource::events_of;
use crate::required::required;
use crate::rule::{EventRule, KEYWORD_FIELD, Node, Pred};
use crate::ruleset::RuleSet;

/// Texts that are looked for one by one; more of them cost more than they save.
const RECORD_PARTS_MAX: usize = 8;
/// Shorter texts are nearly everywhere.
const RECORD_PART_BYTES_MIN: usize = 3;

/// What rules look at in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Fields that decide which rules match.
    pub matching: Vec<FieldId>,
    /// Fields that a [`Hit`](crate::Hit) needs beyond those.
    pub hits: Vec<FieldId>,
    /// Names of attributes, in ASCII lower case; `None` where it may be any.
    pub attributes: Option<BTreeSet<String>>,
    /// Texts of which the record of every event that matches has one: ASCII, letters in lower case,
    /// without quotes and backslashes. `None` where some rule does not look at the record, or for
    /// nothing that must be there.
    pub record_parts: Option<BTreeSet<String>>,
    /// Products, categories and services: an event that has none of a list matches no rule. `None`
    /// where some rule reads events of any.
    pub sources: [Option<BTreeSet<String>>; 3],
}

impl RuleSet {
    /// What all rules of the set together look at.
    pub fn needs(&self) -> Needs {
        let names: BTreeSet<&str> = self.field_names().collect();
        let mut matching =
            BTreeSet::from([fields::EVENT_ID, fields::EVENT_TIME, fields::RECEIVED_TIME]);
        matching.extend([fields::PRODUCT, fields::CATEGORY, fields::SERVICE]);
        matching.extend(names.iter().flat_map(|name| fields::meanings(name)));
        let mut hits = BTreeSet::from([fields::EVENT_SOURCE, fields::EVENT_CATEGORY]);
        hits.extend(entity::fields());
        let read = self.feeds().names().iter();
        hits.extend(read.flat_map(|name| fields::meanings(name)));
        let all = names.iter().copied().chain(self.feeds().names().iter().map(String::as_str));
        // Names are compared with the letters of all languages folded, columns with ASCII's.
        let lower = |name: &str| name.is_ascii().then(|| name.to_ascii_lowercase());
        Needs {
            hits: hits.difference(&matching).copied().collect(),
            matching: matching.into_iter().collect(),
            attributes: all.map(lower).collect(),
            record_parts: self.record_parts(),
            sources: self.sources_read(),
        }
    }

    fn record_parts(&self) -> Option<BTreeSet<String>> {
        let mut parts = BTreeSet::new();
        for (_, rule) in self.matched_rules() {
            parts.extend(record_parts(rule, &rule.condition)?);
        }
        (parts.len() <= RECORD_PARTS_MAX).then_some(parts)
    }

    fn sources_read(&self) -> [Option<BTreeSet<String>>; 3] {
        let mut read = [(); 3].map(|()| Some(BTreeSet::new()));
        for source in self.sources() {
            for (at, (part, all)) in source.iter().zip(&mut read).enumerate() {
                match part.as_str() {
                    "" => *all = None,
                    part if at == 1 => {
                        let events = events_of(part).map(str::to_string);
                        all.iter_mut().for_each(|all| all.extend(events.clone()));
                    }
                    part => all.iter_mut().for_each(|all| all.extend([part.to_string()])),
                }
            }
        }
        read
    }
}

/// Texts of which the record has one where a node holds.
fn record_parts(rule: &EventRule, node: &Node) -> Option<Vec<String>> {
    match node {
        Node::Selection(index) => record_parts(rule, &rule.selections[*index as usize].1),
        Node::Test(test) => {
            let test = &rule.tests[*test as usize];
            let asked = !test.negate && test.field == KEYWORD_FIELD;
            let parts: Vec<Vec<String>> =
                test.any.iter().filter(|_| asked).map(required_part).collect::<Option<_>>()?;
            asked.then(|| parts.concat())
        }
        Node::All(nodes) => {
            let parts = nodes.iter().filter_map(|node| record_parts(rule, node));
            parts.max_by_key(|parts| parts.iter().map(String::len).min())
        }
        Node::Any(nodes) | Node::AtLeast(1.., nodes) => {
            let parts = nodes.iter().map(|node| record_parts(rule, node));
            Some(parts.collect::<Option<Vec<_>>>()?.concat())
        }
        Node::Not(_) | Node::AtLeast(0, _) => None,
    }
}

fn required_part(pred: &Pred) -> Option<Vec<String>> {
    let texts = match pred {
        Pred::Text { text, .. } => vec![text.text.clone()],
        other => required(other)?,
    };
    let fits = |text: &String| {
        let odd = |byte: u8| !byte.is_ascii() || matches!(byte, b'"' | b'\\');
        text.len() >= RECORD_PART_BYTES_MIN && !text.bytes().any(odd)
    };
    let parts = texts.into_iter().map(|text| text.to_ascii_lowercase());
    parts.map(|text| fits(&text).then_some(text)).collect()
}
