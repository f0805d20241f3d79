//! `pugmark rules import`: rules of others into a folder of rules, and later versions of them.

use std::path::PathBuf;

use pugmark_engine::import::{self, ImportOptions};
use pugmark_engine::{Clock, SystemClock};
use pugmark_event::Severity;

use crate::error::{CliError, Exit};
use crate::output::{printable, say};

const LEVELS: [&str; 5] = ["informational", "low", "medium", "high", "critical"];
/// Paths of one kind that are printed.
const SHOWN_MAX: usize = 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Zip archive or folder of Sigma rules
    #[arg(value_name = "ZIP|DIR")]
    from: PathBuf,
    /// Folder of rules; they land below imported/NAME in it
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Name of the collection: the same at the next import [default: the archive's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Leave rules below this level out
    #[arg(long, value_name = "LEVEL", value_parser = LEVELS)]
    min_level: Option<String>,
    /// Only rules of these statuses [default: all but deprecated and unsupported]
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,
    /// The licence of the rules, where the package has no file that says it
    #[arg(long, value_name = "NAME", visible_alias = "license")]
    licence: Option<String>,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let stem = args.from.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let options = ImportOptions {
        name: args.name.or(stem).unwrap_or_default(),
        license: args.licence,
        min_level: args.min_level.as_deref().and_then(Severity::from_name),
        statuses: args.status,
    };
    let imported = import::import(&args.from, &args.into, &options, SystemClock.now())
        .map_err(|error| CliError::usage(error.to_string()))?;
    for (what, paths) in [
        ("new", &imported.new),
        ("changed", &imported.changed),
        ("removed", &imported.removed),
        ("edited here, left as it is", &imported.kept),
        ("a filter, not imported: exceptions are yours to write", &imported.filters),
    ] {
        for path in paths.iter().take(SHOWN_MAX) {
            say(&format!("{what}: {}", printable(path)))?;
        }
        if let Some(more) = paths.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
            say(&format!("{what}: {more} more"))?;
        }
    }
    let license = match imported.license.as_str() {
        "" => "licence unknown (say it with --licence)".to_string(),
        license => format!("licence {}", printable(license)),
    };
    say(&format!(
        "{} rule files in {}, {license}: {} new, {} changed, {} removed, {} edited here; \
         {} left out for their level or status",
        imported.rules,
        printable(&imported.folder.display().to_string()),
        imported.new.len(),
        imported.changed.len(),
        imported.removed.len(),
        imported.kept.len(),
        imported.left_out,
    ))?;
    Ok(Exit::Done)
}
