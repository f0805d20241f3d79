//! `parse`: takes parts of a text by a pattern with stars.

use super::extract::taken;
use super::{Command, Example, Takes, list, must, name};
use crate::cell::Cell;
use crate::expr::Expr;
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
        let column = |(place, name)| {
            let number = Expr::Literal(Cell::Long(place as i64 + 1));
            (name, vec![Expr::Literal(Cell::Text(pattern.clone())), number])
        };
        taken(parser, "capture", names.into_iter().enumerate().map(column))
    },
};
