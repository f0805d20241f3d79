//! `pugmark-sim --seed N` replays a seed; `pugmark-sim --seeds A..B` looks for one that fails.

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use pugmark_parse::Parser;
use pugmark_sim::{Failure, run_seed, run_seeds, shrink};

/// Runs that making a failure small may take.
const SHRINK_RUNS_MAX: usize = 200;
const USAGE: &str = "usage: pugmark-sim --seed N | --seeds A..B [--threads N]";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let parser = Arc::new(Parser::builtin()?);
    match words[..] {
        ["--seed", seed] => replay(seed.parse().context(USAGE)?, &parser),
        ["--seeds", seeds] => search(seeds, 2, &parser),
        ["--seeds", seeds, "--threads", threads] => {
            search(seeds, threads.parse().context(USAGE)?, &parser)
        }
        _ => bail!(USAGE),
    }
}

fn replay(seed: u64, parser: &Arc<Parser>) -> Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::INFO).init();
    match run_seed(seed, parser) {
        Ok(trace) => {
            for (number, line) in trace.iter().enumerate() {
                println!("{number:4}  {line}");
            }
            println!("seed {seed}: every promise was kept");
            Ok(())
        }
        Err(failure) => bail!("{failure}"),
    }
}

fn search(seeds: &str, threads: usize, parser: &Arc<Parser>) -> Result<()> {
    let (first, end) = seeds.split_once("..").context(USAGE)?;
    let seeds = first.parse().context(USAGE)?..end.parse().context(USAGE)?;
    let (start, count) = (Instant::now(), AtomicU64::new(0));
    let go_on = |_: u64| {
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_multiple_of(500) {
            println!("{count} seeds, {:?}", start.elapsed());
        }
        true
    };
    let Some(failure) = run_seeds(seeds, threads, parser, &go_on) else {
        println!("{} seeds: every promise was kept ({:?})", count.into_inner(), start.elapsed());
        return Ok(());
    };
    println!("{failure}\nmaking it smaller...");
    let Failure { seed, .. } = failure;
    bail!("{}\nsee it again: pugmark-sim --seed {seed}", shrink(failure, parser, SHRINK_RUNS_MAX))
}
