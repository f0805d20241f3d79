//! Timestamps as logs write them: RFC 3339 and its relatives, the year-less RFC 3164, Apache's CLF,
//! nginx, BIND, and epoch numbers.
//!
//! No clock here. A missing year is taken from the time of receipt; a missing zone is read as UTC.
//! Both are guesses, and the event says so.

use pugmark_event::time::{DAY, HOUR, MINUTE, Micros, SECOND};

/// The year was not written. Such times have no zone either; they are read as UTC.
pub(crate) const YEAR_GUESSED: &str = "year_guessed";
/// The zone was not written; the time was read as UTC.
pub(crate) const ZONE_GUESSED: &str = "zone_guessed";

/// A time and what had to be guessed to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) time: Micros,
    pub(crate) guess: Option<&'static str>,
}

impl Stamp {
    /// The same, where somebody knows that it is UTC.
    pub(crate) fn in_utc(self) -> Self {
        Self { guess: self.guess.filter(|guess| *guess != ZONE_GUESSED), ..self }
    }

    fn exact(time: Micros) -> Self {
        Self { time, guess: None }
    }
}

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// Reads a time at the start of `text` in any known form; also says how many bytes it took.
pub(crate) fn leading(text: &[u8], received: Micros) -> Option<(Stamp, usize)> {
    match text.first()? {
        b'0'..=b'9' => digits_first(text)
            .or_else(|| month_and_day(text, received))
            .or_else(|| day_and_month(text, received)),
        b'[' => bracketed(text, received),
        b'@' => tai64n(text),
        _ => rfc3164(text, received)
            .or_else(|| apache_error(text))
            .or_else(|| after_weekday(text))
            .or_else(|| american(text)),
    }
}

/// Times that begin with a digit, the commonest form first.
fn digits_first(text: &[u8]) -> Option<(Stamp, usize)> {
    iso(text)
        .or_else(|| clf(text))
        .or_else(|| day_month_year(text))
        .or_else(|| numeric(text))
        .or_else(|| short_year(text))
        .or_else(|| compact(text))
        .or_else(|| leading_epoch(text))
        .or_else(|| year_month_day(text))
        .or_else(|| colons(text))
}

/// `2026:11:23-10:00:00` and `2026:1:29-10:00:00` (Sophos UTM).
fn colons(text: &[u8]) -> Option<(Stamp, usize)> {
    let year = digits(text, 0, 4)?;
    let (month, at) = number(text, 5, 2)?;
    let (day, end) = number(text, at + 1, 2)?;
    let separators = (text.get(4), text.get(at), text.get(end));
    if separators != (Some(&b':'), Some(&b':'), Some(&b'-')) {
        return None;
    }
    let (clock, end) = clock(text, end + 1)?;
    Some(zoned(days(year, month, day)? * DAY + clock, text, end))
}

/// `2026 Nov 23 10:00:00` (OSSEC).
fn year_month_day(text: &[u8]) -> Option<(Stamp, usize)> {
    let (year, month, day) = (digits(text, 0, 4)?, month(text, 5)?, digits(text, 9, 2)?);
    if [4, 8, 11].iter().any(|at| text.get(*at) != Some(&b' ')) {
        return None;
    }
    let (clock, at) = clock(text, 12)?;
    Some(zoned(days(year, month, day)? * DAY + clock, text, at))
}

/// Reads a whole value that a record names as its time: text in any known form or an epoch number.
pub(crate) fn value(text: &str, received: Micros) -> Option<Stamp> {
    let text = text.trim();
    // The fifth character of a date is none of a number.
    if text.as_bytes().get(4).is_some_and(u8::is_ascii_digit)
        && let Some(epoch) = epoch(text)
    {
        return Some(Stamp::exact(epoch));
    }
    let (stamp, used) = leading(text.as_bytes(), received)?;
    match text.get(used..)?.trim() {
        "" => Some(stamp),
        _ => None,
    }
}

/// Reads `1795428000`, `1795428000.123`, and milli-, micro- and nanoseconds by their size.
pub(crate) fn epoch(text: &str) -> Option<Micros> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    // Nine digits is 1973, nineteen is nanoseconds: less or more is another kind of number.
    if !(9..=19).contains(&whole.len()) || !whole.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i64 = whole.parse().ok()?;
    let base = pugmark_event::time::from_epoch(number);
    if fraction.is_empty() {
        return (!text.ends_with('.')).then_some(base);
    }
    let (micros, used) = fraction_micros(fraction.as_bytes());
    let seconds = whole.len() < 12;
    (used == fraction.len()).then_some(if seconds { base + micros } else { base })
}

/// `2026-11-23T10:00:00.123+01:00` and relatives: a blank, `_` or `-` for the `T`, `/` or `.` for
/// `-`, a comma before the fraction, no zone, a blank before the zone, the zone by its name.
pub(crate) fn iso(text: &[u8]) -> Option<(Stamp, usize)> {
    let year = digits(text, 0, 4)?;
    let dash = *text.get(4)?;
    if !matches!(dash, b'-' | b'/' | b'.') || text.get(7) != Some(&dash) {
        return None;
    }
    let (month, day) = (digits(text, 5, 2)?, digits(text, 8, 2)?);
    if !matches!(text.get(10)?, b'T' | b't' | b' ' | b'_' | b'-' | b'\t') {
        return None;
    }
    // MySQL pads an hour of one digit with another blank.
    let (clock, at) = match text.get(10..12) {
        Some(b"  ") => one_digit_clock(text, 12)?,
        _ => clock(text, 11)?,
    };
    let days = days(year, month, day)?;
    Some(zoned(days * DAY + clock, text, at))
}

/// `Nov 23 10:00:00`, `Nov  3 10:00:00.123`, `Nov 23 2026 10:00:00`.
pub(crate) fn rfc3164(text: &[u8], received: Micros) -> Option<(Stamp, usize)> {
    let month = month(text, 0)?;
    if text.get(3) != Some(&b' ') {
        return None;
    }
    let mut at = 4 + usize::from(text.get(4) == Some(&b' '));
    let day_len = 1 + usize::from(text.get(at + 1)?.is_ascii_digit());
    let day = digits(text, at, day_len)?;
    at += day_len;
    if text.get(at) != Some(&b' ') {
        return None;
    }
    at += 1;
    if let Some(year) = digits(text, at, 4).filter(|_| text.get(at + 4) == Some(&b' ')) {
        let (clock, end) = clock(text, at + 5)?;
        return Some(zoned(days(year, month, day)? * DAY + clock, text, end));
    }
    let (clock, end) = clock(text, at)?;
    // Aruba puts the year behind the clock; a number there may also be the host or a thread.
    let year = digits(text, end + 1, 4).filter(|year| (1990..2100).contains(year));
    if let Some(year) = year
        && (text.get(end), text.get(end + 5)) == (Some(&b' '), Some(&b' '))
    {
        let time = days(year, month, day)? * DAY + clock;
        return Some((Stamp { time, guess: Some(ZONE_GUESSED) }, end + 5));
    }
    let time = nearest_year(month, day, clock, received)?;
    Some((Stamp { time, guess: Some(YEAR_GUESSED) }, end))
}

/// `1123 10:00:00.123456` (klog), `11-23 10:00:00.123` (Android), `11/23-10:00:00.123456` (Snort):
/// a month and a day in digits.
pub(crate) fn month_and_day(text: &[u8], received: Micros) -> Option<(Stamp, usize)> {
    let dash = usize::from(matches!(text.get(2), Some(b'-' | b'.' | b'/')));
    let (month, day) = (digits(text, 0, 2)?, digits(text, 2 + dash, 2)?);
    let at = 4 + dash;
    if !matches!(text.get(at), Some(b' ' | b'-')) {
        return None;
    }
    let (clock, end) = clock(text, at + 1)?;
    let time = nearest_year(month, day, clock, received)?;
    Some((Stamp { time, guess: Some(YEAR_GUESSED) }, end))
}

/// `23 Nov 10:00:00.123` (old Redis).
fn day_and_month(text: &[u8], received: Micros) -> Option<(Stamp, usize)> {
    let (day, at) = number(text, 0, 2)?;
    let month = month(text, at + 1)?;
    if (text.get(at), text.get(at + 4)) != (Some(&b' '), Some(&b' ')) {
        return None;
    }
    let (clock, end) = clock(text, at + 5)?;
    let time = nearest_year(month, day, clock, received)?;
    Some((Stamp { time, guess: Some(YEAR_GUESSED) }, end))
}

/// TAI64N, as daemontools' multilog writes it: `@` and 24 hex digits. International atomic time was
/// 10 seconds ahead of the epoch when that was set, and leap seconds are left to the sender.
fn tai64n(text: &[u8]) -> Option<(Stamp, usize)> {
    const LABEL: u64 = (1 << 62) + 10;
    let hex = text.get(1..25).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit))?;
    let hex = std::str::from_utf8(hex).ok()?;
    let seconds = u64::from_str_radix(&hex[..16], 16).ok()?.checked_sub(LABEL)?;
    let nanos = i64::from_str_radix(&hex[16..], 16).ok()?;
    let seconds = i64::try_from(seconds).ok()?.checked_mul(SECOND)?;
    Some((Stamp::exact(seconds.checked_add(nanos / 1000)?), 25))
}

/// The year that puts the time nearest to the receipt, but not more than a day after it.
fn nearest_year(month: i64, day: i64, clock: Micros, received: Micros) -> Option<Micros> {
    let year = year_of(received);
    // A clock at the end of time has no next year.
    let at = |year| days(year, month, day)?.checked_mul(DAY)?.checked_add(clock);
    (year - 1..=year + 1)
        .filter_map(at)
        .filter(|time| *time <= received.saturating_add(DAY))
        .min_by_key(|time| received.abs_diff(*time))
        // 29 February may be in none of the three years.
        .or_else(|| (2..8).find_map(|back| at(year - back)))
}

/// Apache's common log format: `23/Nov/2026:10:00:00 +0000`; some write `1/Nov`.
pub(crate) fn clf(text: &[u8]) -> Option<(Stamp, usize)> {
    let length = 1 + usize::from(text.get(1)?.is_ascii_digit());
    let day = digits(text, 0, length)?;
    let text = text.get(length..)?;
    let month = month(text, 1)?;
    let year = digits(text, 5, 4)?;
    if (text.first(), text.get(4), text.get(9)) != (Some(&b'/'), Some(&b'/'), Some(&b':')) {
        return None;
    }
    let (clock, at) = clock(text, 10)?;
    let (stamp, end) = zoned(days(year, month, day)? * DAY + clock, text, at);
    Some((stamp, length + end))
}

/// `23-Nov-2026 10:00:00.123` (BIND), `23 Nov 2026 10:00:00.123` (Redis, RFC 5322).
fn day_month_year(text: &[u8]) -> Option<(Stamp, usize)> {
    let day_len = 1 + usize::from(text.get(1)?.is_ascii_digit());
    let day = digits(text, 0, day_len)?;
    let separator = *text.get(day_len)?;
    let month = month(text, day_len + 1)?;
    let year = digits(text, day_len + 5, 4)?;
    let ends = (text.get(day_len + 4)?, text.get(day_len + 9)?);
    if !matches!(separator, b'-' | b' ' | b'/') || ends.0 != &separator {
        return None;
    }
    // `23/Nov/2026:10:00:00` is the common log format, with another separator.
    if !matches!(ends.1, b' ' | b':' | b'T') {
        return None;
    }
    // RabbitMQ writes two colons.
    let colons = usize::from(text.get(day_len + 9..day_len + 11) == Some(b"::"));
    let (clock, at) = clock(text, day_len + 10 + colons)?;
    Some(zoned(days(year, month, day)? * DAY + clock, text, at))
}

/// `23.11.2026 10:00:00` (the day first) and `11/23/2026 10:00:00 AM` (the month first, as where
/// slashes are usual; the day, if the number can be no month).
fn numeric(text: &[u8]) -> Option<(Stamp, usize)> {
    let (first, at) = number(text, 0, 2)?;
    let separator = *text.get(at)?;
    let (second, at) = number(text, at + 1, 2)?;
    let second_separator = *text.get(at)?;
    let (year, at) = match digits(text, at + 1, 4) {
        Some(year) => (year, at),
        // DHCP servers of Windows write two digits; elsewhere the first number is the year then.
        None if text.get(at + 3) == Some(&b',') => (2000 + digits(text, at + 1, 2)?, at - 2),
        None => return None,
    };
    if !matches!(separator, b'/' | b'.' | b'-') || second_separator != separator {
        return None;
    }
    let (month, day) = match separator == b'/' && first <= 12 {
        true => (first, second),
        false => (second, first),
    };
    let gap = text.get(at + 5..).map_or(0, |rest| rest.iter().take_while(|b| **b == b' ').count());
    let gap = match text.get(at + 5) {
        Some(b',') => 1 + usize::from(text.get(at + 6) == Some(&b' ')),
        // Snort and Citrix.
        Some(b'-' | b':') => 1,
        _ => gap,
    };
    if gap == 0 || gap > 2 {
        return None;
    }
    let (clock, end) = any_clock(text, at + 5 + gap)?;
    let (clock, end) = half_day(clock, text, end);
    Some(zoned(days(year, month, day)? * DAY + clock, text, end))
}

/// A clock whose hour has one digit or two.
fn any_clock(text: &[u8], at: usize) -> Option<(Micros, usize)> {
    match text.get(at + 1) {
        Some(b':') => one_digit_clock(text, at),
        _ => clock(text, at),
    }
}

/// `26/11/23 10:00:00` and `26-11-23 10:00:00`: the year first, in two digits; but
/// `11/23/26-10:00:00`, as Snort writes it, the year last.
fn short_year(text: &[u8]) -> Option<(Stamp, usize)> {
    let parts = (digits(text, 0, 2)?, digits(text, 3, 2)?, digits(text, 6, 2)?);
    let separator = *text.get(2)?;
    let same = text.get(5) == Some(&separator) && matches!(separator, b'/' | b'-');
    if !same || !matches!(text.get(8), Some(b' ' | b'-')) {
        return None;
    }
    let (clock, at) = clock(text, 9)?;
    let is_last = separator == b'/' && text.get(8) == Some(&b'-') && parts.0 <= 12;
    let (year, month, day) = match is_last {
        true => (parts.2, parts.0, parts.1),
        false => parts,
    };
    Some(zoned(days(2000 + year, month, day)? * DAY + clock, text, at))
}

/// `20261123 10:00:00`, `20261123T100000Z`, `20261123-10:00:00:123`, `261123 10:00:00` (MySQL) and
/// `261123 100000` (Hadoop).
fn compact(text: &[u8]) -> Option<(Stamp, usize)> {
    let length = text.iter().take(9).take_while(|b| b.is_ascii_digit()).count();
    let (year, at) = match length {
        8 => (digits(text, 0, 4)?, 4),
        6 => (2000 + digits(text, 0, 2)?, 2),
        _ => return None,
    };
    let date = days(year, digits(text, at, 2)?, digits(text, at + 2, 2)?)?;
    let gap = text.get(length).filter(|b| matches!(b, b' ' | b'T' | b'-'))?;
    // MySQL pads an hour of one digit with another blank.
    let start = length + 1;
    let (clock, end) = match *gap == b' ' && text.get(start) == Some(&b' ') {
        true => one_digit_clock(text, start + 1)?,
        false => clock(text, start).or_else(|| compact_clock(text, start))?,
    };
    Some(zoned(date * DAY + clock, text, end))
}

/// `100000`, and nothing that would make it a longer number.
fn compact_clock(text: &[u8], at: usize) -> Option<(Micros, usize)> {
    let (hour, minute) = (digits(text, at, 2)?, digits(text, at + 2, 2)?);
    let second = digits(text, at + 4, 2)?;
    let is_longer = text.get(at + 6).is_some_and(u8::is_ascii_digit);
    if is_longer || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some((hour * HOUR + minute * MINUTE + second * SECOND, at + 6))
}

/// `1795428000.123 ` as Squid writes it; a number without a fraction may count anything.
fn leading_epoch(text: &[u8]) -> Option<(Stamp, usize)> {
    let end = text.iter().take(32).position(|b| !b.is_ascii_digit() && *b != b'.')?;
    let number = text.get(..end).and_then(|number| std::str::from_utf8(number).ok())?;
    if text.get(10) != Some(&b'.') || !matches!(text.get(end), Some(b' ' | b'\t' | b':')) {
        return None;
    }
    Some((Stamp::exact(epoch(number)?), end))
}

/// `Mon, 23 Nov 2026 10:00:00 +0000` (RFC 5322) and `Mon 2026-11-23 10:00:00 UTC` (systemd).
fn after_weekday(text: &[u8]) -> Option<(Stamp, usize)> {
    let comma = usize::from(text.get(3) == Some(&b','));
    let start = 4 + comma;
    let is_weekday = text.get(..3)?.iter().all(u8::is_ascii_alphabetic);
    if !is_weekday || text.get(3 + comma) != Some(&b' ') {
        return None;
    }
    let rest = text.get(start..)?;
    let (stamp, used) = day_month_year(rest).or_else(|| iso(rest))?;
    Some((stamp, start + used))
}

/// `Nov 23, 2026 10:00:00 AM`.
fn american(text: &[u8]) -> Option<(Stamp, usize)> {
    let month = month(text, 0)?;
    let (day, at) = number(text, 4, 2)?;
    if text.get(3) != Some(&b' ') || text.get(at..at + 2) != Some(b", ") {
        return None;
    }
    let year = digits(text, at + 2, 4)?;
    let gap = text.get(at + 6..)?.iter().take(3).take_while(|b| matches!(b, b' ' | b',')).count();
    let start = at + 6 + gap;
    let (clock, end) = any_clock(text, start)?;
    let (clock, end) = half_day(clock, text, end);
    Some(zoned(days(year, month, day)? * DAY + clock, text, end))
}

/// `9:05:00`, the hour in one digit.
fn one_digit_clock(text: &[u8], at: usize) -> Option<(Micros, usize)> {
    let hour = digits(text, at, 1)?;
    let padded = [b"00", text.get(at + 1..text.len().min(at + 20))?].concat();
    let (rest, end) = clock(&padded, 0)?;
    Some((hour * HOUR + rest, at + end - 1))
}

/// Applies ` AM` or ` PM`.
fn half_day(clock: Micros, text: &[u8], at: usize) -> (Micros, usize) {
    let hour = clock / HOUR;
    match text.get(at..at + 3) {
        Some(b" AM" | b" am") if hour == 12 => (clock - 12 * HOUR, at + 3),
        Some(b" AM" | b" am") if hour < 12 => (clock, at + 3),
        Some(b" PM" | b" pm") if hour < 12 => (clock + 12 * HOUR, at + 3),
        Some(b" PM" | b" pm") if hour == 12 => (clock, at + 3),
        _ => (clock, at),
    }
}

/// A number of one or two digits, and where it ends.
fn number(text: &[u8], at: usize, digits_max: usize) -> Option<(i64, usize)> {
    let count = text.get(at..)?.iter().take(digits_max).take_while(|b| b.is_ascii_digit()).count();
    (count > 0).then(|| Some((digits(text, at, count)?, at + count)))?
}

/// Apache's error log: `Mon Nov 23 10:00:00.123456 2026`.
fn apache_error(text: &[u8]) -> Option<(Stamp, usize)> {
    if text.get(3) != Some(&b' ') {
        return None;
    }
    let month = month(text, 4)?;
    let start = 8 + usize::from(text.get(8) == Some(&b' '));
    let (day, at) = number(text, start, 2)?;
    if (text.get(7), text.get(at)) != (Some(&b' '), Some(&b' ')) {
        return None;
    }
    let (clock, at) = clock(text, at + 1)?;
    // date(1) puts the zone before the year.
    let (offset, at) = match named_zone(text, at + 1) {
        Some((offset, at)) => (Some(offset), at),
        None => (None, at),
    };
    let year = digits(text, at + 1, 4).filter(|_| text.get(at) == Some(&b' '))?;
    let time = days(year, month, day)? * DAY + clock - offset.unwrap_or(0);
    let guess = offset.is_none().then_some(ZONE_GUESSED);
    Some((Stamp { time, guess }, at + 5))
}

fn bracketed(text: &[u8], received: Micros) -> Option<(Stamp, usize)> {
    let inner = &text[1..];
    let (stamp, used) = match inner.first()? {
        b'[' => return None,
        _ => leading(inner, received)?,
    };
    (inner.get(used) == Some(&b']')).then_some((stamp, used + 2))
}

/// `10:00:00`, with a fraction after `.` or `,`; microseconds since midnight and where it ends.
fn clock(text: &[u8], at: usize) -> Option<(Micros, usize)> {
    let (hour, minute) = (digits(text, at, 2)?, digits(text, at + 3, 2)?);
    let second = digits(text, at + 6, 2)?;
    let colons = (text.get(at + 2), text.get(at + 5)) == (Some(&b':'), Some(&b':'));
    // 60 is a leap second (RFC 3339 section 5.6).
    if !colons || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut time = hour * HOUR + minute * MINUTE + second * SECOND;
    let mut end = at + 8;
    if matches!(text.get(end), Some(b'.' | b',')) {
        let (micros, used) = fraction_micros(&text[end + 1..]);
        if used > 0 {
            time += micros;
            end += 1 + used;
        }
    }
    Some((time, end))
}

/// The digits at the start of `text` as a fraction of a second; finer than a microsecond is cut.
fn fraction_micros(text: &[u8]) -> (Micros, usize) {
    let used = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut micros = 0;
    for i in 0..6 {
        micros = micros * 10 + text[..used].get(i).map_or(0, |b| i64::from(b - b'0'));
    }
    (micros, used)
}

/// Zones that go by a name with one meaning, and their hours east of UTC.
const ZONES: [(&[u8], i64); 13] = [
    (b"UTC", 0),
    (b"GMT", 0),
    (b"WET", 0),
    (b"CET", 1),
    (b"CEST", 2),
    (b"EET", 2),
    (b"EEST", 3),
    (b"EST", -5),
    (b"EDT", -4),
    (b"PST", -8),
    (b"PDT", -7),
    (b"MDT", -6),
    (b"CDT", -5),
];

/// The zone by its name, and where the name ends.
fn named_zone(text: &[u8], at: usize) -> Option<(Micros, usize)> {
    let rest = text.get(at..)?;
    let length = rest.iter().take(5).take_while(|b| b.is_ascii_uppercase()).count();
    let ends = !rest.get(length).is_some_and(u8::is_ascii_alphanumeric);
    let (name, hours) = ZONES.iter().find(|(name, _)| *name == &rest[..length])?;
    ends.then_some((hours * HOUR, at + name.len()))
}

/// Applies the zone that stands at `at`: `Z`, `+01:00`, `+0100`, ` +0100`, ` UTC`; none means UTC,
/// guessed.
fn zoned(local: Micros, text: &[u8], at: usize) -> (Stamp, usize) {
    if matches!(text.get(at), Some(b'Z' | b'z')) {
        return (Stamp::exact(local), at + 1);
    }
    let blank = usize::from(text.get(at) == Some(&b' '));
    let start = at + blank;
    let offset = match text.get(start) {
        Some(sign @ (b'+' | b'-')) => offset(text, start + 1)
            .map(|(micros, end)| (if *sign == b'-' { -micros } else { micros }, end)),
        Some(b'A'..=b'Z') if blank == 1 => named_zone(text, start),
        _ => None,
    };
    match offset {
        Some((offset, end)) => {
            // Go writes both, `+0000 UTC`.
            let named = blank == 1 && text.get(end..end + 4) == Some(b" UTC");
            (Stamp::exact(local - offset), if named && offset == 0 { end + 4 } else { end })
        }
        None => (Stamp { time: local, guess: Some(ZONE_GUESSED) }, at),
    }
}

fn offset(text: &[u8], at: usize) -> Option<(Micros, usize)> {
    let hours = digits(text, at, 2)?;
    let colon = usize::from(text.get(at + 2) == Some(&b':'));
    let (minutes, end) = match digits(text, at + 2 + colon, 2) {
        Some(minutes) => (minutes, at + 4 + colon),
        None => (0, at + 2),
    };
    (hours < 24 && minutes < 60).then_some((hours * HOUR + minutes * MINUTE, end))
}

fn digits(text: &[u8], at: usize, count: usize) -> Option<i64> {
    text.get(at..at.checked_add(count)?)?
        .iter()
        .try_fold(0, |number, b| b.is_ascii_digit().then(|| number * 10 + i64::from(b - b'0')))
}

fn month(text: &[u8], at: usize) -> Option<i64> {
    let name = text.get(at..at + 3)?;
    let index = MONTHS.iter().position(|m| name.eq_ignore_ascii_case(&m[..]))?;
    Some(index as i64 + 1)
}

/// Days since the epoch of a proleptic Gregorian date; `None` for a day that is not in the month.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years start in March here, so the leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * m + 2) / 5 + day - 1;
    Some(365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + of_year - 719_468)
}

fn year_of(time: Micros) -> i64 {
    // Close enough to correct by one step: the mean Gregorian year has 365.2425 days.
    let days_since = time.div_euclid(DAY);
    let mut year = 1970 + days_since * 10_000 / 3_652_425;
    while days(year, 1, 1).is_some_and(|first| first > days_since) {
        year -= 1;
    }
    while days(year + 1, 1, 1).is_some_and(|first| first <= days_since) {
        year += 1;
    }
    year
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pugmark_event::time::format;

    use super::*;

    const NOW: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = match value(text, NOW) {
            None => "none".to_string(),
            Some(Stamp { time, guess: None }) => format(time),
            Some(Stamp { time, guess: Some(guess) }) => format!("{} {guess}", format(time)),
        };
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn times_are_read_as_logs_write_them() {
        check("2026-11-23T10:00:00Z", "2026-11-23T10:00:00Z");
        check("2026-11-23T10:00:00.123456789+01:00", "2026-11-23T09:00:00.123456Z");
        check("2026-11-23 10:00:00,250", "2026-11-23T10:00:00.250Z zone_guessed");
        check("2026-11-23 10:00:00 UTC", "2026-11-23T10:00:00Z");
        check("2026/11/23 10:00:00", "2026-11-23T10:00:00Z zone_guessed");
        check("23/Nov/2026:10:00:00 -0700", "2026-11-23T17:00:00Z");
        check("3/Nov/2026:10:00:00 -0700", "2026-11-03T17:00:00Z");
        check("23-Nov-2026 10:00:00.123", "2026-11-23T10:00:00.123Z zone_guessed");
        check("23 Nov 2026 10:00:00.123", "2026-11-23T10:00:00.123Z zone_guessed");
        check("23/Nov/2026 10:00:00 +0100", "2026-11-23T09:00:00Z");
        check("Mon, 23 Nov 2026 10:00:00 GMT", "2026-11-23T10:00:00Z");
        check("Mon 2026-11-23 10:00:00 CET", "2026-11-23T09:00:00Z");
        check("2026-11-23 10:00:00 EDT", "2026-11-23T14:00:00Z");
        check("2026-11-23 10:00:00 XYZ", "none");
        check("2026.11.23 10:00:00", "2026-11-23T10:00:00Z zone_guessed");
        check("2026-11-23-10:00:00", "2026-11-23T10:00:00Z zone_guessed");
        check("2026-11-23-10.00.00", "none");
        check("23.11.2026 10:00:00", "2026-11-23T10:00:00Z zone_guessed");
        check("11/23/2026 10:00:00 PM", "2026-11-23T22:00:00Z zone_guessed");
        check("11-23 09:00:00.5", "2026-11-23T09:00:00.500Z year_guessed");
        check("23/11/2026 10:00:00", "2026-11-23T10:00:00Z zone_guessed");
        check("11/03/2026, 12:00:00 AM", "2026-11-03T00:00:00Z zone_guessed");
        check("Nov 23, 2026 9:05:00 PM", "2026-11-23T21:05:00Z zone_guessed");
        check("Nov 3, 2026 10:00:00 UTC", "2026-11-03T10:00:00Z");
        check("11/23/2026 9:05:00 AM", "2026-11-23T09:05:00Z zone_guessed");
        check("11/23/2026, 9:05:00", "2026-11-23T09:05:00Z zone_guessed");
        check("11/23/26,09:05:00", "2026-11-23T09:05:00Z zone_guessed");
        check("11/23/2026-10:00:00.5", "2026-11-23T10:00:00.500Z zone_guessed");
        check("11/23-10:00:00.5", "2026-11-23T10:00:00.500Z year_guessed");
        check("26/11/23-10:00:00", "2026-11-23T10:00:00Z zone_guessed");
        check("11/23/26-09:05:44.123456", "2026-11-23T09:05:44.123456Z zone_guessed");
        check("09/07/22-15:05:44.5", "2022-09-07T15:05:44.500Z zone_guessed");
        check("2026-11-23 10:00:00 +0000 UTC", "2026-11-23T10:00:00Z");
        check("2026:11:23-10:00:00", "2026-11-23T10:00:00Z zone_guessed");
        check("2026:1:29-06:09:59", "2026-01-29T06:09:59Z zone_guessed");
        check("2026:11:23 10:00:00", "none");
        check("11/23/2026:10:00:00 GMT", "2026-11-23T10:00:00Z");
        check("2026 Nov 23 10:00:00", "2026-11-23T10:00:00Z zone_guessed");
        check("Mon Nov 3 10:00:00 2026", "2026-11-03T10:00:00Z zone_guessed");
        check("Mon Nov  3 10:00:00 2026", "2026-11-03T10:00:00Z zone_guessed");
        check("Mon Nov 23 10:00:00 UTC 2026", "2026-11-23T10:00:00Z");
        check("2026-11-23\t10:00:00", "2026-11-23T10:00:00Z zone_guessed");
        check("23-Nov-2026::10:00:00", "2026-11-23T10:00:00Z zone_guessed");
        check("26/11/23 10:00:00", "2026-11-23T10:00:00Z zone_guessed");
        check("20261123 10:00:00", "2026-11-23T10:00:00Z zone_guessed");
        check("20261123T100000Z", "2026-11-23T10:00:00Z");
        check("261123 10:00:00", "2026-11-23T10:00:00Z zone_guessed");
        check("261123  9:00:00", "2026-11-23T09:00:00Z zone_guessed");
        check("2026-11-23  9:58:01", "2026-11-23T09:58:01Z zone_guessed");
        check("23 Nov 09:58:01.123", "2026-11-23T09:58:01.123Z year_guessed");
        check("@400000006b040ea91dcd6500", "2026-11-23T09:59:59.500Z");
        check("@400000006b040ea9", "none");
        check("@400008637bd05b00ffffffff", "none");
        check("261123 100000", "2026-11-23T10:00:00Z zone_guessed");
        check("261123 1000001", "none");
        check("1795428000.123", "2026-11-23T10:00:00.123Z");
        check("[Mon Nov 23 10:00:00.123456 2026]", "2026-11-23T10:00:00.123456Z zone_guessed");
        check("Nov 23 2025 10:00:00", "2025-11-23T10:00:00Z zone_guessed");
        check("2024-02-29T23:59:60Z", "2024-03-01T00:00:00Z");
        check("2026-02-29T00:00:00Z", "none");
        check("2026-11-23T24:00:00Z", "none");
        check("2026-11-23T10:00:00Z and more", "none");
        check("soon", "none");
        check("", "none");
    }

    #[test]
    fn epoch_numbers_are_read_by_their_size() {
        check("1795428000", "2026-11-23T10:00:00Z");
        check("1795428000.5", "2026-11-23T10:00:00.500Z");
        check("1795428000123", "2026-11-23T10:00:00.123Z");
        check("1795428000123456", "2026-11-23T10:00:00.123456Z");
        check("1795428000123456789", "2026-11-23T10:00:00.123456Z");
        check("12", "none");
        check("99999999999999999999", "none");
    }

    #[test]
    fn a_missing_year_is_the_nearest_one_not_ahead() {
        check("Nov 23 09:59:59", "2026-11-23T09:59:59Z year_guessed");
        check("Nov  3 09:59:59", "2026-11-03T09:59:59Z year_guessed");
        check("Nov 24 09:00:00", "2026-11-24T09:00:00Z year_guessed");
        check("Nov 24 11:00:00", "2025-11-24T11:00:00Z year_guessed");
        check("Dec 31 23:59:59", "2025-12-31T23:59:59Z year_guessed");
        check("Feb 29 00:00:00", "2024-02-29T00:00:00Z year_guessed");
        // Just after New Year the last lines of December belong to the old year.
        let new_year = 1_798_761_610 * SECOND; // 2027-01-01T00:00:10Z
        let stamp = rfc3164(b"Dec 31 23:59:59", new_year).unwrap().0;
        assert_eq!(format(stamp.time), "2026-12-31T23:59:59Z");
        // And a sender whose clock is ahead of ours is already in the new one.
        let old_year = 1_798_761_590 * SECOND; // 2026-12-31T23:59:50Z
        let stamp = rfc3164(b"Jan  1 00:00:05", old_year).unwrap().0;
        assert_eq!(format(stamp.time), "2027-01-01T00:00:05Z");
        assert!(rfc3164(b"Jan  1 00:00:00", i64::MAX).is_some());
        assert!(rfc3164(b"Dec 31 00:00:00", i64::MIN).is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}", received in any::<i64>()) {
            let _ = value(&text, received);
            let _ = leading(text.as_bytes(), received);
        }

        #[test]
        fn what_chrono_writes_is_read_back(micros in 0i64..4_102_444_800_000_000) {
            prop_assert_eq!(value(&format(micros), NOW).map(|s| s.time), Some(micros));
        }
    }
}
