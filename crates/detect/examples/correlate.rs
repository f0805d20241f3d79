//! What an event costs a rule over time when its window is full.
//!
//! `cargo run --release -p pugmark-detect --example correlate [EVENTS_IN_WINDOW]`: for each kind
//! of correlation the time per event at a window of so many events (10,000 when not said), in
//! order and with one in ten up to two minutes late.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::sync::Arc;
use std::time::Instant;

use pugmark_detect::{Detector, Hit, RuleSet, RuleSource, load};
use pugmark_event::time::SECOND;
use pugmark_event::{BatchBuilder, fields};

/// 2026-11-23T10:00:00Z.
const START: i64 = 1_795_428_000_000_000;

fn rules(kind: &str, condition: &str, seconds: i64) -> Arc<RuleSet> {
    let text = format!(
        "title: Event\nid: event\nname: event\nlogsource: {{product: linux}}\ndetection:\n  \
         sel: {{event.action: login}}\n  condition: sel\n---\ntitle: Over time\nid: over_time\n\
         correlation:\n  type: {kind}\n  rules: [event]\n  group-by: [host.name]\n  \
         timespan: {seconds}s\n  condition: {condition}\n"
    );
    let loaded = load(&[RuleSource { path: "rule.yaml".into(), text }]);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    Arc::new(RuleSet::compile(loaded.rules).0)
}

/// Events of one host, ten a second.
fn hits(rules: &RuleSet, count: i64, late: bool) -> Vec<Hit> {
    let mut builder = BatchBuilder::new("bench", START);
    for id in 1..=count {
        builder.begin(id, b"");
        builder.log_source("linux", "", "");
        builder.text(fields::EVENT_ACTION, "login");
        builder.text(fields::HOST_NAME, "web-1");
        builder.text(fields::USER_NAME, &format!("u{}", id * 7919 % 20_011));
        builder.text(fields::HTTP_BYTES, &(id % 997).to_string());
        let behind = if late && id % 10 == 0 { id * 31 % 120 } else { 0 };
        builder.end(Some(START + id * SECOND / 10 - behind * SECOND));
    }
    rules.hits(&builder.finish().expect("the events make a batch"))
}

fn main() {
    let window: i64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10_000);
    for (kind, condition) in [
        ("event_count", format!("{{gte: {}}}", 2 * window)),
        ("value_count", format!("{{gte: {}, field: user.name}}", 2 * window)),
        ("value_sum", "{gte: 1000000000, field: http.response.body.bytes}".into()),
        (
            "value_percentile",
            "{gt: 100000, field: http.response.body.bytes, percentile: 95}".into(),
        ),
    ] {
        let rules = rules(kind, &condition, window / 10);
        for late in [false, true] {
            let hits = hits(&rules, 5 * window, late);
            let (warm, measured) = hits.split_at(2 * window as usize);
            let mut detector = Detector::new(rules.clone());
            let found: usize = warm.iter().map(|hit| detector.follow(hit).len()).sum();
            let begun = Instant::now();
            let more: usize = measured.iter().map(|hit| detector.follow(hit).len()).sum();
            let nanos = begun.elapsed().as_nanos() / measured.len() as u128;
            let order = if late { "one in ten late" } else { "in order" };
            println!("{kind:17} {order:16} {nanos:6} ns an event, {} detections", found + more);
        }
    }
}
