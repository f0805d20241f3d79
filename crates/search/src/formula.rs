//! Expressions over batches: of numbers a column at a time, of one dictionary once for each of its
//! values, of all else cell by cell. In each way a value is what the evaluator says.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, DictionaryArray, Int32Array,
    PrimitiveArray, RecordBatch, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use pugmark_query::Expr;
use pugmark_query::eval::{Cell, Shape};
use pugmark_query::expr::Program;

use crate::cells::{Cells, array, data_type};
use crate::names::Names;

/// An expression made ready for batches.
#[derive(Debug)]
pub(crate) struct Formula {
    expr: Expr,
    program: Program,
    /// The column of each of its fields, and what its values are.
    fields: Vec<(String, Shape)>,
}

impl Formula {
    /// Makes `expr` ready for batches with these names.
    ///
    /// # Errors
    /// With a sentence when a literal is not what its function takes, or a name is not known.
    pub(crate) fn new(expr: &Expr, names: &Names) -> Result<Self, String> {
        let program = Program::new(expr, names.scope())?;
        let fields = program.fields().iter().map(|field| {
            let column = names.column(field).ok_or_else(|| format!("no column `{field}`"))?;
            Ok((column, names.scope().shape(field)))
        });
        let fields = fields.collect::<Result<_, String>>()?;
        Ok(Self { expr: expr.clone(), program, fields })
    }

    /// The columns that it reads.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &String> {
        self.fields.iter().map(|(column, _)| column)
    }

    /// What its values are.
    pub(crate) fn shape(&self) -> Shape {
        self.program.shape()
    }

    /// Its value in each row. Text may be a dictionary.
    pub(crate) fn values(&self, batch: &RecordBatch) -> ArrayRef {
        if let Some(values) = self.whole(batch) {
            return values;
        }
        let cells = self.cells(batch);
        array((0..batch.num_rows()).map(|row| self.run(&cells, row)), self.shape())
    }

    /// The rows in which it is true, of those that `open` has.
    pub(crate) fn holds(&self, batch: &RecordBatch, open: &BooleanBuffer) -> BooleanBuffer {
        let whole = self.whole(batch);
        if let Some(truths) = whole.as_ref().and_then(|values| values.as_boolean_opt()) {
            return open & &is_true(truths);
        }
        let cells = self.cells(batch);
        crate::filter::rows_of(open, |row| self.run(&cells, row).is_true())
    }

    fn cells<'a>(&self, batch: &'a RecordBatch) -> Vec<Cells<'a>> {
        let column = |name: &String| batch.column_by_name(name).map_or(Cells::Other, Cells::of);
        self.columns().map(column).collect()
    }

    fn run(&self, cells: &[Cells<'_>], row: usize) -> Cell {
        let cell = |field: usize| self.fields[field].1.fit(cells[field].cell(row));
        self.program.run(&cell)
    }

    /// Its values where they need not be computed cell by cell.
    fn whole(&self, batch: &RecordBatch) -> Option<ArrayRef> {
        if let [(column, _)] = self.fields.as_slice() {
            let column = batch.column_by_name(column)?;
            if matches!(column.data_type(), DataType::Dictionary(..)) {
                return Some(of_each(column, self.shape(), |cell| {
                    self.program.run(&|_| cell.clone())
                }));
            }
        }
        self.numbers(&self.expr, batch)
    }

    /// The values of a part of the expression that is of numbers alone: integers, numbers, or
    /// whether a comparison of them is true, which is never absent.
    fn numbers(&self, expr: &Expr, batch: &RecordBatch) -> Option<ArrayRef> {
        match self.operand(expr, batch)? {
            Operand::Column(column) => Some(column),
            Operand::Long(_) | Operand::Float(_) => None,
        }
    }

    fn operand(&self, expr: &Expr, batch: &RecordBatch) -> Option<Operand> {
        match expr {
            Expr::Field(field) => {
                let place = self.program.fields().iter().position(|known| known == field)?;
                let (column, shape) = &self.fields[place];
                // Of text the cells alone know whether it is a number.
                if !matches!(shape, Shape::Long | Shape::Float) {
                    return None;
                }
                let column = batch.column_by_name(column);
                let absent = || new_null_array(&data_type(*shape), batch.num_rows());
                Some(Operand::Column(column.cloned().unwrap_or_else(absent)))
            }
            Expr::Literal(Cell::Long(long)) => Some(Operand::Long(*long)),
            Expr::Literal(Cell::Float(float)) => Some(Operand::Float(*float)),
            Expr::Literal(_) | Expr::Regex(_) => None,
            Expr::Call(function, args) => {
                let [a, b] = args.as_slice() else { return None };
                let (a, b) = (self.operand(a, batch)?, self.operand(b, batch)?);
                call(function.name, &a, &b).map(Operand::Column)
            }
        }
    }
}

/// What an operator works on: a column, or a number that is the same in each row.
enum Operand {
    Column(ArrayRef),
    Long(i64),
    Float(f64),
}

impl Operand {
    fn longs(&self) -> Option<Side<Int64Type>> {
        match self {
            Operand::Column(column) => column.as_primitive_opt().cloned().map(Side::Column),
            Operand::Long(long) => Some(Side::Same(*long)),
            Operand::Float(_) => None,
        }
    }

    fn floats(&self) -> Option<Side<Float64Type>> {
        match self {
            Operand::Column(column) => match column.as_primitive_opt::<Int64Type>() {
                Some(longs) => Some(Side::Column(longs.unary(|long| long as f64))),
                None => column.as_primitive_opt().cloned().map(Side::Column),
            },
            Operand::Long(long) => Some(Side::Same(*long as f64)),
            Operand::Float(float) => Some(Side::Same(*float)),
        }
    }
}

/// One side of an operator, of one type of numbers.
enum Side<T: ArrowPrimitiveType> {
    Column(PrimitiveArray<T>),
    Same(T::Native),
}

/// What an operator makes of both sides; `None` where both are the same in each row.
fn computed<T: ArrowPrimitiveType>(
    (a, b): (&Side<T>, &Side<T>),
    of: impl Fn(T::Native, T::Native) -> Option<T::Native>,
) -> Option<ArrayRef> {
    let found: PrimitiveArray<T> = match (a, b) {
        (Side::Column(a), Side::Column(b)) => a.iter().zip(b).map(|(a, b)| of(a?, b?)).collect(),
        (Side::Column(a), Side::Same(b)) => a.unary_opt(|a| of(a, *b)),
        (Side::Same(a), Side::Column(b)) => b.unary_opt(|b| of(*a, b)),
        (Side::Same(_), Side::Same(_)) => return None,
    };
    Some(Arc::new(found))
}

/// Whether a comparison is true: with an absent value it is false.
fn compared<T: ArrowPrimitiveType>(
    (a, b): (&Side<T>, &Side<T>),
    test: impl Fn(T::Native, T::Native) -> bool,
) -> Option<ArrayRef> {
    let found = match (a, b) {
        (Side::Column(a), Side::Column(b)) => BooleanArray::from_binary(a, b, test),
        (Side::Column(a), Side::Same(b)) => BooleanArray::from_unary(a, |a| test(a, *b)),
        (Side::Same(a), Side::Column(b)) => BooleanArray::from_unary(b, |b| test(*a, b)),
        (Side::Same(_), Side::Same(_)) => return None,
    };
    Some(Arc::new(BooleanArray::from(is_true(&found))))
}

/// Operators of numbers.
fn call(name: &str, a: &Operand, b: &Operand) -> Option<ArrayRef> {
    if let Some((a, b)) = a.longs().zip(b.longs())
        && let Some(found) = long_call(name, (&a, &b))
    {
        return Some(found);
    }
    float_call(name, (&a.floats()?, &b.floats()?))
}

/// Comparisons.
fn comparison<T: ArrowPrimitiveType>(name: &str, sides: (&Side<T>, &Side<T>)) -> Option<ArrayRef> {
    match name {
        "=" | "==" => compared(sides, |a, b| a == b),
        "!=" => compared(sides, |a, b| a != b),
        "<" => compared(sides, |a, b| a < b),
        "<=" => compared(sides, |a, b| a <= b),
        ">" => compared(sides, |a, b| a > b),
        ">=" => compared(sides, |a, b| a >= b),
        _ => None,
    }
}

/// Operators of integers: absent where the result would be too large. `None` for those that make
/// other numbers.
fn long_call(name: &str, sides: (&Side<Int64Type>, &Side<Int64Type>)) -> Option<ArrayRef> {
    match name {
        "+" => computed(sides, i64::checked_add),
        "-" => computed(sides, i64::checked_sub),
        "*" => computed(sides, i64::checked_mul),
        "%" => computed(sides, i64::checked_rem),
        _ => comparison(name, sides),
    }
}

/// Operators of numbers: absent where there is no finite one.
fn float_call(name: &str, sides: (&Side<Float64Type>, &Side<Float64Type>)) -> Option<ArrayRef> {
    // Added as by `Cell::float`: there is one zero.
    let finite = |float: f64| float.is_finite().then_some(float + 0.0);
    match name {
        "+" => computed(sides, |a, b| finite(a + b)),
        "-" => computed(sides, |a, b| finite(a - b)),
        "*" => computed(sides, |a, b| finite(a * b)),
        "/" => computed(sides, |a, b| finite(a / b)),
        "%" => computed(sides, |a, b| finite(a % b)),
        _ => comparison(name, sides),
    }
}

/// The rows in which it is neither false nor absent.
fn is_true(truths: &BooleanArray) -> BooleanBuffer {
    match truths.nulls() {
        Some(nulls) => truths.values() & nulls.inner(),
        None => truths.values().clone(),
    }
}

/// What `of` makes of the values of a column, which has that shape: of a dictionary once for each
/// value that some row has.
pub(crate) fn of_each(column: &ArrayRef, shape: Shape, of: impl Fn(Cell) -> Cell) -> ArrayRef {
    let cells = Cells::of(column);
    let Cells::Dictionary(keys, texts) = cells else {
        return array((0..column.len()).map(|row| of(cells.cell(row))), shape);
    };
    // What is made of no value stands behind the others.
    let absent = texts.len();
    let mut known: Vec<Option<Cell>> = vec![None; absent + 1];
    let places = (0..keys.len()).map(|row| {
        let place = if keys.is_valid(row) { keys.value(row) as usize } else { absent };
        known[place].get_or_insert_with(|| of(cells.cell(row)));
        place as i32
    });
    let places = Int32Array::from_iter_values(places);
    let values = array(known.into_iter().map(|cell| cell.unwrap_or(Cell::Null)), shape);
    match shape {
        Shape::Text => Arc::new(DictionaryArray::new(places, values)),
        _ => take(&values, &places, None).expect("every place is one of the values"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::Int32Type;
    use pugmark_query::parse_expr;

    fn batch(dictionary: bool) -> RecordBatch {
        let bytes = [Some(0), Some(2048), None, Some(i64::MAX), Some(-7), Some(5)];
        let ports = [Some(22), None, None, Some(2), Some(0), Some(5)];
        let users = [Some("root"), Some("Bob"), None, Some("5"), Some(""), Some("root")];
        let plain = Arc::new(StringArray::from(users.to_vec())) as ArrayRef;
        let users: ArrayRef = match dictionary {
            true => Arc::new(users.into_iter().collect::<DictionaryArray<Int32Type>>()),
            false => plain,
        };
        RecordBatch::try_from_iter_with_nullable([
            ("source_bytes", Arc::new(Int64Array::from(bytes.to_vec())) as ArrayRef, true),
            ("source_port", Arc::new(Int64Array::from(ports.to_vec())) as ArrayRef, true),
            ("user_name", users, true),
        ])
        .unwrap()
    }

    /// Whole columns are what the cells are.
    #[track_caller]
    fn check(expr: &str, whole: bool) {
        for dictionary in [false, true] {
            let batch = batch(dictionary);
            let formula = Formula::new(&parse_expr(expr).unwrap(), &Names::events()).unwrap();
            let cells = formula.cells(&batch);
            let expected: Vec<Cell> = (0..6).map(|row| formula.run(&cells, row)).collect();
            let values = formula.values(&batch);
            let found = Cells::of(&values);
            let found: Vec<Cell> = (0..6).map(|row| found.cell(row)).collect();
            assert_eq!(found, expected, "{expr}");
            let all = BooleanBuffer::new_set(6);
            let truths: Vec<bool> = expected.iter().map(Cell::is_true).collect();
            let holds: Vec<bool> = formula.holds(&batch, &all).iter().collect();
            assert_eq!(holds, truths, "{expr}");
            let by_column = formula.numbers(&formula.expr, &batch).is_some();
            assert_eq!(by_column, whole, "{expr}");
        }
    }

    #[test]
    fn columns_are_computed_as_cells_are() {
        for operator in ["+", "-", "*", "/", "%", "=", "==", "!=", "<", "<=", ">", ">="] {
            for (a, b) in [
                ("source.bytes", "source.port"),
                ("source.bytes", "1024"),
                ("source.bytes / 1024", "4"),
                ("2", "source.port"),
                ("source.bytes", "0.5"),
                ("absent_one", "1"),
            ] {
                check(&format!("({a}) {operator} ({b})"), a != "absent_one");
            }
        }
        check("user.name + 1", false);
        check("lower(user.name)", false);
        check("len(user.name)", false);
        check("coalesce(user.name, \"nobody\")", false);
        check("user.name = \"ROOT\"", false);
        check("source.bytes > 4 and user.name = \"root\"", false);
    }
}
