//! `rename`: calls columns differently.

use super::{Command, Example, Takes, field, list, must, name};
use crate::cell::Cell;
use crate::expr::Expr;
use crate::plan::{FieldRef, Named, Pipe};
use crate::scope::{Place, Scope};

pub(super) const COMMAND: Command = Command {
    name: "rename",
    other_names: &["project-rename"],
    usage: "rename source.ip as client, user.name as who",
    about: "Calls columns differently.",
    doc: "Columns of a table keep their places. A field of events gets the new name beside the \
          others, and is absent under its own.",
    examples: &[
        Example {
            query: "* | stats count() by source.ip | rename source.ip as client, count as n | \
                where n > 3",
            rows: &["203.0.113.7 · 5"],
        },
        Example {
            query: "* | rename user.name as who | where who:root and not user.name:*",
            rows: &["2", "1"],
        },
    ],
    takes: Takes::Fields(&["as"]),
    read: |parser| {
        let names = list(parser, |parser| {
            let old = field(parser)?;
            parser.cursor.blanks();
            must(parser, "as", "the new name")?;
            Ok((old, name(parser)?.1))
        })?;
        Ok(vec![renamed(&names, &parser.scope)])
    },
};

fn renamed(names: &[(FieldRef, String)], scope: &Scope) -> Pipe {
    if scope.events {
        let new = names
            .iter()
            .map(|(old, new)| Named { name: new.clone(), value: Expr::Field(old.clone()) });
        let gone = names
            .iter()
            .map(|(old, _)| Named { name: old.typed.clone(), value: Expr::Literal(Cell::Null) });
        return Pipe::Extend(new.chain(gone).collect());
    }
    let column = |(place, column): (usize, &crate::scope::Column)| {
        let new = names.iter().find(|(old, _)| scope.find(old) == Place::Column(place));
        let field = FieldRef::new(&column.name);
        match new {
            Some((_, new)) => Named { name: new.clone(), value: Expr::Field(field) },
            None => Named::field(field),
        }
    };
    Pipe::Select(scope.columns.iter().enumerate().map(column).collect())
}
