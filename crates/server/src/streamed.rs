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
use futures::{Stream, StreamExt, stream};
use pugmark_engine::Notice;
use pugmark_event::Batch;
use pugmark_event::json::RowWriter;
use pugmark_query::eval::Matcher;
use pugmark_query::{Kind, Pipe, Plan, Request};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior};

use crate::App;
use crate::auth::Caller;
use crate::cursor::{self, Cursor};
use crate::error::ApiError;
use crate::histogram::Drawing;
use crate::questions::{self, Asked, events_of, writer};
use crate::stream::Sample;
use crate::wire::SearchRequest;

/// Rows of an answer when nothing is said.
const ROWS: usize = 1000;
/// Rows in one event of the stream. Each is written when the one before was taken.
const ROWS_AT_ONCE: usize = 100;
/// Time between two words on how far the answer is.
const PROGRESS_TIME: Duration = Duration::from_millis(100);
/// Time between two frames of what arrives.
const FRAME_TIME: Duration = Duration::from_millis(100);
/// Time between two signs of life.
const PING_TIME: Duration = Duration::from_secs(15);

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

/// What ticks so often, and skips what it was too late for.
pub(crate) fn every(time: Duration) -> Interval {
    let mut interval = tokio::time::interval(time);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
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
    drawing: Option<Drawing>,
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
        let drawing = match wish {
            Some(wish) => Some(Drawing::new(&app, filter, range, wish).await?),
            None => None,
        };
        Ok(Self { app, asked, page, drawing, live })
    }

    /// The events of the stream.
    pub(crate) fn events(self) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
        let Self { app, asked, mut page, drawing, live } = self;
        let (answer, turn) = asked.parts();
        let (kind, last_id, progress) = (answer.kind, answer.last_id, answer.progress);
        let mut rows = answer.rows;
        let mut histograms = match drawing {
            Some(drawing) => drawing.growing().boxed(),
            None => stream::empty().boxed(),
        };
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
                        Some(Err(error)) => {
                            yield Ok(failed(&error));
                            return;
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
            while let Some(events) = live.next(&app).await {
                for event in events {
                    yield Ok(event);
                }
                if live.has_failed {
                    return;
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
        let starts = (0..count).step_by(ROWS_AT_ONCE);
        starts.map(|from| from..(from + ROWS_AT_ONCE).min(count)).collect()
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

fn array(batch: &RecordBatch, kind: Kind, rows: Range<usize>) -> String {
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

/// What arrives after the rows that were there.
struct Live {
    caller: Caller,
    plan: Plan,
    /// Only events pass, as they are.
    matcher: Option<Matcher>,
    notices: Receiver<Arc<Notice>>,
    /// Events up to this id were in the answer, or were looked at since.
    after: i64,
    sample: Sample,
    /// Events that nobody held against the question, since the listener was too slow.
    missed: u64,
    has_missed: bool,
    /// It ended with an error, which was said.
    has_failed: bool,
    frame: Interval,
    ping: Interval,
    _place: OwnedSemaphorePermit,
}

impl Live {
    fn new(app: &App, caller: Caller, request: &Request) -> Result<Self, ApiError> {
        // What `now()` is stays what it was when the question was asked.
        let range = (request.from.unwrap_or(request.now), request.now);
        let plan = request.plan.bound(request.now, range);
        if let Some(pipe) = plan.pipes.iter().find(|pipe| !pipe.is_by_row()) {
            let message = format!("`{pipe}` needs all rows, and what arrives has no end");
            return Err(ApiError::bad_request(message).hint("leave it away, or ask without `live`"));
        }
        let place = app.stream_place()?;
        let is_plain = plan.kind() == Kind::Events
            && plan.pipes.iter().all(|pipe| matches!(pipe, Pipe::Where(_)));
        let matcher = is_plain.then(|| Matcher::new(&events_of(plan.clone())));
        Ok(Self {
            caller,
            plan,
            matcher,
            notices: app.engine.subscribe(),
            after: 0,
            sample: Sample::default(),
            missed: 0,
            has_missed: false,
            has_failed: false,
            frame: every(FRAME_TIME),
            ping: every(PING_TIME),
            _place: place,
        })
    }

    /// What is to be sent next; `None` when the stream ends.
    async fn next(&mut self, app: &App) -> Option<Vec<Event>> {
        tokio::select! {
            () = app.stopping.cancelled() => None,
            _ = self.ping.tick() => {
                let valid = self.caller.is_still_valid(app).await;
                valid.then(|| vec![Event::default().comment("ping")])
            }
            _ = self.frame.tick() => Some(self.frame()),
            notice = self.notices.recv() => match notice {
                Ok(notice) => match &*notice {
                    Notice::Events(batch) => Some(self.take(app, batch)),
                    Notice::Alert(_) => Some(Vec::new()),
                },
                Err(RecvError::Lagged(_)) => {
                    self.has_missed = true;
                    Some(Vec::new())
                }
                Err(RecvError::Closed) => None,
            },
        }
    }

    /// Holds events against the question.
    fn take(&mut self, app: &App, batch: &Batch) -> Vec<Event> {
        let (Some(first), Some(last)) = (batch.ids().first(), batch.ids().last()) else {
            return Vec::new();
        };
        if std::mem::take(&mut self.has_missed) {
            self.missed += (first - self.after - 1).max(0) as u64;
        }
        let known = batch.ids().partition_point(|id| *id <= self.after);
        self.after = self.after.max(*last);
        let new = batch.slice(known, batch.rows() - known);
        match &self.matcher {
            Some(matcher) => {
                let (wanted, writer) = (matcher.matches(&new), RowWriter::new(new.columns()));
                for row in (0..new.rows()).filter(|row| wanted.value(*row)) {
                    self.sample.push(|out| writer.write(row, out));
                }
            }
            None => match app.engine.search().arrived(&self.plan, &new, app.engine.now()) {
                Ok(Some(rows)) => {
                    let writer = writer(&rows, self.plan.kind());
                    // They come the newest first, and a tail has the newest last.
                    for row in (0..rows.num_rows()).rev() {
                        self.sample.push(|out| writer.write(row, out));
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    self.has_failed = true;
                    return vec![failed(&error.into())];
                }
            },
        }
        Vec::new()
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
        if self.missed > 0 {
            events.push(event("dropped", &json!({"count": std::mem::take(&mut self.missed)})));
        }
        events
    }
}
