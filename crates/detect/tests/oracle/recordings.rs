//! Recordings of attacks.

use pugmark_event::Records;
use pugmark_parse::{Input, Parser};
use serde_json::Value as Json;

use crate::engines::Engines;
use crate::{everything, files};

const NOW: i64 = 1_795_428_000_000_000;
/// Events of one recording that are looked at by default.
const EVENTS_MAX: usize = 60;

/// Every n-th record, so that there are at most [`EVENTS_MAX`] unless all are asked for.
fn sample(blocks: &[Records]) -> Records {
    let count: usize = blocks.iter().map(Records::len).sum();
    let step = if everything() { 1 } else { count.div_ceil(EVENTS_MAX).max(1) };
    blocks.iter().flat_map(Records::iter).step_by(step).collect()
}

fn compare(engines: &mut Engines, parser: &Parser, what: &str, records: &Records) {
    // Parts, so that a long recording is not in memory several times over.
    let all: Vec<&[u8]> = records.iter().collect();
    for part in all.chunks(2000) {
        let records: Records = part.iter().copied().collect();
        let input =
            Input { source: "hunt", records: &records, first_id: 1, received: NOW, format: None };
        engines.compare(what, &parser.parse(&input));
    }
}

#[track_caller]
fn check(folders: &[(&str, &[&str])], matches_min: usize) {
    let Some(shared) = files::shared() else { return };
    let mut engines = Engines::new(&shared);
    let parser = Parser::builtin().unwrap();
    for (folder, endings) in folders {
        for path in files::below(&shared.join(folder), endings) {
            let name = path.strip_prefix(&shared).unwrap().display().to_string();
            compare(&mut engines, &parser, &name, &sample(&files::records(&path)));
        }
    }
    engines.finish(matches_min);
}

#[test]
fn event_logs() {
    check(&[("evtx", &["evtx"]), ("sigma/regression_data", &["evtx", "raw"])], 100);
}

#[test]
fn recorded_attacks() {
    check(&[("mordor", &["zip", "gz"]), ("cloud-saas/stratus", &["json"])], 100);
}

#[test]
fn labelled_cloud_events() {
    let Some(shared) = files::shared() else { return };
    let text = std::fs::read(shared.join("cloud-saas/panther/panther_labelled_events.jsonl"));
    let mut records = Records::new();
    for line in String::from_utf8(text.unwrap()).unwrap().lines() {
        let labelled: Json = serde_json::from_str(line).unwrap();
        records.push(labelled["event"].to_string().as_bytes());
    }
    let mut engines = Engines::new(&shared);
    compare(&mut engines, &Parser::builtin().unwrap(), "panther", &records);
    engines.finish(50);
}
