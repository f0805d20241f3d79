//! Rows of tables whose columns an earlier record named: W3C extended logs (IIS, CloudFront,
//! Windows firewall, Exchange), Zeek's tab-separated logs, and CSV.
//!
//! Sources: W3C Extended Log File Format; Zeek's ASCII writer; RFC 4180.

use std::borrow::Cow;

use super::{Context, Format, json};
use crate::found::{Found, Pair, Val};
use crate::header::{COLUMNS_MAX, TABLE, W3C, ZEEK, split};
use crate::time::{self, Stamp};

pub(crate) const W3C_FORMAT: Format = Format { name: W3C, looks: |_| true, read: w3c };
pub(crate) const ZEEK_FORMAT: Format = Format { name: ZEEK, looks: |_| true, read: zeek };
pub(crate) const TABLE_FORMAT: Format = Format { name: TABLE, looks: |_| true, read: table };

/// W3C names of request headers, and the names that Sigma gives them.
const HEADERS: &[(&str, &str)] = &[
    ("cs(User-Agent)", "cs-user-agent"),
    ("cs(Referer)", "cs-referer"),
    ("cs(Cookie)", "cs-cookie"),
    ("cs(Host)", "cs-host"),
];

/// The columns of the header, if it is one of this format.
fn columns<'h>(context: &Context<'h>, format: &str) -> Option<&'h str> {
    context.header?.strip_prefix(format)?.strip_prefix(' ')
}

fn w3c<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let mut found = Found::new(W3C);
    let names = columns(context, W3C)?;
    if record.starts_with('#') {
        found.message = Some(Cow::Borrowed(record));
        return Some(found);
    }
    // The standard parts values by blanks; CloudFront takes tabs, Exchange commas.
    let separator = match record.contains('\t') {
        true => '\t',
        false if names.contains(',') => ',',
        false => ' ',
    };
    let between = if names.contains(',') { ',' } else { ' ' };
    let names: Vec<&str> = names.split(between).take(COLUMNS_MAX).collect();
    let values: Vec<Cow<'a, str>> = split(record, separator).collect();
    if names.len() != values.len() {
        return None;
    }
    for (name, value) in names.iter().zip(values) {
        let known = HEADERS.iter().find(|(long, _)| long == name);
        let name = known.map_or_else(|| (*name).to_string(), |(_, short)| (*short).to_string());
        push(name, plus_for_blank(value, known.is_some()), &mut found);
    }
    found.stamp = date_and_time(&found)
        .or_else(|| json::take_time(&mut found, &["date-time", "timestamp"], context));
    Some(found)
}

/// IIS writes `+` for the blanks of a header, which cannot stand in a value parted by blanks.
fn plus_for_blank(value: Cow<'_, str>, is_header: bool) -> Cow<'_, str> {
    match is_header && value.contains('+') && !value.contains(' ') {
        true => Cow::Owned(value.replace('+', " ")),
        false => value,
    }
}

/// `date` and `time` of a W3C log are UTC.
fn date_and_time(found: &Found<'_>) -> Option<Stamp> {
    let text = format!("{} {}", found.pair("date")?.text(), found.pair("time")?.text());
    let (stamp, used) = time::iso(text.as_bytes())?;
    (used == text.len()).then_some(Stamp { guess: None, ..stamp })
}

fn zeek<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let mut found = Found::new(ZEEK);
    found.product = "zeek";
    let columns = columns(context, ZEEK)?;
    if record.starts_with('#') {
        found.message = Some(Cow::Borrowed(record));
        return Some(found);
    }
    let (path, names) = columns.split_once('\t')?;
    if names.matches('\t').count() != record.matches('\t').count() {
        return None;
    }
    if !path.is_empty() {
        push("_path".into(), Cow::Owned(path.to_string()), &mut found);
    }
    for (name, value) in names.split('\t').zip(record.split('\t')).take(COLUMNS_MAX) {
        if value != "(empty)" {
            push(name.to_string(), Cow::Borrowed(value), &mut found);
        }
    }
    found.stamp = json::take_time(&mut found, &["ts"], context);
    Some(found)
}

fn table<'a>(record: &'a str, context: &Context<'_>) -> Option<Found<'a>> {
    let columns = columns(context, TABLE)?;
    let separator = columns.chars().next()?;
    let names: Vec<Cow<'_, str>> = split(&columns[separator.len_utf8()..], separator).collect();
    let values: Vec<Cow<'a, str>> = split(record, separator).collect();
    if names.len() != values.len() {
        return None;
    }
    let mut found = Found::new(TABLE);
    if names == values {
        found.message = Some(Cow::Borrowed(record));
        return Some(found);
    }
    for (name, value) in names.iter().zip(values) {
        push(name.trim().to_string(), value, &mut found);
    }
    json::interpret(&mut found, context);
    Some(found)
}

/// Notes a value; empty text and a bare dash say nothing.
fn push<'a>(name: String, value: Cow<'a, str>, found: &mut Found<'a>) {
    if !value.is_empty() && value != "-" {
        found.pairs.push(Pair { name: Cow::Owned(name), value: Val::Text(value) });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats;

    #[track_caller]
    fn check(header: &str, record: &str, expected: &[(&str, &str)]) {
        let context = Context { header: Some(header), ..Context::at(0) };
        let found = formats::read(record, None, &context);
        let mut shown: Vec<(String, String)> = vec![("format".into(), found.format.into())];
        shown.extend(found.stamp.map(|s| ("time".into(), pugmark_event::time::format(s.time))));
        let pairs = found.pairs.iter();
        shown.extend(pairs.map(|p| (p.name.to_string(), p.value.text().to_string())));
        let expected: Vec<(String, String)> =
            expected.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        assert_eq!(shown, expected, "{record}");
    }

    #[test]
    fn rows_get_the_names_of_their_header() {
        check(
            "w3c date time c-ip cs(User-Agent) sc-status",
            "2026-11-23 10:00:00 192.0.2.1 Mozilla/5.0+(X11) -",
            &[
                ("format", "w3c"),
                ("time", "2026-11-23T10:00:00Z"),
                ("date", "2026-11-23"),
                ("time", "10:00:00"),
                ("c-ip", "192.0.2.1"),
                ("cs-user-agent", "Mozilla/5.0 (X11)"),
            ],
        );
        check(
            "w3c date time c-ip",
            "2026-11-23\t10:00:00\t192.0.2.1",
            &[
                ("format", "w3c"),
                ("time", "2026-11-23T10:00:00Z"),
                ("date", "2026-11-23"),
                ("time", "10:00:00"),
                ("c-ip", "192.0.2.1"),
            ],
        );
        check(
            "w3c date-time,session-id,data",
            "2026-11-23T10:00:00.000Z,08D,\"a, b\"",
            &[
                ("format", "w3c"),
                ("time", "2026-11-23T10:00:00Z"),
                ("session-id", "08D"),
                ("data", "a, b"),
            ],
        );
        check(
            "zeek conn\tts\tuid\tservice",
            "1795428000.000000\tC1\t-",
            &[
                ("format", "zeek"),
                ("time", "2026-11-23T10:00:00Z"),
                ("_path", "conn"),
                ("uid", "C1"),
            ],
        );
        check(
            "table ,time,user,note",
            "2026-11-23 10:00:00,ann,\"x, \"\"y\"\"\"",
            &[
                ("format", "table"),
                ("time", "2026-11-23T10:00:00Z"),
                ("user", "ann"),
                ("note", "x, \"y\""),
            ],
        );
    }

    #[test]
    fn what_does_not_fit_the_header_is_read_as_if_there_were_none() {
        check("w3c date time c-ip", "only two", &[("format", "plain")]);
        check("zeek conn\tts\tuid", "{\"a\":1}", &[("format", "json"), ("a", "1")]);
        check("table ,a,b,c", "1,2", &[("format", "plain")]);
        check("w3c date", "#Software: x", &[("format", "w3c")]);
    }

    proptest! {
        #[test]
        fn any_row_and_header_are_read(
            header in "(w3c|zeek|table)[ ,\\t\"ab#]{0,16}", row in "[ ,\\t\"ab#-]{0,16}",
        ) {
            let context = Context { header: Some(&header), ..Context::at(0) };
            let _ = formats::read(&row, None, &context);
        }
    }
}
