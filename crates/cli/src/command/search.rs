//! `pugmark search`: asks for events or a table.

use pugmark_query::Search;
use pugmark_query::explain::Explanation;
use serde_json::json;

use super::ask::{Ask, search_error};
use crate::error::{CliError, Exit};
use crate::output::{self, Format, Printer, safe_json};
use crate::settings::Settings;

/// Ask a question
///
/// Examples:
///   pugmark search 'sshd "failed password"' --from now-1h
///   pugmark search 'source.ip:203.0.113.0/24 | stats count() by user.name | sort -count'
///   pugmark search '* | timechart span=1h count() by event.source' --format csv
///   pugmark search 'event.outcome:failure' --limit 9000 --format parquet --output found.parquet
///   pugmark search 'url.path:/admin* | stats count() by source.ip' --explain
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The question; see the query language guide
    query: String,
    #[command(flatten)]
    ask: Ask,
    /// Instead of the rows, what was read for them and the time of each step
    #[arg(long)]
    explain: bool,
}

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    match args.explain {
        true => {
            let format = args.ask.rows.text_format()?;
            show(&explained(&args, &settings).await?, format)
        }
        false => args.ask.print(&args.query, &settings).await,
    }
}

async fn explained(args: &Args, settings: &Settings) -> Result<Explanation, CliError> {
    let Args { query, ask, .. } = args;
    if let Some(client) = ask.place.client()? {
        return Ok(client.post("/api/v1/query/explain", &ask.body(query)).await?);
    }
    let request = ask.request(query)?;
    let (_store, search) = crate::node::open_read_only(&ask.place.dir(settings), settings).await?;
    search.explain(request).await.map_err(|e| search_error(query, e))
}

/// Prints the steps as rows, and beside them what was read.
fn show(explanation: &Explanation, format: Format) -> Result<Exit, CliError> {
    let Explanation { reading, steps, rows, took_us } = explanation;
    if let Format::Json = format {
        output::say(&safe_json(&json!(explanation).to_string()))?;
        return Ok(Exit::Done);
    }
    let ms = |micros: u64| format!("{}.{:03}", micros / 1000, micros % 1000);
    let columns = ["step", "rows", "ms", "detail"].map(str::to_string);
    let mut printer = Printer::new(format, columns.to_vec());
    for step in steps {
        let (name, detail) = (&step.name, &step.detail);
        let row =
            json!({"step": name, "rows": step.rows, "ms": ms(step.took_us), "detail": detail});
        printer.line(&row.to_string())?;
    }
    printer.finish()?;
    output::remark(&format!(
        "{rows} rows in {} ms; read {} of {} segments, {} of {} row groups, {} of {} events, \
         {} bytes",
        ms(*took_us),
        reading.segments_read,
        reading.segments,
        reading.row_groups_read,
        reading.row_groups,
        reading.events_read,
        reading.events,
        reading.bytes_read,
    ));
    Ok(Exit::Done)
}
