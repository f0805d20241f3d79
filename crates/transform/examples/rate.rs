//! How many events a second small programs change on one core:
//! `cargo run --release -p pugmark-transform --example rate`.

use std::time::{Duration, Instant};

use pugmark_event::{Batch, Records};
use pugmark_parse::{Input, Parser};
use pugmark_transform::{TransformSource, Transforms};

const EVENTS: usize = 10_000;
const ROUNDS: usize = 5;

const PROGRAMS: &[(&str, &str)] = &[
    ("one field", ".user.name = downcase(string!(.user.name))"),
    (
        "regex, four fields",
        "p = parse_regex!(.message, r'order (?P<order>\\d+) by (?P<user>\\S+) \
         total=(?P<total>[0-9.]+)')\n.shop.order = to_int!(p.order)\n\
         .shop.total = to_float!(p.total)\n.user.name = downcase!(p.user)\n\
         .event.action = \"order\"",
    ),
    ("every event fails", ".a = to_int!(.message)"),
];

#[allow(clippy::print_stdout, reason = "it is what the example is for")]
fn main() {
    let parser = Parser::new(&[]).expect("no pack is broken");
    let line = r#"{"time":"2026-11-23T10:00:00Z","user":{"name":"Ines"},"message":"order 17 by Ines total=12.50","level":"info","ip":"192.0.2.1","n":7}"#;
    let records: Records = (0..EVENTS).map(|_| line.as_bytes()).collect();
    let received = 1_795_428_000_000_000;
    let parse = || {
        let source = "app";
        parser.parse(&Input { source, records: &records, first_id: 1, received, format: None })
    };
    let batch = parse();
    println!("{:<20} {:>8.2} µs", "the parser", micros(|| drop(parse())));
    for (name, program) in PROGRAMS {
        let lines: String = program.lines().map(|line| format!("  {line}\n")).collect();
        let text = format!("sources: [app]\nprogram: |\n{lines}");
        let begun = Instant::now();
        let (transforms, problems) =
            Transforms::compile(&[TransformSource { name: "t".into(), text }]);
        let compiled = begun.elapsed();
        assert!(problems.is_empty(), "{problems:?}");
        let per_event = micros(|| drop(apply(&transforms, &batch)));
        println!("{name:<20} {per_event:>8.2} µs, compiled in {compiled:?}");
    }
}

fn apply(transforms: &Transforms, batch: &Batch) -> Batch {
    let begun = Instant::now();
    transforms.apply("app", batch.clone(), &|| begun.elapsed()).0
}

/// The best of a few rounds, for one event.
fn micros(run: impl Fn()) -> f64 {
    let round = |_| {
        let begun = Instant::now();
        run();
        begun.elapsed()
    };
    let best = (0..ROUNDS).map(round).min().unwrap_or(Duration::ZERO);
    best.as_nanos() as f64 / 1000.0 / EVENTS as f64
}
