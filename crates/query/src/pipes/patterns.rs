//! `patterns`: messages by their templates.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Formatter};

use pugmark_event::fields::{MESSAGE, ORIGINAL};
use pugmark_parse::templates::{Limits, Miner, TemplateId};

use super::{Command, Example, Takes, rows};
use crate::cell::{Cell, Shape};
use crate::eval::{Reader, Rows};
use crate::plan::{FieldRef, Pipe};
use crate::scope::{Column, Place, Scope};

/// Patterns that are kept where nothing is said.
const ROWS: usize = 100;

/// Templates that are held at once, and their bytes: a question has less room than the store.
const TEMPLATES_MAX: usize = 20_000;
const TEMPLATES_BYTES_MAX: usize = 64 << 20;

/// Messages by their templates.
#[derive(Debug, Clone, PartialEq)]
pub struct Patterns {
    /// What is looked at; `None` is the message, or the record where there is none.
    pub field: Option<FieldRef>,
    /// How many patterns are kept: the most frequent.
    pub rows: usize,
}

pub(super) const COMMAND: Command = Command {
    name: "patterns",
    other_names: &["cluster", "reduce"],
    usage: "patterns 20 message",
    about: "Groups messages by their patterns and counts them.",
    doc: "What differs between messages of one pattern stands in angle brackets: `<ip>`, \
          `<number>`, `<user>`. Each row has the `pattern`, its `count`, its `share` of all rows \
          in percent, and an `example`. Without a field the message is looked at, or the raw \
          record where there is no message. With `compare` behind it, it shows what is new: \
          `patterns | compare 1d`.",
    examples: &[Example {
        query: "sshd | patterns | fields pattern, count",
        rows: &[
            "Failed password for <user> from <ip> port <number> ssh2 · 4",
            "Accepted password for <user> from <ip> port <number> ssh2 · 1",
        ],
    }],
    takes: Takes::Fields(&[]),
    read: |parser| {
        let rows = rows(parser)?.unwrap_or(ROWS);
        parser.cursor.blanks();
        let field = if parser.at_end() { None } else { Some(super::field(parser)?) };
        if field.is_none() && !parser.scope.events {
            let message = FieldRef::new(MESSAGE.name());
            if parser.scope.find(&message) == Place::Nowhere {
                let fault = parser.cursor.fault(parser.cursor.at, "a table has no message");
                return Err(fault.hint("name a column, as in patterns url.path").into());
            }
        }
        Ok(vec![Pipe::Patterns(Patterns { field, rows })])
    },
};

pub(super) fn scope() -> Scope {
    Scope::table(vec![
        Column::key("pattern", Shape::Text),
        Column::new("count", Shape::Long),
        Column::new("share", Shape::Float),
        Column::new("example", Shape::Text),
    ])
}

impl Patterns {
    /// The fields whose first value is looked at.
    pub fn fields(&self) -> Vec<FieldRef> {
        match &self.field {
            Some(field) => vec![field.clone()],
            None => [MESSAGE, ORIGINAL].map(|id| FieldRef::new(id.name())).to_vec(),
        }
    }

    pub(super) fn run<'a>(&self, rows: Rows<'a>) -> Rows<'a> {
        let fields = self.fields();
        let readers: Vec<Reader> = rows.readers(&fields);
        let mut found = Found::default();
        for row in &rows.rows {
            let value = readers.iter().map(|reader| reader.cell(row)).find(Cell::is_some);
            if let Some(value) = value {
                found.add(&value.text());
            }
        }
        Rows::of_table(scope().columns, found.rows(self.rows))
    }
}

/// Messages by their templates so far.
struct Found {
    miner: Miner,
    counts: BTreeMap<TemplateId, (u64, String)>,
    slots: Vec<pugmark_parse::templates::Slot>,
}

impl Default for Found {
    fn default() -> Self {
        let limits = Limits {
            templates_max: TEMPLATES_MAX,
            bytes_max: TEMPLATES_BYTES_MAX,
            ..Limits::default()
        };
        Self { miner: Miner::new(limits), counts: BTreeMap::new(), slots: Vec::new() }
    }
}

impl Found {
    fn add(&mut self, message: &str) {
        let id = self.miner.learn(message, &mut self.slots);
        self.counts.entry(id).or_insert_with(|| (0, message.to_string())).0 += 1;
    }

    fn rows(self, rows: usize) -> Vec<Vec<Cell>> {
        let all: u64 = self.counts.values().map(|(count, _)| count).sum();
        // Templates that became one while others were learned.
        let mut merged = HashMap::<String, (u64, String)>::new();
        for (id, (count, example)) in self.counts {
            let template = self.miner.template(self.miner.resolve(id));
            let text = template.map_or_else(|| "<text>".to_string(), |t| t.typed());
            let entry = merged.entry(text).or_insert_with(|| (0, example.clone()));
            entry.0 += count;
            if example < entry.1 {
                entry.1 = example;
            }
        }
        let mut list: Vec<_> = merged.into_iter().collect();
        list.sort_by(|(a, (x, _)), (b, (y, _))| y.cmp(x).then_with(|| a.cmp(b)));
        list.truncate(rows);
        let row = |(pattern, (count, example)): (String, (u64, String))| {
            let share = 100.0 * count as f64 / all as f64;
            vec![
                Cell::Text(pattern),
                Cell::Long(count as i64),
                Cell::float(share),
                Cell::Text(example),
            ]
        };
        list.into_iter().map(row).collect()
    }
}

impl Display for Patterns {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "patterns {}", self.rows)?;
        self.field.as_ref().map_or(Ok(()), |field| write!(f, " {field}"))
    }
}
