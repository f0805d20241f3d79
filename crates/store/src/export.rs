//! Rows of an answer as a Parquet file, piece by piece: however many rows there are, no more than
//! a row group is in memory.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::StoreError;

/// Rows of a row group at most.
const GROUP_ROWS: usize = 128 << 10;
/// Bytes of a row group before it is compressed, about.
const GROUP_BYTES: usize = 16 << 20;
/// Rows that are encoded between two looks at the size of a row group.
const STEP_ROWS: usize = 4096;
/// Little work for most of what compression gives.
const ZSTD_LEVEL: i32 = 3;

/// A Parquet file that is being written.
pub struct ParquetExport {
    schema: SchemaRef,
    writer: ArrowWriter<Vec<u8>>,
}

impl std::fmt::Debug for ParquetExport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetExport").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl ParquetExport {
    /// A file with the columns of `schema`.
    ///
    /// # Errors
    /// When Parquet has no type for a column.
    pub fn new(schema: &Schema) -> Result<Self, StoreError> {
        // Batches of one answer may differ in what never is null.
        let field = |f: &Arc<Field>| Field::new(f.name(), f.data_type().clone(), true);
        let schema = Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()));
        let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(wrong)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .set_created_by(concat!("pugmark ", env!("CARGO_PKG_VERSION")).to_string())
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties));
        Ok(Self { schema, writer: writer.map_err(wrong)? })
    }

    /// Adds rows with these columns, and gives the bytes of the file that are ready; often none.
    ///
    /// # Errors
    /// When the rows have other columns.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, StoreError> {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().to_vec();
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        let batch = batch.map_err(wrong)?;
        for start in (0..batch.num_rows()).step_by(STEP_ROWS) {
            let step = batch.slice(start, STEP_ROWS.min(batch.num_rows() - start));
            self.writer.write(&step).map_err(wrong)?;
        }
        // The writer counts what it wrote by itself, so its buffer may be taken.
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    /// The rest of the file.
    ///
    /// # Errors
    /// When the last rows cannot be encoded.
    pub fn finish(self) -> Result<Vec<u8>, StoreError> {
        self.writer.into_inner().map_err(wrong)
    }

    /// The whole file of an answer without rows: its columns count as text.
    ///
    /// # Errors
    /// As [`ParquetExport::new`].
    pub fn empty(columns: &[String]) -> Result<Vec<u8>, StoreError> {
        let text = |name: &String| Field::new(name, arrow::datatypes::DataType::Utf8, true);
        Self::new(&Schema::new(columns.iter().map(text).collect::<Vec<_>>()))?.finish()
    }
}

fn wrong(error: impl std::fmt::Display) -> StoreError {
    StoreError::Export(error.to_string())
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Int64Type};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn batch(rows: std::ops::Range<i64>, nullable: bool) -> RecordBatch {
        let fields = vec![
            Field::new("n", DataType::Int64, nullable),
            Field::new("count()", DataType::Utf8, true),
        ];
        let texts: StringArray = rows.clone().map(|n| Some(format!("row {n}"))).collect();
        let longs: Int64Array = rows.map(Some).collect();
        let columns = vec![Arc::new(longs) as _, Arc::new(texts) as _];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    fn read(bytes: Vec<u8>) -> (Vec<String>, Vec<i64>, usize) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
        let names = reader.schema().fields().iter().map(|f| f.name().clone()).collect();
        let groups = reader.metadata().num_row_groups();
        let mut found = Vec::new();
        for batch in reader.build().unwrap() {
            found.extend(batch.unwrap().column(0).as_primitive::<Int64Type>().values());
        }
        (names, found, groups)
    }

    #[test]
    fn what_is_written_piece_by_piece_reads_back() {
        let mut export = ParquetExport::new(batch(0..1, true).schema_ref()).unwrap();
        let mut file = Vec::new();
        let mut pieces = 0;
        for n in 0..30 {
            let piece = export.write(&batch(n * 10_000..(n + 1) * 10_000, n % 2 == 0)).unwrap();
            pieces += usize::from(!piece.is_empty());
            file.extend(piece);
        }
        file.extend(export.finish().unwrap());
        let (names, found, groups) = read(file);
        assert_eq!(names, ["n", "count()"]);
        assert_eq!(found, (0..300_000).collect::<Vec<i64>>());
        // Pieces left while rows were still coming.
        assert!(pieces >= 2 && groups >= 3, "{pieces} pieces, {groups} groups");
    }

    #[test]
    fn no_rows_are_a_file_too_and_other_columns_are_refused() {
        let columns = ["a".to_string(), "b".to_string()];
        let file = ParquetExport::empty(&columns).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap();
        assert_eq!(reader.schema().fields().len(), 2);
        let other = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let mut export = ParquetExport::new(batch(0..1, true).schema_ref()).unwrap();
        let said = export.write(&other).unwrap_err().to_string();
        assert!(said.contains("choose another format"), "{said}");
    }
}
