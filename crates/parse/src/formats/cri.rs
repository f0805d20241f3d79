//! Lines of the Kubernetes container runtime: `TIME stdout F text`, where `P` says that the line
//! goes on in the next one. Source: the logging format of the Container Runtime Interface.

use memchr::memmem;

use super::{Context, Format, unwrapped};
use crate::found::Found;
use crate::time;

pub(crate) const FORMAT: Format = Format { name: "cri", looks, read };

/// Only so far into a line its stream stands, in bytes.
const HEAD_BYTES_MAX: usize = 48;

fn looks(record: &[u8]) -> bool {
    let head = &record[..record.len().min(HEAD_BYTES_MAX)];
    // A time such as `2026-11-23T10:00:00.123456789Z` begins it.
    matches!(head, [b'0'..=b'9', _, _, _, b'-', _, _, b'-', _, _, b'T', ..])
        && memmem::find_iter(head, b" std")
            .any(|at| head[at..].starts_with(b" stdout ") || head[at..].starts_with(b" stderr "))
}

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let (stamp, used) = time::iso(record.as_bytes())?;
    let mut parts = record.get(used..)?.strip_prefix(' ')?.splitn(3, ' ');
    let (stream, tag) = (parts.next()?, parts.next()?);
    if !matches!(stream, "stdout" | "stderr") || !tag.starts_with(['F', 'P']) {
        return None;
    }
    let mut found = Found::new("cri");
    found.stamp = Some(stamp);
    found.attribute("stream", stream);
    if tag.starts_with('P') {
        found.attribute("cri.partial", "true");
    }
    Some(unwrapped(found, parts.next().unwrap_or(""), context))
}
