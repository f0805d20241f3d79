//! Which rules read which events.

use hashbrown::HashMap;
use pugmark_event::{Batch, fields};

use crate::detection::RuleInfo;

/// Product, category and service; empty where not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LogSource<'a> {
    pub(crate) product: &'a str,
    pub(crate) category: &'a str,
    pub(crate) service: &'a str,
}

/// Categories of events that satisfy rules of another category too: `(event, rule)`.
const IMPLIED: &[(&str, &str)] = &[
    ("registry_add", "registry_event"),
    ("registry_set", "registry_event"),
    ("registry_delete", "registry_event"),
    ("registry_rename", "registry_event"),
    // Event 600 of Windows PowerShell is told apart by the rule's own tests.
    ("ps_classic_start", "ps_classic_provider_start"),
];

impl<'a> LogSource<'a> {
    /// The log source that a rule names.
    pub(crate) fn of(info: &'a RuleInfo) -> Self {
        let part = |part: &'a Option<String>| part.as_deref().unwrap_or_default();
        Self {
            product: part(&info.product),
            category: part(&info.category),
            service: part(&info.service),
        }
    }

    /// Equality that does not compare the bytes of empty parts: there are none, and where these
    /// would be is no memory, which makes comparing them slower than any text on some processors.
    fn is(&self, other: &LogSource<'_>) -> bool {
        let same = |a: &str, b: &str| a.len() == b.len() && (a.is_empty() || a == b);
        same(self.product, other.product)
            && same(self.category, other.category)
            && same(self.service, other.service)
    }

    /// True when a rule of this log source reads events of `event`: each part that it names is
    /// the event's.
    pub(crate) fn reads(&self, event: &LogSource<'_>) -> bool {
        let same = |rule: &str, event: &str| rule.is_empty() || rule == event;
        same(self.product, event.product)
            && same(self.service, event.service)
            && (same(self.category, event.category)
                || IMPLIED.contains(&(event.category, self.category)))
    }
}

/// Categories of the events that rules of a category read.
pub(crate) fn events_of(category: &str) -> impl Iterator<Item = &str> + Clone {
    let implied = IMPLIED.iter().filter(move |(_, rule)| *rule == category);
    std::iter::once(category).chain(implied.map(|(event, _)| *event))
}

/// Rows of a batch by log source, in order of first appearance.
pub(crate) fn groups(batch: &Batch) -> Vec<(LogSource<'_>, Vec<u32>)> {
    let columns = [fields::PRODUCT, fields::CATEGORY, fields::SERVICE].map(|id| batch.text(id));
    let mut index: HashMap<LogSource<'_>, usize> = HashMap::new();
    let mut groups: Vec<(LogSource<'_>, Vec<u32>)> = Vec::new();
    // Neighbours are mostly alike.
    let mut last: Option<(LogSource<'_>, usize)> = None;
    for row in 0..batch.rows() {
        let [product, category, service] = columns.map(|column| {
            use arrow::array::Array;
            column.filter(|c| c.is_valid(row)).map_or("", |c| c.value(row))
        });
        let source = LogSource { product, category, service };
        let group = match last {
            Some((known, group)) if known.is(&source) => group,
            _ => *index.entry(source).or_insert_with(|| {
                groups.push((source, Vec::new()));
                groups.len() - 1
            }),
        };
        last = Some((source, group));
        groups[group].1.push(row as u32);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: (&str, &str, &str), event: (&str, &str, &str), expected: bool) {
        let source = |(product, category, service)| LogSource { product, category, service };
        assert_eq!(source(rule).reads(&source(event)), expected);
    }

    #[test]
    fn a_rule_reads_what_it_names() {
        let sysmon = ("windows", "process_creation", "sysmon");
        check(("windows", "process_creation", ""), sysmon, true);
        check(
            ("windows", "process_creation", ""),
            ("windows", "process_creation", "security"),
            true,
        );
        check(("windows", "", ""), sysmon, true);
        check(("windows", "", "security"), sysmon, false);
        check(("linux", "process_creation", ""), sysmon, false);
        check(("", "webserver", ""), ("nginx", "webserver", "nginx"), true);
        check(("", "", ""), sysmon, true);
        check(("windows", "registry_event", ""), ("windows", "registry_set", "sysmon"), true);
        check(("windows", "registry_set", ""), ("windows", "registry_event", "sysmon"), false);
        check(("windows", "", ""), ("", "", ""), false);
    }
}
