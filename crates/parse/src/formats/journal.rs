//! One entry of the systemd journal in its export format; `frame` cuts the entries apart.

use std::borrow::Cow;

use super::{Context, Format, json};
use crate::found::{Found, Pair, Val};

/// Fields listed per entry; an event keeps 512 attributes.
const PAIRS_MAX: usize = 4096;

pub(crate) const FORMAT: Format = Format { name: "journal", looks, read };

fn looks(record: &[u8]) -> bool {
    record.starts_with(b"__CURSOR=") || record.starts_with(b"__REALTIME_TIMESTAMP=")
}

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    // What goes on with the meaning that the same fields have as JSON.
    let mut found = Found::new("json");
    let mut rest = record;
    while !rest.is_empty() && found.pairs.len() < PAIRS_MAX {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if let Some((name, value)) = line.split_once('=').filter(|(name, _)| is_name(name)) {
            found.pairs.push(Pair::new(name, value));
            rest = after;
        } else if is_name(line) {
            let (value, after) = several_lines(after);
            found.pairs.push(Pair { name: line.into(), value: Val::Text(Cow::Borrowed(value)) });
            rest = after;
        } else {
            return None;
        }
    }
    json::interpret(&mut found, context);
    Some(found)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// A value with line ends: up to the next name. Its length in front is no text and may have been
/// damaged where bytes were not UTF-8, so it is passed over.
fn several_lines(text: &str) -> (&str, &str) {
    let start = text.char_indices().nth(8).map_or(text.len(), |(at, _)| at);
    let value = &text[start..];
    let mut end = 0;
    for line in value.split_inclusive('\n') {
        let is_next = line.split_once('=').is_some_and(|(name, _)| is_name(name))
            || (end > 0 && is_name(line.trim_end()));
        if end > 0 && is_next {
            break;
        }
        end += line.len();
    }
    (value[..end].trim_end_matches('\n'), &value[end..])
}
