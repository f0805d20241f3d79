//! A condition of `where` as the plainest filter that means the same: a comparison of a field with
//! a value becomes a test of the field, by which whole segments can be skipped.

use crate::cell::{Cell, Shape};
use crate::check::{Check, address};
use crate::expr::Expr;
use crate::plan::{Bound, FieldRef, Filter, Target, Test};
use crate::scope::{Place, Scope};
use pugmark_event::fields::Kind;

/// Whether an expression says yes or no: words in brackets may look like one that does not.
pub(crate) fn is_one(expr: &Expr, scope: &Scope) -> bool {
    match expr {
        Expr::Call(function, args) if matches!(function.name, "and" | "or" | "not") => {
            args.iter().all(|arg| is_one(arg, scope))
        }
        Expr::Call(..) | Expr::Field(_) => expr.shape(scope) == Shape::Bool,
        Expr::Literal(_) | Expr::Regex(_) => false,
    }
}

/// The filter that an expression is.
pub(crate) fn filter(expr: Expr, scope: &Scope) -> Filter {
    if let Expr::Call(function, args) = &expr {
        let part = |arg: &Expr| filter(arg.clone(), scope);
        match (function.name, args.as_slice()) {
            ("and", parts) => return Filter::And(parts.iter().map(part).collect()),
            ("or", parts) => return Filter::Or(parts.iter().map(part).collect()),
            ("not", [inner]) => return Filter::Not(Box::new(part(inner))),
            ("exists", [Expr::Field(field)]) => {
                return Filter::Field(field.clone(), Test::Exists);
            }
            (name, [Expr::Field(field), Expr::Literal(value)]) => {
                if let Some(test) = test(name, field, value, scope) {
                    return Filter::Field(field.clone(), test);
                }
            }
            _ => {}
        }
    }
    Filter::Holds(expr)
}

/// The test of a field of events that means the same as the comparison, if there is one.
fn test(name: &str, field: &FieldRef, value: &Cell, scope: &Scope) -> Option<Test> {
    let Place::Event(target) = scope.find(field) else { return None };
    let number = matches!(value, Cell::Long(_) | Cell::Float(_));
    let bound = |inclusive| {
        let fits = match Shape::of(target) {
            Shape::Long | Shape::Text => number && !is_address(target),
            // A test of a date alone is of the whole day.
            Shape::Time => {
                matches!(value, Cell::Text(text) if text.len() > 10 && value.time().is_some())
            }
            Shape::Float | Shape::Bool => false,
        };
        fits.then(|| Bound { value: value.text(), inclusive })
    };
    let test = match name {
        "<" => Test::Range { low: None, high: Some(bound(false)?) },
        "<=" => Test::Range { low: None, high: Some(bound(true)?) },
        ">" => Test::Range { low: Some(bound(false)?), high: None },
        ">=" => Test::Range { low: Some(bound(true)?), high: None },
        "=" => match (Shape::of(target), value) {
            (Shape::Text, Cell::Text(text)) if plain_text(target, text) => {
                Test::Equals(text.clone())
            }
            (Shape::Long, Cell::Long(long)) => Test::Equals(long.to_string()),
            _ => return None,
        },
        _ => return None,
    };
    Check::new(target, &test).is_ok().then_some(test)
}

fn is_address(target: &Target) -> bool {
    matches!(target, Target::Column(id) if id.field().kind == Kind::Ip)
}

/// Whether a text compares letter by letter with the values of a field: an address may be written
/// in several ways.
fn plain_text(target: &Target, text: &str) -> bool {
    match is_address(target) {
        true => address(text).is_some_and(|address| address.to_string() == text),
        false => true,
    }
}
