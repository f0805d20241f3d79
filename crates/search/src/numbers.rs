//! Numbers for keys of at most 16 bytes, found for many keys at once.
//!
//! A table of many keys is not near the processor: most of the time goes into waiting for memory.
//! The places of several keys are therefore read before any of them is compared, so that the waits
//! fall together.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

/// Keys that are looked for together.
const AT_ONCE: usize = 16;
/// Least room of a table that holds anything, a power of two.
const ROOM_MIN: usize = 64;

/// A key that is not 0, and its number.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: u128,
    number: u32,
}

/// The numbers of keys: a table in which a key stands in its place or in one of the next.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// A power of two of them, at most half of which are in use.
    slots: Vec<Slot>,
    keys: usize,
    hasher: RandomState,
}

impl Numbers {
    /// Memory in use.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }

    /// Makes room for so many more keys.
    pub(crate) fn reserve(&mut self, more: usize) {
        let room = (2 * (self.keys + more)).next_power_of_two().max(ROOM_MIN);
        if room <= self.slots.len() {
            return;
        }
        for slot in std::mem::replace(&mut self.slots, vec![Slot::default(); room]) {
            if slot.key != 0 {
                let place = self.free(slot.key);
                self.slots[place] = slot;
            }
        }
    }

    /// The number of a key, which is not 0.
    pub(crate) fn get(&self, key: u128) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = self.slots[self.free(key)];
        (slot.key == key).then_some(slot.number)
    }

    /// The number of a key, which is not 0; that of a new one is given by `new`.
    pub(crate) fn number(&mut self, key: u128, new: impl FnOnce() -> u32) -> u32 {
        self.reserve(1);
        self.number_from(self.place(key), key, new)
    }

    /// Calls `each` with the place in the list and the number of each key, none of which is 0; that
    /// of a new one is given by `new`, told its place.
    pub(crate) fn each(
        &mut self,
        keys: &[u128],
        mut new: impl FnMut(usize) -> u32,
        mut each: impl FnMut(usize, u32),
    ) {
        for (start, keys) in (0..).step_by(AT_ONCE).zip(keys.chunks(AT_ONCE)) {
            self.reserve(keys.len());
            let mut places = [0; AT_ONCE];
            let mut slots = [Slot::default(); AT_ONCE];
            for (place, key) in places.iter_mut().zip(keys) {
                *place = self.place(*key);
            }
            for (slot, place) in slots.iter_mut().zip(&places[..keys.len()]) {
                *slot = self.slots[*place];
            }
            for (at, key) in keys.iter().enumerate() {
                let number = match slots[at].key == *key {
                    true => slots[at].number,
                    false => self.number_from(places[at], *key, || new(start + at)),
                };
                each(start + at, number);
            }
        }
    }

    /// Where a key stands if nothing else does.
    fn place(&self, key: u128) -> usize {
        self.hasher.hash_one(key) as usize & (self.slots.len() - 1)
    }

    /// Where a key stands, or would.
    fn free(&self, key: u128) -> usize {
        self.find_from(self.place(key), key)
    }

    fn find_from(&self, mut place: usize, key: u128) -> usize {
        while self.slots[place].key != key && self.slots[place].key != 0 {
            place = (place + 1) & (self.slots.len() - 1);
        }
        place
    }

    /// There is room for one more.
    fn number_from(&mut self, place: usize, key: u128, new: impl FnOnce() -> u32) -> u32 {
        let place = self.find_from(place, key);
        let slot = &mut self.slots[place];
        if slot.key == 0 {
            *slot = Slot { key, number: new() };
            self.keys += 1;
        }
        slot.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_have_equal_numbers() {
        let mut numbers = Numbers::default();
        assert_eq!((numbers.get(1), numbers.bytes()), (None, 0));
        let keys: Vec<u128> =
            (0..10_000).map(|key| 1 + key % 5_000 * (u128::MAX / 5_000)).collect();
        let (mut next, mut found) = (0, Vec::new());
        let mut new = |_| {
            next += 1;
            next - 1
        };
        numbers.each(&keys, &mut new, |place, number| found.push((place, number)));
        let expected: Vec<(usize, u32)> = (0..10_000).map(|n| (n, n as u32 % 5_000)).collect();
        assert_eq!(found, expected);
        assert_eq!(numbers.get(keys[7]), Some(7));
        assert_eq!(numbers.get(keys[7] + 1), None);
        assert_eq!(numbers.number(keys[7], || 99), 7);
        assert_eq!(numbers.number(keys[7] + 1, || 99), 99);
        assert!(numbers.bytes() >= 5_001 * 32);
        // Twice in one list before it is there.
        let mut both = Vec::new();
        numbers.each(&[77, 77, 78], |place| place as u32 + 200, |_, number| both.push(number));
        assert_eq!(both, [200, 200, 202]);
    }
}
