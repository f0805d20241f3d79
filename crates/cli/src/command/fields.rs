//! `pugmark fields`: which fields events have.

use pugmark_query::Search;
use serde::Deserialize;
use serde_json::json;

use super::ask::{Ask, search_error};
use super::{bound, encoded};
use crate::error::{CliError, Exit};
use crate::output;
use crate::settings::Settings;

/// List the fields that events have, and how many have each
///
/// Columns of events and attributes alike, those that most events have first. It is told from what
/// files say of themselves, without reading events, so at the ends of a range it may be estimated.
///
/// Examples:
///   pugmark fields
///   pugmark fields --from now-1d --limit 20
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(flatten)]
    ask: Ask,
}

/// A field, as a server lists it.
#[derive(Debug, Deserialize)]
struct Field {
    name: String,
    kind: String,
    events: u64,
    /// 0 to 1.
    coverage: f64,
    exact: bool,
}

/// What a server answers.
#[derive(Debug, Deserialize)]
struct Fields {
    fields: Vec<Field>,
}

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let found = found(&args.ask, &settings).await?;
    let rows = &args.ask.rows;
    let columns = ["name", "type", "events", "percent"].map(str::to_string);
    let mut printer = rows.printer(rows.text_format()?, columns.to_vec())?;
    let shown = found.iter().filter(|field| field.events > 0).take(rows.limit);
    for Field { name, kind, events, coverage, exact } in shown.clone() {
        let percent = (coverage * 1000.0).round() / 10.0;
        let row = json!({
            "name": name, "type": kind, "events": events, "percent": percent, "exact": exact,
        });
        printer.line(&row.to_string())?;
    }
    printer.finish()?;
    if shown.clone().any(|field| !field.exact) {
        output::remark(
            "some numbers are estimates: a part of a file lies outside of the range, or the \
             file does not say",
        );
    }
    Ok(Exit::Done)
}

/// Fields that events have come first.
async fn found(ask: &Ask, settings: &Settings) -> Result<Vec<Field>, CliError> {
    let bounds = [bound(ask.from.as_deref())?, bound(ask.to.as_deref())?];
    if let Some(client) = ask.place.client()? {
        let [from, to] = bounds
            .map(|bound| bound.map(|at| encoded(&pugmark_event::time::format(at))))
            .map(Option::unwrap_or_default);
        let fields: Fields = client.get(&format!("/api/v1/fields?from={from}&to={to}")).await?;
        return Ok(fields.fields);
    }
    let dir = ask.place.dir(settings);
    let (_store, search) = crate::node::open_read_only(&dir, settings).await?;
    let [from, to] = bounds;
    let presence = search.fields(from, to).await.map_err(|e| search_error("", e))?;
    let fields = presence.fields.iter().map(|field| Field {
        name: field.name.clone(),
        kind: field.kind.name().to_string(),
        events: field.events,
        coverage: presence.coverage(field),
        exact: field.exact,
    });
    Ok(fields.collect())
}
