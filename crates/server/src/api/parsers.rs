//! Parser packs of the user's own: proposed for a source, tried on records, kept, forgotten.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pugmark_engine::parsers::{self, ParserWriteError};
use pugmark_event::json::RowWriter;
use pugmark_event::{FieldId, Records, fields};
use pugmark_parse::propose::{self, Proposal};
use pugmark_parse::{Input, PackSource, Parser};
use pugmark_query::{FieldRef, Filter, Test};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::App;
use crate::api::audit::note;
use crate::api::explore;
use crate::auth::{Admin, Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::questions::Range;
use crate::turns::Class;
use crate::wire::ErrorBody;

/// Newest records of a source that a proposal looks at.
const PROPOSE_ROWS: usize = 2000;
/// Records that are shown with what a pack makes of them.
const SAMPLES_MAX: usize = 20;
/// Records of a request.
const LINES_MAX: usize = 1000;
/// Longest text of a pack in bytes.
const TEXT_BYTES_MAX: usize = 512 << 10;

/// Packs of the user's own.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParserList {
    parsers: Vec<OwnParser>,
    /// Files that are left out.
    problems: Vec<ParserProblem>,
}

/// A pack of the user's own that is in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnParser {
    /// vendor/product.
    name: String,
    /// YAML.
    text: String,
}

/// A pack that is left out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParserProblem {
    path: String,
    message: String,
}

/// What a pack is to be proposed for: a source, or lines.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParserPropose {
    /// What the pack is to be called: vendor/product.
    name: String,
    /// A source whose newest records without a pack are looked at.
    #[serde(default)]
    source: Option<String>,
    /// Or raw records, at most 1,000.
    #[serde(default)]
    lines: Vec<String>,
}

/// A pack to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParserTry {
    /// YAML.
    text: String,
    /// A source whose newest records are read with it.
    #[serde(default)]
    source: Option<String>,
    /// Or raw records, at most 1,000.
    #[serde(default)]
    lines: Vec<String>,
}

/// A pack to keep.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParserWrite {
    /// YAML.
    text: String,
}

/// A proposed pack and what it rests on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParserProposal {
    /// YAML, to be edited and kept.
    text: String,
    /// Records that were looked at.
    records: usize,
    /// The share of them that the pack takes, 0 to 1.
    covered: f64,
    /// How sure all of it is, 0 to 1.
    confidence: f64,
    patterns: Vec<ProposedPattern>,
    /// Native names that stand for a field.
    fields: Vec<ProposedField>,
    /// Some records as events, read with the pack.
    samples: Vec<ParserSample>,
    /// Some records that the pack does not take.
    remaining: Vec<String>,
}

/// A form of message that a proposed pack knows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProposedPattern {
    pattern: String,
    /// A message that it was made from.
    example: String,
    count: usize,
    fields: Vec<ProposedField>,
    /// Constants that its words say: action, outcome, category.
    #[schema(value_type = Object)]
    values: Map<String, Value>,
}

/// A value that was given a field.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProposedField {
    /// The product's name for it; empty in a pattern.
    native: String,
    field: String,
    /// What its values look like.
    shape: &'static str,
    /// How sure it is that this is the field, 0 to 1.
    confidence: f64,
    example: String,
}

/// What a pack makes of records.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParserTried {
    /// Why the text is no pack; null when it is one.
    #[schema(required)]
    problem: Option<String>,
    /// Records that were read.
    records: usize,
    /// Of these, those that the pack took.
    taken: usize,
    samples: Vec<ParserSample>,
}

/// A record and its event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParserSample {
    record: String,
    #[schema(value_type = Object)]
    event: Map<String, Value>,
}

impl From<propose::Field> for ProposedField {
    fn from(field: propose::Field) -> Self {
        let propose::Field { native, field, shape, confidence, example } = field;
        Self { native, field, shape: shape.name(), confidence, example }
    }
}

impl From<propose::Pattern> for ProposedPattern {
    fn from(pattern: propose::Pattern) -> Self {
        let values = pattern.values.into_iter();
        Self {
            pattern: pattern.pattern,
            example: pattern.example,
            count: pattern.count,
            fields: pattern.fields.into_iter().map(Into::into).collect(),
            values: values.map(|(name, value)| (name.to_string(), Value::String(value))).collect(),
        }
    }
}

impl From<ParserWriteError> for ApiError {
    fn from(error: ParserWriteError) -> Self {
        match error {
            ParserWriteError::Disk { .. } => ApiError::internal(error),
            wrong => ApiError::bad_request(wrong.to_string()),
        }
    }
}

/// Packs of the user's own, and files that are left out.
#[utoipa::path(
    get, path = "/api/v1/parsers", tag = "parsers", operation_id = "parsers_list",
    responses((status = 200, body = ParserList)), security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn list(_: Reader, State(app): State<App>) -> Answer<ParserList> {
    let book = app.engine.reader().parsers();
    let own = book.own.iter().map(|pack| OwnParser {
        name: pack.path.trim_end_matches("/parser.yaml").to_string(),
        text: pack.text.clone(),
    });
    let problems = book.problems.iter().map(|problem| ParserProblem {
        path: problem.path.clone(),
        message: problem.message.clone(),
    });
    Answer(ParserList { parsers: own.collect(), problems: problems.collect() })
}

/// Propose a pack for a source that none knows, or for lines. Nothing is kept.
#[utoipa::path(
    post, path = "/api/v1/parsers/propose", tag = "parsers", operation_id = "parsers_propose",
    request_body = ParserPropose,
    responses((status = 200, body = ParserProposal), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn propose(
    _: Admin,
    who: Caller,
    State(app): State<App>,
    Json(request): Json<ParserPropose>,
) -> Result<Answer<ParserProposal>, ApiError> {
    parsers::check_name(&request.name)?;
    let (source, records) = records(&app, &who, request.source, request.lines, true).await?;
    if records.is_empty() {
        return Err(ApiError::bad_request("there are no records that no pack understands")
            .hint("give lines, or a source whose records are not understood"));
    }
    let received = app.engine.now();
    let work = move || {
        let input =
            Input { source: &source, records: &records, first_id: 1, received, format: None };
        shown(propose::propose(&input, &request.name), &input, &request.name)
    };
    Ok(Answer(tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?))
}

/// Say what a pack makes of records, without keeping it.
#[utoipa::path(
    post, path = "/api/v1/parsers/test", tag = "parsers", operation_id = "parsers_test",
    request_body = ParserTry,
    responses((status = 200, body = ParserTried), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn test(
    _: Admin,
    who: Caller,
    State(app): State<App>,
    Json(request): Json<ParserTry>,
) -> Result<Answer<ParserTried>, ApiError> {
    bounded(&request.text)?;
    let (source, records) = records(&app, &who, request.source, request.lines, false).await?;
    let received = app.engine.now();
    let work = move || {
        let input =
            Input { source: &source, records: &records, first_id: 1, received, format: None };
        let pack = PackSource { path: "own/pack/parser.yaml".into(), text: request.text };
        match Parser::new(&[pack]) {
            Ok(parser) => {
                let (taken, samples) = samples(&parser, &input);
                ParserTried { problem: None, records: records.len(), taken, samples }
            }
            Err(error) => {
                let problem = Some(error.message);
                ParserTried { problem, records: records.len(), taken: 0, samples: Vec::new() }
            }
        }
    };
    Ok(Answer(tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?))
}

/// Keep a pack. Records are read with it at once; stored ones when they are parsed again.
#[utoipa::path(
    put, path = "/api/v1/parsers/{vendor}/{product}", tag = "parsers", operation_id = "parsers_put",
    params(("vendor" = String, Path), ("product" = String, Path)), request_body = ParserWrite,
    responses((status = 204), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn put(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Path((vendor, product)): Path<(String, String)>,
    Json(request): Json<ParserWrite>,
) -> Result<StatusCode, ApiError> {
    bounded(&request.text)?;
    let (dir, name) = (folder(&app)?, format!("{vendor}/{product}"));
    parsers::put(&dir, &name, &request.text)?;
    note(&app, &caller, "parser written", &name).await?;
    app.engine.reload_parsers().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forget a pack. One of the same name in the binary reads again.
#[utoipa::path(
    delete, path = "/api/v1/parsers/{vendor}/{product}", tag = "parsers",
    operation_id = "parsers_delete",
    params(("vendor" = String, Path), ("product" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn delete(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Path((vendor, product)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let (dir, name) = (folder(&app)?, format!("{vendor}/{product}"));
    if !parsers::remove(&dir, &name)? {
        return Err(ApiError::not_found("parser pack of your own with this name"));
    }
    note(&app, &caller, "parser removed", &name).await?;
    app.engine.reload_parsers().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn folder(app: &App) -> Result<std::path::PathBuf, ApiError> {
    app.engine.folders().parsers.clone().ok_or_else(|| {
        ApiError::bad_request("this server has no folder for packs")
            .hint("set parsers.dir in the settings")
    })
}

fn bounded(text: &str) -> Result<(), ApiError> {
    match text.len() > TEXT_BYTES_MAX {
        true => Err(ApiError::too_large("a pack has at most 512 KiB")),
        false => Ok(()),
    }
}

/// The records of a request: its lines, or the newest of a source, perhaps those without a pack.
async fn records(
    app: &App,
    who: &Caller,
    source: Option<String>,
    lines: Vec<String>,
    unknown: bool,
) -> Result<(String, Records), ApiError> {
    if lines.len() > LINES_MAX {
        return Err(ApiError::too_large(format!("at most {LINES_MAX} lines are looked at")));
    }
    let Some(source) = source.filter(|_| lines.is_empty()) else {
        let records = lines.iter().map(String::as_bytes).collect();
        return Ok(("sample".into(), records));
    };
    let of = |id: FieldId, test| Filter::Field(FieldRef::new(id.name()), test);
    let mut filter = of(fields::EVENT_SOURCE, Test::Equals(source.clone()));
    if unknown {
        let known = of(fields::EVENT_MODULE, Test::Exists);
        filter = Filter::And(vec![filter, Filter::Not(Box::new(known))]);
    }
    let turn = app.turn(who, Class::Question).await?;
    let everything = Range { from: None, to: None };
    let (batches, _) = explore::newest(app, turn, filter, everything, PROPOSE_ROWS).await?;
    // The oldest first, as they came: rows of a table follow their header.
    let mut records = Records::default();
    for batch in batches.iter().rev() {
        (0..batch.rows()).rev().for_each(|row| records.push(batch.original(row)));
    }
    Ok((source, records))
}

fn shown(proposal: Proposal, input: &Input<'_>, name: &str) -> ParserProposal {
    let pack = PackSource { path: format!("{name}/parser.yaml"), text: proposal.text.clone() };
    let samples = Parser::new(&[pack]).map(|parser| samples(&parser, input).1);
    let records: Vec<&[u8]> = input.records.iter().collect();
    let record = |at: &usize| Some(String::from_utf8_lossy(records.get(*at)?).into_owned());
    ParserProposal {
        text: proposal.text,
        records: proposal.records,
        covered: proposal.covered,
        confidence: proposal.confidence,
        patterns: proposal.patterns.into_iter().map(Into::into).collect(),
        fields: proposal.fields.into_iter().map(Into::into).collect(),
        samples: samples.unwrap_or_default(),
        remaining: proposal.remaining.iter().take(SAMPLES_MAX).filter_map(record).collect(),
    }
}

/// How many records the packs took, and some of them as events.
fn samples(parser: &Parser, input: &Input<'_>) -> (usize, Vec<ParserSample>) {
    let batch = parser.parse(input);
    let rows = RowWriter::new(batch.columns());
    let taken = batch
        .text(fields::EVENT_MODULE)
        .map_or(0, |column| (0..batch.rows()).filter(|row| !column.value(*row).is_empty()).count());
    let event = |row: usize| {
        let mut line = Vec::new();
        rows.write(row, &mut line);
        let event = serde_json::from_slice(&line).unwrap_or_default();
        ParserSample { record: String::from_utf8_lossy(batch.original(row)).into_owned(), event }
    };
    (taken, (0..batch.rows().min(SAMPLES_MAX)).map(event).collect())
}
