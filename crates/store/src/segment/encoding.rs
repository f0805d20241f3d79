//! How Parquet encodes each column: with a dictionary where values repeat, else by their kind.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use hashbrown::HashSet;
use parquet::basic::Encoding;
use parquet::file::metadata::ParquetMetaData;

use super::index::{BLOCK_ROWS, Raw};

/// Values of a column that are looked at.
const SAMPLES_MAX: usize = BLOCK_ROWS;
/// With fewer values there is nothing to be had from going without a dictionary.
const SAMPLES_MIN: usize = 256;

/// Columns that are written without a dictionary, and how.
pub(super) type Encodings = BTreeMap<String, Encoding>;

/// Looks at the rows of a file: most values of a column must come twice for a dictionary to pay.
pub(super) fn of_blocks(blocks: &[RecordBatch], schema: &Schema) -> Encodings {
    let fields = schema.fields().iter();
    let unlike = fields.filter(|field| mostly_differ(blocks, field.name()));
    unlike.filter_map(|f| Some((f.name().clone(), encoding(f.data_type())?))).collect()
}

fn mostly_differ(blocks: &[RecordBatch], name: &str) -> bool {
    let mut different = HashSet::new();
    let mut samples = 0;
    for column in blocks.iter().filter_map(|block| block.column_by_name(name)) {
        let Some(raw) = Raw::of(column) else { return false };
        for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
            different.insert(raw.hash(row));
            samples += 1;
            if samples == SAMPLES_MAX {
                return 2 * different.len() > samples;
            }
        }
    }
    samples >= SAMPLES_MIN && 2 * different.len() > samples
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
        DataType::Int64 | DataType::UInt32 => Some(Encoding::BYTE_STREAM_SPLIT),
        DataType::FixedSizeBinary(_) => Some(Encoding::PLAIN),
        _ => None,
    }
}
