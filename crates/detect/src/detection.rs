//! What matching gives: a detection, the rule behind it, and why it fired.

use std::sync::Arc;

use pugmark_event::time::Micros;
use pugmark_event::{Entity, Severity};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::exception::Exception;

/// Most events that one detection names as evidence.
pub const EVIDENCE_MAX: usize = 100;
/// Longest value shown in a reason, in bytes.
pub const REASON_VALUE_BYTES_MAX: usize = 512;

/// What a rule says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleInfo {
    /// Id, stable over versions; derived from path and title when the rule has none.
    pub id: String,
    /// Hash of what decides when it fires: its text, and that of the rules it refers to.
    #[serde(default)]
    pub version: String,
    /// One line.
    pub title: String,
    /// How bad it is; medium when the rule does not say.
    pub level: Severity,
    /// What it sees and why that matters.
    pub description: String,
    /// Who wrote it.
    pub author: String,
    /// The licence it may be used under; empty where nobody says one.
    #[serde(default)]
    pub license: String,
    /// Pages to read.
    pub references: Vec<String>,
    /// Harmless causes.
    pub falsepositives: Vec<String>,
    /// What to look at and do first, from the key `next_steps`, which is ours; may be empty.
    #[serde(default)]
    pub next_steps: String,
    /// Alerts that it may open in a day, from the key `noise_budget`, which is ours; beyond them
    /// one alert stands for the rest. `None` leaves it to the settings.
    #[serde(default)]
    pub noise_budget: Option<u64>,
    /// Tags such as `attack.t1110`.
    pub tags: Vec<String>,
    /// Product of the log source it reads, if it names one.
    pub product: Option<String>,
    /// Category of the log source it reads, if it names one.
    pub category: Option<String>,
    /// Service of the log source it reads, if it names one.
    pub service: Option<String>,
    /// True when it correlates detections of other rules.
    pub correlation: bool,
    /// The file it came from.
    pub path: String,
    /// YAML of its document.
    pub text: String,
    /// True when it only feeds a correlation and makes no detection itself.
    pub silent: bool,
    /// What it leaves out, and why; filled in when rules are compiled together.
    #[serde(default)]
    pub exceptions: Vec<Exception>,
}

/// One reason why a rule fired: a test that held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Selection of the rule, or `correlation`.
    pub selection: String,
    /// Field as the rule names it.
    pub field: String,
    /// The test: `contains 'Failed password'`.
    pub test: String,
    /// What the event held, cut to [`REASON_VALUE_BYTES_MAX`].
    pub value: String,
}

/// A rule fired.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detection {
    /// Hash of rule id, version, key and completing event: the same events always give the same id.
    pub id: String,
    /// The rule.
    pub rule: Arc<RuleInfo>,
    /// Event time of the event, or of the end of the window.
    pub time: Micros,
    /// The event that completed it.
    pub event_id: i64,
    /// Who or what it is about.
    pub entity: Entity,
    /// Ids of the events behind it, at most [`EVIDENCE_MAX`].
    pub events: Vec<i64>,
    /// Number of events (or of different values) that the rule counted; 1 for an event rule.
    pub count: u64,
    /// Why it fired.
    pub why: Vec<Reason>,
}

/// A stable id out of several parts: 128 bits of SHA-256 as hex. Parts are length-prefixed, so
/// `["ab", "c"]` and `["a", "bc"]` differ.
pub fn stable_id(parts: &[&str]) -> String {
    let digest = digest(parts);
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The version of a rule out of the texts that decide when it fires: 48 bits of the same hash.
pub(crate) fn version(texts: &[&str]) -> String {
    digest(texts)[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first 64 bits of the same hash, for comparing values that an attacker chooses.
pub(crate) fn stable_hash(parts: &[&str]) -> u64 {
    let mut first = [0u8; 8];
    first.copy_from_slice(&digest(parts)[..8]);
    u64::from_be_bytes(first)
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// Cuts a value for showing, at a character boundary, and says so with an ellipsis.
pub fn cut(value: &str) -> String {
    if value.len() <= REASON_VALUE_BYTES_MAX {
        return value.to_string();
    }
    let room = REASON_VALUE_BYTES_MAX - '…'.len_utf8();
    let end = (0..=room).rev().find(|&i| value.is_char_boundary(i)).unwrap_or(0);
    format!("{}…", &value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_parts_do_not_run_together() {
        assert_eq!(stable_id(&["a"]), stable_id(&["a"]));
        assert_ne!(stable_id(&["ab", "c"]), stable_id(&["a", "bc"]));
        assert_eq!(stable_id(&["a"]).len(), 32);
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let cut = cut(&"é".repeat(1000));
        assert!(cut.len() <= REASON_VALUE_BYTES_MAX && cut.ends_with('…'));
    }
}
