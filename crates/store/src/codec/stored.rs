//! How the text of a value is stored: as a number or as bytes where its text comes back exactly.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, FixedSizeBinaryBuilder, Int64Builder, StringBuilder,
    UInt32Builder, UInt64Builder,
};
use arrow::datatypes::{DataType, Int64Type, UInt32Type, UInt64Type};
use pugmark_event::value::exact_integer;

use super::words::is_word;

/// Shortest hex text that is stored as bytes; shorter words of these letters are often words.
const HEX_BYTES_MIN: usize = 8;
const UUID_LEN: usize = 36;
/// Bytes of a GUID as it is stored: how it is spelled, then its value.
pub(crate) const GUID_BYTES: usize = 17;
/// Spellings of a GUID: in braces, in upper case.
const BRACED: u8 = 1;
const UPPER: u8 = 2;

/// What a column of values or variables holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Stored {
    /// Whole numbers as people write them, in 64 bits.
    Integer,
    /// An even number of lower-case hex digits, as bytes.
    Hex,
    /// Lower-case UUIDs, as 16 bytes.
    Uuid,
    /// Whole numbers in hex digits of lower case after `0x`, in 64 bits.
    HexNumber,
    /// UUIDs as Windows writes them, in braces or in upper case, as [`GUID_BYTES`].
    Guid,
    /// IPv4 addresses, as 32 bits.
    Address,
    /// Text.
    Text,
}

impl Stored {
    pub(crate) const ALL: [Stored; 7] = [
        Self::Integer,
        Self::Hex,
        Self::Uuid,
        Self::HexNumber,
        Self::Guid,
        Self::Address,
        Self::Text,
    ];

    /// The narrowest way to store this text.
    pub(crate) fn of(text: &str) -> Self {
        let fits = |stored: &Stored| stored.fits(text);
        Self::ALL.into_iter().find(fits).unwrap_or(Self::Text)
    }

    /// True when the text comes back as it was.
    pub(crate) fn fits(self, text: &str) -> bool {
        let bytes = text.as_bytes();
        match self {
            Self::Integer => exact_integer(text).is_some(),
            Self::Hex => is_hex(bytes),
            Self::Uuid => uuid_len(bytes) == Some(bytes.len()),
            Self::HexNumber => hex_number(text).is_some(),
            Self::Guid => guid(bytes).is_some(),
            Self::Address => address_len(bytes) == Some(bytes.len()),
            Self::Text => true,
        }
    }

    /// Bytes of the word at the start of `rest`, if it can be stored so.
    pub(crate) fn len_at(self, rest: &[u8]) -> Option<usize> {
        match self {
            Self::Uuid => return uuid_len(rest),
            // Braces are no part of a word.
            Self::Guid => {
                let head = rest.get(..UUID_LEN).filter(|head| guid(head).is_some())?;
                let ends = rest.get(head.len()).is_none_or(|b| !is_word(*b));
                return ends.then_some(head.len());
            }
            Self::Address => return address_len(rest),
            _ => {}
        }
        let len = rest.iter().position(|b| !is_word(*b)).unwrap_or(rest.len());
        let word = std::str::from_utf8(&rest[..len]).ok()?;
        (len > 0 && self.fits(word)).then_some(len)
    }
}

fn is_hex(word: &[u8]) -> bool {
    word.len() >= HEX_BYTES_MIN
        && word.len().is_multiple_of(2)
        && word.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Bytes of the UUID at the start of `text` where it ends as a word does.
pub(crate) fn uuid_len(text: &[u8]) -> Option<usize> {
    let uuid = text.get(..UUID_LEN)?;
    let is_uuid = uuid.iter().enumerate().all(|(i, b)| match i {
        8 | 13 | 18 | 23 => *b == b'-',
        _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
    });
    let ends = text.get(UUID_LEN).is_none_or(|b| !is_word(*b));
    (is_uuid && ends).then_some(UUID_LEN)
}

/// The number that is written so, as no other text would be: without zeros before it.
fn hex_number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").filter(|digits| (1..=16).contains(&digits.len()))?;
    let plain = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let shortest = !digits.starts_with('0') || digits.len() == 1;
    (plain && shortest).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// A GUID in one of its spellings, as it is stored: hex digits of one case, also in braces.
fn guid(text: &[u8]) -> Option<[u8; GUID_BYTES]> {
    let (braced, uuid) = match text {
        [b'{', uuid @ .., b'}'] => (BRACED, uuid),
        uuid => (0, uuid),
    };
    let mut lower: [u8; UUID_LEN] = uuid.try_into().ok()?;
    let has_lower = lower.iter().any(u8::is_ascii_lowercase);
    lower.make_ascii_lowercase();
    let is_upper = lower != uuid;
    uuid_len(&lower).filter(|_| !(is_upper && has_lower))?;
    let mut stored = [0; GUID_BYTES];
    stored[0] = braced + UPPER * u8::from(is_upper);
    stored[1..].copy_from_slice(&uuid_bytes(&lower));
    Some(stored)
}

/// The value of a UUID in lower case.
fn uuid_bytes(text: &[u8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (i, digit) in text.iter().filter(|b| **b != b'-').take(32).enumerate() {
        bytes[i / 2] = bytes[i / 2] << 4 | nibble(*digit);
    }
    bytes
}

/// Bytes of the canonical IPv4 address at the start of `text` where it ends as a word does.
pub(crate) fn address_len(text: &[u8]) -> Option<usize> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    let len = text.iter().take(16).position(|b| !b.is_ascii_digit() && *b != b'.');
    let len = len.unwrap_or(text.len());
    if !(7..=15).contains(&len) || text.get(len).is_some_and(|b| is_word(*b)) {
        return None;
    }
    std::str::from_utf8(&text[..len]).ok()?.parse::<Ipv4Addr>().ok()?;
    Some(len)
}

/// Builds a column of stored values.
#[derive(Debug)]
pub(crate) enum StoredBuilder {
    Integer(Int64Builder),
    Hex(BinaryBuilder),
    Uuid(FixedSizeBinaryBuilder),
    HexNumber(UInt64Builder),
    Guid(FixedSizeBinaryBuilder),
    Address(UInt32Builder),
    Text(StringBuilder),
}

impl StoredBuilder {
    pub(crate) fn new(stored: Stored) -> Self {
        match stored {
            Stored::Integer => Self::Integer(Int64Builder::new()),
            Stored::Hex => Self::Hex(BinaryBuilder::new()),
            Stored::Uuid => Self::Uuid(FixedSizeBinaryBuilder::new(16)),
            Stored::HexNumber => Self::HexNumber(UInt64Builder::new()),
            Stored::Guid => Self::Guid(FixedSizeBinaryBuilder::new(GUID_BYTES as i32)),
            Stored::Address => Self::Address(UInt32Builder::new()),
            Stored::Text => Self::Text(StringBuilder::new()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Integer(b) => b.values_slice().len(),
            Self::Hex(b) => b.offsets_slice().len() - 1,
            Self::Uuid(b) | Self::Guid(b) => arrow::array::ArrayBuilder::len(b),
            Self::HexNumber(b) => b.values_slice().len(),
            Self::Address(b) => b.values_slice().len(),
            Self::Text(b) => b.offsets_slice().len() - 1,
        }
    }

    /// Fills with nulls up to `rows`.
    pub(crate) fn pad(&mut self, rows: usize) {
        let missing = rows - self.len();
        match self {
            Self::Integer(b) => b.append_nulls(missing),
            Self::Hex(b) => b.append_nulls(missing),
            Self::Uuid(b) | Self::Guid(b) => b.append_nulls(missing),
            Self::HexNumber(b) => b.append_nulls(missing),
            Self::Address(b) => b.append_nulls(missing),
            Self::Text(b) => b.append_nulls(missing),
        }
    }

    /// Adds the value of row `row`. False, and nothing added, when it cannot be stored so.
    pub(crate) fn set(&mut self, row: usize, text: &str) -> bool {
        self.pad(row);
        match self {
            Self::Integer(b) => match exact_integer(text) {
                Some(number) => b.append_value(number),
                None => return false,
            },
            Self::Hex(b) if is_hex(text.as_bytes()) => {
                let pairs = text.as_bytes().chunks_exact(2);
                let bytes: Vec<u8> =
                    pairs.map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect();
                b.append_value(bytes);
            }
            Self::Uuid(b) if Stored::Uuid.fits(text) => {
                return b.append_value(uuid_bytes(text.as_bytes())).is_ok();
            }
            Self::HexNumber(b) => match hex_number(text) {
                Some(number) => b.append_value(number),
                None => return false,
            },
            Self::Guid(b) => match guid(text.as_bytes()) {
                Some(bytes) => return b.append_value(bytes).is_ok(),
                None => return false,
            },
            Self::Address(b) => match text.parse::<Ipv4Addr>() {
                Ok(address) => b.append_value(address.into()),
                Err(_) => return false,
            },
            Self::Text(b) => b.append_value(text),
            Self::Hex(_) | Self::Uuid(_) => return false,
        }
        true
    }

    pub(crate) fn finish(mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        match self {
            Self::Integer(mut b) => Arc::new(b.finish()),
            Self::Hex(mut b) => Arc::new(b.finish()),
            Self::Uuid(mut b) | Self::Guid(mut b) => Arc::new(b.finish()),
            Self::HexNumber(mut b) => Arc::new(b.finish()),
            Self::Address(mut b) => Arc::new(b.finish()),
            Self::Text(mut b) => Arc::new(b.finish()),
        }
    }
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.wrapping_sub(b'a').wrapping_add(10) & 0x0f,
    }
}

/// Writes the text of the value at `row`; `None` when there is none.
pub(crate) fn push_text(column: &dyn Array, row: usize, out: &mut String) -> Option<()> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Utf8 => out.push_str(column.as_string_opt::<i32>()?.value(row)),
        DataType::Int64 => {
            let number = column.as_primitive_opt::<Int64Type>()?.value(row);
            out.push_str(itoa::Buffer::new().format(number));
        }
        DataType::UInt64 => {
            write!(out, "{:#x}", column.as_primitive_opt::<UInt64Type>()?.value(row)).ok()?;
        }
        DataType::UInt32 => {
            let address = Ipv4Addr::from(column.as_primitive_opt::<UInt32Type>()?.value(row));
            write!(out, "{address}").ok()?;
        }
        DataType::Binary => hex(column.as_binary_opt::<i32>()?.value(row), out),
        DataType::FixedSizeBinary(16) => {
            push_uuid(column.as_fixed_size_binary_opt()?.value(row), out);
        }
        DataType::FixedSizeBinary(17) => {
            let (spelling, bytes) = column.as_fixed_size_binary_opt()?.value(row).split_first()?;
            push_guid(*spelling, bytes, out);
        }
        _ => return None,
    }
    Some(())
}

fn push_guid(spelling: u8, bytes: &[u8], out: &mut String) {
    if spelling & BRACED != 0 {
        out.push('{');
    }
    let start = out.len();
    push_uuid(bytes, out);
    if spelling & UPPER != 0 {
        out[start..].make_ascii_uppercase();
    }
    if spelling & BRACED != 0 {
        out.push('}');
    }
}

/// Writes 16 bytes as a UUID in lower case.
fn push_uuid(bytes: &[u8], out: &mut String) {
    let parts = [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]];
    for (i, part) in parts.into_iter().enumerate() {
        if i > 0 {
            out.push('-');
        }
        hex(part, out);
    }
}

fn hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)] as char);
        out.push(DIGITS[usize::from(byte & 15)] as char);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Stored) {
        assert_eq!(Stored::of(text), expected, "{text:?}");
        for stored in Stored::ALL {
            let mut builder = StoredBuilder::new(stored);
            let taken = builder.set(2, text);
            assert_eq!(taken, stored.fits(text), "{text:?} as {stored:?}");
            let column = builder.finish(4);
            assert_eq!(column.len(), 4);
            let mut back = String::new();
            assert_eq!(push_text(&column, 2, &mut back), taken.then_some(()));
            assert_eq!(back, if taken { text } else { "" });
        }
    }

    #[test]
    fn values_are_stored_as_narrow_as_they_come_back() {
        check("0", Stored::Integer);
        check("-42", Stored::Integer);
        check("007", Stored::Text);
        check("12345678", Stored::Integer);
        check("0123abcd", Stored::Hex);
        check("0123ABCD", Stored::Text);
        check("0x0", Stored::HexNumber);
        check("0xc000006d", Stored::HexNumber);
        check("0xffffffffffffffff", Stored::HexNumber);
        check("0x", Stored::Text);
        check("0x01", Stored::Text);
        check("0xC000006D", Stored::Text);
        check("0x+1", Stored::Text);
        check("0x10000000000000000", Stored::Text);
        check("192.0.2.1", Stored::Address);
        check("192.0.2.01", Stored::Text);
        check("01234567-89ab-cdef-0123-456789abcdef", Stored::Uuid);
        check("01234567-89ab-cdef-0123-456789abcdeF", Stored::Text);
        check("01234567-89AB-CDEF-0123-456789ABCDEF", Stored::Guid);
        check("{01234567-89ab-cdef-0123-456789abcdef}", Stored::Guid);
        check("{01234567-89AB-CDEF-0123-456789ABCDEF}", Stored::Guid);
        check("{01234567-0189-0123-0123-456789012345}", Stored::Guid);
        check("{01234567-89Ab-cdef-0123-456789abcdef}", Stored::Text);
        check("{01234567-89ab-cdef-0123-456789abcdef", Stored::Text);
        check("{{01234567-89ab-cdef-0123-456789abcdef}}", Stored::Text);
        check("{}", Stored::Text);
        check("", Stored::Text);
    }

    #[test]
    fn a_word_ends_where_words_end() {
        assert_eq!(Stored::Address.len_at(b"192.0.2.1 port"), Some(9));
        assert_eq!(Stored::Address.len_at(b"192.0.2.1:22"), Some(9));
        assert_eq!(Stored::Address.len_at(b"192.0.2.1a"), None);
        assert_eq!(Stored::Address.len_at(b"192.0.2.1."), None);
        assert_eq!(Stored::Integer.len_at(b"42ms"), None);
        assert_eq!(Stored::Text.len_at(b"42ms,"), Some(4));
        assert_eq!(Stored::Guid.len_at(b"01234567-89AB-CDEF-0123-456789ABCDEF)"), Some(36));
        assert_eq!(Stored::Guid.len_at(b"01234567-89AB-CDEF-0123-456789ABCDEF1"), None);
        assert_eq!(Stored::Guid.len_at(b"{01234567-89ab-cdef-0123-456789abcdef}"), None);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(
            text in "[0-9a-f.-]{0,40}|.{0,20}|0x[0-9a-f]{0,17}|\\{?[0-9A-Fa-f]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\\}?",
        ) {
            check(&text, Stored::of(&text));
        }
    }
}
