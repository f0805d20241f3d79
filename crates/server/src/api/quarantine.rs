//! The quarantine: records that were set aside.

use axum::Json as Answer;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use pugmark_event::time;
use pugmark_store::ReplayFilter;
use serde::Deserialize;

use crate::App;
use crate::auth::{Admin, Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::wire::{ErrorBody, Quarantine, QuarantineRecord, ReplayRequest, Replayed};

/// Records in an answer when nothing is said, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;
/// Bytes of a record that the list shows.
const START_BYTES: usize = 1024;

/// How many.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// 1 to 1,000; 100 when absent.
    limit: Option<usize>,
}

/// Records that were set aside, the newest first.
#[utoipa::path(
    get, path = "/api/v1/quarantine", tag = "care", operation_id = "quarantine_list",
    params(Which), responses((status = 200, body = Quarantine), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn list(
    _: Reader,
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Answer<Quarantine>, ApiError> {
    let limit = which.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let entries = app.engine.store().quarantined(limit).await?;
    let records = entries.into_iter().map(|entry| QuarantineRecord {
        id: entry.id.to_string(),
        received: time::format(entry.received),
        source: entry.source,
        reason: entry.reason,
        bytes: entry.bytes,
        start: {
            let start = &entry.record[..entry.record.len().min(START_BYTES)];
            String::from_utf8_lossy(start).into_owned()
        },
    });
    Ok(Answer(Quarantine { records: records.collect() }))
}

/// One record in quarantine: its exact bytes.
#[utoipa::path(
    get, path = "/api/v1/quarantine/{id}", tag = "care", operation_id = "quarantine_record",
    params(("id" = String, Path)),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = "4XX", body = ErrorBody)
    ),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn record(
    _: Reader,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("record with this id in quarantine");
    let id: i64 = id.parse().map_err(|_| missing())?;
    let entry = app.engine.store().quarantined_record(id).await?.ok_or_else(missing)?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_string()),
        // Never shown in a page of ours: the bytes are the sender's.
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"record-{id}.bin\"")),
    ];
    Ok((headers, entry.record).into_response())
}

/// Parse records in quarantine again. Those that parse become events with their old ids.
#[utoipa::path(
    post, path = "/api/v1/quarantine/replay", tag = "care", operation_id = "quarantine_replay",
    request_body = ReplayRequest,
    responses((status = 200, body = Replayed), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn replay(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Json(request): Json<ReplayRequest>,
) -> Result<Answer<Replayed>, ApiError> {
    let ids = request.ids.iter().map(|id| {
        id.parse::<i64>().map_err(|_| {
            let id: String = id.chars().take(40).collect();
            ApiError::bad_request(format!("{id:?} is no id of a record"))
        })
    });
    let filter = ReplayFilter {
        source: request.source.filter(|source| !source.is_empty()),
        reason: request.reason.filter(|reason| !reason.is_empty()),
        ids: ids.collect::<Result<_, _>>()?,
    };
    Ok(Answer(app.engine.replay_quarantine(caller.name(), &filter).await?.into()))
}
