//! Retention: what is kept how long, what would go, and legal holds.

use std::collections::BTreeMap;

use axum::Json as Answer;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use pugmark_event::time::{self, Micros};
use pugmark_store::{Class, ClassPreview, Classes, Hold, Preview};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;
use crate::api::audit::check_reason;
use crate::auth::{Admin, Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::wire::ErrorBody;

/// When.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct When {
    /// The moment to look at, such as `2026-12-24` or `now`. Absent: now.
    at: Option<String>,
}

/// What retention would do at a moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retention {
    at: String,
    /// False when there is no object storage: nothing moves then.
    cold_storage: bool,
    /// The most important first; then classes that segments have and the settings do not.
    classes: Vec<RetentionClass>,
}

/// A class, what it holds, and what is due.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetentionClass {
    class: String,
    /// Days on the local disk; null: for ever.
    #[schema(required)]
    days_hot: Option<u32>,
    /// Days in all; null: for ever.
    #[schema(required)]
    days_total: Option<u32>,
    /// True when nothing of it may be deleted.
    held: bool,
    /// Why a person holds it; null when only the settings do.
    #[schema(required)]
    hold: Option<RetentionHold>,
    /// False when the settings do not name it: it is kept as it is.
    known: bool,
    /// Event time of the oldest event.
    #[schema(required)]
    oldest: Option<String>,
    hot: RetentionAmount,
    cold: RetentionAmount,
    /// What would move to object storage.
    to_move: RetentionAmount,
    /// What would be deleted.
    to_delete: RetentionAmount,
}

/// A number of segments and what is in them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetentionAmount {
    segments: u64,
    events: u64,
    bytes: u64,
}

/// A legal hold.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetentionHold {
    reason: String,
    actor: String,
    since: String,
}

/// Retention under other classes than those of the settings.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetentionPreviewRequest {
    /// The moment to look at, such as `2026-12-24` or `now`. Absent: now.
    at: Option<String>,
    /// The classes, the most important first.
    classes: Vec<RetentionClassRequest>,
}

/// A class to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetentionClassRequest {
    class: String,
    days_hot: Option<u32>,
    days_total: Option<u32>,
    #[serde(default)]
    hold: bool,
}

/// A class to hold or to release.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldRequest {
    class: String,
    /// What for; it is written to the audit trail.
    reason: String,
}

/// Whether a class is held now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HoldAnswer {
    class: String,
    held: bool,
}

/// What is kept how long, and what would move and be deleted.
#[utoipa::path(
    get, path = "/api/v1/retention", tag = "state", operation_id = "retention", params(When),
    responses((status = 200, body = Retention), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn show(
    _: Reader,
    State(app): State<App>,
    Query(when): Query<When>,
) -> Result<Answer<Retention>, ApiError> {
    answer(&app, None, when.at.as_deref()).await
}

/// The same under other classes: what a policy would do before it is on.
#[utoipa::path(
    post, path = "/api/v1/retention/preview", tag = "state", operation_id = "retention_preview",
    request_body = RetentionPreviewRequest,
    responses((status = 200, body = Retention), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn preview(
    _: Reader,
    State(app): State<App>,
    Json(request): Json<RetentionPreviewRequest>,
) -> Result<Answer<Retention>, ApiError> {
    let class = |class: RetentionClassRequest| Class {
        name: class.class.into(),
        days_hot: class.days_hot,
        days_total: class.days_total,
        hold: class.hold,
    };
    let classes = Classes::new(request.classes.into_iter().map(class).collect())
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    answer(&app, Some(&classes), request.at.as_deref()).await
}

/// Forbid that a class loses anything, until it is released.
#[utoipa::path(
    post, path = "/api/v1/retention/hold", tag = "state", operation_id = "retention_hold",
    request_body = HoldRequest,
    responses((status = 200, body = HoldAnswer), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn hold(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Json(request): Json<HoldRequest>,
) -> Result<Answer<HoldAnswer>, ApiError> {
    check_given(&request.reason)?;
    let store = app.engine.store();
    let preview = store.retention_preview(None, app.engine.now()).await?;
    let known: Vec<&str> = preview.classes.iter().map(|class| class.class.as_str()).collect();
    if !known.contains(&request.class.as_str()) {
        return Err(ApiError::not_found("retention class of this name")
            .hint(format!("there are {}", known.join(", "))));
    }
    store.hold(&request.class, &request.reason, caller.name()).await?;
    Ok(Answer(HoldAnswer { class: request.class, held: true }))
}

/// Allow again what a hold forbade.
#[utoipa::path(
    post, path = "/api/v1/retention/release", tag = "state", operation_id = "retention_release",
    request_body = HoldRequest,
    responses((status = 200, body = HoldAnswer), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn release(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Json(request): Json<HoldRequest>,
) -> Result<Answer<HoldAnswer>, ApiError> {
    check_given(&request.reason)?;
    let store = app.engine.store();
    if !store.release(&request.class, &request.reason, caller.name()).await? {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "not_held",
            "nobody has put this retention class on hold",
        )
        .hint("a hold of the settings ends when `hold = true` is taken out of them"));
    }
    Ok(Answer(HoldAnswer { class: request.class, held: false }))
}

fn check_given(reason: &str) -> Result<(), ApiError> {
    match reason.trim().is_empty() {
        true => Err(ApiError::bad_request("a hold and its release need a reason")),
        false => check_reason(reason),
    }
}

async fn answer(
    app: &App,
    classes: Option<&Classes>,
    at: Option<&str>,
) -> Result<Answer<Retention>, ApiError> {
    let now = app.engine.now();
    let at = match at.map(str::trim).filter(|at| !at.is_empty()) {
        None => now,
        Some(text) => time::parse_bound(text, now).ok_or_else(|| {
            ApiError::bad_request("at is no time that can be understood")
                .hint("write 2026-12-24, 2026-12-24T10:00:00Z or now")
        })?,
    };
    let store = app.engine.store();
    let preview = store.retention_preview(classes, at).await?;
    Ok(Answer(shown(preview, &store.holds().await?)))
}

fn shown(preview: Preview, holds: &BTreeMap<String, Hold>) -> Retention {
    let class = |class: ClassPreview| RetentionClass {
        hold: holds.get(&class.class).map(|hold| RetentionHold {
            reason: hold.reason.clone(),
            actor: hold.actor.clone(),
            since: time::format(hold.since),
        }),
        days_hot: class.days_hot,
        days_total: class.days_total,
        held: class.held,
        known: class.known,
        oldest: class.oldest.map(|oldest: Micros| time::format(oldest)),
        hot: class.hot.into(),
        cold: class.cold.into(),
        to_move: class.to_move.into(),
        to_delete: class.to_delete.into(),
        class: class.class,
    };
    Retention {
        at: time::format(preview.at),
        cold_storage: preview.cold_storage,
        classes: preview.classes.into_iter().map(class).collect(),
    }
}

impl From<pugmark_store::Amount> for RetentionAmount {
    fn from(amount: pugmark_store::Amount) -> Self {
        Self { segments: amount.segments, events: amount.events, bytes: amount.bytes }
    }
}
