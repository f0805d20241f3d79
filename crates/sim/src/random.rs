//! Chance from a seed, the same everywhere and for ever.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Chance that follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Chance that follows from a seed and from what it is for. It does not depend on what else
    /// was decided before, so that dropping one action from a run leaves the rest as it was.
    pub fn of(seed: u64, what: &[&[u8]]) -> Self {
        let mut state = mix(seed);
        for part in what {
            for byte in *part {
                state = mix(state ^ u64::from(*byte));
            }
            state = mix(state ^ 0x100);
        }
        Self(state)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// From 0 to below `end`, which is above 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.any()) * u128::from(end)) >> 64) as u64
    }

    /// From 0 to below `end`, which is above 0.
    pub fn index(&mut self, end: usize) -> usize {
        self.below(end as u64) as usize
    }

    /// True `per_mille` times out of a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }
}

fn mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
