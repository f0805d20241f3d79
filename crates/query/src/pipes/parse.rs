//! `parse`: takes parts of a text by a pattern with stars.

use super::{Command, Example, Takes, field, list, must, name};
use crate::cell::Cell;
use crate::expr::Expr;
use crate::plan::{FieldRef, Named, Pipe};
use crate::wildcard::Captures;

pub(super) const COMMAND: Command = Command {
    name: "parse",
    other_names: &[],
    usage: "parse \"user * from * port *\" as user, address, port",
    about: "Takes parts of a text by a pattern with stars.",
    doc: "The pattern is looked for anywhere in the raw record, or in a field that is named with \
          `from`. A star takes as little as it can; at the end of the pattern it goes to the next \
          blank, and two stars take all that is left. Where the pattern is not found the columns \
          are absent. A star itself is `\\*`.",
    examples: &[
        Example {
            query: "sshd | parse \"password for * from * port *\" as who, address, port | fields \
                who, address, port | head 2",
            rows: &["bob · 198.51.100.4 · 4715", "admin · 203.0.113.7 · 4714"],
        },
        Example {
            query: "url.path:* | parse \"/*\" as page from url.path | stats count() by page",
            rows: &["export · 1", "login · 2"],
        },
    ],
    takes: Takes::Fields(&["as", "from"]),
    read: |parser| {
        parser.cursor.blanks();
        let from = parser.cursor.at;
        if parser.cursor.peek() != Some('"') {
            return Err(parser.cursor.fault(from, "a pattern in quotes is missing here").into());
        }
        // What a backslash means is the pattern's business, but for a quote.
        let pattern = parser.cursor.quoted('"')?;
        let captures =
            Captures::new(&pattern).map_err(|message| parser.cursor.fault(from, message))?;
        must(parser, "as", "names for the stars")?;
        let names = list(parser, |parser| Ok(name(parser)?.1))?;
        if names.len() != captures.len() {
            let message = format!(
                "the pattern has {} stars, and there are {} names",
                captures.len(),
                names.len()
            );
            return Err(parser.cursor.fault(from, message).into());
        }
        let text = match parser.keyword("from") {
            true => field(parser)?,
            false => super::original(parser)?,
        };
        Ok(vec![Pipe::Extend(columns(&pattern, names, &text))])
    },
};

/// The columns of the stars. The text is kept aside where a star is called like its field.
fn columns(pattern: &str, names: Vec<String>, text: &FieldRef) -> Vec<Named> {
    let capture = |(place, name): (usize, String)| {
        let args = vec![
            Expr::Field(text.clone()),
            Expr::Literal(Cell::Text(pattern.to_string())),
            Expr::Literal(Cell::Long(place as i64 + 1)),
        ];
        Some(Named { name, value: Expr::call("capture", args)? })
    };
    let mut list: Vec<Named> = names.into_iter().enumerate().filter_map(capture).collect();
    // Each is computed from what those before it left; the field itself comes last.
    list.sort_by_key(|named| FieldRef::new(&named.name).target == text.target);
    list
}
