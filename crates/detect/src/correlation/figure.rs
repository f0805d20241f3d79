//! What a correlation counts in a window, kept up to date as entries come and go.
//!
//! Every figure is exact and does not depend on the order in which entries came: sums are whole
//! numbers of a small unit, and a percentile knows how many values lie on either side of what it is
//! compared with. Each entry costs a few steps, however many the window holds; a percentile looks
//! at all entries where what it is compared with lies between two neighbours that it does not know.

use std::cmp::Ordering;
use std::collections::vec_deque::Iter;

use hashbrown::HashMap;

use super::Kind;
use super::window::{Entry, needed};
use crate::rule::{Comparison, Node};

/// Numbers are counted in units of 1 / 2^32.
const FRACTION_BITS: u32 = 32;
/// Numbers beyond it count as it: the sum of as many as are kept fits 128 bits.
const NUMBER_MAX: f64 = (1u64 << 62) as f64;

/// What a value correlation makes of the numbers in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    /// Their sum.
    Sum,
    /// Their mean.
    Average,
    /// The value that so many in a hundred are at most, between two values by their distance
    /// (Hyndman and Fan, Sample quantiles in statistical packages, 1996, definition 7).
    Percentile(u8),
}

impl std::fmt::Display for Aggregate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Aggregate::Sum => f.write_str("sum"),
            Aggregate::Average => f.write_str("average"),
            Aggregate::Percentile(rank) => write!(f, "percentile {rank}"),
        }
    }
}

/// The figure of one window.
#[derive(Debug)]
pub(crate) enum Figure {
    /// Entries.
    Count(u64),
    /// How many entries have each value.
    Distinct(HashMap<u64, u32>),
    /// Sum of the numbers, and how many there are.
    Total { aggregate: Aggregate, sum: i128, count: u64 },
    /// How many numbers there are, and how many lie where.
    Percentile { rank: u8, count: u64, marks: Vec<Mark> },
    /// How many entries are of each referenced rule.
    Seen(Vec<u32>),
}

/// A number that a percentile is compared with.
#[derive(Debug)]
pub(crate) struct Mark {
    number: i128,
    below: u64,
    up_to: u64,
    /// The greatest number below it and the smallest from it on, once looked for.
    neighbours: Option<(i128, i128)>,
}

impl Figure {
    /// The figure of no entries.
    pub(crate) fn new(kind: &Kind, refs: usize) -> Self {
        match kind {
            Kind::EventCount(_) => Figure::Count(0),
            Kind::ValueCount(_) => Figure::Distinct(HashMap::new()),
            Kind::Aggregate(Aggregate::Percentile(rank), list) => {
                let marks = list.iter().map(|&(_, number)| Mark::new(whole(number))).collect();
                Figure::Percentile { rank: *rank, count: 0, marks }
            }
            Kind::Aggregate(aggregate, _) => {
                Figure::Total { aggregate: *aggregate, sum: 0, count: 0 }
            }
            Kind::Temporal(_) | Kind::TemporalOrdered => Figure::Seen(vec![0; refs]),
        }
    }

    pub(crate) fn add(&mut self, entry: &Entry) {
        match self {
            Figure::Count(count) => *count += 1,
            Figure::Distinct(values) => *values.entry(entry.value).or_default() += 1,
            Figure::Total { sum, count, .. } => {
                *sum += number(entry);
                *count += 1;
            }
            Figure::Percentile { count, marks, .. } => {
                *count += 1;
                marks.iter_mut().for_each(|mark| mark.add(number(entry)));
            }
            Figure::Seen(of_rule) => of_rule[entry.reference as usize] += 1,
        }
    }

    /// Takes an entry out that was added before.
    pub(crate) fn remove(&mut self, entry: &Entry) {
        match self {
            Figure::Count(count) => *count -= 1,
            Figure::Distinct(values) => {
                if let Some(count) = values.get_mut(&entry.value) {
                    *count -= 1;
                    if *count == 0 {
                        values.remove(&entry.value);
                    }
                }
            }
            Figure::Total { sum, count, .. } => {
                *sum -= number(entry);
                *count -= 1;
            }
            Figure::Percentile { count, marks, .. } => {
                *count -= 1;
                marks.iter_mut().for_each(|mark| mark.remove(number(entry)));
            }
            Figure::Seen(of_rule) => of_rule[entry.reference as usize] -= 1,
        }
    }

    /// True when a window of these entries, whose figure it is, fulfils the correlation. The order
    /// of rules is the window's to look at.
    pub(crate) fn fulfils(&mut self, kind: &Kind, window: Iter<'_, Entry>) -> bool {
        match (self, kind) {
            (Figure::Count(count), Kind::EventCount(list)) => all(list, |n| (*count).cmp(&n)),
            (Figure::Distinct(values), Kind::ValueCount(list)) => {
                let count = values.len() as u64;
                all(list, |n| count.cmp(&n))
            }
            (Figure::Total { aggregate, sum, count }, Kind::Aggregate(_, list)) => {
                let times = if *aggregate == Aggregate::Average { i128::from(*count) } else { 1 };
                *count > 0 && all(list, |n| (*sum).cmp(&(whole(n) * times)))
            }
            (Figure::Percentile { rank, count, marks }, Kind::Aggregate(_, list)) => {
                let sides = marks.iter_mut().map(|mark| mark.side(*rank, *count, window.clone()));
                *count > 0
                    && list.iter().zip(sides).all(|((comparison, _), side)| is(*comparison, side))
            }
            (Figure::Seen(of_rule), Kind::Temporal(node)) => holds(node, of_rule),
            _ => false,
        }
    }

    /// False when `more` entries beyond its own are too few to fulfil the correlation.
    pub(crate) fn within_reach(&self, kind: &Kind, more: u64) -> bool {
        match (self, kind) {
            (Figure::Count(count), Kind::EventCount(list)) => count + more >= needed(list),
            (Figure::Distinct(values), Kind::ValueCount(list)) => {
                values.len() as u64 + more >= needed(list)
            }
            (Figure::Seen(of_rule), Kind::TemporalOrdered) => {
                let missing = of_rule.iter().filter(|count| **count == 0).count() as u64;
                missing <= more
            }
            _ => true,
        }
    }

    /// What is counted in a window of these entries, as a whole number.
    pub(crate) fn shown(&self, window: Iter<'_, Entry>) -> u64 {
        let units = |units: i128| u64::try_from(units >> FRACTION_BITS).unwrap_or_default();
        match self {
            Figure::Count(count) => *count,
            Figure::Distinct(values) => values.len() as u64,
            Figure::Total { aggregate: Aggregate::Average, sum, count } => {
                units(sum / i128::from(*count).max(1))
            }
            Figure::Total { sum, .. } => units(*sum),
            Figure::Percentile { rank, count, .. } => {
                let at = u64::from(*rank) * count.saturating_sub(1) / 100;
                let mut numbers: Vec<i128> = window.map(number).collect();
                numbers.sort_unstable();
                numbers.get(at as usize).map_or(0, |number| units(*number))
            }
            Figure::Seen(of_rule) => of_rule.iter().map(|count| u64::from(*count)).sum(),
        }
    }
}

impl Mark {
    fn new(number: i128) -> Self {
        Self { number, below: 0, up_to: 0, neighbours: None }
    }

    fn add(&mut self, number: i128) {
        self.below += u64::from(number < self.number);
        self.up_to += u64::from(number <= self.number);
        if let Some((under, over)) = &mut self.neighbours {
            match number < self.number {
                true => *under = number.max(*under),
                false => *over = number.min(*over),
            }
        }
    }

    fn remove(&mut self, number: i128) {
        self.below -= u64::from(number < self.number);
        self.up_to -= u64::from(number <= self.number);
        self.neighbours =
            self.neighbours.filter(|&(under, over)| number != under && number != over);
    }

    /// On which side of the mark the percentile of these entries lies.
    fn side(&mut self, rank: u8, count: u64, window: Iter<'_, Entry>) -> Ordering {
        let place = u64::from(rank) * count.saturating_sub(1);
        let (low, between) = (place / 100, place % 100);
        let high = low + u64::from(between > 0);
        if high < self.below {
            return Ordering::Less;
        }
        if low >= self.below {
            return if high < self.up_to { Ordering::Equal } else { Ordering::Greater };
        }
        // The mark lies between two neighbours.
        let mark = self.number;
        let (under, over) = *self.neighbours.get_or_insert_with(|| {
            let numbers = window.map(number);
            let under = numbers.clone().filter(|number| *number < mark).max();
            let over = numbers.filter(|number| *number >= mark).min();
            (under.unwrap_or(mark), over.unwrap_or(mark))
        });
        let between = i128::from(between);
        (under * (100 - between) + over * between).cmp(&(mark * 100))
    }
}

/// The bits that an entry of a number has as its value.
pub(crate) fn bits(number: f64) -> u64 {
    number.clamp(-NUMBER_MAX, NUMBER_MAX).to_bits()
}

fn number(entry: &Entry) -> i128 {
    let units = f64::from_bits(entry.value) * (1u64 << FRACTION_BITS) as f64;
    // Most fit 64 bits, where a machine does it in one step.
    if units.abs() < (1u64 << 62) as f64 { i128::from(units as i64) } else { units as i128 }
}

fn whole(number: u64) -> i128 {
    i128::from(number) << FRACTION_BITS
}

fn all(list: &[(Comparison, u64)], side: impl Fn(u64) -> Ordering) -> bool {
    list.iter().all(|(comparison, number)| is(*comparison, side(*number)))
}

fn is(comparison: Comparison, side: Ordering) -> bool {
    comparison.holds(side, Ordering::Equal)
}

fn holds(node: &Node, of_rule: &[u32]) -> bool {
    match node {
        Node::All(nodes) => nodes.iter().all(|n| holds(n, of_rule)),
        Node::Any(nodes) => nodes.iter().any(|n| holds(n, of_rule)),
        Node::AtLeast(count, nodes) => nodes.iter().filter(|n| holds(n, of_rule)).count() >= *count,
        Node::Not(node) => !holds(node, of_rule),
        Node::Test(reference) => of_rule.get(*reference as usize).is_some_and(|count| *count > 0),
        Node::Selection(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn entry(value: u64) -> Entry {
        Entry { time: 0, id: 0, source: 0, reference: 0, value, evidence: None }
    }

    fn entries(numbers: impl Iterator<Item = f64>) -> VecDeque<Entry> {
        numbers.map(|number| entry(bits(number))).collect()
    }

    /// The percentile of numbers in their order, by the definition.
    fn percentile(numbers: &[f64], rank: u8) -> f64 {
        let place = f64::from(rank) / 100.0 * (numbers.len() - 1) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        numbers[low] + (numbers[high] - numbers[low]) * (place - low as f64)
    }

    #[track_caller]
    fn check(aggregate: Aggregate, numbers: &[f64], list: &[(Comparison, u64)], expected: bool) {
        let kind = Kind::Aggregate(aggregate, list.to_vec());
        let mut figure = Figure::new(&kind, 1);
        let entries = entries(numbers.iter().copied());
        entries.iter().for_each(|entry| figure.add(entry));
        assert_eq!(figure.fulfils(&kind, entries.iter()), expected, "{aggregate:?} of {numbers:?}");
    }

    #[test]
    fn aggregates_are_compared_exactly() {
        use Aggregate::{Average, Percentile, Sum};
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        check(Sum, &[500.0, 600.0], &[(Greater, 1000)], true);
        check(Sum, &[0.5, 0.25, 0.25], &[(Equal, 1)], true);
        check(Sum, &[], &[(Less, 1)], false);
        check(Sum, &[1e300, 1e300], &[(Greater, u64::MAX)], false);
        check(Sum, &[-5.0, 3.0], &[(GreaterOrEqual, 0)], false);
        check(Average, &[100.0, 200.0, 300.0], &[(GreaterOrEqual, 200)], true);
        check(Average, &[100.0, 200.0, 299.0], &[(GreaterOrEqual, 200)], false);
        check(Average, &[1.0, 2.0], &[(Greater, 1), (Less, 2)], true);
        check(Percentile(50), &[1.0, 2.0, 3.0, 4.0, 5.0], &[(Equal, 3)], true);
        check(Percentile(50), &[10.0, 20.0, 30.0, 40.0], &[(Equal, 25)], true);
        check(Percentile(25), &[10.0, 20.0], &[(Greater, 12), (Less, 13)], true);
        check(Percentile(0), &[5.0, 10.0], &[(LessOrEqual, 5)], true);
        check(Percentile(100), &[5.0, 10.0], &[(NotEqual, 10)], false);
        check(Percentile(95), &[7.0; 9], &[(Equal, 7)], true);
    }

    proptest! {
        #[test]
        fn percentiles_agree_with_their_definition(
            numbers in prop::collection::vec(0u32..50, 1..40),
            rank in 0u8..=100,
            mark in 0u64..50,
            gone in 0usize..20,
        ) {
            let kind = |comparison| Kind::Aggregate(
                Aggregate::Percentile(rank), vec![(comparison, mark)],
            );
            let mut entries = entries(numbers.iter().map(|n| f64::from(*n)));
            let gone = gone.min(numbers.len() - 1);
            let mut figure = Figure::new(&kind(Comparison::Equal), 1);
            for (at, entry) in entries.iter().enumerate() {
                figure.add(entry);
                // It may look for the neighbours of the mark at any time.
                figure.fulfils(&kind(Comparison::Equal), entries.range(..=at));
            }
            for _ in 0..gone {
                let entry = entries.pop_front().expect("one is left");
                figure.remove(&entry);
                figure.fulfils(&kind(Comparison::Equal), entries.iter());
            }
            let mut left: Vec<f64> = numbers[gone..].iter().map(|n| f64::from(*n)).collect();
            left.sort_by(f64::total_cmp);
            let expected = percentile(&left, rank);
            // The plain reading has rounding errors of its own.
            let near = (expected - mark as f64).abs() < 1e-9;
            prop_assert_eq!(figure.fulfils(&kind(Comparison::Equal), entries.iter()), near);
            let less = !near && expected < mark as f64;
            prop_assert_eq!(figure.fulfils(&kind(Comparison::Less), entries.iter()), less);
            prop_assert!(figure.shown(entries.iter()) as f64 <= expected + 1e-9);
        }
    }
}
