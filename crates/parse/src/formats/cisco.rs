//! Records of Cisco's network systems: a header that the device's settings shape, then
//! `%FACILITY-SEVERITY-MNEMONIC: text`.
//!
//! Before the mark may stand, in any order: a syslog priority, names of hosts (that of a relay,
//! that of `logging origin-id`), a sequence number, a time. The device marks a time `*` where its
//! clock was never set and `.` where the clock has lost its server. Source: Cisco, "System Message
//! Format" and "service timestamps" in the configuration guides of IOS, IOS XR and NX-OS.

use std::borrow::Cow;

use pugmark_event::{Severity, fields};

use super::json::severity_field;
use super::syslog::{is_host, priority, set_priority};
use super::{Context, Format};
use crate::found::{Found, Pair, Val};
use crate::time::{self, Stamp};

/// Bytes before the mark at most.
const HEADER_BYTES_MAX: usize = 200;
/// Bytes of `FACILITY-SEVERITY-MNEMONIC` at most.
const MARK_BYTES_MAX: usize = 96;

pub(crate) const FORMAT: Format = Format { name: "cisco", looks, read };

fn looks(record: &[u8]) -> bool {
    let head = &record[..record.len().min(HEADER_BYTES_MAX)];
    let at = memchr::memchr(b'%', head);
    at.is_some_and(|at| record.get(at + 1).is_some_and(u8::is_ascii_uppercase))
}

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let mut found = Found::new("cisco");
    found.product = "cisco";
    let (header, message) = record.split_at(record.find('%')?);
    let apart = header.is_empty() || header.ends_with([' ', ':', '>']);
    if header.len() > HEADER_BYTES_MAX || !apart {
        return None;
    }
    let mark = Mark::read(message)?;
    let (number, header) = priority(header);
    // RFC 5424 has columns of its own; what is in its message comes back here.
    if number.is_some() && header.starts_with("1 ") {
        return None;
    }
    if let Some((number, text)) = number {
        set_priority(number, text, &mut found);
    } else {
        found.fields.push(severity_field(Severity::from_syslog(mark.severity)));
    }
    read_header(header, context, &mut found)?;
    found.fields.push((fields::EVENT_CODE, Val::Text(mark.text)));
    found.attribute("cisco.facility", mark.facility);
    found.attribute("cisco.class", mark.class);
    found.attribute("cisco.mnemonic", mark.mnemonic);
    found.message = Some(Cow::Borrowed(message));
    Some(found)
}

/// `FACILITY-SEVERITY-MNEMONIC`.
struct Mark<'a> {
    /// Without the class.
    text: Cow<'a, str>,
    facility: &'a str,
    /// Of messages of an ASA, where `logging class` is set: `%ASA-session-6-302013`.
    class: &'a str,
    severity: u8,
    mnemonic: &'a str,
}

impl<'a> Mark<'a> {
    fn read(message: &'a str) -> Option<Self> {
        let text = message.strip_prefix('%')?;
        let end = text.bytes().take(MARK_BYTES_MAX).position(|b| matches!(b, b':' | b' '))?;
        if !text[end..].trim_start_matches(' ').starts_with(':') {
            return None;
        }
        let text = &text[..end];
        // The facility itself may hold dashes: `IP-TCP-3-BADAUTH`.
        let (facility, mnemonic) = text.rsplit_once('-')?;
        let (facility, severity) = facility.rsplit_once('-')?;
        let number = severity.parse().ok().filter(|number| *number < 8)?;
        let is_class = |class: &str| class.bytes().all(|b| b.is_ascii_lowercase());
        let (facility, class) = match facility.split_once('-') {
            Some((facility, class)) if is_class(class) => (facility, class),
            _ => (facility, ""),
        };
        let word = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| {
                    b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-')
                })
        };
        if !word(facility) || !word(mnemonic) {
            return None;
        }
        let text = match class.is_empty() {
            true => Cow::Borrowed(text),
            false => Cow::Owned(format!("{facility}-{severity}-{mnemonic}")),
        };
        Some(Mark { text, facility, class, severity: number, mnemonic })
    }
}

/// All before the mark; `None` when it holds what no header does.
fn read_header<'a>(header: &'a str, context: &Context<'_>, found: &mut Found<'a>) -> Option<()> {
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', ':']);
        if rest.is_empty() {
            return Some(());
        }
        let unsure = rest.starts_with('*');
        let bare = rest.trim_start_matches(['*', '.']);
        if let Some((stamp, used)) = stamp(bare, context) {
            // A relay's clock is the better one where the device's was never set.
            if !unsure || found.stamp.is_none() {
                found.stamp = Some(stamp);
            }
            rest = zone(bare.get(used..)?, found);
            continue;
        }
        // A colon within a word is of an address, or of the time since the device started; IOS XR
        // writes the time right after the name of its node.
        let end = rest.find(' ').unwrap_or(rest.len());
        let end = rest[..end].find(": ").unwrap_or(end);
        let word = rest[..end].trim_end_matches(':');
        let node = word.rsplit_once(':').map(|(node, _)| node);
        match node.filter(|node| stamp(&rest[node.len() + 1..], context).is_some()) {
            Some(node) => {
                found.attribute("cisco.node", node);
                rest = &rest[node.len() + 1..];
            }
            None => {
                named(word, found)?;
                rest = &rest[end..];
            }
        }
    }
}

/// A word that is no time.
fn named<'a>(word: &'a str, found: &mut Found<'a>) -> Option<()> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits(word) && word.starts_with('0') {
        found.attribute("cisco.sequence", word);
    } else if digits(word) {
        found.pairs.push(Pair::new("cisco.sequence", Val::Number(Cow::Borrowed(word))));
    } else if is_uptime(word) {
        found.attribute("cisco.uptime", word);
    } else if let Some((program, pid)) = word.strip_suffix(']').and_then(|w| w.split_once('[')) {
        found.envelope.push((fields::PROCESS_NAME, "syslog.appname", program.into()));
        if digits(pid) {
            let pid = Val::Number(Cow::Borrowed(pid));
            found.envelope.push((fields::PROCESS_PID, "syslog.procid", pid));
        }
    } else if is_host(word) {
        // The last is what the device calls itself.
        found.envelope.retain(|(field, _, _)| *field != fields::HOST_NAME);
        found.envelope.push((fields::HOST_NAME, "syslog.hostname", word.into()));
    } else {
        return None;
    }
    Some(())
}

/// Time since the start, `00:00:46` or `2w3d`, where `service timestamps` says `uptime`.
fn is_uptime(word: &str) -> bool {
    let parts = word.split(':').filter(|part| part.len() == 2).count();
    let clock = parts == 3 && word.bytes().all(|b| b.is_ascii_digit() || b == b':');
    let units = word.len() >= 4
        && word.starts_with(|c: char| c.is_ascii_digit())
        && word.ends_with(['d', 'h'])
        && word.bytes().all(|b| b.is_ascii_digit() || b"ywdh".contains(&b));
    clock || units
}

fn stamp(text: &str, context: &Context<'_>) -> Option<(Stamp, usize)> {
    if let Some(found) = time::leading(text.as_bytes(), context.received) {
        return Some(found);
    }
    // NX-OS writes the year first: `2026 Nov 23 10:00:00`.
    let (year, rest) = text.split_once(' ').filter(|(year, _)| year.len() == 4)?;
    let (date, clock) = (rest.get(..6)?, rest.get(7..)?.split(' ').next()?);
    let usual = format!("{date} {year} {clock}");
    time::rfc3164(usual.as_bytes(), context.received)
}

/// The zone after a time; the clock is taken for UTC unless it says so itself.
fn zone<'a>(rest: &'a str, found: &mut Found<'a>) -> &'a str {
    let Some(after) = rest.strip_prefix(' ') else { return rest };
    let end = after.find([':', ' ']).unwrap_or(after.len());
    let zone = &after[..end];
    if !(2..=5).contains(&end) || !zone.bytes().all(|b| b.is_ascii_uppercase()) {
        return rest;
    }
    match zone {
        "UTC" | "GMT" => {
            if let Some(stamp) = &mut found.stamp {
                stamp.guess = stamp.guess.filter(|guess| *guess != time::ZONE_GUESSED);
            }
        }
        zone => found.attribute("cisco.zone", zone),
    }
    &after[end..]
}
