//! How Parquet encodes each column: with a dictionary where values repeat, else by their kind; and
//! which texts are numbers in a file.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Schema};
use hashbrown::HashSet;
use parquet::basic::Encoding;
use parquet::file::metadata::ParquetMetaData;
use pugmark_event::fields::{FIELDS, Kind};
use twox_hash::XxHash3_64;

use super::gather::Pick;
use super::index::Raw;
use crate::codec::stored::{GUID_BYTES, Stored};

/// Values of a column that are looked at, spread over all of its rows.
const SAMPLES_MAX: usize = 4096;
/// With fewer values there is nothing to be had from going without a dictionary.
const SAMPLES_MIN: usize = 256;

/// Columns that are written without a dictionary, and how.
pub(super) type Encodings = BTreeMap<String, Encoding>;

/// Fields whose texts are written as whole numbers.
pub(super) type Numbers = BTreeSet<&'static str>;

/// Different values among values that were looked at.
#[derive(Debug, Default)]
struct Variety {
    different: HashSet<u64>,
    samples: usize,
}

impl Variety {
    fn add(&mut self, hash: u64) {
        self.different.insert(hash);
        self.samples += 1;
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
    let fields = schema.fields().iter();
    let unlike = fields.filter(|field| mostly_differ(blocks, field.name()));
    unlike.filter_map(|f| Some((f.name().clone(), encoding(f.data_type())?))).collect()
}

fn mostly_differ(blocks: &[RecordBatch], name: &str) -> bool {
    let rows: usize = blocks.iter().map(RecordBatch::num_rows).sum();
    let step = rows.div_ceil(SAMPLES_MAX).max(1);
    let mut variety = Variety::default();
    // The same rows as in [`numbers`]: every so many of the file, not of the block.
    let mut before = 0usize;
    for block in blocks {
        let first = before.next_multiple_of(step) - before;
        before += block.num_rows();
        let Some(column) = block.column_by_name(name) else { continue };
        let Some(raw) = Raw::of(column) else { return false };
        let rows = (first..column.len()).step_by(step).filter(|row| column.is_valid(*row));
        rows.for_each(|row| variety.add(raw.hash(row)));
    }
    variety.is_great()
}

/// Does as the files did whose rows are merged: as most bytes of a column were written.
pub(super) fn of_files<'a>(
    files: impl Iterator<Item = &'a ParquetMetaData>,
    schema: &Schema,
) -> Encodings {
    let mut without: BTreeMap<String, i64> = BTreeMap::new();
    for column in files.flat_map(|file| file.row_groups()).flat_map(|group| group.columns()) {
        let bytes = column.uncompressed_size();
        let bytes = if column.dictionary_page_offset().is_some() { -bytes } else { bytes };
        *without.entry(column.column_path().string()).or_default() += bytes;
    }
    let without: BTreeSet<String> =
        without.into_iter().filter(|(_, bytes)| *bytes > 0).map(|(name, _)| name).collect();
    let fields = schema.fields().iter().filter(|field| without.contains(field.name()));
    fields.filter_map(|f| Some((f.name().clone(), encoding(f.data_type())?))).collect()
}

/// How values are written that hardly repeat; `None` where it is said elsewhere.
fn encoding(kind: &DataType) -> Option<Encoding> {
    match kind {
        DataType::Utf8 | DataType::Binary => Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        DataType::Int64 | DataType::UInt64 | DataType::UInt32 => Some(Encoding::BYTE_STREAM_SPLIT),
        // A byte of how it is spelled, which hardly varies, comes before each.
        DataType::FixedSizeBinary(len) if *len == GUID_BYTES as i32 => {
            Some(Encoding::BYTE_STREAM_SPLIT)
        }
        DataType::FixedSizeBinary(_) => Some(Encoding::PLAIN),
        _ => None,
    }
}
