//! SQL that reads the table `events`, and does nothing else.

use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionContext};
use pugmark_query::SearchError;

use crate::error::{Asked, search_error};
use crate::functions::cidr_match;
use crate::table::EventsTable;

/// Longest text of a statement.
const SQL_BYTES_MAX: usize = 64 << 10;

/// Plans `sql` over `table`.
///
/// # Errors
/// When the SQL is wrong or does anything but read.
pub(crate) async fn frame(
    context: &SessionContext,
    table: EventsTable,
    sql: &str,
    limit: Option<usize>,
) -> Result<DataFrame, SearchError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(SearchError::BadSql(format!("a statement has at most {SQL_BYTES_MAX} bytes")));
    }
    let wrong = |e: &datafusion::error::DataFusionError| search_error(e, Asked::Sql);
    context.register_udf(cidr_match());
    let catalog = MemoryCatalogProvider::new();
    let tables = Arc::new(MemorySchemaProvider::new());
    tables.register_table("events".to_string(), Arc::new(table)).map_err(|e| wrong(&e))?;
    catalog.register_schema("public", tables).map_err(|e| wrong(&e))?;
    context.register_catalog("datafusion", Arc::new(catalog));
    let plan = context.state().create_logical_plan(sql).await.map_err(|e| wrong(&e))?;
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(|_| {
            SearchError::BadSql("only reading is allowed: SELECT, WITH and EXPLAIN".to_string())
        })?;
    let limited = !matches!(
        plan,
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_)
    );
    let frame = context.execute_logical_plan(plan).await.map_err(|e| wrong(&e))?;
    match limit.filter(|_| limited) {
        Some(rows) => frame.limit(0, Some(rows)).map_err(|e| wrong(&e)),
        None => Ok(frame),
    }
}
