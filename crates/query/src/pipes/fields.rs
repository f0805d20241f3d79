//! `fields`: a table of some columns.

use super::{Command, Example, Takes, field, field_list, list, name};
use crate::eval::{Row, Rows};
use crate::expr::Expr;
use crate::parse::Parser;
use crate::plan::{FieldRef, Named, Pipe};
use crate::scope::{Column, Scope};

pub(super) const COMMAND: Command = Command {
    name: "fields",
    other_names: &["table", "project", "select", "keep"],
    usage: "fields @timestamp, user.name as who",
    about: "Makes a table of some columns.",
    doc: "A minus before the first name drops columns of a table instead: `fields - count`.",
    examples: &[
        Example {
            query: "event.outcome:success | fields user.name as who, source.ip",
            rows: &["admin · 203.0.113.7"],
        },
        Example {
            query: "* | stats count(), dc(user.name) by host.name | fields - count",
            rows: &["web-1 · 3", "web-2 · 2"],
        },
    ],
    takes: Takes::Fields(&["as"]),
    read: |parser| {
        parser.cursor.blanks();
        let from = parser.cursor.at;
        if parser.cursor.eat('-') {
            if parser.scope.events {
                let fault = parser.cursor.fault(from, "only columns of a table can be dropped");
                return Err(fault
                    .hint("name the fields to keep: fields @timestamp, user.name")
                    .into());
            }
            let dropped = field_list(parser)?;
            let stays = |column: &&Column| {
                let columns = [(*column).clone()];
                let alone = Scope::table(columns.to_vec());
                !dropped.iter().any(|field| alone.find(field) == crate::scope::Place::Column(0))
            };
            let columns = parser.scope.columns.iter().filter(stays);
            let list = columns.map(|column| Named::field(FieldRef::new(&column.name))).collect();
            return Ok(vec![Pipe::Select(list)]);
        }
        let column = |parser: &mut Parser<'_>| {
            let field = field(parser)?;
            Ok(match parser.keyword("as") {
                true => Named { name: name(parser)?.1, value: Expr::Field(field) },
                false => Named::field(field),
            })
        };
        Ok(vec![Pipe::Select(list(parser, column)?)])
    },
};

pub(super) fn scope(list: &[Named], before: &Scope) -> Scope {
    let column = |named: &Named| {
        let key = match named.value.field().map(|field| before.find(field)) {
            Some(crate::scope::Place::Column(at)) => before.columns[at].key,
            _ => false,
        };
        Column { name: named.name.clone(), shape: named.value.shape(before), key }
    };
    Scope::table(list.iter().map(column).collect())
}

pub(super) fn run<'a>(list: &[Named], rows: Rows<'a>) -> Rows<'a> {
    let columns: Vec<_> = list.iter().map(|named| rows.values(&named.value)).collect();
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    let row = |_: usize| {
        let cells = columns.iter_mut().filter_map(Iterator::next).collect();
        Row { event: None, cells }
    };
    Rows { scope: scope(list, &rows.scope), rows: (0..rows.rows.len()).map(row).collect() }
}
