//! HTTP: the API, sessions and tokens, server-sent events, the embedded web app.
//!
//! A request passes, from the outside in: [`listen`] (connections, header time-outs), [`guard`]
//! (host check, time limit, security headers, request id, error shape), then for the API the gate
//! (who asks, forged requests), and then one handler of [`api`], which says in its signature what
//! it needs of the caller.

mod api;
mod auth;
mod body;
mod cursor;
mod error;
mod guard;
mod histogram;
mod listen;
mod metrics;
mod openapi;
mod questions;
mod schedule;
mod status;
mod stream;
mod streamed;
mod turns;
mod web;
mod wire;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use pugmark_engine::Engine;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

pub use api::rules::backtest::BacktestReport;
pub use api::searches::SavedSearch;
pub use auth::{AskRefusal, Asker, NewToken, Purpose, create_token, setup_token};
pub use listen::serve;
pub use openapi::openapi_json;
pub use turns::{Turn, TurnLimits};

use crate::auth::Throttle;
use crate::error::ApiError;
use crate::metrics::RequestCounts;
use crate::status::StatusCache;
use crate::turns::Turns;

/// Passwords hashed at once: each takes 19 MiB and a core.
const HASHES_AT_ONCE: usize = 2;
/// Batches of arriving events that are held against questions at once, of all live streams.
const EVALUATED_AT_ONCE: usize = 4;
/// Live streams at once.
const STREAMS_AT_ONCE: usize = 128;

/// How the server runs.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where it listens. [`serve`] replaces it by the address of its listener.
    pub listen: SocketAddr,
    /// Names under which it may be asked for while it listens on loopback, beside `localhost`.
    pub public_hosts: Vec<String>,
    /// Mark cookies as `Secure`: right behind a proxy that speaks TLS.
    pub secure_cookies: bool,
    /// Where syslog over UDP is taken, for the status page.
    pub syslog_udp: Option<SocketAddr>,
    /// Where syslog over TCP is taken, for the status page.
    pub syslog_tcp: Option<SocketAddr>,
    /// Largest body of an ingest request as sent.
    pub ingest_bytes_max: usize,
    /// Largest body of an ingest request once decompressed.
    pub ingest_unpacked_bytes_max: usize,
    /// Memory for the bodies of all ingest requests together; when it is used up, senders wait.
    pub ingest_memory_bytes_max: usize,
    /// How many questions run and wait.
    pub turns: TurnLimits,
    /// Rows of an export at most.
    pub export_rows_max: usize,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7700),
            public_hosts: Vec::new(),
            secure_cookies: false,
            syslog_udp: None,
            syslog_tcp: None,
            ingest_bytes_max: 64 << 20,
            ingest_unpacked_bytes_max: 256 << 20,
            ingest_memory_bytes_max: 1 << 30,
            turns: TurnLimits::default(),
            export_rows_max: 1_000_000,
        }
    }
}

/// What every handler sees. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub(crate) engine: Engine,
    pub(crate) options: Arc<ServerOptions>,
    pub(crate) throttle: Arc<Throttle>,
    /// Tries over other protocols than HTTP. They are counted apart: all of them come from the
    /// machine itself, and a program with an old password must not keep its owner out.
    pub(crate) asker_throttle: Arc<Throttle>,
    pub(crate) setup_turn: Arc<tokio::sync::Mutex<()>>,
    /// Help with writing a query is asked of the store one at a time.
    pub(crate) help_turn: Arc<tokio::sync::Mutex<()>>,
    pub(crate) requests: Arc<RequestCounts>,
    pub(crate) status: Arc<StatusCache>,
    /// Memory for ingest bodies, one permit per KiB.
    pub(crate) ingest_memory: Arc<Semaphore>,
    pub(crate) turns: Turns,
    pub(crate) streams: Arc<Semaphore>,
    hashing: Arc<Semaphore>,
    evaluating: Arc<Semaphore>,
    /// Cancelled when the server stops: live streams end then.
    pub(crate) stopping: CancellationToken,
}

impl App {
    /// The state of a server in front of `engine`.
    pub fn new(engine: Engine, options: ServerOptions) -> Self {
        let memory_kib = (options.ingest_memory_bytes_max / 1024).min(Semaphore::MAX_PERMITS);
        Self {
            throttle: Arc::new(Throttle::new(engine.now())),
            asker_throttle: Arc::new(Throttle::new(engine.now())),
            setup_turn: Arc::default(),
            help_turn: Arc::default(),
            requests: Arc::default(),
            status: Arc::default(),
            ingest_memory: Arc::new(Semaphore::new(memory_kib)),
            turns: Turns::new(options.turns),
            streams: Arc::new(Semaphore::new(STREAMS_AT_ONCE)),
            hashing: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            evaluating: Arc::new(Semaphore::new(EVALUATED_AT_ONCE)),
            stopping: CancellationToken::new(),
            options: Arc::new(options),
            engine,
        }
    }

    /// Counts a try to sign in.
    pub(crate) fn admit(&self, throttle: &Throttle, from: IpAddr) -> Result<(), ApiError> {
        throttle.take(from, self.engine.now()).map_err(|seconds| {
            let message = "too many tries to sign in";
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", message)
                .hint(format!("try again in {seconds} s"))
                .retry_after(seconds)
        })
    }

    /// A place among the live streams.
    pub(crate) fn stream_place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.streams.clone().try_acquire_owned().map_err(|_| {
            let message = "too many live streams at once";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
                .hint("close some pages and try again")
                .retry_after(30)
        })
    }

    /// Runs slow work on a blocking thread, a few at a time.
    pub(crate) async fn slowly<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let _turn = self.hashing.acquire().await.map_err(ApiError::internal)?;
        tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)
    }

    /// Holds arriving events against questions on a blocking thread, a few batches at a time.
    pub(crate) async fn evaluate<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = self.evaluating.clone().acquire_owned().await.map_err(ApiError::internal)?;
        let work = move || {
            // Kept also when nobody waits any more: the thread is busy all the same.
            let _place = place;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)
    }
}

/// All routes: the API, metrics, health and the web app.
pub fn router(app: App) -> Router {
    let (api, _) = openapi::api().split_for_parts();
    let gate = axum::middleware::from_fn_with_state(app.clone(), guard::gate);
    Router::new()
        .merge(api.route_layer(gate))
        .route("/healthz", axum::routing::get(api::status::health))
        .fallback(web::serve)
        .layer(axum::middleware::from_fn_with_state(app.clone(), guard::outermost))
        .with_state(app)
}

#[cfg(test)]
mod tests;
