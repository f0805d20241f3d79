//! Looks at the folders with rules, and lets other rules watch the stream when a file has changed.

use std::sync::Weak;
use std::time::Duration;

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
            Ok(()) => tracing::info!("rules were read again: a file has changed"),
            Err(error) => tracing::error!(%error, "the rules of before go on"),
        }
        applied = found;
    }
}

async fn fingerprint(engine: &Weak<Inner>) -> Option<u64> {
    let origin = engine.upgrade()?.origin.clone();
    tokio::task::spawn_blocking(move || origin.fingerprint()).await.ok()
}
