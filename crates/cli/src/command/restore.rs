//! `pugmark restore`: a data folder out of a backup.

use std::path::PathBuf;

use crate::error::{CliError, Exit};
use crate::output::say;

/// Make a data folder out of a backup
///
/// Every file stands against its checksum before the folder has its name: what is there is whole.
///
/// Examples:
///   pugmark restore /mnt/backup/pugmark --data restored
///   pugmark serve --data restored
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Folder of the backup
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// New data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

pub(crate) async fn run(args: Args) -> Result<Exit, CliError> {
    let report =
        pugmark_store::restore(&args.from, &args.data).await.map_err(anyhow::Error::from)?;
    say(&format!(
        "{} files, {} bytes, as of {}; start it with `pugmark serve --data {}`",
        report.files,
        report.bytes,
        report.made,
        args.data.display()
    ))?;
    Ok(Exit::Done)
}
