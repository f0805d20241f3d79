//! Values of an answer as clients read them, as text or in PostgreSQL's binary forms.

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BooleanArray, Date32Array,
    Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray,
    ListArray, PrimitiveArray, RecordBatch, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};
use chrono::{DateTime, NaiveDate, NaiveTime};

use super::types;
use super::wire::{Format, format_at};

/// Microseconds and days from 1970 to 2000, from which PostgreSQL counts.
pub(super) const EPOCH_MICROS: i64 = 946_684_800_000_000;
pub(super) const EPOCH_DAYS: i32 = 10_957;

/// The values of one column, in one of the few forms in which they are written.
enum Cells {
    Bool(BooleanArray),
    Short(Int16Array),
    Int(Int32Array),
    Long(Int64Array),
    Oid(UInt32Array),
    Real(Float32Array),
    Double(Float64Array),
    Text(StringArray),
    Bytes(BinaryArray),
    /// With what is written behind the text of each.
    Moment(TimestampMicrosecondArray, &'static str),
    Date(Date32Array),
    Time(Time64MicrosecondArray),
    Interval(IntervalMonthDayNanoArray),
    /// As text, with as many digits as they have.
    Numeric(StringArray),
    /// With what is in all of them, and its type.
    List(ListArray, Box<Cells>, u32),
}

/// Rows that are ready to be written.
pub(super) struct Rows {
    columns: Vec<(Cells, Option<NullBuffer>, Format)>,
}

impl Rows {
    pub(super) fn new(batch: &RecordBatch, formats: &[Format]) -> Result<Self, ArrowError> {
        let columns = batch.columns().iter().enumerate();
        let columns = columns.map(|(index, array)| {
            Ok((Cells::new(array)?, array.logical_nulls(), format_at(formats, index)))
        });
        Ok(Self { columns: columns.collect::<Result<_, ArrowError>>()? })
    }

    /// Writes the body of a DataRow.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        out.extend(u16::try_from(self.columns.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (cells, nulls, format) in &self.columns {
            match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                true => out.extend((-1i32).to_be_bytes()),
                false => put_value(out, |out| cells.write(row, *format, out)),
            }
        }
    }
}

/// Writes the length of a value, and the value.
fn put_value(out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend([0; 4]);
    value(out);
    let length = i32::try_from(out.len() - at - 4).unwrap_or(i32::MAX);
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// A cast that is an error where a value does not fit, instead of a value that is not there.
fn cast(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, kind, &CastOptions { safe: false, ..CastOptions::default() })
}

fn numbers<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<PrimitiveArray<T>, ArrowError> {
    Ok(cast(array, &T::DATA_TYPE)?.as_primitive::<T>().clone())
}

impl Cells {
    fn new(array: &ArrayRef) -> Result<Self, ArrowError> {
        Ok(match types::of_arrow(array.data_type()) {
            types::BOOL => Self::Bool(array.as_boolean().clone()),
            types::INT2 => Self::Short(numbers(array)?),
            types::INT4 => Self::Int(numbers(array)?),
            types::INT8 => Self::Long(numbers(array)?),
            types::OID => Self::Oid(numbers(array)?),
            types::FLOAT4 => Self::Real(numbers(array)?),
            types::FLOAT8 => Self::Double(numbers(array)?),
            types::BYTEA => Self::Bytes(cast(array, &DataType::Binary)?.as_binary().clone()),
            types::TIMESTAMPTZ => Self::Moment(moments(array)?, "+00"),
            types::TIMESTAMP => Self::Moment(moments(array)?, ""),
            types::DATE => Self::Date(numbers(array)?),
            types::TIME => Self::Time(numbers(array)?),
            types::INTERVAL => Self::Interval(numbers(array)?),
            types::NUMERIC => Self::Numeric(texts(array)?),
            types::JSON => Self::Text(json(array)?),
            types::TEXT => Self::Text(texts(array)?),
            other => Self::list(array, other)?,
        })
    }

    fn list(array: &ArrayRef, oid: u32) -> Result<Self, ArrowError> {
        let element = types::element_of(oid).map_or(types::TEXT, |element| element.oid);
        let kind = DataType::new_list(types::to_arrow(element), true);
        let list = match array.data_type() {
            DataType::List(_) => array.as_list::<i32>().clone(),
            _ => cast(array, &kind)?.as_list::<i32>().clone(),
        };
        let cells = Self::new(list.values())?;
        Ok(Self::List(list, Box::new(cells), element))
    }

    fn write(&self, row: usize, format: Format, out: &mut Vec<u8>) {
        match format {
            Format::Text => self.write_text(row, out),
            Format::Binary => self.write_binary(row, out),
        }
    }

    fn write_text(&self, row: usize, out: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        let _ = match self {
            Self::Bool(values) => write!(out, "{}", if values.value(row) { 't' } else { 'f' }),
            Self::Short(values) => write!(out, "{}", values.value(row)),
            Self::Int(values) => write!(out, "{}", values.value(row)),
            Self::Long(values) => write!(out, "{}", values.value(row)),
            Self::Oid(values) => write!(out, "{}", values.value(row)),
            Self::Real(values) => write_float(f64::from(values.value(row)), values.value(row), out),
            Self::Double(values) => write_float(values.value(row), values.value(row), out),
            Self::Text(values) | Self::Numeric(values) => out.write_all(clean(values.value(row))),
            Self::Bytes(values) => {
                let hex = values.value(row).iter().try_fold(String::new(), |mut hex, byte| {
                    write!(hex, "{byte:02x}").map(|()| hex)
                });
                write!(out, "\\x{}", hex.unwrap_or_default())
            }
            Self::Moment(values, zone) => write_moment(values.value(row), zone, out),
            Self::Date(values) => write_date(values.value(row), out),
            Self::Time(values) => write_time(values.value(row), out),
            Self::Interval(values) => write_interval(values.value(row), out),
            Self::List(lists, cells, _) => write_list(lists, row, cells, out),
        };
    }

    fn write_binary(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Bool(values) => out.push(u8::from(values.value(row))),
            Self::Short(values) => out.extend(values.value(row).to_be_bytes()),
            Self::Int(values) => out.extend(values.value(row).to_be_bytes()),
            Self::Long(values) => out.extend(values.value(row).to_be_bytes()),
            Self::Oid(values) => out.extend(values.value(row).to_be_bytes()),
            Self::Real(values) => out.extend(values.value(row).to_be_bytes()),
            Self::Double(values) => out.extend(values.value(row).to_be_bytes()),
            Self::Text(values) => out.extend(clean(values.value(row))),
            Self::Numeric(values) => binary_numeric(values.value(row), out),
            Self::Bytes(values) => out.extend(values.value(row)),
            Self::Moment(values, _) => {
                out.extend(values.value(row).saturating_sub(EPOCH_MICROS).to_be_bytes());
            }
            Self::Date(values) => {
                out.extend(values.value(row).saturating_sub(EPOCH_DAYS).to_be_bytes());
            }
            Self::Time(values) => out.extend(values.value(row).to_be_bytes()),
            Self::Interval(values) => {
                let IntervalMonthDayNano { months, days, nanoseconds } = values.value(row);
                out.extend((nanoseconds / 1000).to_be_bytes());
                out.extend(days.to_be_bytes());
                out.extend(months.to_be_bytes());
            }
            Self::List(lists, cells, element) => binary_list(lists, row, cells, *element, out),
        }
    }
}

/// Text without zero bytes, which the protocol cannot carry.
fn clean(text: &str) -> &[u8] {
    let bytes = text.as_bytes();
    match bytes.contains(&0) {
        true => &bytes[..bytes.iter().position(|byte| *byte == 0).unwrap_or(0)],
        false => bytes,
    }
}

fn texts(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(cast(array, &DataType::Utf8)?.as_string().clone())
}

fn moments(array: &ArrayRef) -> Result<TimestampMicrosecondArray, ArrowError> {
    let zone = match array.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let micros = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, zone))?;
    Ok(micros.as_primitive::<TimestampMicrosecondType>().clone())
}

/// Maps, structs and what else is nested.
fn json(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let field = Arc::new(Field::new("value", array.data_type().clone(), true));
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(&field, array.as_ref(), &options)?;
    let text = |row: usize| {
        let mut text = Vec::new();
        encoder.encode(row, &mut text);
        array.is_valid(row).then(|| String::from_utf8_lossy(&text).into_owned())
    };
    Ok((0..array.len()).map(text).collect())
}

type Written = std::io::Result<()>;

fn write_float(value: f64, shown: impl std::fmt::Display, out: &mut Vec<u8>) -> Written {
    match value {
        _ if value.is_nan() => write!(out, "NaN"),
        f64::INFINITY => write!(out, "Infinity"),
        f64::NEG_INFINITY => write!(out, "-Infinity"),
        _ => write!(out, "{shown}"),
    }
}

fn write_moment(micros: i64, zone: &str, out: &mut Vec<u8>) -> Written {
    match DateTime::from_timestamp_micros(micros) {
        Some(moment) => write!(out, "{}{zone}", moment.format("%Y-%m-%d %H:%M:%S%.f")),
        None => write!(out, "{}infinity", if micros < 0 { "-" } else { "" }),
    }
}

fn write_date(days: i32, out: &mut Vec<u8>) -> Written {
    match NaiveDate::from_epoch_days(days) {
        Some(date) => write!(out, "{date}"),
        None => write!(out, "{}infinity", if days < 0 { "-" } else { "" }),
    }
}

fn write_time(micros: i64, out: &mut Vec<u8>) -> Written {
    let seconds = u32::try_from(micros / 1_000_000).unwrap_or(0);
    let nanos = u32::try_from(micros % 1_000_000 * 1000).unwrap_or(0);
    let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos);
    write!(out, "{}", time.unwrap_or_default().format("%H:%M:%S%.f"))
}

fn write_interval(interval: IntervalMonthDayNano, out: &mut Vec<u8>) -> Written {
    let IntervalMonthDayNano { months, days, nanoseconds } = interval;
    if months != 0 {
        write!(out, "{months} mons ")?;
    }
    if days != 0 {
        write!(out, "{days} days ")?;
    }
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let micros = nanoseconds.unsigned_abs() / 1000;
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(out, "{sign}{hours:02}:{minutes:02}:{seconds:02}")?;
    if micros == 0 { Ok(()) } else { write!(out, ".{micros:06}") }
}

/// Where the items of a list are among those of all lists.
fn items(lists: &ListArray, row: usize) -> Range<usize> {
    let place = |at: usize| usize::try_from(lists.value_offsets()[at]).unwrap_or(0);
    place(row)..place(row + 1)
}

/// `{a,"b c",NULL}`
fn write_list(lists: &ListArray, row: usize, cells: &Cells, out: &mut Vec<u8>) -> Written {
    let items = items(lists, row);
    out.push(b'{');
    for item in items.clone() {
        if item > items.start {
            out.push(b',');
        }
        if lists.values().is_null(item) {
            out.extend(b"NULL");
            continue;
        }
        let mut text = Vec::new();
        cells.write_text(item, &mut text);
        match is_plain(&text) {
            true => out.extend(text),
            false => write_quoted(&text, out),
        }
    }
    out.push(b'}');
    Ok(())
}

/// True for what needs no quotes within a list.
fn is_plain(text: &[u8]) -> bool {
    let special =
        |byte: &u8| matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\' | b' ' | b'\t'..=b'\r');
    !text.is_empty() && !text.eq_ignore_ascii_case(b"null") && !text.iter().any(special)
}

fn write_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

fn binary_list(lists: &ListArray, row: usize, cells: &Cells, element: u32, out: &mut Vec<u8>) {
    let (items, values) = (items(lists, row), lists.values());
    out.extend(i32::from(!items.is_empty()).to_be_bytes());
    out.extend(i32::from(items.clone().any(|item| values.is_null(item))).to_be_bytes());
    out.extend(element.to_be_bytes());
    if items.is_empty() {
        return;
    }
    out.extend(i32::try_from(items.len()).unwrap_or(i32::MAX).to_be_bytes());
    out.extend(1i32.to_be_bytes());
    for item in items {
        match values.is_valid(item) {
            true => put_value(out, |out| cells.write_binary(item, out)),
            false => out.extend((-1i32).to_be_bytes()),
        }
    }
}

/// Groups of four digits: how many, the power of 10,000 of the first, sign, digits after the point.
fn binary_numeric(text: &str, out: &mut Vec<u8>) {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (0x4000u16, digits),
        None => (0, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let padded = whole.len().next_multiple_of(4);
    let all = format!("{whole:0>padded$}{part:0<width$}", width = part.len().next_multiple_of(4));
    let groups: Vec<u16> = (0..all.len() / 4)
        .map(|group| all[group * 4..group * 4 + 4].parse().unwrap_or(0))
        .collect();
    let count = |n: usize| i16::try_from(n).unwrap_or(i16::MAX);
    out.extend(count(groups.len()).to_be_bytes());
    out.extend((count(padded / 4) - 1).to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(count(part.len()).to_be_bytes());
    groups.iter().for_each(|group| out.extend(group.to_be_bytes()));
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Decimal128Array, DurationMicrosecondArray, Int8Array, ListBuilder, MapBuilder,
        StringBuilder, TimestampSecondArray, UInt64Array, UInt64Builder,
    };

    use super::*;

    /// The first row of a column, as text and in hex as bytes.
    #[track_caller]
    fn check(array: ArrayRef, text: &str, binary: &str) {
        let cells = Cells::new(&array).unwrap();
        let (mut found, mut bytes) = (Vec::new(), Vec::new());
        cells.write_text(0, &mut found);
        cells.write_binary(0, &mut bytes);
        assert_eq!(String::from_utf8_lossy(&found), text);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, binary, "{text}");
    }

    #[test]
    fn numbers_are_written_as_postgresql_writes_them() {
        check(Arc::new(BooleanArray::from(vec![true])), "t", "01");
        check(Arc::new(Int8Array::from(vec![-1])), "-1", "ffff");
        check(Arc::new(UInt64Array::from(vec![5])), "5", "0000000000000005");
        check(Arc::new(Float64Array::from(vec![0.5])), "0.5", "3fe0000000000000");
        check(Arc::new(Float64Array::from(vec![f64::INFINITY])), "Infinity", "7ff0000000000000");
        let decimal = |value: i128, scale| {
            let array = Decimal128Array::from(vec![value]);
            Arc::new(array.with_precision_and_scale(20, scale).unwrap())
        };
        check(decimal(-1_234_567, 2), "-12345.67", "0003000140000002000109291a2c");
        check(decimal(5, 0), "5", "00010000000000000005");
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let seconds = TimestampSecondArray::from(vec![i64::MAX]);
        let mut list = ListBuilder::new(UInt64Builder::new());
        list.append_value([Some(u64::MAX)]);
        for array in [
            Arc::new(UInt64Array::from(vec![u64::MAX])) as ArrayRef,
            Arc::new(seconds),
            Arc::new(list.finish()),
        ] {
            assert!(Cells::new(&array).is_err(), "{array:?}");
        }
    }

    #[test]
    fn times_are_counted_from_2000() {
        let moment = TimestampMicrosecondArray::from(vec![EPOCH_MICROS + 1_500_000]);
        let zoned = Arc::new(moment.clone().with_timezone("UTC"));
        check(zoned, "2000-01-01 00:00:01.500+00", "000000000016e360");
        check(Arc::new(moment), "2000-01-01 00:00:01.500", "000000000016e360");
        check(Arc::new(Date32Array::from(vec![EPOCH_DAYS - 1])), "1999-12-31", "ffffffff");
        let span = DurationMicrosecondArray::from(vec![3_661_000_001]);
        check(Arc::new(span), "01:01:01.000001", "00000000da366d410000000000000000");
    }

    #[test]
    fn lists_and_maps_are_arrays_and_json() {
        let mut list = ListBuilder::new(StringBuilder::new());
        list.append_value([Some("a\"b"), None]);
        let binary = "00000001000000010000001900000002000000010000000361226\
            2ffffffff";
        check(Arc::new(list.finish()), "{\"a\\\"b\",NULL}", &binary.replace(' ', ""));
        let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        map.keys().append_value("k\"");
        map.values().append_value("v");
        map.append(true).unwrap();
        let text = r#"{"k\"":"v"}"#;
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        check(Arc::new(map.finish()), text, &hex);
    }
}
