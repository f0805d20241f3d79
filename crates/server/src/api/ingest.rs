//! The way in over HTTP.

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use pugmark_engine::IngestError;
use pugmark_engine::intake::is_source_name;
use pugmark_parse::frame;

use crate::App;
use crate::auth::Ingester;
use crate::body::{self, Unpacked};
use crate::error::ApiError;
use crate::wire::{ErrorBody, Receipt};

/// Take records of a source: NDJSON, a JSON array or plain lines, plain or packed with gzip or
/// zstd. The answer comes when they are on disk.
#[utoipa::path(
    post, path = "/api/v1/ingest/{source}", tag = "intake", operation_id = "ingest",
    params(("source" = String, Path, description = "1 to 64 letters, digits, dots, dashes, _")),
    request_body(content = String, content_type = "application/octet-stream"),
    responses(
        (status = 200, body = Receipt),
        (status = 413, body = ErrorBody, description = "Nothing of the request was stored."),
        (status = 429, body = ErrorBody, description = "Send again after Retry-After seconds."),
        (status = 507, body = ErrorBody, description = "The disk is full."),
        (status = "4XX", body = ErrorBody)
    ),
    security(("session" = []), ("token" = ["ingest"]))
)]
pub(crate) async fn ingest(
    _: Ingester,
    State(app): State<App>,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer<Receipt>, ApiError> {
    if !is_source_name(&source) {
        return Err(IngestError::BadSource(source.chars().take(80).collect()).into());
    }
    let Unpacked { bytes, mut lease } = body::read(&app, &headers, body).await?;
    lease.hold(frame::body_bytes_max(&bytes))?;
    let framed = tokio::task::spawn_blocking(move || frame::body(bytes));
    let records = framed.await.map_err(ApiError::internal)?;
    let receipt = app.engine.ingest(&source, records, None).await?;
    Ok(Answer(receipt.into()))
}
