//! LEEF: `LEEF:1.0|vendor|product|version|id|key=value<tab>key=value`, and 2.0, which may name
//! another separator before the pairs.
//!
//! Source: IBM's Log Event Extended Format guide.

use std::borrow::Cow;

use pugmark_event::Severity;

use super::json::severity_field;
use super::{Context, Format};
use crate::found::{Found, Pair};
use crate::time;

/// Pairs listed per record; an event keeps 512 attributes.
const PAIRS_MAX: usize = 4096;
/// What the parts of the header are called, after the version.
const HEADER: [&str; 4] = ["leef.vendor", "leef.product", "leef.version", "leef.event_id"];

pub(crate) const FORMAT: Format = Format { name: "leef", looks, read };

fn looks(record: &[u8]) -> bool {
    record.starts_with(b"LEEF:")
}

fn read<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let mut found = Found::new("leef");
    let (version, mut rest) = record.strip_prefix("LEEF:")?.split_once('|')?;
    for name in HEADER {
        let (part, after) = rest.split_once('|')?;
        found.attribute(name, part);
        rest = after;
    }
    let (separator, rest) = match version.starts_with('2') {
        true => separator(rest),
        false => ('\t', rest),
    };
    pairs(rest, separator, &mut found);
    found.stamp =
        found.pair("devTime").and_then(|value| time::value(value.text(), context.received));
    found.message = found.pair("msg").map(|value| Cow::Owned(value.text().to_string()));
    if let Some(severity) = found.pair("sev").and_then(|value| severity(value.text())) {
        found.fields.push(severity_field(severity));
    }
    Some(found)
}

/// The separator that 2.0 names before the pairs: a character, or its code as `x5E` or `0x5E`.
fn separator(text: &str) -> (char, &str) {
    let Some((named, rest)) = text.split_once('|').filter(|(named, _)| named.len() <= 4) else {
        return ('\t', text);
    };
    let code = named.strip_prefix("0x").or_else(|| named.strip_prefix('x'));
    let coded = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()).map(char::from);
    match (coded, named.chars().next()) {
        (Some(c), _) => (c, rest),
        (None, Some(c)) if named.len() == c.len_utf8() => (c, rest),
        (None, None) => ('\t', rest),
        // A name, and so the first pair.
        _ => ('\t', text),
    }
}

fn pairs<'a>(text: &'a str, separator: char, found: &mut Found<'a>) {
    // Some senders turn tabs into blanks on the way; then a value ends before the next name.
    let as_pairs = text.split(separator).filter_map(|pair| pair.split_once('='));
    for (name, value) in as_pairs.take(PAIRS_MAX) {
        let name = name.trim();
        if !name.is_empty() && !value.is_empty() {
            found.pairs.push(Pair::new(name, value));
        }
    }
}

/// 1 to 10.
fn severity(text: &str) -> Option<Severity> {
    Some(match text.trim().parse::<u8>().ok()? {
        0..=2 => Severity::Informational,
        3 => Severity::Low,
        4..=6 => Severity::Medium,
        7 | 8 => Severity::High,
        _ => Severity::Critical,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let found = read(text, &Context::at(0));
        let shown: Vec<(String, String)> = found.map_or(Vec::new(), |found| {
            let pairs =
                found.pairs.iter().filter(|pair: &&Pair<'_>| !pair.name.starts_with("leef."));
            pairs.map(|pair| (pair.name.to_string(), pair.value.text().to_string())).collect()
        });
        let expected: Vec<(String, String)> =
            expected.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        assert_eq!(shown, expected, "{text:?}");
    }

    #[test]
    fn pairs_stand_between_separators() {
        let both = [("src", "192.0.2.1"), ("usrName", "a b")];
        check("LEEF:1.0|V|P|1|id|src=192.0.2.1\tusrName=a b", &both);
        check("LEEF:2.0|V|P|1|id|^|src=192.0.2.1^usrName=a b", &both);
        check("LEEF:2.0|V|P|1|id|x5E|src=192.0.2.1^usrName=a b", &both);
        check("LEEF:2.0|V|P|1|id||src=192.0.2.1\tusrName=a b", &both);
        check("LEEF:2.0|V|P|1|id|src=192.0.2.1\tusrName=a b", &both);
        check("LEEF:1.0|V|P|1", &[]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(LEEF:2.0)?[|=x\\t abé0]{0,40}") {
            let _ = read(&text, &Context::at(0));
        }
    }
}
