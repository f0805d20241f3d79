//! How Parquet encodes each column: with a dictionary where values repeat, else by their kind; and
//! which texts are numbers in a file.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use hashbrown::HashSet;
use parquet::basic::Encoding;
use parquet::file::metadata::ParquetMetaData;
use pugmark_event::fields::{self, FIELDS, Kind};
use twox_hash::XxHash3_64;

use super::gather::Pick;
use super::index::Raw;
use crate::codec::stored::{GUID_BYTES, Stored};

/// Values of a column that are looked at, spread over all of its rows.
const SAMPLES_MAX: usize = 16_384;
/// With fewer values there is nothing to be had from going without a dictionary.
const SAMPLES_MIN: usize = 256;
/// One in so many values must be a new one before a column goes without a dictionary.
const TEXT_SHARE: usize = 2;
/// The same for addresses: as numbers they take less than places in a dictionary soon.
const ADDRESS_SHARE: usize = 4;

/// Columns that are written without a dictionary, and how.
pub(super) type Encodings = BTreeMap<String, Encoding>;

/// Fields whose texts are written as numbers, and in which form.
pub(super) type Numbers = BTreeMap<&'static str, Stored>;

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

    /// True when one in `share` values is a new one.
    fn exceeds(&self, share: usize) -> bool {
        self.samples >= SAMPLES_MIN && share * self.different.len() > self.samples
    }
}

/// The fields of which these rows have addresses or whole numbers that hardly repeat: addresses
/// that do are text that other readers need not be told about.
pub(super) fn numbers(batches: &[&RecordBatch], picks: &[Pick]) -> Numbers {
    let step = picks.len().div_ceil(SAMPLES_MAX).max(1);
    let samples: Vec<&Pick> = picks.iter().step_by(step).collect();
    let form = |field: &fields::Field| match field.kind {
        Kind::Ip => Some((Stored::Address, ADDRESS_SHARE)),
        Kind::Text => Some((Stored::Integer, TEXT_SHARE)),
        _ => None,
    };
    let fields = FIELDS.iter().filter_map(|field| Some((field.column, form(field)?)));
    let fields = fields.filter(|(column, (stored, share))| {
        let texts: Vec<_> = batches.iter().map(|batch| texts_of(batch, column)).collect();
        texts.iter().any(Option::is_some)
            && differ(&texts, &samples, *stored).is_some_and(|variety| variety.exceeds(*share))
    });
    fields.map(|(column, (stored, _))| (column, stored)).collect()
}

fn texts_of<'a>(batch: &'a RecordBatch, column: &str) -> Option<&'a StringArray> {
    batch.column_by_name(column)?.as_string_opt()
}

/// How much these texts differ; `None` when one of them cannot be stored so.
fn differ(texts: &[Option<&StringArray>], samples: &[&Pick], stored: Stored) -> Option<Variety> {
    let mut variety = Variety::default();
    for (batch, row) in samples {
        let Some(texts) = texts[*batch].filter(|texts| texts.is_valid(*row)) else { continue };
        let text = texts.value(*row);
        stored.fits(text).then_some(())?;
        variety.add(XxHash3_64::oneshot(text.as_bytes()));
    }
    Some(variety)
}

/// Looks at the rows of a file: most values of a column must come twice for a dictionary to pay.
pub(super) fn of_blocks(blocks: &[RecordBatch], schema: &Schema) -> Encodings {
    let fields = schema.fields().iter();
    let unlike = fields.filter(|field| mostly_differ(blocks, field));
    unlike.filter_map(|f| Some((f.name().clone(), encoding(f.data_type())?))).collect()
}

fn mostly_differ(blocks: &[RecordBatch], field: &Field) -> bool {
    let rows: usize = blocks.iter().map(RecordBatch::num_rows).sum();
    let step = rows.div_ceil(SAMPLES_MAX).max(1);
    let mut variety = Variety::default();
    for column in blocks.iter().filter_map(|block| block.column_by_name(field.name())) {
        let Some(raw) = Raw::of(column) else { return false };
        let rows = (0..column.len()).step_by(step).filter(|row| column.is_valid(*row));
        rows.for_each(|row| variety.add(raw.hash(row)));
    }
    let is_address = *field.data_type() == Stored::Address.data_type();
    variety.exceeds(if is_address { ADDRESS_SHARE } else { TEXT_SHARE })
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
