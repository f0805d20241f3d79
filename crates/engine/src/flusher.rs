//! The flusher: moves events from memory into segments, by size and by age.

use std::sync::Arc;
use std::time::Duration;

use pugmark_store::Store;
use tokio::sync::watch;

/// How often the flusher looks whether memory is full.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Flushes at least every `interval`, sooner when memory asks for it, until `stop` says so.
/// A flush that fails loses nothing: the WAL still has the events, and the next one tries again.
pub(crate) async fn run(store: Arc<Store>, interval: Duration, mut stop: watch::Receiver<bool>) {
    let mut since = tokio::time::Instant::now();
    loop {
        let due = since.elapsed() >= interval && store.memtable_bytes() > 0;
        if due || store.needs_flush() {
            if let Err(error) = store.flush().await {
                tracing::error!(%error, "cannot write a segment; the events stay in the WAL");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            since = tokio::time::Instant::now();
        }
        // Intake waits while memory is full: the next flush is due at once then.
        let pause = if store.needs_flush() { Duration::ZERO } else { LOOK_INTERVAL };
        tokio::select! {
            _ = tokio::time::sleep(pause) => {}
            _ = stop.changed() => return,
        }
    }
}
