//! The index of a segment: which words and which values may be where.
//!
//! A word of a record lies in one of three places. In the text of its **template**: the index lists
//! the templates of the file, so a common word is answered by reading the column `template` alone.
//! In a column with **few values**: the index lists the words of such a column for each row group.
//! Or among **many values**: for each block of [`BLOCK_ROWS`] rows there is a binary fuse filter
//! (Graefe and Lemire, 2022) over their words, about nine bits each, wrong in one of 256 cases.
//! Numbers of few digits are left out of filters: nearly every block has nearly all of them.
//!
//! Whole values of entity columns are kept in the same way, under the hash of the value.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashSet;
use pugmark_event::conflict;
use pugmark_event::fields::{FIELDS, FieldId};
use twox_hash::XxHash3_64;
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

use crate::codec::encode::Found;
use crate::codec::template::{Piece, Template};
use crate::codec::words::{hash_value, hash_word, is_short_number, is_word, words};

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
    values: HashSet<u64>,
    words: Vec<u64>,
    /// True once there were too many: later ones are in the filters of their blocks.
    spilled: bool,
}

impl Listed {
    /// True when the value is new here and there is room to list it.
    fn list(&mut self, value: u64) -> bool {
        if self.values.len() < LISTED_MAX {
            return self.values.insert(value);
        }
        self.spilled |= !self.values.contains(&value);
        false
    }
}

/// Collects the index while rows are written.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    columns: Vec<Listed>,
    column_names: Vec<String>,
    by_name: HashMap<String, usize>,
    entities: Vec<(FieldId, Listed)>,
    /// For each template, by its address, the columns of its values in the order of its pieces.
    plans: HashMap<usize, Vec<Option<usize>>>,
    templates: Vec<Arc<Template>>,
    block: Vec<u64>,
    seen: Box<[u64]>,
    rows_in_group: usize,
    blocks: Vec<(u32, u32)>,
    filters: Vec<u8>,
    groups: Vec<Vec<u8>>,
    map_names: HashSet<u64>,
    conflicts: HashSet<u64>,
    issues: String,
}

impl IndexBuilder {
    /// `entities` are the columns whose whole values are kept.
    pub(crate) fn new(entities: Vec<FieldId>) -> Self {
        Self {
            columns: Vec::new(),
            column_names: Vec::new(),
            by_name: HashMap::new(),
            entities: entities.into_iter().map(|id| (id, Listed::default())).collect(),
            plans: HashMap::new(),
            templates: Vec::new(),
            block: Vec::new(),
            seen: vec![0; SEEN_SLOTS].into(),
            rows_in_group: 0,
            blocks: Vec::new(),
            filters: Vec::new(),
            groups: Vec::new(),
            map_names: HashSet::new(),
            conflicts: HashSet::new(),
            issues: String::new(),
        }
    }

    /// Notes the fields of which an event with these issues has a value that did not fit.
    pub(crate) fn issues(&mut self, issues: &str) {
        if self.issues == issues {
            return;
        }
        self.issues = issues.to_string();
        let noted = FIELDS.iter().enumerate().map(|(at, _)| FieldId(at as u16));
        let noted = noted.filter(|id| conflict::noted(issues, *id));
        self.conflicts.extend(noted.map(|id| XxHash3_64::oneshot(id.name().as_bytes())));
    }

    /// Notes that some row has this attribute in the map.
    pub(crate) fn map_name(&mut self, name: &str) {
        self.map_names.insert(XxHash3_64::oneshot(name.as_bytes()));
    }

    /// Adds the words of a record and the places of its values.
    pub(crate) fn record(&mut self, template: &Arc<Template>, record: &[u8], found: &[Found]) {
        let key = Arc::as_ptr(template) as usize;
        if !self.plans.contains_key(&key) {
            self.plan(key, template);
        }
        for value in found {
            let text = &record[value.start..value.end];
            match self.plans[&key][value.piece] {
                None => self.glued(record, value),
                Some(column) => self.value(column, text),
            }
        }
    }

    fn plan(&mut self, key: usize, template: &Arc<Template>) {
        let mut columns = Vec::with_capacity(template.pieces.len());
        for (piece, glued) in template.pieces.iter().zip(&template.glued) {
            let name = piece.column().filter(|_| !glued);
            columns.push(name.map(|name| self.column(name)));
        }
        self.templates.push(template.clone());
        self.plans.insert(key, columns);
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

    fn value(&mut self, column: usize, text: &[u8]) {
        let listed = &mut self.columns[column];
        let value = XxHash3_64::oneshot(text);
        if listed.values.contains(&value) {
            return;
        }
        if listed.list(value) {
            listed.words.extend(words(text).map(hash_word));
        } else {
            self.text(text);
        }
    }

    /// A value that touches a word character: the words of the record around it count.
    fn glued(&mut self, record: &[u8], value: &Found) {
        let before = record[..value.start].iter().rev().take_while(|b| is_word(**b)).count();
        let after = record[value.end..].iter().take_while(|b| is_word(**b)).count();
        self.text(&record[value.start - before..value.end + after]);
    }

    /// Adds all words of a text to the filter of the block.
    pub(crate) fn text(&mut self, text: &[u8]) {
        for word in words(text).filter(|word| !is_short_number(word)) {
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

    /// Adds a value of the entity column at `place` of those given at the start.
    pub(crate) fn entity(&mut self, place: usize, value: &[u8]) {
        let hash = hash_value(value);
        let listed = &mut self.entities[place].1;
        if listed.values.contains(&hash) || listed.list(hash) {
            return;
        }
        self.push(hash);
    }

    /// Ends a row.
    pub(crate) fn end_row(&mut self) {
        self.rows_in_group += 1;
        if self.rows_in_group.is_multiple_of(BLOCK_ROWS) {
            self.end_block();
        }
        if self.rows_in_group == GROUP_ROWS {
            self.end_group();
        }
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
    }

    fn end_group(&mut self) {
        if !self.rows_in_group.is_multiple_of(BLOCK_ROWS) {
            self.end_block();
        }
        let mut out = Vec::new();
        put(&mut out, self.rows_in_group as u32);
        put(&mut out, self.columns.len() as u32);
        for (name, listed) in self.column_names.iter().zip(&mut self.columns) {
            put_text(&mut out, name);
            out.push(u8::from(listed.spilled));
            put_hashes(&mut out, std::mem::take(&mut listed.words));
            *listed = Listed::default();
        }
        put(&mut out, self.entities.len() as u32);
        for (id, listed) in &mut self.entities {
            put_text(&mut out, id.column());
            out.push(u8::from(listed.spilled));
            put_hashes(&mut out, listed.values.iter().copied().collect());
            *listed = Listed::default();
        }
        put(&mut out, self.blocks.len() as u32);
        for (offset, len) in self.blocks.drain(..) {
            put(&mut out, offset);
            put(&mut out, len);
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
}

/// The words or values of one column in a row group.
#[derive(Debug)]
struct Kept {
    column: String,
    /// True when there were too many to list: the others are in the filters of their blocks.
    spilled: bool,
    hashes: Vec<u32>,
}

impl Kept {
    fn read(read: &mut Reader<'_>) -> Option<Self> {
        Some(Self { column: read.text()?, spilled: read.flag()?, hashes: read.hashes()? })
    }

    /// As format 2 has it, which does not say whether the column spilled: it may have.
    fn read_words_v2(read: &mut Reader<'_>) -> Option<Self> {
        Some(Self { column: read.text()?, spilled: true, hashes: read.hashes()? })
    }

    fn has(&self, hash: u64) -> bool {
        self.hashes.binary_search(&(hash as u32)).is_ok()
    }

    /// Memory that it takes, about.
    fn bytes(&self) -> usize {
        4 * self.hashes.len() + 64
    }
}

impl Index {
    /// Reads an index of a file of this format; `None` when the bytes are none.
    pub(crate) fn read(packed: &[u8], filters: Bytes, format: u32) -> Option<Self> {
        let words = if format < 3 { Kept::read_words_v2 } else { Kept::read };
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
                entities: read.many(Kept::read)?,
                blocks: read.many(|read| Some((read.number()?, read.number()?)))?,
            })
        })?;
        Some(Self { templates, map_names, conflicts, groups, filters })
    }

    /// Memory that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let templates: usize = self.templates.iter().map(|t| 3 * t.text.len() + 64).sum();
        let listed = |group: &GroupIndex| {
            let kept: usize = group.columns.iter().chain(&group.entities).map(Kept::bytes).sum();
            kept + 8 * group.blocks.len()
        };
        self.filters.len() + templates + self.groups.iter().map(listed).sum::<usize>()
    }

    /// Names of the columns of words. Groups have them in this order, early ones fewer.
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
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// For each column of words whether its list has this one.
    pub(crate) fn listed(&self, word: u64) -> Vec<bool> {
        self.columns.iter().map(|column| column.has(word)).collect()
    }

    /// True when words of the column at this place may be missing from its list: it had too many
    /// values, so later ones are in the filters of their blocks.
    pub(crate) fn spilled(&self, column: usize) -> bool {
        self.columns.get(column).is_some_and(|column| column.spilled)
    }

    /// Where a value of a column may be.
    pub(crate) fn value(&self, column: &str, hash: u64) -> Where {
        match self.entities.iter().find(|e| e.column == column) {
            Some(values) if !values.has(hash) && values.spilled => Where::SomeBlocks,
            Some(values) if !values.has(hash) => Where::Nowhere,
            _ => Where::Anywhere,
        }
    }
}

/// Where in a row group a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Nowhere,
    /// Where the filter of the block says so.
    SomeBlocks,
    Anywhere,
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
    use super::*;

    /// The index of rows whose one column has so many different values.
    fn index(values: usize) -> Index {
        let template = Arc::new(Template::parse("user {user.name} did it").unwrap());
        let mut builder = IndexBuilder::new(Vec::new());
        for value in 0..values {
            let record = format!("user name{value} did it");
            let found = [Found { piece: 1, start: 5, end: record.len() - 7 }];
            builder.record(&template, record.as_bytes(), &found);
            builder.end_row();
        }
        let (filters, packed) = builder.finish().unwrap();
        Index::read(&packed, filters.into(), super::super::layout::FORMAT).unwrap()
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
}
