//! The index of a segment: which words and which values may be where.
//!
//! A word of a record lies in one of three places. In the text of its **template**: the index lists
//! the templates of the file, so a common word is answered by reading the column `template` alone.
//! In a column with **few values**: the index lists the words of such a column for each row group.
//! Or among **many values**: for each block of [`BLOCK_ROWS`] rows there is a binary fuse filter
//! (Graefe and Lemire, 2022) over their words, about nine bits each, wrong in one of 256 cases.
//! Words that nearly every block has, such as short numbers, are left out of filters; values that
//! touch word characters and times have no list either, only filters.
//!
//! Whole values of entity columns are kept in the same way, under the hash of the value.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, FixedSizeBinaryArray, Int64Array, RecordBatch,
    StringArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Schema};
use bytes::Bytes;
use hashbrown::HashSet;
use pugmark_event::conflict;
use pugmark_event::fields::{FIELDS, FieldId, ISSUES, ORIGINAL, ORIGINAL_BYTES};
use pugmark_event::time::{DAY, MINUTE, Micros};
use twox_hash::XxHash3_64;
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

use super::assemble::COMPOSITES;
use super::layout::{Layout, is_entity};
use crate::codec::decode::{Decoder, Templates};
use crate::codec::rows::Rows;
use crate::codec::stored::push_text;
use crate::codec::template::{Form, Piece, Template};
use crate::codec::words::{hash_value, hash_word, is_common, is_word, words};

/// Rows that one filter covers. A page of the file has as many.
pub(crate) const BLOCK_ROWS: usize = 8192;
/// Rows of a row group.
pub(crate) const GROUP_ROWS: usize = 16 * BLOCK_ROWS;
/// Different values of a column in a row group up to which they are listed.
const LISTED_MAX: usize = 512;
/// Words seen lately in a block: most words come again soon, and need not be kept twice.
const SEEN_SLOTS: usize = 8192;
const LEVEL: i32 = 9;
/// Most bytes that an index may have when it is unpacked.
const INDEX_BYTES_MAX: usize = 256 << 20;

/// Words or values of one column in one row group.
#[derive(Debug, Default)]
struct Listed {
    /// The blocks that have each value.
    values: HashMap<u64, Blocks>,
    /// Each word with the value that it is of.
    words: Vec<(u64, u64)>,
    /// True once there were too many: later ones are in the filters of their blocks.
    spilled: bool,
}

/// Blocks of a row group, a bit each.
pub(crate) type Blocks = u16;

/// True when the bit of this block is set.
pub(crate) fn has_block(blocks: Blocks, block: usize) -> bool {
    blocks.checked_shr(block as u32).is_none_or(|rest| rest & 1 == 1)
}

const _: () = assert!(GROUP_ROWS / BLOCK_ROWS <= Blocks::BITS as usize);

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
        let mut out = String::new();
        text(&mut out);
        let listed = &mut self.columns[column];
        if listed.list(hash, block) {
            listed.words.extend(words(out.as_bytes()).map(|word| (hash_word(word), hash)));
        } else {
            self.text(out.as_bytes());
        }
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

/// The index of a file, as it is read.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) templates: Vec<Arc<Template>>,
    map_names: Vec<u32>,
    conflicts: Vec<u32>,
    pub(crate) groups: Vec<GroupIndex>,
    filters: Bytes,
}

/// The index of a row group.
#[derive(Debug)]
pub(crate) struct GroupIndex {
    pub(crate) rows: usize,
    columns: Vec<Kept>,
    entities: Vec<Kept>,
    blocks: Vec<(u32, u32)>,
    /// Columns of the file with a value in this group; format 2 does not say.
    present: Option<HashSet<String>>,
}

/// The words or values of one column in a row group.
#[derive(Debug)]
struct Kept {
    column: String,
    /// True when there were too many to list: the others are in the filters of their blocks.
    spilled: bool,
    hashes: Vec<u32>,
    /// The blocks of each; format 2 does not say.
    blocks: Vec<Blocks>,
}

impl Kept {
    fn read(read: &mut Reader<'_>) -> Option<Self> {
        let (column, spilled, hashes) = (read.text()?, read.flag()?, read.hashes()?);
        let blocks = read.take(hashes.len().checked_mul(2)?)?.chunks_exact(2);
        let blocks = blocks.map(|b| Some(Blocks::from_le_bytes(b.try_into().ok()?)));
        Some(Self { column, spilled, hashes, blocks: blocks.collect::<Option<_>>()? })
    }

    fn read_v2(read: &mut Reader<'_>) -> Option<Self> {
        let (column, spilled, hashes) = (read.text()?, read.flag()?, read.hashes()?);
        Some(Self { column, spilled, hashes, blocks: Vec::new() })
    }

    /// As format 2 has it, which does not say whether the column spilled: it may have.
    fn read_words_v2(read: &mut Reader<'_>) -> Option<Self> {
        let (column, hashes) = (read.text()?, read.hashes()?);
        Some(Self { column, spilled: true, hashes, blocks: Vec::new() })
    }

    /// The blocks that have it; `None` when it is not listed.
    fn blocks(&self, hash: u64) -> Option<Blocks> {
        let at = self.hashes.binary_search(&(hash as u32)).ok()?;
        Some(self.blocks.get(at).copied().unwrap_or(Blocks::MAX))
    }

    /// Memory that it takes, about.
    fn bytes(&self) -> usize {
        6 * self.hashes.len() + 64
    }
}

impl Index {
    /// Reads an index of a file of this format; `None` when the bytes are none.
    pub(crate) fn read(packed: &[u8], filters: Bytes, format: u32) -> Option<Self> {
        let words = if format < 3 { Kept::read_words_v2 } else { Kept::read };
        let values = if format < 3 { Kept::read_v2 } else { Kept::read };
        let plain = zstd::bulk::decompress(packed, INDEX_BYTES_MAX).ok()?;
        let mut read = Reader(&plain);
        let texts = read.many(|read| read.text())?;
        let templates =
            texts.iter().map(|text| Template::parse(text).map(Arc::new)).collect::<Option<_>>()?;
        let (map_names, conflicts) = (read.hashes()?, read.hashes()?);
        let groups = read.many(|read| {
            Some(GroupIndex {
                rows: read.number()? as usize,
                columns: read.many(words)?,
                entities: read.many(values)?,
                blocks: read.many(|read| Some((read.number()?, read.number()?)))?,
                present: match format {
                    ..3 => None,
                    _ => Some(read.many(|read| read.text())?.into_iter().collect()),
                },
            })
        })?;
        Some(Self { templates, map_names, conflicts, groups, filters })
    }

    /// Memory that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let templates: usize = self.templates.iter().map(|t| 3 * t.text.len() + 64).sum();
        let listed = |group: &GroupIndex| {
            let kept: usize = group.columns.iter().chain(&group.entities).map(Kept::bytes).sum();
            kept + 8 * group.blocks.len() + 48 * group.present.as_ref().map_or(0, HashSet::len)
        };
        self.filters.len() + templates + self.groups.iter().map(listed).sum::<usize>()
    }

    /// Names of the columns of words. Groups have them in this order, early ones fewer. Times have
    /// no such column, nor have values that touch letters, see [`Template::glued`].
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        let all = self.groups.last().map(|group| &group.columns);
        all.into_iter().flatten().map(|column| column.column.as_str())
    }

    /// True when some row may have this attribute in its map.
    pub(crate) fn in_map(&self, name: &str) -> bool {
        let hash = XxHash3_64::oneshot(name.as_bytes()) as u32;
        self.map_names.binary_search(&hash).is_ok()
    }

    /// True when some row may have a value of this field that did not fit its column.
    pub(crate) fn conflicts(&self, id: FieldId) -> bool {
        let hash = XxHash3_64::oneshot(id.name().as_bytes()) as u32;
        self.conflicts.binary_search(&hash).is_ok()
    }

    /// True when the block may have this word or value among many.
    pub(crate) fn block_has(&self, group: &GroupIndex, block: usize, hash: u64) -> bool {
        let Some((offset, len)) = group.blocks.get(block).copied() else { return true };
        let (start, split) = (offset as usize, BinaryFuse8::DESCRIPTOR_LEN);
        match self.filters.get(start..start + len as usize) {
            Some(bytes) if bytes.len() > split => {
                let (descriptor, fingerprints) = bytes.split_at(split);
                BinaryFuse8Ref::from_dma(descriptor, fingerprints).contains(&hash)
            }
            _ => true,
        }
    }
}

impl GroupIndex {
    /// False when every row has null in this column of the file.
    pub(crate) fn has_column(&self, name: &str) -> bool {
        self.present.as_ref().is_none_or(|present| present.contains(name))
    }

    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// For each column of words the blocks, a bit each, that have this one, as far as it is listed.
    pub(crate) fn listed(&self, word: u64) -> Vec<Blocks> {
        self.columns.iter().map(|column| column.blocks(word).unwrap_or(0)).collect()
    }

    /// True when words of the column at this place may be missing from its list: it had too many
    /// values, so later ones are in the filters of their blocks.
    pub(crate) fn spilled(&self, column: usize) -> bool {
        self.columns.get(column).is_some_and(|column| column.spilled)
    }

    /// Where a value of a column may be.
    pub(crate) fn value(&self, column: &str, hash: u64) -> Where {
        let Some(values) = self.entities.iter().find(|e| e.column == column) else {
            return Where::Listed(Blocks::MAX);
        };
        match values.blocks(hash) {
            Some(blocks) => Where::Listed(blocks),
            None if values.spilled => Where::Filtered,
            None => Where::Listed(0),
        }
    }
}

/// Where in a row group a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// In these blocks, a bit each.
    Listed(Blocks),
    /// Where the filter of the block says so.
    Filtered,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)?[0] != 0)
    }

    fn text(&mut self) -> Option<String> {
        let len = self.number()? as usize;
        Some(std::str::from_utf8(self.take(len)?).ok()?.to_string())
    }

    fn hashes(&mut self) -> Option<Vec<u32>> {
        let count = self.number()? as usize;
        let bytes = self.take(count.checked_mul(4)?)?;
        bytes.chunks_exact(4).map(|b| Some(u32::from_le_bytes(b.try_into().ok()?))).collect()
    }

    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        // Each takes a byte at least, so a count beyond the bytes is none.
        (count as usize <= self.0.len()).then_some(())?;
        (0..count).map(|_| one(self)).collect()
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

/// A column whose values are told apart by their bytes, as they are stored.
pub(super) enum Raw<'a> {
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Fixed(&'a FixedSizeBinaryArray),
    Long(&'a Int64Array),
    HexNumber(&'a UInt64Array),
    Address(&'a UInt32Array),
}

impl<'a> Raw<'a> {
    /// `None` for a column of another type.
    pub(super) fn of(column: &'a ArrayRef) -> Option<Self> {
        Some(match column.data_type() {
            DataType::Utf8 => Self::Text(column.as_string_opt()?),
            DataType::Binary => Self::Bytes(column.as_binary_opt()?),
            DataType::FixedSizeBinary(_) => Self::Fixed(column.as_fixed_size_binary_opt()?),
            DataType::Int64 => Self::Long(column.as_primitive_opt()?),
            DataType::UInt64 => Self::HexNumber(column.as_primitive_opt()?),
            DataType::UInt32 => Self::Address(column.as_primitive_opt()?),
            _ => return None,
        })
    }

    /// Bytes of the value as it is stored.
    pub(super) fn bytes(&self, row: usize) -> usize {
        match self {
            Self::Text(column) => column.value_length(row) as usize,
            Self::Bytes(column) => column.value_length(row) as usize,
            Self::Fixed(column) => column.value_length() as usize,
            Self::Long(_) | Self::HexNumber(_) => 8,
            Self::Address(_) => 4,
        }
    }

    /// A number that is the same for the same values of the column.
    pub(super) fn hash(&self, row: usize) -> u64 {
        match self {
            Self::Text(column) => XxHash3_64::oneshot(column.value(row).as_bytes()),
            // Seeded, so that no text has the hash of what is no text.
            Self::Bytes(column) => XxHash3_64::oneshot_with_seed(1, column.value(row)),
            Self::Fixed(column) => XxHash3_64::oneshot_with_seed(2, column.value(row)),
            Self::Long(column) => {
                XxHash3_64::oneshot_with_seed(3, &column.value(row).to_le_bytes())
            }
            Self::HexNumber(column) => {
                XxHash3_64::oneshot_with_seed(5, &column.value(row).to_le_bytes())
            }
            Self::Address(column) => {
                XxHash3_64::oneshot_with_seed(4, &column.value(row).to_le_bytes())
            }
        }
    }
}

/// Sets the values of one column apart from those of another.
fn mark(column: usize) -> u64 {
    (column as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Piece {
    /// The column that has the value of this piece; `None` for text, marks and times.
    pub(crate) fn column(&self) -> Option<String> {
        match self {
            Piece::Field(id, _) => Some(id.column().to_string()),
            Piece::Attribute(name, _) => Some(format!("{}{name}", super::layout::ATTRIBUTE_PREFIX)),
            Piece::Variable(variable) => Some(variable.column()),
            Piece::Text(_)
            | Piece::Open(_)
            | Piece::Close(_)
            | Piece::OpenAttribute(..)
            | Piece::CloseAttribute(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::DictionaryArray;
    use arrow::datatypes::Int32Type;

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
