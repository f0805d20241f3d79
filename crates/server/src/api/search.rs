//! Questions in the query language.

use axum::extract::State;
use axum::response::Response;
use pugmark_event::time::Micros;
use pugmark_query::Request;

use crate::App;
use crate::auth::{Caller, Reader};
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
    who: Caller,
    State(app): State<App>,
    Json(request): Json<SearchRequest>,
) -> Result<Response, ApiError> {
    app.ask(&who, request.read(app.engine.now())?).await?.ndjson().await
}

impl SearchRequest {
    /// The question, asked at `now`.
    ///
    /// # Errors
    /// When the query or a bound is not understood.
    pub(crate) fn read(self, now: Micros) -> Result<Request, ApiError> {
        let Range { from, to } = Range::read(self.from.as_ref(), self.to.as_ref(), now)?;
        let plan = pugmark_query::parse(&self.query)?;
        Ok(Request { plan, from, to, limit: self.limit, now })
    }
}
