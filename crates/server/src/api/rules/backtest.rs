//! Rules tried on everything that is stored.

use std::convert::Infallible;
use std::ops::ControlFlow;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use pugmark_detect::RuleSource;
use pugmark_engine::backtest::{self, Plan};
use pugmark_engine::history::{History, Progress};
use pugmark_event::time;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::RuleProblem;
use crate::App;
use crate::auth::{Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::questions::Range;
use crate::turns::Class;
use crate::wire::{Entity, ErrorBody, Moment, Reason};

/// Lines that wait for the client.
const LINES_MAX: usize = 16;

/// What to try, and on which time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BacktestRequest {
    /// Id or title of a rule in force; or `text`.
    rule: Option<String>,
    /// One rule or several, as YAML. They stand in for rules in force with the same ids.
    text: Option<String>,
    /// Earliest event time, such as `now-30d`; absent: everything.
    from: Option<Moment>,
    /// Latest event time, not included.
    to: Option<Moment>,
}

/// One line of the answer: how far it is, or at its end the report or an error.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BacktestLine {
    /// How far the reading is.
    Progress(BacktestProgress),
    /// What was found.
    Report(BacktestReport),
}

/// How far the reading is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BacktestProgress {
    /// Events looked at or left out.
    done: u64,
    /// Events to look at.
    events: u64,
    /// Events that rules matched so far.
    hits: u64,
}

/// What rules would have found.
#[derive(Debug, Serialize, ToSchema)]
pub struct BacktestReport {
    /// Events of the time asked for.
    events: u64,
    /// Events that some rule matched.
    hits: u64,
    seconds: f64,
    /// What is odd about the rules.
    problems: Vec<RuleProblem>,
    /// The rule with the most alerts first.
    rules: Vec<BacktestRule>,
}

/// What one rule would have found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BacktestRule {
    id: String,
    title: String,
    level: String,
    version: String,
    detections: u64,
    /// Alerts that the detections would have become.
    alerts: u64,
    /// Days (UTC) with detections, in their order.
    days: Vec<BacktestDay>,
    /// The most frequent first, at most ten.
    entities: Vec<BacktestEntity>,
    entities_total: u64,
    /// The newest detections.
    samples: Vec<BacktestSample>,
    /// Against the version in force; null when that is the same, or there is none.
    #[schema(required)]
    difference: Option<BacktestDifference>,
}

/// A day of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BacktestDay {
    day: String,
    detections: u64,
    alerts: u64,
}

/// How often a rule found somebody.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BacktestEntity {
    entity: Entity,
    detections: u64,
}

/// A detection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BacktestSample {
    time: String,
    event: String,
    entity: Entity,
    count: u64,
    why: Vec<Reason>,
}

/// Detections, against those of the version in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BacktestDifference {
    /// The version in force.
    before: String,
    both: u64,
    only_now: u64,
    only_before: u64,
    /// Events of some that only the version in force found.
    lost_events: Vec<String>,
}

/// Try rules on everything that is stored, before they are trusted.
///
/// The matcher and the correlations are those of the stream. One JSON object a line: `progress`
/// while stored events are read, at the end `report`, or `error`. Closing the connection stops it.
#[utoipa::path(
    post, path = "/api/v1/rules/backtest", tag = "rules", operation_id = "rules_backtest",
    request_body = BacktestRequest,
    responses(
        (status = 200, body = BacktestLine, content_type = "application/x-ndjson"),
        (status = "4XX", body = ErrorBody)
    ),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn backtest(
    _: Reader,
    who: Caller,
    State(app): State<App>,
    Json(request): Json<BacktestRequest>,
) -> Result<Response, ApiError> {
    let range = Range::read(request.from.as_ref(), request.to.as_ref(), app.engine.now())?;
    let turn = app.turn(&who, Class::Background).await?;
    let plan = plan(&app, request).await?;
    let history =
        History { from: range.from, to: range.to, ..History::new(app.engine.store().snapshot()) };
    let (lines, mut written) = mpsc::channel::<Bytes>(LINES_MAX);
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut watch = |progress: Progress| {
            let line = BacktestLine::Progress(progress.into());
            // A client that reads slowly misses some progress, and one that has gone ends it.
            match lines.try_send(self::line(&line)) {
                Err(mpsc::error::TrySendError::Closed(_)) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        };
        let last = match plan.run(&history, &mut watch) {
            Ok(report) => line(&BacktestLine::Report(BacktestReport::new(report, &plan.problems))),
            Err(error) => Bytes::from(format!("{}\n", ApiError::internal(error).json(None))),
        };
        let _ = lines.blocking_send(last);
    });
    let stream = async_stream::stream! {
        while let Some(line) = written.recv().await {
            yield Ok::<_, Infallible>(line);
        }
    };
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(stream)).into_response())
}

async fn plan(app: &App, request: BacktestRequest) -> Result<Plan, ApiError> {
    let book = app.engine.rule_book();
    let plan = tokio::task::spawn_blocking(move || match (request.rule, request.text) {
        (Some(rule), None) => Some(Plan::of_rule(&rule, &book.loaded)),
        (None, Some(text)) => {
            let source = RuleSource { path: "rule.yaml".into(), text };
            Some(Plan::of_sources(&[source], &book.loaded))
        }
        _ => None,
    });
    let plan = plan.await.map_err(ApiError::internal)?;
    let plan = plan.ok_or_else(|| ApiError::bad_request("give either `rule` or `text`"))?;
    plan.map_err(|error| ApiError::bad_request(error.to_string()))
}

fn line(line: &BacktestLine) -> Bytes {
    Bytes::from(format!("{}\n", json!(line)))
}

impl From<Progress> for BacktestProgress {
    fn from(Progress { done, events, hits }: Progress) -> Self {
        Self { done, events, hits }
    }
}

impl BacktestReport {
    /// The report as the API shows it: times and ids as text.
    pub fn new(report: backtest::Report, problems: &[pugmark_detect::Problem]) -> Self {
        Self {
            events: report.events,
            hits: report.hits,
            seconds: report.seconds,
            problems: problems.iter().map(Into::into).collect(),
            rules: report.rules.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<backtest::RuleReport> for BacktestRule {
    fn from(rule: backtest::RuleReport) -> Self {
        let day = |day: backtest::DayCount| BacktestDay {
            day: time::format(day.day)[..10].to_string(),
            detections: day.detections,
            alerts: day.alerts,
        };
        let entity = |entity: backtest::EntityCount| BacktestEntity {
            entity: (&entity.entity).into(),
            detections: entity.detections,
        };
        Self {
            id: rule.id,
            title: rule.title,
            level: rule.level,
            version: rule.version,
            detections: rule.detections,
            alerts: rule.alerts,
            days: rule.days.into_iter().map(day).collect(),
            entities: rule.entities.into_iter().map(entity).collect(),
            entities_total: rule.entities_total,
            samples: rule.samples.into_iter().map(Into::into).collect(),
            difference: rule.difference.map(Into::into),
        }
    }
}

impl From<backtest::Sample> for BacktestSample {
    fn from(sample: backtest::Sample) -> Self {
        Self {
            time: time::format(sample.time),
            event: sample.event_id.to_string(),
            entity: (&sample.entity).into(),
            count: sample.count,
            why: sample.why.iter().map(Reason::from).collect(),
        }
    }
}

impl From<backtest::Difference> for BacktestDifference {
    fn from(difference: backtest::Difference) -> Self {
        Self {
            before: difference.before,
            both: difference.both,
            only_now: difference.only_now,
            only_before: difference.only_before,
            lost_events: difference.lost_events.iter().map(ToString::to_string).collect(),
        }
    }
}
