//! The clock of a source: corrected, and the correction taken off.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use pugmark_engine::CorrectionError;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::App;
use crate::auth::{Admin, Caller};
use crate::body::Json;
use crate::error::ApiError;
use crate::wire::ErrorBody;

/// A correction of a clock.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClockWrite {
    /// What is added to the times of events, at most 26 hours either way: -7200 for a clock that is
    /// two hours ahead.
    correction_seconds: i64,
    /// Why, for the audit trail.
    #[serde(default)]
    reason: String,
}

/// Correct the clock of a source, for records that are received from two seconds after now on.
/// Events that are stored stay as they are, also when they are reparsed.
#[utoipa::path(
    put, path = "/api/v1/sources/{name}/clock", tag = "state", operation_id = "clock_put",
    params(("name" = String, Path, description = "Name of the source.")),
    request_body = ClockWrite,
    responses((status = 204), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn put(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    Json(request): Json<ClockWrite>,
) -> Result<StatusCode, ApiError> {
    if request.correction_seconds == 0 {
        return Err(ApiError::bad_request("a correction of 0 seconds is none")
            .hint("DELETE takes the correction in force off"));
    }
    correct(&app, &caller, &name, request.correction_seconds, &request.reason).await
}

/// Take the correction of a clock off, for records that are received from two seconds after now on.
#[utoipa::path(
    delete, path = "/api/v1/sources/{name}/clock", tag = "state", operation_id = "clock_delete",
    params(("name" = String, Path, description = "Name of the source.")),
    responses((status = 204), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn delete(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    correct(&app, &caller, &name, 0, "").await
}

async fn correct(
    app: &App,
    caller: &Caller,
    source: &str,
    seconds: i64,
    reason: &str,
) -> Result<StatusCode, ApiError> {
    app.engine.correct_clock(source, seconds, caller.name(), reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<CorrectionError> for ApiError {
    fn from(error: CorrectionError) -> Self {
        match error {
            CorrectionError::Store(error) => error.into(),
            CorrectionError::Nothing(source) => {
                ApiError::not_found(format!("correction of {source}"))
            }
            wrong => ApiError::bad_request(wrong.to_string()),
        }
    }
}
