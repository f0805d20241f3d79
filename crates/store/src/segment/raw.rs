//! Columns as they are stored, whatever their type.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, FixedSizeBinaryArray, Int64Array, StringArray,
    UInt32Array, UInt64Array,
};
use arrow::datatypes::DataType;
use twox_hash::XxHash3_64;

/// A column whose values are told apart by their bytes, as they are stored.
pub(super) enum Raw<'a> {
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Fixed(&'a FixedSizeBinaryArray),
    Long(&'a Int64Array),
    HexNumber(&'a UInt64Array),
    Address(&'a UInt32Array),
}

impl<'a> Raw<'a> {
    /// `None` for a column of another type.
    pub(super) fn of(column: &'a ArrayRef) -> Option<Self> {
        Some(match column.data_type() {
            DataType::Utf8 => Self::Text(column.as_string_opt()?),
            DataType::Binary => Self::Bytes(column.as_binary_opt()?),
            DataType::FixedSizeBinary(_) => Self::Fixed(column.as_fixed_size_binary_opt()?),
            DataType::Int64 => Self::Long(column.as_primitive_opt()?),
            DataType::UInt64 => Self::HexNumber(column.as_primitive_opt()?),
            DataType::UInt32 => Self::Address(column.as_primitive_opt()?),
            _ => return None,
        })
    }

    /// Bytes of the value as it is stored.
    pub(super) fn bytes(&self, row: usize) -> usize {
        match self {
            Self::Text(column) => column.value_length(row) as usize,
            Self::Bytes(column) => column.value_length(row) as usize,
            Self::Fixed(column) => column.value_length() as usize,
            Self::Long(_) | Self::HexNumber(_) => 8,
            Self::Address(_) => 4,
        }
    }

    /// A number that is the same for the same values of the column.
    pub(super) fn hash(&self, row: usize) -> u64 {
        match self {
            Self::Text(column) => XxHash3_64::oneshot(column.value(row).as_bytes()),
            // Seeded, so that no text has the hash of what is no text.
            Self::Bytes(column) => XxHash3_64::oneshot_with_seed(1, column.value(row)),
            Self::Fixed(column) => XxHash3_64::oneshot_with_seed(2, column.value(row)),
            Self::Long(column) => {
                XxHash3_64::oneshot_with_seed(3, &column.value(row).to_le_bytes())
            }
            Self::HexNumber(column) => {
                XxHash3_64::oneshot_with_seed(5, &column.value(row).to_le_bytes())
            }
            Self::Address(column) => {
                XxHash3_64::oneshot_with_seed(4, &column.value(row).to_le_bytes())
            }
        }
    }
}
