//! An answer as server-sent events: rows as they are found, how far it is, events over time, and
//! then, if that is asked for, what arrives.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use pugmark_engine::{Engine, Notice};
use pugmark_event::Batch;
use pugmark_event::fields::EVENT_ID;
use pugmark_event::json::RowWriter;
use pugmark_event::time::Micros;
use pugmark_query::eval::Matcher;
use pugmark_query::{Bound, FieldRef, Filter, Kind, Pipe, Plan, Request, SearchError, Test};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::App;
use crate::auth::Caller;
use crate::cursor::{self, Cursor};
use crate::error::ApiError;
use crate::histogram::Drawing;
use crate::questions::{self, Asked, events_of, writer};
use crate::stream::{Ear, Heard, Sample, every};
use crate::wire::{Histogram, SearchRequest};

/// Rows of an answer when nothing is said.
const ROWS: usize = 1000;
/// Rows in one event of the stream. Each is written when the one before was taken.
const ROWS_AT_ONCE: usize = 100;
/// Time between two words on how far the answer is.
const PROGRESS_TIME: Duration = Duration::from_millis(100);
/// Events that a live search may be behind; older ones are dropped.
const BEHIND_MAX: i64 = 1_000_000;
/// Of these so many are asked of the store at once, and may give so many rows, since one event can
/// be expanded to several.
const CATCH_UP_EVENTS: i64 = 5000;
const CATCH_UP_ROWS: usize = 100_000;

/// Server-sent events that no proxy holds back.
pub(crate) fn response(
    events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
) -> Response {
    let mut response = Sse::new(events).into_response();
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("no-cache, no-transform");
    headers.insert(header::CACHE_CONTROL, plain);
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn event(name: &str, data: &Value) -> Event {
    Event::default().event(name).data(data.to_string())
}

fn failed(error: &ApiError) -> Event {
    event("error", &error.json(None))
}

/// An answer that is going to be streamed.
pub(crate) struct Streamed {
    app: App,
    asked: Asked,
    page: Page,
    histograms: BoxStream<'static, Result<Histogram, ApiError>>,
    live: Option<Live>,
}

impl Streamed {
    /// Asks.
    ///
    /// # Errors
    /// When the question is not understood, or it cannot be its turn.
    pub(crate) async fn ask(
        app: App,
        caller: Caller,
        body: SearchRequest,
    ) -> Result<Self, ApiError> {
        let range = questions::Range::read(body.from.as_ref(), body.to.as_ref(), app.engine.now())?;
        let (wish, is_live) = (body.histogram.clone(), body.live);
        if is_live && (body.cursor.is_some() || range.to.is_some()) {
            let message = "what arrives has neither a `cursor` nor an end in `to`";
            return Err(ApiError::bad_request(message).hint("leave them away, or `live`"));
        }
        let filter = events_of(pugmark_query::parse(&body.query)?);
        let mut request = body.read(app.engine.now())?;
        // What arrives while the question is asked is not missed: it is listened to before.
        let who = caller.clone();
        let live = is_live.then(|| Live::new(&app, who, &request)).transpose()?;
        let rows_max = request.limit.unwrap_or(ROWS);
        // One more shows whether there is more.
        request.limit = Some(rows_max.saturating_add(1));
        let page = Page::new(rows_max, cursor::is_paged(&request));
        let asked = app.ask(&caller, request).await?;
        let histograms = match wish {
            Some(wish) => Drawing::grown(app.clone(), filter, range, wish).boxed(),
            None => stream::empty().boxed(),
        };
        Ok(Self { app, asked, page, histograms, live })
    }

    /// The events of the stream.
    pub(crate) fn events(self) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
        let Self { app, asked, mut page, mut histograms, live } = self;
        let (answer, turn) = asked.parts();
        let (kind, last_id, progress) = (answer.kind, answer.last_id, answer.progress);
        let mut rows = answer.rows;
        async_stream::stream! {
            let columns = &answer.columns;
            yield Ok(event("kind", &json!({"kind": kind.name(), "columns": columns})));
            let mut tick = every(PROGRESS_TIME);
            // Who wants none of the rows that are there does not wait for them.
            let (mut finding, mut drawing) = (!page.has_more, true);
            while finding || drawing {
                tokio::select! {
                    () = app.stopping.cancelled() => return,
                    next = rows.next(), if finding => match next {
                        Some(Ok(batch)) => {
                            for part in page.take(&batch) {
                                let data = array(&batch, kind, part);
                                yield Ok(Event::default().event("rows").data(data));
                            }
                            finding = !page.has_more;
                        }
                        Some(Err(error)) => {
                            yield Ok(failed(&error.into()));
                            return;
                        }
                        None => finding = false,
                    },
                    next = histograms.next(), if drawing => match next {
                        Some(Ok(drawn)) => yield Ok(event("histogram", &json!(drawn))),
                        // The rows go on without it.
                        Some(Err(error)) => {
                            drawing = false;
                            yield Ok(event("histogram_error", &error.json(None)));
                        }
                        None => drawing = false,
                    },
                    _ = tick.tick() => yield Ok(event("progress", &json!(progress()))),
                }
            }
            yield Ok(event("end", &page.end(&json!(progress()))));
            drop((rows, histograms, turn));
            let Some(mut live) = live else { return };
            live.after = last_id;
            while let Some(next) = live.next(&app).await {
                match next {
                    Ok(events) => {
                        for event in events {
                            yield Ok(event);
                        }
                    }
                    Err(error) => {
                        yield Ok(failed(&error));
                        return;
                    }
                }
            }
        }
    }
}

/// The rows of one page.
struct Page {
    rows_max: usize,
    /// Whether another page can follow.
    is_paged: bool,
    rows: usize,
    has_more: bool,
    last: Option<Cursor>,
}

impl Page {
    fn new(rows_max: usize, is_paged: bool) -> Self {
        Self { rows_max, is_paged, rows: 0, has_more: rows_max == 0, last: None }
    }

    /// The rows that fit, in parts.
    fn take(&mut self, batch: &RecordBatch) -> Vec<Range<usize>> {
        let count = batch.num_rows().min(self.rows_max - self.rows);
        self.has_more = count < batch.num_rows();
        self.rows += count;
        if let (true, Some(last)) = (self.is_paged, count.checked_sub(1)) {
            self.last = Batch::new(batch.clone()).ok().map(|batch| Cursor::after(&batch, last));
        }
        parts(count)
    }

    /// What is said at the end.
    fn end(&self, progress: &Value) -> Value {
        let cursor = self.last.filter(|_| self.has_more).map(|cursor| cursor.to_string());
        json!({
            "rows": self.rows,
            "exhausted": !self.has_more,
            "cursor": cursor,
            "progress": progress,
        })
    }
}

/// So many rows in as many parts as are sent by themselves.
fn parts(count: usize) -> Vec<Range<usize>> {
    let starts = (0..count).step_by(ROWS_AT_ONCE);
    starts.map(|from| from..(from + ROWS_AT_ONCE).min(count)).collect()
}

fn array(batch: &RecordBatch, kind: Kind, rows: impl Iterator<Item = usize>) -> String {
    let writer = writer(batch, kind);
    let mut out = vec![b'['];
    for row in rows {
        if out.len() > 1 {
            out.push(b',');
        }
        writer.write(row, &mut out);
    }
    out.push(b']');
    String::from_utf8_lossy(&out).into_owned()
}

/// The rows of batches that come the newest first, the oldest first.
fn oldest_first(batches: &[RecordBatch], kind: Kind) -> Vec<Event> {
    let mut events = Vec::new();
    for batch in batches.iter().rev() {
        for rows in parts(batch.num_rows()).into_iter().rev() {
            events.push(Event::default().event("rows").data(array(batch, kind, rows.rev())));
        }
    }
    events
}

/// What arrives after the rows that were there.
///
/// The engine tells what arrives, and keeps little of it for a listener that is busy with
/// something else, such as with all the rows that were there. What was missed so is asked of the
/// store, so that nothing is lost unless the listener is very far behind.
struct Live {
    caller: Caller,
    ear: Ear,
    question: Arc<Question>,
    /// Events up to this id were in the answer, or were held against the question since.
    after: i64,
    /// Events up to this id were missed if they are not yet held against the question.
    missed: i64,
    sample: Sample,
    /// Events that nobody holds against the question.
    dropped: u64,
    _place: OwnedSemaphorePermit,
}

impl Live {
    fn new(app: &App, caller: Caller, request: &Request) -> Result<Self, ApiError> {
        let question = Arc::new(Question::new(request)?);
        let place = app.stream_place()?;
        Ok(Self {
            ear: Ear::new(app.clone(), caller.clone()),
            caller,
            question,
            after: 0,
            missed: 0,
            sample: Sample::default(),
            dropped: 0,
            _place: place,
        })
    }

    /// What is to be sent next; `None` when the stream ends.
    async fn next(&mut self, app: &App) -> Option<Result<Vec<Event>, ApiError>> {
        if self.after < self.missed {
            return tokio::select! {
                () = app.stopping.cancelled() => None,
                events = self.catch_up(app) => Some(Ok(events)),
            };
        }
        match self.ear.next().await? {
            Heard::Ping => self.ear.ping().await.map(Ok),
            Heard::Frame => Some(Ok(self.frame())),
            Heard::Missed => {
                // What is told was stored before.
                self.missed = app.engine.store().snapshot().last_id();
                Some(Ok(self.frame()))
            }
            Heard::Notice(notice) => match &*notice {
                Notice::Events(batch) => Some(self.take(app, batch).await.map(|()| Vec::new())),
                Notice::Alert(_) => Some(Ok(Vec::new())),
            },
        }
    }

    /// Holds events that arrived against the question.
    async fn take(&mut self, app: &App, batch: &Batch) -> Result<(), ApiError> {
        let known = batch.ids().partition_point(|id| *id <= self.after);
        let new = batch.slice(known, batch.rows() - known);
        let Some(last) = new.ids().last() else { return Ok(()) };
        self.after = *last;
        let mut sample = std::mem::take(&mut self.sample);
        let (question, engine) = (self.question.clone(), app.engine.clone());
        let held = move || question.take(&engine, &new, &mut sample).map(|()| sample);
        self.sample = app.evaluate(held).await??;
        Ok(())
    }

    /// Asks the store for the oldest of what was missed.
    async fn catch_up(&mut self, app: &App) -> Vec<Event> {
        let too_old = (self.missed - self.after - BEHIND_MAX).max(0);
        self.give_up(self.after + too_old);
        let to = self.missed.min(self.after + CATCH_UP_EVENTS);
        let mut events = match self.stored(app, to).await {
            Ok(batches) => {
                self.after = to;
                oldest_first(&batches, self.question.plan.kind())
            }
            // It is not this question's turn, or it takes too much.
            Err(_) => {
                self.give_up(self.missed);
                Vec::new()
            }
        };
        events.extend(self.frame());
        events
    }

    /// The rows of events that are not yet held against the question, up to an id.
    async fn stored(&self, app: &App, to: i64) -> Result<Vec<RecordBatch>, ApiError> {
        app.ask(&self.caller, self.question.between(self.after, to)).await?.collect().await
    }

    /// Goes on after an id, whatever was before.
    fn give_up(&mut self, to: i64) {
        self.dropped += (to - self.after).max(0) as u64;
        self.after = to;
    }

    /// The rows of this frame.
    fn frame(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some((rows, hidden)) = self.sample.take() {
            events.push(Event::default().event("rows").data(rows));
            if hidden > 0 {
                events.push(event("sampled", &json!({ "hidden": hidden })));
            }
        }
        if self.dropped > 0 {
            events.push(event("dropped", &json!({"count": std::mem::take(&mut self.dropped)})));
        }
        events
    }
}

/// A question that events are held against as they arrive.
struct Question {
    plan: Plan,
    /// Only events pass, as they are.
    matcher: Option<Matcher>,
    now: Micros,
}

impl Question {
    fn new(request: &Request) -> Result<Self, ApiError> {
        // What `now()` is stays what it was when the question was asked.
        let range = (request.from.unwrap_or(request.now), request.now);
        let plan = request.plan.bound(request.now, range);
        if let Some(pipe) = plan.pipes.iter().find(|pipe| !pipe.is_by_row()) {
            let message = format!("`{pipe}` needs all rows, and what arrives has no end");
            return Err(ApiError::bad_request(message).hint("leave it away, or ask without `live`"));
        }
        let is_plain = plan.kind() == Kind::Events
            && plan.pipes.iter().all(|pipe| matches!(pipe, Pipe::Where(_)));
        let matcher = is_plain.then(|| Matcher::new(&events_of(plan.clone())));
        Ok(Self { plan, matcher, now: request.now })
    }

    /// Adds the rows of events that arrived.
    fn take(&self, engine: &Engine, new: &Batch, sample: &mut Sample) -> Result<(), SearchError> {
        if let Some(matcher) = &self.matcher {
            let (wanted, writer) = (matcher.matches(new), RowWriter::new(new.columns()));
            for row in (0..new.rows()).filter(|row| wanted.value(*row)) {
                sample.push(|out| writer.write(row, out));
            }
        } else if let Some(rows) = engine.search().arrived(&self.plan, new, engine.now())? {
            let writer = writer(&rows, self.plan.kind());
            // They come the newest first, and a tail has the newest last.
            for row in (0..rows.num_rows()).rev() {
                sample.push(|out| writer.write(row, out));
            }
        }
        Ok(())
    }

    /// The same about stored events with ids after one and up to another.
    fn between(&self, after: i64, to: i64) -> Request {
        let bound = |id: i64, inclusive| Some(Bound { value: id.to_string(), inclusive });
        let ids = Test::Range { low: bound(after, false), high: bound(to, true) };
        let ids = Filter::Field(FieldRef::new(EVENT_ID.name()), ids);
        let filter = Filter::And(vec![ids, self.plan.filter.clone()]);
        let plan = Plan { filter, pipes: self.plan.pipes.clone() };
        Request { limit: Some(CATCH_UP_ROWS), ..Request::new(plan, self.now) }
    }
}
