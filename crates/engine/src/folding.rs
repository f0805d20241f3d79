//! Folding at the door: a record that a shipper sends again is counted and not stored again.
//!
//! Shippers deliver at least once: after an answer that was lost they send the same records again.
//! Of sources that the settings name, a record that equals one that was acknowledged from the same
//! source a moment ago, byte for byte, is folded into it. That means durable: what was refused
//! is not remembered, so it is stored when it comes again.
//!
//! Two equal records may be two things that happened, so nothing is folded unless somebody says so.
//! What is remembered is a hash of each record under keys of this process, so that no sender can
//! write a record that passes for another; after a start nothing is remembered.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};
use parking_lot::Mutex;
use pugmark_event::Records;
use pugmark_event::time::Micros;

/// Records that are remembered, of all sources together; the oldest go first. About 60 bytes each.
const REMEMBERED_MAX: usize = 1 << 20;
/// Longest window: records that come again later are no duplicates of a delivery.
const WINDOW_SECONDS_MAX: u64 = 24 * 3600;

/// Why folding cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum FoldingError {
    /// A pattern of sources is none.
    #[error("{pattern:?} is no pattern of sources: {error}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        error: globset::Error,
    },
    /// No time at all, or too much.
    #[error("a window has 1 to {WINDOW_SECONDS_MAX} seconds; here it has {0}")]
    Window(u64),
}

/// Knows the records that were acknowledged of late from the sources that fold.
pub struct Folding {
    sources: GlobSet,
    window: Micros,
    keys: [RandomState; 2],
    memory: Mutex<Memory>,
}

/// What stands for a record of a source.
type Hash = [u64; 2];

impl Folding {
    /// Folds records of sources with these names, `*` for any part, within a window.
    ///
    /// # Errors
    /// See [`FoldingError`].
    pub fn new(sources: &[String], window: Duration) -> Result<Self, FoldingError> {
        if !(1..=WINDOW_SECONDS_MAX).contains(&window.as_secs()) {
            return Err(FoldingError::Window(window.as_secs()));
        }
        let failed =
            |pattern: &str, error| FoldingError::Pattern { pattern: pattern.into(), error };
        let mut set = GlobSetBuilder::new();
        for pattern in sources {
            set.add(Glob::new(pattern).map_err(|error| failed(pattern, error))?);
        }
        let sources = set.build().map_err(|error| failed(&sources.join(" "), error))?;
        let window = i64::try_from(window.as_micros()).unwrap_or(Micros::MAX);
        let keys = [RandomState::new(), RandomState::new()];
        Ok(Self { sources, window, keys, memory: Mutex::default() })
    }

    /// True when records of this source are folded.
    pub(crate) fn concerns(&self, source: &str) -> bool {
        self.sources.is_match(source)
    }

    /// Takes the records out that equal one before them, or one that was acknowledged within the
    /// window before `now`. `format` is what the sender says they are: another is another meaning.
    pub(crate) fn fold(
        &self,
        (source, format): (&str, Option<&str>),
        records: Records,
        now: Micros,
    ) -> Folded {
        let hash = |record: &[u8]| {
            let one = (source, format, record);
            [self.keys[0].hash_one(one), self.keys[1].hash_one(one)]
        };
        let hashes: Vec<Hash> = records.iter().map(hash).collect();
        let mut known = vec![false; hashes.len()];
        {
            let mut memory = self.memory.lock();
            memory.forget(now.saturating_sub(self.window));
            for (known, hash) in known.iter_mut().zip(&hashes) {
                *known = memory.known.contains(hash);
            }
        }
        let mut folded = Folded::default();
        let mut places: HashMap<Hash, usize> = HashMap::new();
        let mut first = Vec::new();
        for (row, hash) in hashes.into_iter().enumerate() {
            if known[row] {
                folded.again += 1;
            } else if let Some(place) = places.get(&hash) {
                folded.kept[*place].repeats += 1;
            } else {
                places.insert(hash, folded.kept.len());
                folded.kept.push(Kept { hash, repeats: 0 });
                first.push(row);
            }
        }
        folded.records = match first.len() == records.len() {
            true => records,
            false => first.into_iter().map(|row| records.get(row)).collect(),
        };
        folded
    }

    /// Remembers records that are durable since `now`.
    pub(crate) fn remember(&self, acknowledged: &[Kept], now: Micros) {
        let mut memory = self.memory.lock();
        for kept in acknowledged {
            memory.add(kept.hash, now);
        }
    }
}

/// The records of a request without those that are folded.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    /// The first of each.
    pub(crate) records: Records,
    /// Of each what is remembered; empty where nothing is folded.
    pub(crate) kept: Vec<Kept>,
    /// Records that were acknowledged before.
    pub(crate) again: u64,
}

/// A record that is not folded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    hash: Hash,
    /// Records of the same request that are folded into it.
    pub(crate) repeats: u64,
}

impl Folded {
    /// All of these: nothing is folded.
    pub(crate) fn nothing(records: Records) -> Self {
        Self { records, ..Self::default() }
    }
}

/// The records that were acknowledged of late, each once.
#[derive(Debug, Default)]
struct Memory {
    known: HashSet<Hash>,
    /// The same with when, the oldest first.
    order: VecDeque<(Hash, Micros)>,
}

impl Memory {
    /// Forgets what was acknowledged at this moment or before.
    fn forget(&mut self, until: Micros) {
        while self.order.front().is_some_and(|(_, acknowledged)| *acknowledged <= until) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((hash, _)) = self.order.pop_front() {
            self.known.remove(&hash);
        }
    }

    fn add(&mut self, hash: Hash, now: Micros) {
        // Two requests at once may have had the same record: both were stored then.
        if !self.known.insert(hash) {
            return;
        }
        self.order.push_back((hash, now));
        if self.order.len() > REMEMBERED_MAX {
            self.forget_oldest();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pugmark_event::time::SECOND;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn folding(sources: &[&str]) -> Folding {
        let sources: Vec<String> = sources.iter().map(|source| source.to_string()).collect();
        Folding::new(&sources, WINDOW).unwrap()
    }

    fn records(texts: &[&str]) -> Records {
        texts.iter().map(|text| text.as_bytes()).collect()
    }

    fn texts(folded: &Folded) -> Vec<&str> {
        folded.records.iter().map(|record| std::str::from_utf8(record).unwrap()).collect()
    }

    fn repeats(folded: &Folded) -> u64 {
        folded.kept.iter().map(|kept| kept.repeats).sum()
    }

    #[test]
    fn what_was_not_acknowledged_is_not_remembered() {
        let folding = folding(&["app-*"]);
        assert!(folding.concerns("app-1") && !folding.concerns("app") && !folding.concerns("web"));
        let fold = |texts: &[&str], now| folding.fold(("app-1", None), records(texts), now);
        let first = fold(&["a", "b", "a", "a"], 0);
        assert_eq!((texts(&first), repeats(&first), first.again), (vec!["a", "b"], 2, 0));
        // The request was refused, and comes again; then the half of it with `a` is acknowledged.
        let again = fold(&["a", "b", "a", "a"], SECOND);
        assert_eq!((texts(&again), repeats(&again)), (vec!["a", "b"], 2));
        folding.remember(&again.kept[..1], SECOND);
        let third = fold(&["a", "b", "c"], 2 * SECOND);
        assert_eq!((texts(&third), repeats(&third), third.again), (vec!["b", "c"], 0, 1));
        // Another source, another meaning.
        for other in [("app-2", None), ("app-1", Some("json"))] {
            assert_eq!(folding.fold(other, records(&["a"]), 2 * SECOND).again, 0);
        }
        // Repeats do not make the window longer.
        assert_eq!(fold(&["a"], 60 * SECOND).again, 1);
        assert_eq!(fold(&["a"], 61 * SECOND).again, 0);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let mut memory = Memory::default();
        for n in 0..REMEMBERED_MAX as u64 + 10 {
            memory.add([n, 0], 1);
            memory.add([n, 0], 2);
        }
        assert_eq!((memory.known.len(), memory.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!memory.known.contains(&[9, 0]) && memory.known.contains(&[10, 0]));
        memory.forget(1);
        assert_eq!((memory.known.len(), memory.order.len()), (0, 0));
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        let wrong = |sources: &[&str], seconds| {
            let sources: Vec<String> = sources.iter().map(|source| source.to_string()).collect();
            let error = Folding::new(&sources, Duration::from_secs(seconds)).err();
            error.map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(wrong(&["a["], 60).contains("\"a[\" is no pattern"));
        assert!(wrong(&["a"], 0).contains("1 to 86400 seconds"));
        assert!(wrong(&["a"], 86_401).contains("here it has 86401"));
        assert_eq!(wrong(&["a", "b-*"], 60), "");
    }

    proptest! {
        /// What is stored is the first of equal records within a window; the rest is counted.
        #[test]
        fn the_first_occurrences_are_stored(
            requests in prop::collection::vec(
                (0i64..40, 0usize..2, prop::collection::vec(0u8..6, 0..8), any::<bool>()),
                0..30,
            ),
        ) {
            let folding = folding(&["*"]);
            let (mut now, mut acknowledged) = (0, Vec::<(usize, u8, Micros)>::new());
            for (pause, source, words, taken) in requests {
                now += pause * SECOND;
                let window = WINDOW.as_micros() as Micros;
                let mut expected = Vec::new();
                for word in &words {
                    let before = |(s, w, at): &(usize, u8, Micros)| {
                        *s == source && w == word && now - at < window
                    };
                    if !expected.contains(word) && !acknowledged.iter().any(before) {
                        expected.push(*word);
                    }
                }
                let name = ["web", "dns"][source];
                let all: Records = words.iter().map(std::slice::from_ref).collect();
                let folded = folding.fold((name, None), all, now);
                let stored: Vec<u8> = folded.records.iter().map(|record| record[0]).collect();
                prop_assert_eq!(&stored, &expected);
                let count = stored.len() as u64 + folded.again + repeats(&folded);
                prop_assert_eq!(count, words.len() as u64);
                if taken {
                    folding.remember(&folded.kept, now);
                    acknowledged.extend(stored.iter().map(|word| (source, *word, now)));
                }
            }
        }
    }
}
