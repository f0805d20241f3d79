//! Errors of the API: one JSON shape for all of them.
//!
//! `{"error":{"code":"bad_query","message":"what happened","hint":"what to do next"}}`, with
//! `from` and `to` as byte offsets where a query is wrong, and the id of the request, which the
//! log of the server names too.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pugmark_engine::{EngineError, IngestError};
use pugmark_query::{Diagnostic, SearchError};
use pugmark_store::StoreError;
use serde_json::{Map, Value, json};

/// Something went wrong; says what and what to do next.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    range: Option<(usize, usize)>,
    retry_after_seconds: Option<u64>,
}

impl ApiError {
    /// An error with a status, a code for programs and a message for people.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code, message, hint: None, range: None, retry_after_seconds: None }
    }

    /// Says what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells the client when to come back.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// 400: the request cannot be understood.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 401: nobody knows who asks.
    pub(crate) fn unauthorized() -> Self {
        Self::unauthorized_because("this needs a session or a token")
            .hint("sign in, or send the header Authorization: Bearer TOKEN")
    }

    /// 401 for a reason that the person can mend.
    pub(crate) fn unauthorized_because(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 403: who asks may not do this.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 404: `what` is not there.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what}"))
    }

    /// 413: more bytes than fit.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 500, with the cause in the log and not in the answer.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Pugmark could not do this")
            .hint("the log of the server says why, under the id of this request")
    }

    /// What a bare status means, for answers that no handler wrote.
    pub(crate) fn of_status(status: StatusCode, detail: &str) -> Self {
        let reason = status.canonical_reason().unwrap_or("the request failed").to_lowercase();
        let message = if detail.is_empty() { reason } else { detail.to_string() };
        let code = match status {
            StatusCode::METHOD_NOT_ALLOWED => "bad_method",
            StatusCode::NOT_FOUND => "not_found",
            s if s.is_server_error() => "internal",
            _ => "bad_request",
        };
        Self::new(status, code, message)
    }

    /// The status that it has over HTTP, and the words for who speaks something else.
    pub(crate) fn spoken(&self) -> (StatusCode, String) {
        let words = match &self.hint {
            Some(hint) => format!("{}: {hint}", self.message),
            None => self.message.clone(),
        };
        (self.status, words)
    }

    /// The body, with the id of the request if it is known.
    pub(crate) fn json(&self, request_id: Option<&str>) -> Value {
        let mut error = Map::new();
        error.insert("code".into(), json!(self.code));
        error.insert("message".into(), json!(self.message));
        if let Some(hint) = &self.hint {
            error.insert("hint".into(), json!(hint));
        }
        if let Some((from, to)) = self.range {
            error.insert("from".into(), json!(from));
            error.insert("to".into(), json!(to));
        }
        if let Some(id) = request_id {
            error.insert("request_id".into(), json!(id));
        }
        json!({ "error": error })
    }

    /// The answer that carries this error.
    pub(crate) fn response(&self, request_id: Option<&str>) -> Response {
        let mut response = (self.status, axum::Json(self.json(request_id))).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // The outermost layer finds the error here and writes it again with the request's id.
        let mut response = self.response(None);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Diagnostic> for ApiError {
    fn from(diagnostic: Diagnostic) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "bad_query", diagnostic.message);
        error.hint = diagnostic.hint;
        error.range = Some((diagnostic.from, diagnostic.to));
        error
    }
}

impl From<Vec<Diagnostic>> for ApiError {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.into_iter().next().map_or_else(
            || Self::new(StatusCode::BAD_REQUEST, "bad_query", "the query cannot be understood"),
            Self::from,
        )
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::BadQuery(diagnostics) => diagnostics.into(),
            SearchError::BadSql(message) => Self::new(StatusCode::BAD_REQUEST, "bad_sql", message)
                .hint("the table is events; GET /api/v1/fields lists its columns"),
            SearchError::TooBig(message) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "too_big", message)
                    .hint("ask for a shorter time range, or group by fewer fields")
            }
            SearchError::Limited { ref hint, .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "limit", error.to_string()).hint(hint)
            }
            SearchError::Failed(message) => Self::internal(message),
        }
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        let message = error.to_string();
        match error {
            IngestError::Full { retry_after_seconds } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "full", message)
                    .retry_after(retry_after_seconds)
            }
            IngestError::DiskFull(_) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", message)
                    .hint("free space on the disk of the data folder; then send again")
                    .retry_after(30)
            }
            IngestError::BadSource(_) => Self::new(StatusCode::BAD_REQUEST, "bad_source", message),
            IngestError::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", message).retry_after(5)
            }
            IngestError::Failed(_) => Self::internal(message),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Export(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "no_parquet", error.to_string())
            }
            error => Self::internal(error),
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Busy => Self::new(StatusCode::CONFLICT, "busy", error.to_string())
                .hint("GET /api/v1/reparse says how far it is"),
            EngineError::Store(error) => error.into(),
            EngineError::Rules(error) => Self::internal(error),
        }
    }
}
