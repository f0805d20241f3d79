//! Repeatable randomness: splitmix64 (Steele, Lea, Flood 2014). Not for secrets.

/// A stream of numbers that its seed decides.
pub(super) struct Random(u64);

impl Random {
    /// A stream of its own for one `purpose`, so that a change in one part of the day leaves the
    /// other parts as they were.
    pub(super) fn new(seed: u64, purpose: &str) -> Random {
        let mut stream = Random(seed);
        for byte in purpose.bytes() {
            stream.0 = stream.next() ^ u64::from(byte);
        }
        stream
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` up to, not including, `high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = high.saturating_sub(low).max(1) as u64;
        // The bias of the remainder is below one in 10^12 for the widths used here.
        low + (self.next() % width) as i64
    }

    /// True `percent` times in a hundred.
    pub(super) fn chance(&mut self, percent: i64) -> bool {
        self.between(0, 100) < percent
    }

    /// One of `items`, each as likely as the next.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.between(0, items.len() as i64) as usize]
    }

    /// One of `items`, the first ones far more often than the last ones.
    pub(super) fn favour<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let count = items.len() as i64;
        let index = self.between(0, count) * self.between(0, count) / count;
        &items[index as usize]
    }

    /// A time of day in microseconds after midnight, drawn by the weights of the 24 hours.
    pub(super) fn time_of_day(&mut self, hours: &[u16; 24]) -> i64 {
        let total: i64 = hours.iter().map(|w| i64::from(*w)).sum();
        let mut left = self.between(0, total);
        for (hour, weight) in hours.iter().enumerate() {
            left -= i64::from(*weight);
            if left < 0 {
                return hour as i64 * super::HOUR + self.between(0, super::HOUR);
            }
        }
        super::DAY - 1
    }

    /// `digits` hexadecimal digits.
    pub(super) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.next()));
        }
        text.truncate(digits);
        text
    }
}
