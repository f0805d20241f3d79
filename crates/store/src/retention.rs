//! Retention: the class of each event, and what becomes of a segment when it grows old.
//!
//! A class is a promise for a kind of event: so long at hand, so long in all. The order of classes
//! is the order of their importance; the last is [`DEFAULT`], for what no other class wants. A
//! segment holds events of one class, so that it can be moved or removed whole.

pub(crate) mod age;
pub(crate) mod claims;
mod hold;
mod plan;

use std::fmt;
use std::sync::{Arc, LazyLock};

use pugmark_event::Batch;

pub use age::Aged;
pub(crate) use age::Aging;
pub(crate) use claims::Claims;
pub use hold::Hold;
pub(crate) use plan::{Action, Conditions, Kept, Relief, Step, plan, preview, relieve};
pub use plan::{Amount, ClassPreview, Preview};

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

/// Longest name of a class.
const NAME_BYTES_MAX: usize = 64;

/// A retention class: how long its events are kept, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its name: small letters, digits, `_` and `-`, since it is part of paths.
    pub name: Arc<str>,
    /// Days on the local disk, after which a segment moves to object storage. `None`: for ever.
    pub days_hot: Option<u32>,
    /// Days in all, after which a segment is deleted. `None`: for ever.
    pub days_total: Option<u32>,
    /// Nothing of it may be deleted.
    pub hold: bool,
}

impl Class {
    /// A class whose events stay where they are.
    pub fn for_ever(name: &str) -> Self {
        Self { name: name.into(), days_hot: None, days_total: None, hold: false }
    }
}

/// Why classes cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClassError {
    /// The name does not fit into a path.
    #[error(
        "{0:?} is no name for a retention class: use small letters, digits, _ and -, at most {max}",
        max = NAME_BYTES_MAX
    )]
    Name(String),
    /// Two classes have one name.
    #[error("the retention class {0} is there twice; give one of them another name")]
    Twice(String),
    /// Other classes come after the one that takes the rest.
    #[error("the retention class {DEFAULT} takes what no other class wants: put it last")]
    DefaultNotLast,
    /// It would be deleted before it moves.
    #[error(
        "the retention class {class} has days_hot = {days_hot} and days_total = {days_total}: \
         what is deleted after {days_total} days cannot be hot for longer"
    )]
    HotBeyondTotal {
        /// The class.
        class: String,
        /// Days on the local disk.
        days_hot: u32,
        /// Days in all.
        days_total: u32,
    },
    /// More than a class number can tell apart.
    #[error("there are {0} retention classes; at most {max} are possible", max = CLASSES_MAX)]
    TooMany(usize),
}

/// Classes at most. Each makes segments of its own, and small segments cost every question.
pub const CLASSES_MAX: usize = 64;

/// The classes of the settings, the most important first; the last is [`DEFAULT`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes(Vec<Class>);

impl Default for Classes {
    fn default() -> Self {
        Self(vec![Class::for_ever(DEFAULT)])
    }
}

impl Classes {
    /// Checks `classes`, and adds [`DEFAULT`] when it is not there.
    ///
    /// # Errors
    /// When they contradict each other; see [`ClassError`].
    pub fn new(mut classes: Vec<Class>) -> Result<Self, ClassError> {
        for (place, class) in classes.iter().enumerate() {
            let name = &*class.name;
            if !is_name(name) {
                return Err(ClassError::Name(name.into()));
            }
            if classes[..place].iter().any(|other| *other.name == *name) {
                return Err(ClassError::Twice(name.into()));
            }
            if name == DEFAULT && place + 1 < classes.len() {
                return Err(ClassError::DefaultNotLast);
            }
            if let (Some(days_hot), Some(days_total)) = (class.days_hot, class.days_total)
                && days_hot > days_total
            {
                let class = name.into();
                return Err(ClassError::HotBeyondTotal { class, days_hot, days_total });
            }
        }
        if classes.last().is_none_or(|last| &*last.name != DEFAULT) {
            classes.push(Class::for_ever(DEFAULT));
        }
        if classes.len() > CLASSES_MAX {
            return Err(ClassError::TooMany(classes.len()));
        }
        Ok(Self(classes))
    }

    /// All of them, the most important first.
    pub fn list(&self) -> &[Class] {
        &self.0
    }

    /// The class of that name.
    pub fn get(&self, name: &str) -> Option<&Class> {
        self.0.iter().find(|class| &*class.name == name)
    }

    /// The place in the order of importance, 0 being the most important; `None`, which is less
    /// than all, for a name that is not there.
    pub fn rank(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|class| &*class.name == name)
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(classes: &[(&str, Option<u32>, Option<u32>)], expected: Result<&[&str], &str>) {
        let classes = classes
            .iter()
            .map(|(name, days_hot, days_total)| Class {
                days_hot: *days_hot,
                days_total: *days_total,
                ..Class::for_ever(name)
            })
            .collect();
        let found = Classes::new(classes).map_err(|error| error.to_string());
        let found = found.map(|c| c.list().iter().map(|c| c.name.to_string()).collect::<Vec<_>>());
        let expected = expected.map(|names| names.iter().map(ToString::to_string).collect());
        assert_eq!(found, expected.map_err(str::to_string));
    }

    #[test]
    fn the_default_class_is_the_last() {
        check(&[], Ok(&["default"]));
        check(&[("a", None, Some(7))], Ok(&["a", "default"]));
        check(&[("a", None, None), ("default", Some(1), Some(2))], Ok(&["a", "default"]));
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        let last = "the retention class default takes what no other class wants: put it last";
        check(&[("default", None, None), ("a", None, None)], Err(last));
        let twice = "the retention class a is there twice; give one of them another name";
        check(&[("a", None, None), ("a", None, None)], Err(twice));
        let name = "\"../x\" is no name for a retention class: use small letters, digits, _ and -, \
                    at most 64";
        check(&[("../x", None, None)], Err(name));
        let days = "the retention class a has days_hot = 9 and days_total = 3: what is deleted \
                    after 3 days cannot be hot for longer";
        check(&[("a", Some(9), Some(3))], Err(days));
    }
}
