//! `pugmark quarantine`: lists records that were set aside.

use std::path::PathBuf;

use pugmark_event::time;
use serde_json::json;

use crate::error::{CliError, Exit};
use crate::output::{Format, Printer, Row};
use crate::settings::Settings;

/// List records that were set aside, with the reason and their start
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
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

const COLUMNS: [&str; 6] = ["id", "received", "source", "reason", "bytes", "start"];
/// Bytes of a record that the list shows.
const START_BYTES: usize = 120;

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
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
