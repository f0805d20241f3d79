//! Questions in the query language.

use axum::extract::State;
use axum::response::Response;
use pugmark_query::Request;

use crate::App;
use crate::auth::Reader;
use crate::body::Json;
use crate::error::ApiError;
use crate::questions::Range;
use crate::wire::{ErrorBody, Row, SearchRequest};

/// Search events, or compute a table of them.
///
/// One JSON object a line: an event, the newest first, or a row of a table when the query has a
/// pipe that makes one. The header `x-pugmark-kind` says which, and `x-pugmark-columns` lists the
/// columns of a table in order, percent-encoded.
#[utoipa::path(
    post, path = "/api/v1/search", tag = "questions", operation_id = "search",
    request_body = SearchRequest,
    responses(
        (status = 200, body = Row, content_type = "application/x-ndjson"),
        (status = "4XX", body = ErrorBody)
    ),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn search(
    _: Reader,
    State(app): State<App>,
    Json(request): Json<SearchRequest>,
) -> Result<Response, ApiError> {
    let now = app.engine.now();
    let range = Range::read(request.from.as_ref(), request.to.as_ref(), now)?;
    let plan = pugmark_query::parse(&request.query)?;
    let limit = request.limit;
    let asked = app.ask(Request { plan, from: range.from, to: range.to, limit, now }).await?;
    asked.ndjson().await
}
