//! What an event costs a rule over time when its window is full.
//!
//! `cargo run --release -p pugmark-detect --example correlate [EVENTS_IN_WINDOW]`: for each kind
//! of correlation the time per event at a window of so many events (10,000 when not said): in
//! order, with each up to two seconds late, and with one in ten up to two minutes late.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::sync::Arc;
use std::time::Instant;

use pugmark_detect::{Detector, Hit, RuleSet, RuleSource, load};
use pugmark_event::time::SECOND;
use pugmark_event::{BatchBuilder, fields};

/// 2026-11-23T10:00:00Z.
const START: i64 = 1_795_428_000_000_000;
/// Events of the stream in a second.
const PER_SECOND: i64 = 10;

/// What is measured: a kind, its condition, and what it comes to in the stream below.
const CASES: [(&str, &str, &str); 10] = [
    ("event_count", "{gte: 20000}", "never"),
    ("event_count", "{gte: 100}", "always"),
    ("value_count", "{gte: 20000, field: user.name}", "never"),
    ("value_count", "{gte: 1000, field: source.ip}", "never, values repeat"),
    ("value_sum", "{gte: 1000000000, field: http.response.body.bytes}", "never"),
    ("value_avg", "{gt: 500, field: http.response.body.bytes}", "now and then"),
    ("value_percentile", "{gt: 100000, field: http.response.body.bytes, percentile: 95}", "never"),
    (
        "value_percentile",
        "{gt: 95000, field: http.response.body.bytes, percentile: 95}",
        "now and then",
    ),
    ("temporal", "{}", "never"),
    ("temporal_ordered", "{}", "never"),
];

/// An event rule that all events match, one that none does, and a correlation.
fn rules(kind: &str, condition: &str, seconds: i64, below: bool) -> Arc<RuleSet> {
    let both = if kind.starts_with("temporal") { ", other" } else { "" };
    let condition =
        if both.is_empty() { format!("  condition: {condition}\n") } else { String::new() };
    let mut text = format!(
        "title: Event\nname: event\nlogsource: {{product: linux}}\ndetection:\n  sel: \
         {{event.action: login}}\n  condition: sel\n---\ntitle: Other\nname: other\nlogsource: \
         {{product: linux}}\ndetection:\n  sel: {{event.action: logout}}\n  condition: \
         sel\n---\ntitle: Over time\nname: over_time\ncorrelation:\n  type: {kind}\n  rules: \
         [event{both}]\n  group-by: [host.name]\n  timespan: {seconds}s\n{condition}"
    );
    if below {
        text.push_str(
            "---\ntitle: Above\ncorrelation:\n  type: temporal\n  rules: [over_time, other]\n  \
             group-by: [host.name]\n  timespan: 1h\n",
        );
    }
    let loaded = load(&[RuleSource { path: "rule.yaml".into(), text }]);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    Arc::new(RuleSet::compile(loaded.rules).0)
}

/// How the stream is out of order.
#[derive(Clone, Copy)]
enum Order {
    Right,
    SecondsLate,
    OneInTenMinutesLate,
}

impl Order {
    /// Seconds that event `id` is late.
    fn behind(self, id: i64) -> i64 {
        match self {
            Order::Right => 0,
            Order::SecondsLate => id * 7 % 3,
            Order::OneInTenMinutesLate if id % 10 == 0 => id * 31 % 120,
            Order::OneInTenMinutesLate => 0,
        }
    }
}

/// Events of one host.
fn hits(rules: &RuleSet, count: i64, order: Order) -> Vec<Hit> {
    let mut builder = BatchBuilder::new("bench", START);
    for id in 1..=count {
        builder.begin(id, b"");
        builder.log_source("linux", "", "");
        builder.text(fields::EVENT_ACTION, "login");
        builder.text(fields::HOST_NAME, "web-1");
        builder.text(fields::USER_NAME, &format!("u{}", id * 7919 % 20_011));
        builder.text(fields::SOURCE_IP, &format!("10.0.0.{}", id * 7919 % 20));
        builder.long(fields::HTTP_BYTES, id * 7919 % 100_003);
        builder.end(Some(START + id * SECOND / PER_SECOND - order.behind(id) * SECOND));
    }
    rules.hits(&builder.finish().expect("the events make a batch"))
}

fn measure(kind: &str, condition: &str, comes_to: &str, window: i64, below: bool) {
    let rules = rules(kind, condition, window / PER_SECOND, below);
    let cells = [Order::Right, Order::SecondsLate, Order::OneInTenMinutesLate].map(|order| {
        let hits = hits(&rules, 4 * window, order);
        assert_eq!(hits.len() as i64, 4 * window, "all events come to the rule");
        let (warm, measured) = hits.split_at(2 * window as usize);
        let mut detector = Detector::new(rules.clone());
        warm.iter().for_each(|hit| drop(detector.follow(hit)));
        let begun = Instant::now();
        let found: usize = measured.iter().map(|hit| detector.follow(hit).len()).sum();
        format!("{:7} ns {found:3}", begun.elapsed().as_nanos() / measured.len() as u128)
    });
    let name = format!("{kind}{}", if below { " below another" } else { "" });
    println!("{name:26} {comes_to:22} {}", cells.join(" "));
}

fn main() {
    let window: i64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10_000);
    println!("Per event, and detections: in order, seconds late, one in ten minutes late");
    for (kind, condition, comes_to) in CASES {
        measure(kind, condition, comes_to, window, false);
    }
    measure("event_count", "{gte: 100}", "always", window, true);
}
