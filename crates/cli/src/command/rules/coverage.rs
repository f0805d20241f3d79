//! `pugmark rules coverage`: which techniques of ATT&CK the rules see, as a layer for MITRE's
//! ATT&CK Navigator (layer format 4.5) or as a table.
//!
//! A rule that nobody feeds sees nothing, so a technique has four steps: a rule is written, it has
//! tests, logs that it reads arrive, and it has fired.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use pugmark_detect::{RuleSet, RuleSource};
use pugmark_engine::rules;
use serde_json::{Value, json};

use crate::error::{CliError, Exit};
use crate::output::{Printer, Row, say};
use crate::settings::Settings;

const COLUMNS: [&str; 6] = ["technique", "step", "rules", "tested", "fed", "fired"];
const STEPS: [(&str, &str); 4] =
    [("written", "#c7d7ea"), ("tested", "#8fb3db"), ("fed", "#f2c14e"), ("fired", "#5fad56")];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folders or files of Sigma rules [default: the rules in the binary]
    #[arg(value_name = "RULES")]
    rules: Vec<PathBuf>,
    /// Data folder: says which rules get logs and which have fired
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Report::Navigator)]
    format: Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Report {
    /// A layer for the ATT&CK Navigator.
    Navigator,
    /// A table.
    Table,
    /// A JSON object a line.
    Json,
}

/// What is known of a technique: rules that came so far, by step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Technique {
    /// How many are written, tested, fed and have fired.
    steps: [u64; 4],
    titles: Vec<String>,
}

impl Technique {
    /// The furthest step of any rule, from 1.
    fn score(&self) -> usize {
        self.steps.iter().rposition(|rules| *rules > 0).map_or(0, |step| step + 1)
    }
}

/// What a data folder says.
#[derive(Debug, Default)]
struct Seen {
    /// Product, category and service of stored events.
    sources: Vec<[String; 3]>,
    /// Ids of rules with alerts.
    fired: HashSet<String>,
}

pub(super) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let mut sources: Vec<RuleSource> =
        if args.rules.is_empty() { rules::builtin() } else { Vec::new() };
    for path in &args.rules {
        sources.extend(super::read(path)?.0);
    }
    let loaded = pugmark_detect::load(&sources);
    let tested: HashSet<String> = loaded.tests.into_iter().map(|test| test.rule_id).collect();
    let (set, _) = RuleSet::compile(loaded.rules);
    let seen = match &args.data {
        Some(dir) => seen(dir, &settings).await?,
        None => Seen::default(),
    };
    let techniques = techniques(&set, &tested, &seen);
    match args.format {
        Report::Navigator => say(&format!("{:#}", layer(&techniques)))?,
        Report::Table => table(&techniques, crate::output::Format::Table)?,
        Report::Json => table(&techniques, crate::output::Format::Json)?,
    }
    Ok(Exit::Done)
}

async fn seen(dir: &std::path::Path, settings: &Settings) -> Result<Seen, CliError> {
    let (store, search) = crate::node::open_read_only(dir, settings).await?;
    let fired = store.alerts().count_by_rule().await.map_err(anyhow::Error::from)?;
    let sources = super::stored_sources(&search).await?;
    Ok(Seen { sources, fired: fired.into_iter().map(|(rule, _)| rule).collect() })
}

fn techniques(set: &RuleSet, tested: &HashSet<String>, seen: &Seen) -> BTreeMap<String, Technique> {
    let mut techniques: BTreeMap<String, Technique> = BTreeMap::new();
    for (rule, info) in (0u32..).zip(set.rules()).filter(|(_, info)| !info.silent) {
        let fed = || seen.sources.iter().any(|source| set.reads(rule, source));
        let steps = [true, tested.contains(&info.id), fed(), seen.fired.contains(&info.id)];
        for tag in &info.tags {
            let Some(id) = tag.strip_prefix("attack.").filter(|id| is_technique(id)) else {
                continue;
            };
            let technique = techniques.entry(id.to_ascii_uppercase()).or_default();
            for (count, reached) in technique.steps.iter_mut().zip(steps) {
                *count += u64::from(reached);
            }
            technique.titles.push(info.title.clone());
        }
    }
    techniques
}

/// `t1110` or `t1110.001`.
fn is_technique(tag: &str) -> bool {
    let digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let Some(rest) = tag.strip_prefix(['t', 'T']) else { return false };
    match rest.split_once('.') {
        Some((technique, part)) => digits(technique, 4) && digits(part, 3),
        None => digits(rest, 4),
    }
}

fn layer(techniques: &BTreeMap<String, Technique>) -> Value {
    let entries: Vec<Value> = techniques
        .iter()
        .map(|(id, technique)| {
            let counts: Vec<Value> = STEPS
                .iter()
                .zip(technique.steps)
                .map(|((step, _), count)| json!({"name": step, "value": count.to_string()}))
                .collect();
            json!({
                "techniqueID": id,
                "score": technique.score(),
                "comment": technique.titles.join("\n"),
                "metadata": counts,
                "enabled": true,
            })
        })
        .collect();
    json!({
        "name": "Pugmark",
        "versions": {"layer": "4.5", "navigator": "5.1.0"},
        "domain": "enterprise-attack",
        "description": "1: a rule is written, 2: it has tests, 3: logs that it reads arrive, \
                        4: it has fired",
        "techniques": entries,
        "gradient": {"colors": STEPS.map(|(_, colour)| colour), "minValue": 1, "maxValue": 4},
        "legendItems": STEPS.map(|(label, color)| json!({"label": label, "color": color})),
        "hideDisabled": false,
    })
}

fn table(
    techniques: &BTreeMap<String, Technique>,
    format: crate::output::Format,
) -> Result<(), CliError> {
    let mut printer = Printer::new(format, COLUMNS.map(str::to_string).to_vec());
    let mut furthest: HashMap<usize, u64> = HashMap::new();
    for (id, technique) in techniques {
        let score = technique.score();
        *furthest.entry(score).or_default() += 1;
        let step = score.checked_sub(1).map_or("", |at| STEPS[at].0);
        let [written, tested, fed, fired] = technique.steps.map(|count| json!(count));
        let cells = [json!(id), json!(step), written, tested, fed, fired];
        let row: Row = COLUMNS.iter().map(ToString::to_string).zip(cells).collect();
        printer.row(&row)?;
    }
    printer.finish()?;
    if format == crate::output::Format::Table {
        let count = |step: usize| furthest.get(&(step + 1)).copied().unwrap_or(0);
        let parts: Vec<String> =
            (0..4).map(|step| format!("{} {}", count(step), STEPS[step].0)).collect();
        say(&format!(
            "\n{} techniques, by their furthest step: {}",
            techniques.len(),
            parts.join(", ")
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "title: A\nid: a\ntags: [attack.t1110.001, attack.execution]\n\
        logsource: {product: linux, service: sshd}\ndetection: {sel: {x: y}, condition: sel}\n\
        ---\ntitle: B\nid: b\ntags: [attack.T1110.001, attack.t1059]\nlogsource: {product: windows}\n\
        detection: {sel: {x: y}, condition: sel}\n---\ntitle: C\nid: c\ntags: [attack.t1059]\n\
        correlation: {type: event_count, rules: [a], timespan: 5m, condition: {gte: 2}, \
        generate: true}\n";

    #[test]
    fn a_technique_goes_as_far_as_its_furthest_rule() {
        let loaded =
            pugmark_detect::load(&[RuleSource { path: "r.yaml".into(), text: RULES.into() }]);
        let (set, problems) = RuleSet::compile(loaded.rules);
        assert_eq!(problems, []);
        let tested = HashSet::from(["b".to_string()]);
        let source = |product: &str, service: &str| [product.into(), String::new(), service.into()];
        let check = |sources: Vec<[String; 3]>, fired: &[&str], expected: [[u64; 4]; 2]| {
            let fired = fired.iter().map(ToString::to_string).collect();
            let found = techniques(&set, &tested, &Seen { sources, fired });
            let steps: Vec<_> = found.iter().map(|(id, t)| (id.as_str(), t.steps)).collect();
            assert_eq!(steps, [("T1059", expected[0]), ("T1110.001", expected[1])]);
        };
        check(vec![], &[], [[2, 1, 0, 0], [2, 1, 0, 0]]);
        // The correlation is fed by what feeds its rule.
        check(vec![source("linux", "sshd")], &[], [[2, 1, 1, 0], [2, 1, 1, 0]]);
        check(vec![source("windows", "")], &["b"], [[2, 1, 1, 1], [2, 1, 1, 1]]);
    }

    #[test]
    fn the_layer_has_what_the_navigator_reads() {
        let technique = Technique { steps: [2, 1, 0, 0], titles: vec!["A".into(), "B".into()] };
        let layer = layer(&BTreeMap::from([("T1110".to_string(), technique)]));
        assert_eq!(layer["domain"], "enterprise-attack");
        let entry = &layer["techniques"][0];
        assert_eq!((&entry["techniqueID"], &entry["score"]), (&json!("T1110"), &json!(2)));
        assert_eq!(
            (&entry["comment"], &entry["metadata"][0]["value"]),
            (&json!("A\nB"), &json!("2"))
        );
    }

    #[test]
    fn tags_of_techniques_are_told_from_tactics() {
        for (tag, expected) in [
            ("t1110", true),
            ("T1110.001", true),
            ("execution", false),
            ("t110", false),
            ("t1110.1", false),
            ("ta0001", false),
        ] {
            assert_eq!(is_technique(tag), expected, "{tag}");
        }
    }
}
