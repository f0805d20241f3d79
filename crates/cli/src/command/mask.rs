//! `pugmark mask`: what masking would make of records, before it goes live.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use pugmark_engine::hunt::FILE_BYTES_MAX;
use pugmark_engine::masking::Masking;
use pugmark_parse::frame;

use crate::error::{CliError, Exit};
use crate::files;
use crate::output::{printable, remark, say};

/// Show what masking makes of records
///
/// Prints the records as they would be kept, and how many values of which kind were masked. Nothing
/// is stored. The file says what is masked, as mask.file of the settings does for the server.
///
/// Examples:
///   pugmark mask app.log --rules mask.yaml
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Files, folders or globs; - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// What is masked (YAML)
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<Exit, CliError> {
    // Hashes are for looking at; those of the server have another key.
    let dir = tempfile::tempdir().context("no folder for a key")?;
    let masking = Masking::open(&args.rules, &dir.path().join("mask.key"))
        .map_err(|error| CliError::usage(error.to_string()))?;
    for file in files::expand(&args.files)? {
        let name = file.name();
        let blocks = frame::open(file.open(&Arc::default())?, FILE_BYTES_MAX)
            .with_context(|| format!("cannot read {name}"))?;
        for block in blocks {
            let records = masking.mask(block.with_context(|| format!("cannot read {name}"))?);
            for record in records.iter() {
                say(&printable(&String::from_utf8_lossy(record)))?;
            }
        }
    }
    let counts = masking.counts();
    let shown: Vec<String> = counts.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    let all = if shown.is_empty() { "nothing".into() } else { shown.join(", ") };
    remark(&format!("masked: {all}"));
    Ok(if counts.is_empty() { Exit::No } else { Exit::Done })
}
