//! Rules over batches: Sigma, correlations, detections and why they fired.
//!
//! Floor 1: a pure function of batches and rules. [`load()`] reads rule texts, [`RuleSet`] compiles
//! them, [`Detector`] runs them over a stream in event time.
//!
//! Who a detection is about is written down in `entity.rs`; how field names find their values in
//! `view.rs`; which rules read which events in `logsource.rs`.

mod check;
mod checkpoint;
mod correlation;
mod cost;
pub mod detection;
mod detector;
mod entity;
mod exception;
mod explain;
mod hit;
mod lint;
mod load;
mod logsource;
mod matcher;
mod needs;
mod origins;
mod pattern;
mod placeholders;
mod predicate;
mod required;
mod rule;
mod ruleset;
mod select;
mod sigma;
mod view;

#[cfg(test)]
mod tests;

pub use check::{CheckError, check_test};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use correlation::LATENESS;
pub use cost::{Costs, Stopwatch};
pub use detection::{Detection, EVIDENCE_MAX, Reason, RuleInfo, stable_id};
pub use detector::{Detector, Firing};
pub use exception::{Exception, ExceptionCheck};
pub use explain::{Near, Verdict};
pub use hit::Hit;
pub use lint::{Known, KnownSource, Lint, LintLevel, lint};
pub use load::{Loaded, Problem, RULE_FILE_BYTES_MAX, RuleSource, RuleTest, load};
pub use needs::Needs;
pub use rule::Rule;
pub use ruleset::{Match, RuleSet};
pub use select::{bound, select};
