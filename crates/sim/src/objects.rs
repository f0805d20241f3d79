//! Object storage in memory that fails, answers late or twice, and keeps half of what it refused.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use pugmark_store::{DiskRead, ObjectError, Objects};

use crate::random::Random;

/// The storage. It outlives power cuts of the one who uses it.
#[derive(Debug)]
pub struct FakeObjects {
    seed: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<String, Bytes>,
    /// Calls by kind and key.
    calls: BTreeMap<(&'static str, String), u64>,
    /// How often calls fail, in a thousand.
    fails: u64,
}

impl FakeObjects {
    /// A storage without objects.
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { seed, inner: Mutex::default() })
    }

    /// From now on so many calls of a thousand fail.
    pub fn set_fails(&self, fails: u64) {
        self.inner.lock().fails = fails;
    }

    /// The keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        self.inner.lock().objects.keys().cloned().collect()
    }

    /// Chance for one call; whether it fails.
    fn roll(&self, inner: &mut Inner, what: &'static str, key: &str) -> (Random, bool) {
        // The first part of a key is the store's own id, which is new in each run.
        let name = key.split_once('/').map_or(key, |(_, name)| name);
        let calls = inner.calls.entry((what, name.to_string())).or_default();
        *calls += 1;
        let number = calls.to_le_bytes();
        let mut random = Random::of(self.seed, &[what.as_bytes(), name.as_bytes(), &number]);
        let fails = random.chance(inner.fails);
        (random, fails)
    }
}

fn failed() -> ObjectError {
    ObjectError::Failed("the simulated storage does not answer".to_string())
}

impl Objects for FakeObjects {
    fn place(&self) -> &str {
        "sim://objects"
    }

    fn put(&self, key: &str, file: &Arc<dyn DiskRead>) -> Result<(), ObjectError> {
        let read = file.read_at(0, file.len() as usize);
        let bytes = read.map_err(|error| ObjectError::Failed(error.to_string()))?;
        let mut inner = self.inner.lock();
        let (mut random, fails) = self.roll(&mut inner, "put", key);
        // A call that fails may have been carried out all the same: the answer was lost.
        if !fails || random.chance(400) {
            inner.objects.insert(key.to_string(), bytes);
        }
        if fails { Err(failed()) } else { Ok(()) }
    }

    fn get(&self, key: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let mut inner = self.inner.lock();
        let (mut random, fails) = self.roll(&mut inner, "get", key);
        if fails && random.chance(700) {
            return Err(failed());
        }
        let object = inner.objects.get(key).ok_or(ObjectError::Missing)?;
        let (start, end) = (range.start as usize, range.end as usize);
        if end > object.len() {
            return Err(ObjectError::Wrong(format!("{key} has {} bytes alone", object.len())));
        }
        let bytes = object.slice(start..end);
        if !fails || bytes.is_empty() {
            return Ok(bytes);
        }
        // Bytes of another time: a bit is not what it was.
        let mut wrong = bytes.to_vec();
        let at = random.index(wrong.len());
        wrong[at] ^= 1 << random.below(8);
        Ok(wrong.into())
    }

    fn size(&self, key: &str) -> Result<u64, ObjectError> {
        let mut inner = self.inner.lock();
        let (_, fails) = self.roll(&mut inner, "size", key);
        if fails {
            return Err(failed());
        }
        inner.objects.get(key).map(|object| object.len() as u64).ok_or(ObjectError::Missing)
    }

    fn remove(&self, key: &str) -> Result<(), ObjectError> {
        let mut inner = self.inner.lock();
        let (mut random, fails) = self.roll(&mut inner, "remove", key);
        if !fails || random.chance(400) {
            inner.objects.remove(key);
        }
        if fails { Err(failed()) } else { Ok(()) }
    }
}
