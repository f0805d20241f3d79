//! Functions that DataFusion calls for us: reading an attribute, testing text, reading a number.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Builder, Int64Array, PrimitiveArray, StringArray,
};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use pugmark_event::time::{self, Micros};
use pugmark_query::check::{Number, TextCheck};
use pugmark_query::functions::{UTC, start_of};

fn signature() -> Signature {
    Signature::any(1, Volatility::Immutable)
}

fn array(args: &ScalarFunctionArgs, at: usize) -> Result<ArrayRef> {
    match args.args.get(at) {
        Some(value) => value.to_array(args.number_rows),
        None => exec_err!("argument {} is missing", at + 1),
    }
}

/// Whether the text of a value passes `check`; `identity` tells two checks apart.
pub(crate) fn text_test(value: Expr, check: TextCheck, identity: String) -> Expr {
    record_test(value, check, identity, Vec::new())
}

/// Like [`text_test`] of whole records; those that pass have all of `words`.
pub(crate) fn record_test(
    record: Expr,
    check: TextCheck,
    identity: String,
    words: Vec<String>,
) -> Expr {
    ScalarUDF::new_from_impl(TextTest { check, identity, words, signature: signature() })
        .call(vec![record])
}

/// A test of text, also of the text that a number or a time is shown as. Never null.
#[derive(Debug)]
pub(crate) struct TextTest {
    pub(crate) check: TextCheck,
    identity: String,
    /// What the store may skip by.
    pub(crate) words: Vec<String>,
    signature: Signature,
}

impl PartialEq for TextTest {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for TextTest {}

impl Hash for TextTest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

impl ScalarUDFImpl for TextTest {
    fn name(&self) -> &str {
        "text_test"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let value = args.first().map(|e| e.schema_name().to_string()).unwrap_or_default();
        Ok(format!("text_test({value}, {})", self.identity))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = array(&args, 0)?;
        let passes = |test: &dyn Fn(usize) -> bool| {
            BooleanBuffer::collect_bool(values.len(), |row| values.is_valid(row) && test(row))
        };
        let check = &self.check;
        let found = match values.data_type() {
            DataType::Utf8 => {
                let texts: &StringArray = values.as_string();
                passes(&|row| check.matches(texts.value(row)))
            }
            DataType::Utf8View => {
                let texts = values.as_string_view();
                passes(&|row| check.matches(texts.value(row)))
            }
            DataType::Int64 => {
                let longs: &Int64Array = values.as_primitive();
                passes(&|row| check.matches(&longs.value(row).to_string()))
            }
            DataType::Float64 => {
                let floats = values.as_primitive::<Float64Type>();
                passes(&|row| check.matches(&floats.value(row).to_string()))
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let times = values.as_primitive::<TimestampMicrosecondType>();
                passes(&|row| check.matches(&time::format(times.value(row))))
            }
            DataType::Boolean => {
                let bools = values.as_boolean();
                passes(&|row| check.matches(if bools.value(row) { "true" } else { "false" }))
            }
            other => return exec_err!("a {other} value has no text to test"),
        };
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(found, None))))
    }
}

/// Whether one of the texts in a list passes `check`: the values of a field that did not fit.
pub(crate) fn conflict_test(list: Expr, check: TextCheck, identity: String) -> Expr {
    ScalarUDF::new_from_impl(ConflictTest { check, identity, signature: signature() })
        .call(vec![list])
}

/// A test of lists of text. Never null.
#[derive(Debug)]
pub(crate) struct ConflictTest {
    check: TextCheck,
    identity: String,
    signature: Signature,
}

impl PartialEq for ConflictTest {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for ConflictTest {}

impl Hash for ConflictTest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

impl ScalarUDFImpl for ConflictTest {
    fn name(&self) -> &str {
        "conflict_test"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let value = args.first().map(|e| e.schema_name().to_string()).unwrap_or_default();
        Ok(format!("conflict_test({value}, {})", self.identity))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let lists = array(&args, 0)?;
        // Nearly always there is none.
        if lists.null_count() == lists.len() {
            return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(false))));
        }
        let Some(lists) = lists.as_list_opt::<i32>() else {
            return exec_err!("conflicts are lists, not {}", lists.data_type());
        };
        let Some(texts) = lists.values().as_string_opt::<i32>() else {
            return exec_err!("conflicts are texts, not {}", lists.value_type());
        };
        let ends = lists.value_offsets();
        let found = BooleanBuffer::collect_bool(lists.len(), |row| {
            let mut here = ends[row] as usize..ends[row + 1] as usize;
            lists.is_valid(row) && here.any(|i| self.check.matches(texts.value(i)))
        });
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(found, None))))
    }
}

/// The number that a text is, null where it is none.
pub(crate) fn number(text: Expr) -> Expr {
    ScalarUDF::new_from_impl(AsNumber { signature: signature() }).call(vec![text])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AsNumber {
    signature: Signature,
}

impl ScalarUDFImpl for AsNumber {
    fn name(&self) -> &str {
        "as_number"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = array(&args, 0)?;
        let mut numbers = Float64Builder::with_capacity(values.len());
        match values.data_type() {
            DataType::Utf8 => {
                for text in values.as_string::<i32>() {
                    numbers.append_option(text.and_then(Number::parse).map(Number::float));
                }
            }
            DataType::Int64 => {
                for long in values.as_primitive::<Int64Type>() {
                    numbers.append_option(long.map(|l| l as f64));
                }
            }
            DataType::Float64 => return Ok(ColumnarValue::Array(values)),
            DataType::Boolean => {
                for bool in values.as_boolean() {
                    numbers.append_option(bool.map(|b| f64::from(u8::from(b))));
                }
            }
            _ => numbers.append_nulls(values.len()),
        }
        Ok(ColumnarValue::Array(Arc::new(numbers.finish())))
    }
}

/// The start of the stretch of `span` microseconds in which a time lies.
pub(crate) fn bucket(time: Expr, span: Micros) -> Expr {
    ScalarUDF::new_from_impl(Bucket { span: span.max(1), signature: signature() }).call(vec![time])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bucket {
    span: Micros,
    signature: Signature,
}

impl ScalarUDFImpl for Bucket {
    fn name(&self) -> &str {
        "bucket"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(pugmark_event::fields::Kind::Time.data_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = array(&args, 0)?;
        let Some(times) = values.as_primitive_opt::<TimestampMicrosecondType>() else {
            return exec_err!("a bucket is of a time, not of {}", values.data_type());
        };
        let starts: PrimitiveArray<TimestampMicrosecondType> =
            times.unary(|t| start_of(t, self.span, UTC));
        Ok(ColumnarValue::Array(Arc::new(starts.with_timezone("UTC"))))
    }
}

/// `cidr_match(address, '10.0.0.0/8')` for SQL.
pub(crate) fn cidr_match() -> ScalarUDF {
    let signature = Signature::exact(vec![DataType::Utf8, DataType::Utf8], Volatility::Immutable);
    ScalarUDF::new_from_impl(CidrMatch { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CidrMatch {
    signature: Signature,
}

impl ScalarUDFImpl for CidrMatch {
    fn name(&self) -> &str {
        "cidr_match"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let network = match args.args.get(1) {
            Some(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text)))) => text.as_str(),
            _ => return exec_err!("the network of cidr_match is a text such as '10.0.0.0/8'"),
        };
        let Ok(network) = network.parse::<ipnet::IpNet>() else {
            return exec_err!("{network} is no network such as 10.0.0.0/8");
        };
        let texts = array(&args, 0)?;
        let found: BooleanArray = texts
            .as_string::<i32>()
            .iter()
            .map(|text| {
                text.map(|t| t.parse().is_ok_and(|a: std::net::IpAddr| network.contains(&a)))
            })
            .collect();
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

/// The literal that a time column compares with.
pub(crate) fn time_literal(time: Micros) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(time), Some("UTC".into())))
}
