//! `extract`: takes values out of a text by a regular expression, or from JSON or pairs in it.

use super::{Command, Example, Faults, Takes, bound, field, list, name_as};
use crate::cell::Cell;
use crate::expr::Expr;
use crate::parse::Parser;
use crate::plan::{FieldRef, Named, Pipe};

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
        let text = text(parser)?;
        let column = |(path, name)| {
            let args = vec![Expr::Field(text.clone()), Expr::Literal(Cell::Text(path))];
            Some(Named { name, value: Expr::call(function, args)? })
        };
        Ok(vec![Pipe::Extend(last(paths.into_iter().filter_map(column).collect(), &text))])
    },
};

/// The text that values are taken out of.
fn text(parser: &mut Parser<'_>) -> Result<FieldRef, Faults> {
    Ok(if parser.keyword("from") { field(parser)? } else { super::original(parser)? })
}

/// Columns with the one last that is called like the field that all are computed from.
fn last(mut list: Vec<Named>, text: &FieldRef) -> Vec<Named> {
    list.sort_by_key(|named| FieldRef::new(&named.name).target == text.target);
    list
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
    let text = text(parser)?;
    let column = |name: String| {
        let args = vec![
            Expr::Field(text.clone()),
            Expr::Regex(regex.clone()),
            Expr::Literal(Cell::Text(name.clone())),
        ];
        Some(Named { name, value: Expr::call("regex_extract", args)? })
    };
    Ok(vec![Pipe::Extend(last(names.into_iter().filter_map(column).collect(), &text))])
}
