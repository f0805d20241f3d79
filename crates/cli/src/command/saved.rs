//! `pugmark saved`: searches that are kept under a name.

use pugmark_connect::{Client, ClientError};
use pugmark_server::SavedSearch;
use pugmark_store::KeptSearch;
use serde_json::{Value, json};

use super::ask::Ask;
use super::{Where, encoded};
use crate::error::{CliError, Exit};
use crate::output::{Format, Printer, Row, say};
use crate::settings::Settings;

/// List, save and run searches that are kept under a name
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the saved searches, and how the schedules of those that have one do
    List {
        #[command(flatten)]
        place: Where,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Show one as JSON
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        place: Where,
    },
    Save(SaveArgs),
    /// Delete one and its schedule; alerts that it made stay
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        place: Where,
    },
    /// Ask what a saved search asks, over its own range unless another is given
    Run {
        /// Its name
        name: String,
        #[command(flatten)]
        ask: Ask,
    },
}

/// Save a search, in place of the one of the same name
///
/// Of the one that is there, what is not named stays as it is, also its schedule.
/// With --every it is asked by itself, each time about the events since the time before, and
/// every row of the answer becomes a detection.
///
/// Examples:
///   pugmark saved save 'root logins' 'user.name:root event.outcome:success' --from now-7d \
///     --server http://127.0.0.1:7700 --token-file token
///   pugmark saved save 'guessing' 'event.outcome:failure | stats count() as n by source.ip
///     | where n > 100' --every 15m --level high --entity source.ip
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct SaveArgs {
    /// Its name
    name: String,
    /// What it asks; see the query language guide
    query: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    named: Named,
}

/// What may be said of a search beside what it asks.
#[derive(Debug, Default, clap::Args)]
struct Named {
    /// Start of its range, such as now-1d
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// End of its range
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// What it is good for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Ask it by itself this often, from 1m to 1d, or never
    #[arg(long, value_name = "SPAN")]
    every: Option<String>,
    /// How bad a row is: informational, low, medium, high or critical [default: medium]
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// Title of the alerts [default: the name]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Column that says who or what a row is about [default: the first that names one]
    #[arg(long, value_name = "COLUMN")]
    entity: Option<String>,
}

impl Named {
    /// The search as a server takes it: what is named, over what is known of the one that is
    /// there, which is null when there is none.
    fn body(&self, query: &str, known: &Value) -> Result<Value, CliError> {
        Ok(json!({
            "query": query,
            "from": chosen(&self.from, &known["from"], ""),
            "to": chosen(&self.to, &known["to"], ""),
            "description": chosen(&self.description, &known["description"], ""),
            "schedule": self.schedule(&known["schedule"])?,
        }))
    }

    fn schedule(&self, known: &Value) -> Result<Value, CliError> {
        let every = chosen(&self.every, &known["every"], NEVER);
        if every == NEVER {
            let idle = [&self.level, &self.title, &self.entity].into_iter().any(Option::is_some);
            return match idle {
                false => Ok(Value::Null),
                true => Err(CliError::usage("a search without a schedule makes no alerts")
                    .hint("say how often it is asked with --every SPAN")),
            };
        }
        Ok(json!({
            "every": every,
            "level": chosen(&self.level, &known["level"], "medium"),
            "title": chosen(&self.title, &known["title"], ""),
            "entity": chosen(&self.entity, &known["entity"], ""),
        }))
    }
}

/// What is named, or else known, or else usual.
fn chosen<'a>(named: &'a Option<String>, known: &'a Value, usual: &'a str) -> &'a str {
    named.as_deref().or(known.as_str()).unwrap_or(usual)
}

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    match args.verb {
        Verb::List { place, format } => list(&place, format, &settings).await,
        Verb::Show { name, place } => {
            let search = found(&place, &name, &settings).await?;
            let text = serde_json::to_string_pretty(&search).map_err(anyhow::Error::from)?;
            say(&crate::output::safe_json(&text))?;
            Ok(Exit::Done)
        }
        Verb::Save(args) => save(&args).await,
        Verb::Delete { name, place } => {
            changing(&place)?.delete(&path(&name)).await?;
            say(&format!("The saved search {name} is deleted."))?;
            Ok(Exit::Done)
        }
        Verb::Run { name, mut ask } => {
            let search = found(&ask.place, &name, &settings).await?;
            let text = |key: &str| search[key].as_str().unwrap_or_default().to_string();
            // A range of its own is a whole one.
            if ask.from.is_none() && ask.to.is_none() {
                let bound = |key: &str| Some(text(key)).filter(|bound| !bound.is_empty());
                (ask.from, ask.to) = (bound("from"), bound("to"));
            }
            ask.print(&text("query"), &settings).await
        }
    }
}

fn path(name: &str) -> String {
    format!("/api/v1/searches/{}", encoded(name))
}

/// The search of this name that is there already; null when there is none.
async fn known(client: &Client, name: &str) -> Result<Value, CliError> {
    match client.get(&path(name)).await {
        Err(ClientError::Refused { status: 404, .. }) => Ok(Value::Null),
        known => Ok(known?),
    }
}

/// A client of the server that changes saved searches: what is scheduled belongs to it.
fn changing(place: &Where) -> Result<Client, CliError> {
    place.client()?.ok_or_else(|| {
        CliError::usage("a server keeps the saved searches")
            .hint("name it with --server URL --token-file FILE")
    })
}

async fn save(args: &SaveArgs) -> Result<Exit, CliError> {
    let client = changing(&args.place)?;
    let body = args.named.body(&args.query, &known(&client, &args.name).await?)?;
    let _: Value = client.put(&path(&args.name), &body).await?;
    say(&match body["schedule"]["every"].as_str() {
        Some(every) => format!("Saved {}; it is asked every {every}.", args.name),
        None => format!("Saved {}.", args.name),
    })?;
    Ok(Exit::Done)
}

/// How often a search without a schedule is asked by itself.
const NEVER: &str = "never";

const COLUMNS: [&str; 7] = ["name", "query", "from", "to", "every", "last_run", "last_error"];

async fn list(place: &Where, format: Format, settings: &Settings) -> Result<Exit, CliError> {
    let searches: Vec<Value> = match place.client()? {
        Some(client) => {
            let mut answer: Value = client.get("/api/v1/searches").await?;
            serde_json::from_value(answer["searches"].take()).map_err(anyhow::Error::from)?
        }
        None => kept(place, settings).await?.into_iter().map(shown).collect::<Result<_, _>>()?,
    };
    let mut printer = Printer::new(format, COLUMNS.map(str::to_string).to_vec());
    for search in &searches {
        match format {
            Format::Json => printer.line(&search.to_string())?,
            _ => printer.row(&row(search))?,
        }
    }
    printer.finish()?;
    Ok(Exit::Done)
}

fn row(search: &Value) -> Row {
    let cell = |column: &str| match column {
        "every" => search["schedule"]["every"].clone(),
        "last_run" | "last_error" => search["run"][column].clone(),
        column => search[column].clone(),
    };
    COLUMNS.iter().map(|column| (column.to_string(), cell(column))).collect()
}

/// The search of this name, as the API shows it.
async fn found(place: &Where, name: &str, settings: &Settings) -> Result<Value, CliError> {
    if let Some(client) = place.client()? {
        return Ok(client.get(&path(name)).await?);
    }
    let kept = kept(place, settings).await?.into_iter();
    let found = kept.filter(|search| search.name == name).map(shown).next();
    found.unwrap_or_else(|| {
        Err(CliError::from(anyhow::anyhow!("there is no saved search with this name"))
            .hint("`pugmark saved list` lists them"))
    })
}

async fn kept(place: &Where, settings: &Settings) -> Result<Vec<KeptSearch>, CliError> {
    let (store, _) = crate::node::open_read_only(&place.dir(settings), settings).await?;
    Ok(store.kept_searches().list().await.map_err(anyhow::Error::from)?)
}

/// A search as the API shows it.
fn shown(search: KeptSearch) -> Result<Value, CliError> {
    Ok(serde_json::to_value(SavedSearch::from(search)).map_err(anyhow::Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let named = |text: &str| Some(text.to_string());
        let schedule =
            json!({"every": "15m", "level": "high", "title": "T", "entity": "user.name"});
        let plain = json!({"from": "now-7d", "to": "", "description": "d", "schedule": null});
        let known = json!({"from": "now-7d", "to": "", "description": "d", "schedule": schedule});
        let with = |key: &str, value: &str| {
            let mut schedule = schedule.clone();
            schedule[key] = value.into();
            schedule
        };
        let usual = json!({"every": "1h", "level": "medium", "title": "", "entity": ""});
        let every = |span: &str| Named { every: named(span), ..Named::default() };
        let level = Named { level: named("low"), ..Named::default() };
        for (names, known, expected) in [
            (&Named::default(), &known, Some(schedule.clone())),
            (&every("1h"), &known, Some(with("every", "1h"))),
            (&level, &known, Some(with("level", "low"))),
            (&every("never"), &known, Some(Value::Null)),
            (&Named::default(), &plain, Some(Value::Null)),
            (&Named::default(), &Value::Null, Some(Value::Null)),
            (&every("1h"), &plain, Some(usual)),
            (&level, &plain, None),
        ] {
            let body = names.body("*", known).ok();
            let found = body.as_ref().map(|body| body["schedule"].clone());
            assert_eq!(found, expected, "{names:?} {known}");
            let from = body.map(|body| body["from"].clone());
            let stays = Value::from(known["from"].as_str().unwrap_or_default());
            assert_eq!(from, expected.map(|_| stays), "{names:?} {known}");
        }
        let moved = Named { from: named("now-1h"), to: named(""), ..Named::default() };
        let body = moved.body("*", &known).unwrap_or_default();
        assert_eq!((&body["from"], &body["description"]), (&json!("now-1h"), &json!("d")));
    }
}
