//! `pugmark ingest`: files into a data folder or a server.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use pugmark_connect::{Client, ClientError};
use pugmark_engine::hunt::FILE_BYTES_MAX;
use pugmark_engine::{Engine, IngestError, Receipt};
use pugmark_event::Records;
use pugmark_parse::frame;
use tokio::sync::mpsc;

use super::Where;
use crate::error::{CliError, Exit};
use crate::files::{self, Input};
use crate::output::say;
use crate::settings::Settings;

/// Take in files
///
/// The format of each file and of each record is found by itself. Ends when every record is on
/// disk.
///
/// Examples:
///   pugmark ingest /var/log --source web1 --data pugmark-data
///   pugmark ingest access.log.gz --source nginx --server http://127.0.0.1:7700 --token-file token
///   journalctl -o json | pugmark ingest - --source journal --data pugmark-data
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Files, folders, globs, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The source that the records belong to
    #[arg(long, value_name = "NAME")]
    source: String,
    #[command(flatten)]
    place: Where,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Report::Text)]
    format: Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Report {
    /// A sentence.
    Text,
    /// A JSON object.
    Json,
}

/// Blocks that are read ahead of the disk or the network.
const BLOCKS_AHEAD_MAX: usize = 8;
/// Blocks under way at once: enough to share an fsync or to fill a connection.
const BLOCKS_AT_ONCE: usize = 4;

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    if !pugmark_engine::intake::is_source_name(&args.source) {
        return Err(CliError::usage(IngestError::BadSource(args.source).to_string()));
    }
    let inputs = files::expand(&args.paths)?;
    let target = match args.place.client()? {
        Some(client) => Target::Server(client),
        None => Target::Folder(crate::node::open(&args.place.dir(&settings), &settings).await?),
    };
    let progress = Progress::new(&inputs);
    let (send, receive) = mpsc::channel(BLOCKS_AHEAD_MAX);
    let read = progress.read.clone();
    let reader = tokio::task::spawn_blocking(move || read_all(&inputs, &read, &send));
    let sent = send_all(&args.source, &target, receive, &progress).await;
    let problems = reader.await.map_err(anyhow::Error::from)?;
    if let Target::Folder(engine) = &target {
        engine.stop().await.map_err(anyhow::Error::from)?;
    }
    progress.finish();
    let receipt = sent?;
    for problem in &problems {
        tracing::warn!("{}", crate::output::printable(problem));
    }
    report(args.format, &receipt, &problems)
}

enum Target {
    Folder(Engine),
    Server(Client),
}

impl Target {
    /// Sends a block, and again while the other side is full.
    async fn send(&self, source: &str, records: Records) -> Result<Receipt, CliError> {
        match self {
            Target::Folder(engine) => loop {
                match engine.ingest(source, records.clone(), None).await {
                    Ok(receipt) => return Ok(receipt),
                    Err(IngestError::Full { .. }) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => return Err(anyhow::Error::from(error).into()),
                }
            },
            Target::Server(client) => {
                let body = body(&records)?;
                loop {
                    match client.ingest(source, body.clone(), Some("zstd")).await {
                        Ok(answer) => return Ok(receipt(&answer)),
                        Err(ClientError::Full { retry_after_seconds, .. }) => {
                            tokio::time::sleep(Duration::from_secs(retry_after_seconds)).await;
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
    }
}

/// Records as a compressed body: lines, or a JSON array where a JSON record spreads over lines.
fn body(records: &Records) -> Result<Vec<u8>, CliError> {
    let json = |record: &[u8]| record.trim_ascii_start().starts_with(b"{");
    let array = records.iter().any(|r| r.contains(&b'\n')) && records.iter().all(json);
    let (open, between, close) = if array { ("[", b',', "]") } else { ("", b'\n', "") };
    let mut plain = Vec::with_capacity(records.byte_len() + records.len() + 2);
    plain.extend_from_slice(open.as_bytes());
    for (i, record) in records.iter().enumerate() {
        if i > 0 {
            plain.push(between);
        }
        plain.extend_from_slice(record);
    }
    plain.extend_from_slice(close.as_bytes());
    Ok(zstd::encode_all(plain.as_slice(), 1)?)
}

fn receipt(answer: &serde_json::Value) -> Receipt {
    let count = |key: &str| answer[key].as_u64().unwrap_or(0);
    Receipt {
        received: count("received"),
        stored: count("stored"),
        folded: count("folded"),
        quarantined: count("quarantined"),
        shed: count("shed"),
    }
}

fn read_all(inputs: &[Input], read: &Arc<AtomicU64>, send: &mpsc::Sender<Records>) -> Vec<String> {
    let mut problems = Vec::new();
    for input in inputs {
        let reader = match input.open(read) {
            Ok(reader) => reader,
            Err(error) => {
                problems.push(format!("{error:#}"));
                continue;
            }
        };
        let blocks = match frame::open(reader, FILE_BYTES_MAX) {
            Ok(blocks) => blocks,
            Err(error) => {
                problems.push(format!("{}: {error}", input.name()));
                continue;
            }
        };
        for block in blocks {
            match block {
                Ok(records) => {
                    // The other end is gone: it failed, and says why.
                    if send.blocking_send(records).is_err() {
                        return problems;
                    }
                }
                Err(error) => problems.push(format!("{}: {error}", input.name())),
            }
        }
    }
    problems
}

async fn send_all(
    source: &str,
    target: &Target,
    receive: mpsc::Receiver<Records>,
    progress: &Progress,
) -> Result<Receipt, CliError> {
    use futures::{StreamExt, TryStreamExt};
    let blocks = futures::stream::unfold(receive, async |mut receive| {
        receive.recv().await.map(|block| (block, receive))
    });
    blocks
        .map(Ok::<Records, CliError>)
        .map_ok(|records| async move { target.send(source, records).await })
        .try_buffered(BLOCKS_AT_ONCE)
        .try_fold(Receipt::default(), |mut total, receipt| {
            total += receipt;
            progress.show(&total);
            std::future::ready(Ok(total))
        })
        .await
}

/// A bar on stderr, when a person watches.
struct Progress {
    bar: ProgressBar,
    read: Arc<AtomicU64>,
}

impl Progress {
    fn new(inputs: &[Input]) -> Progress {
        let total: u64 = inputs.iter().map(Input::size).sum();
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::new(total),
            false => ProgressBar::hidden(),
        };
        let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta} {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Progress { bar, read: Arc::default() }
    }

    fn show(&self, total: &Receipt) {
        self.bar.set_position(self.read.load(Ordering::Relaxed));
        self.bar.set_message(format!("{} records", total.received));
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn report(format: Report, receipt: &Receipt, problems: &[String]) -> Result<Exit, CliError> {
    match format {
        Report::Json => say(&serde_json::to_string(receipt).map_err(anyhow::Error::from)?)?,
        Report::Text => say(&format!(
            "{} records received: {} stored, {} folded, {} quarantined, {} shed",
            receipt.received, receipt.stored, receipt.folded, receipt.quarantined, receipt.shed
        ))?,
    }
    Ok(if problems.is_empty() { Exit::Done } else { Exit::No })
}
