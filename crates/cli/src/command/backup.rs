//! `pugmark backup`: a second copy of everything, while the server runs.

use std::path::PathBuf;

use crate::error::{CliError, Exit};
use crate::output::say;
use crate::settings::Settings;

/// Copy everything that is stored into a folder; a server may be running
///
/// Everything that was acknowledged before the backup began is in it. Into a folder that holds an
/// earlier backup, only new files are copied. The copy holds logs, password hashes and alerts:
/// guard it like the data folder.
///
/// Examples:
///   pugmark backup /mnt/backup/pugmark --data pugmark-data
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Folder for the backup: new, or one with an earlier backup
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// Data folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let data = args.data.unwrap_or(settings.data.dir.clone());
    let place = crate::node::store_options(&settings)?.manifest;
    let report =
        pugmark_store::backup(&data, &place, &args.to).await.map_err(anyhow::Error::from)?;
    let mut text = format!(
        "{} files, {} bytes; {} of them copied now ({} bytes)",
        report.files, report.bytes, report.copied, report.copied_bytes
    );
    if report.remote > 0 {
        text += &format!(
            "; {} segments are on object storage: the backup has their names, not their bytes",
            report.remote
        );
    }
    say(&text)?;
    Ok(Exit::Done)
}
