//! The audit trail: who did what to the data, and why.

use axum::Json as Answer;
use axum::extract::{Query, State};
use pugmark_engine::corrections::REASON_BYTES_MAX;
use pugmark_event::time;
use serde::Deserialize;
use serde_json::json;

use crate::App;
use crate::auth::{Caller, Reader};
use crate::error::ApiError;
use crate::wire::{Audit, AuditEntry, ErrorBody};

/// Entries in an answer when nothing is said, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 10_000;

/// How many.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// 1 to 10,000; 100 when absent.
    limit: Option<usize>,
}

/// What was done to the data: expiry, moves, replays, reparses. The newest first.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "care", operation_id = "audit", params(Which),
    responses((status = 200, body = Audit), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn audit(
    _: Reader,
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Answer<Audit>, ApiError> {
    let limit = which.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let entries = app.engine.store().audit_list(limit).await?.into_iter().map(|entry| AuditEntry {
        id: entry.id.to_string(),
        time: time::format(entry.time),
        actor: entry.actor,
        action: entry.action,
        subject: entry.subject,
        detail: entry.detail,
    });
    Ok(Answer(Audit { entries: entries.collect() }))
}

/// Writes down that the caller did something to what has this name.
pub(super) async fn note(
    app: &App,
    caller: &Caller,
    action: &str,
    name: &str,
) -> Result<(), ApiError> {
    let entry = pugmark_store::AuditEntry::now(caller.name(), action, name, json!({}));
    Ok(app.engine.store().audit(&entry).await?)
}

/// Bounds a reason that is kept.
pub(super) fn check_reason(reason: &str) -> Result<(), ApiError> {
    match reason.len() > REASON_BYTES_MAX {
        true => {
            Err(ApiError::bad_request(format!("a reason has at most {REASON_BYTES_MAX} bytes")))
        }
        false => Ok(()),
    }
}
