//! Help with writing a query: what is wrong with it, and what may come next.

use axum::Json as Answer;
use axum::extract::State;
use pugmark_query::complete::{self, ItemKind};
use pugmark_query::explain::{Explanation, Reading, Step};
use pugmark_query::{Diagnostic, FieldRef, Filter, Kind, Test};

use super::explore;
use crate::App;
use crate::auth::{Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::questions::Range;
use crate::turns::Class;
use crate::wire::{
    self, CompleteAnswer, CompleteItem, CompleteRequest, ErrorBody, ExplainAnswer, ExplainReading,
    ExplainStep, ParseAnswer, ParseRequest, SearchRequest,
};

/// Events that are looked at for values.
const VALUE_ROWS: usize = 2000;
/// Values suggested.
const VALUES: usize = 20;
/// Values that are held against what is typed.
const VALUES_SEEN: usize = 1000;

/// What a query is, or what is wrong with it and where.
#[utoipa::path(
    post, path = "/api/v1/query/parse", tag = "questions", operation_id = "query_parse",
    request_body = ParseRequest,
    responses((status = 200, body = ParseAnswer), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn parse(_: Reader, Json(request): Json<ParseRequest>) -> Answer<ParseAnswer> {
    let (kind, diagnostics) = match pugmark_query::parse(&request.query) {
        Ok(plan) => (plan.kind(), Vec::new()),
        Err(diagnostics) => (Kind::Events, diagnostics),
    };
    Answer(ParseAnswer {
        ok: diagnostics.is_empty(),
        kind: kind.name(),
        diagnostics: diagnostics.into_iter().map(Into::into).collect(),
    })
}

impl From<Diagnostic> for wire::Diagnostic {
    fn from(diagnostic: Diagnostic) -> Self {
        let Diagnostic { from, to, message, hint } = diagnostic;
        Self { from, to, severity: "error", message, fix: hint }
    }
}

/// Asks a question, forgets the rows, and says what that took: what was read of the store, and the
/// time of each step.
#[utoipa::path(
    post, path = "/api/v1/query/explain", tag = "questions", operation_id = "query_explain",
    request_body = SearchRequest,
    responses((status = 200, body = ExplainAnswer), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn explain(
    _: Reader,
    who: Caller,
    State(app): State<App>,
    Json(request): Json<SearchRequest>,
) -> Result<Answer<ExplainAnswer>, ApiError> {
    Ok(Answer(app.explain(&who, request.read(app.engine.now())?).await?.into()))
}

impl From<Explanation> for ExplainAnswer {
    fn from(explanation: Explanation) -> Self {
        let Explanation { reading, steps, rows, took_us } = explanation;
        let steps = steps.into_iter().map(Into::into).collect();
        Self { reading: reading.into(), steps, rows, took_us }
    }
}

impl From<Reading> for ExplainReading {
    fn from(reading: Reading) -> Self {
        let Reading { segments, segments_read, row_groups, row_groups_read, .. } = reading;
        let Reading { events, events_read, bytes_read, .. } = reading;
        Self {
            segments,
            segments_read,
            row_groups,
            row_groups_read,
            events,
            events_read,
            bytes_read,
        }
    }
}

impl From<Step> for ExplainStep {
    fn from(step: Step) -> Self {
        let Step { name, detail, rows, took_us } = step;
        Self { name, detail, rows, took_us }
    }
}

/// What may stand at the cursor: fields, commands, functions, and values from the newest events.
#[utoipa::path(
    post, path = "/api/v1/query/complete", tag = "questions", operation_id = "query_complete",
    request_body = CompleteRequest,
    responses((status = 200, body = CompleteAnswer), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn propose(
    _: Reader,
    who: Caller,
    State(app): State<App>,
    Json(request): Json<CompleteRequest>,
) -> Result<Answer<CompleteAnswer>, ApiError> {
    let found = complete::complete(&request.query, request.pos);
    let typed = request.query.get(found.from..request.pos.min(found.to)).unwrap_or_default();
    if let Some(field) = found.value_of {
        let items = values(&app, &who, field, typed.to_lowercase()).await?;
        return Ok(Answer(CompleteAnswer { from: found.from, to: found.to, items }));
    }
    let items = found.items.into_iter().map(|item| CompleteItem {
        label: item.label,
        kind: kind(item.kind),
        detail: item.detail,
    });
    Ok(Answer(CompleteAnswer { from: found.from, to: found.to, items: items.collect() }))
}

/// Values of a field that start like what is typed, from the newest events that have the field.
async fn values(
    app: &App,
    who: &Caller,
    field: String,
    typed: String,
) -> Result<Vec<CompleteItem>, ApiError> {
    let filter = Filter::Field(FieldRef::new(&field), Test::Exists);
    let everything = Range { from: None, to: None };
    let turn = app.turn(who, Class::Small).await?;
    let (batches, _) = explore::newest(app, turn, filter, everything, VALUE_ROWS).await?;
    let count = move || explore::count_values(&batches, Some(&[field]), VALUES_SEEN, false);
    let facets = tokio::task::spawn_blocking(count).await.map_err(ApiError::internal)?;
    let typed = typed.trim_start_matches('"');
    let items = facets
        .fields
        .into_iter()
        .flat_map(|facet| facet.values)
        .filter(|value| value.value.to_lowercase().starts_with(typed))
        .take(VALUES)
        .map(|value| CompleteItem {
            label: quoted(&value.value),
            kind: "value",
            detail: format!("{} of the newest {VALUE_ROWS} events that have it", value.count),
        });
    Ok(items.collect())
}

fn kind(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Field => "field",
        ItemKind::Value => "value",
        ItemKind::Command => "command",
        ItemKind::Function => "function",
        ItemKind::Keyword => "keyword",
    }
}

/// The value as a query takes it.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '/');
    if !value.is_empty() && value.chars().all(plain) && !value.starts_with('/') {
        return value.to_string();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_they_must() {
        for (value, expected) in [
            ("root", "root"),
            ("10.0.0.1", "10.0.0.1"),
            ("a b", "\"a b\""),
            ("say \"hi\" \\", r#""say \"hi\" \\""#),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(value), expected);
        }
    }
}
