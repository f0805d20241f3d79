//! The matcher against another engine, rsigma-eval, on the events of the community's regression
//! samples and all Windows rules.
//!
//! Events are flattened as Sigma names them and get the log source of the rule that each sample is
//! for. Rules on keywords are left out: here they search the raw record, there all values.

#![allow(clippy::print_stderr, reason = "tests say what they skipped and counted")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pugmark_detect::{RuleInfo, RuleSet, RuleSource, load};
use pugmark_event::{BatchBuilder, Value};
use rsigma_eval::Engine;
use rsigma_eval::event::JsonEvent;
use rsigma_parser::SigmaCollection;
use serde_json::Value as Json;

/// Files below a folder with one of these endings, in the order of their paths.
fn files(dir: &Path, endings: &[&str], into: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, endings, into);
        } else if path.extension().is_some_and(|e| endings.iter().any(|ending| e == *ending)) {
            into.push(path);
        }
    }
}

/// Event data and the parts of the envelope that rules name.
fn flatten(event: &Json) -> BTreeMap<String, Json> {
    let mut flat = BTreeMap::new();
    let system = &event["Event"]["System"];
    let code = match &system["EventID"] {
        Json::Object(with_qualifiers) => with_qualifiers["#text"].clone(),
        code => code.clone(),
    };
    flat.insert("EventID".into(), code);
    flat.insert("Channel".into(), system["Channel"].clone());
    flat.insert("Computer".into(), system["Computer"].clone());
    flat.insert("Provider_Name".into(), system["Provider"]["#attributes"]["Name"].clone());
    for data in ["EventData", "UserData"] {
        for (name, value) in event["Event"][data].as_object().into_iter().flatten() {
            if !value.is_object() && !value.is_array() && !value.is_null() {
                flat.insert(name.clone(), value.clone());
            }
        }
    }
    flat
}

fn reads(rule: &RuleInfo, event: &RuleInfo) -> bool {
    let same = |rule: &Option<String>, event: &Option<String>| rule.is_none() || rule == event;
    same(&rule.product, &event.product)
        && (same(&rule.category, &event.category) || implied(rule, event))
        && same(&rule.service, &event.service)
}

/// Every registry event is a `registry_event`, also where it has a category of its own.
fn implied(rule: &RuleInfo, event: &RuleInfo) -> bool {
    rule.category.as_deref() == Some("registry_event")
        && event.category.as_deref().is_some_and(|category| category.starts_with("registry_"))
}

fn ours(set: &RuleSet, source: &RuleInfo, flat: &BTreeMap<String, Json>) -> BTreeSet<String> {
    let mut builder = BatchBuilder::new("test", 1_795_428_000_000_000);
    builder.begin(1, serde_json::to_string(flat).unwrap().as_bytes());
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    builder.log_source(&part(&source.product), &part(&source.category), &part(&source.service));
    for (name, value) in flat {
        let text = value.to_string();
        match value {
            Json::String(text) => builder.native("windows", name, Value::Text(text)),
            Json::Number(_) => builder.native("windows", name, Value::Number(&text)),
            Json::Bool(bool) => builder.native("windows", name, Value::Bool(*bool)),
            _ => builder.native("windows", name, Value::Null),
        }
    }
    builder.end(None);
    let batch = builder.finish().unwrap();
    set.matches(&batch).iter().map(|m| set.rules()[m.rule as usize].id.clone()).collect()
}

#[test]
fn another_engine_agrees() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/sigma"));
    if !dir.exists() {
        eprintln!("skipped: ../shared is absent");
        return;
    }
    let mut paths = Vec::new();
    for folder in ["rules/windows", "rules-emerging-threats", "rules-threat-hunting/windows"] {
        files(&dir.join(folder), &["yml"], &mut paths);
    }
    let mut sources = Vec::new();
    let mut accepted = SigmaCollection::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let collection = rsigma_parser::parse_sigma_yaml(&text).unwrap();
        let keywords = text.contains("keywords:") || text.contains("'|all'");
        if !keywords && !text.contains("|expand") {
            accepted.rules.extend(collection.rules);
            sources.push(RuleSource { path: path.display().to_string(), text });
        }
    }
    // All at once: the engine indexes anew each time that rules are added.
    let mut engine = Engine::new();
    engine.add_collection(&accepted).unwrap();
    let (set, problems) = RuleSet::compile(load(&sources).rules);
    assert_eq!(problems, []);
    let infos: BTreeMap<&str, &RuleInfo> =
        set.rules().iter().map(|info| (info.id.as_str(), info.as_ref())).collect();
    let mut samples = Vec::new();
    files(&dir.join("regression_data"), &["json"], &mut samples);
    let (mut matches, mut differences) = (0, Vec::new());
    for path in samples {
        let id = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let (Some(source), Ok(event)) = (infos.get(id.as_str()), serde_json::from_str(&text))
        else {
            continue;
        };
        let flat = flatten(&event);
        let ours = ours(&set, source, &flat);
        let json = serde_json::to_value(&flat).unwrap();
        let theirs: BTreeSet<String> = engine
            .evaluate(&JsonEvent::borrow(&json))
            .into_iter()
            .filter_map(|result| result.header.rule_id)
            .filter(|id| infos.get(id.as_str()).is_some_and(|rule| reads(rule, source)))
            .collect();
        matches += theirs.len();
        if ours != theirs {
            let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| -> Vec<String> {
                a.difference(b).map(|id| format!("{id} {}", infos[id.as_str()].title)).collect()
            };
            let (more, less) = (only(&ours, &theirs), only(&theirs, &ours));
            differences.push(format!("{id}: only here {more:?}, only there {less:?}"));
        }
    }
    eprintln!("{} rules, {matches} matches, {} differences", sources.len(), differences.len());
    assert!(matches > 100, "only {matches} matches");
    assert!(differences.is_empty(), "{differences:#?}");
}
