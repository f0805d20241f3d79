//! A map that says when it is full instead of growing.

use std::borrow::Borrow;
use std::collections::BTreeMap;

/// Counts per key, for at most so many keys. What came for others is counted together.
#[derive(Debug, Clone)]
pub struct Bounded<K, V> {
    entries: BTreeMap<K, V>,
    entries_max: usize,
    left_out: u64,
}

impl<K: Ord, V: Default> Bounded<K, V> {
    /// An empty map with room for so many keys.
    pub fn new(entries_max: usize) -> Self {
        Self { entries: BTreeMap::new(), entries_max, left_out: 0 }
    }

    /// The value of `key`, made if there is room; `None`, and counted, if there is not.
    pub fn entry<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Ord + ToOwned<Owned = K> + ?Sized,
    {
        if !self.entries.contains_key(key) {
            if self.entries.len() >= self.entries_max {
                self.left_out += 1;
                return None;
            }
            self.entries.insert(key.to_owned(), V::default());
        }
        self.entries.get_mut(key)
    }

    /// The entries, in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    /// The entries with the greatest `rank` first, and in order of their keys where it is the same.
    pub fn ranked<R: Ord>(&self, rank: impl Fn(&V) -> R) -> Vec<(&K, &V)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, value)| std::cmp::Reverse(rank(value)));
        entries
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there are no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Observations for which there was no room.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes in all that another map holds; `add` joins two values of one key.
    pub fn merge(&mut self, other: Self, add: impl Fn(&mut V, V))
    where
        K: Clone,
    {
        self.left_out += other.left_out;
        for (key, value) in other.entries {
            if let Some(own) = self.entry(&key) {
                add(own, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_counts_what_it_leaves_out() {
        let mut map: Bounded<String, u64> = Bounded::new(2);
        for key in ["b", "a", "a", "c", "b", "c"] {
            if let Some(count) = map.entry(key) {
                *count += 1;
            }
        }
        assert_eq!((map.len(), map.left_out()), (2, 2));
        assert_eq!(map.ranked(|n| *n), [(&"a".to_string(), &2), (&"b".to_string(), &2)]);
        let mut other: Bounded<String, u64> = Bounded::new(9);
        for key in ["a", "d"] {
            *other.entry(key).unwrap() += 10;
        }
        map.merge(other, |own, more| *own += more);
        assert_eq!(map.iter().next(), Some((&"a".to_string(), &12)));
        assert_eq!(map.left_out(), 3);
    }
}
