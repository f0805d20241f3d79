//! Builds the index of a file while its blocks are written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::Schema;
use hashbrown::{HashMap as FastMap, HashSet};
use pugmark_event::conflict;
use pugmark_event::fields::{FIELDS, FieldId, ISSUES, ORIGINAL, ORIGINAL_BYTES};
use pugmark_event::time::{DAY, MINUTE, Micros};
use twox_hash::XxHash3_64;
use xorf::{BinaryFuse8, DmaSerializable};

use super::{Blocks, GROUP_ROWS, mark};
use crate::codec::decode::{Decoder, Templates};
use crate::codec::rows::Rows;
use crate::codec::stored::push_text;
use crate::codec::template::{Form, Piece, Template};
use crate::codec::words::{hash_value, hash_word, is_common, is_word, words};
use crate::segment::assemble::COMPOSITES;
use crate::segment::layout::{Layout, is_entity};
use crate::segment::raw::Raw;

/// Different values of a column in a row group up to which they are listed.
const LISTED_MAX: usize = 512;
/// Words seen lately in a block: most words come again soon, and need not be kept twice.
const SEEN_SLOTS: usize = 8192;
const LEVEL: i32 = 9;

/// Words or values of one column in one row group.
#[derive(Debug, Default)]
struct Listed {
    /// The blocks that have each value.
    values: FastMap<u64, Blocks>,
    /// Each word with the value that it is of.
    words: Vec<(u64, u64)>,
    /// True once there were too many: later ones are in the filters of their blocks.
    spilled: bool,
}

impl Listed {
    /// True when the value is listed already: then the block is noted.
    fn note(&mut self, value: u64, block: Blocks) -> bool {
        self.values.get_mut(&value).map(|blocks| *blocks |= block).is_some()
    }

    /// True when there is room to list the value, which is new here.
    fn list(&mut self, value: u64, block: Blocks) -> bool {
        if self.values.len() < LISTED_MAX {
            self.values.insert(value, block);
            return true;
        }
        self.spilled = true;
        false
    }

    /// The words with the blocks of their values.
    fn take_words(&mut self) -> Vec<(u64, Blocks)> {
        let blocks = |value| self.values.get(value).copied().unwrap_or(Blocks::MAX);
        let words = std::mem::take(&mut self.words);
        words.iter().map(|(word, value)| (*word, blocks(value))).collect()
    }
}

/// Collects the index while blocks are written.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    columns: Vec<Listed>,
    column_names: Vec<String>,
    by_name: HashMap<String, usize>,
    entities: Vec<(FieldId, Listed)>,
    /// What each template feeds, by its address.
    plans: HashMap<usize, Rc<Plan>>,
    templates: Vec<Arc<Template>>,
    known: Templates,
    block: Vec<u64>,
    seen: Box<[u64]>,
    seen_values: Box<[u64]>,
    rows_in_group: usize,
    blocks: Vec<(u32, u32)>,
    filters: Vec<u8>,
    groups: Vec<Vec<u8>>,
    map_names: HashSet<u64>,
    conflicts: HashSet<u64>,
    issues: String,
    /// The text of a value.
    scratch: String,
    /// Columns of the file with a value in this group.
    present: BTreeSet<String>,
}

impl IndexBuilder {
    /// An index of rows that have columns of this schema.
    pub(crate) fn new(schema: &Schema) -> Self {
        // A field that is made up of pieces has values though it may have no column.
        let stored = |id: &FieldId| schema.index_of(id.column()).is_ok() || COMPOSITES.contains(id);
        let ids = (0..FIELDS.len()).map(|at| FieldId(at as u16));
        let entities = ids.filter(|id| is_entity(*id)).filter(stored);
        Self {
            entities: entities.map(|id| (id, Listed::default())).collect(),
            seen: vec![0; SEEN_SLOTS].into(),
            seen_values: vec![0; SEEN_SLOTS].into(),
            ..Self::default()
        }
    }

    /// Adds the next rows of the file: [`BLOCK_ROWS`] of them, fewer at the end.
    pub(crate) fn block(&mut self, batch: &RecordBatch, layout: &Layout) {
        let mut decoder = Decoder::new(batch, layout);
        let (templated, mut others) = decoder.rows_by_template();
        for (key, rows) in templated.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            match decoder.template_at(key, &mut self.known) {
                Some(template) => self.templated(key, &template, &rows, &mut decoder, layout),
                None => others.extend(rows),
            }
        }
        self.kept(batch, &others);
        self.present(batch);
        self.stored_entities(batch);
        self.map_names(batch);
        self.issues(batch);
        self.rows_in_group += batch.num_rows();
        self.end_block();
        if self.rows_in_group >= GROUP_ROWS {
            self.end_group();
        }
    }

    /// Adds what rows of one template hold.
    fn templated(
        &mut self,
        key: usize,
        template: &Arc<Template>,
        rows: &[u32],
        decoder: &mut Decoder<'_>,
        layout: &Layout,
    ) {
        let plan = self.plan(template);
        for (column, piece) in &plan.values {
            self.piece_values(*column, &template.pieces[*piece], rows, decoder, layout);
        }
        for span in &plan.spans {
            self.span(key, span, rows, decoder);
        }
        for place in 0..self.entities.len() {
            let id = self.entities[place].0;
            if template.derived(id).is_some() {
                self.made_up(place, rows, decoder);
            }
        }
    }

    fn plan(&mut self, template: &Arc<Template>) -> Rc<Plan> {
        let key = Arc::as_ptr(template) as usize;
        if let Some(plan) = self.plans.get(&key) {
            return plan.clone();
        }
        let mut values: Vec<(usize, usize)> = Vec::new();
        for (at, piece) in template.pieces.iter().enumerate() {
            let name = piece.column().filter(|_| !template.glued[at] && !is_time(piece));
            if let Some(column) = name.map(|name| self.column(name))
                && values.iter().all(|(known, _)| *known != column)
            {
                values.push((column, at));
            }
        }
        let plan = Rc::new(Plan { values, spans: spans(template) });
        self.templates.push(template.clone());
        self.plans.insert(key, plan.clone());
        plan
    }

    fn column(&mut self, name: String) -> usize {
        let next = self.columns.len();
        let at = *self.by_name.entry(name.clone()).or_insert(next);
        if at == next {
            self.columns.push(Listed::default());
            self.column_names.push(name);
        }
        at
    }

    /// Adds the values that one piece has in these rows.
    fn piece_values(
        &mut self,
        column: usize,
        piece: &Piece,
        rows: &[u32],
        decoder: &Decoder<'_>,
        layout: &Layout,
    ) {
        let Piece::Attribute(name, _) = piece else {
            if let Some(values) = piece.column().and_then(|name| decoder.column(&name)) {
                self.values(column, values, rows);
            }
            return;
        };
        let promoted = layout.promoted(name).and_then(|p| decoder.column(&p.column));
        if let Some(values) = promoted {
            self.values(column, values, rows);
        }
        for row in rows.iter().map(|row| *row as usize) {
            if promoted.is_none_or(|values| values.is_null(row))
                && let Some(text) = decoder.attribute(row, name)
            {
                self.value(column, XxHash3_64::oneshot(text.as_bytes()), |out| out.push_str(text));
            }
        }
    }

    fn values(&mut self, column: usize, values: &ArrayRef, rows: &[u32]) {
        let Some(raw) = Raw::of(values) else { return };
        for row in rows.iter().map(|row| *row as usize).filter(|row| values.is_valid(*row)) {
            self.value(column, raw.hash(row), |out| {
                let _ = push_text(values, row, out);
            });
        }
    }

    /// Adds the words of a value that `hash` stands for; its text is asked for when it is new.
    fn value(&mut self, column: usize, hash: u64, text: impl Fn(&mut String)) {
        let block = self.block_bit();
        if self.is_seen(hash ^ mark(column)) || self.columns[column].note(hash, block) {
            return;
        }
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        text(&mut out);
        let listed = &mut self.columns[column];
        if listed.list(hash, block) {
            listed.words.extend(words(out.as_bytes()).map(|word| (hash_word(word), hash)));
        } else {
            self.text(out.as_bytes());
        }
        self.scratch = out;
    }

    /// Adds the words of a part of the record where values and text run together.
    fn span(&mut self, key: usize, span: &Span, rows: &[u32], decoder: &Decoder<'_>) {
        let mut day = None;
        let mut out = String::new();
        for row in rows.iter().map(|row| *row as usize) {
            if let Change::Daily(offset) = span.change {
                let time = decoder.times().get(row).copied().unwrap_or(0);
                let this = time.saturating_add(offset).div_euclid(DAY);
                if day.replace(this) == Some(this) {
                    continue;
                }
            }
            out.clear();
            for bit in &span.bits {
                match bit {
                    Bit::Text(text) => out.push_str(text),
                    Bit::Piece(piece) => {
                        let _ = decoder.piece(key, *piece, row, &mut out);
                    }
                }
            }
            if !self.is_seen(XxHash3_64::oneshot(out.as_bytes())) {
                self.text(out.as_bytes());
            }
        }
    }

    /// Adds all words of records that are kept as they were.
    fn kept(&mut self, batch: &RecordBatch, rows: &[u32]) {
        let text = batch.column_by_name(ORIGINAL.column()).and_then(|c| c.as_string_opt::<i32>());
        let exact = batch.column_by_name(ORIGINAL_BYTES.column());
        let exact = exact.and_then(|c| c.as_binary_opt::<i32>());
        for row in rows.iter().map(|row| *row as usize) {
            if let Some(text) = text.filter(|c| c.is_valid(row)) {
                self.text(text.value(row).as_bytes());
            } else if let Some(exact) = exact.filter(|c| c.is_valid(row)) {
                self.text(exact.value(row));
            }
        }
    }

    fn present(&mut self, batch: &RecordBatch) {
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if column.null_count() < column.len() && !self.present.contains(field.name()) {
                self.present.insert(field.name().clone());
            }
        }
    }

    fn stored_entities(&mut self, batch: &RecordBatch) {
        for place in 0..self.entities.len() {
            let id = self.entities[place].0;
            let Some(values) = batch.column_by_name(id.column()) else { continue };
            let Some(raw) = Raw::of(values) else { continue };
            let mut text = String::new();
            for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
                if self.is_seen(raw.hash(row) ^ mark(usize::MAX - place)) {
                    continue;
                }
                text.clear();
                if push_text(values, row, &mut text).is_some() {
                    self.entity(place, text.as_bytes());
                }
            }
        }
    }

    /// Adds the values of an entity that is made up of pieces.
    fn made_up(&mut self, place: usize, rows: &[u32], decoder: &mut Decoder<'_>) {
        let id = self.entities[place].0;
        let mut text = String::new();
        for row in rows {
            text.clear();
            if decoder.composite(*row as usize, id, &mut self.known, &mut text).is_some() {
                self.entity(place, text.as_bytes());
            }
        }
    }

    fn entity(&mut self, place: usize, value: &[u8]) {
        let hash = hash_value(value);
        let block = self.block_bit();
        let listed = &mut self.entities[place].1;
        if listed.note(hash, block) || listed.list(hash, block) {
            return;
        }
        self.push(hash);
    }

    /// Notes which attributes rows have in the map.
    fn map_names(&mut self, batch: &RecordBatch) {
        let rows = Rows::new(batch);
        for row in 0..rows.len() {
            for entry in rows.entries(row) {
                self.map_names.insert(XxHash3_64::oneshot(rows.key(entry).as_bytes()));
            }
        }
    }

    /// Notes the fields of which some event has a value that did not fit.
    fn issues(&mut self, batch: &RecordBatch) {
        let issues = batch.column_by_name(ISSUES.column()).and_then(|c| c.as_string_opt::<i32>());
        for issues in issues.iter().flat_map(|issues| issues.iter().flatten()) {
            if self.issues == issues {
                continue;
            }
            self.issues = issues.to_string();
            let noted = FIELDS.iter().enumerate().map(|(at, _)| FieldId(at as u16));
            let noted = noted.filter(|id| conflict::noted(issues, *id));
            self.conflicts.extend(noted.map(|id| XxHash3_64::oneshot(id.name().as_bytes())));
        }
    }

    /// Adds all words of a text to the filter of the block.
    fn text(&mut self, text: &[u8]) {
        for word in words(text).filter(|word| !is_common(word)) {
            self.push(hash_word(word));
        }
    }

    fn push(&mut self, hash: u64) {
        let slot = &mut self.seen[hash as usize % SEEN_SLOTS];
        if *slot != hash {
            *slot = hash;
            self.block.push(hash);
        }
    }

    /// The bit of the block that is being added.
    fn block_bit(&self) -> Blocks {
        1u16.checked_shl(self.blocks.len() as u32).unwrap_or(Blocks::MAX)
    }

    /// True when a value with this hash was asked about a moment ago in this block.
    fn is_seen(&mut self, hash: u64) -> bool {
        let slot = &mut self.seen_values[hash as usize % SEEN_SLOTS];
        std::mem::replace(slot, hash) == hash
    }

    fn end_block(&mut self) {
        self.block.sort_unstable();
        self.block.dedup();
        let start = self.filters.len();
        // A filter that cannot be built is left out: its block may then hold anything.
        if let Ok(filter) = BinaryFuse8::try_from(self.block.as_slice()) {
            self.filters.resize(start + BinaryFuse8::DESCRIPTOR_LEN, 0);
            filter.dma_copy_descriptor_to(&mut self.filters[start..]);
            self.filters.extend_from_slice(filter.dma_fingerprints());
        }
        self.blocks.push((start as u32, (self.filters.len() - start) as u32));
        self.block.clear();
        self.seen.fill(0);
        self.seen_values.fill(0);
    }

    fn end_group(&mut self) {
        let mut out = Vec::new();
        put(&mut out, self.rows_in_group as u32);
        put(&mut out, self.columns.len() as u32);
        for (name, listed) in self.column_names.iter().zip(&mut self.columns) {
            put_text(&mut out, name);
            out.push(u8::from(listed.spilled));
            put_listed(&mut out, listed.take_words());
            *listed = Listed::default();
        }
        put(&mut out, self.entities.len() as u32);
        for (id, listed) in &mut self.entities {
            put_text(&mut out, id.column());
            out.push(u8::from(listed.spilled));
            put_listed(&mut out, listed.values.iter().map(|(v, blocks)| (*v, *blocks)).collect());
            *listed = Listed::default();
        }
        put(&mut out, self.blocks.len() as u32);
        for (offset, len) in self.blocks.drain(..) {
            put(&mut out, offset);
            put(&mut out, len);
        }
        put(&mut out, self.present.len() as u32);
        for column in std::mem::take(&mut self.present) {
            put_text(&mut out, &column);
        }
        self.groups.push(out);
        self.rows_in_group = 0;
    }

    /// Filters and index, as the file has them.
    pub(crate) fn finish(mut self) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
        if self.rows_in_group > 0 {
            self.end_group();
        }
        let mut out = Vec::new();
        put(&mut out, self.templates.len() as u32);
        for template in &self.templates {
            put_text(&mut out, &template.text);
        }
        put_hashes(&mut out, self.map_names.into_iter().collect());
        put_hashes(&mut out, self.conflicts.into_iter().collect());
        put(&mut out, self.groups.len() as u32);
        for group in &self.groups {
            out.extend_from_slice(group);
        }
        Ok((self.filters, zstd::bulk::compress(&out, LEVEL)?))
    }
}

fn put(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u32);
    out.extend_from_slice(text.as_bytes());
}

/// As [`put_hashes`], then for each its blocks.
fn put_listed(out: &mut Vec<u8>, listed: Vec<(u64, Blocks)>) {
    let mut halves: BTreeMap<u32, Blocks> = BTreeMap::new();
    for (hash, blocks) in listed {
        *halves.entry(hash as u32).or_default() |= blocks;
    }
    put(out, halves.len() as u32);
    halves.keys().for_each(|hash| put(out, *hash));
    halves.values().for_each(|blocks| out.extend_from_slice(&blocks.to_le_bytes()));
}

/// Half a hash is enough where there are few.
fn put_hashes(out: &mut Vec<u8>, mut hashes: Vec<u64>) {
    hashes.iter_mut().for_each(|hash| *hash &= u64::from(u32::MAX));
    hashes.sort_unstable();
    hashes.dedup();
    put(out, hashes.len() as u32);
    for hash in hashes {
        put(out, hash as u32);
    }
}

/// What the records of one template add to the index.
#[derive(Debug)]
struct Plan {
    /// Columns whose values stand alone in the record, each with a piece that has it.
    values: Vec<(usize, usize)>,
    spans: Vec<Span>,
}

/// A part of a record whose words are not those of one value: values that touch word characters,
/// with what they touch, and times.
#[derive(Debug)]
struct Span {
    bits: Vec<Bit>,
    change: Change,
}

#[derive(Debug)]
enum Bit {
    Text(Box<str>),
    /// A piece of the template, by its place.
    Piece(usize),
}

/// How often the words of a span that filters hold change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// With the day at this offset from UTC.
    Daily(Micros),
    Always,
}

/// The spans of a template that have words for filters.
fn spans(template: &Template) -> Vec<Span> {
    let pieces = &template.pieces;
    let solid: Vec<usize> = (0..pieces.len()).filter(|at| !pieces[*at].is_mark()).collect();
    let mut spans: Vec<Vec<Bit>> = Vec::new();
    // True while what comes next touches the span before it.
    let mut open = false;
    for (i, at) in solid.iter().enumerate() {
        match &pieces[*at] {
            Piece::Text(text) => {
                let head = text.bytes().take_while(|b| is_word(*b)).count();
                if let Some(span) = spans.last_mut().filter(|_| open) {
                    span.push(Bit::Text(text[..head].into()));
                }
                open &= head == text.len();
            }
            value if template.glued[*at] || is_time(value) => {
                if !open {
                    let before = i.checked_sub(1).map(|before| &pieces[solid[before]]);
                    spans.push(vec![Bit::Text(tail(before).into())]);
                }
                if let Some(span) = spans.last_mut() {
                    span.push(Bit::Piece(*at));
                }
                open = true;
            }
            _ => open = false,
        }
    }
    spans
        .into_iter()
        .filter_map(|bits| change(&bits, template).map(|change| Span { bits, change }))
        .collect()
}

/// The word characters at the end of a piece of text.
fn tail(piece: Option<&Piece>) -> &str {
    let Some(Piece::Text(text)) = piece else { return "" };
    &text[text.len() - text.bytes().rev().take_while(|b| is_word(*b)).count()..]
}

fn is_time(piece: &Piece) -> bool {
    matches!(piece, Piece::Field(_, Form::Time(_)))
}

/// How often words of a span change; `None` when filters do without all of them.
fn change(bits: &[Bit], template: &Template) -> Option<Change> {
    // Two times of a day that differ in everything below it.
    const SAMPLES: [Micros; 2] = [1_795_428_671_123_456, 1_795_440_275_987_654];
    let mut texts = [String::new(), String::new()];
    let mut offset = None;
    for bit in bits {
        let pattern = match bit {
            Bit::Text(text) => {
                texts.iter_mut().for_each(|out| out.push_str(text));
                continue;
            }
            Bit::Piece(at) => match &template.pieces[*at] {
                Piece::Field(_, Form::Time(pattern)) => pattern,
                _ => return Some(Change::Always),
            },
        };
        let this = i64::from(pattern.offset_minutes()) * MINUTE;
        if *offset.get_or_insert(this) != this {
            return Some(Change::Always);
        }
        for (out, sample) in texts.iter_mut().zip(SAMPLES) {
            pattern.render(sample - this, out);
        }
    }
    let [a, b] = texts
        .each_ref()
        .map(|text| words(text.as_bytes()).filter(|word| !is_common(word)).collect::<Vec<_>>());
    match (a.is_empty(), a == b) {
        (true, true) => None,
        (false, true) => Some(Change::Daily(offset.unwrap_or(0))),
        (_, false) => Some(Change::Always),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, StringArray};
    use arrow::datatypes::Int32Type;

    use super::super::Index;
    use super::*;
    use crate::segment::layout::{FORMAT, TEMPLATE};

    /// The index of rows whose one column has so many different values.
    fn index(values: usize) -> Index {
        let users = StringArray::from_iter_values((0..values).map(|value| format!("name{value}")));
        let template: DictionaryArray<Int32Type> =
            std::iter::repeat_n("user {user.name} did it", values).collect();
        let columns: [(&str, ArrayRef); 2] =
            [(TEMPLATE, Arc::new(template)), ("user_name", Arc::new(users))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut builder = IndexBuilder::new(batch.schema_ref());
        builder.block(&batch, &Layout::default());
        let (filters, packed) = builder.finish().unwrap();
        Index::read(&packed, filters.into(), FORMAT).unwrap()
    }

    #[track_caller]
    fn check(values: usize, spilled: bool) {
        let index = index(values);
        assert_eq!(index.columns().collect::<Vec<_>>(), ["user_name"]);
        assert_eq!(index.groups[0].spilled(0), spilled, "{values}");
        assert!(!index.groups[0].spilled(1));
    }

    #[test]
    fn a_column_says_whether_its_list_is_whole() {
        check(1, false);
        check(LISTED_MAX, false);
        check(LISTED_MAX + 1, true);
    }

    /// The spans of a template as text, `*` for a value, and how often they change.
    #[track_caller]
    fn check_spans(template: &str, expected: &[(&str, Change)]) {
        let template = Template::parse(template).unwrap();
        let text = |bit: &Bit| match bit {
            Bit::Text(text) => text.to_string(),
            Bit::Piece(_) => "*".to_string(),
        };
        let found: Vec<(String, Change)> = spans(&template)
            .iter()
            .map(|span| (span.bits.iter().map(text).collect(), span.change))
            .collect();
        let expected: Vec<_> = expected.iter().map(|(t, c)| (t.to_string(), *c)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_touches_a_value_is_looked_at_together() {
        check_spans("user {user.name}, {#i0}", &[]);
        check_spans("at {@timestamp|%Y-%m-%dT%H:%M:%S.%3f|0}Z", &[]);
        check_spans("at {@timestamp|%Y-%m-%dT%H:%M:%S.%6f|0}Z", &[]);
        check_spans("at {@timestamp|%Y-%m-%dT%H:%M:%S.%6f|0}+", &[("*", Change::Always)]);
        let cet = Change::Daily(60 * MINUTE);
        check_spans("[{@timestamp|%d/%b/%Y:%H:%M:%S|60}] {#i0}", &[("*", cet)]);
        check_spans("[{@timestamp|%s|0}]", &[("*", Change::Always)]);
        check_spans("a srv{host.name}x_b {#i0}", &[("srv*x_b", Change::Always)]);
        check_spans(
            "{#i0}ab{#i1}-c {#i2}{<message}{#i3}{>message}.",
            &[("*ab*", Change::Always), ("**", Change::Always)],
        );
        check_spans("{#i0}ms, x{#i1}", &[("*ms", Change::Always), ("x*", Change::Always)]);
    }
}
