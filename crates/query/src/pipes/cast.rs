//! `cast`: makes values numbers, texts, times or booleans.

use super::{Command, Example, Takes, field, list, must};
use crate::cell::Cell;
use crate::diagnostic::Diagnostic;
use crate::expr::Expr;
use crate::parse::Parser;
use crate::plan::{Named, Pipe};

pub(super) const COMMAND: Command = Command {
    name: "cast",
    other_names: &["convert"],
    usage: "cast bytes as number, started as time",
    about: "Makes the values of fields numbers, integers, texts, times or booleans.",
    doc: "The types are `number`, `integer`, `text`, `time` and `boolean`. A value that cannot be \
          one is absent. Most functions need no cast: a text that is a number counts as one.",
    examples: &[
        Example {
            query: "bytes:* | cast bytes as integer | stats max(bytes), min(bytes)",
            rows: &["90000 · 128"],
        },
        Example {
            query: "id:1 or event.id:8 | cast user.name as number | fields event.id, user.name",
            rows: &["8 · "],
        },
    ],
    takes: Takes::Fields(&["as", "number", "integer", "text", "time", "boolean"]),
    read: |parser| Ok(vec![Pipe::Extend(list(parser, one)?)]),
};

/// `field as type`
fn one(parser: &mut Parser<'_>) -> Result<Named, Diagnostic> {
    let field = field(parser)?;
    parser.cursor.blanks();
    must(parser, "as", "a type")?;
    parser.cursor.blanks();
    let at = parser.cursor.at;
    let word = parser.cursor.word(super::NAME_ENDS)?;
    let typed = word.as_ref().map_or("", |word| word.raw).to_ascii_lowercase();
    let Some(value) = converted(&typed, Expr::Field(field.clone())) else {
        let fault = parser.cursor.fault(at, format!("there is no type `{typed}`"));
        return Err(fault.nearest(&typed, &["number", "integer", "text", "time", "boolean"]));
    };
    Ok(Named { name: field.typed, value })
}

fn converted(typed: &str, value: Expr) -> Option<Expr> {
    let called = |name| Expr::call(name, vec![value.clone()]);
    match typed {
        "number" | "float" | "double" => called("number"),
        "integer" | "int" | "long" => called("int"),
        "text" | "string" => called("text"),
        "time" | "timestamp" | "datetime" => called("time"),
        "boolean" | "bool" => {
            let yes = Expr::call("=", vec![value.clone(), Expr::Literal(Cell::Bool(true))])?;
            let no = Expr::call("=", vec![value.clone(), Expr::Literal(Cell::Bool(false))])?;
            let bool = |bool| Expr::Literal(Cell::Bool(bool));
            Expr::call("case", vec![yes, bool(true), no, bool(false)])
        }
        _ => None,
    }
}
