//! `pugmark patterns`: messages by their patterns.

use super::ask::Ask;
use crate::error::{CliError, Exit};
use crate::settings::Settings;

/// Group messages by their patterns and count them
///
/// Short for `QUERY | patterns`.
///
/// Examples:
///   pugmark patterns 'event.source:sshd' --from now-1d
///   pugmark patterns --most 10
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Which events; see the query language guide
    #[arg(default_value = "*")]
    query: String,
    /// Patterns at most, the most frequent first
    #[arg(long, value_name = "N", default_value_t = 50)]
    most: usize,
    #[command(flatten)]
    ask: Ask,
}

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let query = format!("{} | patterns {}", args.query, args.most);
    args.ask.print(&query, &settings).await
}
