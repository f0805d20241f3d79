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

mod build;

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashSet;
use pugmark_event::fields::FieldId;
use twox_hash::XxHash3_64;
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

use crate::codec::template::Template;
use crate::little_endian::Reader;

pub(crate) use build::IndexBuilder;

/// Rows that one filter covers. A page of the file has as many.
pub(crate) const BLOCK_ROWS: usize = 8192;
/// Rows of a row group.
pub(crate) const GROUP_ROWS: usize = 16 * BLOCK_ROWS;
/// Most bytes that an index may have when it is unpacked.
const INDEX_BYTES_MAX: usize = 256 << 20;

/// Blocks of a row group, a bit each.
pub(crate) type Blocks = u16;

/// True when the bit of this block is set.
pub(crate) fn has_block(blocks: Blocks, block: usize) -> bool {
    blocks.checked_shr(block as u32).is_none_or(|rest| rest & 1 == 1)
}

const _: () = assert!(GROUP_ROWS / BLOCK_ROWS <= Blocks::BITS as usize);

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
        let (column, spilled, hashes) = (read.text()?.to_string(), read.flag()?, read.u32s()?);
        let blocks = read.take(hashes.len().checked_mul(2)?)?.chunks_exact(2);
        let blocks = blocks.map(|b| Some(Blocks::from_le_bytes(b.try_into().ok()?)));
        Some(Self { column, spilled, hashes, blocks: blocks.collect::<Option<_>>()? })
    }

    fn read_v2(read: &mut Reader<'_>) -> Option<Self> {
        let (column, spilled, hashes) = (read.text()?.to_string(), read.flag()?, read.u32s()?);
        Some(Self { column, spilled, hashes, blocks: Vec::new() })
    }

    /// As format 2 has it, which does not say whether the column spilled: it may have.
    fn read_words_v2(read: &mut Reader<'_>) -> Option<Self> {
        let (column, hashes) = (read.text()?.to_string(), read.u32s()?);
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
        let texts = read.many(Reader::text)?;
        let templates =
            texts.iter().map(|text| Template::parse(text).map(Arc::new)).collect::<Option<_>>()?;
        let (map_names, conflicts) = (read.u32s()?, read.u32s()?);
        let groups = read.many(|read| {
            Some(GroupIndex {
                rows: read.u32()? as usize,
                columns: read.many(words)?,
                entities: read.many(values)?,
                blocks: read.many(|read| Some((read.u32()?, read.u32()?)))?,
                present: match format {
                    ..3 => None,
                    _ => Some(read.many(Reader::text)?.into_iter().map(str::to_string).collect()),
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

/// Sets the values of one column apart from those of another.
fn mark(column: usize) -> u64 {
    (column as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
