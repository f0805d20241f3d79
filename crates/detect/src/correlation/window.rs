//! The events of one key of one correlation, and whether they fulfil it.
//!
//! Windows slide: a window of span `s` that ends with an event at `t` holds the events in
//! `(t - s, t]`. When an event comes in, the windows that contain it are looked at, so an event
//! that comes late still completes what it belongs to. Events stay for the span and the allowed
//! lateness beyond, counted by event time within their own source, and never more than a bound.
//!
//! The figure is that of the window that ends with the last event. An event in order costs the
//! steps that the window moves on. A late one is looked at by going back as far as it is late, and
//! forth again; not even that where all events around it are too few.

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use hashbrown::HashSet;
use pugmark_event::time::Micros;
use serde::{Deserialize, Serialize};

use super::figure::Figure;
use super::{Correlation, Kind, LATENESS};
use crate::checkpoint::KeyImage;
use crate::detection::EVIDENCE_MAX;
use crate::rule::Comparison;

/// Events kept per key at least; a rule that counts higher keeps twice its count.
const ENTRIES_MIN: usize = 1024;
/// Numbers kept per key.
const NUMBERS_MAX: usize = 16 * 1024;
/// Events of a referenced rule that stay when there are too many, where only their order or
/// presence counts; up to twice as many are kept meanwhile.
const ENTRIES_PER_REF: usize = 256;
/// Windows that are remembered as reported.
const FIRED_MAX: usize = 8;

/// One event, or one firing of a correlation below.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) time: Micros,
    pub(crate) id: i64,
    /// Hash of the source it came from.
    pub(crate) source: u64,
    /// Which of the referenced rules.
    pub(crate) reference: u32,
    /// Hash of the counted value, or [`super::figure::bits`] of the number.
    pub(crate) value: u64,
    /// Events behind a firing.
    pub(crate) evidence: Option<Arc<[i64]>>,
}

/// A window that fulfils the correlation.
#[derive(Debug)]
pub(crate) struct Found {
    /// Event time of its end.
    pub(crate) time: Micros,
    /// Ids of the first and last events in it.
    pub(crate) events: Vec<i64>,
    /// What was counted, when it is to be reported: no window near it was.
    pub(crate) fresh: Option<u64>,
}

/// What is kept of one key.
#[derive(Debug)]
pub(crate) struct Window {
    /// By event time, then by id.
    entries: VecDeque<Entry>,
    /// First entry of the window that ends with the last entry.
    start: usize,
    /// The figure of that window.
    figure: Figure,
    /// Ends of windows that were reported.
    fired: VecDeque<Micros>,
}

/// Entries of one window: the first and the last.
type Span = (usize, usize);

impl Window {
    /// A window of `rule` without entries.
    pub(crate) fn new(rule: &Correlation) -> Self {
        let figure = Figure::new(&rule.kind, rule.refs.len());
        Self { entries: VecDeque::new(), start: 0, figure, fired: VecDeque::new() }
    }

    /// What it knows of `key`, to be kept.
    pub(crate) fn image(&self, key: Arc<str>, received: Micros) -> KeyImage {
        KeyImage { key, received, entries: self.entries.clone(), fired: self.fired.clone() }
    }

    /// The window that an image was made of.
    pub(crate) fn of(rule: &Correlation, image: &KeyImage) -> Self {
        let mut window = Window { fired: image.fired.clone(), ..Window::new(rule) };
        window.refill(rule, image.entries.iter().cloned());
        window
    }

    /// Keeps these entries, which are in order, instead of its own.
    fn refill(&mut self, rule: &Correlation, entries: impl Iterator<Item = Entry>) {
        let fired = std::mem::take(&mut self.fired);
        *self = Window { fired, ..Window::new(rule) };
        for entry in entries {
            self.place(self.entries.len(), entry, rule.span);
        }
    }

    /// Entries kept.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an entry and says whether a window with it fulfils the correlation: one to report, or
    /// any where a correlation above wants to know.
    pub(crate) fn add(&mut self, rule: &Correlation, entry: Entry) -> Option<Found> {
        self.forget(rule.span, &entry);
        let at = self.insert(rule, entry)?;
        if !rule.has_parents && self.told(at, rule.span) || !self.within_reach(at, rule) {
            return None;
        }
        let (start, end) = match &rule.kind {
            Kind::TemporalOrdered => self.ordered(at, rule.span, rule.refs.len() as u32)?,
            _ => self.earliest(at, rule)?,
        };
        let time = self.entries[end].time;
        let fresh = (!self.reported(time, rule.span)).then(|| self.counted(rule, start..=end));
        if fresh.is_some() {
            if self.fired.len() == FIRED_MAX {
                self.fired.pop_front();
            }
            self.fired.push_back(time);
        }
        let told = fresh.is_some() || rule.has_parents;
        told.then(|| Found { time, events: self.evidence(start, end), fresh })
    }

    /// True when all windows with entry `at` belong to a reported one.
    fn told(&self, at: usize, span: Micros) -> bool {
        let first = self.entries[at].time;
        let last = self.entries[self.entries.len() - 1].time.min(first.saturating_add(span));
        let near = |fired: Micros, time: Micros| fired.abs_diff(time) < span.unsigned_abs();
        self.fired.iter().any(|&fired| near(fired, first) && near(fired, last))
    }

    /// False when what is around entry `at` is too little for any window with it.
    fn within_reach(&self, at: usize, rule: &Correlation) -> bool {
        // Windows that end before the last one begin before it, and so may hold more than it.
        let before = match at + 1 == self.entries.len() {
            true => 0,
            false => self.start.saturating_sub(self.start(at, rule.span)),
        };
        self.figure.within_reach(&rule.kind, before as u64)
    }

    /// What a window of these entries comes to.
    fn counted(&self, rule: &Correlation, window: RangeInclusive<usize>) -> u64 {
        let mut figure = Figure::new(&rule.kind, rule.refs.len());
        self.entries.range(window.clone()).for_each(|entry| figure.add(entry));
        figure.shown(self.entries.range(window))
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
        let mut at = self.place_of(&entry);
        if rule.kind.counts() {
            // Two of the rules may match one event, which still is one event.
            let same = |e: &Entry| (e.time, e.id) == (entry.time, entry.id);
            let neighbours = [at.checked_sub(1), Some(at)];
            let doubled = neighbours.into_iter().flatten().filter_map(|i| self.entries.get(i));
            if doubled.into_iter().any(|e| same(e) && e.value == entry.value) {
                return None;
            }
        }
        let entries_max = entries_max(rule);
        if self.len() >= entries_max {
            let counts = matches!(rule.kind, Kind::EventCount(_) | Kind::Aggregate(..));
            if counts && at == 0 {
                return None;
            }
            self.make_room(rule, entries_max);
            at = self.place_of(&entry);
        }
        self.place(at, entry, rule.span);
        Some(at)
    }

    /// Where an entry goes.
    fn place_of(&self, entry: &Entry) -> usize {
        let key = |e: &Entry| (e.time, e.id, e.reference);
        match self.entries.back() {
            Some(last) if key(last) >= key(entry) => {
                self.entries.partition_point(|e| key(e) < key(entry))
            }
            _ => self.entries.len(),
        }
    }

    /// Removes entries. One value or rule that floods must not push out the others; what sees to
    /// that looks at all entries, and so removes many at a time.
    fn make_room(&mut self, rule: &Correlation, entries_max: usize) {
        let half = entries_max / 2;
        match &rule.kind {
            Kind::EventCount(_) | Kind::Aggregate(..) => self.remove(0),
            Kind::ValueCount(_) => {
                let mut later = HashSet::new();
                self.thin(rule, |at, entry| later.insert(entry.value) || at >= half);
                if self.len() > half + half / 2 {
                    let mut later = HashSet::new();
                    self.thin(rule, |_, entry| later.len() < half && later.insert(entry.value));
                }
            }
            Kind::Temporal(_) | Kind::TemporalOrdered => {
                let mut kept = vec![0; rule.refs.len()];
                self.thin(rule, |_, entry| {
                    let kept = &mut kept[entry.reference as usize];
                    *kept += 1;
                    *kept <= ENTRIES_PER_REF
                });
            }
        }
    }

    /// Keeps the entries that are to stay; they are asked from the last to the first.
    fn thin(&mut self, rule: &Correlation, mut stays: impl FnMut(usize, &Entry) -> bool) {
        let mut kept = VecDeque::new();
        for (at, entry) in std::mem::take(&mut self.entries).into_iter().enumerate().rev() {
            if stays(at, &entry) {
                kept.push_front(entry);
            }
        }
        self.refill(rule, kept.into_iter());
    }

    /// Puts the entry in and moves the window of the last entry on.
    fn place(&mut self, at: usize, entry: Entry, span: Micros) {
        let last = self.entries.back().map_or(entry.time, |last| last.time.max(entry.time));
        let after = last.saturating_sub(span);
        match entry.time > after {
            true => self.figure.add(&entry),
            false => self.start += 1,
        }
        self.entries.insert(at, entry);
        while self.entries[self.start].time <= after {
            self.figure.remove(&self.entries[self.start]);
            self.start += 1;
        }
    }

    fn remove(&mut self, at: usize) {
        let Some(entry) = self.entries.remove(at) else { return };
        match at < self.start {
            true => self.start -= 1,
            false => self.figure.remove(&entry),
        }
    }

    /// First entry of the window that ends with entry `end`.
    fn start(&self, end: usize, span: Micros) -> usize {
        let after = self.entries[end].time.saturating_sub(span);
        self.entries.partition_point(|e| e.time <= after)
    }

    /// The earliest window with entry `at` that fulfils: going back from the last one that has it,
    /// and then forth again.
    fn earliest(&mut self, at: usize, rule: &Correlation) -> Option<Span> {
        let until = self.entries[at].time.saturating_add(rule.span);
        let last = self.entries.len() - 1;
        if self.entries[last].time < until {
            let (window, found) =
                go_back(&self.entries, &mut self.figure, self.start..=last, at, rule);
            self.entries.range(window.end..).for_each(|entry| self.figure.add(entry));
            let gone = self.entries.range(window.start..self.start);
            gone.for_each(|entry| self.figure.remove(entry));
            return found;
        }
        // So late that the window of the last entry has nothing of it.
        let end = self.entries.partition_point(|e| e.time < until) - 1;
        let window = self.start(end, rule.span)..=end;
        let mut figure = Figure::new(&rule.kind, rule.refs.len());
        self.entries.range(window.clone()).for_each(|entry| figure.add(entry));
        go_back(&self.entries, &mut figure, window, at, rule).1
    }

    /// Going back from the last rule, the latest event of each rule before is the best choice.
    fn ordered(&self, at: usize, span: Micros, refs: u32) -> Option<Span> {
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
                return Some((current, end));
            }
        }
        None
    }

    /// The first and the last events of a window, each once.
    fn evidence(&self, start: usize, end: usize) -> Vec<i64> {
        let half = EVIDENCE_MAX / 2;
        let mut entries = self.entries.range(start..=end);
        let mut events = Vec::with_capacity(EVIDENCE_MAX);
        while events.len() < half
            && let Some(entry) = entries.next()
        {
            entry.push_events(&mut events);
        }
        let first = events.len();
        while events.len() < first + half
            && let Some(entry) = entries.next_back()
        {
            entry.push_events(&mut events);
        }
        events.sort_unstable();
        events.dedup();
        if events.len() > EVIDENCE_MAX {
            events.drain(half..events.len() - half);
        }
        events
    }
}

impl Entry {
    /// Adds the ids of the events that it stands for.
    fn push_events(&self, events: &mut Vec<i64>) {
        events.extend(self.evidence.iter().flat_map(|ids| ids.iter()));
        events.push(self.id);
    }
}

/// Goes back with a figure from the window of some entries to that which ends at the time of entry
/// `at`. Answers the entries of that, and the earliest window on the way that fulfils.
fn go_back(
    entries: &VecDeque<Entry>,
    figure: &mut Figure,
    window: RangeInclusive<usize>,
    at: usize,
    rule: &Correlation,
) -> (Range<usize>, Option<Span>) {
    let (mut start, mut end) = window.into_inner();
    let mut found = None;
    loop {
        if figure.fulfils(&rule.kind, entries.range(start..=end)) {
            found = Some((start, end));
        }
        let time = entries[end].time;
        if time <= entries[at].time {
            return (start..end + 1, found);
        }
        while entries[end].time == time {
            figure.remove(&entries[end]);
            end -= 1;
        }
        let after = entries[end].time.saturating_sub(rule.span);
        while start > 0 && entries[start - 1].time > after {
            start -= 1;
            figure.add(&entries[start]);
        }
    }
}

/// Entries kept per key at most.
fn entries_max(rule: &Correlation) -> usize {
    match &rule.kind {
        Kind::EventCount(list) | Kind::ValueCount(list) => {
            ENTRIES_MIN.max(2 * needed(list) as usize)
        }
        Kind::Aggregate(..) => NUMBERS_MAX,
        Kind::Temporal(_) | Kind::TemporalOrdered => 2 * ENTRIES_PER_REF * rule.refs.len(),
    }
}

/// The smallest count that can fulfil all comparisons.
pub(super) fn needed(list: &[(Comparison, u64)]) -> u64 {
    let least = |&(comparison, count): &(Comparison, u64)| match comparison {
        Comparison::GreaterOrEqual | Comparison::Equal => count,
        Comparison::Greater => count.saturating_add(1),
        _ => 0,
    };
    list.iter().map(least).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pugmark_event::time::SECOND;

    use super::super::{Aggregate, bits};
    use super::*;
    use crate::rule::Node;

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

    /// An event: time, referenced rule, value.
    type Event = (Micros, u32, u64);

    fn entry(id: i64, (time, reference, value): Event) -> Entry {
        Entry { time, id, source: 0, reference, value, evidence: None }
    }

    fn compare(list: &[(Comparison, u64)], number: f64) -> bool {
        list.iter().all(|(comparison, wanted)| comparison.holds(number, *wanted as f64))
    }

    fn aggregate(aggregate: Aggregate, values: &mut [f64]) -> f64 {
        let sum: f64 = values.iter().sum();
        match aggregate {
            Aggregate::Sum => sum,
            Aggregate::Average => sum / values.len() as f64,
            Aggregate::Percentile(rank) => {
                values.sort_by(f64::total_cmp);
                let place = f64::from(rank) / 100.0 * (values.len() - 1) as f64;
                let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
                low + (high - low) * place.fract()
            }
        }
    }

    /// True when some window of `span` with the last event in it fulfils the kind, by trying all.
    fn brute(kind: &Kind, span: Micros, events: &[(i64, Event)]) -> bool {
        let &(id, (time, ..)) = &events[events.len() - 1];
        let ends = events.iter().map(|(_, e)| e.0).filter(|end| *end >= time && *end < time + span);
        ends.into_iter().any(|end| {
            let within: Vec<&(i64, Event)> =
                events.iter().filter(|(_, e)| e.0 <= end && e.0 > end - span).collect();
            let mut values: Vec<u64> = within.iter().map(|(_, e)| e.2).collect();
            let sees = |reference: u32| within.iter().any(|(_, e)| e.1 == reference);
            match kind {
                Kind::EventCount(list) => compare(list, within.len() as f64),
                Kind::ValueCount(list) => {
                    values.sort_unstable();
                    values.dedup();
                    compare(list, values.len() as f64)
                }
                Kind::Aggregate(of, list) => {
                    let mut numbers: Vec<f64> = values.into_iter().map(f64::from_bits).collect();
                    compare(list, aggregate(*of, &mut numbers))
                }
                Kind::TemporalOrdered => within.iter().any(|(i, first)| {
                    within.iter().any(|(j, second)| {
                        let after = (first.0, *i) < (second.0, *j);
                        let completes = (second.0, *j) >= (time, id);
                        first.1 == 0 && second.1 == 1 && after && completes
                    })
                }),
                Kind::Temporal(_) => sees(0) && sees(1),
            }
        })
    }

    fn kinds(least: u64) -> Vec<Kind> {
        vec![
            Kind::EventCount(at_least(least)),
            Kind::ValueCount(at_least(least / 2)),
            Kind::Temporal(Node::All(vec![Node::Test(0), Node::Test(1)])),
            Kind::TemporalOrdered,
            Kind::Aggregate(Aggregate::Sum, at_least(2 * least)),
            Kind::Aggregate(Aggregate::Average, vec![(Comparison::Greater, 2)]),
            Kind::Aggregate(Aggregate::Percentile(90), vec![(Comparison::Equal, 3)]),
        ]
    }

    /// The value as the kind has it in an entry.
    fn valued(kind: &Kind, value: u64) -> u64 {
        if matches!(kind, Kind::Aggregate(..)) { bits(value as f64) } else { value }
    }

    proptest! {
        #[test]
        fn windows_agree_with_trying_all(
            events in prop::collection::vec((0i64..60, 0u32..2, 0u64..4), 1..40),
        ) {
            for kind in kinds(6) {
                let events: Vec<(i64, Event)> = (0i64..)
                    .zip(&events)
                    .map(|(id, &(time, of, value))| (id, (time, of, valued(&kind, value))))
                    .collect();
                let rule = rule(kind, 20);
                let mut window = Window::new(&rule);
                for (at, &(id, event)) in events.iter().enumerate() {
                    let found = window.add(&rule, entry(id, event)).is_some();
                    let expected = brute(&rule.kind, 20, &events[..=at]);
                    prop_assert_eq!(found, expected, "{:?} {}", rule.kind, at);
                }
            }
        }

        #[test]
        fn what_is_kept_is_bounded(
            events in prop::collection::vec((0i64..1000, 0u32..2, any::<u64>()), 0..3000),
        ) {
            for kind in kinds(10) {
                let rule = rule(kind, 20);
                let mut window = Window::new(&rule);
                for (id, &(time, of, value)) in (0i64..).zip(&events) {
                    window.add(&rule, entry(id, (time, of, valued(&rule.kind, value))));
                }
                let numbers = matches!(rule.kind, Kind::Aggregate(..));
                let most = if numbers { NUMBERS_MAX } else { ENTRIES_MIN };
                prop_assert!(window.len() <= most);
            }
        }
    }

    /// Events of seconds, some out of order within the lateness, some twice: the model keeps what
    /// an event on time can still meet, and knows of doubles.
    #[test]
    fn a_hundred_thousand_steps_agree_with_trying_all() {
        for (seed, kind) in (1u64..).zip(kinds(24)) {
            let rule = rule(kind, 20 * SECOND);
            let mut window = Window::new(&rule);
            let (mut known, mut now, mut chance) =
                (Vec::new(), 0, seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let mut mismatches = 0;
            for step in 0..100_000 / 7 {
                chance ^= chance << 13;
                chance ^= chance >> 7;
                chance ^= chance << 17;
                now += (chance % 3) as i64 * SECOND;
                let late = if chance & 0x70 == 0 { (chance >> 8) % 299 } else { (chance >> 8) % 3 };
                let value = valued(&rule.kind, (chance >> 20) % 16);
                let event = (now - late as i64 * SECOND, (chance >> 30) as u32 % 2, value);
                let again = chance >> 40 & 7 == 0 && rule.kind.counts();
                let before: Option<&(i64, Event)> = known.last().filter(|_| again);
                let (id, event) = before.copied().unwrap_or((step, event));
                let found = window.add(&rule, entry(id, event)).is_some();
                let expected = before.is_none() && {
                    known.retain(|(_, e): &(i64, Event)| e.0 >= now - 20 * SECOND - LATENESS);
                    known.push((id, event));
                    brute(&rule.kind, rule.span, &known)
                };
                mismatches += usize::from(found != expected);
            }
            assert_eq!(mismatches, 0, "{:?}", rule.kind);
        }
    }

    #[test]
    fn one_report_per_window_then_it_arms_again() {
        let rule = Correlation { has_parents: false, ..rule(Kind::EventCount(at_least(3)), 100) };
        let mut window = Window::new(&rule);
        let mut reported = Vec::new();
        for i in 0..40 {
            let entry =
                Entry { time: i * 10, id: i, source: 0, reference: 0, value: 0, evidence: None };
            if window.add(&rule, entry).is_some_and(|found| found.fresh.is_some()) {
                reported.push(i * 10);
            }
        }
        assert_eq!(reported, [20, 120, 220, 320]);
    }
}
