//! `pugmark retention`: what is kept how long, what would go, and legal holds.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use pugmark_event::time::{self, Micros};
use pugmark_store::{Classes, Preview};
use serde_json::{Value, json};

use super::Where;
use crate::error::{CliError, Exit};
use crate::output::{Format, Printer, Row, say};
use crate::settings::Settings;

/// Show what retention would move and delete; hold and release classes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what would move to object storage and what would be deleted; nothing is done
    Preview(PreviewArgs),
    /// Forbid that a class loses anything, until it is released
    Hold(HoldArgs),
    /// Allow again what a hold forbade
    Release(HoldArgs),
}

#[derive(Debug, clap::Args)]
struct PreviewArgs {
    #[command(flatten)]
    place: Where,
    /// The moment to look at, such as 2026-12-24 [default: now]
    #[arg(long, value_name = "DATE")]
    at: Option<String>,
    /// Try the retention classes of this settings file instead of those in use
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct HoldArgs {
    #[command(flatten)]
    place: Where,
    /// The retention class
    class: String,
    /// What for; it is written to the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

const COLUMNS: [&str; 12] = [
    "class",
    "days_hot",
    "days_total",
    "held",
    "segments",
    "events",
    "bytes",
    "cold_bytes",
    "move_events",
    "move_bytes",
    "delete_events",
    "delete_bytes",
];

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    match args.command {
        Command::Preview(args) => preview(args, settings).await,
        Command::Hold(args) => hold(args, settings, true).await,
        Command::Release(args) => hold(args, settings, false).await,
    }
}

async fn preview(args: PreviewArgs, settings: Settings) -> Result<Exit, CliError> {
    let other = args.settings.as_deref().map(other_settings).transpose()?;
    let answer = match args.place.client()? {
        Some(client) => {
            let at = args.at.as_deref().unwrap_or("now");
            match &other {
                Some(other) => {
                    let body = json!({ "at": at, "classes": classes_json(other) });
                    client.post("/api/v1/retention/preview", &body).await?
                }
                None => {
                    let at = at.replace('+', "%2B").replace(' ', "%20");
                    client.get(&format!("/api/v1/retention?at={at}")).await?
                }
            }
        }
        None => from_folder(&args, other.as_ref(), &settings).await?,
    };
    let mut printer = Printer::new(args.format, COLUMNS.map(str::to_string).to_vec());
    let mut unknown = Vec::new();
    for class in answer["classes"].as_array().into_iter().flatten() {
        if class["known"] == json!(false) {
            unknown.push(class["class"].as_str().unwrap_or_default().to_string());
        }
        match args.format {
            Format::Json => printer.line(&class.to_string())?,
            _ => printer.row(&row(class))?,
        }
    }
    printer.finish()?;
    if !unknown.is_empty() && matches!(args.format, Format::Table) {
        say(&format!("Not in the settings, and kept as they are: {}.", unknown.join(", ")))?;
    }
    Ok(Exit::Done)
}

fn other_settings(file: &Path) -> Result<Settings, CliError> {
    Settings::load(Some(file))
}

fn classes_json(settings: &Settings) -> Vec<Value> {
    let class = |class: &crate::settings::RetentionClass| {
        json!({
            "class": class.class,
            "days_hot": class.days_hot,
            "days_total": class.days_total,
            "hold": class.hold,
        })
    };
    settings.retention.iter().map(class).collect()
}

async fn from_folder(
    args: &PreviewArgs,
    other: Option<&Settings>,
    settings: &Settings,
) -> Result<Value, CliError> {
    let classes: Option<Classes> =
        other.map(|other| crate::node::retention(other).map(|(classes, _)| classes)).transpose()?;
    let at = moment(args.at.as_deref())?;
    let (store, _) = crate::node::open_read_only(&args.place.dir(settings), settings).await?;
    let preview =
        store.retention_preview(classes.as_ref(), at).await.map_err(anyhow::Error::from)?;
    Ok(shown(&preview))
}

/// The answer as the API shows it.
fn shown(preview: &Preview) -> Value {
    let mut value = serde_json::to_value(preview).unwrap_or_default();
    value["at"] = json!(time::format(preview.at));
    for (shown, class) in
        value["classes"].as_array_mut().into_iter().flatten().zip(&preview.classes)
    {
        shown["oldest"] = json!(class.oldest.map(time::format));
    }
    value
}

fn moment(text: Option<&str>) -> Result<Micros, CliError> {
    let now = pugmark_engine::Clock::now(&pugmark_engine::SystemClock);
    let Some(text) = text else { return Ok(now) };
    time::parse_bound(text, now).ok_or_else(|| {
        CliError::usage(format!("{text:?} is no time that can be understood"))
            .hint("write --at 2026-12-24 or --at 2026-12-24T10:00:00Z")
    })
}

fn row(class: &Value) -> Row {
    let number = |a: &Value, b: &Value| json!(a.as_u64().unwrap_or(0) + b.as_u64().unwrap_or(0));
    let days = |value: &Value| match value.as_u64() {
        Some(days) => json!(days),
        None => json!("for ever"),
    };
    let (hot, cold) = (&class["hot"], &class["cold"]);
    let cells = [
        class["class"].clone(),
        days(&class["days_hot"]),
        days(&class["days_total"]),
        class["held"].clone(),
        number(&hot["segments"], &cold["segments"]),
        number(&hot["events"], &cold["events"]),
        number(&hot["bytes"], &cold["bytes"]),
        cold["bytes"].clone(),
        class["to_move"]["events"].clone(),
        class["to_move"]["bytes"].clone(),
        class["to_delete"]["events"].clone(),
        class["to_delete"]["bytes"].clone(),
    ];
    COLUMNS.iter().map(ToString::to_string).zip(cells).collect()
}

async fn hold(args: HoldArgs, settings: Settings, hold: bool) -> Result<Exit, CliError> {
    if args.reason.trim().is_empty() {
        return Err(CliError::usage("a hold and its release need a reason")
            .hint("say what for: --reason \"case 17\""));
    }
    if let Some(client) = args.place.client()? {
        let word = if hold { "hold" } else { "release" };
        let body = json!({ "class": args.class, "reason": args.reason });
        let _: Value = client.post(&format!("/api/v1/retention/{word}"), &body).await?;
    } else {
        hold_in_folder(&args, &settings, hold).await?;
    }
    say(&match hold {
        true => format!("Nothing of the retention class {} is deleted from now on.", args.class),
        false => format!("The retention class {} is released.", args.class),
    })?;
    Ok(Exit::Done)
}

/// Works on a folder that no server uses.
async fn hold_in_folder(args: &HoldArgs, settings: &Settings, hold: bool) -> Result<(), CliError> {
    let dir = args.place.dir(settings);
    let store = crate::node::open_manifest(&dir, settings).await?;
    let done = change(&store, args, hold).await;
    store.close().await.map_err(anyhow::Error::from)?;
    done
}

async fn change(store: &pugmark_store::Store, args: &HoldArgs, hold: bool) -> Result<(), CliError> {
    let actor = std::env::var("USER").unwrap_or_else(|_| "command line".to_string());
    if !hold {
        let released = store.release(&args.class, &args.reason, &actor).await;
        return match released.map_err(anyhow::Error::from)? {
            true => Ok(()),
            false => Err(CliError::usage(format!(
                "nobody has put the retention class {} on hold",
                args.class
            ))
            .hint("a hold of the settings ends when `hold = true` is taken out of them")),
        };
    }
    let preview = store.retention_preview(None, 0).await.map_err(anyhow::Error::from)?;
    let known: Vec<&str> = preview.classes.iter().map(|class| class.class.as_str()).collect();
    if !known.contains(&args.class.as_str()) {
        return Err(CliError::usage(format!("there is no retention class {}", args.class))
            .hint(format!("there are {}", known.join(", "))));
    }
    let held = store.hold(&args.class, &args.reason, &actor).await;
    held.map_err(|error| anyhow::Error::from(error).into())
}
