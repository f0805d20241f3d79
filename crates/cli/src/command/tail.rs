//! `pugmark tail`: events as they arrive.

use futures::StreamExt;
use pugmark_query::Pipe;
use serde_json::Value;

use super::ask::{Lines, query_error};
use super::{Where, encoded};
use crate::error::{CliError, Exit};
use crate::output::{self, Format, Printer};
use crate::settings::Settings;

/// Print events as a server takes them in
///
/// Examples:
///   pugmark tail 'event.outcome:failure' --server http://127.0.0.1:7700 --token-file token
///   pugmark tail --count 10 --format json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Which events: a filter, and `where` if need be
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
    if plan.pipes.iter().any(|pipe| !matches!(pipe, Pipe::Where(_))) {
        return Err(CliError::usage("events that arrive pass a filter and `where`, nothing else")
            .hint("leave the other commands away, or ask with `pugmark search`"));
    }
    let Some(client) = args.place.client()? else {
        return Err(CliError::usage("only a running server knows what arrives")
            .hint("name it with --server URL --token-file FILE"));
    };
    let path = format!("/api/v1/stream?tail={}", encoded(&format!("tail:{}", args.query)));
    let mut pieces = client.listen(&path).await?;
    let mut tail = Tail {
        printer: Printer::new(args.format, Vec::new()),
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
            "events" => {
                let events = data["events"].as_array().map(Vec::as_slice).unwrap_or_default();
                for event in events.iter().filter_map(Value::as_object).take(self.left) {
                    self.printer.row(event)?;
                }
                self.left = self.left.saturating_sub(events.len());
            }
            "dropped" => output::remark(&format!("{} events are not shown", data["count"])),
            _ => {}
        }
        Ok(())
    }
}
