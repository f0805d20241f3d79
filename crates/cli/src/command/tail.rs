//! `pugmark tail`: events as they arrive.

use futures::StreamExt;
use pugmark_query::Kind;
use serde_json::{Value, json};

use super::Where;
use super::ask::{Lines, query_error};
use crate::error::{CliError, Exit};
use crate::output::{self, Format, Printer};
use crate::settings::Settings;

/// Print events as a server takes them in
///
/// Examples:
///   pugmark tail 'event.outcome:failure' --server http://127.0.0.1:7700 --token-file token
///   pugmark tail 'sshd failed | fields source.ip, user.name' --server URL --token-file token
///   pugmark tail --count 10 --format json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Which events: a filter, and commands that take each row by itself, such as `where`, `eval`
    /// and `fields`
    #[arg(default_value = "*")]
    query: String,
    #[command(flatten)]
    place: Where,
    /// End after so many events
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn run(args: Args, _: Settings) -> Result<Exit, CliError> {
    let plan = pugmark_query::parse(&args.query).map_err(|d| query_error(&args.query, &d))?;
    if let Some(pipe) = plan.pipes.iter().find(|pipe| !pipe.is_by_row()) {
        let message = format!("`{pipe}` needs all rows, and what arrives has no end");
        return Err(CliError::usage(message).hint("leave it away, or ask with `pugmark search`"));
    }
    let Some(client) = args.place.client()? else {
        return Err(CliError::usage("only a running server knows what arrives")
            .hint("name it with --server URL --token-file FILE"));
    };
    // No row of those that are there already.
    let body = json!({"query": args.query, "limit": 0, "live": true});
    let mut pieces = client.listen("/api/v1/search", &body).await?;
    let columns = match plan.kind() {
        Kind::Events => Vec::new(),
        Kind::Table => plan.scope().names(),
    };
    let mut tail = Tail {
        printer: Printer::new(args.format, columns),
        left: args.count.unwrap_or(usize::MAX),
        event: String::new(),
    };
    let mut lines = Lines::default();
    while let Some(piece) = pieces.next().await {
        for line in lines.take(&piece?) {
            tail.line(&line)?;
        }
        tail.printer.flush()?;
        if tail.left == 0 {
            return Ok(Exit::Done);
        }
    }
    Err(anyhow::anyhow!("the server ended the stream").into())
}

/// What server-sent events say (HTML standard, 9.2), as far as they are about the tail.
struct Tail {
    printer: Printer,
    /// Events still to be printed.
    left: usize,
    /// Name of the event whose data comes next.
    event: String,
}

impl Tail {
    fn line(&mut self, line: &str) -> Result<(), CliError> {
        if let Some(name) = line.strip_prefix("event:") {
            self.event = name.trim().to_string();
        } else if let Some(data) = line.strip_prefix("data:") {
            self.data(&serde_json::from_str(data.trim()).unwrap_or_default())?;
        }
        Ok(())
    }

    fn data(&mut self, data: &Value) -> Result<(), CliError> {
        match self.event.as_str() {
            "rows" => {
                let rows = data.as_array().map(Vec::as_slice).unwrap_or_default();
                for row in rows.iter().filter_map(Value::as_object).take(self.left) {
                    self.printer.row(row)?;
                }
                self.left = self.left.saturating_sub(rows.len());
            }
            "sampled" => output::remark(&format!("{} more are not shown", data["hidden"])),
            "dropped" => output::remark(&format!("{} events were missed", data["count"])),
            "error" => {
                let message = data["error"]["message"].as_str().unwrap_or("the server failed");
                return Err(anyhow::anyhow!("{message}").into());
            }
            _ => {}
        }
        Ok(())
    }
}
