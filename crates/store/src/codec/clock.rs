//! Times as records write them: a pattern renders a time to exactly the text that was read.

use pugmark_event::time::{DAY, HOUR, MINUTE, Micros, SECOND};

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
        let Some((year, month, day)) = date(shifted.div_euclid(DAY)) else { return };
        let of_day = shifted.rem_euclid(DAY);
        let micros = time.rem_euclid(SECOND);
        for part in &self.parts {
            match part {
                Part::Literal(c) => out.push(*c),
                Part::Year => digits::<4>(year, out),
                Part::Month => digits::<2>(month, out),
                Part::Day => digits::<2>(day, out),
                Part::DaySpace if day < 10 => {
                    out.push(' ');
                    digits::<1>(day, out);
                }
                Part::DaySpace => digits::<2>(day, out),
                Part::MonthName => out.push_str(MONTHS[month as usize - 1]),
                Part::Hour => digits::<2>(of_day / HOUR, out),
                Part::Minute => digits::<2>(of_day % HOUR / MINUTE, out),
                Part::Second => digits::<2>(of_day % MINUTE / SECOND, out),
                Part::Millis => digits::<3>(micros / 1000, out),
                Part::Micros => digits::<6>(micros, out),
                Part::Epoch => number(time.div_euclid(SECOND), out),
                Part::EpochMillis => number(time.div_euclid(1000), out),
                Part::EpochMicros => number(time, out),
            }
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01; `None` outside of the years 0 to 9999.
///
/// Years are counted from March, so that the day that leap years have more is the last: Howard
/// Hinnant's "chrono-Compatible Low-Level Date Algorithms".
fn date(day: i64) -> Option<(i64, i64, i64)> {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    const DAYS_TO_1970: i64 = 719_468;
    let day = day + DAYS_TO_1970;
    let (era, of_era) = (day.div_euclid(DAYS_OF_400_YEARS), day.rem_euclid(DAYS_OF_400_YEARS));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year + 400 * era + i64::from(month <= 2);
    (0..=9999).contains(&year).then_some((year, month, day))
}

/// The last `N` digits of a number.
fn digits<const N: usize>(mut number: i64, out: &mut String) {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    out.push_str(std::str::from_utf8(&text).unwrap_or_default());
}

fn number(number: i64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(number));
}

#[cfg(test)]
mod tests {
    use chrono::Datelike;

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
    fn dates_are_those_of_the_calendar() {
        for day in (-800_000..3_000_000).step_by(7) {
            let expected = chrono::DateTime::from_timestamp(day * 86_400, 0)
                .filter(|date| (0..=9999).contains(&date.year()))
                .map(|date| (date.year().into(), date.month().into(), date.day().into()));
            assert_eq!(date(day), expected, "{day}");
        }
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
