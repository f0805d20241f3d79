//! Cleaning: what is done to a record so that it can be read, while its bytes stay as they are.
//!
//! [`plain`] takes terminal escapes out of text that is shown, [`decode`] reads bytes that are no
//! UTF-8, and [`Skew`] tells what a source's clock is wrong by. All of them are functions of their
//! arguments; none changes the record that is kept.

mod encoding;
mod plain;
mod skew;

pub use encoding::{Encoding, decode};
pub use plain::plain;
pub use skew::{Cause, Estimate, Skew};
