//! How Parquet encodes each column: with a dictionary where values repeat, else by their kind; and
//! which texts are numbers in a file.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use hashbrown::HashSet;
use parquet::basic::Encoding;
use parquet::file::metadata::ParquetMetaData;
use pugmark_event::fields::{FIELDS, Kind};
use twox_hash::XxHash3_64;

use super::gather::Pick;
use super::raw::Raw;
use crate::codec::stored::Stored;

/// Values of a column that are looked at, spread over all of its rows.
const SAMPLES_MAX: usize = 4096;
/// With fewer values there is nothing to be had from going without a dictionary.
const SAMPLES_MIN: usize = 256;

/// Bytes of a page before it is compressed: columns that take little have few pages, and of those
/// that take much one row can be read for little.
const PAGE_BYTES_MIN: usize = 16 << 10;
/// Values that a page has at least: long texts are much like those before them, which is of use
/// only within a page.
const PAGE_VALUES_MIN: usize = 512;
/// Largest page, however long the values are.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// How a column is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ColumnStyle {
    /// How without a dictionary; `None` with one.
    pub(super) encoding: Option<Encoding>,
    /// Bytes of a page.
    pub(super) page_bytes: usize,
}

/// How each column of a file is written.
pub(super) type Encodings = BTreeMap<String, ColumnStyle>;

/// Fields whose texts are written as whole numbers.
pub(super) type Numbers = BTreeSet<&'static str>;

/// Different values among values that were looked at.
#[derive(Debug, Default)]
struct Variety {
    different: HashSet<u64>,
    samples: usize,
    /// Of all samples.
    bytes: usize,
}

impl Variety {
    fn add(&mut self, hash: u64) {
        self.different.insert(hash);
        self.samples += 1;
    }

    /// Bytes of a page of such values.
    fn page_bytes(&self) -> usize {
        let mean = self.bytes.checked_div(self.samples).unwrap_or(0);
        (PAGE_VALUES_MIN * mean).clamp(PAGE_BYTES_MIN, PAGE_BYTES_MAX)
    }

    /// True when a dictionary does not pay: in a whole row group, values come far more often than
    /// among these few.
    fn is_great(&self) -> bool {
        self.samples >= SAMPLES_MIN && 3 * self.different.len() > 2 * self.samples
    }
}

/// The fields of text of which these rows have whole numbers that hardly repeat, such as the ids of
/// sessions. Where they do repeat, text in a dictionary takes as little, and other readers need not
/// be told about it.
pub(super) fn numbers(batches: &[&RecordBatch], picks: &[Pick]) -> Numbers {
    let step = picks.len().div_ceil(SAMPLES_MAX).max(1);
    let samples: Vec<&Pick> = picks.iter().step_by(step).collect();
    let fields = FIELDS.iter().filter(|field| field.kind == Kind::Text).map(|field| field.column);
    let fields = fields.filter(|column| {
        let texts: Vec<_> = batches.iter().map(|batch| texts_of(batch, column)).collect();
        texts.iter().any(Option::is_some)
            && differ(&texts, &samples).is_some_and(|variety| variety.is_great())
    });
    fields.collect()
}

fn texts_of<'a>(batch: &'a RecordBatch, column: &str) -> Option<&'a StringArray> {
    batch.column_by_name(column)?.as_string_opt()
}

/// How much these whole numbers differ; `None` when one of the texts is none.
fn differ(texts: &[Option<&StringArray>], samples: &[&Pick]) -> Option<Variety> {
    let mut variety = Variety::default();
    for (batch, row) in samples {
        let Some(texts) = texts[*batch].filter(|texts| texts.is_valid(*row)) else { continue };
        let text = texts.value(*row);
        Stored::Integer.fits(text).then_some(())?;
        variety.add(XxHash3_64::oneshot(text.as_bytes()));
    }
    Some(variety)
}

/// Looks at the rows of a file: most values of a column must come twice for a dictionary to pay.
pub(super) fn of_blocks(blocks: &[RecordBatch], schema: &Schema) -> Encodings {
    let style = |field: &Field| {
        let variety = variety(blocks, field.name()).unwrap_or_default();
        let differ = variety.is_great();
        let encoding = differ.then(|| encoding(field.data_type())).flatten();
        ColumnStyle { encoding, page_bytes: variety.page_bytes() }
    };
    schema.fields().iter().map(|field| (field.name().clone(), style(field))).collect()
}

/// How much the values of a column differ; `None` for one whose values have no bytes of their own.
fn variety(blocks: &[RecordBatch], name: &str) -> Option<Variety> {
    let rows: usize = blocks.iter().map(RecordBatch::num_rows).sum();
    let step = rows.div_ceil(SAMPLES_MAX).max(1);
    let mut variety = Variety::default();
    // The same rows as in [`numbers`]: every so many of the file, not of the block.
    let mut before = 0usize;
    for block in blocks {
        let first = before.next_multiple_of(step) - before;
        before += block.num_rows();
        let Some(column) = block.column_by_name(name) else { continue };
        let raw = Raw::of(column)?;
        for row in (first..column.len()).step_by(step).filter(|row| column.is_valid(*row)) {
            variety.add(raw.hash(row));
            variety.bytes += raw.bytes(row);
        }
    }
    Some(variety)
}

/// Does as the files did whose rows are merged: as most bytes of a column were written.
pub(super) fn of_files<'a>(
    files: impl Iterator<Item = &'a ParquetMetaData>,
    schema: &Schema,
) -> Encodings {
    let mut said: BTreeMap<String, Said> = BTreeMap::new();
    for file in files {
        for (group, row_group) in file.row_groups().iter().enumerate() {
            for (leaf, column) in row_group.columns().iter().enumerate() {
                let said = said.entry(column.column_path().string()).or_default();
                let bytes = column.uncompressed_size().max(0);
                let with_dictionary = column.dictionary_page_offset().is_some();
                said.without += if with_dictionary { -bytes } else { bytes };
                let pages = file.offset_index().and_then(|index| index.get(group)?.get(leaf));
                said.bytes += bytes as usize;
                said.pages += pages.map_or(0, |pages| pages.page_locations().len());
            }
        }
    }
    let style = |field: &Field| {
        let said = said.get(field.name()).copied().unwrap_or_default();
        let encoding = (said.without > 0).then(|| encoding(field.data_type())).flatten();
        ColumnStyle { encoding, page_bytes: said.page_bytes() }
    };
    schema.fields().iter().map(|field| (field.name().clone(), style(field))).collect()
}

/// What files say of a column.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    /// Bytes without a dictionary less those with one.
    without: i64,
    bytes: usize,
    pages: usize,
}

impl Said {
    /// Pages as large as they were. Most are somewhat smaller than they may be.
    fn page_bytes(&self) -> usize {
        let mean = self.bytes.checked_div(self.pages).unwrap_or(0);
        (mean.saturating_add(mean / 4)).clamp(PAGE_BYTES_MIN, PAGE_BYTES_MAX)
    }
}

/// How values are written that hardly repeat; `None` where it is said elsewhere.
fn encoding(kind: &DataType) -> Option<Encoding> {
    match kind {
        DataType::Utf8 | DataType::Binary => Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        DataType::Int64 | DataType::UInt64 | DataType::UInt32 => Some(Encoding::BYTE_STREAM_SPLIT),
        // As streams they would be somewhat smaller, but DuckDB reads only numbers so.
        DataType::FixedSizeBinary(_) => Some(Encoding::PLAIN),
        _ => None,
    }
}
