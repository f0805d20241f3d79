//! `pugmark serve`: takes logs, watches them, answers questions, until it is told to stop.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use pugmark_connect::source::syslog::{self, Syslog};
use pugmark_engine::Engine;
use pugmark_search::StoreSearch;
use pugmark_server::{App, Purpose, ServerOptions, TurnLimits};
use tokio::net::TcpListener;

use crate::error::{CliError, Exit};
use crate::output::say;
use crate::postgres::{Open, Postgres};
use crate::settings::{self, Settings};

/// Take logs, watch them, answer questions
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder that holds everything [setting: data.dir]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address of the web app and the API [setting: server.listen]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Write a bearer token for an administrator's scripts to this file
    #[arg(long, value_name = "FILE")]
    setup_token_file: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, mut settings: Settings) -> Result<Exit, CliError> {
    settings.data.dir = args.data.unwrap_or(settings.data.dir);
    settings.server.listen = args.listen.unwrap_or(settings.server.listen);
    // The port comes before the folder: a second start must not touch the data of the first.
    let listener = bind(settings.server.listen).await?;
    let postgres = Postgres::bind(&settings.postgres).await?;
    let (engine, search) = crate::node::open_to_ask(&settings.data.dir, &settings).await?;
    let node = Running::start(engine, listener, &settings).await?;
    let node = node.with_postgres(postgres, search);
    if let Some(file) = &args.setup_token_file {
        node.write_token(file).await?;
    }
    node.greet().await?;
    node.until_stopped().await?;
    Ok(Exit::Done)
}

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, CliError> {
    TcpListener::bind(address).await.map_err(|error| {
        CliError::from(anyhow::anyhow!("cannot listen on {address}: {error}"))
            .hint("another program may use this port; choose one with --listen 127.0.0.1:PORT")
    })
}

/// A server with its doors open.
pub(crate) struct Running {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    app: App,
    syslog: Syslog,
    postgres: Option<Open>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    stop: tokio::sync::oneshot::Sender<()>,
}

impl Running {
    /// Opens the doors: HTTP on `listener`, syslog where the settings say.
    pub(crate) async fn start(
        engine: Engine,
        listener: TcpListener,
        settings: &Settings,
    ) -> Result<Running, CliError> {
        let address = listener.local_addr()?;
        let doors = syslog::Settings {
            udp: Settings::syslog_address(&settings.syslog.udp)?,
            tcp: Settings::syslog_address(&settings.syslog.tcp)?,
            source: settings.syslog.source.clone(),
        };
        let syslog = Syslog::listen(&doors, &engine).await?;
        let options = ServerOptions {
            listen: address,
            public_hosts: settings.server.public_hosts.clone(),
            secure_cookies: settings.server.secure_cookies,
            syslog_udp: syslog.udp,
            syslog_tcp: syslog.tcp,
            turns: turns(&settings.search),
            export_rows_max: settings.server.export_rows_max,
            ..ServerOptions::default()
        };
        let app = App::new(engine.clone(), options);
        app.run_searches();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(pugmark_server::serve(listener, app.clone(), async {
            let _ = stopped.await;
        }));
        Ok(Running { engine, address, app, syslog, postgres: None, server, stop })
    }

    /// Opens the door for SQL over the PostgreSQL protocol, where the settings say.
    pub(crate) fn with_postgres(self, door: Option<Postgres>, search: StoreSearch) -> Running {
        let postgres = door.map(|door| door.open(search, self.app.clone()));
        Running { postgres, ..self }
    }

    /// The link that makes the first user, while there is none.
    pub(crate) async fn setup_link(&self) -> Result<Option<String>, CliError> {
        let token = pugmark_server::setup_token(&self.engine).await.map_err(anyhow::Error::from)?;
        Ok(token.map(|token| format!("http://{}/setup#token={token}", self.address)))
    }

    /// A token of the given purpose.
    pub(crate) async fn token(&self, name: &str, purpose: Purpose) -> Result<String, CliError> {
        let made = pugmark_server::create_token(&self.engine, name, purpose);
        Ok(made.await.map_err(anyhow::Error::from)?.token)
    }

    async fn write_token(&self, file: &Path) -> Result<(), CliError> {
        let name = format!("for scripts, in {}", file.display());
        let token = self.token(&name.chars().take(120).collect::<String>(), Purpose::Admin).await?;
        // Only the owner may read it, also while it is being written.
        let mut options = std::fs::OpenOptions::new();
        let mut out = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(file)
            .with_context(|| format!("cannot write the token to {}", file.display()))?;
        std::io::Write::write_all(&mut out, token.as_bytes())?;
        Ok(())
    }

    async fn greet(&self) -> Result<(), CliError> {
        if let Some(link) = self.setup_link().await? {
            say(&format!("Make your account (this link works once): {link}"))?;
        }
        if let Some(postgres) = &self.postgres {
            say(&format!("SQL for psql and others is at {}", postgres.address))?;
        }
        say(&format!("Pugmark is at http://{}", self.address))?;
        Ok(())
    }

    /// Runs until Ctrl-C or a termination signal, then stops in order: doors, queue, memory.
    pub(crate) async fn until_stopped(self) -> Result<(), CliError> {
        wait_for_signal().await?;
        self.stop().await
    }

    pub(crate) async fn stop(self) -> Result<(), CliError> {
        tracing::info!("stopping");
        self.syslog.close();
        if let Some(postgres) = self.postgres {
            postgres.close().await;
        }
        let _ = self.stop.send(());
        self.server.await.map_err(anyhow::Error::from)??;
        self.engine.stop().await.map_err(anyhow::Error::from)?;
        Ok(())
    }
}

fn turns(search: &settings::Search) -> TurnLimits {
    TurnLimits {
        queries_max: search.queries_max,
        queries_per_user_max: search.queries_per_user_max,
        waiting_max: search.waiting_max,
        waiting_per_user_max: search.waiting_per_user_max,
    }
}

pub(crate) async fn wait_for_signal() -> Result<(), CliError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
