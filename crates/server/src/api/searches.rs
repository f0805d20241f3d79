//! Searches that people saved: listed, written, forgotten; and how their schedules do.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pugmark_engine::schedule;
use pugmark_event::Severity;
use pugmark_event::time;
use pugmark_store::{Kept, KeptSchedule, KeptSearch, SEARCHES_MAX, SearchRun};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;
use crate::auth::{Admin, Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::wire::ErrorBody;

/// All saved searches, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SavedSearches {
    searches: Vec<SavedSearch>,
}

/// A saved search.
#[derive(Debug, Serialize, ToSchema)]
pub struct SavedSearch {
    name: String,
    query: String,
    /// Start of its range, such as `now-1d`; empty for none.
    from: String,
    /// End of its range; empty for none.
    to: String,
    description: String,
    #[schema(required)]
    schedule: Option<SearchSchedule>,
    /// How its schedule does; null without one.
    #[schema(required)]
    run: Option<SearchState>,
    owner: String,
    created: String,
    changed: String,
}

/// How often a search is asked by itself, and what its rows become.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchSchedule {
    /// Time between two runs: `1m` to `1d`. Each is about the events since the one before.
    every: String,
    /// informational, low, medium, high or critical.
    level: String,
    /// Title of the alerts; the name of the search when it is left out.
    #[serde(default)]
    title: String,
    /// The column that says who or what a row is about; the first that names one when it is left
    /// out.
    entity: Option<String>,
}

/// How far a schedule has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchState {
    /// Events before this time were asked about.
    done: String,
    /// When the last run ended; null before the first.
    #[schema(required)]
    last_run: Option<String>,
    /// Rows of the last run that became detections, at most 100.
    last_rows: u64,
    /// How long it took, in microseconds.
    took_us: i64,
    /// Why it failed; null when it did not.
    #[schema(required)]
    last_error: Option<String>,
}

/// A search to save.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchWrite {
    /// 1 to 80 letters, digits, blanks within, and `_-.()`. Where the address has it, it may be
    /// left out.
    #[serde(default)]
    name: String,
    /// `user.name:root | stats count() by source.ip`
    query: String,
    /// Start of its range, such as `now-1d`.
    #[serde(default)]
    from: String,
    /// End of its range.
    #[serde(default)]
    to: String,
    #[serde(default)]
    description: String,
    schedule: Option<SearchSchedule>,
}

/// All saved searches.
#[utoipa::path(
    get, path = "/api/v1/searches", tag = "searches", operation_id = "searches_list",
    responses((status = 200, body = SavedSearches)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn list(
    _: Reader,
    State(app): State<App>,
) -> Result<Answer<SavedSearches>, ApiError> {
    let searches = app.engine.store().kept_searches().list().await?;
    Ok(Answer(SavedSearches { searches: searches.into_iter().map(Into::into).collect() }))
}

/// One saved search.
#[utoipa::path(
    get, path = "/api/v1/searches/{name}", tag = "searches", operation_id = "searches_get",
    params(("name" = String, Path)),
    responses((status = 200, body = SavedSearch), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn get(
    _: Reader,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Answer<SavedSearch>, ApiError> {
    Ok(Answer(known(&app, &name).await?.into()))
}

/// Save a search under a name that is free. With a schedule it is asked by itself from now on, and
/// its rows become detections.
#[utoipa::path(
    post, path = "/api/v1/searches", tag = "searches", operation_id = "searches_add",
    request_body = SearchWrite,
    responses((status = 201, body = SavedSearch), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn add(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Json(request): Json<SearchWrite>,
) -> Result<(StatusCode, Answer<SavedSearch>), ApiError> {
    let search = request.read(&app, &caller)?;
    let kept = app.engine.store().kept_searches().add(&search, since(&app, &search)).await?;
    was_kept(kept, &search.name)?;
    Ok((StatusCode::CREATED, Answer(known(&app, &search.name).await?.into())))
}

/// Save a search, in place of the one of the same name. Its owner stays, and a schedule goes on
/// where it was.
#[utoipa::path(
    put, path = "/api/v1/searches/{name}", tag = "searches", operation_id = "searches_put",
    params(("name" = String, Path)), request_body = SearchWrite,
    responses((status = 200, body = SavedSearch), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn put(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    Json(request): Json<SearchWrite>,
) -> Result<Answer<SavedSearch>, ApiError> {
    if !request.name.is_empty() && request.name != name {
        return Err(ApiError::bad_request("a saved search keeps its name")
            .hint("save it under the new name, then delete the old one"));
    }
    let search = SearchWrite { name, ..request }.read(&app, &caller)?;
    let (searches, since) = (app.engine.store().kept_searches(), since(&app, &search));
    was_kept(searches.put(&search, since, caller.name()).await?, &search.name)?;
    Ok(Answer(known(&app, &search.name).await?.into()))
}

/// Forget a saved search and its schedule. Alerts that it made stay.
#[utoipa::path(
    delete, path = "/api/v1/searches/{name}", tag = "searches", operation_id = "searches_delete",
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
    let searches = app.engine.store().kept_searches();
    match searches.remove(&name, caller.name(), app.engine.now()).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown()),
    }
}

async fn known(app: &App, name: &str) -> Result<KeptSearch, ApiError> {
    let known = app.engine.store().kept_searches().get(name).await?;
    known.ok_or_else(unknown)
}

fn unknown() -> ApiError {
    ApiError::not_found("saved search with this name")
}

/// Where a schedule begins that is written now.
fn since(app: &App, search: &KeptSearch) -> time::Micros {
    let now = app.engine.now();
    search.schedule.as_ref().map_or(now, |written| schedule::start(written, now))
}

fn was_kept(kept: Kept, name: &str) -> Result<(), ApiError> {
    let conflict = |code, message| ApiError::new(StatusCode::CONFLICT, code, message);
    match kept {
        Kept::Yes => Ok(()),
        Kept::NameTaken => {
            let message = format!("there is a saved search {name:?} already");
            Err(conflict("name_taken", message).hint("choose another name, or change that one"))
        }
        Kept::Full => {
            let message = format!("there are {SEARCHES_MAX} saved searches, and no more fit");
            Err(conflict("full", message).hint("delete some that nobody needs"))
        }
    }
}

impl SearchWrite {
    /// The search that the caller writes now.
    ///
    /// # Errors
    /// When something in it is not understood or too long.
    fn read(self, app: &App, caller: &Caller) -> Result<KeptSearch, ApiError> {
        let now = app.engine.now();
        let search = KeptSearch {
            name: self.name,
            query: self.query,
            from: self.from.trim().to_string(),
            to: self.to.trim().to_string(),
            description: self.description,
            schedule: self.schedule.map(SearchSchedule::read).transpose()?,
            owner: caller.name().to_string(),
            created: now,
            changed: now,
            run: None,
        };
        schedule::check(&search).map_err(ApiError::bad_request)?;
        pugmark_query::parse(&search.query)?;
        Ok(search)
    }
}

impl SearchSchedule {
    fn read(self) -> Result<KeptSchedule, ApiError> {
        let every = time::parse_span(self.every.trim());
        let every = every.ok_or_else(|| {
            ApiError::bad_request("`every` is no time").hint("write one such as 15m")
        })?;
        let level = Severity::from_name(&self.level).filter(|level| *level != Severity::Fatal);
        let level = level.ok_or_else(|| {
            ApiError::bad_request("`level` is none of informational, low, medium, high, critical")
        })?;
        let entity = self.entity.filter(|entity| !entity.is_empty());
        Ok(KeptSchedule { every, level, title: self.title, entity })
    }
}

impl From<KeptSearch> for SavedSearch {
    fn from(search: KeptSearch) -> Self {
        Self {
            name: search.name,
            query: search.query,
            from: search.from,
            to: search.to,
            description: search.description,
            schedule: search.schedule.map(Into::into),
            run: search.run.map(Into::into),
            owner: search.owner,
            created: time::format(search.created),
            changed: time::format(search.changed),
        }
    }
}

impl From<KeptSchedule> for SearchSchedule {
    fn from(schedule: KeptSchedule) -> Self {
        let KeptSchedule { every, level, title, entity } = schedule;
        Self { every: time::format_span(every), level: level.name().into(), title, entity }
    }
}

impl From<SearchRun> for SearchState {
    fn from(run: SearchRun) -> Self {
        Self {
            done: time::format(run.done),
            last_run: run.ran.map(time::format),
            last_rows: run.rows,
            took_us: run.took,
            last_error: run.error,
        }
    }
}
