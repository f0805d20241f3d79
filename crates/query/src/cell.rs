//! Values of answers: what they are, how they compare, and how one becomes another.
//!
//! One set of rules for filters, expressions, sorting and joins; docs/guide/query-language.md says
//! them to users under "Values".

use std::cmp::Ordering;

use pugmark_event::fields::Kind;
use pugmark_event::time::{self, Micros};

use crate::check::{self, Number};
use crate::plan::Target;

/// One value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Absent.
    Null,
    /// True or false.
    Bool(bool),
    /// Text; also raw bytes as far as they are UTF-8, and lists in JSON.
    Text(String),
    /// An integer.
    Long(i64),
    /// Any other number. Never infinite, never "not a number".
    Float(f64),
    /// Microseconds since the epoch.
    Time(Micros),
}

/// What the values of a column are; absent ones are in any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Text, also that of an address.
    Text,
    /// Integers.
    Long,
    /// Numbers.
    Float,
    /// Times.
    Time,
    /// True or false.
    Bool,
}

impl Cell {
    /// As text; an absent value is empty.
    pub fn text(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Bool(bool) => bool.to_string(),
            Cell::Text(text) => text.clone(),
            Cell::Long(long) => long.to_string(),
            Cell::Float(float) => float.to_string(),
            Cell::Time(micros) => time::format(*micros),
        }
    }

    /// True when there is a value.
    pub fn is_some(&self) -> bool {
        *self != Cell::Null
    }

    /// The number that this is, or that its text is. True is 1.
    pub fn number(&self) -> Option<f64> {
        match self {
            Cell::Text(text) => Number::parse(text).map(Number::float),
            Cell::Long(long) => Some(*long as f64),
            Cell::Float(float) => Some(*float),
            Cell::Bool(bool) => Some(f64::from(u8::from(*bool))),
            Cell::Null | Cell::Time(_) => None,
        }
    }

    /// The integer that this is, or that its text is; a fraction is cut off.
    pub fn long(&self) -> Option<i64> {
        match self {
            Cell::Long(long) => Some(*long),
            Cell::Text(text) => match Number::parse(text)? {
                Number::Long(long) => Some(long),
                Number::Float(float) => whole(float),
            },
            Cell::Float(float) => whole(*float),
            Cell::Bool(bool) => Some(i64::from(*bool)),
            Cell::Null | Cell::Time(_) => None,
        }
    }

    /// The time that this is, or that its text is.
    pub fn time(&self) -> Option<Micros> {
        match self {
            Cell::Time(time) => Some(*time),
            Cell::Text(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                time::parse_rfc3339(text).or_else(|| time::parse_bound(text, 0))
            }
            _ => None,
        }
    }

    /// Whether this is true, or the word for it.
    pub fn is_true(&self) -> bool {
        match self {
            Cell::Bool(bool) => *bool,
            Cell::Text(text) => text.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    /// A number that can be one: neither infinite nor undefined.
    pub fn float(value: f64) -> Self {
        // Added: minus zero becomes zero, of which there is one text.
        if value.is_finite() { Cell::Float(value + 0.0) } else { Cell::Null }
    }

    fn is_number(&self) -> bool {
        matches!(self, Cell::Long(_) | Cell::Float(_) | Cell::Bool(_))
    }
}

fn whole(float: f64) -> Option<i64> {
    let fits = float.is_finite() && float.abs() < i64::MAX as f64;
    fits.then_some(float.trunc() as i64)
}

impl Shape {
    /// What the values of a field of events are.
    pub fn of(target: &Target) -> Self {
        match target {
            Target::Attribute(_) => Shape::Text,
            Target::Column(id) => match id.field().kind {
                Kind::Text | Kind::Ip | Kind::Bytes => Shape::Text,
                Kind::Long => Shape::Long,
                Kind::Time => Shape::Time,
            },
        }
    }

    /// The name that people see.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Text => "text",
            Shape::Long => "integer",
            Shape::Float => "number",
            Shape::Time => "time",
            Shape::Bool => "boolean",
        }
    }

    /// What holds the values of both.
    pub fn joined(self, other: Self) -> Self {
        match (self, other) {
            _ if self == other => self,
            (Shape::Long | Shape::Float, Shape::Long | Shape::Float) => Shape::Float,
            _ => Shape::Text,
        }
    }

    /// The value as one of this shape; absent where it is none.
    pub fn fit(self, cell: Cell) -> Cell {
        let or_null = |cell: Option<Cell>| cell.unwrap_or(Cell::Null);
        match (self, &cell) {
            (_, Cell::Null)
            | (Shape::Text, Cell::Text(_))
            | (Shape::Long, Cell::Long(_))
            | (Shape::Float, Cell::Float(_))
            | (Shape::Time, Cell::Time(_))
            | (Shape::Bool, Cell::Bool(_)) => cell,
            (Shape::Text, _) => Cell::Text(cell.text()),
            (Shape::Long, _) => or_null(cell.long().map(Cell::Long)),
            (Shape::Float, _) => or_null(cell.number().map(Cell::Float)),
            (Shape::Time, _) => or_null(cell.time().map(Cell::Time)),
            (Shape::Bool, Cell::Text(text)) => {
                or_null(text.to_ascii_lowercase().parse().ok().map(Cell::Bool))
            }
            (Shape::Bool, _) => or_null(cell.number().map(|n| Cell::Bool(n != 0.0))),
        }
    }
}

/// The order of `sort`: absent last, then text that is a number, then other text.
pub fn order(a: &Cell, b: &Cell, descending: bool) -> Ordering {
    let turned = |o: Ordering| if descending { o.reverse() } else { o };
    let some_first = |a: bool, b: bool| b.cmp(&a);
    match (a, b) {
        (Cell::Null, _) | (_, Cell::Null) => some_first(a.is_some(), b.is_some()),
        (Cell::Long(a), Cell::Long(b)) | (Cell::Time(a), Cell::Time(b)) => turned(a.cmp(b)),
        (Cell::Float(a), Cell::Float(b)) => turned(a.total_cmp(b)),
        _ => match (a.number(), b.number()) {
            (Some(x), Some(y)) => turned(x.total_cmp(&y).then_with(|| by_text(a, b))),
            (None, None) => turned(by_text(a, b)),
            (x, y) => some_first(x.is_some(), y.is_some()),
        },
    }
}

fn by_text(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (a, b) => a.text().cmp(&b.text()),
    }
}

/// Which of two values is greater, as a person expects: numbers also where they are text, times
/// also where they are text, addresses by their bits, other text byte by byte. `None` when one is
/// absent, or they have no order, as 5 and "x".
pub fn compare(a: &Cell, b: &Cell) -> Option<Ordering> {
    match (a, b) {
        (Cell::Null, _) | (_, Cell::Null) => None,
        (Cell::Long(a), Cell::Long(b)) => Some(a.cmp(b)),
        (Cell::Time(_), _) | (_, Cell::Time(_)) => Some(a.time()?.cmp(&b.time()?)),
        (Cell::Text(x), Cell::Text(y)) => Some(match (Number::parse(x), Number::parse(y)) {
            (Some(x), Some(y)) => x.order(y),
            _ => match (check::address(x), check::address(y)) {
                (Some(x), Some(y)) => x.cmp(&y),
                _ => x.as_bytes().cmp(y.as_bytes()),
            },
        }),
        _ => a.number()?.partial_cmp(&b.number()?),
    }
}

/// Whether two values are the same to a person: text in either case, 5 and "5", a time and its
/// text. Nothing equals an absent value.
pub fn equal(a: &Cell, b: &Cell) -> bool {
    match (a, b) {
        (Cell::Null, _) | (_, Cell::Null) => false,
        (Cell::Text(a), Cell::Text(b)) => same_text(a, b),
        (Cell::Bool(x), Cell::Text(_)) => Shape::Bool.fit(b.clone()) == Cell::Bool(*x),
        (Cell::Text(_), Cell::Bool(_)) => equal(b, a),
        _ if a.is_number() || b.is_number() => {
            compare(a, b).is_some_and(|order| order == Ordering::Equal)
        }
        _ => a.time().is_some_and(|time| b.time() == Some(time)),
    }
}

/// Whether texts are the same in either case of their letters.
pub(crate) fn same_text(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
    let same = |a: char, b: char| match a.is_ascii() || b.is_ascii() {
        true => a.eq_ignore_ascii_case(&b),
        false => a == b || a.to_lowercase().eq(b.to_lowercase()),
    };
    let (mut a, mut b) = (a.chars(), b.chars());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(x), Some(y)) if same(x, y) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> Cell {
        match text {
            "null" => Cell::Null,
            "true" | "false" => Cell::Bool(text == "true"),
            _ if text.starts_with('"') => Cell::Text(text.trim_matches('"').into()),
            _ if text.contains('T') => Cell::Time(time::parse_rfc3339(text).unwrap()),
            _ => text.parse().map_or_else(|_| Cell::Float(text.parse().unwrap()), Cell::Long),
        }
    }

    /// `expected` is `<`, `=`, `>`, or `-` where there is no order.
    #[track_caller]
    fn check(a: &str, b: &str, expected: &str) {
        let (a, b) = (cell(a), cell(b));
        let found = match compare(&a, &b) {
            Some(Ordering::Less) => "<",
            Some(Ordering::Equal) => "=",
            Some(Ordering::Greater) => ">",
            None => "-",
        };
        assert_eq!(found, expected, "{a:?} {b:?}");
        assert_eq!(compare(&b, &a), compare(&a, &b).map(Ordering::reverse), "{a:?} {b:?}");
    }

    #[test]
    fn values_compare_as_people_expect() {
        check("5", "\"5\"", "=");
        check("5", "\"5.0\"", "=");
        check("5", "\"10\"", "<");
        check("\"9\"", "\"10\"", "<");
        check("\"b\"", "\"a\"", ">");
        check("\"10.0.0.9\"", "\"10.0.0.10\"", "<");
        check("5", "\"x\"", "-");
        check("null", "5", "-");
        check("null", "null", "-");
        check("9223372036854775806", "9223372036854775807", "<");
        check("2026-11-23T10:00:00Z", "\"2026-11-23T11:00:00+01:00\"", "=");
        check("2026-11-23T10:00:00Z", "\"2026-11-24\"", "<");
        check("2026-11-23T10:00:00Z", "5", "-");
        check("true", "1", "=");
    }

    #[test]
    fn equal_values() {
        for (a, b, expected) in [
            ("\"Root\"", "\"rOOT\"", true),
            ("\"müller\"", "\"MÜLLER\"", true),
            ("\"5\"", "\"5.0\"", false),
            ("5", "\"5.0\"", true),
            ("null", "null", false),
            ("true", "\"TRUE\"", true),
            ("true", "\"x\"", false),
            ("\"k\"", "\"\u{212a}\"", false),
        ] {
            assert_eq!(equal(&cell(a), &cell(b)), expected, "{a} {b}");
        }
    }

    #[test]
    fn shapes_take_what_fits() {
        for (shape, from, expected) in [
            (Shape::Long, "\"7\"", "7"),
            (Shape::Long, "7.9", "7"),
            (Shape::Long, "\"x\"", "null"),
            (Shape::Float, "7", "7.0"),
            (Shape::Text, "7", "\"7\""),
            (Shape::Time, "\"2026-11-23T10:00:00Z\"", "2026-11-23T10:00:00Z"),
            (Shape::Bool, "\"True\"", "true"),
            (Shape::Bool, "0", "false"),
            (Shape::Time, "5", "null"),
        ] {
            assert_eq!(shape.fit(cell(from)), cell(expected), "{shape:?} {from}");
        }
    }
}
