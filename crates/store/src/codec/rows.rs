//! A batch as the codec sees it: the columns by field, and one row at a time.

use arrow::array::{Array, AsArray, BinaryArray, Int64Array, MapArray, RecordBatch, StringArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use pugmark_event::fields::{self, ATTRIBUTE_KINDS, ATTRIBUTES, FIELDS, FieldId, ORIGINAL, SYSTEM};
use pugmark_event::time::{CLOCK_CORRECTION, Micros};

/// A column that may stand in a record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column<'a> {
    Text(&'a StringArray),
    Long(&'a Int64Array),
}

impl Column<'_> {
    pub(crate) fn is_null(self, row: usize) -> bool {
        match self {
            Column::Text(column) => column.is_null(row),
            Column::Long(column) => column.is_null(row),
        }
    }
}

/// Events with all their columns.
pub(crate) struct Rows<'a> {
    pub(crate) batch: &'a RecordBatch,
    by_field: Vec<Option<Column<'a>>>,
    /// Fields that may stand in a record, those that are there.
    pub(crate) present: Vec<FieldId>,
    pub(crate) times: &'a [Micros],
    pub(crate) original: Option<&'a StringArray>,
    exact: Option<&'a BinaryArray>,
    map: Option<(&'a MapArray, &'a StringArray, &'a StringArray)>,
    kinds: Option<&'a StringArray>,
    source: Option<&'a StringArray>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(batch: &'a RecordBatch) -> Self {
        let column = |id: FieldId| batch.column_by_name(id.column());
        let text = |id: FieldId| column(id).and_then(|c| c.as_string_opt::<i32>());
        let mut by_field = vec![None; FIELDS.len()];
        let mut present = Vec::new();
        for (at, place) in by_field.iter_mut().enumerate() {
            let id = FieldId(at as u16);
            let hidden = SYSTEM.contains(&id)
                || [ORIGINAL, fields::ORIGINAL_BYTES, ATTRIBUTE_KINDS].contains(&id);
            let Some(found) = column(id).filter(|_| !hidden) else { continue };
            *place = match (found.as_string_opt(), found.as_primitive_opt::<Int64Type>()) {
                (Some(text), _) => Some(Column::Text(text)),
                (_, Some(long)) => Some(Column::Long(long)),
                _ => continue,
            };
            present.push(id);
        }
        let map = batch.column_by_name(ATTRIBUTES).and_then(|c| c.as_map_opt());
        let map = map.and_then(|map| {
            Some((map, map.keys().as_string_opt::<i32>()?, map.values().as_string_opt::<i32>()?))
        });
        Self {
            batch,
            by_field,
            present,
            times: column(fields::EVENT_TIME)
                .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
                .map_or(&[], |times| times.values()),
            original: text(ORIGINAL),
            exact: column(fields::ORIGINAL_BYTES).and_then(|c| c.as_binary_opt::<i32>()),
            map,
            kinds: text(ATTRIBUTE_KINDS),
            source: text(fields::EVENT_SOURCE),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.batch.num_rows()
    }

    pub(crate) fn field(&self, id: FieldId) -> Option<Column<'a>> {
        self.by_field[id.0 as usize]
    }

    pub(crate) fn source(&self, row: usize) -> &'a str {
        self.source.filter(|c| c.is_valid(row)).map_or("", |c| c.value(row))
    }

    /// The record, where it is text; `None` where its exact bytes are kept beside it.
    pub(crate) fn record(&self, row: usize) -> Option<&'a str> {
        if self.exact.is_some_and(|c| c.is_valid(row)) {
            return None;
        }
        self.original.filter(|c| c.is_valid(row)).map(|c| c.value(row))
    }

    /// Where the attributes of a row lie among all attributes.
    pub(crate) fn entries(&self, row: usize) -> std::ops::Range<usize> {
        match self.map {
            Some((map, ..)) if map.is_valid(row) => {
                map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize
            }
            _ => 0..0,
        }
    }

    pub(crate) fn key(&self, entry: usize) -> &'a str {
        self.map.map_or("", |(_, keys, _)| keys.value(entry))
    }

    pub(crate) fn value(&self, entry: usize) -> &'a str {
        self.map.filter(|m| m.2.is_valid(entry)).map_or("", |(_, _, values)| values.value(entry))
    }

    /// Kind letters of a row's attributes, one byte each.
    pub(crate) fn kinds(&self, row: usize) -> &'a [u8] {
        self.kinds.filter(|c| c.is_valid(row)).map_or(b"", |c| c.value(row).as_bytes())
    }

    /// Minutes by which the time of a row was moved since its source's clock is wrong; 0 where it
    /// was not, or not by whole minutes.
    pub(crate) fn moved_minutes(&self, row: usize) -> i32 {
        let mark = self.entries(row).find(|entry| self.key(*entry) == CLOCK_CORRECTION);
        let seconds = mark.and_then(|entry| self.value(entry).parse::<i32>().ok()).unwrap_or(0);
        if seconds % 60 == 0 { seconds / 60 } else { 0 }
    }

    /// All names of a row's attributes, run together: the same for rows of the same shape.
    pub(crate) fn keys_bytes(&self, row: usize) -> &'a [u8] {
        let entries = self.entries(row);
        let Some((_, keys, _)) = self.map.filter(|_| !entries.is_empty()) else { return b"" };
        let offsets = keys.value_offsets();
        let range = offsets[entries.start] as usize..offsets[entries.end] as usize;
        &keys.value_data()[range]
    }
}
