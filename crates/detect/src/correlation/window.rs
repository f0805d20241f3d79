//! The events of one key of one correlation, and whether they fulfil it.
//!
//! Windows slide: a window of span `s` that ends with an event at `t` holds the events in
//! `(t - s, t]`. When an event comes in, the windows that contain it are looked at, so an event
//! that comes late still completes what it belongs to. Events stay for the span and the allowed
//! lateness beyond, counted by event time within their own source, and never more than a bound.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use pugmark_event::time::Micros;

use super::{Correlation, Kind, LATENESS};
use crate::detection::EVIDENCE_MAX;
use crate::rule::{Comparison, Node};

/// Events kept per key at least; a rule that counts higher keeps twice its count.
const ENTRIES_MIN: usize = 1024;
/// Past so many events, only the latest of each value is kept where values are counted.
const REPEATS_MAX: usize = 256;
/// Events kept per referenced rule where only their order or presence counts.
const ENTRIES_PER_REF: usize = 64;
/// Windows that are remembered as reported.
const FIRED_MAX: usize = 8;

/// One event, or one firing of a correlation below.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) time: Micros,
    pub(crate) id: i64,
    /// Hash of the source it came from.
    pub(crate) source: u64,
    /// Which of the referenced rules.
    pub(crate) reference: u32,
    /// Hash of the counted value.
    pub(crate) value: u64,
    /// Events behind a firing.
    pub(crate) evidence: Option<Arc<[i64]>>,
}

/// A window that fulfils the correlation.
#[derive(Debug)]
pub(crate) struct Found {
    /// Event time of its end.
    pub(crate) time: Micros,
    /// What was counted.
    pub(crate) count: u64,
    /// Ids of the first and last events in it.
    pub(crate) events: Vec<i64>,
    /// True when it is to be reported: no window near it was.
    pub(crate) fresh: bool,
}

/// What is kept of one key.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// By event time, then by id.
    entries: VecDeque<Entry>,
    /// How many entries have each value, where values are counted.
    values: HashMap<u64, u32>,
    /// Ends of windows that were reported.
    fired: VecDeque<Micros>,
}

impl Window {
    /// Entries kept.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an entry and says whether a window with it fulfils the correlation.
    pub(crate) fn add(&mut self, rule: &Correlation, entry: Entry) -> Option<Found> {
        self.forget(rule.span, &entry);
        let time = entry.time;
        let at = self.insert(rule, entry)?;
        let in_order = at + 1 == self.entries.len();
        if in_order && !rule.has_parents && self.reported(time, rule.span) {
            return None;
        }
        let (start, end, count) = match &rule.kind {
            Kind::EventCount(list) => self.count(at, rule.span, list)?,
            Kind::ValueCount(list) => self.count_values(at, rule.span, list)?,
            Kind::Temporal(node) => self.seen(at, rule.span, node)?,
            Kind::TemporalOrdered => self.ordered(at, rule.span, rule.refs.len() as u32)?,
        };
        let time = self.entries[end].time;
        let fresh = !self.reported(time, rule.span);
        if fresh {
            if self.fired.len() == FIRED_MAX {
                self.fired.pop_front();
            }
            self.fired.push_back(time);
        }
        Some(Found { time, count, events: self.evidence(start, end), fresh })
    }

    /// A window that ends within one span of a reported one is part of the same story.
    fn reported(&self, time: Micros, span: Micros) -> bool {
        self.fired.iter().any(|fired| fired.abs_diff(time) < span.unsigned_abs())
    }

    /// Drops what no event within the allowed lateness can complete any more.
    fn forget(&mut self, span: Micros, new: &Entry) {
        let oldest = new.time.saturating_sub(span).saturating_sub(LATENESS);
        while let Some(front) = self.entries.front()
            && front.time < oldest
            && front.source == new.source
        {
            self.remove(0);
        }
    }

    /// Where the entry now stands; `None` when the event was counted before or there is no room
    /// for one so old.
    fn insert(&mut self, rule: &Correlation, entry: Entry) -> Option<usize> {
        let key = |e: &Entry| (e.time, e.id, e.reference);
        let new = key(&entry);
        let mut at = self.entries.partition_point(|e| key(e) < new);
        let same_event = |e: &Entry| (e.time, e.id) == (entry.time, entry.id);
        if rule.kind.counts() {
            // Two of the rules may match one event, which still is one event.
            let neighbours = [at.checked_sub(1), Some(at)];
            let doubled = neighbours.into_iter().flatten().filter_map(|i| self.entries.get(i));
            if doubled.into_iter().any(|e| same_event(e) && e.value == entry.value) {
                return None;
            }
        }
        let surplus = match &rule.kind {
            Kind::EventCount(list) => {
                (self.len() >= ENTRIES_MIN.max(2 * needed(list) as usize)).then_some(0)
            }
            Kind::ValueCount(list) => {
                let known = self.len() > REPEATS_MAX && self.values.contains_key(&entry.value);
                let again = || self.entries.iter().position(|e| e.value == entry.value);
                let full = self.len() >= ENTRIES_MIN.max(2 * needed(list) as usize);
                known.then(again).flatten().or(full.then_some(0))
            }
            Kind::Temporal(_) | Kind::TemporalOrdered => {
                let same = self.entries.iter().filter(|e| e.reference == entry.reference);
                let full = same.count() >= ENTRIES_PER_REF;
                let oldest = || self.entries.iter().position(|e| e.reference == entry.reference);
                full.then(oldest).flatten()
            }
        };
        if let Some(surplus) = surplus {
            if at == 0 {
                return None;
            }
            self.remove(surplus);
            at -= usize::from(surplus < at);
        }
        if matches!(rule.kind, Kind::ValueCount(_)) {
            *self.values.entry(entry.value).or_default() += 1;
        }
        self.entries.insert(at, entry);
        Some(at)
    }

    fn remove(&mut self, at: usize) {
        let Some(entry) = self.entries.remove(at) else { return };
        if let Some(count) = self.values.get_mut(&entry.value) {
            *count -= 1;
            if *count == 0 {
                self.values.remove(&entry.value);
            }
        }
    }

    /// First entry of the window that ends with entry `end`.
    fn start(&self, end: usize, span: Micros) -> usize {
        let after = self.entries[end].time.saturating_sub(span);
        self.entries.partition_point(|e| e.time <= after)
    }

    /// Ends of windows that contain entry `at`: one per time.
    fn ends(&self, at: usize, span: Micros) -> impl Iterator<Item = usize> + '_ {
        let until = self.entries[at].time.saturating_add(span);
        let last = self.entries.partition_point(|e| e.time < until);
        (at..last)
            .filter(|&i| self.entries.get(i + 1).is_none_or(|n| n.time != self.entries[i].time))
    }

    fn count(
        &self,
        at: usize,
        span: Micros,
        list: &[(Comparison, u64)],
    ) -> Option<(usize, usize, u64)> {
        self.ends(at, span).find_map(|end| {
            let start = self.start(end, span);
            let count = (end - start + 1) as u64;
            fulfils(list, count).then_some((start, end, count))
        })
    }

    fn count_values(
        &self,
        at: usize,
        span: Micros,
        list: &[(Comparison, u64)],
    ) -> Option<(usize, usize, u64)> {
        if (self.values.len() as u64) < needed(list) {
            return None;
        }
        let mut counts: HashMap<u64, u32> = HashMap::new();
        let (mut first, mut next) = (self.start(at, span), self.start(at, span));
        for end in self.ends(at, span) {
            for entry in self.entries.range(next..=end) {
                *counts.entry(entry.value).or_default() += 1;
            }
            next = end + 1;
            let start = self.start(end, span);
            for entry in self.entries.range(first..start) {
                if let Some(count) = counts.get_mut(&entry.value) {
                    *count -= 1;
                    if *count == 0 {
                        counts.remove(&entry.value);
                    }
                }
            }
            first = start;
            let count = counts.len() as u64;
            if fulfils(list, count) {
                return Some((start, end, count));
            }
        }
        None
    }

    fn seen(&self, at: usize, span: Micros, node: &Node) -> Option<(usize, usize, u64)> {
        self.ends(at, span).find_map(|end| {
            let start = self.start(end, span);
            let within = || self.entries.range(start..=end);
            let holds = holds(node, &|reference| within().any(|e| e.reference == reference));
            holds.then_some((start, end, (end - start + 1) as u64))
        })
    }

    /// Going back from the last rule, the latest event of each rule before is the best choice.
    fn ordered(&self, at: usize, span: Micros, refs: u32) -> Option<(usize, usize, u64)> {
        let until = self.entries[at].time.saturating_add(span);
        let ends = (at..self.entries.len())
            .take_while(|&i| self.entries[i].time < until)
            .filter(|&i| self.entries[i].reference + 1 == refs);
        for end in ends {
            let start = self.start(end, span);
            let mut current = end;
            let complete = (0..refs - 1).rev().all(|wanted| {
                let before = (self.entries[current].time, self.entries[current].id);
                let found = (start..current).rev().find(|&i| {
                    let entry = &self.entries[i];
                    entry.reference == wanted && (entry.time, entry.id) < before
                });
                current = found.unwrap_or(current);
                found.is_some()
            });
            if complete {
                return Some((current, end, (end - current + 1) as u64));
            }
        }
        None
    }

    /// The first and the last events of a window, each once.
    fn evidence(&self, start: usize, end: usize) -> Vec<i64> {
        let mut events: Vec<i64> = Vec::new();
        for entry in self.entries.range(start..=end) {
            events.extend(entry.evidence.iter().flat_map(|ids| ids.iter()));
            events.push(entry.id);
        }
        events.sort_unstable();
        events.dedup();
        if events.len() > EVIDENCE_MAX {
            events.drain(EVIDENCE_MAX / 2..events.len() - EVIDENCE_MAX / 2);
        }
        events
    }
}

/// The smallest count that can fulfil all comparisons.
fn needed(list: &[(Comparison, u64)]) -> u64 {
    let least = |&(comparison, count): &(Comparison, u64)| match comparison {
        Comparison::GreaterOrEqual | Comparison::Equal => count,
        Comparison::Greater => count.saturating_add(1),
        _ => 0,
    };
    list.iter().map(least).max().unwrap_or(0)
}

fn fulfils(list: &[(Comparison, u64)], count: u64) -> bool {
    list.iter().all(|&(comparison, wanted)| comparison.holds(count, wanted))
}

fn holds(node: &Node, seen: &dyn Fn(u32) -> bool) -> bool {
    match node {
        Node::All(nodes) => nodes.iter().all(|n| holds(n, seen)),
        Node::Any(nodes) => nodes.iter().any(|n| holds(n, seen)),
        Node::AtLeast(count, nodes) => nodes.iter().filter(|n| holds(n, seen)).count() >= *count,
        Node::Not(node) => !holds(node, seen),
        Node::Test(reference) => seen(*reference),
        Node::Selection(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(kind: Kind, span: Micros) -> Correlation {
        Correlation {
            rule: 0,
            refs: vec![1, 2],
            kind,
            group_by: vec![],
            group_fields: vec![],
            value_fields: vec![],
            span,
            has_parents: true,
        }
    }

    fn at_least(count: u64) -> Vec<(Comparison, u64)> {
        vec![(Comparison::GreaterOrEqual, count)]
    }

    /// True when some window of `span` with the last event in it fulfils the kind, by trying all.
    fn brute(kind: &Kind, span: Micros, events: &[(Micros, u32, u64)]) -> bool {
        let (last, _, _) = events[events.len() - 1];
        events.iter().any(|&(end, _, _)| {
            let within: Vec<_> =
                events.iter().enumerate().filter(|(_, e)| e.0 <= end && e.0 > end - span).collect();
            let with_last = last <= end && last > end - span;
            with_last
                && match kind {
                    Kind::EventCount(list) => fulfils(list, within.len() as u64),
                    Kind::ValueCount(list) => {
                        let mut values: Vec<_> = within.iter().map(|(_, e)| e.2).collect();
                        values.sort_unstable();
                        values.dedup();
                        fulfils(list, values.len() as u64)
                    }
                    Kind::TemporalOrdered => within.iter().any(|(i, first)| {
                        within.iter().any(|(j, second)| {
                            let after = (first.0, *i) < (second.0, *j);
                            let completes = (second.0, *j) >= (last, events.len() - 1);
                            first.1 == 0 && second.1 == 1 && after && completes
                        })
                    }),
                    Kind::Temporal(_) => (0..2).all(|r| within.iter().any(|(_, e)| e.1 == r)),
                }
        })
    }

    proptest! {
        #[test]
        fn windows_agree_with_trying_all(
            events in prop::collection::vec((0i64..60, 0u32..2, 0u64..4), 1..40),
            which in 0usize..4,
        ) {
            let both = Node::All(vec![Node::Test(0), Node::Test(1)]);
            let kind = || match which {
                0 => Kind::EventCount(at_least(5)),
                1 => Kind::ValueCount(at_least(3)),
                2 => Kind::Temporal(both.clone()),
                _ => Kind::TemporalOrdered,
            };
            let rule = rule(kind(), 20);
            let mut window = Window::default();
            for (i, &(time, reference, value)) in events.iter().enumerate() {
                let entry =
                    Entry { time, id: i as i64, source: 0, reference, value, evidence: None };
                let found = window.add(&rule, entry);
                prop_assert_eq!(found.is_some(), brute(&rule.kind, 20, &events[..=i]), "{}", i);
            }
        }

        #[test]
        fn what_is_kept_is_bounded(
            events in prop::collection::vec((0i64..1000, 0u32..2, any::<u64>()), 0..3000),
        ) {
            for kind in [
                Kind::EventCount(at_least(5)),
                Kind::ValueCount(at_least(5)),
                Kind::TemporalOrdered,
            ] {
                let rule = rule(kind, 20);
                let mut window = Window::default();
                for (i, &(time, reference, value)) in events.iter().enumerate() {
                    let id = i as i64;
                    let entry = Entry { time, id, source: 0, reference, value, evidence: None };
                    window.add(&rule, entry);
                }
                prop_assert!(window.len() <= ENTRIES_MIN);
                prop_assert!(window.values.len() <= ENTRIES_MIN);
            }
        }
    }

    #[test]
    fn one_report_per_window_then_it_arms_again() {
        let rule = Correlation { has_parents: false, ..rule(Kind::EventCount(at_least(3)), 100) };
        let mut window = Window::default();
        let mut reported = Vec::new();
        for i in 0..40 {
            let entry =
                Entry { time: i * 10, id: i, source: 0, reference: 0, value: 0, evidence: None };
            if window.add(&rule, entry).is_some_and(|found| found.fresh) {
                reported.push(i * 10);
            }
        }
        assert_eq!(reported, [20, 120, 220, 320]);
    }
}
