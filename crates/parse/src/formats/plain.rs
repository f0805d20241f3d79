//! Lines of no known format: a leading time and a level word are read, the rest is the message.

use std::borrow::Cow;

use pugmark_event::{Severity, fields};

use super::json::severity_field;
use super::{Context, Format, NOT_UNDERSTOOD, PLAIN};
use crate::found::Found;
use crate::{header, time};

pub(crate) const FORMAT: Format = Format { name: PLAIN, looks: |_| true, read };

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let mut found = Found::new(PLAIN);
    let Some((stamp, used)) = time::leading(record.as_bytes(), context.received) else {
        return Some(keep(record));
    };
    found.stamp = Some(stamp);
    let rest = record[used..].trim_start_matches([' ', '\t', ':', '-']);
    level(rest, &mut found);
    found.message = Some(Cow::Borrowed(rest));
    Some(found)
}

/// A record that nothing understands: its whole text is its message.
pub(crate) fn keep(record: &str) -> Found<'_> {
    let mut found = Found::new(PLAIN);
    if !header::is_directive(record) {
        found.issues.push(NOT_UNDERSTOOD);
    }
    found.message = Some(Cow::Borrowed(record));
    found
}

/// The level, if it is the first word: `INFO`, `[error]`, `WARN:`.
fn level<'a>(rest: &'a str, found: &mut Found<'a>) {
    let word = rest.split([' ', '\t']).next().unwrap_or("");
    let bare = word.trim_matches(['[', ']', ':', '<', '>', '(', ')']);
    if bare.len() <= 16
        && let Some(severity) = Severity::from_log_level(bare)
    {
        found.fields.push(severity_field(severity));
        found.field(fields::LOG_LEVEL, bare);
    }
}
