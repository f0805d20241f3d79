//! What was in use lately, up to so many bytes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What keeping a value takes besides its bytes, about.
const OVERHEAD_BYTES: usize = 300;

/// Values that were in use lately. One lock is enough: it is held for a look into a map.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    bytes_max: usize,
    kept: Mutex<Generations<K, V>>,
}

/// Values used since the last turn, and those used only before it, each with its bytes.
#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, (V, usize)>,
    young_bytes: usize,
    old: HashMap<K, (V, usize)>,
}

impl<K: Eq + Hash + Copy, V: Clone> Cache<K, V> {
    /// A cache for about so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self { bytes_max, kept: Mutex::new(Generations { young, young_bytes: 0, old }) }
    }

    fn kept(&self) -> MutexGuard<'_, Generations<K, V>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a key, while it is kept.
    pub(crate) fn get(&self, key: K) -> Option<V> {
        let mut kept = self.kept();
        if let Some((value, _)) = kept.young.get(&key) {
            return Some(value.clone());
        }
        let (value, bytes) = kept.old.remove(&key)?;
        let forgotten = kept.put(key, value.clone(), bytes, self.bytes_max / 2);
        drop(kept);
        drop(forgotten);
        Some(value)
    }

    /// Keeps a value that takes so many bytes for a while, if there is room for it.
    pub(crate) fn put(&self, key: K, value: V, bytes: usize) {
        let bytes = bytes.saturating_add(OVERHEAD_BYTES);
        let forgotten = self.kept().put(key, value, bytes, self.bytes_max / 2);
        // Many values, which are freed while nobody waits for the lock.
        drop(forgotten);
    }
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// Keeps a value; what is forgotten for its sake comes back.
    fn put(&mut self, key: K, value: V, bytes: usize, bytes_max: usize) -> HashMap<K, (V, usize)> {
        let mut forgotten = HashMap::new();
        if bytes > bytes_max {
            return forgotten;
        }
        if self.young_bytes + bytes > bytes_max {
            let young = std::mem::take(&mut self.young);
            forgotten = std::mem::replace(&mut self.old, young);
            self.young_bytes = 0;
        }
        if self.young.insert(key, (value, bytes)).is_none() {
            self.young_bytes += bytes;
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_is_kept_and_no_more_than_may_be() {
        let cache = Cache::new(4000);
        cache.put(0, "used", 100);
        for key in 1..100 {
            cache.put(key, "once", 100);
            assert_eq!(cache.get(0), Some("used"));
            let kept = cache.kept();
            let bytes = |values: &HashMap<i32, (&str, usize)>| 400 * values.len();
            assert_eq!(bytes(&kept.young), kept.young_bytes);
            assert!(bytes(&kept.young) + bytes(&kept.old) <= 4000);
        }
        assert_eq!((cache.get(99), cache.get(80)), (Some("once"), None));
        cache.put(100, "too big", 1701);
        assert_eq!(cache.get(100), None);
        cache.put(100, "too big", usize::MAX);
        assert_eq!(cache.get(100), None);
    }
}
