//! Runs the test of a rule over events that the caller has parsed.

use std::sync::Arc;

use pugmark_event::Batch;

use crate::detector::Detector;
use crate::load::RuleTest;
use crate::ruleset::RuleSet;

/// A test that did not pass.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CheckError {
    /// The rule is not there, most likely because it could not be loaded.
    #[error("{path}: test `{name}`: the rule {rule} is not loaded; see the problems listed")]
    NoRule {
        /// The file.
        path: String,
        /// The test.
        name: String,
        /// The rule.
        rule: String,
    },
    /// Other than expected.
    #[error("{path}: test `{name}`: {found} detections instead of {expected}")]
    Count {
        /// The file.
        path: String,
        /// The test.
        name: String,
        /// What the test says.
        expected: usize,
        /// What came.
        found: usize,
    },
}

/// Runs `test` over `batches`, the events of its records in their order. Counts detections of its
/// rule alone; a rule that only feeds a correlation needs [`RuleSet::unsilence`] to have any.
///
/// # Errors
/// When the count is another than the test says, or there is no such rule.
pub fn check_test(
    rules: &Arc<RuleSet>,
    test: &RuleTest,
    batches: &[Batch],
) -> Result<(), CheckError> {
    if rules.index_of(&test.rule_id).is_none() {
        return Err(CheckError::NoRule {
            path: test.path.clone(),
            name: test.name.clone(),
            rule: test.rule_id.clone(),
        });
    }
    let mut detector = Detector::new(rules.clone());
    let detections = batches.iter().flat_map(|batch| detector.process(batch));
    let found = detections.filter(|d| d.rule.id == test.rule_id).count();
    match found == test.detections {
        true => Ok(()),
        false => Err(CheckError::Count {
            path: test.path.clone(),
            name: test.name.clone(),
            expected: test.detections,
            found,
        }),
    }
}
