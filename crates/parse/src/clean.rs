//! Cleaning: what is done to a record so that it can be read, while its bytes stay as they are.
//!
//! [`plain`] takes terminal escapes out of text that is shown, [`decode`] reads bytes that are no
//! UTF-8, [`Skew`] tells what a source's clock is wrong by, [`correct_clock`] moves times by it.
//! All of them are functions of their arguments; none changes the record that is kept.

mod clock;
mod encoding;
mod plain;
mod skew;

pub use clock::{CORRECTION_SECONDS_MAX, correct_clock, is_own_time, written_time};
pub use encoding::{Encoding, decode};
pub use plain::plain;
pub use skew::{Cause, Estimate, Skew};
