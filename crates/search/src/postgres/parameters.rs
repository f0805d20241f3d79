//! The types of a statement's parameters: as the client says, as the statement says, as they are
//! used, or text.

use std::collections::HashMap;
use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{Expr, LimitClause, Query, Statement, Value, Visit, Visitor};

use super::fault::{Fault, TOO_LONG};
use super::types;

/// Parameters of one statement.
const PARAMETERS_MAX: usize = 1000;
/// What is compared with `ANY ($1)`, where nobody says more.
pub(super) const TEXTS: u32 = 1009;

/// The types that the client or the statement says; 0 where neither does.
///
/// # Errors
/// When there are too many.
pub(super) fn said(statement: &Statement, declared: &[u32]) -> Result<Vec<u32>, Fault> {
    let mut seen = Seen::default();
    let _ = statement.visit(&mut seen);
    let count = seen.types.keys().copied().max().unwrap_or(0).max(declared.len());
    check_count(count)?;
    let oid = |number: usize| match declared.get(number - 1) {
        Some(oid) if *oid != 0 => *oid,
        _ => seen.types.get(&number).copied().unwrap_or(0),
    };
    Ok((1..=count).map(oid).collect())
}

/// Refuses more parameters than a statement may have.
pub(super) fn check_count(count: usize) -> Result<(), Fault> {
    if count <= PARAMETERS_MAX {
        return Ok(());
    }
    let text = format!("a statement has at most {PARAMETERS_MAX} parameters");
    Err(Fault::new(TOO_LONG, text).hint("give a list as one parameter: = ANY ($1)"))
}

/// The same with what the plan knows of those that nobody spoke of.
pub(super) fn complete(said: &[u32], used: &HashMap<String, Option<DataType>>) -> Vec<u32> {
    let guess = |number: usize| match used.get(&format!("${number}")) {
        // Unsigned numbers are ours, not the client's.
        Some(Some(DataType::UInt32)) => types::INT8,
        Some(Some(kind)) => types::of_arrow(kind),
        _ => types::TEXT,
    };
    let all = (1..).zip(said);
    all.map(|(number, oid)| if *oid == 0 { guess(number) } else { *oid }).collect()
}

/// The number of `$1`.
pub(super) fn number(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('$')?.parse().ok().filter(|n| *n > 0),
            _ => None,
        },
        Expr::Nested(inner) => number(inner),
        _ => None,
    }
}

/// Parameters by number, with the type that stands beside them; 0 for none.
#[derive(Default)]
struct Seen {
    types: HashMap<usize, u32>,
}

impl Seen {
    fn see(&mut self, expr: &Expr, oid: u32) {
        if let Some(number) = number(expr) {
            let known = self.types.entry(number).or_default();
            if *known == 0 {
                *known = oid;
            }
        }
    }
}

impl Visitor for Seen {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            let offset = offset.as_ref().map(|offset| &offset.value);
            limit.iter().chain(offset).for_each(|count| self.see(count, types::INT8));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Cast { expr, data_type, .. } => {
                self.see(expr, types::by_sql(&data_type.to_string()).unwrap_or(0));
            }
            Expr::AnyOp { right, .. } => self.see(right, TEXTS),
            expr => self.see(expr, 0),
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    #[track_caller]
    fn check(sql: &str, declared: &[u32], expected: &[u32]) {
        let statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        let found = said(&statement, declared).map_err(|fault| fault.code);
        assert_eq!(found, Ok(expected.to_vec()), "{sql}");
    }

    #[test]
    fn types_stand_beside_parameters() {
        check("SELECT $1", &[], &[0]);
        check("SELECT $1", &[types::INT4], &[types::INT4]);
        check("SELECT $2::bigint, $1", &[], &[0, types::INT8]);
        check("SELECT CAST($1 AS timestamp with time zone)", &[], &[types::TIMESTAMPTZ]);
        check("SELECT $1::int[]", &[], &[1007]);
        check("SELECT 1 LIMIT $1 OFFSET $2", &[], &[types::INT8, types::INT8]);
        check("SELECT a = ANY($1) AND b = ANY(($2)::int8[])", &[0, 0], &[TEXTS, 1016]);
        check("SELECT 1", &[types::TEXT], &[types::TEXT]);
    }
}
