//! `pugmark ledger`: the account of every record.

use serde_json::{Value, json};

use super::Where;
use crate::error::{CliError, Exit};
use crate::output::{Format, Printer, Row};
use crate::settings::Settings;

/// Show the account: received = stored + sampled + quarantined + shed, for every source
///
/// Exits with 1 when an account does not balance.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Where,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

const COLUMNS: [&str; 7] =
    ["source", "received", "stored", "sampled", "quarantined", "shed", "balanced"];

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let sources = match args.place.client()? {
        Some(client) => {
            let mut answer: Value = client.get("/api/v1/ledger").await?;
            serde_json::from_value(answer["sources"].take()).map_err(anyhow::Error::from)?
        }
        None => from_folder(&args, &settings).await?,
    };
    let mut printer = Printer::new(args.format, COLUMNS.map(str::to_string).to_vec());
    let mut balanced = true;
    for row in &sources {
        balanced &= row["balanced"] == json!(true);
        printer.row(row)?;
    }
    printer.finish()?;
    Ok(if balanced { Exit::Done } else { Exit::No })
}

async fn from_folder(args: &Args, settings: &Settings) -> Result<Vec<Row>, CliError> {
    let (store, _) = crate::node::open_read_only(&args.place.dir(settings), settings).await?;
    let rows = store.ledger().await.map_err(anyhow::Error::from)?;
    Ok(rows.iter().map(row).collect())
}

fn row(row: &pugmark_store::LedgerRow) -> Row {
    let cells = [
        json!(row.source),
        json!(row.received),
        json!(row.stored),
        json!(row.sampled),
        json!(row.quarantined),
        json!(row.shed),
        json!(row.balanced()),
    ];
    COLUMNS.iter().map(ToString::to_string).zip(cells).collect()
}
