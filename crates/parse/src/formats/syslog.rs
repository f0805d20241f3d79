//! Syslog: RFC 5424, RFC 3164 as it is really written, and the lines of rsyslog's files, which
//! have no priority and may have an ISO time. What stands in the message is read in turn.

use std::borrow::Cow;

use pugmark_event::{Severity, fields};

use super::json::severity_field;
use super::{Context, Format, audit, closing_quote, cut_at, keyvalue};
use crate::found::{Found, Pair, Val};
use crate::time;

/// Longest tag that is believed to be one, in bytes. RFC 3164 says 32; containers need more.
const TAG_BYTES_MAX: usize = 128;
/// Parameters of structured data that are listed.
const SD_PARAMS_MAX: usize = 512;
/// Digits of the count before a record.
const COUNT_DIGITS_MAX: usize = 7;
/// What the lines of Palo Alto's systems begin with: a number for later use, and the year.
const PAN_OS: &str = "1,20";
/// Longest word such as `authpriv.info` that is believed to be one, in bytes.
const LEVEL_BYTES_MAX: usize = 32;
/// What docker's events are about; their lines look like those of a host of that name.
const DOCKER_OBJECTS: [&str; 11] = [
    "builder",
    "config",
    "container",
    "daemon",
    "image",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "volume",
];
/// The keyword for each facility, RFC 5424 section 6.2.1.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

pub(crate) const FORMAT: Format = Format { name: "syslog", looks, read };

fn looks(record: &[u8]) -> bool {
    let head = match record {
        [b'<', digit, ..] => digit.is_ascii_digit(),
        [a, b, c, b' ', ..] => [a, b, c].iter().all(|b| b.is_ascii_alphabetic()),
        [b'0'..=b'9', _, _, _, b'-', ..] => matches!(record.get(10), Some(b'T' | b' ')),
        _ => false,
    };
    let tag = &record[..record.len().min(TAG_BYTES_MAX)];
    head || memchr::memchr_iter(b']', tag).any(|at| tag[at..].starts_with(b"]: "))
}

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let (priority, rest) = priority(record);
    let mut found = Found::of_line("syslog");
    if let Some((number, text)) = priority {
        set_priority(number, text, &mut found);
    }
    let message = match rest.strip_prefix("1 ").filter(|_| priority.is_some()) {
        Some(rest) => rfc5424(rest, &mut found)?,
        None => rfc3164(rest, priority.is_some(), context, &mut found)?,
    };
    let message = solaris(message, &mut found);
    Some(body(found, message, context))
}

/// The record with what its message means in turn.
pub(super) fn body<'a>(mut found: Found<'a>, message: &'a str, context: &Context<'_>) -> Found<'a> {
    let message = repeated(message, &mut found);
    let is_audit = found.program.as_deref() == Some("audit");
    let inner = if is_audit { audit::read_bare(message) } else { None };
    match inner.or_else(|| super::read_inner(strip_cookie(message), context)) {
        Some(inner) => super::merge(found, inner, message),
        None => {
            found.message = Some(Cow::Borrowed(message));
            found
        }
    }
}

/// rsyslog folds lines that repeat: `message repeated 2 times: [ text]`.
fn repeated<'a>(message: &'a str, found: &mut Found<'a>) -> &'a str {
    let parts = message.strip_prefix("message repeated ").and_then(|r| r.split_once(" times: ["));
    let Some((count, text)) = parts.filter(|(count, _)| is_pid(count)) else { return message };
    found.pairs.push(Pair::new("event.repeated", Val::Number(Cow::Borrowed(count))));
    text.strip_suffix(']').unwrap_or(text).trim_start_matches(' ')
}

/// Solaris puts `[ID 800047 auth.info] ` before the message.
fn solaris<'a>(message: &'a str, found: &mut Found<'a>) -> &'a str {
    let parts = message.strip_prefix("[ID ").and_then(|rest| rest.split_once("] "));
    let Some((id, message)) = parts.filter(|(id, _)| id.len() < 64) else { return message };
    found.attribute("syslog.msgid", id);
    message
}

/// The mark that tells CEE-aware daemons that JSON follows.
fn strip_cookie(message: &str) -> &str {
    message.strip_prefix("@cee:").map_or(message, str::trim_start)
}

/// The record without the count of its bytes that RFC 6587 puts before it on a stream.
pub(super) fn uncounted<'a>(record: &'a str, context: &Context<'_>) -> &'a str {
    let bytes = record.as_bytes();
    let digits = bytes.iter().take(COUNT_DIGITS_MAX).take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || bytes.get(digits) != Some(&b' ') {
        return record;
    }
    let rest = &record[digits + 1..];
    let is_count = record[..digits].parse::<usize>().is_ok_and(|count| count == rest.len());
    let begins = || time::leading(rest.as_bytes(), context.received).is_some();
    match priority(rest).0.is_some() || (is_count && begins()) {
        true => rest,
        false => record,
    }
}

/// `<34>` and what follows it.
pub(super) fn priority(record: &str) -> (Option<(u8, &str)>, &str) {
    let parsed = record.strip_prefix('<').and_then(|rest| {
        let end = rest.bytes().take(4).position(|b| b == b'>')?;
        let number: u8 = rest[..end].parse().ok().filter(|n| *n < 192)?;
        Some(((number, &rest[..end]), &rest[end + 1..]))
    });
    match parsed {
        Some((priority, rest)) => (Some(priority), rest),
        None => (None, record),
    }
}

pub(super) fn set_priority<'a>(number: u8, text: &'a str, found: &mut Found<'a>) {
    let (field, severity) = severity_field(Severity::from_syslog(number & 7));
    found.envelope.push((field, "", severity));
    found.attribute("syslog.facility", FACILITIES[usize::from(number >> 3)]);
    found.pairs.push(Pair::new("syslog.priority", Val::Number(Cow::Borrowed(text))));
}

/// `TIME HOST APP PROCID MSGID SD [MSG]`; returns the message.
fn rfc5424<'a>(rest: &'a str, found: &mut Found<'a>) -> Option<&'a str> {
    let (stamp, rest) = moment(rest)?;
    let (host, rest) = token(rest)?;
    let (app, rest) = token(rest)?;
    let (procid, rest) = token(rest)?;
    let (app, procid) = match app.strip_suffix(']').and_then(|app| app.split_once('[')) {
        // Some put the whole tag there.
        Some((name, pid)) if procid == "-" && !name.is_empty() => (name, pid),
        _ => (app, procid),
    };
    let (msgid, rest) = cut_at(rest, b' ').unwrap_or((rest, ""));
    if stamp != "-" {
        found.stamp = Some(time::iso(stamp.as_bytes()).filter(|(_, n)| *n == stamp.len())?.0);
    }
    origin(host, app, procid, found);
    found.attribute("syslog.msgid", msgid);
    let message = match rest.strip_prefix('-') {
        Some(rest) => rest,
        None => structured_data(rest, found),
    };
    let message = message.strip_prefix(' ').unwrap_or(message);
    Some(message.strip_prefix('\u{feff}').unwrap_or(message))
}

/// The time, in which some have a blank for the `T`.
fn moment(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = token(text)?;
    if word.len() != "2026-11-23".len() {
        return Some((word, rest));
    }
    let end = word.len() + 1 + rest.find(' ')?;
    Some((&text[..end], &text[end + 1..]))
}

fn token(text: &str) -> Option<(&str, &str)> {
    cut_at(text, b' ').filter(|(token, _)| !token.is_empty())
}

/// `[id param="value" ...]...`; returns what follows. Malformed data is left in the message.
fn structured_data<'a>(text: &'a str, found: &mut Found<'a>) -> &'a str {
    let mut rest = text;
    let mut count = 0;
    while let Some(inner) = rest.strip_prefix('[') {
        let Some(end) = inner.find([' ', ']']) else { return text };
        let id = &inner[..end];
        let mut params = &inner[end..];
        loop {
            params = params.trim_start_matches(' ');
            if let Some(after) = params.strip_prefix(']') {
                rest = after;
                break;
            }
            let Some((name, value, after)) = parameter(params) else { return rest };
            count += 1;
            if count <= SD_PARAMS_MAX {
                let name = Cow::Owned(format!("syslog.sd.{id}.{name}"));
                found.pairs.push(Pair { name, value: Val::Text(value) });
            }
            params = after;
        }
    }
    rest
}

/// `name="value"` with `\"`, `\\` and `\]` undone.
fn parameter(text: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let (name, rest) = text.split_once("=\"")?;
    if name.len() > TAG_BYTES_MAX || name.contains([' ', ']', '"']) {
        return None;
    }
    let end = closing_quote(rest.as_bytes())?;
    let value = &rest[..end];
    let value = match value.contains('\\') {
        true => {
            let value = value.replace("\\\"", "\"").replace("\\]", "]");
            Cow::Owned(value.replace("\\\\", "\\"))
        }
        false => Cow::Borrowed(value),
    };
    Some((name, value, &rest[end + 1..]))
}

/// `TIME [HOST] TAG[PID]: MSG`; returns the message. Without a priority the shape must be sure.
fn rfc3164<'a>(
    rest: &'a str,
    has_priority: bool,
    context: &Context<'_>,
    found: &mut Found<'a>,
) -> Option<&'a str> {
    // Cisco devices put a sequence number or a star before the time.
    let rest = if has_priority { rest.trim_start_matches(['*', ' ']) } else { rest };
    let text = rest;
    let Some((stamp, used)) = time::leading(rest.as_bytes(), context.received) else {
        return (has_priority || has_pid(rest)).then(|| after_time(rest, context, found));
    };
    let rest = rest.get(used..)?;
    // A colon after the time is Cisco's; programs put it before their own text.
    let colon = rest.strip_prefix(": ").filter(|_| has_priority);
    let Some(rest) = rest.strip_prefix(' ').or(colon) else {
        return has_priority.then_some(rest);
    };
    // FreeBSD writes facility and level before the host: `<auth.info> web1`.
    let rest = match rest.trim_start_matches(' ').strip_prefix('<') {
        Some(_) => after_level(rest.trim_start_matches(' '), found),
        None => rest,
    };
    // Programs write `2026-11-23 10:00:00` before their own lines, too.
    let is_own = is_program_time(text) && !has_pid(rest);
    let is_metalog = stamp.guess == Some(time::YEAR_GUESSED) && metalog(rest).is_some();
    if !has_priority && !is_metalog && (is_own || !sure(rest) || is_docker(rest)) {
        return None;
    }
    found.stamp = Some(stamp);
    Some(after_time(rest, context, found))
}

/// True for `container exec_create: /bin/sh ID (image=...)`, an event as `docker events` prints it.
fn is_docker(rest: &str) -> bool {
    rest.ends_with(')')
        && cut_at(rest, b' ').is_some_and(|(object, action)| {
            DOCKER_OBJECTS.contains(&object) && !action.contains("]: ")
        })
}

/// True for a time such as `2026-11-23 10:00:00` or `Nov 23, 2026 10:00:00 AM`.
fn is_program_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes.first().is_some_and(u8::is_ascii_digit) {
        true => bytes.get(10) == Some(&b' '),
        false => bytes.iter().take(7).any(|b| *b == b','),
    }
}

/// True for `tag[12]: ...` and `host tag[12]: ...`, which nothing else looks like.
fn has_pid(rest: &str) -> bool {
    let is_tag = |text: &str| tag(text).is_some_and(|(_, pid, _)| pid.is_some_and(is_pid));
    let rest = rest.trim_start();
    is_tag(rest)
        || cut_at(rest, b' ').is_some_and(|(host, after)| {
            is_host(host) && !is_number(host) && is_tag(after.trim_start())
        })
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// True for `host tag: ...`, not for `INFO module: ...` of a program's own log.
fn sure(rest: &str) -> bool {
    let Some((host, rest)) = cut_at(rest.trim_start(), b' ') else { return false };
    let bare = host.trim_matches(['[', ']', ':']);
    if is_socket(host) && !has_pid(rest) {
        return false;
    }
    tag(host).is_some_and(|(_, pid, _)| pid.is_some())
        || (Severity::from_log_level(bare).is_none()
            && is_host(host)
            && !(host.len() == 1 && host.bytes().all(|b| b.is_ascii_uppercase()))
            && !is_number(host)
            && (tag(rest).is_some()
                || rest.contains(": ")
                || ["last message repeated ", "CEF:", "LEEF:", PAN_OS]
                    .iter()
                    .any(|start| rest.starts_with(start))
                || (keyvalue::FORMAT.looks)(rest.trim_start().as_bytes())))
}

pub(super) fn is_host(token: &str) -> bool {
    !token.is_empty()
        && token.len() <= 255
        && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:/%@".contains(&b))
        && !token.ends_with(':')
}

/// True for `192.0.2.7:514`, which programs write of their clients: no host has that name.
fn is_socket(token: &str) -> bool {
    token.as_bytes().first().is_some_and(u8::is_ascii_digit)
        && token.split_once(':').is_some_and(|(address, port)| {
            address.bytes().all(|b| b.is_ascii_digit() || b == b'.') && is_number(port)
        })
}

/// Reads `[HOST] TAG[PID]: MSG` and returns the message.
fn after_time<'a>(rest: &'a str, context: &Context<'_>, found: &mut Found<'a>) -> &'a str {
    let rest = rest.trim_start_matches(' ');
    let year_guessed = found.stamp.is_some_and(|s| s.guess == Some(time::YEAR_GUESSED));
    if let Some((name, message)) = metalog(rest).filter(|_| year_guessed) {
        origin("", name, "", found);
        return message;
    }
    if let Some((name, pid, message)) = tag(rest) {
        origin("", name, pid.unwrap_or(""), found);
        return message;
    }
    let Some((host, after)) = cut_at(rest, b' ') else { return rest };
    if (found.stamp.is_none() && !has_pid(rest)) || !is_host(host) || host.contains('=') {
        return rest;
    }
    let after = after.trim_start_matches(' ');
    let host = match is_socket(host) {
        // A relay that names the port of its client, too.
        true if has_pid(after) => host.split(':').next().unwrap_or(host),
        true => return rest,
        false => host,
    };
    // OpenWrt and its like name no host.
    if set_level(host, found) {
        return tagged(after, found);
    }
    if let Some((name, pid, message)) = tag(after) {
        origin(host, name, pid.unwrap_or(""), found);
        return message;
    }
    if let Some((from, after)) = forwarded(rest) {
        origin(from, "", "", found);
        return tagged(after, found);
    }
    if let Some(message) = relayed(host, after, context, found) {
        return message;
    }
    origin(host, "", "", found);
    tagged(after, found)
}

/// Reads `TAG[PID]: MSG`, before which the level may stand.
fn tagged<'a>(text: &'a str, found: &mut Found<'a>) -> &'a str {
    let text = after_level(text, found);
    let Some((name, pid, message)) = tag(text) else { return text };
    origin("", name, pid.unwrap_or(""), found);
    message
}

/// AIX relays lines as `Message forwarded from web1: sshd[1]: text`.
fn forwarded(text: &str) -> Option<(&str, &str)> {
    let (host, rest) = text.strip_prefix("Message forwarded from ")?.split_once(": ")?;
    is_host(host).then_some((host, rest))
}

/// The head that the sender wrote, behind that of a relay; once only.
fn relayed<'a>(
    host: &'a str,
    after: &'a str,
    context: &Context<'_>,
    found: &mut Found<'a>,
) -> Option<&'a str> {
    const RELAY: &str = "syslog.relay";
    if found.pair(RELAY).is_some() {
        return None;
    }
    if let Some((from, after)) = forwarded(after) {
        found.pairs.push(Pair::new(RELAY, host));
        origin(from, "", "", found);
        return Some(tagged(after, found));
    }
    let inner = priority(after).1;
    if inner.starts_with(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit())
        && let Some((stamp, used)) = time::leading(inner.as_bytes(), context.received)
        && let Some(rest) = inner.get(used..).and_then(|rest| rest.strip_prefix(' '))
        && (has_pid(rest) || (stamp.guess == Some(time::YEAR_GUESSED) && sure(rest)))
    {
        let is_exact = |stamp: &time::Stamp| stamp.guess.is_none();
        found.stamp = found.stamp.filter(|s| is_exact(s) && !is_exact(&stamp)).or(Some(stamp));
        found.pairs.push(Pair::new(RELAY, host));
        return Some(after_time(rest, context, found));
    }
    let is_relay = host.contains('/') || host.parse::<std::net::IpAddr>().is_ok();
    if is_relay && has_pid(after) {
        found.pairs.push(Pair::new(RELAY, host));
        return Some(after_time(after, context, found));
    }
    None
}

/// The text behind a first word that names facility and level, else the text.
fn after_level<'a>(text: &'a str, found: &mut Found<'a>) -> &'a str {
    match cut_at(text, b' ') {
        Some((word, rest)) if set_level(word, found) => rest.trim_start_matches(' '),
        _ => text,
    }
}

/// Notes `authpriv.info`, `<auth.info>`, `<4.6>` or AIX's `auth|security:info`; false for others.
fn set_level<'a>(word: &'a str, found: &mut Found<'a>) -> bool {
    if word.len() > LEVEL_BYTES_MAX {
        return false;
    }
    let bare = word.trim_start_matches('<').trim_end_matches('>');
    let Some(at) = memchr::memchr2(b'.', b':', bare.as_bytes()) else { return false };
    let (facility, level) = (&bare[..at], &bare[at + 1..]);
    let facility = facility.split('|').next().unwrap_or(facility);
    let number = |text: &str| text.parse::<u8>().ok().filter(|_| word.starts_with('<'));
    let facility = if facility == "security" { "auth" } else { facility };
    let by_number = number(facility).and_then(|n| FACILITIES.get(usize::from(n)));
    let by_name = || FACILITIES.iter().find(|name| **name == facility);
    let Some(facility) = by_number.or_else(by_name) else { return false };
    let severity = match number(level) {
        Some(number) => Some(Severity::from_syslog(number)).filter(|_| number < 8),
        None => Severity::from_log_level(level),
    };
    let Some(severity) = severity else { return false };
    if found.pair("syslog.facility").is_none() {
        let (field, severity) = severity_field(severity);
        found.envelope.push((field, "", severity));
        found.attribute("syslog.facility", facility);
    }
    true
}

/// `[sshd] message` and `[sshd]: message`, as metalog writes it.
fn metalog(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('[')?.split_once(']')?;
    let is_name = (2..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
        && Severity::from_log_level(name).is_none();
    let message = after.strip_prefix(": ").or_else(|| after.strip_prefix(' '))?;
    is_name.then_some((name, message))
}

/// `sshd[812]: message`, `CRON: message`: the name, the process id and the message.
fn tag(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let bytes = text.as_bytes();
    let end = bytes.iter().take(TAG_BYTES_MAX).position(|b| matches!(b, b'[' | b':' | b' '))?;
    let name = &text[..end];
    // polkit's tag holds an `=`, in brackets.
    let equals = name.find('=').is_some_and(|equals| !name[..equals].contains('('));
    // Some put a blank behind the colon of `CEF:0|`.
    let is_inner = matches!(name, "CEF" | "LEEF");
    if is_inner
        || name.is_empty()
        || equals
        || !name.bytes().all(|b| b.is_ascii_graphic() && b != b'"')
    {
        return None;
    }
    match bytes[end] {
        b':' => {
            let message = &text[end + 1..];
            (message.is_empty() || message.starts_with(' '))
                .then(|| (name, None, message.trim_start_matches(' ')))
        }
        b'[' => {
            let close = bytes[end..].iter().take(TAG_BYTES_MAX).position(|b| *b == b']')? + end;
            // macOS puts the level there: `app[12] <Notice>: text`.
            let after = &text[close + 1..];
            let after = match after.strip_prefix(" <") {
                Some(level) => level.split_once('>').map_or(after, |(_, after)| after),
                None => after,
            };
            let message = after.strip_prefix(':')?;
            Some((name, Some(&text[end + 1..close]), message.trim_start_matches(' ')))
        }
        _ => None,
    }
}

fn origin<'a>(host: &'a str, program: &'a str, pid: &'a str, found: &mut Found<'a>) {
    if !host.is_empty() && host != "-" {
        found.envelope.push((fields::HOST_NAME, "syslog.hostname", host.into()));
    }
    if !program.is_empty() && program != "-" {
        found.program = Some(Cow::Borrowed(program));
        found.envelope.push((fields::PROCESS_NAME, "syslog.appname", program.into()));
    }
    if is_pid(pid) {
        let number = Val::Number(Cow::Borrowed(pid));
        found.envelope.push((fields::PROCESS_PID, "syslog.procid", number));
    } else {
        found.attribute("syslog.procid", pid);
    }
}

fn is_pid(text: &str) -> bool {
    pugmark_event::value::exact_integer(text).is_some()
}
