//! Questions: bounds of time, a turn in the queue, and answers row by row.

use std::convert::Infallible;
use std::time::Duration;

use arrow::array::RecordBatch;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pugmark_event::Batch;
use pugmark_event::fields::FIELDS;
use pugmark_event::json::RowWriter;
use pugmark_event::time::{self, Micros};
use pugmark_query::explain::Explanation;
use pugmark_query::{Answer, Filter, Kind, Pipe, Plan, Request};
use tokio_util::sync::DropGuard;

use crate::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::turns::{Class, Turn};
use crate::wire::Moment;

/// How long the head of an answer waits for the first row, so that an early error is a status.
const FIRST_ROW_TIME: Duration = Duration::from_secs(2);
/// Bytes of rows sent at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Characters of column names that stay as they are in a header.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-').remove(b'@').remove(b'(').remove(b')');

/// Years 1 to 9999: what RFC 3339 can say, and what sums of times cannot overflow.
pub(crate) const TIMES: (Micros, Micros) = (-62_135_596_800_000_000, 253_402_300_799_999_999);

/// A range of event time: from inclusive, to exclusive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) from: Option<Micros>,
    pub(crate) to: Option<Micros>,
}

impl Range {
    pub(crate) fn read(
        from: Option<&Moment>,
        to: Option<&Moment>,
        now: Micros,
    ) -> Result<Self, ApiError> {
        Ok(Self { from: bound("from", from, now)?, to: bound("to", to, now)? })
    }
}

fn bound(name: &str, moment: Option<&Moment>, now: Micros) -> Result<Option<Micros>, ApiError> {
    let at = match moment {
        None => return Ok(None),
        Some(Moment::Millis(millis)) => millis.checked_mul(1000),
        Some(Moment::Text(text)) if text.trim().is_empty() => return Ok(None),
        // A number is milliseconds here, whatever its size.
        Some(Moment::Text(text)) => match text.trim().parse::<i64>() {
            Ok(millis) => millis.checked_mul(1000),
            Err(_) => time::parse_bound(text, now),
        },
    };
    at.map(|at| Some(at.clamp(TIMES.0, TIMES.1))).ok_or_else(|| {
        ApiError::bad_request(format!("{name} is no time that can be understood"))
            .hint("write 2026-11-23T10:00:00Z, now, now-15m, now-1d/d or epoch milliseconds")
    })
}

/// Rows of an answer as they are found.
pub(crate) struct Rows {
    pub(crate) kind: Kind,
    /// Names of the columns, as the search has them.
    pub(crate) columns: Vec<String>,
    pub(crate) batches: BoxStream<'static, Result<RecordBatch, ApiError>>,
}

/// An answer and its place among the questions that run.
pub(crate) struct Asked {
    pub(crate) answer: Answer,
    turn: Turn,
    /// Longest time for the answer.
    time_max: Duration,
}

impl App {
    /// Asks, once it is this question's turn.
    pub(crate) async fn ask(&self, who: &Caller, request: Request) -> Result<Asked, ApiError> {
        let turn = self.turn(who, Class::Question).await?;
        self.ask_in(turn, request).await
    }

    /// Asks in a turn that was waited for already.
    pub(crate) async fn ask_in(&self, turn: Turn, request: Request) -> Result<Asked, ApiError> {
        let search = self.engine.search();
        Ok(Asked { answer: search.search(request).await?, turn, time_max: search.time_max() })
    }

    /// Asks in SQL, once it is this question's turn.
    pub(crate) async fn ask_sql(
        &self,
        who: &Caller,
        class: Class,
        sql: &str,
        limit: Option<usize>,
    ) -> Result<Asked, ApiError> {
        let turn = self.turn(who, class).await?;
        let search = self.engine.search();
        Ok(Asked { answer: search.sql(sql, limit).await?, turn, time_max: search.time_max() })
    }

    /// Asks, and says what that takes instead of the answer.
    pub(crate) async fn explain(
        &self,
        who: &Caller,
        request: Request,
    ) -> Result<Explanation, ApiError> {
        let _turn = self.turn(who, Class::Question).await?;
        Ok(self.engine.search().explain(request).await?)
    }

    /// Waits for a place among the questions that run.
    pub(crate) async fn turn(&self, who: &Caller, class: Class) -> Result<Turn, ApiError> {
        self.turns.take(who.account(), class).await
    }

    /// Events by id, in that order.
    pub(crate) async fn events(&self, who: &Caller, ids: &[i64]) -> Result<Vec<String>, ApiError> {
        let mut found: Vec<(usize, String)> = Vec::new();
        for batch in self.event_batches(who, ids).await? {
            let writer = RowWriter::new(batch.columns());
            for (row, id) in batch.ids().iter().enumerate() {
                let Some(place) = ids.iter().position(|wanted| wanted == id) else { continue };
                let mut text = Vec::new();
                writer.write(row, &mut text);
                found.push((place, String::from_utf8(text).map_err(ApiError::internal)?));
            }
        }
        found.sort_unstable_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, text)| text).collect())
    }

    /// Events by id, in columns and no order.
    pub(crate) async fn event_batches(
        &self,
        who: &Caller,
        ids: &[i64],
    ) -> Result<Vec<Batch>, ApiError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let plan = Plan::of_events(ids);
        let request = Request { limit: Some(ids.len()), ..Request::new(plan, self.engine.now()) };
        let turn = self.turn(who, Class::Small).await?;
        let batches = self.ask_in(turn, request).await?.collect().await?.into_iter();
        batches.map(|batch| Batch::new(batch).map_err(ApiError::internal)).collect()
    }
}

impl Asked {
    /// The answer, and the place that is given up with it, or when its work must have ended.
    pub(crate) fn parts(self) -> (Answer, DropGuard) {
        (self.answer, self.turn.at_most(self.time_max))
    }

    /// All rows at once; only for answers that are small by their plan.
    pub(crate) async fn collect(self) -> Result<Vec<RecordBatch>, ApiError> {
        let batches = self.answer.rows.try_collect().await?;
        drop(self.turn);
        Ok(batches)
    }

    /// The rows while they are found. The place among the questions is kept for as long as they
    /// are. An early error comes at once.
    pub(crate) async fn rows(self) -> Result<Rows, ApiError> {
        let (Answer { kind, columns, mut rows, .. }, turn) = self.parts();
        let first = match tokio::time::timeout(FIRST_ROW_TIME, rows.next()).await {
            Ok(Some(Err(error))) => return Err(error.into()),
            Ok(Some(Ok(batch))) => Some(Some(Ok(batch))),
            Ok(None) => Some(None),
            Err(_) => None,
        };
        let batches = async_stream::stream! {
            let _turn = turn;
            let mut first = first;
            loop {
                let next = match first.take() {
                    Some(first) => first,
                    None => rows.next().await.map(|batch| batch.map_err(ApiError::from)),
                };
                let Some(next) = next else { break };
                let failed = next.is_err();
                yield next;
                if failed {
                    break;
                }
            }
        };
        Ok(Rows { kind, columns, batches: batches.boxed() })
    }

    /// The rows as NDJSON while they are found. When the client goes away the work stops.
    pub(crate) async fn ndjson(self) -> Result<Response, ApiError> {
        let Rows { kind, columns, mut batches } = self.rows().await?;
        let lines = async_stream::stream! {
            while let Some(batch) = batches.next().await {
                match batch {
                    Ok(batch) => {
                        let mut row = 0;
                        while row < batch.num_rows() {
                            yield chunk(&batch, kind, &mut row);
                        }
                    }
                    Err(error) => yield error_line(&error),
                }
            }
        };
        Ok(answer(kind, &columns, Body::from_stream(lines.map(Ok::<_, Infallible>))))
    }
}

fn error_line(error: &ApiError) -> Bytes {
    Bytes::from(format!("{}\n", error.json(None)))
}

/// Writes rows as JSON; a table has a value in each column.
pub(crate) fn writer(batch: &RecordBatch, kind: Kind) -> RowWriter<'_> {
    match kind {
        Kind::Events => RowWriter::new(batch),
        Kind::Table => RowWriter::new(batch).with_nulls(),
    }
}

/// Rows from `row` on, up to the size of a chunk.
fn chunk(batch: &RecordBatch, kind: Kind, row: &mut usize) -> Bytes {
    let writer = writer(batch, kind);
    let mut out = Vec::with_capacity(CHUNK_BYTES + 4096);
    while *row < batch.num_rows() && out.len() < CHUNK_BYTES {
        writer.write(*row, &mut out);
        out.push(b'\n');
        *row += 1;
    }
    Bytes::from(out)
}

fn answer(kind: Kind, columns: &[String], body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    headers.insert(header::CONTENT_TYPE, ndjson);
    headers.insert(
        HeaderName::from_static("x-pugmark-kind"),
        HeaderValue::from_static(match kind {
            Kind::Events => "events",
            Kind::Table => "table",
        }),
    );
    if kind == Kind::Table {
        let names: Vec<String> = columns
            .iter()
            .map(|name| utf8_percent_encode(shown(name), PLAIN).to_string())
            .collect();
        if let Ok(value) = HeaderValue::from_str(&names.join(",")) {
            headers.insert(HeaderName::from_static("x-pugmark-columns"), value);
        }
    }
    response
}

/// The name that rows use for a column: the ECS name of a registered one.
pub(crate) fn shown(column: &str) -> &str {
    FIELDS.iter().find(|field| field.column == column).map_or(column, |field| field.name)
}

/// The events that a plan is about: its filter and the tests right after it.
pub(crate) fn events_of(plan: Plan) -> Filter {
    let mut all = vec![plan.filter];
    for pipe in plan.pipes {
        match pipe {
            Pipe::Where(filter) => all.push(filter),
            Pipe::Sort(_) => {}
            _ => break,
        }
    }
    all.retain(|filter| *filter != Filter::All);
    match all.len() {
        0 => Filter::All,
        1 => all.swap_remove(0),
        _ => Filter::And(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

    #[track_caller]
    fn check(moment: Option<Moment>, expected: &str) {
        let text = match bound("from", moment.as_ref(), NOW) {
            Ok(None) => "none".to_string(),
            Ok(Some(at)) => time::format(at),
            Err(_) => "error".to_string(),
        };
        assert_eq!(text, expected, "{moment:?}");
    }

    #[test]
    fn bounds_are_texts_or_milliseconds() {
        check(None, "none");
        check(Some(Moment::Text(String::new())), "none");
        check(Some(Moment::Text("now-15m".into())), "2026-11-23T09:45:00Z");
        check(Some(Moment::Text("1795428000123".into())), "2026-11-23T10:00:00.123Z");
        check(Some(Moment::Millis(1_795_428_000_123)), "2026-11-23T10:00:00.123Z");
        check(Some(Moment::Millis(i64::MAX)), "error");
        check(Some(Moment::Text("yesterday".into())), "error");
        check(Some(Moment::Millis(i64::MAX / 1000)), "9999-12-31T23:59:59.999999Z");
        check(Some(Moment::Millis(i64::MIN / 1000)), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn column_names_are_safe_in_a_header() {
        let columns = ["source_ip".to_string(), "sum(a b),\r\nx: y".to_string()];
        let response = answer(Kind::Table, &columns, Body::empty());
        let value = response.headers().get("x-pugmark-columns").unwrap();
        assert_eq!(value, "source.ip,sum(a%20b)%2C%0D%0Ax%3A%20y");
    }
}
