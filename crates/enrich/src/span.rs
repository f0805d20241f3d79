//! Ranges of numbers, made flat: each number has the value of the innermost range around it.
//!
//! Addresses (nested networks, the longest prefix wins) and validity (a short lease within a long
//! assignment) are the same question. Flattened once, it is answered by one binary search.

/// A number with a next one.
pub(crate) trait Point: Copy + Ord {
    /// The number after this; `None` after the last.
    fn next(self) -> Option<Self>;
}

macro_rules! points {
    ($($number:ty)*) => {$(
        impl Point for $number {
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
        }
    )*};
}
points!(u32 u128 i64);

/// The value of points that are in no range. Values are positions in a list of the owner's.
pub(crate) const NONE: u32 = u32::MAX;

/// A flat list: from `starts[i]` up to the next start the value is `values[i]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spans<P> {
    starts: Vec<P>,
    values: Vec<u32>,
}

impl<P> Default for Spans<P> {
    fn default() -> Self {
        Self { starts: Vec::new(), values: Vec::new() }
    }
}

impl<P: Point> Spans<P> {
    /// Flattens ranges (first, last, value). Of ranges that are equal the one given last counts;
    /// of ranges that cross, the one that begins later. A range that ends before it begins is none.
    pub(crate) fn of(mut ranges: Vec<(P, P, u32)>) -> Self {
        ranges.retain(|(first, last, _)| first <= last);
        ranges.sort_by_key(|(first, last, _)| (*first, std::cmp::Reverse(*last)));
        let mut flat = Self::default();
        let mut open: Vec<(P, u32)> = Vec::new();
        for (first, last, value) in ranges {
            flat.close(&mut open, Some(first));
            flat.push(first, value);
            open.push((last, value));
        }
        flat.close(&mut open, None);
        flat
    }

    /// Ends the open ranges that end before `until`, the innermost first.
    fn close(&mut self, open: &mut Vec<(P, u32)>, until: Option<P>) {
        while let Some((last, _)) = open.last().copied() {
            if until.is_some_and(|until| last >= until) {
                return;
            }
            // What ended under it, where ranges cross, has ended as well.
            while open.last().is_some_and(|(below, _)| *below <= last) {
                open.pop();
            }
            if let Some(after) = last.next() {
                self.push(after, open.last().map_or(NONE, |(_, value)| *value));
            }
        }
    }

    /// Adds a start at or after the last one. Neighbours with one value become one.
    fn push(&mut self, start: P, value: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last().copied().unwrap_or(NONE) != value {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    /// Takes the two lists as they are, if the starts go up.
    pub(crate) fn from_parts(starts: Vec<P>, values: Vec<u32>) -> Option<Self> {
        let sound = starts.len() == values.len() && starts.is_sorted_by(|a, b| a < b);
        sound.then_some(Self { starts, values })
    }

    /// Starts and values.
    pub(crate) fn parts(&self) -> (&[P], &[u32]) {
        (&self.starts, &self.values)
    }

    /// The value at a point.
    pub(crate) fn find(&self, point: P) -> Option<u32> {
        let after = self.starts.partition_point(|start| *start <= point);
        self.values.get(after.checked_sub(1)?).copied().filter(|value| *value != NONE)
    }

    /// Both lists in one: `join` makes one value of two, each of which may be [`NONE`].
    pub(crate) fn zip(&self, other: &Self, mut join: impl FnMut(u32, u32) -> u32) -> Self {
        let mut joined = Self::default();
        let (mut a, mut b) = (0, 0);
        loop {
            let start = match (self.starts.get(a), other.starts.get(b)) {
                (Some(x), Some(y)) => *x.min(y),
                (Some(x), None) | (None, Some(x)) => *x,
                (None, None) => return joined,
            };
            a += usize::from(self.starts.get(a) == Some(&start));
            b += usize::from(other.starts.get(b) == Some(&start));
            let value = |spans: &Self, next: usize| match next {
                0 => NONE,
                next => spans.values[next - 1],
            };
            joined.push(start, join(value(self, a), value(other, b)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(ranges: &[(u32, u32, u32)], expected: &[(u32, u32)]) {
        let flat = Spans::of(ranges.to_vec());
        let found: Vec<_> = flat.starts.iter().copied().zip(flat.values.iter().copied()).collect();
        assert_eq!(found, expected, "{ranges:?}");
    }

    #[test]
    fn the_innermost_range_counts() {
        check(&[], &[]);
        check(&[(5, 9, 1)], &[(5, 1), (10, NONE)]);
        check(&[(0, u32::MAX, 1)], &[(0, 1)]);
        check(&[(0, 9, 1), (3, 4, 2)], &[(0, 1), (3, 2), (5, 1), (10, NONE)]);
        check(&[(0, 9, 1), (0, 9, 2)], &[(0, 2), (10, NONE)]);
        check(&[(0, 9, 1), (0, 4, 2), (5, 9, 3)], &[(0, 2), (5, 3), (10, NONE)]);
        check(&[(0, 4, 1), (5, 9, 1)], &[(0, 1), (10, NONE)]);
        check(&[(0, 5, 1), (3, 9, 2)], &[(0, 1), (3, 2), (10, NONE)]);
        check(&[(7, 3, 1)], &[]);
    }

    #[test]
    fn starts_go_up() {
        assert!(Spans::from_parts(vec![1u32, 2], vec![0, 1]).is_some());
        assert!(Spans::from_parts(vec![2u32, 2], vec![0, 1]).is_none());
        assert!(Spans::from_parts(vec![1u32], vec![0, 1]).is_none());
    }

    /// Nested or disjoint ranges, as networks are: (first, size as a power of two).
    fn networks() -> impl Strategy<Value = Vec<(u32, u32, u32)>> {
        let network = (0u32..64, 0u32..7).prop_map(|(at, bits)| {
            let first = (at >> bits) << bits;
            (first, first + (1 << bits) - 1)
        });
        prop::collection::vec(network, 0..12).prop_map(|all| {
            (0..).zip(all).map(|(value, (first, last))| (first, last, value)).collect()
        })
    }

    /// The smallest range around the point; of equal ones the last.
    fn slow(ranges: &[(u32, u32, u32)], point: u32) -> Option<u32> {
        let around = ranges.iter().rev().filter(|(a, b, _)| (*a..=*b).contains(&point));
        around.min_by_key(|(a, b, _)| b - a).map(|(_, _, value)| *value)
    }

    proptest! {
        #[test]
        fn a_search_finds_the_smallest_network(ranges in networks(), others in networks()) {
            let (one, two) = (Spans::of(ranges.clone()), Spans::of(others.clone()));
            let both = one.zip(&two, |a, b| match (a, b) { (NONE, NONE) => NONE, (a, b) =>
                a.wrapping_add(1) * 100 + b.wrapping_add(1) });
            for point in 0..130 {
                let (a, b) = (slow(&ranges, point), slow(&others, point));
                prop_assert_eq!(one.find(point), a);
                let joined = (a.is_some() || b.is_some())
                    .then(|| a.map_or(0, |a| a + 1) * 100 + b.map_or(0, |b| b + 1));
                prop_assert_eq!(both.find(point), joined);
            }
        }

        #[test]
        fn crossing_ranges_cover_what_they_cover(
            ranges in prop::collection::vec((0i64..50, 0i64..50, 0u32..9), 0..9),
        ) {
            let flat = Spans::of(ranges.clone());
            prop_assert!(Spans::from_parts(flat.starts.clone(), flat.values.clone()).is_some());
            for point in 0..60 {
                let covered = ranges.iter().any(|(a, b, _)| (*a..=*b).contains(&point));
                prop_assert_eq!(flat.find(point).is_some(), covered, "{}", point);
            }
        }
    }
}
