//! Functions of time. Zones are those of the IANA database, UTC where nothing is said.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Offset, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use pugmark_event::time::{self, Micros, SECOND};

use super::{Call, Family, Function, Made, float_of, literal, long_of, text_of, time_of};
use crate::cell::{Cell, Shape};
use crate::expr::Expr;

/// The function that finds the start of a bucket; without a width it is chosen from the range.
pub const SPAN: &str = "span";
/// The function that is the time at which the question is asked.
pub const NOW: &str = "now";

/// Longest time that `format_time` makes, in characters.
const FORMAT_CHARS_MAX: usize = 200;

pub(super) const FAMILY: Family = Family {
    title: "Time",
    functions: &[
        Function {
            name: NOW,
            usage: "now()",
            about: "The time at which the question is asked.",
            examples: &[("exists(now())", "true")],
            args: 0..=0,
            shape: time_of,
            // Bound to a time before a query runs; what is not bound is the epoch.
            call: Call::Plain(|_| Cell::Time(0)),
        },
        Function {
            name: "time",
            usage: "time(a, \"zone\")",
            about: "The time that a text is: RFC 3339, a date, or a date and a clock in the zone. \
                A number is seconds since 1970, or milli-, micro- or nanoseconds by its size.",
            examples: &[
                ("time(\"2026-11-23T10:00:00+02:00\")", "2026-11-23T08:00:00Z"),
                ("time(1795428000)", "2026-11-23T10:00:00Z"),
                ("time(\"2026-11-23 10:00\", \"Europe/Berlin\")", "2026-11-23T09:00:00Z"),
                ("time(\"soon\")", ""),
            ],
            args: 1..=2,
            shape: time_of,
            call: Call::Made(|args| {
                let zone = zone(args, 1)?;
                Ok(Arc::new(move |args| to_time(&args[0], zone).map_or(Cell::Null, Cell::Time)))
            }),
        },
        SPAN_FUNCTION,
        Function {
            name: "epoch",
            usage: "epoch(time)",
            about: "Seconds since 1970.",
            examples: &[("epoch(time(\"1970-01-01T00:00:01.5Z\"))", "1.5")],
            args: 1..=1,
            shape: float_of,
            call: Call::Plain(|args| {
                args[0].time().map_or(Cell::Null, |t| Cell::Float(t as f64 / SECOND as f64))
            }),
        },
        Function {
            name: "hour",
            usage: "hour(time, \"zone\")",
            about: "The hour of the day: 0 to 23.",
            examples: &[
                ("hour(time(\"2026-11-23T23:30:00Z\"))", "23"),
                ("hour(time(\"2026-11-23T23:30:00Z\"), \"Asia/Tokyo\")", "8"),
            ],
            args: 1..=2,
            shape: long_of,
            call: Call::Made(|args| of_clock(args, |at| i64::from(at.hour()))),
        },
        Function {
            name: "weekday",
            usage: "weekday(time, \"zone\")",
            about: "The day of the week: 1 is Monday, 7 is Sunday (ISO 8601).",
            examples: &[("weekday(time(\"2026-11-22\"))", "7")],
            args: 1..=2,
            shape: long_of,
            call: Call::Made(|args| {
                of_clock(args, |at| i64::from(at.weekday().number_from_monday()))
            }),
        },
        Function {
            name: "day",
            usage: "day(time, \"zone\")",
            about: "The day of the month: 1 to 31.",
            examples: &[("day(time(\"2026-11-22\"))", "22")],
            args: 1..=2,
            shape: long_of,
            call: Call::Made(|args| of_clock(args, |at| i64::from(at.day()))),
        },
        Function {
            name: "month",
            usage: "month(time, \"zone\")",
            about: "The month: 1 to 12.",
            examples: &[("month(time(\"2026-11-22\"))", "11")],
            args: 1..=2,
            shape: long_of,
            call: Call::Made(|args| of_clock(args, |at| i64::from(at.month()))),
        },
        Function {
            name: "year",
            usage: "year(time, \"zone\")",
            about: "The year.",
            examples: &[("year(time(\"2026-11-22\"))", "2026")],
            args: 1..=2,
            shape: long_of,
            call: Call::Made(|args| of_clock(args, |at| i64::from(at.year()))),
        },
        Function {
            name: "format_time",
            usage: "format_time(time, \"%Y-%m-%d %H:%M\", \"zone\")",
            about: "The time as text, with the letters of strftime.",
            examples: &[(
                "format_time(time(\"2026-11-23T10:00:00Z\"), \"%d.%m.%Y %H:%M %Z\", \
                \"Europe/Berlin\")",
                "23.11.2026 11:00 CET",
            )],
            args: 2..=3,
            shape: text_of,
            call: Call::Made(format_time),
        },
    ],
};

/// The function [`SPAN`].
pub(crate) const SPAN_FUNCTION: Function = Function {
    name: SPAN,
    usage: "span(a, width, \"zone\")",
    about: "The start of the stretch in which a time or a number lies: `span(@timestamp, \
        5m)`. Days and weeks begin in the zone; weeks on Monday. Without a width it is \
        chosen from the range of the question.",
    examples: &[
        ("span(time(\"2026-11-23T10:03:20Z\"), 5m)", "2026-11-23T10:00:00Z"),
        ("span(time(\"2026-11-23T10:03:20Z\"), 1d, \"Europe/Berlin\")", "2026-11-22T23:00:00Z"),
        ("span(1234, 100)", "1200"),
        ("span(-1, 10)", "-10"),
    ],
    args: 1..=3,
    shape: |shapes| match shapes {
        [Shape::Time, ..] => Shape::Time,
        [Shape::Long, Shape::Long, ..] => Shape::Long,
        _ => Shape::Float,
    },
    call: Call::Made(span),
};

/// The zone that an argument names, UTC without one.
fn zone(args: &[Expr], at: usize) -> Result<Tz, String> {
    if args.len() <= at {
        return Ok(Tz::UTC);
    }
    let name = literal(args, at, "a time zone such as \"Europe/Berlin\"")?;
    name.parse::<Tz>().map_err(|_| {
        format!("there is no time zone {name:?}; write one of the IANA database, as Europe/Berlin")
    })
}

/// The time on the clocks of a zone.
fn local(time: Micros, zone: Tz) -> Option<DateTime<Tz>> {
    Some(DateTime::<Utc>::from_timestamp_micros(time)?.with_timezone(&zone))
}

fn of_clock(args: &[Expr], part: fn(&DateTime<Tz>) -> i64) -> Result<Made, String> {
    let zone = zone(args, 1)?;
    Ok(Arc::new(move |args| {
        let at = args[0].time().and_then(|time| local(time, zone));
        at.map_or(Cell::Null, |at| Cell::Long(part(&at)))
    }))
}

fn to_time(cell: &Cell, zone: Tz) -> Option<Micros> {
    match cell {
        Cell::Time(time) => Some(*time),
        Cell::Long(number) => Some(time::from_epoch(*number)),
        Cell::Float(seconds) => {
            let micros = seconds * SECOND as f64;
            (micros.abs() < i64::MAX as f64).then_some(micros as Micros)
        }
        Cell::Text(text) => {
            let digits = text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
            if digits {
                return text.parse().ok().map(time::from_epoch);
            }
            time::parse_rfc3339(text).or_else(|| on_clock(text, zone))
        }
        Cell::Null | Cell::Bool(_) => None,
    }
}

/// A date, or a date and a clock, in a zone.
fn on_clock(text: &str, zone: Tz) -> Option<Micros> {
    use chrono::{NaiveDate, NaiveDateTime};
    let text = text.trim();
    let formats =
        ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let clock = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let clock = clock.or_else(date)?;
    zone.from_local_datetime(&clock).earliest().map(|at| at.timestamp_micros())
}

fn span(args: &[Expr]) -> Result<Made, String> {
    let zone = zone(args, 2)?;
    let width = match args.get(1) {
        None => 1.0,
        Some(Expr::Literal(cell)) => cell
            .number()
            .filter(|width| *width >= 1e-6)
            .ok_or("argument 2 is a width above 0, such as 5m for a time or 100 for a number")?,
        Some(_) => return Err("argument 2 is a width such as 5m or 100".into()),
    };
    let long = width.fract() == 0.0 && width < i64::MAX as f64;
    let micros = (width * SECOND as f64).clamp(1.0, i64::MAX as f64) as Micros;
    Ok(Arc::new(move |args| match &args[0] {
        Cell::Null => Cell::Null,
        Cell::Time(time) => Cell::Time(start_of(*time, micros, zone)),
        Cell::Long(n) if long => {
            Cell::Long(n.div_euclid(width as i64).saturating_mul(width as i64))
        }
        other => match other.number() {
            Some(n) => Cell::float((n / width).floor() * width),
            None => Cell::Null,
        },
    }))
}

/// The start of the stretch of `width` in which `time` lies. Weeks begin on a Monday, and
/// stretches of days at midnight, on the clocks of `zone`.
pub fn start_of(time: Micros, width: Micros, zone: Tz) -> Micros {
    const WEEK: Micros = 7 * time::DAY;
    // The epoch was a Thursday: three days after a Monday.
    let shift = if width % WEEK == 0 { 3 * time::DAY } else { 0 };
    let floor = |time: Micros| {
        let moved = time.saturating_add(shift);
        moved.div_euclid(width).saturating_mul(width).saturating_sub(shift)
    };
    if zone == Tz::UTC {
        return floor(time);
    }
    let Some(offset) = offset(time, zone) else { return floor(time) };
    let clock = floor(time.saturating_add(offset));
    // The clocks may have been changed since the start.
    let start = clock.saturating_sub(offset);
    clock.saturating_sub(self::offset(start, zone).unwrap_or(offset))
}

fn offset(time: Micros, zone: Tz) -> Option<Micros> {
    let seconds = local(time, zone)?.offset().fix().local_minus_utc();
    Some(Micros::from(seconds) * SECOND)
}

fn format_time(args: &[Expr]) -> Result<Made, String> {
    use chrono::format::{Item, StrftimeItems};
    let zone = zone(args, 2)?;
    let format = literal(args, 1, "a format such as \"%Y-%m-%d\"")?;
    if format.len() > FORMAT_CHARS_MAX {
        return Err(format!("a format of time has at most {FORMAT_CHARS_MAX} characters"));
    }
    let items: Vec<Item<'static>> = StrftimeItems::new(&format).map(Item::to_owned).collect();
    if items.iter().any(|item| matches!(item, Item::Error)) {
        return Err(format!("{format:?} is no format of time; %Y-%m-%d %H:%M:%S is one"));
    }
    Ok(Arc::new(move |args| {
        let at = args[0].time().and_then(|time| local(time, zone));
        at.map_or(Cell::Null, |at| Cell::Text(at.format_with_items(items.iter()).to_string()))
    }))
}
