//! `key=value` lines: logfmt, FortiGate and the many products in between. Values may be quoted.

use std::borrow::Cow;

use super::{Context, Format, closing_quote, json};
use crate::found::{Found, Pair, Val};
use crate::time;

/// Longest name that is believed to be one, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Netfilter's line of an ICMP error ends with the packet that the error is about, whose pairs are
/// not those of the line: `SRC=192.0.2.1 TYPE=3 [SRC=10.0.0.1 ... ]`.
const QUOTED: &str = "[SRC";
/// Pairs listed per record; an event keeps 512 attributes.
const PAIRS_MAX: usize = 4096;

pub(crate) const FORMAT: Format = Format { name: "keyvalue", looks, read };

fn looks(record: &[u8]) -> bool {
    let equals = memchr::memchr(b'=', &record[..record.len().min(NAME_BYTES_MAX)]);
    equals.is_some_and(|at| is_name(&record[..at]))
}

fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'@'))
        && name.len() <= NAME_BYTES_MAX
        && name.iter().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'@' | b'#')
        })
}

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let mut found = Found::new("keyvalue");
    let stray = scan(record, &mut found.pairs);
    // One pair, or prose with an equals sign here and there, is text.
    if found.pairs.len() < 2 || found.pairs.len() < stray * 3 {
        return None;
    }
    found.stamp = date_and_time(&mut found, context);
    let stamp = found.stamp;
    json::interpret(&mut found, context);
    found.stamp = stamp.or(found.stamp);
    if stray > 0 && found.message.is_none() {
        found.message = Some(Cow::Borrowed(record));
    }
    Some(found)
}

/// Appends the pairs of `text`; returns the number of words that were none.
pub(crate) fn scan<'a>(text: &'a str, pairs: &mut Vec<Pair<'a>>) -> usize {
    let mut stray = 0;
    let mut rest = text.trim_start();
    while !rest.is_empty() && pairs.len() < PAIRS_MAX {
        let end = until(rest, |b| b == b'=' || is_gap(b));
        let name = &rest[..end];
        let is_pair = rest[end..].starts_with('=') && is_name(name.as_bytes());
        if is_pair {
            let (value, after) = value(&rest[end + 1..]);
            pairs.push(Pair { name: Cow::Borrowed(name), value: Val::Text(value) });
            rest = after;
        } else if name == QUOTED {
            break;
        } else {
            stray += usize::from(!name.is_empty());
            rest = &rest[until(rest, is_gap)..];
        }
        rest = &rest[until(rest, |b| !is_gap(b) && !matches!(b, b',' | b';' | b'\r' | b'\n'))..];
    }
    stray
}

/// What stands between pairs.
fn is_gap(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x1d)
}

/// Where the first byte stands that `stops`. It must only stop at the start of a character.
fn until(text: &str, stops: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(stops).unwrap_or(text.len())
}

/// The value at the start of `text`, without its quotes, and the rest.
fn value(text: &str) -> (Cow<'_, str>, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let end = until(text, |b| is_gap(b) || matches!(b, b'\r' | b'\n'));
        return (Cow::Borrowed(text[..end].trim_end_matches([',', ';'])), &text[end..]);
    };
    match closing_quote(inner.as_bytes()) {
        Some(end) => (unescape(&inner[..end]), &inner[end + 1..]),
        // The quote never closes: the rest of the line is the value.
        None => (unescape(inner), ""),
    }
}

/// Only quotes and backslashes are escapes; `C:\new` keeps its backslash.
fn unescape(text: &str) -> Cow<'_, str> {
    let is_escape = |at: usize| matches!(text.as_bytes().get(at + 1), Some(b'"' | b'\\'));
    if !memchr::memchr_iter(b'\\', text.as_bytes()).any(is_escape) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, characters.peek()) {
            ('\\', Some('"' | '\\')) => out.extend(characters.next()),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Firewalls write `date=2026-11-23 time=10:00:00 tz="+0100"`, some also `eventtime` as an epoch.
fn date_and_time(found: &mut Found<'_>, context: &Context<'_>) -> Option<time::Stamp> {
    if let Some(stamp) = json::take_time(found, &["eventtime"], context) {
        return Some(stamp);
    }
    let (date, clock) = (found.pair("date")?.text(), found.pair("time")?.text());
    if date.len() > 16 || clock.len() > 32 {
        return None;
    }
    let zone = found.pair("tz").map_or("", |v| v.text()).trim_start_matches("UTC");
    let exact = [date, "T", clock, zone].concat();
    time::value(&exact, context.received)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GAPS: [char; 3] = [' ', '\t', '\u{1d}'];

    /// The same as [`scan`], character by character.
    fn plainly(text: &str) -> (Vec<(String, String)>, usize) {
        let (mut pairs, mut stray, mut rest) = (Vec::new(), 0, text.trim_start());
        while !rest.is_empty() {
            let end = rest.find(['=', ' ', '\t', '\u{1d}']).unwrap_or(rest.len());
            let name = &rest[..end];
            if rest[end..].starts_with('=') && is_name(name.as_bytes()) {
                let (value, after) = plain_value(&rest[end + 1..]);
                pairs.push((name.to_string(), value));
                rest = after;
            } else {
                stray += usize::from(!name.is_empty());
                rest = &rest[rest.find(GAPS).unwrap_or(rest.len())..];
            }
            rest = rest.trim_start_matches([' ', '\t', ',', ';', '\u{1d}', '\r', '\n']);
        }
        (pairs, stray)
    }

    fn plain_value(text: &str) -> (String, &str) {
        let Some(inner) = text.strip_prefix('"') else {
            let end = text.find([' ', '\t', '\u{1d}', '\r', '\n']).unwrap_or(text.len());
            return (text[..end].trim_end_matches([',', ';']).to_string(), &text[end..]);
        };
        let (mut value, mut characters) = (String::new(), inner.char_indices());
        while let Some((at, c)) = characters.next() {
            match (c, characters.clone().next()) {
                ('"', _) => return (value, &inner[at + 1..]),
                ('\\', Some((_, next @ ('"' | '\\')))) => {
                    value.push(next);
                    characters.next();
                }
                _ => value.push(c),
            }
        }
        (value, "")
    }

    proptest! {
        #[test]
        fn pairs_are_those_of_a_plain_reading(
            text in "([a-c]{1,2}=)?[a-c=\" \\\\,;\t\u{1d}é\r\n-]{0,30}",
        ) {
            let mut pairs = Vec::new();
            let stray = scan(&text, &mut pairs);
            let pairs: Vec<(String, String)> =
                pairs.iter().map(|p| (p.name.to_string(), p.value.text().to_string())).collect();
            prop_assert_eq!((pairs, stray), plainly(&text));
        }
    }
}
