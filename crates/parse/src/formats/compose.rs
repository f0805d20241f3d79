//! Lines of `docker compose logs`: `web-1  | text`, the name of the container first.

use pugmark_event::Severity;

use super::{Context, Format, NOT_UNDERSTOOD, unwrapped};
use crate::found::Found;

pub(crate) const FORMAT: Format = Format { name: "compose", looks, read };

/// Longest name of a container with the blanks behind it, in bytes.
const NAME_BYTES_MAX: usize = 96;

fn looks(record: &[u8]) -> bool {
    parts(record).is_some()
}

/// Where the name ends and where the text begins.
fn parts(record: &[u8]) -> Option<(usize, usize)> {
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let head = &record[..record.len().min(NAME_BYTES_MAX)];
    let name = head.iter().take_while(|b| is_name(b)).count();
    let blanks = head[name..].iter().take_while(|b| **b == b' ').count();
    let bar = name + blanks;
    let is_bar = head.get(bar) == Some(&b'|') && matches!(head.get(bar + 1), Some(b' ') | None);
    (name > 0 && blanks > 0 && is_bar).then_some((name, bar + 1))
}

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let (name, text) = parts(record.as_bytes())?;
    let (name, text) = (&record[..name], record[text..].trim_start_matches(' '));
    // `INFO | text` is a line of its own, as are columns between bars.
    if Severity::from_log_level(name).is_some() || text.is_empty() {
        return None;
    }
    let mut found = Found::new(FORMAT.name);
    found.attribute("container.name", name);
    let found = unwrapped(found, text, context);
    let is_numbered = name.rsplit(['-', '_']).next().is_some_and(|number| {
        number.len() < name.len() && number.bytes().all(|b| b.is_ascii_digit())
    });
    (is_numbered || !found.issues.contains(&NOT_UNDERSTOOD)).then_some(found)
}
