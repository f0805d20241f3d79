//! SQL over the PostgreSQL protocol, for psql, Grafana, Metabase and whatever else speaks it.
//!
//! [`serve`] takes connections. Who may ask, and when it is their turn, says a [`Door`]: this crate
//! knows no users. A statement passes [`statement`] (what may be said at all), [`rewrite`]
//! (PostgreSQL's words into DataFusion's), [`plan`] (over the views and the catalog), and its rows
//! pass [`encode`].
//!
//! What comes from the network is bounded: connections, the time to log in, the length of messages
//! and of statements, prepared statements and portals, and the time and the rows of an answer.

mod catalog;
mod decode;
mod encode;
mod fault;
mod functions;
mod parameters;
mod plan;
mod rewrite;
mod session;
mod statement;
mod tables;
mod types;
mod variables;
mod wire;

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::StoreSearch;
use fault::{Fault, TOO_MANY};
use plan::Planner;
use wire::Wire;

/// Time that open connections have to end when the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// Connections beyond the most that are told so, or may cancel a statement, at once.
const REFUSED_AT_ONCE: usize = 16;
/// Pause after the system could not give a connection, such as with no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who may come in.
#[async_trait]
pub trait Door: Send + Sync {
    /// Lets somebody in who may ask questions.
    ///
    /// # Errors
    /// When the password is wrong, or does not allow it.
    async fn login(
        &self,
        from: IpAddr,
        user: &str,
        password: &str,
    ) -> Result<Arc<dyn Guest>, Refusal>;
}

/// Somebody who came in.
#[async_trait]
pub trait Guest: Send + Sync {
    /// Waits for a place among the questions that are answered at once.
    ///
    /// # Errors
    /// When there is none for a long time, or the guest may no longer ask.
    async fn turn(&self) -> Result<Turn, Refusal>;
}

/// A place among the questions that are answered at once; dropping it gives it back.
pub type Turn = Box<dyn Send>;

/// Why somebody is not let in, or has to wait.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// Nobody has this name and password.
    #[error("{0}")]
    BadPassword(String),
    /// They may not do this.
    #[error("{0}")]
    NotAllowed(String),
    /// Too much at once.
    #[error("{0}")]
    Busy(String),
}

/// How much the protocol may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; more are refused.
    pub connections_max: usize,
    /// Rows of one answer; an answer with more ends with an error.
    pub rows_max: usize,
    /// Longest time for a statement. A session may ask for less.
    pub statement_time: Duration,
}

/// What all connections share.
struct Server {
    planner: Planner,
    door: Arc<dyn Door>,
    limits: Limits,
    running: Mutex<HashMap<u32, Running>>,
    /// Places of those who are let in, and of those who are told that there is none.
    places: Semaphore,
    refusals: Semaphore,
    stopping: CancellationToken,
}

/// A connection that others may tell to stop.
struct Running {
    secret: u32,
    statement: CancellationToken,
}

/// Serves until `shutdown` is done, then ends the connections.
pub async fn serve<F>(
    listener: TcpListener,
    search: StoreSearch,
    door: Arc<dyn Door>,
    limits: Limits,
    shutdown: F,
) where
    F: Future<Output = ()> + Send,
{
    let stopping = CancellationToken::new();
    let server = Arc::new(Server {
        planner: Planner::new(search),
        door,
        limits,
        running: Mutex::default(),
        places: Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)),
        refusals: Semaphore::new(REFUSED_AT_ONCE),
        stopping,
    });
    let connections = TaskTracker::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(connection(server.clone(), stream, peer));
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a PostgreSQL connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    server.stopping.cancel();
    connections.close();
    if tokio::time::timeout(DRAIN_TIME, connections.wait()).await.is_err() {
        tracing::warn!("some statements did not end in {} s", DRAIN_TIME.as_secs());
    }
}

async fn connection(server: Arc<Server>, stream: TcpStream, peer: SocketAddr) {
    // Answers are written whole, so waiting for more to send only adds delay.
    let _ = stream.set_nodelay(true);
    let mut wire = Wire::new(stream);
    if let Ok(_place) = server.places.try_acquire() {
        return session::run(&server, wire, peer.ip()).await;
    }
    // Whoever comes when there is not even a place to say so sees the connection end.
    if let Ok(_place) = server.refusals.try_acquire() {
        let message = format!("there are {} connections already", server.limits.connections_max);
        let fault = Fault::new(TOO_MANY, message)
            .hint("end some, or raise postgres.connections_max in the settings");
        session::refuse(&server, &mut wire, &fault).await;
    }
}

/// A connection that can be told to stop, as long as this is kept.
struct Registered<'a> {
    server: &'a Server,
    process: u32,
    secret: u32,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.server.running.lock().remove(&self.process);
    }
}

impl Registered<'_> {
    /// From now on whoever wants the connection to stop stops this.
    fn runs(&self, statement: &CancellationToken) {
        if let Some(running) = self.server.running.lock().get_mut(&self.process) {
            running.statement = statement.clone();
        }
    }
}

impl Server {
    /// A number and a secret by which a new connection can be told to stop.
    fn register(&self) -> Registered<'_> {
        let secret = rand::random();
        let mut running = self.running.lock();
        loop {
            let process = rand::random::<u32>() >> 1;
            if process != 0 && !running.contains_key(&process) {
                running.insert(process, Running { secret, statement: CancellationToken::new() });
                return Registered { server: self, process, secret };
            }
        }
    }

    /// Stops the statement of the connection that has this secret.
    fn cancel(&self, process: u32, secret: u32) {
        let running = self.running.lock();
        if let Some(running) = running.get(&process).filter(|running| running.secret == secret) {
            running.statement.cancel();
        }
    }
}
