//! Questions in SQL.

use axum::extract::State;
use axum::response::Response;

use crate::App;
use crate::auth::{Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::turns::Class;
use crate::wire::{ErrorBody, Row, SqlRequest};

/// Ask in SQL, of `events`, `alerts` and other views. Dots in names are underscores (`source_ip`).
/// Only reading is possible.
#[utoipa::path(
    post, path = "/api/v1/sql", tag = "questions", operation_id = "sql",
    request_body = SqlRequest,
    responses(
        (status = 200, body = Row, content_type = "application/x-ndjson"),
        (status = "4XX", body = ErrorBody)
    ),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn sql(
    _: Reader,
    who: Caller,
    State(app): State<App>,
    Json(request): Json<SqlRequest>,
) -> Result<Response, ApiError> {
    app.ask_sql(&who, Class::Question, &request.sql, request.limit).await?.ndjson().await
}
