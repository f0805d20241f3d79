//! Looks at the folders with rules, and lets other rules watch the stream when a file has changed
//! or a new day may have ended exceptions.

use std::sync::Weak;
use std::time::Duration;

use pugmark_event::time::DAY;
use tokio::sync::watch;

use crate::engine::{Engine, Inner};

/// Time in which a file that is being written comes to its end.
const REST: Duration = Duration::from_millis(300);

/// Runs until `stop` says so or the engine has gone.
pub(crate) async fn run(engine: Weak<Inner>, interval: Duration, mut stop: watch::Receiver<bool>) {
    let mut applied = fingerprint(&engine).await;
    loop {
        tokio::select! {
            _ = tokio::time::sleep(interval) => {}
            _ = stop.changed() => return,
        }
        let found = fingerprint(&engine).await;
        if found == applied {
            continue;
        }
        tokio::time::sleep(REST).await;
        if fingerprint(&engine).await != found {
            continue;
        }
        let Some(engine) = engine.upgrade().map(Engine::from) else { return };
        match engine.reload_rules().await {
            Ok(()) => tracing::info!("rules were read again"),
            Err(error) => tracing::error!(%error, "the rules of before go on"),
        }
        applied = found;
    }
}

/// What rules depend on: the files, and the day.
async fn fingerprint(engine: &Weak<Inner>) -> Option<(u64, i64)> {
    let engine = engine.upgrade().map(Engine::from)?;
    let day = engine.now().div_euclid(DAY);
    let origin = engine.origin().clone();
    let files = tokio::task::spawn_blocking(move || origin.fingerprint()).await.ok()?;
    Some((files, day))
}
