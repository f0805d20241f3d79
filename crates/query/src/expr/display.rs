//! An expression back as text, which reads as the same expression.

use std::fmt::{Display, Formatter, Result, Write};

use super::Expr;
use crate::cell::Cell;
use crate::cursor::is_expr_name;
use crate::display::{List, quote, write_regex};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let bind = binding(self);
        match self {
            Expr::Field(field) => write_name(f, &field.typed),
            Expr::Literal(cell) => write_literal(f, cell),
            Expr::Regex(regex) => write_regex(f, regex),
            Expr::Call(function, args) => match (function.name, args.as_slice()) {
                ("neg", [arg]) => {
                    f.write_char('-')?;
                    nested(f, arg, bind)
                }
                ("not", [arg]) => {
                    f.write_str("not ")?;
                    nested(f, arg, bind)
                }
                ("in", [value, list @ ..]) => {
                    nested(f, value, bind)?;
                    write!(f, " in ({})", List(list))
                }
                (name, [a, b]) if bind < CALL => {
                    nested(f, a, bind)?;
                    write!(f, " {name} ")?;
                    nested(f, b, bind)
                }
                (name, args) => write!(f, "{name}({})", List(args)),
            },
        }
    }
}

/// How much a call of a function, a field and a literal bind.
const CALL: u8 = 8;

/// How much an expression binds: what binds more needs no brackets inside of it.
fn binding(expr: &Expr) -> u8 {
    match expr {
        Expr::Call(function, _) => match function.name {
            "or" => 1,
            "and" => 2,
            "not" => 3,
            "in" | "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" => 4,
            "+" | "-" => 5,
            "*" | "/" | "%" => 6,
            "neg" => 7,
            _ => CALL,
        },
        // A sign would be taken for an operator.
        Expr::Literal(Cell::Long(..0)) => 7,
        Expr::Literal(Cell::Float(n)) if n.is_sign_negative() => 7,
        Expr::Field(_) | Expr::Literal(_) | Expr::Regex(_) => CALL,
    }
}

/// An operand of something that binds so much.
fn nested(f: &mut Formatter<'_>, expr: &Expr, outside: u8) -> Result {
    match binding(expr) <= outside {
        true => write!(f, "({expr})"),
        false => write!(f, "{expr}"),
    }
}

fn write_literal(f: &mut Formatter<'_>, cell: &Cell) -> Result {
    match cell {
        Cell::Null => f.write_str("null"),
        Cell::Bool(bool) => write!(f, "{bool}"),
        Cell::Long(long) => write!(f, "{long}"),
        // A whole number keeps its point, so that it stays what it was.
        Cell::Float(float) => write!(f, "{float:?}"),
        Cell::Text(text) => quote(f, text),
        Cell::Time(_) => write!(f, "time(\"{}\")", cell.text()),
    }
}

fn write_name(f: &mut Formatter<'_>, name: &str) -> Result {
    if is_expr_name(name) {
        return f.write_str(name);
    }
    f.write_char('\'')?;
    for c in name.chars() {
        if matches!(c, '\'' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('\'')
}
