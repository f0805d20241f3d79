//! The findings that a report shows: the earliest of every rule, and no more, however many there
//! are.

use std::collections::BTreeMap;

use pugmark_engine::hunt::Finding;
use serde_json::Value;

use super::sorted::Key;
use crate::output::Row;

/// Findings shown of each rule; the report says how many there were.
pub(super) const PER_RULE_MAX: usize = 20;
/// Longest value that is shown, in bytes: enough for a command line.
const VALUE_BYTES_MAX: usize = 1024;
/// All values of an event that are shown, in bytes.
const FIELDS_BYTES_MAX: usize = 8 << 10;

/// What every event has, or what stands elsewhere in the row.
const NOT_SHOWN: &[&str] = &[
    "@timestamp",
    "event.ingested",
    "event.id",
    "event.source",
    "event.original",
    "event.issues",
    "event.severity",
    "logsource.product",
];

/// One finding, cut down to what a page shows.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) entity: String,
    pub(super) count: u64,
    pub(super) why: Vec<String>,
    /// Fields of the event, in its order.
    pub(super) fields: Vec<(String, String)>,
}

/// The earliest findings of every rule, by the rule's id.
#[derive(Debug, Default)]
pub(super) struct Samples {
    rules: BTreeMap<String, BTreeMap<Key, Sample>>,
}

impl Samples {
    /// Keeps a finding if it is among the earliest of its rule.
    pub(super) fn offer(&mut self, key: &Key, finding: &Finding<'_>) {
        let id = &finding.detection.rule.id;
        if !self.rules.contains_key(id) {
            self.rules.insert(id.clone(), BTreeMap::new());
        }
        let Some(kept) = self.rules.get_mut(id) else { return };
        if kept.len() >= PER_RULE_MAX {
            if kept.last_key_value().is_some_and(|(last, _)| last < key) {
                return;
            }
            kept.pop_last();
        }
        kept.insert(key.clone(), sample(finding));
    }

    /// The findings of a rule, the earliest first.
    pub(super) fn of(&self, rule: &str) -> impl Iterator<Item = (&Key, &Sample)> {
        self.rules.get(rule).into_iter().flatten()
    }
}

fn sample(finding: &Finding<'_>) -> Sample {
    let detection = finding.detection;
    Sample {
        entity: detection.entity.value.clone(),
        count: detection.count,
        why: why(finding),
        fields: fields(&finding.event()),
    }
}

/// Each reason in one line.
pub(super) fn why(finding: &Finding<'_>) -> Vec<String> {
    let reasons = finding.detection.why.iter();
    reasons.map(|r| cut(format!("{} {} (it was {})", r.field, r.test, r.value))).collect()
}

/// The fields of an event that say something of it alone.
pub(super) fn fields(event: &[u8]) -> Vec<(String, String)> {
    let event: Row = serde_json::from_slice(event).unwrap_or_default();
    let mut bytes = 0;
    let told = event.into_iter().filter(|(name, _)| !NOT_SHOWN.contains(&name.as_str()));
    told.map(|(name, value)| match value {
        Value::String(text) => (name, cut(text)),
        Value::Null => (name, String::new()),
        other => (name, cut(other.to_string())),
    })
    .filter(|(_, value)| !value.is_empty())
    .take_while(|(name, value)| {
        bytes += name.len() + value.len();
        bytes <= FIELDS_BYTES_MAX
    })
    .collect()
}

/// Text of many lines, as Windows writes lists, in one.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(text: String) -> String {
    let mut text = text.replace('\r', "");
    if text.len() > VALUE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(VALUE_BYTES_MAX));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(event: &str, expected: &[(&str, &str)]) {
        let fields = fields(event.as_bytes());
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(fields, expected);
    }

    #[test]
    fn only_what_says_something_is_shown() {
        check("null", &[]);
        check(
            r#"{"event.id":"1","a":"x\r\ny","b":null,"c":7,"d":""}"#,
            &[("a", "x\ny"), ("c", "7")],
        );
        let long = "é".repeat(VALUE_BYTES_MAX);
        let shown = format!("{}…", "é".repeat(VALUE_BYTES_MAX / 2));
        check(&format!("{{\"a\":\"{long}\"}}"), &[("a", &shown)]);
        let many: Vec<String> =
            (0..99).map(|i| format!("\"{i}\":\"{}\"", "x".repeat(900))).collect();
        assert_eq!(fields(format!("{{{}}}", many.join(",")).as_bytes()).len(), 9);
        assert_eq!(one_line("a\r\n\t b "), "a b");
    }
}
