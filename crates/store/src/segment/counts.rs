//! How often each value of a column comes in a row group, straight from its pages.
//!
//! A column of few values has them once, in its dictionary; its pages say the place of each row's
//! value there, often as runs. Counting these places is far cheaper than making arrays of rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, StringArray, new_null_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::filter;
use arrow::datatypes::DataType;
use parquet::basic::{Encoding, Type};
use parquet::column::page::Page;
use pugmark_event::fields;

use super::Segment;
use super::Tail;
use super::cache::Cache;
use super::file::SegmentFile;
use super::pages::GroupPages;
use super::read::{may_be_dictionary, only_dictionary};
use crate::disk::DiskRead;
use crate::error::StoreError;

/// Lanes of a value where there are few, a power of two: adding to the number that was written a
/// moment ago waits for it.
const LANES: usize = 4;
/// Values up to which each has [`LANES`].
const LANED_VALUES_MAX: usize = 4096;

/// How many rows have each value of a column.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Values: text or integers, each once. One of them may be null: that of no value.
    pub values: ArrayRef,
    /// The rows of each. There are as many as values.
    pub rows: Arc<[u32]>,
}

/// Counts of columns by the number of a segment in this process, the row group, and the place of
/// the column in the file. Boards ask for the same columns again and again.
pub(crate) type CountsCache = Cache<(u64, usize, usize), Counts>;

impl Counts {
    /// No row has a value of this kind.
    fn none(kind: Type, rows: u32) -> Self {
        let kind = if kind == Type::INT64 { DataType::Int64 } else { DataType::Utf8 };
        Self { values: new_null_array(&kind, 1), rows: [rows].into() }
    }

    /// Of no row.
    pub(crate) fn empty() -> Self {
        Self { values: Arc::new(Int64Array::new_null(0)), rows: [].into() }
    }

    /// Those of the values that are kept.
    ///
    /// # Errors
    /// When Arrow cannot make the column.
    pub(crate) fn only(&self, kept: &BooleanArray) -> Result<Self, StoreError> {
        let rows = self.rows.iter().zip(kept.values()).filter(|(_, kept)| *kept);
        Ok(Self {
            rows: rows.map(|(rows, _)| *rows).collect(),
            values: filter(&self.values, kept)?,
        })
    }

    fn bytes(&self) -> usize {
        self.values.get_array_memory_size() + size_of_val(&*self.rows)
    }
}

/// The counts of a column in a row group; `None` when they must be had from the rows.
///
/// # Errors
/// When the file cannot be read or is damaged.
pub(crate) fn counts(
    segment: &Segment,
    file: &Arc<dyn DiskRead>,
    tail: &Arc<Tail>,
    group: usize,
    column: &str,
) -> Result<Option<Counts>, StoreError> {
    let Some((kind, leaf)) = plain_column(tail, column) else { return Ok(None) };
    let footer = tail.footer.metadata().clone();
    let metadata = footer.row_group(group);
    let Ok(rows) = u32::try_from(metadata.num_rows()) else { return Ok(None) };
    let facts = tail.index.as_ref().and_then(|index| index.groups.get(group));
    if facts.is_some_and(|facts| !facts.has_column(column)) {
        return Ok(Some(Counts::none(kind, rows)));
    }
    let key = (segment.number, group, leaf);
    if let Some(counts) = segment.tails.counts.get(key) {
        return Ok(Some(counts));
    }
    let file = SegmentFile(file.clone());
    let (cache, tail) = (segment.pages(), tail.clone());
    let group = GroupPages { file, cache, few: false, tail, group };
    let pages = group.column(leaf).filter(|_| only_dictionary(metadata.column(leaf)));
    let Some(pages) = pages else { return Ok(None) };
    let nullable = metadata.column(leaf).column_descr().max_def_level() == 1;
    let mut tally = Tally::new(kind, nullable, rows);
    for page in pages {
        let page = page.map_err(StoreError::parquet(&segment.path))?;
        tally.page(&page).ok_or_else(|| segment.damaged("a page of it cannot be read"))?;
    }
    let counts = tally.finish();
    if counts.rows.iter().map(|rows| u64::from(*rows)).sum::<u64>() != u64::from(rows) {
        return Err(segment.damaged("its pages have not the rows that the footer says"));
    }
    segment.tails.counts.put(key, counts.clone(), counts.bytes());
    Ok(Some(counts))
}

/// What the values of a column are and its place among the leaves of the file, if it is a field of
/// text or integers that is given out as it is stored.
fn plain_column(tail: &Tail, name: &str) -> Option<(Type, usize)> {
    let id = fields::by_name(name)?;
    let (root, field) = tail.footer.schema().column_with_name(name)?;
    // A field of text may be stored as numbers: then its values are not what they stand for.
    (*field.data_type() == id.field().kind.data_type()).then_some(())?;
    let kind = match field.data_type() {
        DataType::Utf8 if may_be_dictionary(name) => Type::BYTE_ARRAY,
        DataType::Int64 => Type::INT64,
        _ => return None,
    };
    let descriptor = tail.footer.parquet_schema();
    let mut leaves = 0..descriptor.num_columns();
    let leaf = leaves.find(|leaf| descriptor.get_column_root_idx(*leaf) == root)?;
    let column = descriptor.column(leaf);
    let flat = column.max_rep_level() == 0 && column.max_def_level() <= 1;
    (flat && column.physical_type() == kind).then_some((kind, leaf))
}

/// Counts so far.
struct Tally {
    kind: Type,
    nullable: bool,
    /// Those of the dictionary, and behind them null.
    values: Option<ArrayRef>,
    /// Rows of each value, in so many lanes.
    lanes: Vec<u32>,
    lanes_of_value: usize,
    nulls: u32,
    /// Rows that are still to come.
    left: u32,
}

impl Tally {
    fn new(kind: Type, nullable: bool, rows: u32) -> Self {
        let (values, lanes) = (None, Vec::new());
        Self { kind, nullable, values, lanes, lanes_of_value: 1, nulls: 0, left: rows }
    }

    fn finish(self) -> Counts {
        let Some(values) = self.values else { return Counts::none(self.kind, self.nulls) };
        let lanes = self.lanes.chunks_exact(self.lanes_of_value);
        let sum = |lanes: &[u32]| lanes.iter().fold(0u32, |all, lane| all.wrapping_add(*lane));
        Counts { values, rows: lanes.map(sum).chain([self.nulls]).collect() }
    }

    /// Takes in the next page; `None` when it is damaged.
    fn page(&mut self, page: &Page) -> Option<()> {
        match page {
            Page::DictionaryPage { buf, num_values, .. } => {
                let values = match self.kind {
                    Type::INT64 => integers(buf, *num_values as usize)?,
                    _ => texts(buf, *num_values as usize)?,
                };
                self.lanes_of_value = if values.len() <= LANED_VALUES_MAX { LANES } else { 1 };
                self.lanes = vec![0; self.lanes_of_value * (values.len() - 1)];
                self.values = Some(values);
                Some(())
            }
            Page::DataPage { buf, num_values, encoding, .. } => {
                let (levels, places) = match self.nullable {
                    true => {
                        let (len, rest) = buf.split_first_chunk::<4>()?;
                        rest.split_at_checked(u32::from_le_bytes(*len) as usize)?
                    }
                    false => (&[][..], &buf[..]),
                };
                self.rows_of(levels, places, *num_values, *encoding)
            }
            Page::DataPageV2 {
                buf,
                num_values,
                encoding,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => {
                let (_, rest) = buf.split_at_checked(*rep_levels_byte_len as usize)?;
                let (levels, places) = rest.split_at_checked(*def_levels_byte_len as usize)?;
                self.rows_of(levels, places, *num_values, *encoding)
            }
        }
    }

    fn rows_of(
        &mut self,
        levels: &[u8],
        places: &[u8],
        rows: u32,
        encoding: Encoding,
    ) -> Option<()> {
        // Looked at first: a page that says more has a run of any length in a few bytes.
        self.left = self.left.checked_sub(rows)?;
        let with_value = if self.nullable { valid(levels, rows)? } else { rows };
        self.nulls += rows.checked_sub(with_value)?;
        if with_value == 0 {
            return Some(());
        }
        matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY).then_some(())?;
        let (width, places) = places.split_first()?;
        let mut all_known = true;
        let (lanes, of_value) = (&mut self.lanes, self.lanes_of_value);
        let mut count = |place: u32, lane: usize, more: u32| match lanes
            .get_mut(place as usize * of_value + (lane & (of_value - 1)))
        {
            Some(count) => *count = count.wrapping_add(more),
            None => all_known = false,
        };
        each_run(places, u32::from(*width), with_value, |run| match run {
            Run::Same(place, rows) => count(place, 0, rows),
            Run::Packed(bytes, rows) => {
                each_packed(bytes, u32::from(*width), rows, |row, place| count(place, row, 1));
            }
        })?;
        all_known.then_some(())
    }
}

/// How many of these levels, which are 0 or 1, are 1.
fn valid(levels: &[u8], rows: u32) -> Option<u32> {
    let mut ones = 0;
    each_run(levels, 1, rows, |run| match run {
        Run::Same(level, rows) => ones += level.min(1) * rows,
        Run::Packed(bytes, rows) => {
            let whole = rows as usize / 8;
            ones += bytes[..whole].iter().map(|byte| byte.count_ones()).sum::<u32>();
            if let Some(last) = bytes.get(whole).filter(|_| rows % 8 > 0) {
                ones += (last & ((1 << (rows % 8)) - 1)).count_ones();
            }
        }
    })?;
    Some(ones)
}

/// Some numbers one after another.
enum Run<'a> {
    /// One number, so many times.
    Same(u32, u32),
    /// So many numbers, each in as many bits as the width says.
    Packed(&'a [u8], u32),
}

/// Calls `each` with the runs of Parquet's hybrid encoding, up to `wanted` numbers; `None` when
/// there are not as many.
fn each_run(
    mut bytes: &[u8],
    width: u32,
    wanted: u32,
    mut each: impl FnMut(Run<'_>),
) -> Option<()> {
    (width <= 32).then_some(())?;
    let mut left = wanted;
    while left > 0 {
        let head = varint(&mut bytes)?;
        let count = head >> 1;
        if head & 1 == 0 {
            let (number, rest) = bytes.split_at_checked(width.div_ceil(8) as usize)?;
            let number = number.iter().rev().fold(0u32, |all, byte| all << 8 | u32::from(*byte));
            bytes = rest;
            let rows = count.min(left);
            each(Run::Same(number, rows));
            left -= rows;
            continue;
        }
        // A writer may leave out bytes behind the last number.
        let rows = u64::from(count).checked_mul(8)?.min(u64::from(left)) as u32;
        let len = (u64::from(count) * u64::from(width)).min(bytes.len() as u64) as usize;
        let (packed, rest) = bytes.split_at_checked(len)?;
        let bits = u64::from(rows) * u64::from(width);
        (packed.len() as u64 >= bits.div_ceil(8)).then_some(())?;
        bytes = rest;
        each(Run::Packed(packed, rows));
        left -= rows;
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0u64;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(number).ok();
        }
    }
    None
}

/// Calls `each` with place and value of the first `count` numbers of so many bits; there are as
/// many bytes.
fn each_packed(bytes: &[u8], width: u32, count: u32, mut each: impl FnMut(usize, u32)) {
    let mask = (1u64 << width) - 1;
    let mut bit = 0usize;
    for at in 0..count as usize {
        let start = bit / 8;
        let word = match bytes.get(start..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(word) => u64::from_le_bytes(*word),
            None => {
                let mut word = [0; 8];
                let rest = bytes.get(start..).unwrap_or_default();
                word[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(word)
            }
        };
        each(at, (word >> (bit % 8) & mask) as u32);
        bit += width as usize;
    }
}

/// Texts, each behind its length, and null behind all; `None` when there are not as many.
fn texts(mut bytes: &[u8], count: usize) -> Option<ArrayRef> {
    // Each takes four bytes at least.
    (count <= bytes.len() / 4).then_some(())?;
    let mut values: Vec<u8> = Vec::with_capacity(bytes.len() - 4 * count);
    let mut ends: Vec<i32> = Vec::with_capacity(count + 2);
    ends.push(0);
    for _ in 0..count {
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        values.extend_from_slice(text);
        ends.push(i32::try_from(values.len()).ok()?);
        bytes = rest;
    }
    ends.push(*ends.last()?);
    // Looks at all of them at once whether they are text.
    let ends = OffsetBuffer::new(ends.into());
    let texts = StringArray::try_new(ends, values.into(), Some(last_is_null(count)));
    Some(Arc::new(texts.ok()?))
}

/// Validity of so many values and null behind them.
fn last_is_null(values: usize) -> NullBuffer {
    (0..=values).map(|place| place < values).collect()
}

/// Integers of eight bytes, and null behind all; `None` when there are not as many.
fn integers(bytes: &[u8], count: usize) -> Option<ArrayRef> {
    let (integers, _) = bytes.as_chunks::<8>();
    let integers = integers.get(..count)?.iter().map(|integer| i64::from_le_bytes(*integer));
    let values = integers.chain([0]).collect::<Vec<_>>();
    Some(Arc::new(Int64Array::new(values.into(), Some(last_is_null(count)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that runs hold.
    #[track_caller]
    fn check(bytes: &[u8], width: u32, wanted: u32, expected: Option<&[u32]>) {
        let mut found = Vec::new();
        let whole = each_run(bytes, width, wanted, |run| match run {
            Run::Same(number, rows) => found.extend((0..rows).map(|_| number)),
            Run::Packed(bytes, rows) => each_packed(bytes, width, rows, |_, n| found.push(n)),
        });
        assert_eq!(whole.map(|()| found.as_slice()), expected, "{bytes:?}");
    }

    #[test]
    fn runs_are_read_and_hostile_ones_refused() {
        check(&[6, 5], 3, 3, Some(&[5, 5, 5]));
        check(&[6, 5], 3, 2, Some(&[5, 5]));
        check(&[6, 5], 3, 4, None);
        check(&[0, 5, 1, 6, 5], 3, 3, Some(&[5, 5, 5]));
        check(&[0, 5, 1, 0, 5], 3, 3, None);
        check(&[3, 0b1000_1000, 0b1100_0110, 0b1111_1010], 3, 8, Some(&[0, 1, 2, 3, 4, 5, 6, 7]));
        check(&[3, 0b1000_1000, 0b1100_0110], 3, 5, Some(&[0, 1, 2, 3, 4]));
        check(&[3, 0b1000_1000, 0b1100_0110], 3, 6, None);
        check(&[3], 0, 8, Some(&[0; 8]));
        check(&[4, 0x34, 0x12, 2, 7, 0], 9, 3, Some(&[0x1234, 0x1234, 7]));
        check(&[0x80, 0x80, 0x80, 0x80, 0x80, 1], 1, 1, None);
        check(&[6, 5], 33, 1, None);
        check(&[], 3, 1, None);
        check(&[], 3, 0, Some(&[]));
    }

    #[test]
    fn levels_are_counted() {
        let check = |bytes: &[u8], rows, expected| assert_eq!(valid(bytes, rows), expected);
        check(&[200, 1, 1], 100, Some(100));
        check(&[200, 1, 0], 100, Some(0));
        check(&[3, 0b1010_0111], 8, Some(5));
        check(&[3, 0b1010_0111], 6, Some(4));
        check(&[5, 0xff, 0xff, 4, 1], 18, Some(18));
        check(&[3], 1, None);
    }

    #[test]
    fn dictionaries_are_read_and_hostile_ones_refused() {
        assert_eq!(texts(&[1, 0, 0, 0, b'a', 0, 0, 0, 0], 2).map(|a| a.len()), Some(3));
        assert!(texts(&[2, 0, 0, 0, b'a'], 1).is_none());
        assert!(texts(&[1, 0, 0, 0, 0xff], 1).is_none());
        // Two halves of a letter.
        assert!(texts(&[1, 0, 0, 0, 0xc3, 1, 0, 0, 0, 0xa9], 2).is_none());
        assert!(texts(&[], usize::MAX).is_none());
        assert_eq!(integers(&[0; 16], 2).map(|a| a.len()), Some(3));
        assert!(integers(&[0; 15], 2).is_none());
    }
}
