//! A keyed hash of short words: multiply and fold, eight bytes at a time.

/// Odd numbers without a pattern: the digits of the golden ratio and of pi.
const A: u64 = 0x9e37_79b9_7f4a_7c15;
const B: u64 = 0x2436_a885_308d_3131;

/// Two numbers into one that depends on every bit of both.
#[inline(always)]
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ A) * u128::from(b ^ B);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The hash of `bytes` under `seed`.
#[inline(always)]
pub(super) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = seed ^ bytes.len() as u64;
    let mut rest = bytes;
    while let Some((head, tail)) = rest.split_first_chunk::<16>() {
        let (low, high) = (half(head, 0), half(head, 8));
        state = mix(state ^ low, high);
        rest = tail;
    }
    let (low, high) = ends(rest);
    mix(state ^ low, high.wrapping_add(A))
}

/// At most 15 bytes as two numbers that overlap where they are few.
#[inline(always)]
fn ends(rest: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (rest.first_chunk::<8>(), rest.last_chunk::<8>()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        return (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    match *rest {
        [a] => (a.into(), 0),
        [a, b] => (u64::from(a) | u64::from(b) << 8, 0),
        [a, b, c] => (u64::from(a) | u64::from(b) << 8 | u64::from(c) << 16, 0),
        _ => (0, 0),
    }
}

#[inline(always)]
fn half(bytes: &[u8; 16], at: usize) -> u64 {
    bytes[at..].first_chunk::<8>().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// FNV-1a, for ids that outlive the process: no key, and the same on every machine.
pub(crate) fn stable(bytes: &[u8], attempt: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ attempt;
    let sum = bytes
        .iter()
        .fold(start, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // FNV's low bits are weak for short texts.
    mix(sum, attempt)
}

/// Hands hashes through as they are: the keys of the miner's maps are hashes already.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AsIs(u64);

impl std::hash::Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(self.0, bytes);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// A map whose keys are hashes.
pub(super) type Map<V> = hashbrown::HashMap<u64, V, std::hash::BuildHasherDefault<AsIs>>;
