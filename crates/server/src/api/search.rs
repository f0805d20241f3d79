//! Questions in the query language.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use pugmark_event::time::Micros;
use pugmark_query::Request;

use crate::App;
use crate::auth::{Caller, Reader};
use crate::body::Json;
use crate::cursor::Cursor;
use crate::error::ApiError;
use crate::questions::Range;
use crate::streamed::{self, Streamed};
use crate::wire::{ErrorBody, Row, SearchRequest};

/// Search events, or compute a table of them.
///
/// One JSON object a line: an event, the newest first, or a row of a table when the query has a
/// pipe that makes one. The header `x-pugmark-kind` says which, and `x-pugmark-columns` lists the
/// columns of a table in order, percent-encoded.
///
/// With the header `Accept: text/event-stream` the answer is a stream of events: `kind`
/// `{"kind","columns"}`; `rows`, arrays of objects as soon as they are found; `progress`
/// `{"events","events_done","bytes_read","took_us"}` ten times a second; `histogram`, if one is
/// asked for, which grows from the newest time on, or `histogram_error`; `end`
/// `{"rows","exhausted","cursor"}`, or `error`. With `live` more `rows` follow, of what arrives:
/// `sampled` `{"hidden"}` when more came in a tenth of a second than a frame takes, `dropped`
/// `{"count"}` when the listener was far too slow. Closing the connection stops the work.
#[utoipa::path(
    post, path = "/api/v1/search", tag = "questions", operation_id = "search",
    request_body = SearchRequest,
    responses(
        (status = 200, body = Row, content_type = "application/x-ndjson"),
        (status = "4XX", body = ErrorBody)
    ),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn search(
    _: Reader,
    who: Caller,
    headers: HeaderMap,
    State(app): State<App>,
    Json(body): Json<SearchRequest>,
) -> Result<Response, ApiError> {
    if wants_stream(&headers) {
        return Ok(streamed::response(Streamed::ask(app, who, body).await?.events()));
    }
    if body.live || body.histogram.is_some() {
        let message = "only a stream of events has `live` and `histogram`";
        return Err(ApiError::bad_request(message)
            .hint("send the header Accept: text/event-stream, or leave them away"));
    }
    app.ask(&who, body.read(app.engine.now())?).await?.ndjson().await
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted.filter_map(|value| value.to_str().ok()).any(|kinds| {
        kinds.split(',').any(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("text/event-stream")
        })
    })
}

impl SearchRequest {
    /// The question, asked at `now`.
    ///
    /// # Errors
    /// When the query, a bound or the cursor is not understood.
    pub(crate) fn read(self, now: Micros) -> Result<Request, ApiError> {
        let Range { from, to } = Range::read(self.from.as_ref(), self.to.as_ref(), now)?;
        let plan = pugmark_query::parse(&self.query)?;
        let mut request = Request { plan, from, to, limit: self.limit, now };
        if let Some(cursor) = &self.cursor {
            Cursor::read(cursor)?.narrow(&mut request)?;
        }
        Ok(request)
    }
}
