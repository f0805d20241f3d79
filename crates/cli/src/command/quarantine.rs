//! `pugmark quarantine`: records that were set aside: list them, look at one, try them again.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use pugmark_event::time;
use pugmark_store::{QuarantineEntry, ReplayFilter};
use serde_json::{Value, json};

use super::Where;
use crate::error::{CliError, Exit};
use crate::output::{Format, Printer, Row, printable, say};
use crate::settings::Settings;

/// List records that were set aside, with the reason and their start
///
/// Examples:
///   pugmark quarantine --data pugmark-data
///   pugmark quarantine show 4711 --raw > record.bin
///   pugmark quarantine replay --source web
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Show(Show),
    Replay(Replay),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Data folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Records at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Show one record whole
#[derive(Debug, clap::Args)]
struct Show {
    /// Its id
    id: i64,
    /// Data folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write the exact bytes of the record and nothing else
    #[arg(long)]
    raw: bool,
}

/// Parse records again; those that parse become events with their old ids
///
/// Records that are too long for a parser stay, and so do those whose bytes were lost. Works on a
/// running server with --server, or on a data folder that no server uses.
#[derive(Debug, clap::Args)]
struct Replay {
    #[command(flatten)]
    place: Where,
    /// Only records of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only records with this in their reason
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only these ids, separated by commas
    #[arg(long, value_name = "ID,ID", value_delimiter = ',')]
    ids: Vec<i64>,
}

const COLUMNS: [&str; 6] = ["id", "received", "source", "reason", "bytes", "start"];
/// Bytes of a record that the list shows.
const START_BYTES: usize = 120;

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    match args.what {
        None => list(args.list, settings).await,
        Some(What::Show(args)) => show(args, settings).await,
        Some(What::Replay(args)) => replay(args, settings).await,
    }
}

async fn list(args: List, settings: Settings) -> Result<Exit, CliError> {
    let dir = args.data.unwrap_or(settings.data.dir.clone());
    let (store, _) = crate::node::open_read_only(&dir, &settings).await?;
    let entries = store.quarantined(args.limit).await.map_err(anyhow::Error::from)?;
    let mut printer = Printer::new(args.format, COLUMNS.map(str::to_string).to_vec());
    for entry in entries {
        let start = &entry.record[..entry.record.len().min(START_BYTES)];
        let cells = [
            json!(entry.id.to_string()),
            json!(time::format(entry.received)),
            json!(entry.source),
            json!(entry.reason),
            json!(entry.bytes),
            json!(String::from_utf8_lossy(start)),
        ];
        let row: Row = COLUMNS.iter().map(ToString::to_string).zip(cells).collect();
        printer.row(&row)?;
    }
    printer.finish()?;
    Ok(Exit::Done)
}

async fn show(args: Show, settings: Settings) -> Result<Exit, CliError> {
    let dir = args.data.unwrap_or(settings.data.dir.clone());
    let (store, _) = crate::node::open_read_only(&dir, &settings).await?;
    let found = store.quarantined_record(args.id).await.map_err(anyhow::Error::from)?;
    let entry = found.ok_or_else(|| {
        CliError::usage(format!("there is no record {} in quarantine", args.id))
            .hint("`pugmark quarantine` lists the ids; one that was replayed is an event now")
    })?;
    if args.raw {
        let mut out = std::io::stdout().lock();
        out.write_all(&entry.record)?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    print(&entry)?;
    Ok(Exit::Done)
}

fn print(entry: &QuarantineEntry) -> anyhow::Result<()> {
    say(&format!("id        {}", entry.id))?;
    say(&format!("received  {}", time::format(entry.received)))?;
    say(&format!("source    {}", printable(&entry.source)))?;
    say(&format!("reason    {}", printable(&entry.reason)))?;
    say(&format!("bytes     {}\n", entry.bytes))?;
    say(&printable(&String::from_utf8_lossy(&entry.record)))
}

async fn replay(args: Replay, settings: Settings) -> Result<Exit, CliError> {
    let answer = match args.place.client()? {
        Some(client) => {
            let ids: Vec<String> = args.ids.iter().map(ToString::to_string).collect();
            let body = json!({"source": args.source, "reason": args.reason, "ids": ids});
            client.post("/api/v1/quarantine/replay", &body).await?
        }
        None => {
            let engine = crate::node::open(&args.place.dir(&settings), &settings).await?;
            engine.settle().await;
            let filter = ReplayFilter {
                source: args.source,
                reason: args.reason,
                ids: args.ids.into_iter().collect::<BTreeSet<_>>(),
            };
            let replayed = engine.replay_quarantine(&super::actor(), &filter).await;
            engine.stop().await.map_err(anyhow::Error::from)?;
            let replayed = replayed.map_err(anyhow::Error::from)?;
            serde_json::to_value(replayed).map_err(anyhow::Error::from)?
        }
    };
    let count = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or(0);
    say(&format!(
        "{} records tried: {} are events now; {} stay because the parser fails, {} because they \
         are too long, {} because their bytes were lost",
        count("tried"),
        count("events"),
        count("failed"),
        count("too_long"),
        count("lost")
    ))?;
    Ok(Exit::Done)
}
