//! Retention: the class of each event, and what becomes of a segment when it grows old.
//!
//! A class is a promise for a kind of event: so long at hand, so long in all. The order of classes
//! is the order of their importance; the last is [`DEFAULT`], for what no other class wants. A
//! segment holds events of one class, so that it can be moved or removed whole.

use std::fmt;
use std::sync::{Arc, LazyLock};

use pugmark_event::Batch;

/// Name of the class of events that no other class wants.
pub const DEFAULT: &str = "default";

/// A class, by its place in [`Classify::names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub u16);

/// Says which retention class each event belongs to.
pub trait Classify: Send + Sync + fmt::Debug {
    /// Names of the classes, the most important first. Never empty; [`DEFAULT`] is the last.
    fn names(&self) -> &[Arc<str>];

    /// The class of each row of `batch`: as many as it has rows, each a place in
    /// [`Classify::names`].
    fn classes(&self, batch: &Batch) -> Vec<ClassId>;
}

/// Puts every event in the class [`DEFAULT`].
#[derive(Debug, Clone, Copy, Default)]
pub struct OneClass;

impl Classify for OneClass {
    fn names(&self) -> &[Arc<str>] {
        static NAMES: LazyLock<[Arc<str>; 1]> = LazyLock::new(|| [DEFAULT.into()]);
        &*NAMES
    }

    fn classes(&self, batch: &Batch) -> Vec<ClassId> {
        vec![ClassId(0); batch.rows()]
    }
}
