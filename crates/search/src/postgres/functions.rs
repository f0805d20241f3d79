//! Functions of PostgreSQL that clients call to find their way and DataFusion does not have.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::{catalog, types};

/// The function that gives the name of a relation for its number.
pub(super) const RELATION_NAME: &str = "pugmark_relation_name";

/// All of them.
pub(super) fn all() -> Vec<ScalarUDF> {
    let functions = [
        Text { name: "to_regtype", make: |name| Some(types::by_sql(name)?.to_string()) },
        Text { name: "to_regclass", make: |name| Some(catalog::relation_oid(name)?.to_string()) },
        Text { name: "format_type", make: |oid| Some(types::sql_name(oid.parse().ok()?)) },
        Text { name: "quote_ident", make: |name| Some(quote_ident(name)) },
        Text { name: "quote_literal", make: |text| Some(quote(text, '\'')) },
        Text {
            name: RELATION_NAME,
            make: |oid| Some(catalog::relation_name(oid.parse().ok()?).unwrap_or(oid).to_string()),
        },
    ];
    functions.into_iter().map(ScalarUDF::new_from_impl).collect()
}

/// A text made of the text of the first argument; others do not matter.
#[derive(Debug)]
struct Text {
    name: &'static str,
    make: fn(&str) -> Option<String>,
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Text {}

impl std::hash::Hash for Text {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Text {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        static ANY: std::sync::LazyLock<Signature> =
            std::sync::LazyLock::new(|| Signature::variadic_any(Volatility::Immutable));
        &ANY
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let first = args.args.first();
        let first = first.ok_or_else(|| exec_datafusion_err!("{} wants an argument", self.name))?;
        let texts = cast(&first.to_array(args.number_rows)?, &DataType::Utf8)?;
        let made = texts.as_string::<i32>().iter().map(|text| (self.make)(text?));
        let made: ArrayRef = Arc::new(made.collect::<StringArray>());
        Ok(ColumnarValue::Array(made))
    }
}

fn quote_ident(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    let simple = name.starts_with(plain) && name.chars().all(|c| plain(c) || c.is_ascii_digit());
    if simple { name.to_string() } else { quote(name, '"') }
}

fn quote(text: &str, mark: char) -> String {
    let doubled = text.replace(mark, &format!("{mark}{mark}"));
    format!("{mark}{doubled}{mark}")
}
