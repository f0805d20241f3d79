//! Predicates on single values: what the matcher asks for when no automaton can answer, and the
//! plain reading of a whole rule, which explains detections and checks the matcher.

use std::borrow::Cow;
use std::net::IpAddr;

use chrono::{DateTime, Datelike, Timelike};

use crate::pattern::fold;
use crate::rule::{EventRule, Node, Place, Pred, Test, TimePart};
use crate::view::{EventFields, Value};

impl Test {
    /// True when the event passes.
    pub(crate) fn holds(&self, event: EventFields<'_, '_>) -> bool {
        self.held(event).is_some()
    }

    /// The predicate that held, if the event passes; a negated test gives its first.
    pub(crate) fn held(&self, event: EventFields<'_, '_>) -> Option<&Pred> {
        let value = event.get(&self.field);
        let found = self.any.iter().find(|pred| pred.holds(value, event));
        match self.negate {
            false => found,
            true => (found.is_none() && value.is_some_and(|v| !v.null)).then(|| &self.any[0]),
        }
    }
}

impl Pred {
    /// True for a value (or its absence).
    pub(crate) fn holds(&self, value: Option<&Value<'_>>, event: EventFields<'_, '_>) -> bool {
        let value = match (self, value) {
            (Pred::Absent, value) => return value.is_none_or(|v| v.null),
            (_, None) => return false,
            (_, Some(value)) if value.null => return false,
            (_, Some(value)) => value,
        };
        match self {
            Pred::Absent => false,
            Pred::Present => true,
            Pred::FieldRef { place, field, cased } => event.get(field).is_some_and(|other| {
                !other.null
                    && value.texts().any(|t| other.texts().any(|o| place.fits(t, o, *cased)))
            }),
            pred => value.texts().any(|text| pred.holds_text(text)),
        }
    }

    /// True for a text, where nothing but the text counts.
    pub(crate) fn holds_text(&self, text: &str) -> bool {
        match self {
            Pred::Text { place, text: wanted } => place.fits(text, &wanted.text, wanted.cased),
            Pred::Glob(glob) if glob.cased => glob.matches(text),
            Pred::Glob(glob) => glob.folded().matches(&fold(text)),
            Pred::Regex(regex) => regex.0.is_match(text),
            Pred::Cidr(net) => address(text).is_some_and(|address| net.contains(&address)),
            Pred::Compare(comparison, number) => number.compare(*comparison, text),
            Pred::TimePart(part, wanted) => part.of(text) == Some(*wanted),
            Pred::Present => true,
            Pred::Absent | Pred::FieldRef { .. } => false,
        }
    }
}

impl Place {
    /// True when `part` stands at this place in `text`.
    pub(crate) fn fits(self, text: &str, part: &str, cased: bool) -> bool {
        let (text, part) = match cased {
            true => (Cow::Borrowed(text), Cow::Borrowed(part)),
            false => (fold(text), fold(part)),
        };
        match self {
            Place::Whole => text == part,
            Place::Anywhere => text.contains(part.as_ref()),
            Place::Start => text.starts_with(part.as_ref()),
            Place::End => text.ends_with(part.as_ref()),
        }
    }
}

/// An address; one that wraps IPv4 in IPv6 counts as IPv4.
fn address(text: &str) -> Option<IpAddr> {
    if text.len() > 45 {
        return None;
    }
    text.trim().parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

impl TimePart {
    fn of(self, text: &str) -> Option<i64> {
        if text.len() > 40 {
            return None;
        }
        let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
        Some(match self {
            TimePart::Minute => time.minute().into(),
            TimePart::Hour => time.hour().into(),
            TimePart::Day => time.day().into(),
            TimePart::Week => time.iso_week().week().into(),
            TimePart::Month => time.month().into(),
            TimePart::Year => time.year().into(),
        })
    }
}

impl EventRule {
    /// True when the event fulfils the condition.
    #[cfg(test)]
    pub(crate) fn holds(&self, event: EventFields<'_, '_>) -> bool {
        self.node(&self.condition, event)
    }

    pub(crate) fn node(&self, node: &Node, event: EventFields<'_, '_>) -> bool {
        match node {
            Node::All(nodes) => nodes.iter().all(|n| self.node(n, event)),
            Node::Any(nodes) => nodes.iter().any(|n| self.node(n, event)),
            Node::AtLeast(count, nodes) => {
                nodes.iter().filter(|n| self.node(n, event)).take(*count).count() >= *count
            }
            Node::Not(node) => !self.node(node, event),
            Node::Test(test) => self.tests[*test as usize].holds(event),
            Node::Selection(index) => self.node(&self.selections[*index as usize].1, event),
        }
    }
}

impl std::fmt::Display for Pred {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pred::Text { place, text } if text.text.is_empty() && *place != Place::Whole => {
                f.write_str("has any text")
            }
            Pred::Text { place, text } => write!(f, "{place} '{}'", text.text),
            Pred::Glob(glob) => write!(f, "like '{glob}'"),
            Pred::Regex(regex) => write!(f, "matches /{}/", regex.0.as_str()),
            Pred::Cidr(net) => write!(f, "in {net}"),
            Pred::Compare(comparison, number) => write!(f, "{} {number}", comparison.sign()),
            Pred::Present => f.write_str("exists"),
            Pred::Absent => f.write_str("does not exist"),
            Pred::FieldRef { place, field, .. } => write!(f, "{place} the field {field}"),
            Pred::TimePart(part, wanted) => {
                write!(f, "{} is {wanted}", format!("{part:?}").to_ascii_lowercase())
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Place::Whole => "is",
            Place::Anywhere => "contains",
            Place::Start => "starts with",
            Place::End => "ends with",
        })
    }
}
