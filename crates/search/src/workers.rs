//! Works on parts of the store on several threads at once, each with a state of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use pugmark_query::SearchError;
use pugmark_store::StoreError;

/// Where questions without DataFusion run: on so many threads, with memory of the pool of all
/// questions.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) threads: usize,
    pub(crate) pool: Arc<dyn MemoryPool>,
}

impl Room {
    /// Memory to be counted; it is given back when this is dropped.
    pub(crate) fn reserve(&self) -> MemoryReservation {
        MemoryConsumer::new("search").register(&self.pool)
    }
}

/// Parts that wait for a thread, in the order in which they are taken.
struct Queue<P> {
    parts: Vec<P>,
    next: AtomicUsize,
}

/// Says whether anybody still waits for the answer.
pub(crate) struct Waiting(Arc<AtomicBool>);

impl Waiting {
    /// False once the question was dropped, or another thread failed.
    pub(crate) fn still(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

/// Stops the threads when the question is dropped.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Gives every part to `step`, on at most `threads` threads, and answers the states of all. No
/// part means no state.
///
/// # Errors
/// The first one of `step`.
pub(crate) async fn each<P: Clone + Send + Sync + 'static, S: Send + 'static>(
    parts: Vec<P>,
    threads: usize,
    start: impl Fn() -> S,
    step: impl Fn(&mut S, P, &Waiting) -> Result<(), SearchError> + Clone + Send + 'static,
) -> Result<Vec<S>, SearchError> {
    let threads = threads.min(parts.len());
    let stop = Arc::new(AtomicBool::new(false));
    let queue = Arc::new(Queue { parts, next: AtomicUsize::new(0) });
    let _stop = Stop(stop.clone());
    let mut running = Vec::with_capacity(threads);
    for _ in 0..threads {
        let (mut state, step) = (start(), step.clone());
        let (queue, waiting) = (queue.clone(), Waiting(stop.clone()));
        running.push(tokio::task::spawn_blocking(move || {
            while waiting.still() {
                let next = queue.next.fetch_add(1, Ordering::Relaxed);
                let Some(part) = queue.parts.get(next) else { break };
                step(&mut state, part.clone(), &waiting)?;
            }
            Ok(state)
        }));
    }
    let mut states = Vec::with_capacity(threads);
    for task in running {
        states.push(task.await.map_err(|e| SearchError::Failed(e.to_string()))??);
    }
    Ok(states)
}

/// What the store says in words for the person who asked.
pub(crate) fn failed(error: &StoreError) -> SearchError {
    SearchError::Failed(error.to_string())
}
