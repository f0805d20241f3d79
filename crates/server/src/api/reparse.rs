//! Reparse: stored records read again with the parsers of this version.

use axum::Json as Answer;
use axum::extract::State;
use pugmark_engine::IngestError;
use pugmark_engine::intake::is_source_name;
use pugmark_store::RewriteScope;

use crate::App;
use crate::auth::{Admin, Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::questions::Range;
use crate::wire::{ErrorBody, Reparse, ReparseRequest};

/// How the reparse that was started last is.
#[utoipa::path(
    get, path = "/api/v1/reparse", tag = "care", operation_id = "reparse_state",
    responses((status = 200, body = Reparse)), security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn state(_: Reader, State(app): State<App>) -> Answer<Reparse> {
    Answer(app.engine.reparse_state().into())
}

/// Read stored records of a source and a range again, in the background.
#[utoipa::path(
    post, path = "/api/v1/reparse", tag = "care", operation_id = "reparse_start",
    request_body = ReparseRequest,
    responses((status = 200, body = Reparse), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn start(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Json(request): Json<ReparseRequest>,
) -> Result<Answer<Reparse>, ApiError> {
    if !is_source_name(&request.source) {
        return Err(IngestError::BadSource(request.source.chars().take(80).collect()).into());
    }
    let range = Range::read(request.from.as_ref(), request.to.as_ref(), app.engine.now())?;
    let scope = RewriteScope { source: request.source, from: range.from, to: range.to };
    app.engine.start_reparse(caller.name(), scope, request.format)?;
    Ok(Answer(app.engine.reparse_state().into()))
}
