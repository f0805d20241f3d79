//! The Linux audit log: `type=SYSCALL msg=audit(1795428000.123:456): arch=... comm="cat" ...`.
//!
//! Values that came from outside the kernel are quoted, or hex where they hold odd bytes; a nested
//! `msg='...'` holds more pairs. Source: the audit daemon's own description of its record format.
//!
//! One thing that happened is several records with one serial number: SYSCALL says which process it
//! was, and EXECVE, CWD, PATH and PROCTITLE follow. Each record stays an event of its own, since
//! rules ask for its type, and gets from SYSCALL what it does not say itself ([`Serials`]).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use pugmark_event::{FieldId, fields};

use super::{Context, Format, scan_pairs};
use crate::found::{Found, Pair, Val};
use crate::time::{self, Stamp};

/// Arguments of one EXECVE that are joined into a command line.
const ARGUMENTS_MAX: usize = 4096;
/// Fields whose unquoted value is hex text, beside the arguments of EXECVE.
const ENCODED: &[&str] = &[
    "proctitle",
    "comm",
    "exe",
    "name",
    "cwd",
    "cmd",
    "data",
    "path",
    "key",
    "acct",
    "file",
    "dir",
    "old-chardev",
    "new-chardev",
    "vm",
    "watch",
    "ocomm",
];

/// What the daemon adds to records in capitals, the longest name first (auditd.conf(5),
/// `log_format = ENRICHED`).
const ADDED: &[&str] = &[
    "SYSCALL", "OAUID", "FSUID", "FSGID", "SADDR", "ARCH", "AUID", "EUID", "SUID", "EGID", "SGID",
    "OUID", "OGID", "UID", "GID",
];
/// Longest type of a record, in bytes.
const TYPE_BYTES_MAX: usize = 32;
/// Hex digits of a socket's address that are read: a path has at most 108 bytes.
const SADDR_BYTES_MAX: usize = 256;

/// Serial numbers that records still come for: the kernel's records of several processes mix.
const SERIALS_MAX: usize = 16;
/// What the records of one serial number get from its SYSCALL record.
const SHARED: [(&str, FieldId); 6] = [
    ("exe", fields::PROCESS_EXECUTABLE),
    ("comm", fields::PROCESS_NAME),
    ("pid", fields::PROCESS_PID),
    ("ppid", fields::PROCESS_PARENT_PID),
    ("auid", fields::USER_ID),
    ("ses", fields::SESSION_ID),
];
/// An id that was never set, as the kernel prints it.
const UNSET: &str = "4294967295";

/// The SYSCALL records whose serial number may come again, of one block of records.
#[derive(Debug, Default)]
pub(crate) struct Serials {
    /// The newest last.
    known: VecDeque<Call>,
}

/// What one SYSCALL record said.
#[derive(Debug)]
struct Call {
    /// Node and serial number.
    key: [String; 2],
    values: Vec<(FieldId, String)>,
}

impl Serials {
    /// Remembers what a SYSCALL record says, and adds it to the others of its serial number.
    pub(crate) fn join(&mut self, found: &mut Found<'_>) {
        let Some(serial) = found.pair("audit.serial") else { return };
        let node = found.fields.iter().find(|(id, _)| *id == fields::HOST_NAME);
        let key = [node.map_or("", |(_, node)| node.text()).to_string(), serial.text().to_string()];
        if found.pair("type").is_some_and(|kind| kind.text() == "SYSCALL") {
            let values = SHARED.iter().filter_map(|(name, id)| {
                let value = found.pair(name)?.text();
                (!value.is_empty() && value != UNSET).then(|| (*id, value.to_string()))
            });
            let values = values.collect();
            if self.known.len() == SERIALS_MAX {
                self.known.pop_front();
            }
            return self.known.push_back(Call { key, values });
        }
        let Some(call) = self.known.iter().rev().find(|call| call.key == key) else { return };
        for (id, value) in &call.values {
            found.envelope.push((*id, "", Val::Text(Cow::Owned(value.clone()))));
        }
    }
}

pub(crate) const FORMAT: Format = Format { name: "audit", looks, read };

/// A record without one of these is none of the audit log.
static MARKS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| ["audit(", "type="].map(Finder::new));

fn looks(record: &[u8]) -> bool {
    let head = &record[..record.len().min(200)];
    MARKS.iter().all(|mark| mark.find(head).is_some())
}

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let mut found = Found::new(FORMAT.name);
    found.product = "linux";
    let open = record.find("audit(")?;
    let close = open + record[open..].find(')')?;
    let (stamp, serial) = identity(&record[open + 6..close], context)?;
    found.stamp = Some(stamp);
    let mut head = Vec::new();
    scan_pairs(record[..open].trim_end_matches("msg="), &mut head);
    for pair in head {
        match &*pair.name {
            "node" => found.fields.push((fields::HOST_NAME, pair.value)),
            _ => found.pairs.push(pair),
        }
    }
    found.pair("type")?;
    found.attribute("audit.serial", serial);
    body(record[close + 1..].trim_start_matches([':', ' ']), &mut found);
    finish(&mut found);
    Some(found)
}

/// What is in the journal of a record whose type and time are known there otherwise:
/// `USER_AUTH pid=22 uid=0 msg='op=... acct="bob"'`.
pub(super) fn read_bare(text: &str) -> Option<Found<'_>> {
    let (kind, rest) = text.split_once(' ')?;
    let is_type = (3..=TYPE_BYTES_MAX).contains(&kind.len())
        && kind.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if !is_type || !rest.contains('=') {
        return None;
    }
    let mut found = Found::new(FORMAT.name);
    found.product = "linux";
    found.pairs.push(Pair::new("type", kind));
    body(rest, &mut found);
    finish(&mut found);
    found.message = Some(Cow::Borrowed(text));
    Some(found)
}

/// `1795428000.123:456`: the time and the serial number. `ausearch -i` writes the time as a date.
fn identity<'a>(text: &'a str, context: &Context<'_>) -> Option<(Stamp, &'a str)> {
    let (time, serial) = text.rsplit_once(':')?;
    let stamp = match time::epoch(time) {
        Some(time) => Stamp { time, guess: None },
        None => time::value(time, context.received)?,
    };
    Some((stamp, serial))
}

/// What several values of a record say together.
fn finish(found: &mut Found<'_>) {
    let is_type = |name| found.pair("type").is_some_and(|kind| kind.text() == name);
    if is_type("EXECVE") {
        join_arguments(found);
    } else if is_type("SOCKADDR")
        && let Some(address) = found.pair("saddr").and_then(|hex| socket_address(hex.text()))
    {
        found.pairs.extend(address);
    }
}

/// A `sockaddr` in hex, as the machine holds it: the family with its low byte first, and what the
/// family has (ip(7), ipv6(7), unix(7)).
fn socket_address<'a>(hex: &str) -> Option<Vec<Pair<'a>>> {
    let bytes = bytes_of(hex.get(..hex.len().min(SADDR_BYTES_MAX))?)?;
    let port = || bytes.get(2..4).map(|p| u16::from_be_bytes([p[0], p[1]]).to_string());
    let (family, values) = match (*bytes.first()?, *bytes.get(1)?) {
        (1, 0) => {
            // An abstract name begins with NUL, which ss(8) shows as `@`.
            let path = bytes.get(2..).unwrap_or_default();
            let mark = if path.first() == Some(&0) && path.len() > 1 { "@" } else { "" };
            let path = path.get(mark.len()..).unwrap_or_default();
            let path = path.split(|b| *b == 0).next().unwrap_or_default();
            ("unix", vec![("audit.saddr.path", [mark, &String::from_utf8_lossy(path)].concat())])
        }
        (2, 0) => {
            let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            let ip = std::net::Ipv4Addr::from(ip).to_string();
            ("inet", vec![("audit.saddr.ip", ip), ("audit.saddr.port", port()?)])
        }
        (10, 0) => {
            let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            let ip = std::net::Ipv6Addr::from(ip).to_string();
            ("inet6", vec![("audit.saddr.ip", ip), ("audit.saddr.port", port()?)])
        }
        (16, 0) => ("netlink", Vec::new()),
        _ => return None,
    };
    let pair = |(name, text): (&'static str, String)| {
        let text = Cow::Owned(text);
        let is_port = name.ends_with("port");
        Pair::new(name, if is_port { Val::Number(text) } else { Val::Text(text) })
    };
    let mut pairs = vec![Pair::new("audit.saddr.family", family)];
    pairs.extend(values.into_iter().map(pair));
    Some(pairs)
}

fn body<'a>(text: &'a str, found: &mut Found<'a>) {
    // User-space records nest their own pairs: msg='op=login acct="root" res=success'.
    let (outer, nested) = match text.find("msg='") {
        Some(at) => {
            let inner = &text[at + 5..];
            let end = inner.rfind('\'').unwrap_or(inner.len());
            (&text[..at], Some((&inner[..end], inner.get(end + 1..).unwrap_or(""))))
        }
        None => (text, None),
    };
    add_pairs(outer, found);
    if let Some((inner, after)) = nested {
        add_pairs(inner, found);
        add_pairs(after, found);
    }
}

fn add_pairs<'a>(text: &'a str, found: &mut Found<'a>) {
    let execve = found.pair("type").is_some_and(|t| t.text() == "EXECVE");
    let mut pairs = Vec::new();
    scan_pairs(text, &mut pairs);
    for mut pair in pairs {
        if let Some(glued) = unglue(&mut pair) {
            found.pairs.push(glued);
        }
        let value = pair.value.text();
        let is_unset = value == UNSET && matches!(&*pair.name, "auid" | "ses");
        if is_unset || matches!(value, "(null)" | "(none)" | "?") {
            pair.value = Val::Null;
        } else if (ENCODED.contains(&&*pair.name) || (execve && is_argument(&pair.name)))
            && let Some(decoded) = decode(text, &pair)
        {
            pair.value = Val::Text(Cow::Owned(decoded));
        }
        found.pairs.push(pair);
    }
}

/// Before the names in capitals that the daemon adds stands a byte that is lost where a record is
/// copied as text: `key=(null)ARCH=x86_64`. Cuts the value there and returns what stands behind.
fn unglue<'a>(pair: &mut Pair<'a>) -> Option<Pair<'a>> {
    let Val::Text(Cow::Borrowed(value)) = pair.value else { return None };
    let equals = memchr::memchr(b'=', value.as_bytes())?;
    let is_added = |name: &&&str| value[..equals].ends_with(**name);
    let name = ADDED.iter().find(is_added)?;
    let start = equals - name.len();
    // A name in capitals that goes on before it is another one.
    if value[..start]
        .ends_with(|c: char| c == '_' || (c.is_ascii_uppercase() && pair.name != "saddr"))
    {
        return None;
    }
    pair.value = value[..start].into();
    let added = value[equals + 1..].trim_matches('"');
    Some(Pair::new(&value[start..equals], added))
}

/// `a0`, `a17`; also `a1[2]`, a part of a very long argument.
fn is_argument(name: &str) -> bool {
    name.strip_prefix('a').is_some_and(|n| n.bytes().next().is_some_and(|b| b.is_ascii_digit()))
}

/// Undoes hex, unless the value was quoted: `comm="cafe"` is a name, `comm=63617420` is not.
fn decode(text: &str, pair: &Pair<'_>) -> Option<String> {
    let value = pair.value.text();
    let Val::Text(Cow::Borrowed(borrowed)) = &pair.value else { return None };
    let start = (borrowed.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let was_quoted = start > 0 && text.as_bytes().get(start - 1) == Some(&b'"');
    if was_quoted || value.len() < 2 || !value.len().is_multiple_of(2) {
        return None;
    }
    let bytes = bytes_of(value)?;
    // Arguments in a process title are separated by NUL.
    let text = String::from_utf8_lossy(&bytes);
    Some(text.trim_end_matches('\0').replace('\0', " "))
}

/// The bytes that a text in hex stands for.
fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let nibble = |b: u8| (b as char).to_digit(16).filter(|_| !b.is_ascii_lowercase());
    let byte = |pair: &[u8]| Some((nibble(pair[0])? * 16 + nibble(pair[1])?) as u8);
    hex.as_bytes().chunks_exact(2).map(byte).collect()
}

/// The command line of an EXECVE record; an argument with blanks is quoted, so that the line can
/// be read back.
fn join_arguments(found: &mut Found<'_>) {
    let mut line = String::new();
    for pair in found.pairs.iter().filter(|p| is_argument(&p.name)).take(ARGUMENTS_MAX) {
        // `a1_len` tells how long a split argument is.
        if pair.name.ends_with("_len") {
            continue;
        }
        let value = pair.value.text();
        if !line.is_empty() {
            line.push(' ');
        }
        if value.is_empty() || value.contains(' ') {
            line.extend(["\"", value, "\""]);
        } else {
            line.push_str(value);
        }
    }
    if !line.is_empty() {
        found.fields.push((fields::PROCESS_COMMAND_LINE, Val::Text(Cow::Owned(line))));
    }
}
