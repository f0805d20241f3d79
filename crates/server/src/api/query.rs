//! Help with writing a query: what is wrong with it, and what may come next.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use pugmark_query::complete::{self, ItemKind};
use pugmark_query::explain::{Explanation, Reading, Step};
use pugmark_query::{Diagnostic, FieldRef, FieldValues, Kind, SearchError};

use crate::App;
use crate::auth::{Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::questions::Range;
use crate::wire::{
    self, CompleteAnswer, CompleteItem, CompleteRequest, ErrorBody, ExplainAnswer, ExplainReading,
    ExplainStep, ParseAnswer, ParseRequest, SearchRequest,
};

/// Values suggested.
const VALUES: usize = 20;
/// How long the store is waited for: mostly it knows in a few milliseconds, but right after a start
/// it must read what files say. Later help comes too late for who types.
const HELP_TIME: Duration = Duration::from_secs(1);

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
///
/// With a bound of time, fields that most events of the range have come first, attributes too, and
/// fields that none has come last.
#[utoipa::path(
    post, path = "/api/v1/query/complete", tag = "questions", operation_id = "query_complete",
    request_body = CompleteRequest,
    responses((status = 200, body = CompleteAnswer), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn propose(
    _: Reader,
    State(app): State<App>,
    Json(request): Json<CompleteRequest>,
) -> Result<Answer<CompleteAnswer>, ApiError> {
    let now = app.engine.now();
    let Range { from, to } = Range::read(request.from.as_ref(), request.to.as_ref(), now)?;
    let mut found = complete::complete(&request.query, request.pos, None);
    let search = app.engine.search();
    if let Some(field) = found.value_of {
        let field = FieldRef::new(&field);
        let values = soon(&app, async move { search.values(&field, from, to).await }).await;
        let typed = request.query.get(found.from..request.pos.min(found.to)).unwrap_or_default();
        let items = value_items(&values.unwrap_or_default(), typed);
        return Ok(Answer(CompleteAnswer { from: found.from, to: found.to, items }));
    }
    if (from.is_some() || to.is_some())
        && let Some(known) = soon(&app, async move { search.fields(from, to).await }).await
    {
        found = complete::complete(&request.query, request.pos, Some(&known));
    }
    let items = found.items.into_iter().map(|item| CompleteItem {
        label: item.label,
        kind: kind(item.kind),
        detail: item.detail,
    });
    Ok(Answer(CompleteAnswer { from: found.from, to: found.to, items: items.collect() }))
}

/// What the store says within [`HELP_TIME`]; `None` when it fails or takes longer. Then it goes on
/// by itself, one such question at a time, so that the next one is quick.
async fn soon<T: Send + 'static>(
    app: &App,
    ask: impl Future<Output = Result<T, SearchError>> + Send + 'static,
) -> Option<T> {
    let turns = app.help_turn.clone();
    let answer = async move {
        let turn = turns.lock_owned().await;
        let asked = tokio::spawn(async move {
            let _turn = turn;
            ask.await.inspect_err(|error| tracing::warn!(%error, "no help with a query"))
        });
        asked.await.ok()?.ok()
    };
    tokio::time::timeout(HELP_TIME, answer).await.ok().flatten()
}

/// Values that start like what is typed.
fn value_items(values: &FieldValues, typed: &str) -> Vec<CompleteItem> {
    let typed = typed.trim_start_matches('"').to_lowercase();
    let like = |(value, _): &&(String, u64)| value.to_lowercase().starts_with(&typed);
    let item = |(value, count): &(String, u64)| CompleteItem {
        label: quoted(value),
        kind: "value",
        detail: format!("{count} of {} new events that have it", values.events),
    };
    values.values.iter().filter(like).take(VALUES).map(item).collect()
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
