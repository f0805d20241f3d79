//! Runs seeds, and makes what fails small.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pugmark_parse::Parser;

use crate::plan::{Action, actions};
use crate::world::World;

/// How long an action may take before it counts as stuck.
const STEP_MAX: Duration = Duration::from_secs(60);

/// A promise that was not kept, and how to see it again.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What went wrong.
    pub what: String,
    /// What was done and what came of it, up to there.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.trace.iter().enumerate() {
            writeln!(f, "{number:4}  {line}")?;
        }
        write!(f, "seed {}: {}", self.seed, self.what)
    }
}

/// Runs the actions of a seed. Returns what came of each.
///
/// # Errors
/// The first promise that is not kept.
pub fn run_seed(seed: u64, parser: &Arc<Parser>) -> Result<Vec<String>, Failure> {
    run(seed, &actions(seed), parser)
}

/// Runs these actions in the world of a seed. Returns what came of each.
///
/// # Errors
/// The first promise that is not kept.
pub fn run(seed: u64, actions: &[Action], parser: &Arc<Parser>) -> Result<Vec<String>, Failure> {
    let mut trace = Vec::new();
    let failure = |what: String, trace: &[String]| Failure { seed, what, trace: trace.to_vec() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failure(error.to_string(), &trace))?;
    runtime.block_on(async {
        let made = World::new(seed, parser.clone()).await;
        let mut world = made.map_err(|what| failure(what, &trace))?;
        for action in actions {
            trace.push(format!("{action:?}"));
            let step = tokio::time::timeout(STEP_MAX, world.step(action)).await;
            let step = step.unwrap_or_else(|_| Err("this does not end".to_string()));
            let done = step.map_err(|what| failure(what, &trace))?;
            if let Some(line) = trace.last_mut() {
                line.push_str(" => ");
                line.push_str(&done);
            }
        }
        let end = tokio::time::timeout(STEP_MAX, world.finish()).await;
        let end = end.unwrap_or_else(|_| Err("the end does not end".to_string()));
        end.map_err(|what| failure(what, &trace))?;
        Ok(trace)
    })
}

/// Drops actions for as long as something still fails; gives the shortest trace found.
pub fn shrink(failure: Failure, parser: &Arc<Parser>, runs_max: usize) -> Failure {
    let mut kept = actions(failure.seed);
    kept.truncate(failure.trace.len());
    let (mut smallest, mut runs, mut piece) = (failure, 0, kept.len().div_ceil(2));
    while piece > 0 {
        let mut at = 0;
        while at < kept.len() && runs < runs_max {
            let mut fewer = kept.clone();
            fewer.drain(at..kept.len().min(at + piece));
            runs += 1;
            match run(smallest.seed, &fewer, parser) {
                Err(again) => {
                    fewer.truncate(again.trace.len());
                    (kept, smallest) = (fewer, again);
                }
                Ok(_) => at += piece,
            }
        }
        piece /= 2;
    }
    smallest
}

/// Runs the seeds on `threads` threads, as long as `go_on` says so before each. Returns the failure
/// of the smallest seed that failed, having run all seeds before it.
pub fn run_seeds(
    seeds: std::ops::Range<u64>,
    threads: usize,
    parser: &Arc<Parser>,
    go_on: &(dyn Fn(u64) -> bool + Sync),
) -> Option<Failure> {
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let failed: parking_lot::Mutex<Option<Failure>> = parking_lot::Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let is_late = failed.lock().as_ref().is_some_and(|first| first.seed < seed);
                    if seed >= seeds.end || is_late || !go_on(seed) {
                        return;
                    }
                    if let Err(failure) = run_seed(seed, parser) {
                        let mut failed = failed.lock();
                        if failed.as_ref().is_none_or(|first| seed < first.seed) {
                            *failed = Some(failure);
                        }
                    }
                }
            });
        }
    });
    failed.into_inner()
}
