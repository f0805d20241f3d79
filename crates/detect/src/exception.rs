//! Exceptions: filters that say why, who answers for them, and until when.
//!
//! A Sigma filter narrows rules. Ours may have three more keys, `reason`, `owner` and `expires`:
//! then an organisation can look through its exceptions once a quarter. This floor has no clock:
//! [`crate::Loaded::expire`] gets the time.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate};
use pugmark_event::Batch;
use pugmark_event::time::Micros;
use serde::{Deserialize, Serialize};

use crate::explain::with_event;
use crate::load::find;
use crate::logsource::LogSource;
use crate::rule::{Body, EventRule, Rule};
use crate::sigma::Fault;

/// What a filter says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// Its id.
    pub id: String,
    /// One line.
    pub title: String,
    /// Why it is right to look away; may be empty.
    pub reason: String,
    /// Who answers for it; may be empty.
    pub owner: String,
    /// The last day on which it applies, in UTC: `2027-06-30`. `None`: for ever.
    pub expires: Option<String>,
    /// The file it came from.
    pub path: String,
}

impl Exception {
    /// True when its last day is over.
    pub fn has_expired(&self, now: Micros) -> bool {
        let last = self.expires.as_deref().and_then(day);
        let today = DateTime::from_timestamp_micros(now).map(|time| time.date_naive());
        last.zip(today).is_some_and(|(last, today)| today > last)
    }
}

/// A day as `expires` has it.
pub(crate) fn day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

/// Checks a day.
pub(crate) fn checked_day(text: &str) -> Result<String, Fault> {
    match day(text.trim()) {
        Some(day) => Ok(day.to_string()),
        None => Err(Fault::new(format!("`expires: {text}` is not a day"))
            .hint("write the last day on which it applies: 2027-06-30")),
    }
}

/// The event rules that a filter narrows, and the names under `rules` that it cannot narrow, each
/// with what is wrong with it.
pub(crate) fn narrowed(rules: &[Rule], filter: &Rule) -> (Vec<usize>, Vec<(String, &'static str)>) {
    let is_event = |index: &usize| matches!(rules[*index].body, Body::Event(_));
    let Body::Filter { targets, .. } = &filter.body else { return (Vec::new(), Vec::new()) };
    let Some(targets) = targets else {
        let source = LogSource::of(&filter.info);
        let reads = |index: &usize| source.reads(&LogSource::of(&rules[*index].info));
        return ((0..rules.len()).filter(is_event).filter(reads).collect(), Vec::new());
    };
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for target in targets {
        match find(rules, target) {
            Some(index) if is_event(&index) => found.push(index),
            Some(_) => wrong.push((target.clone(), "no rule over events")),
            None => wrong.push((target.clone(), "not there")),
        }
    }
    (found, wrong)
}

/// An exception taken alone, to ask which events of the past it would have hidden.
#[derive(Debug, Clone)]
pub struct ExceptionCheck {
    /// The exception.
    pub exception: Exception,
    body: Arc<EventRule>,
    /// Ids of rules that would find less, with those of the rules below them that it leaves alone:
    /// an event that such a rule finds is not hidden.
    rules: BTreeMap<String, Vec<Arc<EventRule>>>,
}

impl ExceptionCheck {
    /// The exceptions among `rules`, in their order.
    pub fn all(rules: &[Rule]) -> Vec<ExceptionCheck> {
        rules.iter().filter_map(|filter| Self::of(rules, filter)).collect()
    }

    fn of(rules: &[Rule], filter: &Rule) -> Option<Self> {
        let Body::Filter { body, exception, .. } = &filter.body else { return None };
        let narrowed: HashSet<usize> = narrowed(rules, filter).0.into_iter().collect();
        let mut affected = BTreeMap::new();
        for (index, rule) in rules.iter().enumerate() {
            let below = events_below(rules, index);
            if !below.iter().any(|base| narrowed.contains(base)) {
                continue;
            }
            let others = below.iter().filter(|base| !narrowed.contains(base));
            let others = others.filter_map(|base| match &rules[*base].body {
                Body::Event(body) => Some(body.clone()),
                _ => None,
            });
            affected.insert(rule.info.id.clone(), others.collect());
        }
        Some(Self { exception: exception.clone(), body: body.clone(), rules: affected })
    }

    /// Ids of the rules that it narrows, and of the correlations over them.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.keys().map(String::as_str)
    }

    /// True when the rule with this id would not have seen the event.
    pub fn hides(&self, rule: &str, batch: &Batch, row: usize) -> bool {
        let Some(others) = self.rules.get(rule).filter(|_| row < batch.rows()) else {
            return false;
        };
        let one = batch.slice(row, 1);
        let holds =
            |body: &EventRule| with_event(&one, body, |event| body.node(&body.condition, event));
        !holds(&self.body) && !others.iter().any(|other| holds(other))
    }
}

/// The event rules that a rule rests on: itself, or those below a correlation.
fn events_below(rules: &[Rule], index: usize) -> Vec<usize> {
    let (mut open, mut seen, mut events) = (vec![index], HashSet::new(), Vec::new());
    while let Some(index) = open.pop() {
        if !seen.insert(index) {
            continue;
        }
        match &rules[index].body {
            Body::Event(_) => events.push(index),
            Body::Correlation(body) => {
                open.extend(body.rules.iter().filter_map(|reference| find(rules, reference)));
            }
            Body::Filter { .. } => {}
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use pugmark_event::{BatchBuilder, Value, time};

    use super::*;
    use crate::load::{Loaded, RuleSource, load};
    use crate::ruleset::RuleSet;

    const RULES: &str = "title: Login\nid: login\nlogsource: {product: linux}\ndetection:\n  \
        s: {event.action: login}\n  condition: s\n---\ntitle: Other\nid: other\n\
        logsource: {product: linux}\ndetection:\n  s: {event.action: login, user.name: root}\n  \
        condition: s\n---\ntitle: Both\nid: both\ncorrelation: {type: temporal, \
        rules: [login, other], timespan: 5m}\n---\ntitle: Many\nid: many\ncorrelation: \
        {type: event_count, rules: [login], timespan: 5m, condition: {gte: 2}, generate: true}\n";

    fn with(rest: &str, filter: &str) -> Loaded {
        let filter = format!(
            "---\ntitle: Backup host\nid: e\nlogsource: {{product: linux}}\n{rest}filter:\n\
             {filter}\n  s: {{source.ip: 192.0.2.1}}\n  condition: not s\n"
        );
        load(&[RuleSource { path: "r.yaml".into(), text: format!("{RULES}{filter}") }])
    }

    #[test]
    fn an_exception_has_a_last_day() {
        let day = |text: &str| time::parse_rfc3339(&format!("{text}T12:00:00Z")).unwrap();
        let rest = "reason: It logs in for backups\nowner: ines\nexpires: 2026-12-31\n";
        for (now, kept) in [("2026-11-26", true), ("2026-12-31", true), ("2027-01-01", false)] {
            let mut loaded = with(rest, "  rules: [login]");
            assert_eq!(loaded.problems, []);
            let problems = loaded.expire(day(now));
            let message = problems.first().map(|p| p.message.as_str());
            let expected = "the exception `Backup host` of ines expired on 2026-12-31";
            assert_eq!(message, (!kept).then_some(expected));
            let (set, problems) = RuleSet::compile(loaded.rules);
            assert_eq!(problems, []);
            let exceptions = &set.rules()[0].exceptions;
            assert_eq!(exceptions.len(), usize::from(kept), "{now}");
            if let Some(exception) = exceptions.first() {
                assert_eq!(exception.reason, "It logs in for backups");
                assert_eq!(exception.expires.as_deref(), Some("2026-12-31"));
            }
        }
        let loaded = with("expires: soon\n", "  rules: [login]");
        assert!(loaded.problems[0].message.contains("`expires: soon` is not a day"));
    }

    #[test]
    fn a_filter_for_a_correlation_is_refused() {
        let (_, problems) = RuleSet::compile(with("", "  rules: [many, none]").rules);
        let messages: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "the filter is for `many`, which is no rule over events",
                "the filter is for `none`, which is not there",
            ]
        );
    }

    #[test]
    fn an_event_is_hidden_when_no_rule_is_left_that_finds_it() {
        let mut builder = BatchBuilder::new("test", time::DAY);
        for (id, user, address) in
            [(1, "ines", "192.0.2.1"), (2, "root", "192.0.2.1"), (3, "root", "192.0.2.9")]
        {
            builder.begin(id, b"raw");
            builder.log_source("linux", "", "");
            for (field, value) in
                [("event.action", "login"), ("user.name", user), ("source.ip", address)]
            {
                builder.named(field, Value::Text(value));
            }
            builder.end(None);
        }
        let batch = builder.finish().unwrap();
        let check = |filter: &str, rule: &str, expected: [bool; 3]| {
            let checks = ExceptionCheck::all(&with("", filter).rules);
            let hidden = [0, 1, 2].map(|row| checks[0].hides(rule, &batch, row));
            assert_eq!(hidden, expected, "{filter} {rule}");
        };
        check("  rules: [login]", "login", [true, true, false]);
        check("  rules: [login]", "many", [true, true, false]);
        check("  rules: [login]", "other", [false; 3]);
        // The other rule below the correlation still finds root.
        check("  rules: [login]", "both", [true, false, false]);
        check("  rules: any", "both", [true, true, false]);
        let checks = ExceptionCheck::all(&with("", "  rules: [login]").rules);
        assert_eq!(checks[0].rules().collect::<Vec<_>>(), ["both", "login", "many"]);
    }
}
