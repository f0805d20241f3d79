//! One event.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::auth::Reader;
use crate::error::ApiError;
use crate::wire::{ErrorBody, Row};

/// One event by its id.
#[utoipa::path(
    get, path = "/api/v1/events/{id}", tag = "questions", operation_id = "event",
    params(("id" = String, Path)),
    responses((status = 200, body = Row), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn event(
    _: Reader,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("event with this id");
    let id: i64 = id.parse().map_err(|_| missing())?;
    let text = app.events(&[id]).await?.pop().ok_or_else(missing)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}
