//! Finds for each record the template that gives it back, byte for byte.
//!
//! Records of one source and shape mostly have the template of a record before them: a template is
//! tried by walking along the record and comparing each piece with the value that the event has
//! there. A template that passes has thereby been rebuilt and compared. Only a record that no known
//! template fits is taken apart by [`Groups`], and that only so often: hostile records that are all
//! different cost no more than being stored as they are.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use hashbrown::HashMap as FastMap;
use pugmark_event::fields::{self, FieldId};
use pugmark_event::time::Micros;
use twox_hash::XxHash3_64;

use super::clock::Pattern;
use super::derive::{Groups, RECORD_BYTES_MAX};
use super::rows::{Column, Rows};
use super::template::{Form, Piece, Template};

/// Templates that one encoder knows at most.
const TEMPLATES_MAX: usize = 8192;
/// Templates tried for one record.
const TRIES_MAX: usize = 24;
/// For one in so many records the template that stores least is looked for, not the first that
/// fits.
const RECORDS_PER_CHOICE: usize = 61;
/// Records that may be taken apart without having been earned by others that were not.
const DERIVES_FREE: usize = 4096;
/// One in so many records may be taken apart.
const DERIVES_SHARE: usize = 16;

/// Composites inside of composites.
const COMPOSITES_MAX: usize = 4;

/// A value of the record that was just encoded: the piece of its template, and where it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) piece: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Knows templates and finds the one of a record.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    templates: Vec<Arc<Template>>,
    by_text: HashMap<Arc<str>, u32>,
    /// Templates that fitted records of a shape, the one that fitted last first.
    by_shape: FastMap<u64, Vec<u32>>,
    groups: Groups,
    records: usize,
    derives: usize,
    matcher: Matcher,
}

impl Encoder {
    /// True when it has learnt so much that a fresh one is better.
    pub(crate) fn is_full(&self) -> bool {
        self.templates.len() >= TEMPLATES_MAX || self.groups.len() >= TEMPLATES_MAX
    }

    /// The template that gives record `row` back, or `None` when it is to be kept as it is.
    /// [`Encoder::found`] says where its values stood.
    pub(crate) fn encode(
        &mut self,
        rows: &Rows<'_>,
        shape: u64,
        row: usize,
    ) -> Option<Arc<Template>> {
        self.records += 1;
        let record = rows.record(row).filter(|r| r.len() <= RECORD_BYTES_MAX)?;
        let known = self.by_shape.entry(shape).or_default();
        let tries = known.len().min(TRIES_MAX);
        let template = |at: usize| &self.templates[known[at] as usize];
        let mut fits = |at: &usize| self.matcher.fits(template(*at), record, rows, row);
        let Some(mut best) = (0..tries).find(&mut fits) else {
            return self.learn(record, rows, shape, row);
        };
        // A template that stores more than it must would else stay in front for good.
        if self.records.is_multiple_of(RECORDS_PER_CHOICE) {
            for at in best + 1..tries {
                if template(at).variables() < template(best).variables() && fits(&at) {
                    best = at;
                }
            }
            fits(&best);
        }
        known[..=best].rotate_right(1);
        Some(self.templates[known[0] as usize].clone())
    }

    /// Where the values of the record stood that was encoded last.
    pub(crate) fn found(&self) -> &[Found] {
        &self.matcher.found
    }

    fn learn(
        &mut self,
        record: &str,
        rows: &Rows<'_>,
        shape: u64,
        row: usize,
    ) -> Option<Arc<Template>> {
        if self.derives > DERIVES_FREE + self.records / DERIVES_SHARE
            || self.templates.len() >= TEMPLATES_MAX
        {
            return None;
        }
        self.derives += 1;
        let template = Arc::new(self.groups.derive(record, rows, row)?);
        if !self.matcher.fits(&template, record, rows, row) {
            return None;
        }
        let next = self.templates.len() as u32;
        let id = *self.by_text.entry(template.text.clone()).or_insert(next);
        if id == next {
            self.templates.push(template.clone());
        }
        let known = self.by_shape.entry(shape).or_default();
        known.retain(|known| *known != id);
        known.insert(0, id);
        Some(template)
    }
}

/// A number for each row that is the same for rows with the same source, columns and attributes.
pub(crate) fn shapes(rows: &Rows<'_>) -> Vec<u64> {
    let mut shapes: Vec<u64> = (0..rows.len())
        .map(|row| {
            let source = XxHash3_64::oneshot(rows.source(row).as_bytes());
            let keys = XxHash3_64::oneshot_with_seed(source, rows.keys_bytes(row));
            XxHash3_64::oneshot_with_seed(keys, rows.kinds(row))
        })
        .collect();
    for id in &rows.present {
        let Some(column) = rows.batch.column_by_name(id.column()) else { continue };
        let mark = (u64::from(id.0) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        match column.nulls() {
            None => shapes.iter_mut().for_each(|shape| *shape ^= mark),
            Some(nulls) => {
                for row in nulls.valid_indices() {
                    shapes[row] ^= mark;
                }
            }
        }
    }
    // What was done often decides the words around the values.
    if let Some(actions) = rows.batch.column_by_name(fields::EVENT_ACTION.column())
        && let Some(actions) = actions.as_string_opt::<i32>()
    {
        for (shape, action) in shapes.iter_mut().zip(actions) {
            if let Some(action) = action {
                *shape = XxHash3_64::oneshot_with_seed(*shape, action.as_bytes());
            }
        }
    }
    shapes
}

/// Walks along a record with a template.
#[derive(Debug, Default)]
struct Matcher {
    found: Vec<Found>,
    scratch: String,
    clock: Option<(Arc<Pattern>, Micros, String)>,
}

impl Matcher {
    fn fits(&mut self, template: &Template, record: &str, rows: &Rows<'_>, row: usize) -> bool {
        self.found.clear();
        record.ends_with(&*template.end)
            && self.walk(template, record.as_bytes(), rows, row) == Some(record.len())
    }

    /// The end of the template in the record; `None` when they part ways.
    fn walk(
        &mut self,
        template: &Template,
        record: &[u8],
        rows: &Rows<'_>,
        row: usize,
    ) -> Option<usize> {
        let mut at = 0;
        // Where the composites begin that are not closed yet.
        let mut open = [0; COMPOSITES_MAX];
        let mut depth = 0;
        let mut entries = Entries { all: rows.entries(row), next: rows.entries(row).start };
        for (piece, what) in template.pieces.iter().enumerate() {
            let rest = &record[at..];
            let end = match what {
                Piece::Text(text) => {
                    at += rest.starts_with(text.as_bytes()).then_some(text.len())?;
                    continue;
                }
                Piece::Open(_) | Piece::OpenAttribute(..) => {
                    *open.get_mut(depth)? = at;
                    depth += 1;
                    continue;
                }
                Piece::Close(id) => {
                    let Some(Column::Text(texts)) = rows.field(*id) else { return None };
                    depth = depth.checked_sub(1)?;
                    let made = &record[open[depth]..at];
                    (texts.is_valid(row) && texts.value(row).as_bytes() == made).then_some(())?;
                    continue;
                }
                Piece::CloseAttribute(name) => {
                    let entry = entries.find(rows, name)?;
                    depth = depth.checked_sub(1)?;
                    (rows.value(entry).as_bytes() == &record[open[depth]..at]).then_some(())?;
                    continue;
                }
                Piece::Variable(variable) => at + variable.kind.len_at(rest)?,
                Piece::Field(id, form) => at + self.field(*id, form, rest, rows, row)?,
                Piece::Attribute(name, form) => {
                    let entry = entries.find(rows, name)?;
                    at + value_of(form, rows.value(entry).as_bytes(), rest)?
                }
            };
            self.found.push(Found { piece, start: at, end });
            at = end;
        }
        Some(at)
    }

    fn field(
        &mut self,
        id: FieldId,
        form: &Form,
        rest: &[u8],
        rows: &Rows<'_>,
        row: usize,
    ) -> Option<usize> {
        if let Form::Time(pattern) = form {
            return self.time(pattern, rows.times[row], rest);
        }
        match rows.field(id)? {
            column if column.is_null(row) => None,
            Column::Text(texts) => value_of(form, texts.value(row).as_bytes(), rest),
            Column::Long(longs) => {
                let mut digits = itoa::Buffer::new();
                value_of(form, digits.format(longs.value(row)).as_bytes(), rest)
            }
        }
    }

    fn time(&mut self, pattern: &Arc<Pattern>, time: Micros, rest: &[u8]) -> Option<usize> {
        if let Some((known, at, text)) = &self.clock
            && *at == time
            && (Arc::ptr_eq(known, pattern) || known == pattern)
        {
            return rest.starts_with(text.as_bytes()).then_some(text.len());
        }
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        pattern.render(time, &mut text);
        let len = text.len();
        let fits = len > 0 && rest.starts_with(text.as_bytes());
        let before = self.clock.replace((pattern.clone(), time, text));
        self.scratch = before.map(|(_, _, text)| text).unwrap_or_default();
        fits.then_some(len)
    }
}

/// The attributes of a row, looked up mostly in the order in which they stand.
struct Entries {
    all: std::ops::Range<usize>,
    next: usize,
}

impl Entries {
    fn find(&mut self, rows: &Rows<'_>, name: &str) -> Option<usize> {
        let mut ahead = (self.next..self.all.end).chain(self.all.start..self.next);
        let entry = ahead.find(|entry| rows.key(*entry) == name)?;
        self.next = entry + 1;
        Some(entry)
    }
}

/// Bytes that a value takes at the start of `rest`, if it is there in this form.
fn value_of(form: &Form, value: &[u8], rest: &[u8]) -> Option<usize> {
    match form {
        Form::Plain => rest.starts_with(value).then_some(value.len()),
        Form::Json => {
            let mut at = 0;
            for byte in value {
                if matches!(byte, b'"' | b'\\') {
                    (rest.get(at) == Some(&b'\\')).then_some(())?;
                    at += 1;
                }
                (rest.get(at) == Some(byte)).then_some(())?;
                at += 1;
            }
            Some(at)
        }
        Form::Time(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use pugmark_event::{BatchBuilder, Value};

    use super::*;

    const TIME: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

    /// A word without digits, unlike all others up to 26^3.
    fn word(number: usize) -> String {
        let letter = |place: u32| char::from(b'a' + (number / 26usize.pow(place) % 26) as u8);
        (0..3).map(letter).collect()
    }

    /// How many templates records have whose message is one of these in turn, with a new word each
    /// time for `{}`; `first` come before them. All records have one.
    #[track_caller]
    fn check(first: &[&str], messages: &[&str], records: usize, expected: RangeInclusive<usize>) {
        let mut builder = BatchBuilder::new("s", TIME);
        let turns = messages.iter().cycle().take(records);
        for (number, message) in first.iter().chain(turns).enumerate() {
            let message = message.replace("{}", &word(number));
            builder.begin(number as i64, message.as_bytes());
            builder.set(fields::MESSAGE, Value::Text(&message));
            builder.end(Some(TIME));
        }
        let batch = builder.finish().unwrap();
        let (rows, mut encoder) = (Rows::new(batch.columns()), Encoder::default());
        for (row, shape) in shapes(&rows).into_iter().enumerate() {
            assert!(encoder.encode(&rows, shape, row).is_some(), "{:?}", rows.record(row));
        }
        let count = encoder.templates.len();
        assert!(expected.contains(&count), "{count} templates of {messages:?}");
    }

    #[test]
    fn words_vary_where_messages_do() {
        let one = "user {} logged in from the office";
        check(&[], &[one], 100, 100..=100);
        check(&[], &[one], 3000, 128..=132);
        check(&[], &[one, "the upload of {} to the archive failed"], 3000, 128..=134);
        // A word that was kept as it is, and then varies.
        check(&["user web1 logged in from the office"], &[one], 3000, 128..=132);
    }

    #[test]
    fn what_a_miner_leaves_over_does_not_vary() {
        let many = format!("job {{}} of {}", "left over words without digits ".repeat(40));
        check(&[], &[&many], 400, 100..=400);
    }
}
