//! `pugmark audit`: who did what to the data.

use pugmark_event::time;
use serde_json::{Value, json};

use super::Where;
use crate::error::{CliError, Exit};
use crate::output::{Format, Printer, Row};
use crate::settings::Settings;

/// List what was done to the data: expiry, moves, replays, reparses; the newest first
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Where,
    /// Entries at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

const COLUMNS: [&str; 5] = ["time", "actor", "action", "subject", "detail"];

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let entries: Vec<Value> = match args.place.client()? {
        Some(client) => {
            let mut answer: Value =
                client.get(&format!("/api/v1/audit?limit={}", args.limit)).await?;
            serde_json::from_value(answer["entries"].take()).map_err(anyhow::Error::from)?
        }
        None => {
            let dir = args.place.dir(&settings);
            let (store, _) = crate::node::open_read_only(&dir, &settings).await?;
            let entries = store.audit_list(args.limit).await.map_err(anyhow::Error::from)?;
            let shown = entries.into_iter().map(|entry| {
                json!({
                    "time": time::format(entry.time),
                    "actor": entry.actor,
                    "action": entry.action,
                    "subject": entry.subject,
                    "detail": entry.detail,
                })
            });
            shown.collect()
        }
    };
    let mut printer = Printer::new(args.format, COLUMNS.map(str::to_string).to_vec());
    for entry in &entries {
        let cells = COLUMNS.iter().map(|column| (column.to_string(), entry[*column].clone()));
        printer.row(&cells.collect::<Row>())?;
    }
    printer.finish()?;
    Ok(Exit::Done)
}
