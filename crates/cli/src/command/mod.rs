//! The commands, one file each.

pub(crate) mod alerts;
pub(crate) mod ask;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod docs;
pub(crate) mod doctor;
pub(crate) mod fields;
pub(crate) mod help;
pub(crate) mod hunt;
pub(crate) mod ingest;
pub(crate) mod ledger;
pub(crate) mod mask;
pub(crate) mod parse;
pub(crate) mod patterns;
pub(crate) mod propose;
pub(crate) mod quarantine;
pub(crate) mod reparse;
pub(crate) mod restore;
pub(crate) mod retention;
pub(crate) mod rules;
pub(crate) mod saved;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod sql;
pub(crate) mod tail;
pub(crate) mod templates;
pub(crate) mod transform;

use std::path::PathBuf;

use pugmark_connect::Client;
use pugmark_event::time::{self, Micros};

use crate::cli::{Cli, Command};
use crate::error::{CliError, Exit};
use crate::settings::Settings;

/// Where a command finds the data: a folder of this machine, or a server.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Where")]
pub(crate) struct Where {
    /// Data folder of this machine
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    pub(crate) data: Option<PathBuf>,
    /// Address of a running Pugmark, such as http://127.0.0.1:7700
    #[arg(long, value_name = "URL", env = "PUGMARK_URL")]
    pub(crate) server: Option<String>,
    /// File that holds a token for that server
    #[arg(long, value_name = "FILE", requires = "server")]
    pub(crate) token_file: Option<PathBuf>,
}

impl Where {
    /// A client, when a server is meant.
    pub(crate) fn client(&self) -> Result<Option<Client>, CliError> {
        let Some(server) = &self.server else { return Ok(None) };
        let Some(file) = &self.token_file else {
            return Err(CliError::usage("--server needs --token-file FILE")
                .hint("make a token in the web app under Settings, and save it to a file"));
        };
        let token = std::fs::read_to_string(file).map_err(|e| {
            CliError::usage(format!("cannot read the token in {}: {e}", file.display()))
        })?;
        let server = match server.contains("://") {
            true => server.clone(),
            false => format!("http://{server}"),
        };
        Ok(Some(Client::new(&server, &token)?))
    }

    /// The data folder, from the flag or the settings.
    pub(crate) fn dir(&self, settings: &Settings) -> PathBuf {
        self.data.clone().unwrap_or_else(|| settings.data.dir.clone())
    }
}

/// A bound of a range of time, as people write it.
pub(crate) fn bound(text: Option<&str>) -> Result<Option<Micros>, CliError> {
    let Some(text) = text else { return Ok(None) };
    let time = time::parse_bound(text, chrono::Utc::now().timestamp_micros());
    time.map(Some).ok_or_else(|| {
        CliError::usage(format!("{text:?} is no time"))
            .hint("write one such as 2026-11-23, 2026-11-23T10:00:00Z or now-15m")
    })
}

/// Text as a part of a query string.
pub(crate) fn encoded(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    text.bytes().fold(String::new(), |mut out, b| {
        match is_plain(b) {
            true => out.push(char::from(b)),
            false => out += &format!("%{b:02X}"),
        }
        out
    })
}

/// Who the audit trail names for what is typed here.
pub(crate) fn actor() -> String {
    let user = std::env::var("USER").unwrap_or_default();
    if user.is_empty() { "command line".into() } else { format!("command line ({user})") }
}

/// Runs what was typed.
pub(crate) fn run(cli: Cli) -> Result<Exit, CliError> {
    let config = cli.config.as_deref();
    let settings = || Settings::load(config);
    // Commands that print and end say nothing of themselves unless asked.
    let quiet = !matches!(cli.command, Command::Serve(_));
    start_log(cli.verbose, quiet, settings);
    match cli.command {
        Command::Serve(args) => runtime()?.block_on(serve::run(args, settings()?)),
        Command::Demo(args) => runtime()?.block_on(demo::run(args, settings()?)),
        Command::Ingest(args) => runtime()?.block_on(ingest::run(args, settings()?)),
        Command::Search(args) => runtime()?.block_on(search::run(args, settings()?)),
        Command::Saved(args) => runtime()?.block_on(saved::run(args, settings()?)),
        Command::Sql(args) => runtime()?.block_on(sql::run(args, settings()?)),
        Command::Tail(args) => runtime()?.block_on(tail::run(args, settings()?)),
        Command::Patterns(args) => runtime()?.block_on(patterns::run(args, settings()?)),
        Command::Compare(args) => runtime()?.block_on(compare::run(args, settings()?)),
        Command::Fields(args) => runtime()?.block_on(fields::run(args, settings()?)),
        Command::Alerts(args) => runtime()?.block_on(alerts::run(args, settings()?)),
        Command::Ledger(args) => runtime()?.block_on(ledger::run(args, settings()?)),
        Command::Quarantine(args) => runtime()?.block_on(quarantine::run(args, settings()?)),
        Command::Retention(args) => runtime()?.block_on(retention::run(args, settings()?)),
        Command::Doctor(args) => runtime()?.block_on(doctor::run(args, settings()?)),
        Command::Backup(args) => runtime()?.block_on(backup::run(args, settings()?)),
        Command::Restore(args) => runtime()?.block_on(restore::run(args)),
        Command::Reparse(args) => runtime()?.block_on(reparse::run(args, settings()?)),
        Command::Audit(args) => runtime()?.block_on(audit::run(args, settings()?)),
        Command::Hunt(args) => hunt::run(args),
        Command::Parse(args) => parse::run(&args),
        Command::Mask(args) => mask::run(&args),
        Command::Propose(args) => propose::run(&args),
        Command::Templates(args) => templates::run(&args),
        Command::Transform(args) => transform::run(&args, &settings()?),
        Command::Rules(args) => runtime()?.block_on(rules::run(args, settings()?)),
        Command::Config(args) => config::run(args, config),
        Command::Completions(args) => completions::run(args),
        Command::Help(args) => help::run(args),
        Command::Docs(args) => docs::run(args),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Logs to stderr: at the level of the settings for a server, at warnings for other commands.
fn start_log(verbose: u8, quiet: bool, settings: impl Fn() -> Result<Settings, CliError>) {
    let level = match (verbose, quiet) {
        (0, true) => "warn".to_string(),
        (0, false) => settings().map_or("info".into(), |s| s.log.level),
        (1, _) => "info".into(),
        (2, _) => "debug".into(),
        _ => "trace".into(),
    };
    // Libraries have their own ideas of what is worth saying.
    let filter = std::env::var("PUGMARK_LOG").unwrap_or_else(|_| {
        format!("warn,evtx=error,pugmark={level},{}", levels_of_crates(&level))
    });
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_target(verbose > 0)
        .try_init();
}

fn levels_of_crates(level: &str) -> String {
    ["event", "parse", "query", "detect", "alert", "store", "search", "engine", "connect", "server"]
        .map(|name| format!("pugmark_{name}={level}"))
        .join(",")
}
