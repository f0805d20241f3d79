//! What a condition says about every row that it passes, so that the store can skip the rest.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use pugmark_store::{Prune, PruneOp, PruneValue};

use crate::functions::TextTest;

/// Conditions on single columns that every row passing `filter` meets. Empty when nothing is
/// known.
pub(crate) fn conditions(filter: &Expr) -> Vec<Prune> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            [conditions(left), conditions(right)].concat()
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            comparison(left, *op, right).into_iter().collect()
        }
        Expr::Between(between) if !between.negated => {
            let low = comparison(&between.expr, Operator::GtEq, &between.low);
            let high = comparison(&between.expr, Operator::LtEq, &between.high);
            low.into_iter().chain(high).collect()
        }
        Expr::IsTrue(inner) => conditions(inner),
        Expr::ScalarFunction(call) => {
            let test = call.func.inner().downcast_ref::<TextTest>();
            match (test.and_then(|t| t.check.bounds()), call.args.as_slice()) {
                (Some((low, high)), [Expr::Column(column)]) => {
                    let bound = |op, value| Prune {
                        column: column.name.clone(),
                        op,
                        value: PruneValue::Text(value),
                    };
                    vec![bound(PruneOp::GtEq, low), bound(PruneOp::LtEq, high)]
                }
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

fn comparison(left: &Expr, op: Operator, right: &Expr) -> Option<Prune> {
    let (column, value, turned) = match (left, right) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, value, false),
        (Expr::Literal(value, _), Expr::Column(column)) => (column, value, true),
        _ => return None,
    };
    let op = match (op, turned) {
        (Operator::Eq, _) => PruneOp::Eq,
        (Operator::Lt, false) | (Operator::Gt, true) => PruneOp::Lt,
        (Operator::LtEq, false) | (Operator::GtEq, true) => PruneOp::LtEq,
        (Operator::Gt, false) | (Operator::Lt, true) => PruneOp::Gt,
        (Operator::GtEq, false) | (Operator::LtEq, true) => PruneOp::GtEq,
        _ => return None,
    };
    let value = match value {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::Utf8View(Some(text))
        | ScalarValue::LargeUtf8(Some(text)) => PruneValue::Text(text.clone()),
        ScalarValue::Int64(Some(long)) => PruneValue::Long(*long),
        ScalarValue::TimestampMicrosecond(Some(micros), _) => PruneValue::Long(*micros),
        _ => return None,
    };
    Some(Prune { column: column.name.clone(), op, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::text_test;
    use datafusion::logical_expr::{col, lit};
    use pugmark_query::Test;
    use pugmark_query::check::TextCheck;

    #[track_caller]
    fn check(filter: Expr, expected: &str) {
        let found: Vec<String> = conditions(&filter)
            .into_iter()
            .map(|p| format!("{} {:?} {:?}", p.column, p.op, p.value))
            .collect();
        assert_eq!(found.join(", "), expected, "{filter}");
    }

    #[test]
    fn only_what_every_row_meets() {
        check(col("a").eq(lit(5i64)).and(lit("x").lt(col("b"))), "a Eq Long(5), b Gt Text(\"x\")");
        check(col("a").eq(lit(5i64)).or(col("a").eq(lit(6i64))), "");
        check(col("a").between(lit(1i64), lit(2i64)), "a GtEq Long(1), a LtEq Long(2)");
        check(col("a").not_between(lit(1i64), lit(2i64)), "");
        check(col("a").not_eq(lit(5i64)), "");
        let test = TextCheck::new(&Test::Equals("Root".into())).unwrap();
        let test = text_test(col("u"), test, "root".into());
        check(test.clone(), "u GtEq Text(\"ROOT\"), u LtEq Text(\"root\")");
        check(test.is_not_true(), "");
    }
}
