//! A thread with a name for work that blocks: what it costs can be read beside that of others.

use std::io;

use crossbeam_channel::{Sender, bounded};
use tokio::sync::oneshot;

use crate::error::StoreError;

type Job = Box<dyn FnOnce() + Send>;

/// The thread. It ends with this, once it has done what it was given.
#[derive(Debug)]
pub(crate) struct Worker {
    jobs: Sender<Job>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        // One waits while one works: whoever gives more waits.
        let (jobs, queue) = bounded::<Job>(1);
        std::thread::Builder::new().name(name.into()).spawn(move || {
            queue.iter().for_each(|job| job());
        })?;
        Ok(Self { jobs })
    }

    /// Does this on the thread.
    ///
    /// # Errors
    /// Those of the work, and when it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move || {
            // Who asked may have gone; then nobody needs the answer.
            let work = std::panic::AssertUnwindSafe(work);
            if let Ok(done) = std::panic::catch_unwind(work) {
                let _ = answer.send(done);
            }
        });
        let failed = |message: &str| StoreError::State {
            what: "background work",
            message: message.to_string(),
        };
        // One works and one waits at most: more are refused, so that nobody is held up.
        self.jobs.try_send(job).map_err(|_| failed("its thread is busy or has ended"))?;
        answered.await.unwrap_or_else(|_| Err(failed("it panicked")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_on_the_thread_of_that_name() {
        let worker = Worker::start("compaction").unwrap();
        let name = || Ok(std::thread::current().name().map(str::to_string));
        assert_eq!(worker.run(name).await.unwrap().as_deref(), Some("compaction"));
        // A panic is an error, and the thread goes on.
        let panicked = worker.run(|| -> Result<(), _> { panic!("on purpose") }).await;
        assert!(panicked.unwrap_err().to_string().contains("panicked"));
        assert_eq!(worker.run(|| Ok(7)).await.unwrap(), 7);
    }
}
