//! klog, as Kubernetes components write it (and glog): `I1123 10:00:00.123456  4711 file.go:12]
//! text`.

use std::borrow::Cow;

use pugmark_event::{Severity, fields};

use super::json::severity_field;
use super::{Context, Format};
use crate::found::{Found, Pair, Val};
use crate::time;

pub(crate) const FORMAT: Format = Format { name: "klog", looks, read };

fn looks(record: &[u8]) -> bool {
    matches!(record, [b'I' | b'W' | b'E' | b'F', d @ .., ] if d.len() > 20
        && d[..4].iter().all(u8::is_ascii_digit) && d[4] == b' ' && d[7] == b':')
}

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let mut found = Found::new("klog");
    let (stamp, used) = time::month_and_day(record.get(1..)?.as_bytes(), context.received)?;
    let rest = record.get(1 + used..)?.trim_start_matches(' ');
    let (head, message) = rest.split_once("] ").or_else(|| rest.split_once(']'))?;
    let (thread, place) = head.split_once(' ')?;
    let (file, line) = place.rsplit_once(':')?;
    if !thread.bytes().chain(line.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (severity, level) = match record.as_bytes().first()? {
        b'I' => (Severity::Informational, "info"),
        b'W' => (Severity::Medium, "warning"),
        b'E' => (Severity::High, "error"),
        _ => (Severity::Critical, "fatal"),
    };
    found.stamp = Some(stamp);
    found.fields.push(severity_field(severity));
    found.field(fields::LOG_LEVEL, level);
    found.pairs.push(Pair::new("process.thread.id", Val::Number(Cow::Borrowed(thread))));
    found.attribute("log.origin.file.name", file);
    found.pairs.push(Pair::new("log.origin.file.line", Val::Number(Cow::Borrowed(line))));
    found.message = Some(Cow::Borrowed(message));
    Some(found)
}
