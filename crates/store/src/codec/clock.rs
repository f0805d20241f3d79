//! Times as records write them: a pattern renders a time to exactly the text that was read.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, Timelike};
use pugmark_event::time::{MINUTE, Micros, SECOND};

/// Longest text of a pattern in bytes.
const PATTERN_BYTES_MAX: usize = 64;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The patterns that are tried on a record, longest first. A letter behind the time belongs to it:
/// else it would be part of a word whose other part is a value.
pub(crate) const KNOWN: &[&str] = &[
    "%Y-%m-%dT%H:%M:%S.%6fZ",
    "%Y-%m-%dT%H:%M:%S.%3fZ",
    "%Y-%m-%dT%H:%M:%S.%6f",
    "%Y-%m-%d %H:%M:%S.%6f",
    "%Y-%m-%dT%H:%M:%S.%3f",
    "%Y-%m-%d %H:%M:%S.%3f",
    "%Y-%m-%d %H:%M:%S,%3f",
    "%Y-%m-%dT%H:%M:%SZ",
    "%d/%b/%Y:%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%s.%6f",
    "%b %d %Y %H:%M:%S",
    "%b %d %H:%M:%S",
    "%b %e %H:%M:%S",
    "%Q6",
    "%Q3",
    "%s.%3f",
    "%s",
    "%Y-%m-%d",
    "%H:%M:%S",
];

/// A way to write a time, in the letters of strftime: `%Y %m %d %e %b %H %M %S`, `%3f` and `%6f`
/// for the fraction, `%s` for epoch seconds, `%Q3` and `%Q6` for epoch milli- and microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    text: Box<str>,
    parts: Vec<Part>,
    /// Minutes east of UTC.
    offset_minutes: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Literal(char),
    Year,
    Month,
    Day,
    DaySpace,
    MonthName,
    Hour,
    Minute,
    Second,
    Millis,
    Micros,
    Epoch,
    EpochMillis,
    EpochMicros,
}

impl Pattern {
    /// Reads a pattern; `None` when it has letters that patterns do not know.
    pub(crate) fn parse(text: &str, offset_minutes: i32) -> Option<Self> {
        if text.len() > PATTERN_BYTES_MAX || offset_minutes.abs() > 24 * 60 {
            return None;
        }
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                parts.push(Part::Literal(c));
                continue;
            }
            parts.push(match chars.next()? {
                'Y' => Part::Year,
                'm' => Part::Month,
                'd' => Part::Day,
                'e' => Part::DaySpace,
                'b' => Part::MonthName,
                'H' => Part::Hour,
                'M' => Part::Minute,
                'S' => Part::Second,
                's' => Part::Epoch,
                '3' if chars.next()? == 'f' => Part::Millis,
                '6' if chars.next()? == 'f' => Part::Micros,
                'Q' => match chars.next()? {
                    '3' => Part::EpochMillis,
                    '6' => Part::EpochMicros,
                    _ => return None,
                },
                _ => return None,
            });
        }
        Some(Self { text: text.into(), parts, offset_minutes })
    }

    /// As [`Pattern::parse`] reads it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Minutes east of UTC.
    pub(crate) fn offset_minutes(&self) -> i32 {
        self.offset_minutes
    }

    /// Writes `time`. A time outside of the years 0 to 9999 is written as nothing.
    pub(crate) fn render(&self, time: Micros, out: &mut String) {
        let shifted = time.saturating_add(i64::from(self.offset_minutes) * MINUTE);
        let Some(date) = DateTime::from_timestamp_micros(shifted) else { return };
        if !(0..=9999).contains(&date.year()) {
            return;
        }
        let micros = time.rem_euclid(SECOND);
        for part in &self.parts {
            match part {
                Part::Literal(c) => out.push(*c),
                Part::Year => digits(date.year() as u64, 4, out),
                Part::Month => digits(u64::from(date.month()), 2, out),
                Part::Day => digits(u64::from(date.day()), 2, out),
                Part::DaySpace => drop(write!(out, "{:2}", date.day())),
                Part::MonthName => out.push_str(MONTHS[date.month0() as usize]),
                Part::Hour => digits(u64::from(date.hour()), 2, out),
                Part::Minute => digits(u64::from(date.minute()), 2, out),
                Part::Second => digits(u64::from(date.second()), 2, out),
                Part::Millis => digits(micros as u64 / 1000, 3, out),
                Part::Micros => digits(micros as u64, 6, out),
                Part::Epoch => drop(write!(out, "{}", time.div_euclid(SECOND))),
                Part::EpochMillis => drop(write!(out, "{}", time.div_euclid(1000))),
                Part::EpochMicros => drop(write!(out, "{time}")),
            }
        }
    }
}

fn digits(mut number: u64, width: usize, out: &mut String) {
    let mut buffer = [b'0'; 8];
    for place in (0..width).rev() {
        buffer[place] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.push_str(std::str::from_utf8(&buffer[..width]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Micros = 1_795_428_000_123_456; // 2026-11-23T10:00:00.123456Z

    #[track_caller]
    fn check(pattern: &str, offset: i32, expected: &str) {
        let mut out = String::new();
        Pattern::parse(pattern, offset).unwrap().render(TIME, &mut out);
        assert_eq!(out, expected, "{pattern}");
    }

    #[test]
    fn times_are_written_as_records_write_them() {
        check("%Y-%m-%dT%H:%M:%S.%3f", 0, "2026-11-23T10:00:00.123");
        check("%d/%b/%Y:%H:%M:%S", 120, "23/Nov/2026:12:00:00");
        check("%b %e %H:%M:%S", -600, "Nov 23 00:00:00");
        check("%s.%6f", 330, "1795428000.123456");
        check("%Q3", 0, "1795428000123");
        check("%Q6", 0, "1795428000123456");
    }

    #[test]
    fn every_known_pattern_is_one() {
        for text in KNOWN {
            let pattern = Pattern::parse(text, 0).unwrap();
            assert_eq!(pattern.text(), *text);
        }
        for text in ["%", "%x", "%3", "%Q", "%9f"] {
            assert!(Pattern::parse(text, 0).is_none(), "{text}");
        }
        let mut out = String::new();
        Pattern::parse("%Y", 0).unwrap().render(i64::MAX, &mut out);
        assert_eq!(out, "");
    }
}
