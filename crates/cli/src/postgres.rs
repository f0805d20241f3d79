//! The door for SQL over the PostgreSQL protocol: the search behind it, the server's users before.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pugmark_search::StoreSearch;
use pugmark_search::postgres::{Door, Guest, Limits, Refusal, Turn, serve};
use pugmark_server::{App, AskRefusal, Asker};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::error::CliError;
use crate::node::QUESTION_SECONDS_MAX;
use crate::settings;

/// The door before it opens: nobody else can take its port.
pub(crate) struct Postgres {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

/// The door while it is open.
pub(crate) struct Open {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Postgres {
    /// Takes the port that the settings name, if they do.
    pub(crate) async fn bind(settings: &settings::Postgres) -> Result<Option<Self>, CliError> {
        if settings.listen.is_empty() {
            return Ok(None);
        }
        let address: SocketAddr = settings.listen.parse().map_err(|_| {
            let text = format!("postgres.listen is {:?}, which is no address", settings.listen);
            CliError::usage(text).hint("write one such as 127.0.0.1:5433")
        })?;
        if !address.ip().is_loopback() {
            let text = format!(
                "postgres.listen is {address}: passwords and answers would cross the network \
                 readable for everybody, since this door has no TLS"
            );
            return Err(CliError::usage(text).hint(
                "listen on 127.0.0.1:5433, and reach it from elsewhere through an SSH tunnel",
            ));
        }
        let listener = TcpListener::bind(address).await.map_err(|error| {
            CliError::from(anyhow::anyhow!("cannot listen on {address} for SQL: {error}"))
                .hint("another program may use this port; change postgres.listen in the settings")
        })?;
        let address = listener.local_addr()?;
        let limits = Limits {
            connections_max: settings.connections_max.clamp(1, Semaphore::MAX_PERMITS),
            rows_max: settings.rows_max.max(1),
            statement_time: Duration::from_secs(
                settings.statement_timeout_seconds.clamp(1, QUESTION_SECONDS_MAX),
            ),
        };
        Ok(Some(Self { listener, address, limits }))
    }

    /// Opens the door.
    pub(crate) fn open(self, search: StoreSearch, app: App) -> Open {
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let door = Arc::new(Users(app));
        let task = tokio::spawn(serve(self.listener, search, door, self.limits, stopped));
        Open { address: self.address, stop, task }
    }
}

impl Open {
    /// Closes the door and ends what runs behind it.
    pub(crate) async fn close(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

/// The users and tokens of the server.
struct Users(App);

#[async_trait]
impl Door for Users {
    async fn login(
        &self,
        from: IpAddr,
        user: &str,
        password: &str,
    ) -> Result<Arc<dyn Guest>, Refusal> {
        let asker = self.0.let_in(from, user, password).await.map_err(refusal)?;
        Ok(Arc::new(Visitor(asker)))
    }
}

/// One of them.
struct Visitor(Asker);

#[async_trait]
impl Guest for Visitor {
    async fn turn(&self) -> Result<Turn, Refusal> {
        Ok(Box::new(self.0.turn().await.map_err(refusal)?))
    }
}

fn refusal(refusal: AskRefusal) -> Refusal {
    match refusal {
        AskRefusal::BadPassword(words) => Refusal::BadPassword(words),
        AskRefusal::NotAllowed(words) => Refusal::NotAllowed(words),
        AskRefusal::Busy(words) => Refusal::Busy(words),
    }
}
