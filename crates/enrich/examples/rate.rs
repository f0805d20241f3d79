//! Nanoseconds per value of each part, and per event of a whole batch. Run it by hand:
//! `cargo run --release -p pugmark-enrich --example rate`.

// An example talks to the person who runs it.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use pugmark_enrich::domain::Domain;
use pugmark_enrich::{Bindings, Config, Enricher, Ranges, Role, agent};
use pugmark_event::{BatchBuilder, Value};

const ROUNDS: u32 = 100_000;
const ROWS: i64 = 10_000;
/// 2026-11-23T10:00:00Z
const NOW: i64 = 1_795_428_000_000_000;
const AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like \
                     Gecko) Chrome/120.0.0.0 Safari/537.36";

fn measure<T>(name: &str, count: u32, mut work: impl FnMut(u32) -> T) {
    let start = Instant::now();
    for round in 0..count {
        black_box(work(round));
    }
    println!("{name}: {} ns", start.elapsed().as_nanos() / u128::from(count));
}

fn main() -> Result<(), Box<dyn Error>> {
    let ranges = Ranges::new(&[]);
    let mut bindings = Bindings::new(100_000);
    measure("a user agent", ROUNDS, |_| agent::read(black_box(AGENT)).is_some());
    measure("a domain", ROUNDS, |_| Domain::of(black_box("www.shop.example.co.uk")));
    measure("a range", ROUNDS, |n| {
        ranges.lookup(n.wrapping_mul(2_654_435_761).to_be_bytes().into()).is_some()
    });
    measure("learning a holder", ROUNDS, |n| {
        let address = format!("10.0.{}.{}", n >> 8 & 255, n & 255);
        bindings.learn(Role::User, &address, "anna", i64::from(n), i64::from(n) + 1000);
    });
    measure("who had it", ROUNDS, |n| bindings.at(Role::User, "10.0.0.7", i64::from(n)).is_some());

    let mut builder = BatchBuilder::new("rate", NOW);
    for id in 0..ROWS {
        builder.begin(id, b"GET / HTTP/1.1");
        builder.named("source.ip", Value::Text(&format!("203.0.{}.{}", id % 7, id % 250)));
        builder.named("user_agent.original", Value::Text(AGENT));
        builder.named("url.original", Value::Text("https://www.example.org/x"));
        builder.named("shop", Value::Text("north"));
        builder.end(Some(NOW));
    }
    let batch = builder.finish()?;
    let mut enricher = Enricher::new(Config::default())?;
    enricher.learn(&batch);
    let start = Instant::now();
    black_box(enricher.enrich(&batch)?.batch.rows());
    println!("an event of an access log: {} ns", start.elapsed().as_nanos() / ROWS as u128);
    Ok(())
}
