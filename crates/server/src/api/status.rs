//! The state of the server: for people, for probes, for Prometheus, and the API's own document.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::auth::Reader;
use crate::error::ApiError;
use crate::{metrics, openapi, wire};

/// The state of the server, at most a second old.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "state", operation_id = "status",
    responses((status = 200, body = wire::Status)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn status(
    _: Reader,
    State(app): State<App>,
) -> Result<Answer<wire::Status>, ApiError> {
    Ok(Answer(app.status().await?.as_ref().clone()))
}

/// This document.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "state", operation_id = "openapi",
    responses((status = 200, body = Object)), security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn document(_: Reader) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::openapi_json()).into_response()
}

/// Metrics in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "state", operation_id = "metrics",
    responses((status = 200, body = String)), security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn metrics(_: Reader, State(app): State<App>) -> Result<Response, ApiError> {
    let ledger = app.engine.store().ledger().await?;
    let sources = app.engine.source_states();
    let searches = app.engine.store().kept_searches().scheduled().await?;
    let status = app.status().await?;
    let (requests, turns) = (&app.requests, &app.turns);
    let text = metrics::render(&status, &ledger, &sources, &searches, requests, turns);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

/// 200 while logs are taken, else 503. Open, and says nothing else of the inside.
pub(crate) async fn health(State(app): State<App>) -> (StatusCode, &'static str) {
    match app.engine.store().problem() {
        None => (StatusCode::OK, "ok\n"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "not taking logs\n"),
    }
}
