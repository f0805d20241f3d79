//! `pugmark alerts`: lists alerts.

use pugmark_event::time;
use serde_json::{Value, json};

use super::Where;
use crate::error::{CliError, Exit};
use crate::output::{Format, Printer, Row};
use crate::settings::Settings;

/// List alerts, the newest first
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Where,
    /// Only alerts in this state
    #[arg(long, value_parser = ["open", "closed"])]
    status: Option<String>,
    /// Alerts at most
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

const COLUMNS: [&str; 7] =
    ["severity", "status", "count", "last_seen", "entity", "title", "techniques"];

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let alerts = match args.place.client()? {
        Some(client) => {
            let status = args.status.as_ref().map_or(String::new(), |s| format!("&status={s}"));
            let path = format!("/api/v1/alerts?limit={}{status}", args.limit);
            let mut answer: Value = client.get(&path).await?;
            serde_json::from_value(answer["alerts"].take()).map_err(anyhow::Error::from)?
        }
        None => from_folder(&args, &settings).await?,
    };
    let columns = COLUMNS.map(str::to_string).to_vec();
    let mut printer = Printer::new(args.format, columns);
    for alert in alerts {
        match args.format {
            Format::Json => printer.line(&alert.to_string())?,
            _ => printer.row(&summary(&alert))?,
        }
    }
    printer.finish()?;
    Ok(Exit::Done)
}

async fn from_folder(args: &Args, settings: &Settings) -> Result<Vec<Value>, CliError> {
    let (store, _) = crate::node::open_read_only(&args.place.dir(settings), settings).await?;
    let filter = pugmark_store::AlertFilter {
        status: args.status.as_deref().and_then(pugmark_alert::Status::from_name),
        limit: args.limit,
        ..pugmark_store::AlertFilter::default()
    };
    let alerts = store.alerts().list(&filter).await.map_err(anyhow::Error::from)?;
    Ok(alerts.iter().map(shown).collect())
}

/// The alert as the API shows it: times as text, ids as text.
fn shown(alert: &pugmark_alert::Alert) -> Value {
    let mut value = serde_json::to_value(alert).unwrap_or_default();
    value["first_seen"] = json!(time::format(alert.first_seen));
    value["last_seen"] = json!(time::format(alert.last_seen));
    value["evidence"] = alert.evidence.iter().map(ToString::to_string).collect();
    value
}

fn summary(alert: &Value) -> Row {
    let techniques: Vec<_> = alert["attack"]["techniques"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let cells = [
        alert["severity"].clone(),
        alert["status"].clone(),
        alert["count"].clone(),
        alert["last_seen"].clone(),
        alert["entity"]["value"].clone(),
        alert["rule"]["title"].clone(),
        json!(techniques.join(" ")),
    ];
    COLUMNS.iter().map(ToString::to_string).zip(cells).collect()
}
