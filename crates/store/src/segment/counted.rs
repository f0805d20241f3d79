//! In how many events each column has a value, of columns whose statistics do not say: attributes,
//! and fields that templates may make up. It is counted when events are written, and added up when
//! files are merged.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, RecordBatch};
use pugmark_event::fields::FIELDS;

use super::assemble::{AttributeCounts, attribute_counts};
use super::gather::Pick;
use super::layout::{ATTRIBUTE_PREFIX, has_bounds};
use crate::codec::rows::Rows;

/// Columns of a file that are counted, at most: a hostile source could name a new attribute in
/// every record.
const COLUMNS_MAX: usize = 1024;

/// Events with a value, by column: that of a field, or `attributes.NAME`.
pub(crate) type Counted = BTreeMap<String, u64>;

/// True when some attributes may not be in it: there were too many.
pub(crate) fn is_cut(counted: &Counted) -> bool {
    counted.len() >= COLUMNS_MAX
}

/// Those of a file with these rows, whose attributes were counted already.
pub(super) fn of_rows(
    batches: &[Rows<'_>],
    picks: &[Pick],
    attributes: &AttributeCounts<'_>,
) -> Counted {
    let fields = FIELDS.iter().filter(|field| !has_bounds(field)).map(|field| {
        let columns: Vec<Option<&ArrayRef>> =
            batches.iter().map(|rows| rows.batch.column_by_name(field.column)).collect();
        let has = |(batch, row): &&Pick| columns[*batch].is_some_and(|c| c.is_valid(*row));
        (field.column, picks.iter().filter(has).count())
    });
    counted(fields, attributes)
}

/// Those of events in memory: of all their columns.
pub(crate) fn of_batch(batch: &RecordBatch) -> Counted {
    let fields = FIELDS.iter().filter_map(|field| {
        let column = batch.column_by_name(field.column)?;
        Some((field.column, column.len() - column.null_count()))
    });
    let picks: Vec<Pick> = (0..batch.num_rows()).map(|row| (0, row)).collect();
    counted(fields, &attribute_counts(&[Rows::new(batch)], &picks))
}

/// Those of all these files together; `None` when one of them does not say.
pub(super) fn of_files<'a>(files: impl Iterator<Item = Option<&'a Counted>>) -> Option<Counted> {
    let mut sum = Counted::new();
    for file in files {
        for (column, events) in file? {
            *sum.entry(column.clone()).or_default() += events;
        }
    }
    Some(bounded(sum))
}

fn counted<'a>(
    fields: impl Iterator<Item = (&'a str, usize)>,
    attributes: &AttributeCounts<'_>,
) -> Counted {
    let fields = fields.filter(|(_, events)| *events > 0);
    let mut counted: Counted = fields.map(|(name, n)| (name.to_string(), n as u64)).collect();
    // An event has each name once, whatever its kind.
    for ((name, _), events) in attributes {
        *counted.entry(format!("{ATTRIBUTE_PREFIX}{name}")).or_default() += *events as u64;
    }
    bounded(counted)
}

/// Of too many attributes the most frequent.
fn bounded(counted: Counted) -> Counted {
    if counted.len() <= COLUMNS_MAX {
        return counted;
    }
    let mut ranked: Vec<(String, u64)> = counted.into_iter().collect();
    ranked.sort_by_key(|(name, events)| Reverse((!name.starts_with(ATTRIBUTE_PREFIX), *events)));
    ranked.truncate(COLUMNS_MAX);
    ranked.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_attributes_leave_the_most_frequent_and_the_fields() {
        let attribute = |i: u64| (format!("{ATTRIBUTE_PREFIX}{i}"), i);
        let mut file: Counted = (1..=COLUMNS_MAX as u64).map(attribute).collect();
        file.insert("message".into(), 1);
        let kept = of_files([Some(&file), Some(&file)].into_iter()).unwrap();
        assert!(is_cut(&kept) && kept.len() == COLUMNS_MAX);
        assert_eq!((kept["message"], kept["attributes.2"]), (2, 4));
        assert!(!kept.contains_key("attributes.1"));
        assert_eq!(of_files([Some(&file), None].into_iter()), None);
    }
}
