//! `pugmark reparse`: stored records read again with today's parsers.

use std::time::Duration;

use pugmark_event::time;
use pugmark_store::RewriteScope;
use serde_json::{Value, json};

use super::{Where, bound};
use crate::error::{CliError, Exit};
use crate::output::say;
use crate::settings::Settings;

/// Read stored records again with the parsers of this version
///
/// A parser that was fixed fixes the past: the events of the source in the range are made again
/// from their raw records and put in the place of the old ones. Ids stay. A search sees the old
/// events or the new ones, never both. Works on a running server with --server, in the background,
/// or on a data folder that no server uses.
///
/// Examples:
///   pugmark reparse --source web --from 2026-11-01 --server http://127.0.0.1:7700 --token-file t
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Where,
    /// The source
    #[arg(long, value_name = "NAME")]
    source: String,
    /// Only events from this time on
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only events before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// The format to try first, such as syslog [default: found by itself]
    #[arg(long, value_name = "NAME")]
    record_format: Option<String>,
}

/// How often a server is asked how far it is.
const ASK_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let (from, to) = (bound(args.from.as_deref())?, bound(args.to.as_deref())?);
    let done: Value = match args.place.client()? {
        Some(client) => {
            let text = |at: Option<i64>| at.map(time::format);
            let body = json!({
                "source": args.source, "from": text(from), "to": text(to),
                "format": args.record_format,
            });
            let mut state: Value = client.post("/api/v1/reparse", &body).await?;
            while state["running"] == json!(true) {
                tokio::time::sleep(ASK_INTERVAL).await;
                state = client.get("/api/v1/reparse").await?;
            }
            if let Some(error) = state["error"].as_str() {
                return Err(anyhow::anyhow!("the reparse ended: {error}").into());
            }
            state["done"].take()
        }
        None => {
            let engine = crate::node::open(&args.place.dir(&settings), &settings).await?;
            engine.settle().await;
            let scope = RewriteScope { source: args.source, from, to };
            let format = args.record_format.as_deref();
            let done = engine.reparse(&super::actor(), &scope, format).await;
            engine.stop().await.map_err(anyhow::Error::from)?;
            let done = done.map_err(anyhow::Error::from)?;
            serde_json::to_value(done).map_err(anyhow::Error::from)?
        }
    };
    say(&format!(
        "{} events read again in {} segments; {} segments replaced, {} left on object storage",
        done["events"], done["segments"], done["replaced"], done["remote"]
    ))?;
    Ok(Exit::Done)
}
