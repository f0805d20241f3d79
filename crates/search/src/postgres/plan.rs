//! Statements to plans, over the views and the catalog.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    SchemaProvider,
};
use datafusion::common::ScalarValue;
use datafusion::common::config::Dialect;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::Statement as AnyStatement;
use datafusion::sql::sqlparser::ast::Statement;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::catalog::{Catalog, DATABASE, PublicSchema};
use super::fault::{Fault, TOO_LONG};
use super::functions;
use super::rewrite::{Session, rewrite};
use crate::error::{Asked, search_error};
use crate::functions::cidr_match;
use crate::sql::check_reads;
use crate::trace::Trace;
use crate::views::Views;
use crate::{StoreSearch, stream_of};

/// Bytes of the values of a statement, each as often as it is used.
const VALUES_BYTES_MAX: usize = 16 << 20;

/// Plans statements.
pub(super) struct Planner {
    search: StoreSearch,
    state: SessionState,
}

/// Rows as they are made.
pub(super) type Batches = BoxStream<'static, Result<RecordBatch, Fault>>;

impl Planner {
    pub(super) fn new(search: StoreSearch) -> Self {
        let state = SessionState::clone(&search.state);
        let mut config = state.config().clone().with_default_catalog_and_schema(DATABASE, "public");
        config.options_mut().sql_parser.dialect = Dialect::PostgreSQL;
        config.options_mut().execution.time_zone = Some("UTC".to_string());
        let builder = SessionStateBuilder::new_from_existing(state).with_config(config);
        let context = SessionContext::new_with_state(builder.build());
        context.register_udf(cidr_match());
        functions::all().into_iter().for_each(|function| context.register_udf(function));
        Self { search, state: context.state() }
    }

    /// Plans a statement as the store is now, with values for its parameters if there are.
    pub(super) async fn plan(
        &self,
        statement: &Statement,
        session: &Session<'_>,
        values: Option<Vec<ScalarValue>>,
    ) -> Result<DataFrame, Fault> {
        let mut statement = statement.clone();
        rewrite(&mut statement, session)?;
        let state = self.state(session)?;
        let statement = AnyStatement::Statement(Box::new(statement));
        let plan = state.statement_to_plan(statement).await.map_err(|e| fault(&e))?;
        check_reads(&plan)?;
        let plan = match values {
            Some(values) if !values.is_empty() => {
                check_values(&plan, &values)?;
                plan.with_param_values(values).map_err(|e| fault(&e))?
            }
            _ => plan,
        };
        Ok(DataFrame::new(state, plan))
    }

    fn state(&self, session: &Session<'_>) -> Result<SessionState, Fault> {
        let trace = Trace::new();
        let views = Views::new(self.search.store.clone(), trace.clone());
        let catalog = Catalog::new(views, session.variables.clone(), session.user.into());
        let schemas: [(&str, Arc<dyn SchemaProvider>); 3] = [
            ("pg_catalog", Arc::new(catalog.pg_catalog())),
            ("information_schema", Arc::new(catalog.information_schema())),
            ("public", Arc::new(PublicSchema(catalog))),
        ];
        let database = MemoryCatalogProvider::new();
        for (name, schema) in schemas {
            database.register_schema(name, schema).map_err(|e| fault(&e))?;
        }
        let list = MemoryCatalogProviderList::new();
        list.register_catalog(DATABASE.to_string(), Arc::new(database));
        let builder = SessionStateBuilder::new_from_existing(self.state.clone())
            .with_config(self.state.config().clone().with_extension(trace))
            .with_runtime_env(self.search.for_one().runtime());
        Ok(builder.with_catalog_list(Arc::new(list)).build())
    }

    /// Runs a plan on the threads of questions, so that whoever waits for its rows can be told to
    /// stop.
    pub(super) fn rows(&self, frame: DataFrame) -> Batches {
        // What its tables tell of themselves while they are read.
        let trace = frame.task_ctx().session_config().get_extension::<Trace>();
        let trace = trace.unwrap_or_else(Trace::new);
        // It may have been bound long ago.
        trace.begin();
        let asked = trace.clone();
        let found = async move { Ok(stream_of(frame, Asked::Sql, &asked).await?.1) };
        let rows = self.search.threads.run(found, self.search.limits, trace);
        rows.map(|batch| batch.map_err(Fault::from)).boxed()
    }
}

/// Refuses values that are small themselves and used so often that their copies are not. They are
/// counted in the plan, where what is in a WITH is as often as it is read.
fn check_values(plan: &LogicalPlan, values: &[ScalarValue]) -> Result<(), Fault> {
    let sizes: Vec<usize> = values.iter().map(ScalarValue::size).collect();
    let size_of = |name: &str| {
        let number: usize = name.strip_prefix('$')?.parse().ok()?;
        sizes.get(number.checked_sub(1)?).copied()
    };
    let mut bytes = 0usize;
    let counted = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|inner| {
                if let Expr::Placeholder(placeholder) = inner {
                    bytes = bytes.saturating_add(size_of(&placeholder.id).unwrap_or(0));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    counted.map_err(|e| fault(&e))?;
    if bytes <= VALUES_BYTES_MAX {
        return Ok(());
    }
    let text = format!(
        "the values of a statement have {bytes} bytes, each as often as it is used, and may have \
         {VALUES_BYTES_MAX}"
    );
    Err(Fault::new(TOO_LONG, text).hint("use long values once, such as in a WITH that is joined"))
}

pub(super) fn fault(error: &DataFusionError) -> Fault {
    search_error(error, Asked::Sql).into()
}
