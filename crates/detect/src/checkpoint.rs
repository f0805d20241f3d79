//! What rules over time know at some event, so that a process that ends goes on where it was.
//!
//! States belong to a rule by its id and its [version](crate::RuleInfo::version): rules that
//! changed start anew, the others keep what they know.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use pugmark_event::time::Micros;
use serde::{Deserialize, Serialize};

use crate::correlation::Correlation;
use crate::correlation::state::State;
use crate::correlation::window::Entry;
use crate::detection::RuleInfo;

/// The form of the bytes; another one is not read.
const FORMAT: u32 = 1;

/// Why bytes are no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// They were cut, or are something else.
    #[error("the checkpoint of detection cannot be read: {0}")]
    Damaged(#[from] postcard::Error),
    /// Another version of Pugmark wrote them.
    #[error("the checkpoint of detection has format {0}, this version reads {FORMAT}")]
    Format(u32),
}

/// What all correlations of a rule set know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    format: u32,
    /// The id of the first event that they have not seen.
    pub next: i64,
    rules: Vec<RuleState>,
}

/// What one correlation knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct RuleState {
    id: String,
    version: String,
    state: StateImage,
}

/// A state: its keys, the stalest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct StateImage {
    pub(crate) keys: Vec<KeyImage>,
    pub(crate) evicted: u64,
}

/// One key of a state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeyImage {
    pub(crate) key: Arc<str>,
    pub(crate) received: Micros,
    pub(crate) entries: VecDeque<Entry>,
    pub(crate) fired: VecDeque<Micros>,
}

impl Checkpoint {
    pub(crate) fn new<'s>(
        next: i64,
        known: impl Iterator<Item = (&'s RuleInfo, &'s State)>,
    ) -> Self {
        let rules = known.map(|(info, state)| RuleState {
            id: info.id.clone(),
            version: info.version.clone(),
            state: state.image(),
        });
        Self { format: FORMAT, next, rules: rules.collect() }
    }

    /// What it knows of a correlation.
    pub(crate) fn state(&self, info: &RuleInfo, rule: &Correlation) -> Option<State> {
        let same = |known: &&RuleState| known.id == info.id && known.version == info.version;
        self.rules.iter().find(same).map(|known| State::of(rule, &known.state))
    }

    /// Adds what another knows of rules that this one does not know.
    #[must_use]
    pub fn join(mut self, other: Checkpoint) -> Self {
        let known: HashSet<String> = self.rules.iter().map(|rule| rule.id.clone()).collect();
        self.rules.extend(other.rules.into_iter().filter(|rule| !known.contains(&rule.id)));
        self
    }

    /// Keys that it knows, over all rules.
    pub fn keys(&self) -> usize {
        self.rules.iter().map(|rule| rule.state.keys.len()).sum()
    }

    /// As bytes, to be kept.
    ///
    /// # Errors
    /// None in practice: what it holds can always be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        Ok(postcard::to_allocvec(self)?)
    }

    /// Reads such bytes.
    ///
    /// # Errors
    /// When they are no checkpoint of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let (format, _) = postcard::take_from_bytes::<u32>(bytes)?;
        if format != FORMAT {
            return Err(CheckpointError::Format(format));
        }
        Ok(postcard::from_bytes(bytes)?)
    }
}
