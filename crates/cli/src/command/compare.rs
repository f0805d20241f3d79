//! `pugmark compare`: what is different from an earlier time.

use pugmark_query::Kind;

use super::ask::{Ask, query_error};
use crate::error::{CliError, Exit};
use crate::settings::Settings;

/// Compare a time with an earlier one
///
/// Short for `QUERY | compare SPAN`; events are compared by the patterns of their messages.
/// Without --from and --to it is the last SPAN that is compared with the one before.
///
/// Examples:
///   pugmark compare 'event.source:sshd'
///   pugmark compare '* | stats count() by host.name' --with 7d --from now-1h
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// What to compare; see the query language guide
    query: String,
    /// How much earlier, such as 1h, 1d or 7d
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    with: String,
    #[command(flatten)]
    ask: Ask,
}

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let Args { query, with, mut ask } = args;
    let plan = pugmark_query::parse(&query).map_err(|d| query_error(&query, &d))?;
    let table = if plan.kind() == Kind::Table { "" } else { " | patterns" };
    ask.from.get_or_insert_with(|| format!("now-{with}"));
    ask.to.get_or_insert_with(|| "now".to_string());
    ask.print(&format!("{query}{table} | compare {with}"), &settings).await
}
