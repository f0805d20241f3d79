//! One event, and what rules say of it.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::auth::{Caller, Reader};
use crate::error::ApiError;
use crate::wire::{ErrorBody, Reason, Row};

/// Rules in an answer.
const RULES_MAX: usize = 50;
/// Tests that may come out otherwise in a rule that nearly fired.
const LACKS_MAX: usize = 2;

/// What rules say of an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventRules {
    /// First those that fire, then those that nearly do, the nearest first.
    rules: Vec<EventRule>,
}

/// What one rule says of an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventRule {
    id: String,
    title: String,
    level: String,
    fires: bool,
    /// How many tests hold that ask for something to be there.
    held: u64,
    /// Why it fires.
    why: Vec<Reason>,
    /// What would have to come out otherwise for it to fire.
    lacks: Vec<Reason>,
}

/// One event by its id.
#[utoipa::path(
    get, path = "/api/v1/events/{id}", tag = "questions", operation_id = "event",
    params(("id" = String, Path)),
    responses((status = 200, body = Row), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn event(
    _: Reader,
    who: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("event with this id");
    let id: i64 = id.parse().map_err(|_| missing())?;
    let text = app.events(&who, &[id]).await?.pop().ok_or_else(missing)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// The rules that fire on an event, and those that nearly do. Rules over time are left out.
#[utoipa::path(
    get, path = "/api/v1/events/{id}/rules", tag = "questions", operation_id = "event_rules",
    params(("id" = String, Path)),
    responses((status = 200, body = EventRules), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn rules(
    _: Reader,
    who: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Answer<EventRules>, ApiError> {
    let missing = || ApiError::not_found("event with this id");
    let id: i64 = id.parse().map_err(|_| missing())?;
    let batch = app.event_batches(&who, &[id]).await?.pop().ok_or_else(missing)?;
    let rules = app.engine.rules();
    let answer = tokio::task::spawn_blocking(move || {
        let near = rules.near(&batch, 0, LACKS_MAX, RULES_MAX).into_iter().map(|near| {
            let info = &rules.rules()[near.rule as usize];
            let why = rules.explain(near.rule, &batch, 0);
            EventRule {
                id: info.id.clone(),
                title: info.title.clone(),
                level: info.level.name().into(),
                fires: near.verdict.fires,
                held: near.verdict.held as u64,
                why: why.iter().map(Into::into).collect(),
                lacks: near.verdict.lacks.iter().map(Into::into).collect(),
            }
        });
        EventRules { rules: near.collect() }
    });
    answer.await.map(Answer).map_err(ApiError::internal)
}
