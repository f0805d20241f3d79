//! What a condition says about every row that it passes, so that the store can skip the rest.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use pugmark_event::conflict::CONFLICTS_PREFIX;
use pugmark_store::{AnyOf, Prune, PruneOp, PruneValue};

use crate::functions::{ConflictTest, TextTest};

/// Values of one list beyond which a list is not passed on: asking the store for each of them takes
/// longer than it saves.
const VALUES_MAX: usize = 1000;

/// Conditions that every wanted row meets.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) filters: Vec<Prune>,
    pub(crate) any_of: Vec<AnyOf>,
    pub(crate) words: Vec<String>,
}

impl Conditions {
    /// What is known when both these and `other` hold.
    pub(crate) fn add(&mut self, other: Conditions) {
        self.filters.extend(other.filters);
        self.any_of.extend(other.any_of);
        self.words.extend(other.words);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filters.is_empty() && self.any_of.is_empty() && self.words.is_empty()
    }

    /// What is known when these or `other` hold: a column has a value of either.
    pub(crate) fn or(self, other: Conditions) -> Conditions {
        let mut any_of = Vec::new();
        for mut one in self.any_of {
            let twin = other.any_of.iter().find(|two| two.column == one.column);
            let Some(two) = twin else { continue };
            for value in &two.values {
                if !one.values.contains(value) {
                    one.values.push(value.clone());
                }
            }
            if one.values.len() <= VALUES_MAX {
                any_of.push(one);
            }
        }
        Conditions { any_of, ..Conditions::default() }
    }

    /// What is known when these hold, or a value of `column` that did not fit passes: the store
    /// looks at such values by itself.
    fn or_conflicts(mut self, column: &str) -> Conditions {
        self.filters.retain(|c| c.column == column);
        self.any_of.retain(|c| c.column == column);
        self.words.clear();
        self
    }
}

/// Conditions that every row passing `filter` meets. Empty when nothing is known.
pub(crate) fn conditions(filter: &Expr) -> Conditions {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            let mut both = conditions(left);
            both.add(conditions(right));
            both
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            match (conflicts_of(left), conflicts_of(right)) {
                (None, Some(column)) => conditions(left).or_conflicts(column),
                (Some(column), None) => conditions(right).or_conflicts(column),
                _ => conditions(left).or(conditions(right)),
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => comparison(left, *op, right),
        Expr::Between(between) if !between.negated => {
            let mut both = comparison(&between.expr, Operator::GtEq, &between.low);
            both.add(comparison(&between.expr, Operator::LtEq, &between.high));
            both
        }
        Expr::InList(list) if !list.negated && list.list.len() <= VALUES_MAX => {
            let each = list.list.iter().map(|value| comparison(&list.expr, Operator::Eq, value));
            each.reduce(Conditions::or).unwrap_or_default()
        }
        Expr::IsTrue(inner) => conditions(inner),
        Expr::ScalarFunction(call) => {
            let test = call.func.inner().downcast_ref::<TextTest>();
            let (Some(test), [Expr::Column(column)]) = (test, call.args.as_slice()) else {
                return Conditions::default();
            };
            let any_of = test.check.value().map(|value| AnyOf {
                column: column.name.clone(),
                values: vec![PruneValue::Text(value.to_ascii_lowercase())],
            });
            Conditions {
                any_of: any_of.into_iter().collect(),
                words: test.words.clone(),
                ..Conditions::default()
            }
        }
        _ => Conditions::default(),
    }
}

/// The column whose conflicts are tested, if that is all that `filter` does.
fn conflicts_of(filter: &Expr) -> Option<&str> {
    let Expr::ScalarFunction(call) = filter else { return None };
    call.func.inner().downcast_ref::<ConflictTest>()?;
    match call.args.as_slice() {
        [Expr::Column(column)] => column.name.strip_prefix(CONFLICTS_PREFIX),
        _ => None,
    }
}

fn comparison(left: &Expr, op: Operator, right: &Expr) -> Conditions {
    let (column, value, turned) = match (left, right) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, value, false),
        (Expr::Literal(value, _), Expr::Column(column)) => (column, value, true),
        _ => return Conditions::default(),
    };
    let op = match (op, turned) {
        (Operator::Eq, _) => PruneOp::Eq,
        (Operator::Lt, false) | (Operator::Gt, true) => PruneOp::Lt,
        (Operator::LtEq, false) | (Operator::GtEq, true) => PruneOp::LtEq,
        (Operator::Gt, false) | (Operator::Lt, true) => PruneOp::Gt,
        (Operator::GtEq, false) | (Operator::LtEq, true) => PruneOp::GtEq,
        _ => return Conditions::default(),
    };
    let value = match value {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::Utf8View(Some(text))
        | ScalarValue::LargeUtf8(Some(text)) => PruneValue::Text(text.clone()),
        ScalarValue::Int64(Some(long)) => PruneValue::Long(*long),
        ScalarValue::TimestampMicrosecond(Some(micros), _) => PruneValue::Long(*micros),
        _ => return Conditions::default(),
    };
    let column = column.name.clone();
    let one_of = match &value {
        PruneValue::Text(text) => PruneValue::Text(text.to_ascii_lowercase()),
        long => long.clone(),
    };
    let any_of =
        (op == PruneOp::Eq).then(|| AnyOf { column: column.clone(), values: vec![one_of] });
    Conditions {
        filters: vec![Prune { column, op, value }],
        any_of: any_of.into_iter().collect(),
        words: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::{conflict_test, record_test, text_test};
    use datafusion::logical_expr::{col, ident, lit};
    use pugmark_query::Test;
    use pugmark_query::check::TextCheck;

    #[track_caller]
    fn check(filter: Expr, expected: &str) {
        let found = conditions(&filter);
        let filters =
            found.filters.iter().map(|p| format!("{} {:?} {:?}", p.column, p.op, p.value));
        let any_of = found.any_of.iter().map(|a| format!("{} in {:?}", a.column, a.values));
        let words = found.words.iter().cloned();
        let shown: Vec<String> = filters.chain(any_of).chain(words).collect();
        assert_eq!(shown.join(", "), expected, "{filter}");
    }

    #[test]
    fn only_what_every_row_meets() {
        check(
            col("a").eq(lit(5i64)).and(lit("x").lt(col("b"))),
            "a Eq Long(5), b Gt Text(\"x\"), a in [Long(5)]",
        );
        check(col("a").gt(lit(5i64)).or(col("a").lt(lit(6i64))), "");
        check(col("a").between(lit(1i64), lit(2i64)), "a GtEq Long(1), a LtEq Long(2)");
        check(col("a").not_between(lit(1i64), lit(2i64)), "");
        check(col("a").not_eq(lit(5i64)), "");
    }

    #[test]
    fn alternatives_of_one_column_are_a_list() {
        let a = |value: &str| col("a").eq(lit(value));
        check(a("X").or(a("y")).or(a("x")), "a in [Text(\"x\"), Text(\"y\")]");
        check(a("x").and(col("b").eq(lit(1i64))).or(a("y")), "a in [Text(\"x\"), Text(\"y\")]");
        check(a("x").or(col("b").eq(lit(1i64))), "");
        check(col("a").in_list(vec![lit("x"), lit("Y")], false), "a in [Text(\"x\"), Text(\"y\")]");
        check(col("a").in_list(vec![lit("x")], true), "");
        check(col("a").in_list(vec![lit("x"), col("b")], false), "");
    }

    #[test]
    fn tests_of_text() {
        let equals = || TextCheck::new(&Test::Equals("Root".into())).unwrap();
        let test = || text_test(col("u"), equals(), "root".into());
        let conflicts = |column: &str| {
            conflict_test(ident(format!("conflicts.{column}")), equals(), "r".into())
        };
        check(test(), "u in [Text(\"root\")]");
        check(test().is_not_true(), "");
        check(test().or(conflicts("u")), "u in [Text(\"root\")]");
        check(conflicts("u").or(test()), "u in [Text(\"root\")]");
        check(test().or(conflicts("v")), "");
        check(conflicts("u").or(conflicts("u")), "");
        check(
            test().or(conflicts("u")).or(col("u").eq(lit("x")).or(conflicts("u"))),
            "u in [Text(\"root\"), Text(\"x\")]",
        );
        let words = record_test(
            col("r"),
            TextCheck::new(&Test::Exists).unwrap(),
            "w".into(),
            vec!["w".into()],
        );
        check(words.clone().and(test()), "u in [Text(\"root\")], w");
        check(words.clone().or(test()), "");
        check(words.or(conflicts("r")), "");
    }
}
