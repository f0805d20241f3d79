//! `pugmark ledger`: the account of every record.

use pugmark_event::time::{self, Micros};
use pugmark_store::{LedgerFilter, LedgerReason, LedgerRow, Store};
use serde_json::{Value, json};

use super::{Where, bound};
use crate::error::{CliError, Exit};
use crate::output::{Format, Printer, Row};
use crate::settings::Settings;

/// Show the account: received = stored + sampled + folded + quarantined + shed, for every source
///
/// Exits with 1 when an account does not balance.
///
/// Examples:
///   pugmark ledger --by minute --source web --from now-1h
///   pugmark ledger --reasons
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Where,
    /// Only this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only records received from the minute of this time on, such as now-1h
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only records received before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// One line for each source, or for each minute and source
    #[arg(long, value_enum, default_value_t = By::Source)]
    by: By,
    /// Why records were set aside or dropped, in place of the counts
    #[arg(long, conflicts_with = "by")]
    reasons: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// Whole accounts.
    Source,
    /// Minutes of receipt.
    Minute,
}

const COUNTS: [&str; 9] = [
    "source",
    "received",
    "stored",
    "sampled",
    "folded",
    "quarantined",
    "shed",
    "expired",
    "balanced",
];
const MINUTE_COUNTS: [&str; 9] = [
    "minute",
    "source",
    "received",
    "stored",
    "sampled",
    "folded",
    "quarantined",
    "shed",
    "balanced",
];
const REASONS: [&str; 4] = ["source", "fate", "reason", "count"];

impl Args {
    fn columns(&self) -> &'static [&'static str] {
        match (self.reasons, self.by) {
            (true, _) => &REASONS,
            (false, By::Source) => &COUNTS,
            (false, By::Minute) => &MINUTE_COUNTS,
        }
    }

    /// The list of the server's answer that is meant.
    fn list(&self) -> &'static str {
        match (self.reasons, self.by) {
            (true, _) => "reasons",
            (false, By::Source) => "sources",
            (false, By::Minute) => "minutes",
        }
    }

    fn filter(&self) -> Result<LedgerFilter, CliError> {
        Ok(LedgerFilter {
            source: self.source.clone(),
            from: bound(self.from.as_deref())?,
            to: bound(self.to.as_deref())?,
        })
    }
}

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let rows: Vec<Value> = match args.place.client()? {
        Some(client) => {
            let mut answer: Value = client.get(&path(&args, &args.filter()?)).await?;
            serde_json::from_value(answer[args.list()].take()).map_err(anyhow::Error::from)?
        }
        None => from_folder(&args, &settings).await?,
    };
    let columns = args.columns();
    let mut printer = Printer::new(args.format, columns.iter().map(ToString::to_string).collect());
    let mut balanced = true;
    for row in &rows {
        balanced &= row["balanced"] != json!(false);
        let cells = columns.iter().map(|column| (column.to_string(), row[*column].clone()));
        printer.row(&cells.collect::<Row>())?;
    }
    printer.finish()?;
    Ok(if balanced { Exit::Done } else { Exit::No })
}

fn path(args: &Args, filter: &LedgerFilter) -> String {
    let mut path = String::from("/api/v1/ledger?");
    if args.by == By::Minute {
        path += "by=minute&";
    }
    if let Some(source) = &filter.source {
        path += &format!("source={}&", super::encoded(source));
    }
    let times = [("from", filter.from), ("to", filter.to)];
    for (name, at) in times.into_iter().filter_map(|(name, at)| Some((name, at?))) {
        path += &format!("{name}={}&", super::encoded(&time::format(at)));
    }
    path
}

async fn from_folder(args: &Args, settings: &Settings) -> Result<Vec<Value>, CliError> {
    let (store, _) = crate::node::open_read_only(&args.place.dir(settings), settings).await?;
    Ok(read(&store, args, &args.filter()?).await.map_err(anyhow::Error::from)?)
}

async fn read(
    store: &Store,
    args: &Args,
    filter: &LedgerFilter,
) -> Result<Vec<Value>, pugmark_store::StoreError> {
    if args.reasons {
        return Ok(store.ledger_reasons(filter).await?.iter().map(reason).collect());
    }
    Ok(match args.by {
        By::Source => store.ledger_of(filter).await?.iter().map(|row| counts(None, row)).collect(),
        By::Minute => {
            let minutes = store.ledger_by_minute(filter).await?;
            minutes.iter().map(|minute| counts(Some(minute.minute), &minute.row)).collect()
        }
    })
}

fn counts(minute: Option<Micros>, row: &LedgerRow) -> Value {
    json!({
        "minute": minute.map(time::format),
        "source": row.source,
        "received": row.received,
        "stored": row.stored,
        "sampled": row.sampled,
        "folded": row.folded,
        "quarantined": row.quarantined,
        "shed": row.shed,
        "expired": row.expired,
        "balanced": row.balanced(),
    })
}

fn reason(reason: &LedgerReason) -> Value {
    json!({
        "source": reason.source,
        "fate": reason.fate,
        "reason": reason.reason,
        "count": reason.count,
    })
}
