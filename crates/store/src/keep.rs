//! Which rows a scan returns, as whoever asks decides: the store knows no questions.
//!
//! The store calls these with the least that they need, so that the other columns are read only
//! for the rows that are kept.

use std::fmt::Debug;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use pugmark_event::fields::ORIGINAL;

use crate::error::StoreError;
use crate::scan::Scan;

/// Decides by columns.
pub trait Keep: Debug + Send + Sync {
    /// The columns that it looks at, named as in [`Scan::columns`].
    fn columns(&self) -> Vec<String>;

    /// Which rows of a batch with these columns are wanted; never null. Text may come as plain
    /// text or as a dictionary of it, and that of an attribute as integers. A row is wanted or not
    /// by its values alone: rows with the same values may be asked about once.
    fn keep(&self, batch: &RecordBatch) -> BooleanArray;

    /// True when every row passes in which the columns have a value that are `full`.
    fn is_sure(&self, full: &dyn Fn(&str) -> bool) -> bool {
        let _ = full;
        false
    }

    /// Columns and a text that each of them has in every wanted row, unless the row has a value
    /// that did not fit the column: ASCII, its letters in lower case, in a value in either.
    fn parts(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// A text that stands somewhere in a record.
#[derive(Debug, Clone, Copy)]
pub struct Phrase<'a> {
    /// ASCII, its letters in lower case; in a record they may be in either.
    pub text: &'a str,
    /// Whether no word may go on before it, and after it.
    pub closed: (bool, bool),
}

/// Decides by the text of the record.
pub trait RecordTest: Debug + Send + Sync {
    /// Whether a record with this text is wanted.
    fn matches(&self, record: &str) -> bool;

    /// The words, when the test asks for nothing but that the record has all of them. Then it may
    /// be answered without the text, from an index of words.
    fn words(&self) -> Option<&[String]>;

    /// The phrase, when the test asks for nothing but that the record has it.
    fn phrase(&self) -> Option<Phrase<'_>> {
        None
    }
}

impl Scan {
    /// The schema of the columns that [`Keep`] looks at; `None` when there is none.
    pub(crate) fn keep_schema(&self) -> Result<Option<SchemaRef>, StoreError> {
        let Some(keep) = &self.keep else { return Ok(None) };
        let scan = Scan { columns: Some(keep.columns()), ..Scan::default() };
        scan.schema().map(Some)
    }

    /// True when the text of a record must be looked at: [`Scan::words`] does not say it all.
    pub(crate) fn asks_records(&self) -> bool {
        self.records.iter().any(|test| test.words().is_none())
    }

    /// The rows of a batch with `event_original` whose record passes every test that is more than
    /// [`Scan::words`].
    pub(crate) fn records_pass(&self, batch: &RecordBatch) -> BooleanBuffer {
        let texts = batch.column_by_name(ORIGINAL.column());
        let texts = texts.and_then(|c| c.as_string_opt::<i32>());
        let passes = |row: usize| {
            let text = texts.filter(|t| t.is_valid(row)).map(|t| t.value(row));
            text.is_some_and(|text| self.record_passes(text))
        };
        (0..batch.num_rows()).map(passes).collect()
    }

    /// The same for one record.
    pub(crate) fn record_passes(&self, record: &str) -> bool {
        self.records.iter().all(|test| test.words().is_some() || test.matches(record))
    }
}

/// The schema of the record's text alone.
pub(crate) fn record_schema() -> SchemaRef {
    let field = arrow::datatypes::Field::new(ORIGINAL.column(), DataType::Utf8, true);
    std::sync::Arc::new(Schema::new(vec![field]))
}
