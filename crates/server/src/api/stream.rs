//! Server-sent events: alerts, live tails, status.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::Response;
use axum::response::sse::Event;
use pugmark_engine::Notice;
use pugmark_event::Batch;
use pugmark_store::AlertFilter;
use tokio::time::Interval;

use crate::App;
use crate::auth::{Caller, Reader};
use crate::error::ApiError;
use crate::stream::{Ear, Frame, Heard, Tails, every};
use crate::streamed;
use crate::wire::{Alert, ErrorBody};

/// Time between two looks at the status.
const STATUS_TIME: Duration = Duration::from_secs(2);
/// Alerts sent again to a listener that missed some.
const ALERTS_AGAIN: usize = 50;

/// Alerts, live tails and status as server-sent events.
///
/// Events of the stream: `alert` (new or changed), `events` `{"id","events":[...]}` at most every
/// 100 ms, `dropped` `{"id","count"}` when a tail or its listener is too slow, `status` every two
/// seconds. `tail` is a query or `ID:QUERY`, and may be repeated.
#[utoipa::path(
    get, path = "/api/v1/stream", tag = "state", operation_id = "stream",
    params(("tail" = Option<Vec<String>>, Query, description = "QUERY or ID:QUERY")),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = "4XX", body = ErrorBody)
    ),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn stream(
    _: Reader,
    caller: Caller,
    State(app): State<App>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let tails: Vec<String> =
        parameters.into_iter().filter(|(name, _)| name == "tail").map(|(_, tail)| tail).collect();
    let tails = Tails::read(&tails)?;
    let place = app.stream_place()?;
    let mut listener = Listener::new(app, caller, tails);
    let events = async_stream::stream! {
        let _place = place;
        while let Some(frames) = listener.next().await {
            for frame in frames {
                yield Ok::<_, Infallible>(frame);
            }
        }
    };
    Ok(streamed::response(events))
}

/// One open stream.
struct Listener {
    app: App,
    ear: Ear,
    tails: Tails,
    status: Interval,
    /// Notices were missed since the last one.
    missed: bool,
}

impl Listener {
    fn new(app: App, caller: Caller, tails: Tails) -> Self {
        let ear = Ear::new(app.clone(), caller);
        Self { app, ear, tails, status: every(STATUS_TIME), missed: false }
    }

    /// What is to be sent next; `None` when the stream ends.
    async fn next(&mut self) -> Option<Vec<Event>> {
        let heard = tokio::select! {
            _ = self.status.tick() => None,
            heard = self.ear.next() => Some(heard?),
        };
        match heard {
            None => Some(self.status().await),
            Some(Heard::Ping) => self.ear.ping().await,
            Some(Heard::Frame) => Some(self.tails.frames().into_iter().map(event).collect()),
            Some(Heard::Missed) => Some(self.lagged().await),
            Some(Heard::Notice(notice)) => match &*notice {
                Notice::Alert(alert) => {
                    Some(alert_event(&Alert::from(alert)).into_iter().collect())
                }
                Notice::Events(_) if self.tails.is_empty() => Some(Vec::new()),
                Notice::Events(batch) => self.take(batch.clone()).await,
            },
        }
    }

    /// Holds events against the tails; `None` when that broke.
    async fn take(&mut self, batch: Batch) -> Option<Vec<Event>> {
        let missed = std::mem::take(&mut self.missed);
        let mut tails = std::mem::take(&mut self.tails);
        let held = move || {
            if missed {
                tails.missed_until(&batch);
            }
            tails.take(&batch);
            tails
        };
        self.tails = self.app.evaluate(held).await.ok()?;
        Some(Vec::new())
    }

    /// Some notices are gone. Events are counted with the next batch; alerts are sent again.
    async fn lagged(&mut self) -> Vec<Event> {
        self.missed = true;
        let filter = AlertFilter { limit: ALERTS_AGAIN, ..AlertFilter::default() };
        let alerts = self.app.engine.store().alerts().list(&filter).await.unwrap_or_default();
        alerts.iter().rev().filter_map(|alert| alert_event(&Alert::from(alert))).collect()
    }

    async fn status(&self) -> Vec<Event> {
        match self.app.status().await {
            Ok(status) => {
                Event::default().event("status").json_data(&*status).into_iter().collect()
            }
            Err(_) => Vec::new(),
        }
    }
}

fn event((name, data): Frame) -> Event {
    Event::default().event(name).data(data)
}

fn alert_event(alert: &Alert) -> Option<Event> {
    Event::default().event("alert").json_data(alert).ok()
}
