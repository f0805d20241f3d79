//! E-mail addresses, and passwords in URLs: what stands around an `@`.
//!
//! Much that has an `@` is no address: units of systemd, versions of packages, files such as
//! `logo@2x.png`, ids of messages.

use std::ops::Range;

use super::shape::run;
use super::{Find, Kind};

/// Longest part before the `@` (RFC 5321), in bytes.
const LOCAL_BYTES_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 253;
/// Longest user and password of a URL that are looked at, in bytes.
const AUTHORITY_BYTES_MAX: usize = 256;

/// Last parts that no domain has: units of systemd and endings of files.
const NO_DOMAINS: &[&str] = &[
    "service", "socket", "target", "mount", "timer", "slice", "scope", "device", "path", "swap",
    "png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "mjs", "map", "ts", "json",
    "html", "htm", "php", "tgz", "gz", "zip", "jar", "txt", "log", "conf", "yaml", "yml", "xml",
];

/// What stands before an id of a message, in small letters.
const MESSAGE_IDS: &[&str] =
    &["message-id", "messageid", "message_id", "msgid", "in-reply-to", "references"];

pub(super) fn needles() -> impl Iterator<Item = (&'static [u8], Find)> {
    [(&b"%40"[..], Find::At(3)), (br"\u0040", Find::At(6))].into_iter()
}

/// The value around an `@` that takes `length` bytes.
pub(super) fn find(text: &[u8], at: usize, length: usize) -> Option<(Range<usize>, Kind)> {
    match authority(&text[..at]) {
        Some(start) => {
            let colon = start + memchr::memchr(b':', &text[start..at])? + 1;
            (colon < at).then_some((colon..at, Kind::Secret))
        }
        None => address(text, at, length).map(|range| (range, Kind::Email)),
    }
}

/// Where the user of a URL begins, if this ends in one: after `//`, without a slash or a blank.
fn authority(text: &[u8]) -> Option<usize> {
    let ends = |b: u8| b.is_ascii_whitespace() || matches!(b, b'/' | b'"' | b'\'' | b'<' | b'>');
    let look = text.iter().rev().take(AUTHORITY_BYTES_MAX);
    let start = text.len() - look.take_while(|b| !ends(**b)).count();
    text[..start].ends_with(b"://").then_some(start)
}

fn address(text: &[u8], at: usize, length: usize) -> Option<Range<usize>> {
    let start = local(text, at)?;
    let domain = at + length;
    let end = domain + domain_bytes(&text[domain..])?;
    let name = &text[start..at];
    let is_principal = || text[domain..end].iter().all(|b| !b.is_ascii_lowercase());
    let is_service = text[..start].ends_with(b"/") && is_principal();
    (name != b"git" && !is_service && !is_message_id(&text[..start])).then_some(start..end)
}

/// Where the part before the `@` begins.
fn local(text: &[u8], at: usize) -> Option<usize> {
    let fits =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-') || b >= 0x80;
    let look = || text[..at].iter().rev().take(LOCAL_BYTES_MAX + 1);
    let mut start = at - look().take_while(|b| fits(**b)).count();
    if at - start > LOCAL_BYTES_MAX {
        // Text without blanks before it, as Chinese is: the ASCII of it.
        start = at - look().take_while(|b| fits(**b) && b.is_ascii()).count();
    }
    start += escape(&text[..start], &text[start..at]);
    start += run(&text[start..at], |b| !b.is_ascii_alphanumeric() && b != b'_' && b < 0x80);
    (start < at && at - start <= LOCAL_BYTES_MAX && text[at - 1] != b'.').then_some(start)
}

/// Bytes at the start of a word that belong to an escape before it: `%3C`, `\n`, `\u003c`.
fn escape(before: &[u8], word: &[u8]) -> usize {
    let slashes = before.iter().rev().take_while(|b| **b == b'\\').count();
    match word {
        [a, b, _, ..]
            if before.ends_with(b"%") && a.is_ascii_hexdigit() && b.is_ascii_hexdigit() =>
        {
            2
        }
        // Two of them are one that stands for itself.
        _ if slashes % 2 == 0 => 0,
        [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => 5,
        [b'n' | b'r' | b't' | b'b' | b'f', ..] => 1,
        _ => 0,
    }
}

/// Bytes of the domain at the start: two labels and more, the last one letters.
fn domain_bytes(text: &[u8]) -> Option<usize> {
    let text = &text[..text.len().min(DOMAIN_BYTES_MAX + 1)];
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-') || b >= 0x80;
    let mut domain = &text[..run(text, fits)];
    while let [rest @ .., b'.' | b'-'] = domain {
        domain = rest;
    }
    let dot = domain.iter().rposition(|b| *b == b'.')?;
    let (rest, last) = (&domain[..dot], &domain[dot + 1..]);
    // After the domain something else may go on with a dash.
    let last = match last.starts_with(b"xn--") {
        true => last,
        false => &last[..run(last, |b| b != b'-')],
    };
    let letters = last.iter().all(|b| b.is_ascii_alphabetic() || *b >= 0x80);
    let is_top = last.len() >= 2 && (letters || last.starts_with(b"xn--"));
    let is_other = NO_DOMAINS.iter().any(|other| last.eq_ignore_ascii_case(other.as_bytes()));
    let length = dot + 1 + last.len();
    let fits = is_top && !is_other && rest.split(|b| *b == b'.').all(|label| !label.is_empty());
    (fits && length <= DOMAIN_BYTES_MAX).then_some(length)
}

fn is_message_id(before: &[u8]) -> bool {
    let before = before.strip_suffix(b"<").unwrap_or(before);
    let before = &before[before.len().saturating_sub(16)..].to_ascii_lowercase();
    let end = before.iter().rposition(|b| !matches!(b, b'=' | b':' | b' ' | b'"'));
    let name = end.map_or(&[][..], |end| &before[..=end]);
    name.len() < before.len() && MESSAGE_IDS.iter().any(|id| name.ends_with(id.as_bytes()))
}
