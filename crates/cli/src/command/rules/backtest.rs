//! `pugmark rules backtest`: rules tried on everything that is stored.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use pugmark_connect::Client;
use pugmark_engine::backtest::Plan;
use pugmark_engine::history::{History, Progress};
use pugmark_engine::{Clock, RuleBook, SystemClock};
use pugmark_server::BacktestReport;
use serde_json::{Value, json};

use super::super::ask::Lines;
use super::super::{Where, bound};
use crate::error::{CliError, Exit};
use crate::output::{Format, Printer, printable, say};
use crate::settings::Settings;

/// How often the line with the progress is written anew.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// Width of the longest bar of a day.
const BAR_WIDTH: u64 = 40;
/// Days shown.
const DAYS_MAX: usize = 31;
const COLUMNS: [&str; 7] =
    ["rule.id", "rule.title", "level", "detections", "alerts", "alerts_per_day", "entities"];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File or folder of rules, or the id or title of a rule in force
    #[arg(value_name = "RULE")]
    rule: String,
    /// Only events from this time on, such as 2026-11-01 or now-30d
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only events before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    place: Where,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let report = match args.place.client()? {
        Some(client) => on_server(&args, &client).await?,
        None => on_folder(&args, &settings).await?,
    };
    for problem in report["problems"].as_array().into_iter().flatten() {
        let text = |key: &str| printable(problem[key].as_str().unwrap_or_default()).to_string();
        tracing::warn!("{}: {} ({})", text("path"), text("message"), text("hint"));
    }
    match args.format {
        Format::Json => say(&report.to_string())?,
        Format::Table if report["rules"].as_array().is_some_and(|rules| rules.len() == 1) => {
            one(&report, &report["rules"][0])?;
        }
        _ => many(&report, args.format)?,
    }
    Ok(Exit::Done)
}

async fn on_folder(args: &Args, settings: &Settings) -> Result<Value, CliError> {
    let dir = args.place.dir(settings);
    let (store, _) = crate::node::open_read_only(&dir, settings).await?;
    let kept = store.kept_rules().list().await.map_err(anyhow::Error::from)?;
    let found = crate::node::origin(settings).read().map_err(anyhow::Error::from)?;
    let book = RuleBook::compile(found, &kept, SystemClock.now());
    let plan = plan(&args.rule, &book)?;
    let history = History {
        from: bound(args.from.as_deref())?,
        to: bound(args.to.as_deref())?,
        ..History::new(store.snapshot())
    };
    let mut line = ProgressLine::default();
    let report = tokio::task::spawn_blocking(move || {
        let report = plan.run(&history, &mut |progress| {
            line.show(progress);
            ControlFlow::Continue(())
        });
        line.clear();
        report.map(|report| BacktestReport::new(report, &plan.problems))
    });
    let report = report.await.map_err(anyhow::Error::from)?.map_err(anyhow::Error::from)?;
    Ok(json!(report))
}

fn plan(rule: &str, book: &RuleBook) -> Result<Plan, CliError> {
    let path = Path::new(rule);
    let plan = match path.exists() {
        true => Plan::of_sources(&super::read(path)?.0, &book.loaded),
        false => Plan::of_rule(rule, &book.loaded),
    };
    plan.map_err(|error| {
        CliError::usage(error.to_string())
            .hint("name a file or folder of rules, or a rule in force by its id or title")
    })
}

async fn on_server(args: &Args, client: &Client) -> Result<Value, CliError> {
    let path = Path::new(&args.rule);
    let mut body = json!({"from": args.from, "to": args.to});
    if path.exists() {
        let sources = super::read(path)?.0;
        let texts: Vec<&str> = sources.iter().map(|source| source.text.as_str()).collect();
        body["text"] = json!(texts.join("\n---\n"));
    } else {
        body["rule"] = json!(args.rule);
    }
    let mut chunks = client.stream("/api/v1/rules/backtest", &body).await?;
    let (mut lines, mut line) = (Lines::default(), ProgressLine::default());
    while let Some(chunk) = chunks.next().await {
        for text in lines.take(&chunk?) {
            let said: Value = serde_json::from_str(&text).unwrap_or_default();
            if let Some(progress) = said.get("progress") {
                let number = |key: &str| progress[key].as_u64().unwrap_or_default();
                line.show(Progress {
                    done: number("done"),
                    events: number("events"),
                    hits: number("hits"),
                });
            } else if let Some(report) = said.get("report") {
                line.clear();
                return Ok(report.clone());
            } else if let Some(message) = said["error"]["message"].as_str() {
                line.clear();
                return Err(anyhow::anyhow!("the backtest ended: {message}").into());
            }
        }
    }
    Err(anyhow::anyhow!("the answer broke off before its end").into())
}

/// How far it is, on a terminal.
#[derive(Default)]
struct ProgressLine {
    shown: Option<Instant>,
}

impl ProgressLine {
    fn show(&mut self, progress: Progress) {
        let due = self.shown.is_none_or(|shown| shown.elapsed() >= PROGRESS_INTERVAL);
        if !due || !std::io::stderr().is_terminal() {
            return;
        }
        self.shown = Some(Instant::now());
        let Progress { done, events, hits } = progress;
        let percent = (done * 100).checked_div(events).unwrap_or(100);
        let _ = write!(
            std::io::stderr(),
            "\r\x1b[K{percent} % of {events} events, {hits} matched so far"
        );
    }

    fn clear(&self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn many(report: &Value, format: Format) -> Result<(), CliError> {
    let mut printer = Printer::new(format, COLUMNS.map(str::to_string).to_vec());
    let rules = report["rules"].as_array().cloned().unwrap_or_default();
    let silent = rules.iter().filter(|rule| rule["detections"] == json!(0)).count();
    for rule in rules.iter().filter(|rule| rule["detections"] != json!(0)) {
        let days = rule["days"].as_array().map_or(0, Vec::len).max(1) as f64;
        let alerts = rule["alerts"].as_u64().unwrap_or_default() as f64;
        let cells = [
            rule["id"].clone(),
            rule["title"].clone(),
            rule["level"].clone(),
            rule["detections"].clone(),
            rule["alerts"].clone(),
            json!((alerts / days * 10.0).round() / 10.0),
            rule["entities_total"].clone(),
        ];
        printer.row(&COLUMNS.iter().map(ToString::to_string).zip(cells).collect())?;
    }
    printer.finish()?;
    if format == Format::Table {
        say(&format!("{silent} rules found nothing\n{}", cost(report)))?;
    }
    Ok(())
}

fn cost(report: &Value) -> String {
    let seconds = report["seconds"].as_f64().unwrap_or_default();
    format!(
        "{} events looked through in {seconds:.2} s; {} matched a rule or what feeds it",
        report["events"], report["hits"]
    )
}

/// One rule, in full.
fn one(report: &Value, rule: &Value) -> Result<(), CliError> {
    let text = |value: &Value| printable(value.as_str().unwrap_or_default()).to_string();
    say(&format!("{} ({})", text(&rule["title"]), text(&rule["level"])))?;
    let (detections, alerts) = (&rule["detections"], &rule["alerts"]);
    say(&format!("{detections} detections, which would have become {alerts} alerts"))?;
    say(&cost(report))?;
    days(rule)?;
    let entity = |value: &Value| format!("{} {}", text(&value["kind"]), text(&value["value"]));
    for found in rule["entities"].as_array().into_iter().flatten() {
        say(&format!("{:>10}  {}", found["detections"].to_string(), entity(&found["entity"])))?;
    }
    if let Some(difference) = rule["difference"].as_object() {
        say(&format!(
            "\nagainst the version in force ({}): {} found by both, {} only now, {} no more",
            text(&difference["before"]),
            difference["both"],
            difference["only_now"],
            difference["only_before"]
        ))?;
    }
    for sample in rule["samples"].as_array().into_iter().flatten() {
        let (time, who) = (text(&sample["time"]), entity(&sample["entity"]));
        say(&format!("\n{time}  {who}  event {}", text(&sample["event"])))?;
        for why in sample["why"].as_array().into_iter().flatten() {
            let (field, test, value) =
                (text(&why["field"]), text(&why["test"]), text(&why["value"]));
            say(&format!("    {field} {test}: {value}"))?;
        }
    }
    Ok(())
}

fn days(rule: &Value) -> Result<(), CliError> {
    let days = rule["days"].as_array().cloned().unwrap_or_default();
    let alerts = |day: &Value| day["alerts"].as_u64().unwrap_or_default();
    let most = days.iter().map(alerts).max().unwrap_or_default().max(1);
    for day in &days[days.len().saturating_sub(DAYS_MAX)..] {
        let bar = "#".repeat((alerts(day) * BAR_WIDTH).div_ceil(most) as usize);
        let date = day["day"].as_str().unwrap_or_default();
        say(&format!("  {date}  {:>6} alerts  {bar}", alerts(day)))?;
    }
    Ok(())
}
