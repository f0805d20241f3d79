//! `rare`: the least frequent values. Read as `stats`, `where`, `sort` and `head`.

use super::{Command, Example, Takes, top};

pub(super) const COMMAND: Command = Command {
    name: "rare",
    other_names: &["bottom"],
    usage: "rare 10 process.executable",
    about: "Lists the least frequent values of a field, or of several together.",
    doc: "Rows without a value are left out. Without a number the list has 10.",
    examples: &[Example { query: "* | rare 2 user.name", rows: &["root · 2", "admin · 3"] }],
    takes: Takes::Fields(&[]),
    read: |parser| top::read(parser, false),
};
