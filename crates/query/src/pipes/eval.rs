//! `eval`: computes columns.

use super::{Command, Example, Takes, list, name};
use crate::diagnostic::Diagnostic;
use crate::eval::Rows;
use crate::parse::Parser;
use crate::plan::{Named, Pipe};
use crate::scope::{Column, Scope};

pub(super) const COMMAND: Command = Command {
    name: "eval",
    other_names: &["extend", "let", "set", "compute"],
    usage: "eval kb = source.bytes / 1024, night = hour(@timestamp) < 6",
    about: "Computes columns from the others.",
    doc: "Each may use those before it. A name that is there already gets the new value. What \
          cannot be computed, such as a sum with a word, is absent. The functions are listed \
          under *Functions*.",
    examples: &[
        Example {
            query: "bytes:* | eval kb = bytes / 1024, big = kb > 1 | fields event.id, kb, big",
            rows: &["7 · 87.890625 · true", "6 · 0.125 · false", "5 · 0.5 · false"],
        },
        Example {
            query: "* | eval user.name = upper(user.name) | stats count() by user.name",
            rows: &["ADMIN · 3", "BOB · 3", "ROOT · 2"],
        },
        Example {
            query: "* | stats count() as n, dc(user.name) as users by source.ip | eval each = n / \
                users",
            rows: &["198.51.100.4 · 3 · 1 · 3", "203.0.113.7 · 5 · 2 · 2.5"],
        },
    ],
    takes: Takes::Expressions(&[]),
    read: |parser| {
        let before = parser.scope.clone();
        let columns = list(parser, |parser| {
            let named = assignment(parser)?;
            // The next one sees it.
            parser.scope.put(column(&named, &parser.scope));
            Ok(named)
        })?;
        parser.scope = before;
        Ok(vec![Pipe::Extend(columns)])
    },
};

/// `name = expression`
fn assignment(parser: &mut Parser<'_>) -> Result<Named, Diagnostic> {
    let (from, name) = name(parser)?;
    parser.cursor.blanks();
    if !parser.cursor.eat('=') {
        let fault = parser.cursor.fault(from, "`=` and a value are missing after the name");
        return Err(fault.hint("write eval kb = source.bytes / 1024"));
    }
    parser.cursor.blanks();
    let at = parser.cursor.at;
    match parser.expr()? {
        crate::expr::Expr::Regex(_) => {
            let fault = parser.cursor.fault(at, "a regular expression is no value");
            Err(fault.hint("write matches(text, /regex/) or regex_extract(text, /regex/)"))
        }
        value => Ok(Named { name, value }),
    }
}

fn column(named: &Named, before: &Scope) -> Column {
    Column::new(&named.name, named.value.shape(before))
}

pub(super) fn scope(list: &[Named], mut scope: Scope) -> Scope {
    for named in list {
        scope.put(column(named, &scope));
    }
    scope
}

pub(super) fn run<'a>(list: &[Named], mut rows: Rows<'a>) -> Rows<'a> {
    for named in list {
        let values = rows.values(&named.value);
        rows.put(column(named, &rows.scope), values);
    }
    rows
}
