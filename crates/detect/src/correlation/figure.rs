//! What a correlation counts in a window, kept up to date as entries come and go.
//!
//! Every figure is exact and does not depend on the order in which entries came: sums are whole
//! numbers of a small unit, and a percentile knows how many values lie on either side of what it is
//! compared with. Each entry costs a few steps, however many the window holds.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::Kind;
use super::window::Entry;
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
    /// Numbers in their order, and how many lie where.
    Percentile { rank: u8, numbers: BTreeMap<i128, u32>, count: u64, marks: Vec<Mark> },
    /// How many entries are of each referenced rule.
    Seen(Vec<u32>),
}

/// A number that a percentile is compared with.
#[derive(Debug)]
pub(crate) struct Mark {
    number: i128,
    below: u64,
    up_to: u64,
}

impl Figure {
    /// The figure of no entries.
    pub(crate) fn new(kind: &Kind, refs: usize) -> Self {
        match kind {
            Kind::EventCount(_) => Figure::Count(0),
            Kind::ValueCount(_) => Figure::Distinct(HashMap::new()),
            Kind::Aggregate(Aggregate::Percentile(rank), list) => {
                let mark = |&(_, number)| Mark { number: whole(number), below: 0, up_to: 0 };
                let (numbers, marks) = (BTreeMap::new(), list.iter().map(mark).collect());
                Figure::Percentile { rank: *rank, numbers, count: 0, marks }
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
            Figure::Percentile { numbers, count, marks, .. } => {
                let number = number(entry);
                *numbers.entry(number).or_default() += 1;
                *count += 1;
                for mark in marks {
                    mark.below += u64::from(number < mark.number);
                    mark.up_to += u64::from(number <= mark.number);
                }
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
            Figure::Percentile { numbers, count, marks, .. } => {
                let number = number(entry);
                if let Some(same) = numbers.get_mut(&number) {
                    *same -= 1;
                    if *same == 0 {
                        numbers.remove(&number);
                    }
                }
                *count -= 1;
                for mark in marks {
                    mark.below -= u64::from(number < mark.number);
                    mark.up_to -= u64::from(number <= mark.number);
                }
            }
            Figure::Seen(of_rule) => of_rule[entry.reference as usize] -= 1,
        }
    }

    /// True when the window fulfils the correlation. The order of rules is the window's to look at.
    pub(crate) fn fulfils(&self, kind: &Kind) -> bool {
        match (self, kind) {
            (Figure::Count(count), Kind::EventCount(list)) => all(list, |n| count.cmp(&n)),
            (Figure::Distinct(values), Kind::ValueCount(list)) => {
                let count = values.len() as u64;
                all(list, |n| count.cmp(&n))
            }
            (Figure::Total { aggregate, sum, count }, Kind::Aggregate(_, list)) => {
                let times = if *aggregate == Aggregate::Average { i128::from(*count) } else { 1 };
                *count > 0 && all(list, |n| sum.cmp(&(whole(n) * times)))
            }
            (Figure::Percentile { rank, numbers, count, marks }, Kind::Aggregate(_, list)) => {
                let sides = marks.iter().map(|mark| mark.side(*rank, numbers, *count));
                *count > 0
                    && list.iter().zip(sides).all(|((comparison, _), side)| is(*comparison, side))
            }
            (Figure::Seen(of_rule), Kind::Temporal(node)) => holds(node, of_rule),
            _ => false,
        }
    }

    /// What is counted, as a whole number. Looks at all numbers where it is a percentile.
    pub(crate) fn shown(&self) -> u64 {
        let units = |units: i128| u64::try_from(units >> FRACTION_BITS).unwrap_or_default();
        match self {
            Figure::Count(count) => *count,
            Figure::Distinct(values) => values.len() as u64,
            Figure::Total { aggregate: Aggregate::Average, sum, count } => {
                units(sum / i128::from(*count).max(1))
            }
            Figure::Total { sum, .. } => units(*sum),
            Figure::Percentile { rank, numbers, count, .. } => {
                let at = u64::from(*rank) * count.saturating_sub(1) / 100;
                let mut before = 0;
                let found = numbers.iter().find(|(_, same)| {
                    before += u64::from(**same);
                    before > at
                });
                found.map_or(0, |(number, _)| units(*number))
            }
            Figure::Seen(of_rule) => of_rule.iter().map(|count| u64::from(*count)).sum(),
        }
    }
}

impl Mark {
    /// On which side of the mark the percentile lies.
    fn side(&self, rank: u8, numbers: &BTreeMap<i128, u32>, count: u64) -> Ordering {
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
        let under = numbers.range(..self.number).next_back().map_or(self.number, |(n, _)| *n);
        let over = numbers.range(self.number..).next().map_or(self.number, |(n, _)| *n);
        let between = i128::from(between);
        (under * (100 - between) + over * between).cmp(&(self.number * 100))
    }
}

/// The bits that an entry of a number has as its value.
pub(crate) fn bits(number: f64) -> u64 {
    number.clamp(-NUMBER_MAX, NUMBER_MAX).to_bits()
}

fn number(entry: &Entry) -> i128 {
    (f64::from_bits(entry.value) * (1u64 << FRACTION_BITS) as f64) as i128
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
    use proptest::prelude::*;

    use super::*;

    fn entry(value: u64) -> Entry {
        Entry { time: 0, id: 0, source: 0, reference: 0, value, evidence: None }
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
        numbers.iter().for_each(|number| figure.add(&entry(bits(*number))));
        assert_eq!(figure.fulfils(&kind), expected, "{aggregate:?} of {numbers:?}");
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
            let mut figure = Figure::new(&kind(Comparison::Equal), 1);
            numbers.iter().for_each(|n| figure.add(&entry(bits(f64::from(*n)))));
            let gone = gone.min(numbers.len() - 1);
            numbers[..gone].iter().for_each(|n| figure.remove(&entry(bits(f64::from(*n)))));
            let mut left: Vec<f64> = numbers[gone..].iter().map(|n| f64::from(*n)).collect();
            left.sort_by(f64::total_cmp);
            let expected = percentile(&left, rank);
            // The plain reading has rounding errors of its own.
            let near = (expected - mark as f64).abs() < 1e-9;
            prop_assert_eq!(figure.fulfils(&kind(Comparison::Equal)), near);
            let less = !near && expected < mark as f64;
            prop_assert_eq!(figure.fulfils(&kind(Comparison::Less)), less);
            prop_assert!(figure.shown() as f64 <= expected + 1e-9);
        }
    }
}
