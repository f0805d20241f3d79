//! `pugmark rules exception`: which stored alerts an exception would have hidden, and what people
//! judged them to be.

use std::collections::HashMap;
use std::path::PathBuf;

use futures::StreamExt;
use pugmark_alert::{Alert, Verdict};
use pugmark_detect::{ExceptionCheck, RuleSource};
use pugmark_engine::rules;
use pugmark_event::{Batch, time};
use pugmark_query::{Plan, Request, Search};
use pugmark_search::StoreSearch;
use pugmark_store::{AlertFilter, Store};
use serde_json::json;

use crate::error::{CliError, Exit};
use crate::output::{Format, Printer, Row, printable, say};
use crate::settings::Settings;

/// Alerts of one rule that are looked at, the newest first.
const ALERTS_MAX: usize = 10_000;
/// Events that are asked for at once.
const EVENTS_AT_ONCE: usize = 500;
const COLUMNS: [&str; 7] =
    ["verdict", "hidden", "severity", "last_seen", "entity", "title", "alert"];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of rules, beside those in the binary
    #[arg(value_name = "RULES")]
    rules: PathBuf,
    /// File with the exception; it may lie in that folder or not yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Data folder with the alerts and their events
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What an exception does to an alert.
struct Effect {
    alert: Alert,
    /// Evidence events that it takes away.
    hidden: usize,
    /// Evidence events that are still stored.
    stored: usize,
}

impl Effect {
    /// True when nothing is left that the rule would have seen.
    fn hides(&self) -> bool {
        self.stored > 0 && self.hidden == self.stored
    }

    /// What is to be read first has the smallest.
    fn place(&self) -> (bool, u8, std::cmp::Reverse<i64>) {
        let verdict = match self.alert.verdict {
            Some(Verdict::TruePositive) => 0,
            None => 1,
            Some(Verdict::Benign) => 2,
            Some(Verdict::FalsePositive) => 3,
        };
        (!self.hides(), verdict, std::cmp::Reverse(self.alert.last_seen))
    }
}

pub(super) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let checks = read(&args, &settings)?;
    let (store, search) = crate::node::open_read_only(&args.data, &settings).await?;
    let (mut looked_at, mut gone) = (0, 0);
    let mut effects = Vec::new();
    for check in &checks {
        for alert in alerts(&store, check).await? {
            looked_at += 1;
            let effect = effect(&search, check, alert).await?;
            gone += usize::from(effect.stored == 0);
            if effect.hidden > 0 && effects.iter().all(|e: &Effect| e.alert.id != effect.alert.id) {
                effects.push(effect);
            }
        }
    }
    effects.sort_by_key(Effect::place);
    print(&effects, args.format)?;
    let hidden: Vec<&Effect> = effects.iter().filter(|effect| effect.hides()).collect();
    let of = |verdict| hidden.iter().filter(|effect| effect.alert.verdict == verdict).count();
    let missed = of(Some(Verdict::TruePositive));
    if args.format == Format::Table {
        say(&format!(
            "{} of {looked_at} alerts would have been hidden: {missed} true positives, {} false \
             positives, {} benign, {} not judged; the events of {gone} are no longer stored",
            hidden.len(),
            of(Some(Verdict::FalsePositive)),
            of(Some(Verdict::Benign)),
            of(None),
        ))?;
    }
    Ok(if missed > 0 { Exit::No } else { Exit::Done })
}

/// The exceptions of the file, over the rules of the folder and, where these are used, of the
/// binary.
fn read(args: &Args, settings: &Settings) -> Result<Vec<ExceptionCheck>, CliError> {
    let (own, problems) = super::read(&args.file)?;
    super::show(&problems)?;
    let paths: Vec<String> = own.iter().map(|source| canonical(&source.path)).collect();
    let mut sources: Vec<RuleSource> = super::read(&args.rules)?.0;
    sources.retain(|source| !paths.contains(&canonical(&source.path)));
    if settings.rules.builtin {
        sources.extend(rules::builtin());
    }
    let alone = pugmark_detect::load(&own);
    super::show(&alone.problems)?;
    let wanted: Vec<String> =
        ExceptionCheck::all(&alone.rules).into_iter().map(|check| check.exception.id).collect();
    sources.extend(own);
    let loaded = pugmark_detect::load(&sources);
    let mut checks = ExceptionCheck::all(&loaded.rules);
    checks.retain(|check| wanted.contains(&check.exception.id));
    if checks.is_empty() {
        let message = format!("{} has no exception that can be used", args.file.display());
        return Err(CliError::usage(message).hint("an exception is a Sigma filter: see the guide"));
    }
    if let Some(check) = checks.iter().find(|check| check.rules().next().is_none()) {
        let title = printable(&check.exception.title);
        return Err(CliError::usage(format!("the exception `{title}` narrows no rule"))
            .hint("name rules of the folder, or of the binary, by id"));
    }
    Ok(checks)
}

fn canonical(path: &str) -> String {
    std::fs::canonicalize(path).map_or_else(|_| path.into(), |path| path.display().to_string())
}

/// The alerts of the rules that the exception narrows.
async fn alerts(store: &Store, check: &ExceptionCheck) -> Result<Vec<Alert>, CliError> {
    let mut alerts = Vec::new();
    for rule in check.rules() {
        let filter = AlertFilter {
            rule: Some(rule.to_string()),
            limit: ALERTS_MAX,
            ..AlertFilter::default()
        };
        alerts.extend(store.alerts().list(&filter).await.map_err(anyhow::Error::from)?);
    }
    Ok(alerts)
}

async fn effect(
    search: &StoreSearch,
    check: &ExceptionCheck,
    alert: Alert,
) -> Result<Effect, CliError> {
    let mut seen: HashMap<i64, bool> = HashMap::new();
    for ids in alert.evidence.chunks(EVENTS_AT_ONCE) {
        let plan = Plan::of_events(ids);
        let request = Request { limit: Some(ids.len()), ..Request::new(plan, 0) };
        let mut answer = search.search(request).await.map_err(anyhow::Error::from)?;
        while let Some(batch) = answer.rows.next().await {
            let batch = Batch::new(batch.map_err(anyhow::Error::from)?);
            let batch = batch.map_err(anyhow::Error::from)?;
            for (row, id) in batch.ids().iter().enumerate() {
                seen.insert(*id, check.hides(&alert.rule.id, &batch, row));
            }
        }
    }
    let hidden = seen.values().filter(|hidden| **hidden).count();
    Ok(Effect { alert, hidden, stored: seen.len() })
}

fn print(effects: &[Effect], format: Format) -> Result<(), CliError> {
    let mut printer = Printer::new(format, COLUMNS.map(str::to_string).to_vec());
    for effect in effects {
        let alert = &effect.alert;
        let cells = [
            alert.verdict.map_or(json!("not judged"), |verdict| json!(verdict)),
            match effect.hides() {
                true => json!("all"),
                false => json!(format!("{} of {}", effect.hidden, effect.stored)),
            },
            json!(alert.severity.name()),
            json!(time::format(alert.last_seen)),
            json!(alert.entity.value),
            json!(alert.rule.title),
            json!(alert.id),
        ];
        let row: Row = COLUMNS.iter().map(ToString::to_string).zip(cells).collect();
        printer.row(&row)?;
    }
    Ok(printer.finish()?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pugmark_event::Records;

    use super::*;

    const RULE: &str = "title: Refused\nid: refused\nlogsource: {product: linux, service: sshd}\n\
        detection: {s: {event.outcome: failure}, condition: s}\n";

    /// A data folder with an alert about each address, judged.
    async fn stored(dir: &Path, settings: &Settings, judged: &[(&str, Option<Verdict>)]) {
        let engine = crate::node::open(&dir.join("data"), settings).await.unwrap();
        let line = |(address, _): &(&str, Option<Verdict>)| {
            format!(
                "Nov 23 10:00:01 web1 sshd[1]: Failed password for ines from {address} port 5 ssh2"
            )
        };
        let lines: Vec<String> = judged.iter().map(line).collect();
        let records: Records = lines.iter().map(String::as_bytes).collect();
        engine.ingest("ssh", records, None).await.unwrap();
        engine.settle().await;
        for alert in engine.store().alerts().list(&AlertFilter::default()).await.unwrap() {
            let found = judged.iter().find(|(address, _)| *address == alert.entity.value);
            let verdict = found.and_then(|(_, verdict)| *verdict);
            engine.set_verdict(&alert.id, verdict, "").await.unwrap();
        }
        engine.stop().await.unwrap();
    }

    #[tokio::test]
    async fn an_exception_that_would_have_hidden_an_attack_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let rules = dir.path().join("rules");
        std::fs::create_dir(&rules).unwrap();
        std::fs::write(rules.join("rule.yaml"), RULE).unwrap();
        let mut settings = Settings::load(None).unwrap();
        settings.rules.builtin = false;
        settings.rules.dirs = vec![rules.clone()];
        let judged = [
            ("192.0.2.1", Some(Verdict::TruePositive)),
            ("192.0.2.2", Some(Verdict::FalsePositive)),
            ("192.0.2.3", None),
        ];
        stored(dir.path(), &settings, &judged).await;
        let file = dir.path().join("exception.yaml");
        for (address, done) in
            [("192.0.2.1", false), ("192.0.2.2", true), ("192.0.2.3", true), ("192.0.2.9", true)]
        {
            let text = format!(
                "title: E\nid: e\nlogsource: {{product: linux}}\nreason: R\nfilter:\n  \
                 rules: [refused]\n  s: {{source.ip: {address}}}\n  condition: not s\n"
            );
            std::fs::write(&file, text).unwrap();
            let args = Args {
                rules: rules.clone(),
                file: file.clone(),
                data: dir.path().join("data"),
                format: Format::Table,
            };
            let exit = run(args, settings.clone()).await.unwrap();
            assert_eq!(matches!(exit, Exit::Done), done, "{address}");
        }
        std::fs::write(&file, RULE.replace("refused", "other")).unwrap();
        let (data, format) = (dir.path().join("data"), Format::Json);
        let args = Args { rules, file, data, format };
        assert!(run(args, settings).await.is_err());
    }
}
