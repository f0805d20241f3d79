//! Times as other projects write them, compared with ours.

use std::sync::LazyLock;

use pugmark_event::time::{self, Micros};
use regex::Regex;

const MONTHS: &str = "jan feb mar apr may jun jul aug sep oct nov dec";

/// The part of `2026-11-23T10:00:00` that has no year.
const AFTER_YEAR: std::ops::Range<usize> = 4..19;

/// Not followed by a colon, since a year may stand before the hour: `2026:09:08:07`.
static CLOCK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(\d\d:\d\d:\d\d)(?:[^:\d]|$)").unwrap());
static ZONE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(\d\d:\d\d)([.,]\d+)? ?(Z|([+-])(\d\d):?(\d\d))\b").unwrap());
static FRACTION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(:\d\d)[.,]\d+").unwrap());

/// The wall clock in UTC, to the second.
pub(crate) fn wall(time: Micros) -> String {
    time::format(time)[..19].to_string()
}

/// True if the line's time has a zone of its own, or is a number that needs none.
pub(crate) fn has_zone(line: &str) -> bool {
    ZONE.is_match(line) || !CLOCK.is_match(line)
}

/// True if both are the same second; where the line has no year, whatever the year.
pub(crate) fn same_second(ours: Micros, expected_wall: &str, line: &str) -> bool {
    let (ours, Some(expected)) = (wall(ours), expected_wall.get(..19)) else { return false };
    let year_known = line.contains(&expected[..4]);
    ours == expected || (!year_known && ours[AFTER_YEAR] == expected[AFTER_YEAR])
}

/// True if ours is the instant that RFC 3339 text names: to the millisecond, since some projects
/// read times as floats, or to the second if that is all that they say.
pub(crate) fn same_instant(ours: Micros, expected: &str, line: &str) -> bool {
    let Some(instant) = time::parse_rfc3339(expected) else { return false };
    let close = (ours - instant).abs() < 1_000;
    let whole = !FRACTION.is_match(expected) || !line.contains(&expected[..4]);
    close || (whole && same_second(ours, &wall(instant), line))
}

/// True if the text is a spelling of our time, or of a part of it such as the year.
pub(crate) fn reads_as(text: &str, ours: Micros) -> bool {
    if let Some(seconds) = text.parse::<f64>().ok().filter(|seconds| *seconds > 1e8) {
        return (seconds - ours as f64 / 1e6).abs() < 1.0;
    }
    let wall = wall(ours + offset(text));
    let text = FRACTION.replace_all(&ZONE.replace(text, "$1"), "$1").into_owned();
    if CLOCK.captures(&text).is_some_and(|clock| clock[1] != wall[11..]) {
        return false;
    }
    let mut words = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .flat_map(|word| word.split('T'))
        .filter(|word| !word.is_empty())
        .peekable();
    words.peek().is_some() && words.all(|word| is_part(word, &wall))
}

/// What the zone in the text adds to UTC.
fn offset(text: &str) -> Micros {
    let Some(zone) = ZONE.captures(text).filter(|zone| zone.get(4).is_some()) else { return 0 };
    let number = |i: usize| zone[i].parse::<Micros>().unwrap();
    let span = number(5) * time::HOUR + number(6) * time::MINUTE;
    if &zone[4] == "-" { -span } else { span }
}

/// A number must be one of the time's, a month its month; other words name days and zones.
fn is_part(word: &str, wall: &str) -> bool {
    let parts: Vec<u32> = wall.split(['-', 'T', ':']).map(|part| part.parse().unwrap()).collect();
    let (year, month, hour) = (parts[0], parts[1], parts[3]);
    if let Ok(number) = word.parse::<u32>() {
        return parts.contains(&number) || number == year % 100 || number == (hour + 11) % 12 + 1;
    }
    let start = word.get(..3).unwrap_or(word).to_lowercase();
    let named = MONTHS.split(' ').position(|month| month == start);
    named.is_none_or(|index| index as u32 + 1 == month)
}

#[test]
fn spellings_of_a_time_are_read() {
    let ours = time::parse_rfc3339("2026-11-23T09:08:07.5Z").unwrap();
    for (text, expected) in [
        ("2026-11-23T10:08:07.500+01:00", true),
        ("23/Nov/2026:04:08:07 -0500", true),
        ("Nov 23 09:08:07", true),
        ("Mon Nov 23 09:08:07.500000 2026", true),
        ("26-11-23 09:08:07.536", true),
        ("2026/11/23", true),
        ("2026", true),
        ("Nov", true),
        ("1795424887.5", true),
        ("Dec 23 09:08:07", false),
        ("Nov 24 09:08:07", false),
        ("Nov 23 10:08:07", false),
        ("2025", false),
        ("", false),
    ] {
        assert_eq!(reads_as(text, ours), expected, "{text}");
    }
}

#[test]
fn a_year_counts_where_the_line_has_one() {
    let ours = time::parse_rfc3339("2026-11-23T09:08:07.25Z").unwrap();
    let cases = [
        ("2026-11-23T09:08:07Z", "2026-11-23 09:08:07", true),
        ("2026-11-23T10:08:07.25+01:00", "2026-11-23 10:08:07.25", true),
        ("2026-11-23T09:08:07.75Z", "2026-11-23 09:08:07.75", false),
        ("2005-11-23T09:08:07Z", "Nov 23 09:08:07", true),
        ("2005-11-23T09:08:07Z", "2005 Nov 23 09:08:07", false),
        ("2005-11-23T09:08:08Z", "Nov 23 09:08:08", false),
    ];
    for (expected, line, same) in cases {
        assert_eq!(same_instant(ours, expected, line), same, "{expected} {line}");
    }
}
