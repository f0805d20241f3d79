//! Keeps the store in its bounds: segments move and expire as retention says, and the disk keeps
//! some room.

use std::sync::Arc;
use std::time::Duration;

use pugmark_store::Store;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Clock;

/// How often retention is looked at: its unit is a day.
const AGE_INTERVAL: Duration = Duration::from_secs(60);
/// How often the disk is looked at: a fast sender fills a gigabyte in a quarter of a minute.
const DISK_INTERVAL: Duration = Duration::from_secs(2);

/// Runs until `stop` says so. What fails is logged and tried again.
pub(crate) async fn run(store: Arc<Store>, clock: Arc<dyn Clock>, mut stop: watch::Receiver<bool>) {
    let mut due = Instant::now();
    loop {
        if let Err(error) = store.relieve().await {
            tracing::error!(%error, "cannot make room on the disk");
        }
        if Instant::now() >= due {
            let more = match store.age(clock.now()).await {
                Ok(aged) => aged.more,
                Err(error) => {
                    tracing::error!(%error, "cannot move or delete old segments");
                    false
                }
            };
            due = Instant::now() + if more { Duration::ZERO } else { AGE_INTERVAL };
        }
        tokio::select! {
            _ = tokio::time::sleep(DISK_INTERVAL) => {}
            _ = stop.changed() => return,
        }
    }
}
