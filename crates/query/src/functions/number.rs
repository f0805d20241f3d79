//! Functions of numbers.

use super::{ARGS_MAX, Call, Family, Function, float_of, joined, long_of, of_number, text_of};
use crate::cell::{Cell, Shape, compare};
use std::cmp::Ordering;

pub(super) const FAMILY: Family = Family {
    title: "Numbers",
    functions: &[
        Function {
            name: "number",
            usage: "number(a)",
            about: "The number that a text is; also hexadecimal with `0x`.",
            examples: &[
                ("number(\"1e3\")", "1000"),
                ("number(\"0x1F\")", "31"),
                ("number(\"x\")", ""),
            ],
            args: 1..=1,
            shape: float_of,
            call: Call::Plain(|args| match &args[0] {
                Cell::Text(text) if text.starts_with("0x") || text.starts_with("0X") => {
                    u64::from_str_radix(&text[2..], 16)
                        .map_or(Cell::Null, |n| Cell::Float(n as f64))
                }
                cell => cell.number().map_or(Cell::Null, Cell::Float),
            }),
        },
        Function {
            name: "int",
            usage: "int(a)",
            about: "The number without its fraction.",
            examples: &[("int(\"7.9\")", "7"), ("int(-7.9)", "-7")],
            args: 1..=1,
            shape: long_of,
            call: Call::Plain(|args| args[0].long().map_or(Cell::Null, Cell::Long)),
        },
        Function {
            name: "text",
            usage: "text(a)",
            about: "The value as text.",
            examples: &[("len(text(1234))", "4")],
            args: 1..=1,
            shape: text_of,
            call: Call::Plain(|args| Shape::Text.fit(args[0].clone())),
        },
        Function {
            name: "abs",
            usage: "abs(a)",
            about: "The number without its sign.",
            examples: &[("abs(-2)", "2")],
            args: 1..=1,
            shape: float_of,
            call: Call::Plain(|args| of_number(args, f64::abs)),
        },
        Function {
            name: "round",
            usage: "round(a, digits)",
            about: "Rounded to so many digits behind the point: none, if nothing is said.",
            examples: &[("round(2.567, 1)", "2.6"), ("round(2.5)", "3")],
            args: 1..=2,
            shape: float_of,
            call: Call::Plain(|args| {
                let digits = args.get(1).map_or(Some(0), Cell::long);
                let Some(digits) = digits else { return Cell::Null };
                let scale = 10f64.powi(digits.clamp(-15, 15) as i32);
                of_number(args, |n| (n * scale).round() / scale)
            }),
        },
        Function {
            name: "floor",
            usage: "floor(a)",
            about: "The greatest whole number that is not above a.",
            examples: &[("floor(-2.5)", "-3")],
            args: 1..=1,
            shape: float_of,
            call: Call::Plain(|args| of_number(args, f64::floor)),
        },
        Function {
            name: "ceil",
            usage: "ceil(a)",
            about: "The least whole number that is not below a.",
            examples: &[("ceil(2.1)", "3")],
            args: 1..=1,
            shape: float_of,
            call: Call::Plain(|args| of_number(args, f64::ceil)),
        },
        Function {
            name: "sqrt",
            usage: "sqrt(a)",
            about: "The square root.",
            examples: &[("sqrt(9)", "3"), ("sqrt(-1)", "")],
            args: 1..=1,
            shape: float_of,
            call: Call::Plain(|args| of_number(args, f64::sqrt)),
        },
        Function {
            name: "pow",
            usage: "pow(a, b)",
            about: "a to the power of b.",
            examples: &[("pow(2, 10)", "1024")],
            args: 2..=2,
            shape: float_of,
            call: Call::Plain(|args| match args[1].number() {
                Some(power) => of_number(args, |n| n.powf(power)),
                None => Cell::Null,
            }),
        },
        Function {
            name: "ln",
            usage: "ln(a)",
            about: "The natural logarithm.",
            examples: &[("ln(1)", "0")],
            args: 1..=1,
            shape: float_of,
            call: Call::Plain(|args| of_number(args, f64::ln)),
        },
        Function {
            name: "log",
            usage: "log(a, base)",
            about: "The logarithm to a base: 10, if nothing is said.",
            examples: &[("log(1000)", "3"), ("log(8, 2)", "3")],
            args: 1..=2,
            shape: float_of,
            call: Call::Plain(|args| match args.get(1).map(Cell::number) {
                None => of_number(args, f64::log10),
                Some(Some(2.0)) => of_number(args, f64::log2),
                Some(Some(base)) => of_number(args, |n| n.log(base)),
                Some(None) => Cell::Null,
            }),
        },
        Function {
            name: "least",
            usage: "least(a, b, ...)",
            about: "The least of the values that are there.",
            examples: &[("least(3, 1, null)", "1")],
            args: 1..=ARGS_MAX,
            shape: joined,
            call: Call::Plain(|args| extreme(args, Ordering::Less)),
        },
        Function {
            name: "greatest",
            usage: "greatest(a, b, ...)",
            about: "The greatest of the values that are there.",
            examples: &[("greatest(3, 10, null)", "10")],
            args: 1..=ARGS_MAX,
            shape: joined,
            call: Call::Plain(|args| extreme(args, Ordering::Greater)),
        },
    ],
};

fn extreme(args: &[Cell], wanted: Ordering) -> Cell {
    let there = args.iter().filter(|cell| cell.is_some());
    let better = |best: &Cell, next: &Cell| compare(next, best) == Some(wanted);
    let best = there.fold(None, |best: Option<&Cell>, next| match best {
        Some(best) if !better(best, next) => Some(best),
        _ => Some(next),
    });
    best.cloned().unwrap_or(Cell::Null)
}
