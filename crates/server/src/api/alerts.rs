//! Alerts: list, detail and a person's judgement.

use axum::Json as Answer;
use axum::extract::{Path, Query, State};
use pugmark_alert::Status;
use pugmark_event::Severity;
use pugmark_store::AlertFilter;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::App;
use crate::auth::{Admin, Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::wire::{Alert, AlertAnswer, AlertDetail, Alerts, ErrorBody, VerdictRequest};

/// Alerts in an answer when nothing is said.
const LIMIT: usize = 200;
/// Most alerts in an answer.
const LIMIT_MAX: usize = 10_000;
/// Most evidence events in an answer.
const EVENTS_MAX: usize = 100;
/// Longest note in bytes.
const NOTE_BYTES_MAX: usize = 16 << 10;

/// Which alerts.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// open or closed.
    status: Option<String>,
    /// informational, low, medium, high or critical.
    severity: Option<String>,
    /// Id of a rule.
    rule: Option<String>,
    /// Value of the entity, such as an address.
    entity: Option<String>,
    /// 1 to 10,000; 200 when absent.
    limit: Option<usize>,
}

/// Alerts, the one seen last first.
#[utoipa::path(
    get, path = "/api/v1/alerts", tag = "alerts", operation_id = "alerts_list", params(Which),
    responses((status = 200, body = Alerts), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn list(
    _: Reader,
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Answer<Alerts>, ApiError> {
    let filter = AlertFilter {
        status: word("status", which.status.as_deref(), Status::from_name)?,
        severity: word("severity", which.severity.as_deref(), Severity::from_name)?,
        rule: which.rule,
        entity: which.entity,
        limit: which.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX),
    };
    let alerts = app.engine.store().alerts().list(&filter).await?;
    Ok(Answer(Alerts { alerts: alerts.iter().map(Into::into).collect() }))
}

fn word<T>(
    name: &str,
    text: Option<&str>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    read(text).map(Some).ok_or_else(|| {
        ApiError::bad_request(format!(
            "{:?} is no {name}",
            text.chars().take(40).collect::<String>()
        ))
    })
}

/// One alert with the events behind it.
#[utoipa::path(
    get, path = "/api/v1/alerts/{id}", tag = "alerts", operation_id = "alerts_get",
    params(("id" = String, Path)),
    responses((status = 200, body = AlertDetail), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn get(
    _: Reader,
    who: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Answer<AlertDetail>, ApiError> {
    let alert = app.engine.store().alerts().get(&id).await?.ok_or_else(missing)?;
    let ids = &alert.evidence[..alert.evidence.len().min(EVENTS_MAX)];
    let events = app.events(&who, ids).await?;
    let events: Result<Vec<_>, _> = events.into_iter().map(RawValue::from_string).collect();
    let events = events.map_err(ApiError::internal)?;
    let detections = alert.detections.iter().map(Into::into).collect();
    Ok(Answer(AlertDetail { alert: Alert::from(&alert), detections, events }))
}

/// Judge an alert: a verdict closes it, none opens it again.
#[utoipa::path(
    post, path = "/api/v1/alerts/{id}/verdict", tag = "alerts", operation_id = "alerts_verdict",
    params(("id" = String, Path)), request_body = VerdictRequest,
    responses((status = 200, body = AlertAnswer), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn verdict(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
    Json(request): Json<VerdictRequest>,
) -> Result<Answer<AlertAnswer>, ApiError> {
    if request.note.len() > NOTE_BYTES_MAX {
        return Err(ApiError::bad_request(format!("a note has at most {NOTE_BYTES_MAX} bytes")));
    }
    let verdict = request.verdict.map(Into::into);
    let alert = app.engine.set_verdict(&id, verdict, &request.note).await?.ok_or_else(missing)?;
    Ok(Answer(AlertAnswer { alert: Alert::from(&alert) }))
}

fn missing() -> ApiError {
    ApiError::not_found("alert with this id")
}
