//! Users' programs that change events after the parser: tried, listed, written, forgotten.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pugmark_engine::transforms::{self, check_name};
use pugmark_event::{Records, time};
use pugmark_store::KeptTransform;
use pugmark_transform::{Problem, TransformSource, Transforms};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::App;
use crate::api::audit::check_reason;
use crate::auth::{Admin, Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::wire::ErrorBody;

/// Sample lines of a request.
const LINES_MAX: usize = 100;

/// A transform to try on sample lines.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransformTry {
    /// YAML of a transform; or give the program alone.
    #[serde(default)]
    text: Option<String>,
    /// A program in VRL, instead of the text.
    #[serde(default)]
    program: Option<String>,
    /// Source that the lines come from; without one, the first that the transform names.
    #[serde(default)]
    source: Option<String>,
    /// Raw records, at most 100.
    #[serde(default)]
    lines: Vec<String>,
}

/// What a transform makes of sample lines.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransformTried {
    /// True when the program compiles and all of its tests pass.
    ok: bool,
    problems: Vec<TransformProblem>,
    /// One for each line.
    samples: Vec<TransformSample>,
    /// Tests in the text that failed.
    failed_tests: Vec<TransformTestFailed>,
    /// Time that it takes for an event, in microseconds; null where there is nothing to measure.
    #[schema(required)]
    micros_per_event: Option<f64>,
}

/// Something wrong with a transform.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransformProblem {
    /// Name of the transform, or its file.
    name: String,
    /// Line in the text or the program, from 1.
    #[schema(required)]
    line: Option<usize>,
    /// Column in this line in characters, from 1.
    #[schema(required)]
    column: Option<usize>,
    message: String,
    /// What to do about it; may be empty.
    hint: String,
}

/// One record before and after a transform.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransformSample {
    /// The event as the parser made it.
    #[schema(value_type = Object)]
    before: Map<String, Value>,
    /// The event as it would be stored.
    #[schema(value_type = Object)]
    after: Map<String, Value>,
    /// Why the program failed on it; null where it did not.
    #[schema(required)]
    failed: Option<String>,
}

/// A test that failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransformTestFailed {
    input: String,
    wrong: Vec<TransformTestWrong>,
    /// Why the program failed on it; null where it did not.
    #[schema(required)]
    failed: Option<String>,
}

/// A field that is not as a test expects.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransformTestWrong {
    field: String,
    expected: Value,
    /// Null where there is none.
    found: Value,
}

/// All transforms, in the order in which they run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransformList {
    transforms: Vec<TransformState>,
    /// Why others do not run.
    problems: Vec<TransformProblem>,
}

/// A transform and how it does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransformState {
    name: String,
    /// folder or product.
    origin: &'static str,
    /// Names and patterns of sources; empty for one that does not run.
    sources: Vec<String>,
    /// YAML.
    text: String,
    /// False when something is wrong with it.
    running: bool,
    /// Events that it was for, since the start or since it was changed.
    events: u64,
    /// Of these, those that stayed as the parser made them because it failed.
    failed: u64,
    /// Why the last of them did.
    #[schema(required)]
    reason: Option<String>,
    /// Time that it takes for an event on average, in microseconds; null before the first.
    #[schema(required)]
    micros_per_event: Option<f64>,
    /// Who wrote it last; null for one of a folder.
    #[schema(required)]
    actor: Option<String>,
    #[schema(required)]
    changed: Option<String>,
}

/// A transform to keep.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransformWrite {
    /// YAML.
    text: String,
    /// Why, for the audit trail.
    #[serde(default)]
    reason: String,
}

/// Try a transform on sample lines, without keeping it. For admins: a program is work for the
/// server.
#[utoipa::path(
    post, path = "/api/v1/transforms/test", tag = "transforms", operation_id = "transforms_test",
    request_body = TransformTry,
    responses((status = 200, body = TransformTried), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn test(
    _: Admin,
    State(app): State<App>,
    Json(request): Json<TransformTry>,
) -> Result<Answer<TransformTried>, ApiError> {
    if request.lines.len() > LINES_MAX {
        return Err(ApiError::too_large(format!("at most {LINES_MAX} lines are tried at once")));
    }
    let is_program = request.program.is_some();
    let text = match (request.text, request.program) {
        (Some(text), None) => text,
        (None, Some(program)) => as_text(&program),
        _ => return Err(ApiError::bad_request("give either a text or a program")),
    };
    let reader = app.engine.reader();
    let (source, lines) = (request.source, request.lines);
    let tried = tokio::task::spawn_blocking(move || {
        let text = TransformSource { name: "transform".into(), text };
        let mut tried = try_out(text, source, &lines, &reader);
        if is_program {
            tried.problems.iter_mut().for_each(|problem| {
                // The program begins below the head that `as_text` gave it.
                problem.line = problem.line.map(|line| line.saturating_sub(HEAD_LINES));
                problem.column = problem.column.map(|column| column.saturating_sub(INDENT.len()));
            });
        }
        tried
    });
    Ok(Answer(tried.await.map_err(ApiError::internal)?))
}

/// Lines above a program in [`as_text`].
const HEAD_LINES: usize = 2;
/// What stands before each of its lines.
const INDENT: &str = "  ";

/// A program as the transform of all sources.
fn as_text(program: &str) -> String {
    let lines: String = program.lines().map(|line| format!("{INDENT}{line}\n")).collect();
    // Says how far it is indented, since the program may begin with a blank.
    format!("sources: ['*']\nprogram: |{}\n{lines}", INDENT.len())
}

fn try_out(
    text: TransformSource,
    source: Option<String>,
    lines: &[String],
    reader: &pugmark_engine::Reader,
) -> TransformTried {
    let parser = reader.parser();
    let text = std::slice::from_ref(&text);
    let (transforms, problems) = Transforms::compile(text);
    let first = transforms.list().first();
    let source = source.or_else(|| first.map(|t| t.sample_source())).unwrap_or_default();
    let records: Records = lines.iter().map(|line| line.as_bytes()).collect();
    let samples = match first {
        Some(_) => transforms::samples(&transforms, &parser, &source, &records),
        None => Vec::new(),
    };
    let (tests, _) = transforms::run_tests(text, &parser);
    let failed: Vec<_> = tests.into_iter().filter(|result| !result.passed()).collect();
    let time = transforms::time_per_event(&transforms, &parser, &source, &records);
    TransformTried {
        ok: problems.is_empty() && failed.is_empty(),
        problems: problems.into_iter().map(Into::into).collect(),
        samples: samples.into_iter().map(Into::into).collect(),
        failed_tests: failed.into_iter().map(Into::into).collect(),
        micros_per_event: time.map(|time| time.as_nanos() as f64 / 1000.0),
    }
}

impl From<Problem> for TransformProblem {
    fn from(problem: Problem) -> Self {
        let Problem { name, line, column, message, hint } = problem;
        Self { name, line, column, message, hint }
    }
}

impl From<transforms::Sample> for TransformSample {
    fn from(sample: transforms::Sample) -> Self {
        let failed = sample.outcomes.into_iter().find_map(|outcome| outcome.reason);
        Self { before: sample.before, after: sample.after, failed }
    }
}

impl From<transforms::TransformTestResult> for TransformTestFailed {
    fn from(result: transforms::TransformTestResult) -> Self {
        let wrong = |(field, expected, found)| TransformTestWrong { field, expected, found };
        let wrong = result.wrong.into_iter().map(wrong).collect();
        Self { input: result.input, wrong, failed: result.reason }
    }
}

/// All transforms with their state, and what is wrong with those that do not run.
#[utoipa::path(
    get, path = "/api/v1/transforms", tag = "transforms", operation_id = "transforms_list",
    responses((status = 200, body = TransformList)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn list(
    _: Reader,
    State(app): State<App>,
) -> Result<Answer<TransformList>, ApiError> {
    let reader = app.engine.reader();
    let (book, counts) = (reader.book(), reader.counts());
    let kept = app.engine.store().kept_transforms().list().await?;
    let state = |source: &TransformSource| {
        let running = book.transforms.list().iter().find(|t| t.name() == source.name);
        let kept = kept.iter().find(|kept| kept.name == source.name && kept.text == source.text);
        let count = counts.get(&source.name).cloned().unwrap_or_default();
        let micros = count.nanos as f64 / 1000.0 / count.events.max(1) as f64;
        TransformState {
            name: source.name.clone(),
            origin: if kept.is_some() { "product" } else { "folder" },
            sources: running.map_or_else(Vec::new, |t| t.sources().to_vec()),
            text: source.text.clone(),
            running: running.is_some(),
            events: count.events,
            failed: count.failed,
            reason: count.reason,
            micros_per_event: (count.events > 0).then_some(micros),
            actor: kept.map(|kept| kept.actor.clone()),
            changed: kept.map(|kept| time::format(kept.changed)),
        }
    };
    let mut transforms: Vec<TransformState> = book.sources.iter().map(state).collect();
    transforms.sort_by(|a, b| a.name.cmp(&b.name));
    let problems = book.problems.iter().cloned().map(Into::into).collect();
    Ok(Answer(TransformList { transforms, problems }))
}

/// Keep a transform. It changes events from the next block on, in place of one of the same name
/// from the folder. Events that are stored stay as they are until they are reparsed.
#[utoipa::path(
    put, path = "/api/v1/transforms/{id}", tag = "transforms", operation_id = "transforms_put",
    params(("id" = String, Path, description = "Name of the transform")),
    request_body = TransformWrite,
    responses((status = 204), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn put(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    Json(request): Json<TransformWrite>,
) -> Result<StatusCode, ApiError> {
    check_name(&name).map_err(ApiError::bad_request)?;
    check_reason(&request.reason)?;
    let source = TransformSource { name: name.clone(), text: request.text.clone() };
    let tried = tokio::task::spawn_blocking(move || Transforms::compile(&[source]).1);
    if let Some(problem) = tried.await.map_err(ApiError::internal)?.into_iter().next() {
        let place = problem.line.map_or_else(String::new, |line| format!("line {line}: "));
        return Err(ApiError::bad_request(place + &problem.message).hint(problem.hint));
    }
    let kept = kept(&app, &caller, name, request.text, request.reason);
    app.engine.store().kept_transforms().put(&kept).await?;
    app.engine.reload_transforms().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forget a transform that was written here. One of the same name from the folder is in force
/// again.
#[utoipa::path(
    delete, path = "/api/v1/transforms/{id}", tag = "transforms",
    operation_id = "transforms_delete",
    params(("id" = String, Path, description = "Name of the transform")),
    responses((status = 204), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn delete(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let transforms = app.engine.store().kept_transforms();
    let known = transforms.get(&name).await?;
    let known = known.ok_or_else(|| {
        ApiError::not_found("transform of this name that was written here")
            .hint("one of the folder goes when its file does")
    })?;
    transforms.remove(&kept(&app, &caller, name, known.text, String::new())).await?;
    app.engine.reload_transforms().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn kept(app: &App, caller: &Caller, name: String, text: String, reason: String) -> KeptTransform {
    let actor = caller.name().to_string();
    KeptTransform { name, text, reason, actor, changed: app.engine.now() }
}
