//! Views of events that are spans of a trace or values of a metric.
//!
//! There is no store of their own for these yet: an event counts as one when it has the attributes
//! that name it. Log lines that only mention a trace do not.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::{Column, Result};
use datafusion::datasource::provider_as_source;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, try_cast};
use pugmark_event::batch::schema;
use pugmark_event::fields::ATTRIBUTES;
use pugmark_query::plan::ATTRIBUTES_PREFIX;

use crate::table::EventsTable;

/// A column of a view: its name, its type, and the attributes that may hold its value.
struct Attribute(&'static str, DataType, &'static [&'static str]);

/// Columns of events that both views have.
const EVENT: [&str; 5] = ["event_id", "event_time", "event_source", "service_name", "host_name"];

const SPAN: &[Attribute] = &[
    Attribute("span_id", DataType::Utf8, &["span.id"]),
    Attribute("parent_span_id", DataType::Utf8, &["span.parent_id", "parent.id"]),
    Attribute("name", DataType::Utf8, &["span.name"]),
    Attribute("kind", DataType::Utf8, &["span.kind"]),
    Attribute("duration_us", DataType::Int64, &["span.duration.us"]),
];

const METRIC: &[Attribute] = &[
    Attribute("name", DataType::Utf8, &["metric.name"]),
    Attribute("value", DataType::Float64, &["metric.value"]),
    Attribute("unit", DataType::Utf8, &["metric.unit"]),
    Attribute("type", DataType::Utf8, &["metric.type"]),
];

/// What [`spans`] needs of events.
pub(super) fn spans_schema() -> SchemaRef {
    needed(&["trace_id", "event_outcome"], SPAN)
}

/// Events with `span.id` and `span.name`.
pub(super) fn spans(events: EventsTable) -> Result<Arc<dyn TableProvider>> {
    view(events, &["trace_id", "event_outcome"], SPAN, &["span.id", "span.name"])
}

/// What [`metrics`] needs of events.
pub(super) fn metrics_schema() -> SchemaRef {
    needed(&[], METRIC)
}

/// Events with `metric.name` and `metric.value`.
pub(super) fn metrics(events: EventsTable) -> Result<Arc<dyn TableProvider>> {
    view(events, &[], METRIC, &["metric.name", "metric.value"])
}

fn needed(fields: &[&str], attributes: &[Attribute]) -> SchemaRef {
    let all = schema();
    let known = EVENT.iter().chain(fields).chain([&ATTRIBUTES]);
    let known = known.filter_map(|name| all.field_with_name(name).ok().cloned());
    let keys = attributes.iter().flat_map(|Attribute(.., keys)| *keys);
    let keys =
        keys.map(|key| Field::new(format!("{ATTRIBUTES_PREFIX}{key}"), DataType::Utf8, true));
    Arc::new(Schema::new(known.chain(keys).collect::<Vec<_>>()))
}

fn view(
    events: EventsTable,
    fields: &[&str],
    attributes: &[Attribute],
    required: &[&str],
) -> Result<Arc<dyn TableProvider>> {
    let source = provider_as_source(Arc::new(events));
    let mut plan = LogicalPlanBuilder::scan("events", source, None)?;
    for key in required {
        plan = plan.filter(attribute(key).is_not_null())?;
    }
    let known = EVENT.iter().chain(fields).map(|name| column(name));
    let columns = known.chain(attributes.iter().map(Attribute::expr)).chain([column(ATTRIBUTES)]);
    Ok(Arc::new(ViewTable::new(plan.project(columns)?.build()?, None)))
}

impl Attribute {
    fn expr(&self) -> Expr {
        let Attribute(name, kind, keys) = self;
        let text = match keys {
            [key] => attribute(key),
            keys => coalesce(keys.iter().map(|key| attribute(key)).collect()),
        };
        match kind {
            DataType::Utf8 => text.alias(*name),
            kind => try_cast(text, kind.clone()).alias(*name),
        }
    }
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

fn attribute(key: &str) -> Expr {
    column(&format!("{ATTRIBUTES_PREFIX}{key}"))
}
