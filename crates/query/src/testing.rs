//! What tests of several files need.

use crate::parse;

/// `text` means `expected`, which is how the plan is written back.
#[track_caller]
pub(crate) fn check(text: &str, expected: &str) {
    let plan = parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    assert_eq!(plan.to_string(), expected, "{text}");
    assert_eq!(parse(expected).as_ref(), Ok(&plan), "{expected}");
}
