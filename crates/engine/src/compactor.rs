//! The compactor: merges small segments in the background, until `stop` says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pugmark_store::Store;
use tokio::sync::watch;

/// How often the compactor looks for work.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How long it waits after an error; nothing is lost by a merge that failed.
const PAUSE: Duration = Duration::from_secs(60);

/// Merges small segments of `store` as they come.
pub(crate) async fn run(store: Arc<Store>, mut stop: watch::Receiver<bool>) {
    let stopping = Arc::new(AtomicBool::new(false));
    loop {
        tokio::select! {
            _ = tokio::time::sleep(LOOK_INTERVAL) => {}
            _ = stop.changed() => return,
        }
        let compacted = store.compact_until(&stopping);
        let compacted = tokio::select! {
            compacted = compacted => compacted,
            _ = stop.changed() => {
                stopping.store(true, Ordering::SeqCst);
                return;
            }
        };
        match compacted {
            Ok(done) if done.added > 0 => tracing::debug!(?done, "segments were merged"),
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "cannot merge segments; they stay as they are");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
