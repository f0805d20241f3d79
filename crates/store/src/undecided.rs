//! Changes of which nobody knows whether the manifest has them: its answer was lost, and it could
//! not be asked again.
//!
//! What memory shows stays as it was before the change. The next change of the same kind asks
//! first, and makes memory what the manifest is.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::StoreError;
use crate::manifest::{EVENTS, Shed};
use crate::memtable::Sealed;
use crate::segment::Segment;
use crate::store::Inner;

/// A change that counts commits. There is one at most: the next waits for it to be decided.
pub(crate) enum Undecided {
    /// A flush.
    Flush {
        /// Its events and records set aside; they stay visible.
        sealed: Sealed,
        /// Its counts of shed records.
        shed: Shed,
        /// Its segments.
        segments: Vec<Arc<Segment>>,
    },
    /// Records that left the quarantine, in their segments.
    Replay(Vec<Arc<Segment>>),
}

/// Segments that were to be put in the place of others.
pub(crate) struct Swap {
    /// Which go.
    pub(crate) old: Vec<Arc<Segment>>,
    /// Which come.
    pub(crate) new: Vec<Arc<Segment>>,
}

impl Inner {
    /// Asks the manifest whether it has the change.
    pub(crate) async fn decide(&self, undecided: &mut Option<Undecided>) -> Result<(), StoreError> {
        if undecided.is_none() {
            return Ok(());
        }
        // A change waits for the one before: then that one is decided.
        drop(self.manifest.begin().await?);
        let commits = self.manifest.load(EVENTS).await?.commits;
        let counts = commits > self.state.lock().commits;
        match undecided.take() {
            Some(Undecided::Flush { sealed, shed, segments }) if counts => {
                self.swap(sealed, &shed, segments);
                self.forget().await?;
            }
            Some(Undecided::Flush { sealed, shed, segments }) => {
                segments.iter().for_each(|segment| segment.doom());
                self.unseal(sealed, shed);
            }
            Some(Undecided::Replay(segments)) if counts => self.add_replayed(segments),
            Some(Undecided::Replay(segments)) => {
                segments.iter().for_each(|segment| segment.doom());
            }
            None => {}
        }
        Ok(())
    }

    /// Shows records that left the quarantine as events.
    pub(crate) fn add_replayed(&self, segments: Vec<Arc<Segment>>) {
        let mut state = self.state.lock();
        for (source, rows) in segments.iter().flat_map(|segment| &segment.info.sources) {
            let counts = state.ledger.entry(source.clone()).or_default();
            counts.stored += rows;
            counts.quarantined = counts.quarantined.saturating_sub(*rows);
        }
        let mut all = state.segments.to_vec();
        all.extend(segments);
        state.segments = Arc::new(all);
        state.commits += 1;
    }

    /// Asks the manifest which of the segments that were to be exchanged it has.
    pub(crate) async fn decide_swaps(&self) -> Result<(), StoreError> {
        if self.swaps.lock().is_empty() {
            return Ok(());
        }
        drop(self.manifest.begin().await?);
        let named = self.manifest.load(EVENTS).await?.segments;
        let named: HashSet<&str> = named.iter().map(|info| info.path.as_str()).collect();
        for Swap { old, new } in std::mem::take(&mut *self.swaps.lock()) {
            if old.iter().any(|segment| named.contains(segment.info.path.as_str())) {
                new.iter().for_each(|segment| segment.doom());
                continue;
            }
            let gone: HashSet<&str> = old.iter().map(|s| s.info.path.as_str()).collect();
            let mut state = self.state.lock();
            let stay = state.segments.iter().filter(|s| !gone.contains(s.info.path.as_str()));
            let all: Vec<_> = stay.cloned().chain(new).collect();
            state.segments = Arc::new(all);
            drop(state);
            old.iter().for_each(|segment| segment.doom());
        }
        Ok(())
    }
}
