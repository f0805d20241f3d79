//! A column of any form in which the store may give it, read row by row.

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringArray};
use arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};

/// The values of one column.
#[derive(Clone, Copy)]
pub(crate) enum Values<'a> {
    /// Text as it is.
    Text(&'a StringArray),
    /// Text of which each distinct value is there once; null where the key is null.
    Dictionary(&'a Int32Array, &'a StringArray),
    /// Integers.
    Long(&'a [i64]),
    /// Other numbers.
    Float(&'a [f64]),
    /// Microseconds since the epoch.
    Time(&'a [i64]),
    /// Nothing that can be compared.
    Other,
}

impl<'a> Values<'a> {
    /// Those of `column`.
    pub(crate) fn of(column: &'a ArrayRef) -> Self {
        match column.data_type() {
            DataType::Utf8 => Values::Text(column.as_string()),
            DataType::Int64 => Values::Long(column.as_primitive::<Int64Type>().values()),
            DataType::Float64 => Values::Float(column.as_primitive::<Float64Type>().values()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Values::Time(column.as_primitive::<TimestampMicrosecondType>().values())
            }
            DataType::Dictionary(..) => {
                let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else {
                    return Values::Other;
                };
                match dictionary.values().as_string_opt::<i32>() {
                    Some(texts) => Values::Dictionary(dictionary.keys(), texts),
                    None => Values::Other,
                }
            }
            _ => Values::Other,
        }
    }
}
