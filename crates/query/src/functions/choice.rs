//! Functions that choose among values.

use super::{ARGS_MAX, Call, Family, Function, bool_of, joined};
use crate::cell::{Cell, Shape};

pub(super) const FAMILY: Family = Family {
    title: "Choice",
    functions: &[
        Function {
            name: "if",
            usage: "if(condition, then, else)",
            about: "One of two values. Without the third argument, absent.",
            examples: &[("if(2 > 1, \"yes\", \"no\")", "yes"), ("if(null, 1)", "")],
            args: 2..=3,
            shape: |shapes| joined(&shapes[1..]),
            call: Call::Plain(|args| match args[0].is_true() {
                true => args[1].clone(),
                false => args.get(2).cloned().unwrap_or(Cell::Null),
            }),
        },
        Function {
            name: "case",
            usage: "case(condition, value, condition, value, ..., otherwise)",
            about: "The value after the first condition that is true.",
            examples: &[
                ("case(1 > 2, \"a\", 2 > 1, \"b\", \"c\")", "b"),
                ("case(1 > 2, \"a\", \"c\")", "c"),
                ("case(1 > 2, \"a\")", ""),
            ],
            args: 2..=ARGS_MAX,
            shape: |shapes| joined(&case_values(shapes)),
            call: Call::Plain(|args| {
                let found = args.chunks_exact(2).find(|pair| pair[0].is_true());
                match (found, args.chunks_exact(2).remainder()) {
                    (Some(pair), _) => pair[1].clone(),
                    (None, [otherwise]) => otherwise.clone(),
                    (None, _) => Cell::Null,
                }
            }),
        },
        Function {
            name: "coalesce",
            usage: "coalesce(a, b, ...)",
            about: "The first value that is there.",
            examples: &[("coalesce(null, \"\", \"x\")", ""), ("coalesce(null, 3)", "3")],
            args: 1..=ARGS_MAX,
            shape: joined,
            call: Call::Plain(|args| {
                args.iter().find(|cell| cell.is_some()).cloned().unwrap_or(Cell::Null)
            }),
        },
        Function {
            name: "exists",
            usage: "exists(a)",
            about: "Whether there is a value.",
            examples: &[("exists(\"\")", "true"), ("exists(null)", "false")],
            args: 1..=1,
            shape: bool_of,
            call: Call::Plain(|args| Cell::Bool(args[0].is_some())),
        },
    ],
};

/// The shapes of the values of `case`: every second one, and what is left over.
fn case_values(shapes: &[Shape]) -> Vec<Shape> {
    let pairs = shapes.chunks_exact(2);
    let rest = pairs.remainder().to_vec();
    pairs.map(|pair| pair[1]).chain(rest).collect()
}
