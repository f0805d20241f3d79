//! Where questions run: on threads of their own, each within its limits.
//!
//! Intake never waits for a question. The threads of questions have a lower priority than all
//! others, so that a question gets what time is left where records arrive faster than the cores
//! can take them. Limits are looked at by whoever waits for the answer, which the work itself,
//! however busy, cannot hold up.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use futures::{FutureExt, StreamExt, stream};
use pugmark_query::{Limits, SearchError};
use thread_priority::{ThreadPriority, set_current_thread_priority};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::Found;
use crate::trace::Trace;

/// Batches that wait for whoever asked. More would only hold memory.
const BATCHES_WAITING: usize = 2;
/// Time between two looks at the limits of a question.
const LOOK_TIME: Duration = Duration::from_millis(50);
/// The priority of the threads, from 0 to 99: on Linux a niceness of about 10.
const PRIORITY: u8 = 25;

/// The threads of all questions.
#[derive(Debug)]
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    /// So many threads that work, and more that wait for files.
    pub(crate) fn new(count: usize) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name("question")
            .on_thread_start(give_way)
            .enable_all()
            .build();
        Self(Some(runtime.expect("the system gives a process its first threads")))
    }

    fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("it is taken when it is dropped, not before")
    }

    /// Does `work` on these threads.
    ///
    /// # Errors
    /// Those of the work; and when it panics.
    pub(crate) async fn within<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, SearchError>> + Send + 'static,
    ) -> Result<T, SearchError> {
        let task = AbortOnDropHandle::new(self.runtime().spawn(work));
        task.await.map_err(|e| SearchError::Failed(e.to_string()))?
    }

    /// The rows that `asked` leads to, found on these threads within the limits. Dropping them
    /// stops the work.
    pub(crate) fn run(
        &self,
        asked: impl Future<Output = Result<Found, SearchError>> + Send + 'static,
        limits: Limits,
        trace: Arc<Trace>,
    ) -> Found {
        let (out, rows) = mpsc::channel(BATCHES_WAITING);
        // Also when nobody takes the rows, so that nobody could look at the time.
        let pump = timeout(limits.time_max.saturating_add(LOOK_TIME), pump(asked, out));
        let task = AbortOnDropHandle::new(self.runtime().spawn(pump.map(drop)));
        let mut look = interval(LOOK_TIME);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let running = Running { rows, task: Some(task), look, limits, trace };
        let next = |mut running: Running| async move {
            running.next().await.map(|batch| (batch, running))
        };
        stream::unfold(running, next).boxed()
    }
}

impl Drop for Threads {
    /// A runtime that is dropped waits for its threads, which no asynchronous code may.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lowers the priority of the thread that is starting; where that is not allowed it stays.
fn give_way() {
    let priority = PRIORITY.try_into().map(ThreadPriority::Crossplatform);
    let _ = priority.map(set_current_thread_priority);
}

/// Does what needs no waiting and may take long, while other threads take over what waits.
pub(crate) fn busy<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

async fn pump(
    asked: impl Future<Output = Result<Found, SearchError>>,
    out: mpsc::Sender<Result<RecordBatch, SearchError>>,
) {
    let mut rows = match asked.await {
        Ok(rows) => rows,
        Err(error) => {
            let _ = out.send(Err(error)).await;
            return;
        }
    };
    while let Some(batch) = rows.next().await {
        // Nobody listens any more: the question was dropped.
        if out.send(batch).await.is_err() {
            return;
        }
    }
}

/// An answer that is being found.
struct Running {
    rows: mpsc::Receiver<Result<RecordBatch, SearchError>>,
    /// The work; `None` once it has ended.
    task: Option<AbortOnDropHandle<()>>,
    look: Interval,
    limits: Limits,
    trace: Arc<Trace>,
}

impl Running {
    async fn next(&mut self) -> Option<Result<RecordBatch, SearchError>> {
        self.task.as_ref()?;
        loop {
            let next = tokio::select! {
                next = self.rows.recv() => Some(next),
                _ = self.look.tick() => None,
            };
            if let Some(error) = reached(&self.limits, &self.trace) {
                self.task = None;
                return Some(Err(error));
            }
            match next {
                Some(Some(batch)) => return Some(batch),
                // An answer that only stops is complete: work that broke off must say so.
                Some(None) => {
                    let ended = self.task.take()?.await;
                    return ended.err().map(|e| Err(SearchError::Failed(e.to_string())));
                }
                None => {}
            }
        }
    }
}

/// The limit that a question has reached.
fn reached(limits: &Limits, trace: &Trace) -> Option<SearchError> {
    let read = trace.reading();
    let over = |max: Option<u64>, now: u64| max.is_some_and(|max| now > max);
    let (limit, what) = if trace.elapsed() > limits.time_max {
        let seconds = limits.time_max.as_secs_f64();
        ("search.time_seconds_max", format!("ran for {seconds} s"))
    } else if over(limits.read_bytes_max, read.bytes_read) {
        ("search.read_bytes_max", format!("read {} bytes", read.bytes_read))
    } else if over(limits.rows_read_max, read.events_read) {
        ("search.rows_read_max", format!("read {} events", read.events_read))
    } else {
        return None;
    };
    let (done, all) = (read.events_read, read.events);
    Some(SearchError::Limited {
        limit,
        message: format!(
            "the question {what}, more than it may; it had read {done} of {all} events"
        ),
        hint: "ask for a shorter time range, or name a field or a word that few events have"
            .to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::workers::{self, Waiting};

    /// Threads that work in an answer.
    #[derive(Clone, Default)]
    struct Working(Arc<AtomicUsize>);

    impl Working {
        /// A part of the work, which only ends when nobody waits for it.
        fn step(&self, waiting: &Waiting) {
            self.0.fetch_add(1, Ordering::SeqCst);
            while waiting.still() {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.0.fetch_sub(1, Ordering::SeqCst);
        }

        async fn become_many(&self, count: usize, within: Duration) {
            let reached = async {
                while self.0.load(Ordering::SeqCst) != count {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let now = || self.0.load(Ordering::SeqCst);
            assert!(timeout(within, reached).await.is_ok(), "{} are not {count}", now());
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_dropped_stops_its_threads() {
        let (threads, working) = (Threads::new(2), Working::default());
        for is_asked_for_rows in [false, true] {
            let work = working.clone();
            let asked = async move {
                let step = move |(): &mut (), (): (), waiting: &Waiting| {
                    work.step(waiting);
                    Ok(())
                };
                workers::each(vec![(); 3], 3, || (), step).await?;
                Ok(stream::empty().boxed())
            };
            let mut rows = threads.run(asked, Limits::default(), Trace::new());
            working.become_many(3, Duration::from_secs(10)).await;
            if is_asked_for_rows {
                assert!(timeout(Duration::from_millis(20), rows.next()).await.is_err());
            }
            drop(rows);
            working.become_many(0, Duration::from_millis(100)).await;
        }
    }
}
