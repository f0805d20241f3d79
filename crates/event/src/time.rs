//! Time as microseconds since the Unix epoch, UTC. No clock here: "now" is always an argument.

use chrono::{DateTime, SecondsFormat, Utc};

/// Microseconds since the Unix epoch, UTC.
pub type Micros = i64;

/// The attribute of an event whose time was moved, since its source's clock is wrong: by how many
/// seconds.
pub const CLOCK_CORRECTION: &str = "event.clock_correction";

/// Microseconds in a second.
pub const SECOND: Micros = 1_000_000;
/// Microseconds in a minute.
pub const MINUTE: Micros = 60 * SECOND;
/// Microseconds in an hour.
pub const HOUR: Micros = 60 * MINUTE;
/// Microseconds in a day.
pub const DAY: Micros = 24 * HOUR;

/// RFC 3339 in UTC with as many fraction digits as are needed: `2026-11-23T10:00:00.5Z` is
/// written with milliseconds.
pub fn format(time: Micros) -> String {
    let Some(time) = DateTime::<Utc>::from_timestamp_micros(time) else {
        return format!("{time}us");
    };
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Reads RFC 3339.
pub fn parse_rfc3339(text: &str) -> Option<Micros> {
    // Longest sensible form is 35 bytes; anything longer is not a time.
    if text.len() > 40 {
        return None;
    }
    DateTime::parse_from_rfc3339(text).ok().map(|t| t.timestamp_micros())
}

/// Reads what people and clients write for a bound of a range: RFC 3339, a date, `now`,
/// `now-15m`, `now-1d/d` (start of that day), or epoch seconds, milliseconds or microseconds.
pub fn parse_bound(text: &str, now: Micros) -> Option<Micros> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("now") {
        return parse_relative(rest, now);
    }
    if let Some(time) = parse_rfc3339(text) {
        return Some(time);
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(from_epoch(number));
    }
    let day = chrono::NaiveDate::parse_from_str(text.get(..10)?, "%Y-%m-%d").ok()?;
    let rest = &text[10..];
    let clock = match rest.trim_start_matches(['T', ' ']) {
        "" => chrono::NaiveTime::MIN,
        t => chrono::NaiveTime::parse_from_str(t, "%H:%M:%S%.f")
            .or_else(|_| chrono::NaiveTime::parse_from_str(t, "%H:%M"))
            .ok()?,
    };
    Some(day.and_time(clock).and_utc().timestamp_micros())
}

/// Reads a bare epoch number by its size: seconds, milliseconds, microseconds or nanoseconds.
pub fn from_epoch(number: i64) -> Micros {
    match number.unsigned_abs() {
        0..=99_999_999_999 => number * SECOND,
        100_000_000_000..=99_999_999_999_999 => number * 1000,
        100_000_000_000_000..=99_999_999_999_999_999 => number,
        _ => number / 1000,
    }
}

/// Reads a span such as `15m`, `2h`, `7d`.
pub fn parse_span(text: &str) -> Option<Micros> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let count: i64 = text[..split].parse().ok()?;
    let unit = match &text[split..] {
        "us" => 1,
        "ms" => 1000,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        "w" => 7 * DAY,
        "M" => 30 * DAY,
        "y" => 365 * DAY,
        _ => return None,
    };
    count.checked_mul(unit)
}

/// A span in the largest unit that divides it: what [`parse_span`] reads.
pub fn format_span(span: Micros) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (1000, "ms"), (1, "us")];
    let (unit, name) = units.into_iter().find(|(unit, _)| span % unit == 0).unwrap_or((1, "us"));
    format!("{}{name}", span / unit)
}

fn parse_relative(rest: &str, now: Micros) -> Option<Micros> {
    let (offset, floor) = match rest.split_once('/') {
        Some((offset, unit)) => (offset, Some(unit)),
        None => (rest, None),
    };
    let moved = match offset.as_bytes() {
        [] => now,
        [b'-', ..] => now.checked_sub(parse_span(&offset[1..])?)?,
        [b'+', ..] => now.checked_add(parse_span(&offset[1..])?)?,
        _ => return None,
    };
    let (span, start) = match floor {
        None => return Some(moved),
        // Weeks begin on Mondays; the epoch was a Thursday.
        Some("w") => (7 * DAY, 4 * DAY),
        Some(unit) => (parse_span(&format!("1{unit}"))?, 0),
    };
    let spans = moved.checked_sub(start)?.div_euclid(span);
    spans.checked_mul(span)?.checked_add(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = parse_bound(text, NOW).map(format).unwrap_or_else(|| "none".into());
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn bounds_are_read_as_people_write_them() {
        check("now", "2026-11-23T10:00:00Z");
        check("now-15m", "2026-11-23T09:45:00Z");
        check("now-1d/d", "2026-11-22T00:00:00Z");
        check("now/w", "2026-11-23T00:00:00Z");
        check("2026-11-23", "2026-11-23T00:00:00Z");
        check("2026-11-23 08:30", "2026-11-23T08:30:00Z");
        check("2026-11-23T08:30:01.25Z", "2026-11-23T08:30:01.250Z");
        check("2026-11-23T08:30:01+02:00", "2026-11-23T06:30:01Z");
        check("1795428000", "2026-11-23T10:00:00Z");
        check("1795428000123", "2026-11-23T10:00:00.123Z");
        check("now-15x", "none");
        check("now-99999999999999999999d", "none");
        check("now-9223372036854775807us/00000y", "none");
        check("yesterday", "none");
        check("", "none");
    }

    #[test]
    fn spans_are_written_as_they_are_read() {
        for text in ["1us", "20ms", "90s", "5m", "36h", "2d"] {
            assert_eq!(parse_span(text).map(format_span).as_deref(), Some(text));
        }
        assert_eq!(format_span(60 * SECOND), "1m");
    }

    #[test]
    fn odd_input_never_panics() {
        for text in ["now-", "now/", "nowé", "2026-11-2é", "now-9223372036854775807y", "é"] {
            let _ = parse_bound(text, NOW);
        }
        assert_eq!(format(i64::MAX), format!("{}us", i64::MAX));
    }
}
