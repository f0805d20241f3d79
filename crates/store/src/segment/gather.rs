//! Rows of several batches as one batch: how a flush and a merge put rows into their order.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{concat, interleave};
use arrow::datatypes::{Field as ArrowField, Schema};

use crate::error::StoreError;

/// A row: the place of its batch among the batches, and its place in that.
pub(super) type Pick = (usize, usize);

/// Rows that stand together in a batch and are wanted together, as many on average, make copying
/// run by run cheaper than copying row by row.
const RUN_ROWS_MIN: usize = 8;

/// These rows, in this order, with the columns that one of their batches has. Columns of the same
/// name have the same type.
///
/// # Errors
/// When Arrow cannot build the columns.
pub(super) fn gather(batches: &[&RecordBatch], picks: &[Pick]) -> Result<RecordBatch, StoreError> {
    let (used, picks) = used(batches, picks);
    let runs = runs(&picks);
    let mut fields: Vec<ArrowField> = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for batch in &used {
        for field in batch.schema_ref().fields() {
            if fields.iter().any(|known| known.name() == field.name()) {
                continue;
            }
            let parts: Vec<ArrayRef> = used
                .iter()
                .map(|batch| match batch.column_by_name(field.name()) {
                    Some(column) => column.clone(),
                    None => new_null_array(field.data_type(), batch.num_rows()),
                })
                .collect();
            columns.push(rows_of(&parts, &picks, &runs)?);
            fields.push(ArrowField::new(field.name(), field.data_type().clone(), true));
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(picks.len()));
    Ok(RecordBatch::try_new_with_options(Schema::new(fields).into(), columns, &options)?)
}

/// The batches that have picked rows, and the picks with places among those.
fn used<'a>(batches: &[&'a RecordBatch], picks: &[Pick]) -> (Vec<&'a RecordBatch>, Vec<Pick>) {
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    let mut used = Vec::new();
    let mut last = None;
    let picks = picks.iter().map(|(batch, row)| {
        let place = match last {
            Some((known, place)) if known == *batch => place,
            _ => *places.entry(*batch).or_insert_with(|| {
                used.push(batches[*batch]);
                used.len() - 1
            }),
        };
        last = Some((*batch, place));
        (place, *row)
    });
    let picks = picks.collect();
    (used, picks)
}

/// Rows that follow each other in one batch: the first, and how many.
fn runs(picks: &[Pick]) -> Vec<(Pick, usize)> {
    let follows = |a: &Pick, b: &Pick| a.0 == b.0 && a.1 + 1 == b.1;
    picks.chunk_by(follows).map(|run| (run[0], run.len())).collect()
}

fn rows_of(
    parts: &[ArrayRef],
    picks: &[Pick],
    runs: &[(Pick, usize)],
) -> Result<ArrayRef, StoreError> {
    if let [((part, start), rows)] = runs {
        return Ok(parts[*part].slice(*start, *rows));
    }
    if runs.len() * RUN_ROWS_MIN <= picks.len() {
        let slices: Vec<ArrayRef> =
            runs.iter().map(|((part, start), rows)| parts[*part].slice(*start, *rows)).collect();
        let slices: Vec<_> = slices.iter().map(AsRef::as_ref).collect();
        return Ok(concat(&slices)?);
    }
    let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
    Ok(interleave(&parts, picks)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    /// Two batches, of `n` and of `n` and `t`, and what is picked of them.
    #[track_caller]
    fn check(picks: &[Pick], numbers: &[i64], texts: Option<&[Option<&str>]>) {
        let column = |name, column: ArrayRef| (name, column);
        let ns = |start| -> ArrayRef { Arc::new(Int64Array::from_iter_values(start..start + 64)) };
        let ts: StringArray = (0..64).map(|i| (i % 2 == 0).then_some("even")).collect();
        let a = RecordBatch::try_from_iter([column("n", ns(0))]).unwrap();
        let b = RecordBatch::try_from_iter([column("n", ns(100)), column("t", Arc::new(ts))]);
        let found = gather(&[&a, &b.unwrap()], picks).unwrap();
        assert_eq!(found.column(0).as_primitive::<Int64Type>().values(), numbers);
        let found = found.column_by_name("t").map(|column| column.as_string::<i32>());
        let found: Option<Vec<_>> = found.map(|column| column.iter().collect());
        assert_eq!(found.as_deref(), texts);
    }

    #[test]
    fn rows_come_in_the_order_of_the_picks() {
        check(&[(0, 3), (0, 4)], &[3, 4], None);
        check(&[(1, 2), (0, 1), (1, 3)], &[102, 1, 103], Some(&[Some("even"), None, None]));
        let long: Vec<Pick> = (0..32).map(|i| (0, i)).chain((8..40).map(|i| (1, i))).collect();
        let numbers: Vec<i64> = (0..32).chain(108..140).collect();
        let texts: Vec<_> = (0..64).map(|i| (i >= 32 && i % 2 == 0).then_some("even")).collect();
        check(&long, &numbers, Some(&texts));
    }
}
