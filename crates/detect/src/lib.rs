//! Rules over batches: Sigma, correlations, detections and why they fired.

pub mod detection;

pub use detection::{Detection, EVIDENCE_MAX, Reason, RuleInfo, stable_id};
