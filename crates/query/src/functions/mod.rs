//! Functions of expressions: one list, one file for each family.
//!
//! A function never fails: of an absent or unsuitable value it makes an absent one. What can be
//! wrong with its literals, such as a broken regular expression, is said when the query is read.

mod choice;
mod hash;
mod ip;
mod lists;
mod number;
mod operators;
mod pattern;
mod text;
mod time;

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::cell::{Cell, Shape};
use crate::expr::Expr;

pub use chrono_tz::UTC;
pub use lists::{items, list};
pub(crate) use time::SPAN_FUNCTION;
pub use time::{NOW, SPAN, start_of};

/// Most bytes of a text that a function makes.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most values of a list that a function makes or reads.
const LIST_MAX: usize = 1000;
/// Any number of arguments: so many at most.
const ARGS_MAX: usize = 64;

/// A function, or an operator.
#[derive(Debug)]
pub struct Function {
    /// What is typed.
    pub name: &'static str,
    /// How it is used: `substr(text, from, length)`.
    pub usage: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Expressions without fields, and what each gives as text. They are tests too.
    pub examples: &'static [(&'static str, &'static str)],
    /// How many arguments.
    pub(crate) args: RangeInclusive<usize>,
    /// What it makes of values of these shapes.
    pub(crate) shape: fn(&[Shape]) -> Shape,
    pub(crate) call: Call,
}

/// How a function works.
#[derive(Debug)]
pub(crate) enum Call {
    /// On values alone.
    Plain(fn(&[Cell]) -> Cell),
    /// With something that is made of its literals once.
    Made(fn(&[Expr]) -> Result<Made, String>),
}

/// A function made ready.
pub(crate) type Made = Arc<dyn Fn(&[Cell]) -> Cell + Send + Sync>;

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A family of functions.
#[derive(Debug)]
pub struct Family {
    /// Its title in the reference.
    pub title: &'static str,
    /// Its functions, in the order of the reference.
    pub functions: &'static [Function],
}

/// All families.
pub const FAMILIES: &[Family] = &[
    operators::FAMILY,
    choice::FAMILY,
    text::FAMILY,
    pattern::FAMILY,
    number::FAMILY,
    time::FAMILY,
    ip::FAMILY,
    hash::FAMILY,
    lists::FAMILY,
];

/// All functions.
pub fn all() -> impl Iterator<Item = &'static Function> {
    FAMILIES.iter().flat_map(|family| family.functions)
}

/// All functions but the operators.
pub fn named() -> impl Iterator<Item = &'static Function> {
    FAMILIES[1..].iter().flat_map(|family| family.functions)
}

/// Whether a function has this name, and no operator.
pub(crate) fn is_named(name: &str) -> bool {
    named().any(|function| function.name.eq_ignore_ascii_case(name))
}

/// The function of this name, in lower or upper case.
pub(crate) fn by_name(name: &str) -> Option<&'static Function> {
    all().find(|f| f.name.eq_ignore_ascii_case(name))
}

fn text_of(_: &[Shape]) -> Shape {
    Shape::Text
}

fn long_of(_: &[Shape]) -> Shape {
    Shape::Long
}

fn float_of(_: &[Shape]) -> Shape {
    Shape::Float
}

fn bool_of(_: &[Shape]) -> Shape {
    Shape::Bool
}

fn time_of(_: &[Shape]) -> Shape {
    Shape::Time
}

/// The shape that holds all of these.
fn joined(shapes: &[Shape]) -> Shape {
    shapes.iter().copied().reduce(Shape::joined).unwrap_or(Shape::Text)
}

/// A value as text; `None` when it is absent.
fn text(cell: &Cell) -> Option<std::borrow::Cow<'_, str>> {
    match cell {
        Cell::Null => None,
        Cell::Text(text) => Some(text.into()),
        other => Some(other.text().into()),
    }
}

/// A text made of a text.
fn of_text(args: &[Cell], make: impl FnOnce(&str) -> String) -> Cell {
    args.first().and_then(text).map_or(Cell::Null, |t| Cell::Text(make(&t)))
}

/// A number made of a number.
fn of_number(args: &[Cell], make: impl FnOnce(f64) -> f64) -> Cell {
    args.first().and_then(Cell::number).map_or(Cell::Null, |n| Cell::float(make(n)))
}

/// The place from 0 on that a place from 1 on, or from the end, means among so many.
fn place(place: i64, count: usize) -> Option<usize> {
    match place {
        0 => None,
        1.. => usize::try_from(place - 1).ok(),
        _ => count.checked_sub(usize::try_from(place.unsigned_abs()).ok()?),
    }
}

/// The text that an argument is in the query itself.
fn literal(args: &[Expr], at: usize, what: &str) -> Result<String, String> {
    match args.get(at) {
        Some(Expr::Literal(Cell::Text(text))) => Ok(text.clone()),
        _ => Err(format!("argument {} is {what} in quotes", at + 1)),
    }
}

/// The regular expression that an argument is.
fn regex(args: &[Expr], at: usize) -> Result<regex::Regex, String> {
    match args.get(at) {
        Some(Expr::Regex(text)) => crate::check::build(text),
        _ => Err(format!("argument {} is a regular expression such as /id=(\\d+)/", at + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Program;
    use crate::scope::Scope;

    #[test]
    fn every_example_gives_what_it_says() {
        for function in all() {
            assert!(!function.examples.is_empty(), "{} has no example", function.name);
            for (example, expected) in function.examples {
                let expr = crate::parse_expr(example).unwrap_or_else(|e| panic!("{example}: {e}"));
                let value = Program::new(&expr, &Scope::events()).unwrap().run(&|_| Cell::Null);
                assert_eq!(value.text(), *expected, "{example}");
                let written = expr.to_string();
                let again = crate::parse_expr(&written);
                assert_eq!(again.as_ref(), Ok(&expr), "{example} was written as {written}");
            }
        }
    }

    #[test]
    fn names_are_unique_and_usable() {
        let mut names: Vec<&str> = all().map(|f| f.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for function in named() {
            assert!(function.usage.starts_with(function.name), "{}", function.usage);
        }
    }

    #[test]
    fn absent_values_make_no_trouble() {
        for function in all() {
            let Call::Plain(call) = &function.call else { continue };
            for count in function.args.clone().take(4) {
                let value = call(&vec![Cell::Null; count]);
                let expected = (function.shape)(&vec![Shape::Text; count]);
                assert_eq!(expected.fit(value.clone()), value, "{}", function.name);
            }
        }
    }
}
