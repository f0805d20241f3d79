//! Values of parameters: what clients send for `$1`, as text or in PostgreSQL's binary forms.

use arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::common::ScalarValue;

use super::encode::{EPOCH_DAYS, EPOCH_MICROS};
use super::fault::{BAD_VALUE, Fault};
use super::types;
use super::wire::Format;

/// Reads the value of a parameter of type `oid`.
///
/// # Errors
/// When the bytes are no such value.
pub(super) fn value(oid: u32, format: Format, bytes: Option<&[u8]>) -> Result<ScalarValue, Fault> {
    let kind = types::to_arrow(oid);
    let wrong = || {
        Fault::new(BAD_VALUE, format!("a parameter is no value of type {}", types::sql_name(oid)))
    };
    let Some(bytes) = bytes else { return ScalarValue::try_from(&kind).map_err(|_| wrong()) };
    match format {
        Format::Text => {
            let text = std::str::from_utf8(bytes).map_err(|_| wrong())?;
            from_text(&kind, text).ok_or_else(wrong)
        }
        Format::Binary => from_binary(oid, &kind, bytes).ok_or_else(wrong),
    }
}

fn from_text(kind: &DataType, text: &str) -> Option<ScalarValue> {
    match kind {
        DataType::Utf8 => Some(ScalarValue::from(text)),
        DataType::Boolean => match text.trim().to_ascii_lowercase().as_str() {
            "t" | "true" | "1" | "on" | "yes" | "y" => Some(true.into()),
            "f" | "false" | "0" | "off" | "no" | "n" => Some(false.into()),
            _ => None,
        },
        DataType::Binary => {
            let hex = text.strip_prefix("\\x")?.as_bytes();
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            let bytes: Option<Vec<u8>> = hex.chunks(2).map(byte).collect();
            Some(ScalarValue::Binary(Some(bytes?)))
        }
        DataType::List(item) => {
            let items = list_items(text)?.into_iter();
            let items = items.map(|item_text| match item_text {
                Some(text) => from_text(item.data_type(), &text),
                None => ScalarValue::try_from(item.data_type()).ok(),
            });
            list(&items.collect::<Option<Vec<_>>>()?, item.data_type())
        }
        kind => ScalarValue::from(text.trim()).cast_to(kind).ok(),
    }
}

fn from_binary(oid: u32, kind: &DataType, bytes: &[u8]) -> Option<ScalarValue> {
    let long = || Some(i64::from_be_bytes(bytes.try_into().ok()?));
    let int = || Some(i32::from_be_bytes(bytes.try_into().ok()?));
    Some(match kind {
        DataType::Boolean => ScalarValue::from(*bytes.first()? != 0),
        DataType::Int16 => ScalarValue::from(i16::from_be_bytes(bytes.try_into().ok()?)),
        DataType::Int32 => ScalarValue::from(int()?),
        DataType::Int64 => ScalarValue::from(long()?),
        DataType::UInt32 => ScalarValue::from(int()?.cast_unsigned()),
        DataType::Float32 => ScalarValue::from(f32::from_be_bytes(bytes.try_into().ok()?)),
        DataType::Float64 if oid == types::NUMERIC => ScalarValue::from(numeric(bytes)?),
        DataType::Float64 => ScalarValue::from(f64::from_be_bytes(bytes.try_into().ok()?)),
        DataType::Binary => ScalarValue::Binary(Some(bytes.to_vec())),
        DataType::Date32 => ScalarValue::Date32(Some(int()?.checked_add(EPOCH_DAYS)?)),
        DataType::Timestamp(_, zone) => {
            let micros = long()?.checked_add(EPOCH_MICROS)?;
            ScalarValue::TimestampMicrosecond(Some(micros), zone.clone())
        }
        DataType::Interval(_) => {
            let micros = i64::from_be_bytes(*bytes.first_chunk()?);
            let days = i32::from_be_bytes(*bytes.get(8..)?.first_chunk()?);
            let months = i32::from_be_bytes(bytes.get(12..)?.try_into().ok()?);
            let span = IntervalMonthDayNano::new(months, days, micros.checked_mul(1000)?);
            ScalarValue::IntervalMonthDayNano(Some(span))
        }
        DataType::List(item) => binary_list(types::element_of(oid)?.oid, item.data_type(), bytes)?,
        // The binary form of other types is not their text: a UUID is 16 bytes.
        _ if types::is_text(oid) => ScalarValue::from(std::str::from_utf8(bytes).ok()?),
        _ => return None,
    })
}

fn list(items: &[ScalarValue], kind: &DataType) -> Option<ScalarValue> {
    Some(ScalarValue::List(ScalarValue::new_list(items, kind, true)))
}

/// The items of `{a,"b c",NULL}`.
pub(super) fn list_items(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let mut rest = inner.chars().peekable();
    while rest.peek().is_some() {
        while rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        let quoted = rest.next_if_eq(&'"').is_some();
        let mut item = String::new();
        loop {
            match rest.next() {
                Some('\\') => item.push(rest.next()?),
                Some('"') if quoted => break,
                None if quoted => return None,
                Some('{' | '}' | '"') if !quoted => return None,
                Some(',') if !quoted => break,
                None => break,
                Some(other) => item.push(other),
            }
        }
        // Behind a closing quote there is a comma or the end.
        if quoted && rest.find(|c| !c.is_ascii_whitespace()).is_some_and(|next| next != ',') {
            return None;
        }
        if !quoted {
            item.truncate(item.trim_end().len());
        }
        items.push(Some(item).filter(|item| quoted || !item.eq_ignore_ascii_case("null")));
    }
    Some(items)
}

/// One dimension: flags, type, length, then each item with its length before it.
fn binary_list(element: u32, kind: &DataType, bytes: &[u8]) -> Option<ScalarValue> {
    let mut rest = bytes;
    let mut int = || {
        let (int, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        Some(i32::from_be_bytes(*int))
    };
    let (dimensions, _, _) = (int()?, int()?, int()?);
    let count = match dimensions {
        0 => 0,
        1 => int().zip(int())?.0,
        _ => return None,
    };
    let mut items = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        items.push(match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                let (item, after) = rest.split_at_checked(length)?;
                rest = after;
                from_binary(element, kind, item)?
            }
            Err(_) => ScalarValue::try_from(kind).ok()?,
        });
    }
    list(&items, kind)
}

/// A decimal number in groups of four digits; see how they are written.
fn numeric(bytes: &[u8]) -> Option<f64> {
    let short = |at: usize| Some(i16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let (count, weight, sign) = (short(0)?, short(2)?, short(4)?);
    let mut value = 0.0;
    for group in 0..count {
        let digits = short(8 + 2 * usize::try_from(group).ok()?)?;
        value += f64::from(digits) * 10_000f64.powi(i32::from(weight) - i32::from(group));
    }
    match sign {
        0 => Some(value),
        0x4000 => Some(-value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(oid: u32, format: Format, bytes: &[u8], expected: Option<&str>) {
        let found = value(oid, format, Some(bytes)).map(|value| value.to_string());
        assert_eq!(found.ok().as_deref(), expected, "{oid} {bytes:?}");
    }

    #[test]
    fn text_is_read_by_type() {
        let check = |oid, text: &str, expected| check(oid, Format::Text, text.as_bytes(), expected);
        check(types::INT4, "7", Some("7"));
        check(types::INT4, "seven", None);
        check(types::BOOL, "t", Some("true"));
        check(types::BOOL, "maybe", None);
        check(types::TEXT, "a", Some("a"));
        check(705, "a", Some("a"));
        check(types::NUMERIC, "1.5", Some("1.5"));
        check(types::TIMESTAMPTZ, "2000-01-01 00:00:01+00", Some("946684801000000"));
        check(types::TIMESTAMPTZ, "yesterday", None);
        check(types::BYTEA, "\\x0aff", Some("0AFF"));
        check(1009, "{a,\"b,\\\"c\",null}", Some("[a, b,\"c, ]"));
        check(1016, "{1, 2 }", Some("[1, 2]"));
        check(1009, "{ \"a\" , b}", Some("[a, b]"));
        check(1016, "{1,{2}}", None);
        check(1009, "{\"a", None);
    }

    proptest::proptest! {
        /// Whatever comes is a value or a fault, for every type.
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            for known in types::TYPES {
                for oid in [known.oid, known.array] {
                    let _ = value(oid, Format::Text, Some(&bytes));
                    let _ = value(oid, Format::Binary, Some(&bytes));
                }
            }
        }
    }

    #[test]
    fn bytes_are_read_by_type() {
        let check = |oid, bytes: &[u8], expected| check(oid, Format::Binary, bytes, expected);
        check(types::INT8, &7i64.to_be_bytes(), Some("7"));
        check(types::INT8, &7i32.to_be_bytes(), None);
        check(types::TIMESTAMPTZ, &1_000_000i64.to_be_bytes(), Some("946684801000000"));
        check(types::TIMESTAMPTZ, &i64::MAX.to_be_bytes(), None);
        check(types::NUMERIC, &[0, 2, 0, 0, 0x40, 0, 0, 1, 0, 1, 0x13, 0x88], Some("-1.5"));
        check(types::TEXT, b"a", Some("a"));
        check(1043, b"a", Some("a"));
        // A UUID, a time, a JSONB and a type that nobody knows.
        for oid in [2950, types::TIME, 3802, 99_999] {
            check(oid, b"aaaaaaaaaaaaaaaa", None);
        }
        let day = [&3_600_000_000i64.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, 0]].concat();
        check(
            types::INTERVAL,
            &day,
            Some("IntervalMonthDayNano { months: 0, days: 1, nanoseconds: 3600000000000 }"),
        );
        let list = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4];
        check(1007, &[&list[..], &5i32.to_be_bytes()].concat(), Some("[5]"));
        check(1007, &list, None);
        let many = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1];
        check(1007, &many, None);
    }
}
