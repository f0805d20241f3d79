//! `where`: keeps the rows that pass.

use super::{Command, Example, Takes};
use crate::eval::{Matcher, Rows};
use crate::plan::{Filter, Pipe};

pub(super) const COMMAND: Command = Command {
    name: "where",
    other_names: &["filter"],
    usage: "where tries > 20 and not user.name:root",
    about: "Keeps the rows for which a condition holds.",
    doc: "Takes whatever the filter before the first pipe takes, and comparisons of expressions \
          beside it: `source.bytes > 2 * destination.bytes`, `port in (22, 3389)`, \
          `url.path like \"*.php\"`, `name matches /^svc-/`, `cidr(source.ip, \"10.0.0.0/8\")`. \
          In a comparison a text stands in quotes, and a bare word is a field. A comparison with \
          an absent value is false.",
    examples: &[
        Example {
            query: "* | where event.outcome:failure and user.name = \"root\"",
            rows: &["2", "1"],
        },
        Example {
            query: "* | where http.response.status_code >= 500 or hour(@timestamp) = 11",
            rows: &["8", "6"],
        },
        Example {
            query: "* | stats count() as tries by user.name | where tries > 2",
            rows: &["admin · 3", "bob · 3"],
        },
        Example { query: "* | where bytes * 2 > 1000", rows: &["7", "5"] },
    ],
    takes: Takes::Condition,
    read: |parser| {
        parser.cursor.blanks();
        let from = parser.cursor.at;
        if parser.at_end() {
            return Err(parser.cursor.fault(from, "a condition is missing here").into());
        }
        Ok(vec![Pipe::Where(parser.condition()?)])
    },
};

pub(super) fn run<'a>(filter: &Filter, mut rows: Rows<'a>) -> Rows<'a> {
    let matcher = Matcher::of(filter, &rows.scope);
    rows.rows.retain(|row| matcher.passes(row));
    rows
}
