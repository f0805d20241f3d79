//! Seeds that are run each time.

#![allow(missing_docs, reason = "a test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use pugmark_parse::Parser;
use pugmark_sim::{run_seed, run_seeds};

fn parser() -> Arc<Parser> {
    Arc::new(Parser::builtin().unwrap())
}

/// A slow machine runs fewer seeds.
const TIME_MAX: Duration = Duration::from_secs(50);

#[test]
fn a_hundred_seeds_keep_every_promise() {
    let since = Instant::now();
    if let Some(failure) = run_seeds(0..100, 2, &parser(), &|_| since.elapsed() < TIME_MAX) {
        panic!("{failure}\nsee it again: cargo run -p pugmark-sim -- --seed {}", failure.seed);
    }
}

/// A flush of which nobody knew whether the manifest had it.
#[test]
fn a_flush_without_an_answer_is_decided() {
    run_seed(131, &parser()).unwrap();
}

/// Records whose sync had failed were read back and shown, and a power cut took them.
#[test]
fn what_a_restart_shows_outlives_a_power_cut() {
    run_seed(31637, &parser()).unwrap();
}

#[test]
fn a_seed_is_the_same_each_time() {
    let parser = parser();
    for seed in [3, 14, 15] {
        assert_eq!(run_seed(seed, &parser).unwrap(), run_seed(seed, &parser).unwrap());
    }
}
