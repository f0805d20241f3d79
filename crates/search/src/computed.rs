//! Expressions of ours as functions of DataFusion.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringBuilder, UInt64Builder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use pugmark_query::eval::{Cell, Shape, items, list};

use crate::cells::{Cells, array, data_type};

/// A function of the cells of one row.
pub(crate) type OfRow = Arc<dyn Fn(&[Cell]) -> Cell + Send + Sync>;

/// A value computed of others; `identity` tells two computations apart.
pub(crate) fn computed(args: Vec<Expr>, shape: Shape, identity: String, of_row: OfRow) -> Expr {
    let signature = Signature::variadic_any(Volatility::Immutable);
    // A function without arguments is called once; what has no inputs is a constant.
    let signature = match args.is_empty() {
        true => Signature::nullary(Volatility::Immutable),
        false => signature,
    };
    let function = Computed { of_row, shape, identity, signature };
    ScalarUDF::new_from_impl(function).call(args)
}

struct Computed {
    of_row: OfRow,
    shape: Shape,
    identity: String,
    signature: Signature,
}

impl std::fmt::Debug for Computed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Computed").field(&self.identity).finish()
    }
}

impl PartialEq for Computed {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity && self.shape == other.shape
    }
}

impl Eq for Computed {}

impl Hash for Computed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

impl ScalarUDFImpl for Computed {
    fn name(&self) -> &str {
        "computed"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let args: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(format!("computed({}; {})", self.identity, args.join(", ")))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(data_type(self.shape))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&args)?;
        let columns: Vec<Cells<'_>> = arrays.iter().map(Cells::of).collect();
        let mut cells = Vec::with_capacity(columns.len());
        let of_row = |row| {
            cells.clear();
            cells.extend(columns.iter().map(|column| column.cell(row)));
            (self.of_row)(&cells)
        };
        Ok(ColumnarValue::Array(array((0..args.number_rows).map(of_row), self.shape)))
    }
}

fn arrays(args: &ScalarFunctionArgs) -> Result<Vec<ArrayRef>> {
    args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect()
}

/// The values of a list in JSON as a list, and their places.
pub(crate) fn items_of(value: Expr) -> [Expr; 2] {
    [true, false].map(|values| {
        let signature = Signature::any(1, Volatility::Immutable);
        ScalarUDF::new_from_impl(Items { values, signature }).call(vec![value.clone()])
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Items {
    /// The values, or else the places.
    values: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Items {
    fn name(&self) -> &str {
        if self.values { "items" } else { "item_places" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        let item = if self.values { DataType::Utf8 } else { DataType::UInt64 };
        Ok(DataType::List(Arc::new(Field::new_list_field(item, true))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&args)?;
        let column = arrays.first().map_or(Cells::Other, Cells::of);
        let lists = (0..args.number_rows).map(|row| items(&column.cell(row)));
        // A row without values stays a row: of a list that is absent, not of one that is empty.
        let array: ArrayRef = match self.values {
            true => {
                let mut builder = ListBuilder::new(StringBuilder::new());
                for list in lists {
                    for item in &list {
                        builder.values().append_option(item.is_some().then(|| item.text()));
                    }
                    builder.append(!list.is_empty());
                }
                Arc::new(builder.finish())
            }
            false => {
                let mut builder = ListBuilder::new(UInt64Builder::new());
                for list in lists {
                    (0..list.len() as u64).for_each(|place| builder.values().append_value(place));
                    builder.append(!list.is_empty());
                }
                Arc::new(builder.finish())
            }
        };
        Ok(ColumnarValue::Array(array))
    }
}

/// A list of texts as text in JSON: each once, in order, so many at most. Absent when it is empty.
pub(crate) fn list_text(list: Expr, values_max: usize) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::new_from_impl(ListText { values_max, signature }).call(vec![list])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ListText {
    values_max: usize,
    signature: Signature,
}

impl ScalarUDFImpl for ListText {
    fn name(&self) -> &str {
        "list_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&args)?;
        let Some(lists) = arrays.first().and_then(|array| array.as_list_opt::<i32>()) else {
            return exec_err!("a list of texts is missing");
        };
        let texts = |row: usize| {
            let list = lists.is_valid(row).then(|| lists.value(row))?;
            let cells = Cells::of(&list);
            let texts = (0..list.len()).map(|item| cells.cell(item)).filter(Cell::is_some);
            Some(texts.map(|cell| cell.text()).collect::<BTreeSet<_>>())
        };
        let shown = (0..lists.len()).map(|row| match texts(row) {
            Some(texts) if !texts.is_empty() => list(texts.into_iter().take(self.values_max)),
            _ => Cell::Null,
        });
        Ok(ColumnarValue::Array(array(shown, Shape::Text)))
    }
}
