//! Values that did not fit: a field has a column, yet this value of it is in the attributes.
//!
//! The builder puts a value there when it is of another type than the column, or when the column
//! has another value of the event already, and says so in `event.issues`. A question about the
//! field is a question about these values too.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, ListArray, ListBuilder, RecordBatch, StringArray};
use arrow::array::{StringBuilder, new_null_array};
use arrow::datatypes::{DataType, Field as ArrowField};

use crate::batch::Attributes;
use crate::build::ISSUES_BYTES_MAX;
use crate::fields::{FIELDS, FieldId, ISSUES, SYSTEM};

/// What stands before the column's name in the name of the column that [`column`] makes.
pub const CONFLICTS_PREFIX: &str = "conflicts.";

/// Whether values of this field can be in the attributes: the columns that Pugmark itself writes
/// have none there.
pub fn possible(field: FieldId) -> bool {
    !SYSTEM.contains(&field)
}

/// Whether the issues of an event say that a value of `field` did not fit.
pub fn noted(issues: &str, field: FieldId) -> bool {
    // A list that is full may lack the very code.
    issues.len() >= ISSUES_BYTES_MAX
        || issues.split(',').any(|code| {
            let name = code.strip_prefix("type:").or_else(|| code.strip_prefix("second:"));
            name == Some(field.name())
        })
}

/// The values of one field that did not fit, in one batch.
#[derive(Debug, Clone, Copy)]
pub struct Conflicts<'a> {
    field: FieldId,
    issues: Option<&'a StringArray>,
    attributes: Attributes<'a>,
}

impl<'a> Conflicts<'a> {
    /// Those of `field` in a batch that has `event_issues` and `attributes`.
    pub fn of(batch: &'a RecordBatch, field: FieldId) -> Self {
        let issues = batch.column_by_name(ISSUES.column()).and_then(|c| c.as_string_opt::<i32>());
        Self {
            field,
            issues: issues.filter(|i| possible(field) && i.null_count() < i.len()),
            attributes: Attributes::of(batch),
        }
    }

    /// The texts of the event at `row`.
    pub fn row(self, row: usize) -> impl Iterator<Item = &'a str> {
        let here = self.issues.is_some_and(|i| i.is_valid(row) && noted(i.value(row), self.field));
        here.then(|| self.attributes.row(row))
            .into_iter()
            .flatten()
            .filter(move |(name, _)| names(name).contains(&self.field))
            .map(|(_, value)| value.text())
    }
}

/// The type of the column that [`column`] makes.
pub fn data_type() -> DataType {
    DataType::List(Arc::new(ArrowField::new("item", DataType::Utf8, true)))
}

/// The values of `field` that did not fit, of each event of a batch; null where there are none.
pub fn column(batch: &RecordBatch, field: FieldId) -> ListArray {
    let conflicts = Conflicts::of(batch, field);
    if conflicts.issues.is_none() {
        return new_null_array(&data_type(), batch.num_rows()).as_list().clone();
    }
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..batch.num_rows() {
        let mut some = false;
        for text in conflicts.row(row) {
            lists.values().append_value(text);
            some = true;
        }
        lists.append(some);
    }
    lists.finish()
}

/// Fields whose value a record may have under this name.
fn names(name: &str) -> &'static [FieldId] {
    static NAMES: LazyLock<HashMap<&'static str, Vec<FieldId>>> = LazyLock::new(|| {
        let mut names: HashMap<&'static str, Vec<FieldId>> = HashMap::new();
        for (i, field) in FIELDS.iter().enumerate() {
            let native = field.aliases.iter().filter_map(|a| a.split_once(':').map(|(_, n)| n));
            for name in native.chain([field.name]) {
                names.entry(name).or_default().push(FieldId(i as u16));
            }
        }
        names
    });
    NAMES.get(name).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{PRODUCT, SOURCE_IP, SOURCE_PORT, USER_NAME};
    use crate::{BatchBuilder, Value};

    #[track_caller]
    fn check(field: FieldId, expected: [&[&str]; 3]) {
        let mut b = BatchBuilder::new("s", 1_795_428_000_000_000);
        b.begin(1, b"one");
        b.native("windows", "IpPort", Value::Text("x"));
        b.named("source.ip", Value::Text("192.0.2.1"));
        b.native("nginx", "c-ip", Value::Text("192.0.2.2"));
        b.named("source.ip", Value::Text("192.0.2.3"));
        b.named("size", Value::Text("5"));
        b.end(None);
        b.begin(2, b"two");
        b.named("source.port", Value::Text("22"));
        b.attribute("user.name", Value::Text("no conflict: the record never said so"));
        b.end(None);
        b.begin(3, b"three");
        b.named("source.port", Value::Text("-"));
        b.named("user.name", Value::Json("[\"a\"]"));
        b.end(None);
        let batch = b.finish().unwrap();
        let conflicts = Conflicts::of(batch.columns(), field);
        let made = column(batch.columns(), field);
        for (row, expected) in expected.into_iter().enumerate() {
            assert_eq!(conflicts.row(row).collect::<Vec<_>>(), expected, "{field:?} of {row}");
            assert_eq!(made.is_valid(row), !expected.is_empty(), "{field:?} of {row}");
            let texts = made.value(row);
            let texts: Vec<&str> = texts.as_string::<i32>().iter().flatten().collect();
            assert_eq!(texts, expected, "{field:?} of {row}");
        }
    }

    #[test]
    fn values_that_did_not_fit_are_found_by_their_field() {
        check(SOURCE_PORT, [&["x"], &[], &[]]);
        check(SOURCE_IP, [&["192.0.2.2", "192.0.2.3"], &[], &[]]);
        check(USER_NAME, [&[], &[], &["[\"a\"]"]]);
        check(PRODUCT, [&[], &[], &[]]);
    }

    #[test]
    fn a_full_list_of_issues_may_lack_the_code() {
        assert!(noted("a,type:source.port", SOURCE_PORT));
        assert!(!noted("type:source.port2,third:source.port", SOURCE_PORT));
        assert!(noted(&"x".repeat(ISSUES_BYTES_MAX), SOURCE_PORT));
    }
}
