//! Who works on which segments: a move, an expiry and a compaction never want the same one.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

/// The segments that somebody works on, by path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(Arc<Mutex<HashSet<String>>>);

/// Segments that are claimed until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    claims: Claims,
    paths: Vec<String>,
}

impl Claims {
    /// Claims all of `paths`, or none when somebody has one of them.
    pub(crate) fn take<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Option<Claim> {
        let paths: Vec<String> = paths.into_iter().map(str::to_string).collect();
        let mut taken = self.0.lock();
        if paths.iter().any(|path| taken.contains(path)) {
            return None;
        }
        taken.extend(paths.iter().cloned());
        Some(Claim { claims: self.clone(), paths })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut taken = self.claims.0.lock();
        for path in &self.paths {
            taken.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_one_who_works_on_it() {
        let claims = Claims::default();
        let first = claims.take(["a", "b"]).unwrap();
        assert!(claims.take(["c", "b"]).is_none());
        let second = claims.take(["c"]).unwrap();
        drop(first);
        assert!(claims.take(["a", "b"]).is_some());
        drop(second);
    }
}
