//! Lines of no known format: a leading time and a level word are read, the rest is the message.

use std::borrow::Cow;

use pugmark_event::{Severity, fields};

use super::json::severity_field;
use super::{Context, Format, NOT_UNDERSTOOD, PLAIN};
use crate::found::Found;
use crate::{header, time};

pub(crate) const FORMAT: Format = Format { name: PLAIN, looks: |_| true, read };

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    if let Some(found) = samba(record) {
        return Some(found);
    }
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

/// Samba's own logs: `[2026/11/23 10:00:00.123456,  2] ../../source3/auth/auth.c:334(auth_check)`,
/// and below it the text.
fn samba(record: &str) -> Option<Found<'_>> {
    let inner = record.strip_prefix('[')?;
    let (stamp, used) = time::iso(inner.as_bytes())?;
    let (head, rest) = inner.get(used..)?.strip_prefix(',')?.split_once(']')?;
    let level = head.split(',').next().unwrap_or(head).trim();
    let (place, text) = rest.split_once('\n').unwrap_or((rest, ""));
    let (file, function) = place.trim().strip_suffix(')')?.rsplit_once('(')?;
    let mut found = Found::new(PLAIN);
    found.stamp = Some(stamp);
    found.attribute("samba.level", level);
    found.attribute("log.origin.function", function);
    let (file, line) = file.rsplit_once(':').unwrap_or((file, ""));
    found.attribute("log.origin.file.name", file);
    found.attribute("log.origin.file.line", line);
    let text = if text.trim().is_empty() { place } else { text };
    found.message = Some(Cow::Borrowed(text.trim()));
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
