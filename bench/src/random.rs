//! Chance from a seed: the same everywhere and for ever, so that a corpus has a name.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough for logs.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// From 0 to below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The high half of the product: no bias that a log could show.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// From `start` to below `end`.
    pub(crate) fn between(&mut self, start: u64, end: u64) -> u64 {
        start + self.below(end - start)
    }

    /// From 0.0 to below 1.0.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len() as u64) as usize]
    }

    /// One of the items, as often as its weight says.
    pub(crate) fn weighted<T: Copy>(&mut self, items: &[(u32, T)]) -> T {
        let total: u32 = items.iter().map(|(weight, _)| weight).sum();
        let mut at = self.below(u64::from(total)) as u32;
        for (weight, item) in items {
            if at < *weight {
                return *item;
            }
            at -= weight;
        }
        items[0].1
    }

    /// Bytes with a long tail: many of about `median`, few of a thousand times that.
    pub(crate) fn size(&mut self, median: u64) -> u64 {
        let normal: f64 = (0..6).map(|_| self.unit()).sum::<f64>() - 3.0;
        (median as f64 * (1.8 * normal).exp()) as u64
    }
}

/// The finalizer of SplitMix64: spreads neighbouring numbers over all 64 bits.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Ranks from 0, the first the most frequent: rank k about 1/k as often as the first, as users,
/// hosts, paths and names are in real logs.
pub(crate) struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    pub(crate) fn new(count: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=count).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self { cumulative: weights.collect() }
    }

    pub(crate) fn rank(&self, random: &mut Random) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let at = random.unit() * total;
        self.cumulative.partition_point(|sum| *sum <= at).min(self.cumulative.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut random = Random::new(1234567);
        assert_eq!(random.next(), 6457827717110365317);
        assert_eq!(random.next(), 3203168211198807973);
    }

    #[test]
    fn low_ranks_are_frequent() {
        let (zipf, mut random) = (Zipf::new(1000, 1.0), Random::new(7));
        let mut counts = vec![0; 1000];
        (0..100_000).for_each(|_| counts[zipf.rank(&mut random)] += 1);
        assert!(counts[0] > 10_000 && counts[0] < 16_000, "{}", counts[0]);
        assert!(counts[0] > counts[9] * 7, "{} {}", counts[0], counts[9]);
        assert!(counts[500..].iter().sum::<i32>() > 5_000);
    }
}
