//! CEF: `CEF:0|vendor|product|version|id|name|severity|key=value key=value`.
//!
//! Source: the Common Event Format implementation standard, versions 0 and 1. Values are not quoted
//! and hold blanks, so a value ends where the next ` key=` begins.

use std::borrow::Cow;

use pugmark_event::{Severity, fields};

use super::json::severity_field;
use super::{Context, Format};
use crate::found::{Found, Pair, Val};
use crate::time;

/// Longest name of an extension that is believed to be one, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Extensions listed per record; an event keeps 512 attributes.
const PAIRS_MAX: usize = 4096;
/// What the parts of the header are called, after the version.
const HEADER: [&str; 6] =
    ["cef.vendor", "cef.product", "cef.version", "cef.signature_id", "cef.name", "cef.severity"];
/// Names that hold the event's time, best first.
const TIMES: [&str; 3] = ["rt", "start", "end"];

pub(crate) const FORMAT: Format = Format { name: "cef", looks, read };

fn looks(record: &[u8]) -> bool {
    record.starts_with(b"CEF:")
}

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let mut found = Found::new("cef");
    let (_, mut rest) = record.split_once('|')?;
    for name in HEADER {
        let (part, after) = header_part(rest)?;
        found.pairs.push(Pair { name: name.into(), value: Val::Text(part) });
        rest = after;
    }
    extensions(rest, &mut found);
    found.stamp = TIMES.iter().find_map(|name| {
        found.pair(name).and_then(|value| time::value(value.text(), context.received))
    });
    found.message = message(&found);
    if let Some(severity) = found.pair("cef.severity").and_then(|value| severity(value.text())) {
        found.fields.push(severity_field(severity));
    }
    if let Some(host) = found.pair("dvchost").cloned() {
        found.envelope.push((fields::HOST_NAME, "", host));
    }
    Some(found)
}

/// What the event says of itself in words: its message, else its name.
fn message<'a>(found: &Found<'a>) -> Option<Cow<'a, str>> {
    match found.pair("msg").or_else(|| found.pair("cef.name"))? {
        Val::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// The text up to the next `|`, with `\|` and `\\` undone, and what follows it.
fn header_part(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'|', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'|' {
            return Some((unescape(&text[..at]), &text[at + 1..]));
        }
        at += 2;
    }
}

fn extensions<'a>(text: &'a str, found: &mut Found<'a>) {
    let mut rest = text.trim_start();
    let most = found.pairs.len() + PAIRS_MAX;
    while let Some((name, after)) = name(rest) {
        let end = value_end(after);
        if found.pairs.len() < most {
            let value = unescape(after[..end].trim_end());
            found.pairs.push(Pair { name: name.into(), value: Val::Text(value) });
        }
        rest = after[end..].trim_start();
    }
}

/// `key=` at the start of the text.
fn name(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().take(NAME_BYTES_MAX).position(|b| !is_name(b))?;
    (end > 0 && text.as_bytes()[end] == b'=').then(|| (&text[..end], &text[end + 1..]))
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'[' | b']' | b'/')
}

/// Where a value ends: before the blank in front of the next `key=`.
fn value_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    for equals in memchr::memchr_iter(b'=', bytes) {
        // `\=` belongs to the value.
        if equals > 0 && bytes[equals - 1] == b'\\' {
            continue;
        }
        let before = &bytes[..equals];
        let start = before.iter().rposition(|b| !is_name(*b)).map_or(0, |at| at + 1);
        if start > 0 && start < equals && bytes[start - 1] == b' ' {
            return start - 1;
        }
    }
    text.len()
}

/// Undoes `\=`, `\|`, `\\`, `\n` and `\r`.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, characters.clone().next()) {
            ('\\', Some(e @ ('=' | '|' | '\\'))) => {
                out.push(e);
                characters.next();
            }
            ('\\', Some('n' | 'r')) => {
                out.push('\n');
                characters.next();
            }
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// 0 to 10, or a word.
fn severity(text: &str) -> Option<Severity> {
    Some(match text.trim() {
        "0" | "1" | "2" => Severity::Informational,
        "3" => Severity::Low,
        "4" | "5" | "6" => Severity::Medium,
        "7" | "8" => Severity::High,
        "9" | "10" => Severity::Critical,
        word if word.eq_ignore_ascii_case("very-high") => Severity::Critical,
        word if word.eq_ignore_ascii_case("low") => Severity::Low,
        word if word.eq_ignore_ascii_case("medium") => Severity::Medium,
        word if word.eq_ignore_ascii_case("high") => Severity::High,
        word => return Severity::from_log_level(word),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let mut found = Found::new("");
        extensions(text, &mut found);
        let shown: Vec<(&str, &str)> =
            found.pairs.iter().map(|pair| (&*pair.name, pair.value.text())).collect();
        assert_eq!(shown, expected, "{text:?}");
    }

    #[test]
    fn values_end_before_the_next_name() {
        check("", &[]);
        check("src=192.0.2.1 dst=198.51.100.2", &[("src", "192.0.2.1"), ("dst", "198.51.100.2")]);
        check("msg=a b  c=d", &[("msg", "a b"), ("c", "d")]);
        check("msg=a \\= b x=1", &[("msg", "a = b"), ("x", "1")]);
        check("request=/a?b=c&d=e act=x", &[("request", "/a?b=c&d=e"), ("act", "x")]);
        check("a= b=", &[("a", ""), ("b", "")]);
        check("msg=one\\ntwo\\\\three", &[("msg", "one\ntwo\\three")]);
        check("no pair here=1", &[]);
        check("ad.field[0]=x cs1Label=y", &[("ad.field[0]", "x"), ("cs1Label", "y")]);
    }

    #[test]
    fn the_header_may_hold_escaped_bars() {
        let context = Context::at(0);
        let found = read("CEF:0|V|P\\|1|2|id|A name|Very-High|", &context).unwrap();
        assert_eq!(found.pair("cef.product").map(Val::text), Some("P|1"));
        assert_eq!(found.message.as_deref(), Some("A name"));
        assert_eq!(found.fields, [severity_field(Severity::Critical)]);
        assert!(read("CEF:0|V|P|1|id|name", &context).is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(CEF:0)?[|=\\\\ abé\"]{0,40}") {
            let _ = read(&text, &Context::at(0));
        }
    }
}
