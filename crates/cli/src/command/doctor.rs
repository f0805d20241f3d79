//! `pugmark doctor`: is everything that was stored still there, whole and accounted for?

use std::path::PathBuf;

use pugmark_store::{Depth, Report};
use serde_json::json;

use crate::error::{CliError, Exit};
use crate::output::{Format, Printer, Row, say};
use crate::settings::Settings;

/// Check everything that is stored, and say what to do where something is wrong
///
/// Reads every file against its checksum, the manifest against the files and the files against the
/// manifest, the ledger, the WAL, the quarantine and the database. Changes nothing; works beside a
/// running server. Exits with 1 when something is wrong.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Data folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Also decode every record: slower, and sure
    #[arg(long)]
    deep: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

const COLUMNS: [&str; 5] = ["level", "place", "what", "detail", "next"];

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let dir = args.data.unwrap_or(settings.data.dir.clone());
    let (store, _) = crate::node::open_read_only(&dir, &settings).await?;
    let depth = if args.deep { Depth::Deep } else { Depth::Full };
    let report = pugmark_store::check(&store, depth).await.map_err(anyhow::Error::from)?;
    let mut printer = Printer::new(args.format, COLUMNS.map(str::to_string).to_vec());
    for finding in &report.findings {
        let cells = [
            json!(finding.level.name()),
            json!(finding.place),
            json!(finding.what),
            json!(finding.detail),
            json!(finding.next),
        ];
        let row: Row = COLUMNS.iter().map(ToString::to_string).zip(cells).collect();
        printer.row(&row)?;
    }
    printer.finish()?;
    if args.format == Format::Table {
        say(&summary(&report, args.deep))?;
    }
    Ok(if report.is_sound() { Exit::Done } else { Exit::No })
}

fn summary(report: &Report, deep: bool) -> String {
    let mut text = format!(
        "{}{} segments ({} with a checksum, {} without), {} bytes read, {} records in quarantine, \
         {} in the WAL",
        if report.findings.is_empty() { "" } else { "\n" },
        report.segments,
        report.summed,
        report.unsummed,
        report.bytes,
        report.quarantined,
        report.wal_records
    );
    if deep {
        text += &format!(", {} events decoded", report.events);
    }
    if report.remote > 0 {
        text += &format!("; {} segments on object storage were not fetched", report.remote);
    }
    let wrong = report.findings.iter().filter(|f| f.level == pugmark_store::Level::Wrong).count();
    text + &match wrong {
        0 => ": all is well".to_string(),
        1 => ": 1 thing is wrong".to_string(),
        n => format!(": {n} things are wrong"),
    }
}
