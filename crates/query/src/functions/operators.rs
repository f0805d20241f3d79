//! Operators: arithmetic, comparisons, and, or, not.

use std::cmp::Ordering;

use super::{Call, Family, Function, bool_of};
use crate::cell::{Cell, Shape, compare, equal};
use pugmark_event::time::{Micros, SECOND};

pub(super) const FAMILY: Family = Family {
    title: "Operators",
    functions: &[
        Function {
            name: "+",
            usage: "a + b",
            about: "The sum. A time and a number of seconds make a time.",
            examples: &[
                ("1 + 2", "3"),
                ("\"1.5\" + 1", "2.5"),
                ("time(\"2026-11-23\") + 1h", "2026-11-23T01:00:00Z"),
                ("\"x\" + 1", ""),
            ],
            args: 2..=2,
            shape: sum_shape,
            call: Call::Plain(|args| sum(&args[0], &args[1], 1)),
        },
        Function {
            name: "-",
            usage: "a - b",
            about: "The difference. Two times make seconds.",
            examples: &[
                ("1 - 2", "-1"),
                ("time(\"2026-11-23T00:00:02Z\") - time(\"2026-11-23\")", "2"),
                ("9223372036854775807 - 1", "9223372036854775806"),
            ],
            args: 2..=2,
            shape: |shapes| match shapes {
                [Shape::Time, Shape::Time] => Shape::Float,
                _ => sum_shape(shapes),
            },
            call: Call::Plain(|args| match (&args[0], &args[1]) {
                (Cell::Time(a), Cell::Time(b)) => {
                    Cell::Float((i128::from(*a) - i128::from(*b)) as f64 / SECOND as f64)
                }
                (a, b) => sum(a, b, -1),
            }),
        },
        Function {
            name: "*",
            usage: "a * b",
            about: "The product.",
            examples: &[("3 * 4", "12"), ("1.5 * 2", "3"), ("9223372036854775807 * 2", "")],
            args: 2..=2,
            shape: number_shape,
            call: Call::Plain(|args| arithmetic(args, i64::checked_mul, |a, b| a * b)),
        },
        Function {
            name: "/",
            usage: "a / b",
            about: "The quotient, with its fraction. Absent when b is 0.",
            examples: &[("7 / 2", "3.5"), ("1 / 0", "")],
            args: 2..=2,
            shape: super::float_of,
            call: Call::Plain(|args| arithmetic(args, |_, _| None, |a, b| a / b)),
        },
        Function {
            name: "%",
            usage: "a % b",
            about: "What is left of a after division by b; it has the sign of a.",
            examples: &[("7 % 4", "3"), ("-7 % 4", "-3"), ("7 % 0", "")],
            args: 2..=2,
            shape: number_shape,
            call: Call::Plain(|args| arithmetic(args, i64::checked_rem, |a, b| a % b)),
        },
        Function {
            name: "neg",
            usage: "-a",
            about: "The number with its other sign.",
            examples: &[("-(2 + 3)", "-5"), ("-\"1.5\"", "-1.5")],
            args: 1..=1,
            shape: |shapes| number_shape(&[shapes[0], Shape::Long]),
            call: Call::Plain(|args| {
                arithmetic(&[Cell::Long(0), args[0].clone()], i64::checked_sub, |_, b| -b)
            }),
        },
        Function {
            name: "=",
            usage: "a = b",
            about: "Equal, text in either case of its letters; \"5\" equals 5.",
            examples: &[
                ("\"Root\" = \"root\"", "true"),
                ("5 = \"5\"", "true"),
                ("null = null", "false"),
            ],
            args: 2..=2,
            shape: bool_of,
            call: Call::Plain(|args| Cell::Bool(equal(&args[0], &args[1]))),
        },
        Function {
            name: "==",
            usage: "a == b",
            about: "Equal, text letter by letter in its case.",
            examples: &[("\"Root\" == \"root\"", "false"), ("5 == \"5\"", "true")],
            args: 2..=2,
            shape: bool_of,
            call: Call::Plain(|args| {
                Cell::Bool(match (&args[0], &args[1]) {
                    (Cell::Text(a), Cell::Text(b)) => a == b,
                    (a, b) => equal(a, b),
                })
            }),
        },
        Function {
            name: "!=",
            usage: "a != b",
            about: "Both are there and not equal. With an absent value it is false, as every \
                comparison.",
            examples: &[("1 != 2", "true"), ("null != 2", "false"), ("not null = 2", "true")],
            args: 2..=2,
            shape: bool_of,
            call: Call::Plain(|args| {
                Cell::Bool(args[0].is_some() && args[1].is_some() && !equal(&args[0], &args[1]))
            }),
        },
        Function {
            name: "<",
            usage: "a < b",
            about: "Less: numbers as numbers, times as times, addresses as addresses, other text \
                byte by byte.",
            examples: &[
                ("\"9\" < \"10\"", "true"),
                ("5 < \"x\"", "false"),
                ("\"10.0.0.9\" < \"10.0.0.10\"", "true"),
            ],
            args: 2..=2,
            shape: bool_of,
            call: Call::Plain(|args| is(args, Ordering::is_lt)),
        },
        Function {
            name: "<=",
            usage: "a <= b",
            about: "Less or equal.",
            examples: &[("2 <= 2", "true")],
            args: 2..=2,
            shape: bool_of,
            call: Call::Plain(|args| is(args, Ordering::is_le)),
        },
        Function {
            name: ">",
            usage: "a > b",
            about: "Greater.",
            examples: &[("2 > 1.5", "true"), ("null > 1", "false")],
            args: 2..=2,
            shape: bool_of,
            call: Call::Plain(|args| is(args, Ordering::is_gt)),
        },
        Function {
            name: ">=",
            usage: "a >= b",
            about: "Greater or equal.",
            examples: &[("time(\"2026-11-23\") >= \"2026-11-22\"", "true")],
            args: 2..=2,
            shape: bool_of,
            call: Call::Plain(|args| is(args, Ordering::is_ge)),
        },
        Function {
            name: "in",
            usage: "a in (b, c, ...)",
            about: "Equal to one of these.",
            examples: &[("5 in (4, \"5\")", "true"), ("\"b\" not in (\"A\", \"B\")", "false")],
            args: 2..=super::ARGS_MAX,
            shape: bool_of,
            call: Call::Plain(|args| Cell::Bool(args[1..].iter().any(|b| equal(&args[0], b)))),
        },
        Function {
            name: "and",
            usage: "a and b",
            about: "Both are true.",
            examples: &[("1 < 2 and 2 < 3", "true")],
            args: 2..=2,
            shape: bool_of,
            call: Call::Plain(|args| Cell::Bool(args.iter().all(Cell::is_true))),
        },
        Function {
            name: "or",
            usage: "a or b",
            about: "One of both is true.",
            examples: &[("1 > 2 or 2 < 3", "true")],
            args: 2..=2,
            shape: bool_of,
            call: Call::Plain(|args| Cell::Bool(args.iter().any(Cell::is_true))),
        },
        Function {
            name: "not",
            usage: "not a",
            about: "Not true: also of an absent value.",
            examples: &[("not 1 > 2", "true"), ("not null", "true")],
            args: 1..=1,
            shape: bool_of,
            call: Call::Plain(|args| Cell::Bool(!args[0].is_true())),
        },
    ],
};

fn is(args: &[Cell], test: fn(Ordering) -> bool) -> Cell {
    Cell::Bool(compare(&args[0], &args[1]).is_some_and(test))
}

fn number_shape(shapes: &[Shape]) -> Shape {
    match shapes {
        [Shape::Long, Shape::Long] => Shape::Long,
        _ => Shape::Float,
    }
}

fn sum_shape(shapes: &[Shape]) -> Shape {
    if shapes.contains(&Shape::Time) { Shape::Time } else { number_shape(shapes) }
}

/// Of integers an integer, absent where it would be too large; of other numbers a number.
fn arithmetic(
    args: &[Cell],
    longs: fn(i64, i64) -> Option<i64>,
    floats: fn(f64, f64) -> f64,
) -> Cell {
    match (&args[0], &args[1]) {
        (Cell::Long(a), Cell::Long(b)) if longs(1, 1).is_some() => {
            longs(*a, *b).map_or(Cell::Null, Cell::Long)
        }
        (a, b) => match (a.number(), b.number()) {
            (Some(a), Some(b)) => Cell::float(floats(a, b)),
            _ => Cell::Null,
        },
    }
}

fn sum(a: &Cell, b: &Cell, sign: i64) -> Cell {
    let moved = |time: Micros, by: &Cell| {
        let micros = by.number().map(|seconds| seconds * SECOND as f64 * sign as f64);
        let micros = micros.filter(|m| m.abs() < i64::MAX as f64);
        micros.and_then(|m| time.checked_add(m as i64)).map_or(Cell::Null, Cell::Time)
    };
    match (a, b) {
        (Cell::Time(time), by) => moved(*time, by),
        (by, Cell::Time(time)) if sign > 0 => moved(*time, by),
        (_, Cell::Time(_)) => Cell::Null,
        _ if sign > 0 => arithmetic(&[a.clone(), b.clone()], i64::checked_add, |a, b| a + b),
        _ => arithmetic(&[a.clone(), b.clone()], i64::checked_sub, |a, b| a - b),
    }
}
