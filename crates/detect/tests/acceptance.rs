//! What the outside world offers as proof: the correlation rules of Hayabusa, the examples of the
//! Sigma specification, labelled events of cloud services.

#![allow(clippy::print_stderr, reason = "tests say what they skipped and counted")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::Array;
use pugmark_detect::{Loaded, RuleSet, RuleSource, load};
use pugmark_event::{Records, fields};
use pugmark_parse::{Input, Parser};
use serde_json::Value as Json;

const NOW: i64 = 1_795_428_000_000_000;

fn shared() -> Option<PathBuf> {
    let dir = Path::new(concat!(env!("WORKSPACE_ROOT"), "../shared/data"));
    if !dir.exists() {
        eprintln!("skipped: ../shared is absent");
        return None;
    }
    Some(dir.to_path_buf())
}

fn sources(dir: &Path, ending: &str) -> Vec<RuleSource> {
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources.extend(self::sources(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) {
            let text = std::fs::read_to_string(&path).unwrap();
            sources.push(RuleSource { path: path.display().to_string(), text });
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn shown(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn correlations_of_hayabusa_load() {
    let Some(shared) = shared() else { return };
    let mut sources = sources(&shared.join("sigma/hayabusa-rules/hayabusa"), "yml");
    let all = sources.len();
    sources.retain(|source| source.text.lines().any(|line| line.starts_with("correlation:")));
    let loaded = load(&sources);
    assert_eq!(shown(&loaded), Vec::<String>::new());
    let (set, problems) = RuleSet::compile(loaded.rules);
    assert_eq!(problems, []);
    let correlations = set.rules().iter().filter(|rule| rule.correlation).count();
    eprintln!("{} of {all} files correlate, {correlations} correlations", sources.len());
    assert!(correlations >= 3, "{correlations}");
}

/// Documents of the specification's pages: what stands between fences and is a whole rule.
fn examples(page: &RuleSource) -> Vec<RuleSource> {
    let (mut examples, mut open, mut start) = (Vec::new(), None::<String>, 0);
    for (line, text) in (1..).zip(page.text.lines()) {
        match (&mut open, text.trim()) {
            (None, "```yaml" | "```yml") => (open, start) = (Some(String::new()), line + 1),
            (Some(example), "```") => {
                let path = format!("{}:{start}", page.path);
                let text = std::mem::take(example);
                examples.push(RuleSource { path, text });
                open = None;
            }
            (Some(example), _) => {
                example.push_str(text);
                example.push('\n');
            }
            (None, _) => {}
        }
    }
    let top = |example: &RuleSource, key: &str| example.text.lines().any(|l| l.starts_with(key));
    examples.retain(|example| {
        top(example, "title:")
            && ["detection:", "correlation:", "filter:"].iter().any(|key| top(example, key))
    });
    examples
}

#[test]
fn examples_of_the_specification_load() {
    let Some(shared) = shared() else { return };
    let dir = shared.join("sigma/specification");
    let mut examples: Vec<RuleSource> =
        sources(&dir.join("specification"), "md").iter().flat_map(examples).collect();
    examples.extend(sources(&dir.join("tests"), "yml"));
    let mut refused = Vec::new();
    for example in &examples {
        let loaded = load(std::slice::from_ref(example));
        let name = example.path.replace(&format!("{}/", dir.display()), "");
        refused
            .extend(loaded.problems.iter().map(|problem| format!("{name}: {}", problem.message)));
    }
    eprintln!("{} examples, refused: {refused:#?}", examples.len());
    assert!(examples.len() > 15, "{}", examples.len());
    // It only shows how rules are named, and has neither type nor timespan.
    let cut = "Invalid correlation rule: Missing correlation type";
    assert!(refused.len() == 1 && refused[0].contains(cut), "{refused:#?}");
}

/// A kind of log as the labels call it, the product and service that Sigma rules name for it, and
/// what the vendor says stands in every record of it.
const CLOUD: &[(&str, &str, &str, &[&str])] = &[
    ("AWS.CloudTrail", "aws", "cloudtrail", &["/eventVersion", "/eventSource", "/eventName"]),
    ("Amazon.EKS.Audit", "kubernetes", "audit", &["/auditID", "/verb"]),
    ("Azure.Audit", "azure", "", AZURE),
    ("Azure.MonitorActivity", "azure", "activitylogs", AZURE),
    ("GCP.AuditLog", "gcp", "gcp.audit", &["/logName", "/protoPayload/serviceName"]),
    ("GitHub.Audit", "github", "audit", &["/action", "/actor", "/_document_id"]),
    ("Okta.SystemLog", "okta", "okta", &["/eventType", "/published", "/actor"]),
];
const AZURE: &[&str] = &["/category", "/operationName", "/resourceId"];

/// Why a whole event is no record of the log that its label names.
fn mislabelled(event: &Json) -> Option<&'static str> {
    let storage = event["category"].as_str().is_some_and(|name| name.starts_with("Storage"));
    match event["operationName"].is_object() {
        _ if storage => Some("a resource log of a storage account, which no Sigma rule reads"),
        true => Some("as the REST interface answers, not as the log is exported"),
        false => None,
    }
}

/// Product and service of one record.
fn log_source(parser: &Parser, record: &Json) -> (String, String) {
    let records: Records = [record.to_string().as_bytes()].into_iter().collect();
    let batch = parser.parse(&Input {
        source: "test",
        records: &records,
        first_id: 1,
        received: NOW,
        format: None,
    });
    let part = |field| {
        let column = batch.text(field).filter(|column| column.is_valid(0));
        column.map(|column| column.value(0).to_string()).unwrap_or_default()
    };
    (part(fields::PRODUCT), part(fields::SERVICE))
}

/// The events are those of rule tests. Many are abridged to what their rule reads, or in the words
/// of the product that they were made for; of those it is only counted how many are known. What is
/// of other kinds has no Sigma rule, or comes with several kinds in one label.
#[test]
fn labelled_cloud_events_have_the_log_source_of_rules() {
    let Some(shared) = shared() else { return };
    let path = shared.join("cloud-saas/panther/panther_labelled_events.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let parser = Parser::builtin().unwrap();
    // Whole, whole and known, abridged, abridged and known.
    let mut counts: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    let mut listed: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut others, mut misses) = (0, Vec::new());
    for line in text.lines() {
        let labelled: Json = serde_json::from_str(line).unwrap();
        let kind = match labelled["log_types"].as_array().map(Vec::as_slice) {
            Some([kind]) => kind.as_str().unwrap(),
            _ => "",
        };
        let Some((kind, product, service, always)) = CLOUD.iter().find(|row| row.0 == kind) else {
            others += 1;
            continue;
        };
        let event = &labelled["event"];
        let whole = always.iter().all(|place| event.pointer(place).is_some());
        let found = log_source(&parser, event);
        let known = found.0 == *product && found.1.contains(service);
        let count = counts.entry(kind).or_default();
        let first = if whole { 0 } else { 2 };
        count[first] += 1;
        count[first + 1] += usize::from(known);
        if !whole || known {
            continue;
        }
        if let Some(reason) = mislabelled(event) {
            *listed.entry(reason).or_default() += 1;
        } else {
            misses.push(format!("{kind} read as {found:?}: {} {event}", labelled["test"]));
        }
    }
    eprintln!("whole, known, abridged, known: {counts:?}; {others} of other kinds; {listed:?}");
    assert!(counts["AWS.CloudTrail"][1] > 200, "{counts:?}");
    assert!(misses.is_empty(), "{} misses: {misses:#?}", misses.len());
}
