//! Formats: how records are written, before the question who wrote them. One file each and one
//! line in [`FORMATS`].

use std::borrow::Cow;

use pugmark_event::time::Micros;
use pugmark_event::{FieldId, fields};

use crate::found::Found;

mod access;
pub(crate) mod app;
pub(crate) mod audit;
mod cef;
mod cisco;
mod compose;
mod cri;
mod journal;
pub(crate) mod json;
mod keyvalue;
mod klog;
mod leef;
mod plain;
mod syslog;
mod table;
mod windows;
mod windows_xml;

pub(crate) use json::{Fit, Place, Row, Shapes, severity_field};
pub(crate) use keyvalue::scan as scan_pairs;

/// The format of what has none.
pub(crate) const PLAIN: &str = "plain";
/// No format and no pack knew the record.
pub(crate) const NOT_UNDERSTOOD: &str = "not_understood";

/// One way to write records.
pub(crate) struct Format {
    /// The name that packs and doors use.
    pub(crate) name: &'static str,
    /// A fast look at the bytes that may be wrong; [`Format::read`] has the last word.
    pub(crate) looks: fn(&[u8]) -> bool,
    /// Reads the record; `None` when it is another format after all.
    pub(crate) read: for<'a> fn(&'a str, &Context<'_>) -> Option<Found<'a>>,
}

/// What a format may know beside the record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// When the record was received; gives year-less times their year.
    pub(crate) received: Micros,
    /// Wraps around the text at hand.
    pub(crate) wraps: usize,
    /// What the records before it said about its columns, if it is a row of a table.
    pub(crate) header: Option<&'a str>,
}

impl Context<'_> {
    /// Of a record that was received then, with nothing around or above it.
    pub(crate) fn at(received: Micros) -> Self {
        Self { received, wraps: 0, header: None }
    }
}

/// All formats, the surest look first. The last one takes everything.
const FORMATS: &[Format] = &[
    windows::FORMAT,
    windows_xml::FORMAT,
    json::FORMAT,
    cef::FORMAT,
    leef::FORMAT,
    compose::FORMAT,
    cisco::FORMAT,
    cri::FORMAT,
    journal::FORMAT,
    klog::FORMAT,
    syslog::FORMAT,
    audit::FORMAT,
    access::FORMAT,
    table::TABLE_FORMAT,
    keyvalue::FORMAT,
    plain::FORMAT,
];

/// Formats whose records are rows under a header that no other record looks like.
const ROWS: &[Format] = &[table::W3C_FORMAT, table::ZEEK_FORMAT];

/// The names of all formats.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().chain(ROWS).map(|format| format.name)
}

/// Reads a record by the header above it, by the format that its door names, else by the first
/// format that fits.
pub(crate) fn read<'a>(record: &'a str, hint: Option<&str>, context: &Context<'_>) -> Found<'a> {
    // A byte order mark or blanks before the record are no part of any format.
    let text = record.trim_start_matches(['\u{feff}', ' ', '\t']);
    let text = text.trim_end_matches(['\r', '\n', '\0']);
    if context.header.is_some()
        && let Some(found) = ROWS.iter().find_map(|format| (format.read)(text, context))
    {
        return found;
    }
    let text = if context.header.is_none() { syslog::uncounted(text, context) } else { text };
    let hinted = hint.and_then(|name| FORMATS.iter().find(|f| f.name == name));
    if let Some(found) = hinted.and_then(|format| (format.read)(text, context)) {
        return found;
    }
    FORMATS
        .iter()
        .filter(|format| (format.looks)(text.as_bytes()))
        .find_map(|format| (format.read)(text, context))
        .unwrap_or_else(|| plain::keep(text))
}

/// The text before the first such byte of ASCII, and what is behind it.
pub(crate) fn cut_at(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(byte, text.as_bytes())?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The text before the last such byte of ASCII, and what is behind it.
pub(crate) fn cut_at_last(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = memchr::memrchr(byte, text.as_bytes())?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The place of the first quote that no `\` before it hides.
pub(crate) fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Formats that stand inside a syslog envelope.
const INNER: &[Format] = &[
    windows::FORMAT,
    windows_xml::FORMAT,
    json::FORMAT,
    cef::FORMAT,
    leef::FORMAT,
    cisco::FORMAT,
    klog::FORMAT,
    audit::FORMAT,
    access::FORMAT,
    keyvalue::FORMAT,
];

/// Wraps that are opened, one inside the other: JSON in syslog in a container's JSON are three.
const WRAPS_MAX: usize = 4;
/// Wraps deeper than [`WRAPS_MAX`] stayed closed.
const WRAPS_CUT: &str = "wraps_cut";

/// Reads what stands inside a syslog envelope; `None` when it is only text.
pub(crate) fn read_inner<'a>(message: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let context = deeper(context)?;
    INNER
        .iter()
        .filter(|format| (format.looks)(message.as_bytes()))
        .find_map(|format| (format.read)(message, &context))
}

/// A record around the text of another: the other's meaning, and the envelope where that is silent.
pub(crate) fn unwrapped<'a>(
    mut envelope: Found<'a>,
    text: &'a str,
    context: &Context<'_>,
) -> Found<'a> {
    match deeper(context) {
        Some(context) => merge(envelope, read(text, None, &context), text),
        None => {
            envelope.issues.push(WRAPS_CUT);
            envelope.message = Some(Cow::Borrowed(text));
            envelope
        }
    }
}

/// The same where the text had to be unescaped.
pub(crate) fn unwrapped_owned<'a>(
    mut envelope: Found<'a>,
    text: String,
    context: &Context<'_>,
) -> Found<'a> {
    let Some(context) = deeper(context) else {
        envelope.issues.push(WRAPS_CUT);
        envelope.message = Some(Cow::Owned(text));
        return envelope;
    };
    let mut inner = read(&text, None, &context).into_owned();
    inner.message = inner.message.or(Some(Cow::Owned(text)));
    merge(envelope, inner, "")
}

pub(crate) fn deeper<'a>(context: &Context<'a>) -> Option<Context<'a>> {
    let wraps = context.wraps + 1;
    (wraps < WRAPS_MAX).then_some(Context { wraps, header: None, ..*context })
}

/// The inner record with the envelope around it.
pub(crate) fn merge<'a>(envelope: Found<'a>, mut inner: Found<'a>, message: &'a str) -> Found<'a> {
    let guessed = envelope.stamp.is_none_or(|s| s.guess.is_some());
    let inner_stamp = inner.stamp.filter(|s| guessed && s.guess.is_none());
    inner.stamp = inner_stamp.or(envelope.stamp).or(inner.stamp);
    inner.envelope.extend(envelope.envelope);
    inner.program = inner.program.or(envelope.program);
    let has_level = inner.fields.iter().any(|(id, _)| *id == fields::LOG_LEVEL);
    let is_level = |id: FieldId| id == fields::LOG_LEVEL || id == fields::SEVERITY;
    inner
        .fields
        .extend(envelope.fields.into_iter().filter(|(id, _)| !(has_level && is_level(*id))));
    inner.pairs.extend(envelope.pairs);
    // What was not understood inside was understood by its envelope.
    inner.issues.extend(envelope.issues);
    inner.message = inner.message.or(Some(Cow::Borrowed(message)));
    inner
}
