//! `extract`: takes values out of a text by a regular expression, or from JSON or pairs in it.

use super::{Command, Example, Faults, Takes, bound, field, list, name_as};
use crate::cell::Cell;
use crate::diagnostic::Diagnostic;
use crate::expr::Expr;
use crate::parse::Parser;
use crate::plan::{FieldRef, Named, Pipe};
use crate::scope::Place;

pub(super) const COMMAND: Command = Command {
    name: "extract",
    other_names: &["rex", "regex", "spath", "kvform"],
    usage: "extract /port (?<port>\\d+)/ from message",
    about: "Takes values out of a text: by a regular expression, by JSON paths, or by keys.",
    doc: "`extract /.../` makes a column of each named group. `extract json a.b as x, c` reads \
          paths of JSON. `extract kv user, port` reads `key=value` and `key: value`. The text is \
          the raw record, or the field that is named with `from`.",
    examples: &[
        Example {
            query: "sshd failed | extract /for (?<who>\\w+) from .* port (?<port>\\d+)/ | stats \
                values(port) by who",
            rows: &["admin · [\"4713\"]", "bob · [\"4715\"]", "root · [\"4711\",\"4712\"]"],
        },
        Example {
            query: "detail:* | extract json rule.id as rule, tags.0 as tag from detail | fields \
                rule, tag",
            rows: &["942100 · sqli"],
        },
        Example { query: "event.id:8 | extract kv port | fields port", rows: &[""] },
        Example { query: "bytes:512 | extract kv bytes as size | fields size", rows: &["512"] },
    ],
    takes: Takes::Fields(&["json", "kv", "as", "from"]),
    read: |parser| {
        parser.cursor.blanks();
        if parser.cursor.peek() == Some('/') {
            return regex(parser);
        }
        let from = parser.cursor.at;
        let function = if parser.keyword("json") {
            "json"
        } else if parser.keyword("kv") {
            "kv"
        } else {
            let fault =
                parser.cursor.fault(from, "a regular expression, `json` or `kv` is missing here");
            return Err(fault
                .hint("write extract /id=(?<id>\\d+)/, extract json a.b as x, or extract kv user")
                .into());
        };
        let paths = list(parser, name_as)?;
        let column = |(path, name)| (name, vec![Expr::Literal(Cell::Text(path))]);
        taken(parser, function, paths.into_iter().map(column))
    },
};

/// Columns of what a function takes out of the text that is next, with these arguments behind it.
pub(super) fn taken(
    parser: &mut Parser<'_>,
    function: &str,
    columns: impl Iterator<Item = (String, Vec<Expr>)>,
) -> Result<Vec<Pipe>, Faults> {
    let text = text(parser)?;
    let column = |(name, mut args): (String, Vec<Expr>)| {
        args.insert(0, Expr::Field(text.clone()));
        Some(Named { name, value: Expr::call(function, args)? })
    };
    let mut list: Vec<Named> = columns.filter_map(column).collect();
    // Each is computed from what those before it left; one called like the text comes last.
    list.sort_by_key(|named| FieldRef::new(&named.name).target == text.target);
    Ok(vec![Pipe::Extend(list)])
}

/// The field behind `from`, or the raw record, which a table does not have.
fn text(parser: &mut Parser<'_>) -> Result<FieldRef, Diagnostic> {
    if parser.keyword("from") {
        return field(parser);
    }
    let original = FieldRef::new(pugmark_event::fields::ORIGINAL.name());
    if parser.scope.find(&original) != Place::Nowhere {
        return Ok(original);
    }
    let fault = parser.cursor.fault(parser.cursor.at, "a table has no text to look in");
    Err(fault.hint("name a column with `from`"))
}

fn regex(parser: &mut Parser<'_>) -> Result<Vec<Pipe>, Faults> {
    let from = parser.cursor.at;
    let Some(regex) = parser.cursor.regex("|]") else {
        let fault = parser.cursor.fault(from, "this regular expression is never closed");
        return Err(fault.hint("write it between slashes, and a slash in it as \\/").into());
    };
    parser.count_regex(from)?;
    let compiled = crate::check::build(&regex).map_err(|m| parser.cursor.fault(from, m))?;
    let names: Vec<String> = compiled.capture_names().flatten().map(str::to_string).collect();
    if names.is_empty() {
        let fault = parser.cursor.fault(from, "no group of this regular expression has a name");
        return Err(fault.hint("name what is to be taken: /id=(?<id>\\d+)/").into());
    }
    bound(parser, names.len())?;
    let column = |name: String| {
        let args = vec![Expr::Regex(regex.clone()), Expr::Literal(Cell::Text(name.clone()))];
        (name, args)
    };
    taken(parser, "regex_extract", names.into_iter().map(column))
}
