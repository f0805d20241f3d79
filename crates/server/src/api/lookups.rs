//! Tables of the user's own: what is known about hosts, users, addresses and names, and since when.

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use pugmark_engine::Reader as EventReader;
use pugmark_engine::enrichment::LookupWriteError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::api::audit::note;
use crate::auth::{Admin, Caller, Reader};
use crate::body;
use crate::error::ApiError;
use crate::wire::ErrorBody;

/// Tables in force, files that are left out, and whom to name for the built-in data.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Lookups {
    lookups: Vec<Lookup>,
    problems: Vec<LookupProblem>,
    /// Whom to name for countries and networks; empty when this build has none.
    attribution: String,
}

/// A table.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Lookup {
    name: String,
    /// Fields whose values are its keys.
    fields: Vec<String>,
    /// Names of its values.
    columns: Vec<String>,
    keys: usize,
}

/// A file that is left out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LookupProblem {
    file: String,
    message: String,
}

impl From<LookupWriteError> for ApiError {
    fn from(error: LookupWriteError) -> Self {
        match error {
            LookupWriteError::Disk { .. } => ApiError::internal(error),
            wrong => ApiError::bad_request(wrong.to_string()),
        }
    }
}

/// The tables that events are enriched with.
#[utoipa::path(
    get, path = "/api/v1/lookups", tag = "lookups", operation_id = "lookups_list",
    responses((status = 200, body = Lookups)), security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn list(_: Reader, State(app): State<App>) -> Answer<Lookups> {
    let reader = app.engine.reader();
    let known = reader.enrichment();
    let lookups = known.map(|known| known.lookups()).unwrap_or_default().into_iter();
    let problems = known.map(|known| known.problems()).unwrap_or_default().into_iter();
    Answer(Lookups {
        lookups: lookups
            .map(|state| Lookup {
                name: state.name,
                fields: state.fields,
                columns: state.columns,
                keys: state.keys,
            })
            .collect(),
        problems: problems
            .map(|problem| LookupProblem {
                file: problem.path.display().to_string(),
                message: problem.message,
            })
            .collect(),
        attribution: known.map(|known| known.attribution()).unwrap_or_default(),
    })
}

/// Keep a table as CSV: the first column's name says whose values are its keys, such as
/// `host.name` or `source.ip|destination.ip`; `valid_from` and `valid_to` say when a row holds.
#[utoipa::path(
    put, path = "/api/v1/lookups/{name}", tag = "lookups", operation_id = "lookups_put",
    params(("name" = String, Path, description = "1 to 64 letters, digits, dashes, _")),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 204), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn put(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let csv = body::read(&app, &headers, body).await?;
    let keep = name.clone();
    let put = move |reader: &EventReader| match reader.enrichment() {
        Some(known) => known.put_lookup(&keep, &csv.bytes).map(|()| true),
        None => Ok(false),
    };
    match work(&app, put).await? {
        true => note(&app, &caller, "table written", &name).await.map(|()| StatusCode::NO_CONTENT),
        false => Err(ApiError::bad_request("this server adds nothing to events")),
    }
}

/// Forget a table.
#[utoipa::path(
    delete, path = "/api/v1/lookups/{name}", tag = "lookups", operation_id = "lookups_delete",
    params(("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn delete(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let gone = name.clone();
    let delete = move |reader: &EventReader| match reader.enrichment() {
        Some(known) => known.delete_lookup(&gone),
        None => Ok(false),
    };
    match work(&app, delete).await? {
        true => note(&app, &caller, "table removed", &name).await.map(|()| StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found("table with this name")),
    }
}

/// Reading a large table takes a while: not on the threads that answer.
async fn work(
    app: &App,
    change: impl FnOnce(&EventReader) -> Result<bool, LookupWriteError> + Send + 'static,
) -> Result<bool, ApiError> {
    let reader = app.engine.reader();
    let done = tokio::task::spawn_blocking(move || change(&reader)).await;
    Ok(done.map_err(ApiError::internal)??)
}
