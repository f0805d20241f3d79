//! Which fields events have, and which values those have: what helps with writing a question.

use pugmark_event::Kind;

/// What events of a range have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    /// Events of the range.
    pub events: u64,
    /// False when [`Presence::events`] is an estimate.
    pub exact: bool,
    /// Fields that some of them have, those of most events first.
    pub fields: Vec<FieldPresence>,
}

/// A field that some events of a range have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPresence {
    /// Its name in a question, without quotes: that of the registry, or of an attribute.
    pub name: String,
    /// What its values are; those of attributes are text.
    pub kind: Kind,
    /// Events that have it.
    pub events: u64,
    /// False when [`FieldPresence::events`] is an estimate.
    pub exact: bool,
}

impl Presence {
    /// The share of the events that have this field, 0 to 1.
    pub fn coverage(&self, field: &FieldPresence) -> f64 {
        match self.events {
            0 => 0.0,
            all => field.events.min(all) as f64 / all as f64,
        }
    }
}

/// Values of one field in new events of a range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldValues {
    /// Events with the field that were looked at.
    pub events: u64,
    /// Values and how many of these events have each, the most frequent first.
    pub values: Vec<(String, u64)>,
}
