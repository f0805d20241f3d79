//! `top`: the most frequent values. Read as `stats`, `where`, `sort` and `head`.

use super::{Command, Example, Faults, Stats, Takes, field_list, rows};
use crate::parse::Parser;
use crate::plan::{Aggregate, FieldRef, Filter, HEAD_ROWS, Named, Pipe, SortKey, Test};

pub(super) const COMMAND: Command = Command {
    name: "top",
    other_names: &[],
    usage: "top 10 source.ip",
    about: "Lists the most frequent values of a field, or of several together.",
    doc: "Rows without a value are left out. Without a number the list has 10. The same as \
          `stats count() by x | where x:* | sort -count | head 10`.",
    examples: &[
        Example { query: "* | top 1 source.ip", rows: &["203.0.113.7 · 5"] },
        Example {
            query: "* | top 2 user.name, host.name",
            rows: &["admin · web-1 · 2", "bob · web-2 · 2"],
        },
    ],
    takes: Takes::Fields(&[]),
    read: |parser| read(parser, true),
};

/// The list of the most, or the least, frequent.
pub(super) fn read(parser: &mut Parser<'_>, most: bool) -> Result<Vec<Pipe>, Faults> {
    let count = rows(parser)?.unwrap_or(HEAD_ROWS);
    let fields = field_list(parser)?;
    let there = |field: &FieldRef| Filter::Field(field.clone(), Test::Exists);
    let there = match fields.as_slice() {
        [field] => there(field),
        fields => Filter::And(fields.iter().map(there).collect()),
    };
    let figure = Aggregate::count();
    let key = SortKey { field: FieldRef::new(&figure.name()), descending: most };
    let by = fields.into_iter().map(Named::field).collect();
    Ok(vec![
        Pipe::Stats(Stats { figures: vec![figure], by }),
        Pipe::Where(there),
        Pipe::Sort(vec![key]),
        Pipe::Head(count),
    ])
}
