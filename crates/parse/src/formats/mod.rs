//! Formats: how records are written, before the question who wrote them. One file each and one
//! line in [`FORMATS`].

use pugmark_event::time::Micros;

use crate::found::Found;

mod access;
mod audit;
mod cisco;
pub(crate) mod json;
mod keyvalue;
mod plain;
mod syslog;
mod windows;

pub(crate) use json::{Fit, Place, Shapes, severity_field};
pub(crate) use keyvalue::scan as scan_pairs;

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
    /// The source that it came from.
    pub(crate) source: &'a str,
}

/// All formats, the surest look first. The last one takes everything.
const FORMATS: &[Format] = &[
    windows::FORMAT,
    json::FORMAT,
    cisco::FORMAT,
    syslog::FORMAT,
    audit::FORMAT,
    access::FORMAT,
    keyvalue::FORMAT,
    plain::FORMAT,
];

/// Reads a record by the format that its door names, else by the first that fits.
pub(crate) fn read<'a>(record: &'a str, hint: Option<&str>, context: &Context<'_>) -> Found<'a> {
    // A byte order mark or blanks before the record are no part of any format.
    let text = record.trim_start_matches(['\u{feff}', ' ', '\t']);
    let text = text.trim_end_matches(['\r', '\n', '\0']);
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

/// Formats that stand inside a syslog envelope.
const INNER: &[Format] = &[
    windows::FORMAT,
    json::FORMAT,
    cisco::FORMAT,
    audit::FORMAT,
    access::FORMAT,
    keyvalue::FORMAT,
];

/// Reads what stands inside a syslog envelope; `None` when it is only text.
pub(crate) fn read_inner<'a>(message: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    INNER
        .iter()
        .filter(|format| (format.looks)(message.as_bytes()))
        .find_map(|format| (format.read)(message, context))
}
