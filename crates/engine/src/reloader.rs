//! Looks at the folders with rules, packs, transforms and tables, and lets others take their place
//! when a file has changed or a new day may have ended exceptions.

use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::Duration;

use pugmark_event::time::DAY;
use tokio::sync::watch;

use crate::engine::{Engine, Inner};
use crate::enrichment::Enrichment;
use crate::{parsers, rulebook, transforms};

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
        if found.map(|found| found.rules) != applied.map(|applied| applied.rules) {
            match engine.reload_rules().await {
                Ok(()) => tracing::info!("rules were read again"),
                Err(error) => tracing::error!(%error, "the rules of before go on"),
            }
        }
        if found.map(|found| found.transforms) != applied.map(|applied| applied.transforms) {
            match engine.reload_transforms().await {
                Ok(()) => tracing::info!("transforms were read again"),
                Err(error) => tracing::error!(%error, "the transforms of before go on"),
            }
        }
        if found.map(|found| found.parsers) != applied.map(|applied| applied.parsers) {
            match engine.reload_parsers().await {
                Ok(()) => tracing::info!("parser packs were read again"),
                Err(error) => tracing::error!(%error, "the parser packs of before go on"),
            }
        }
        if found.map(|found| found.known) != applied.map(|applied| applied.known) {
            let reader = engine.reader();
            let reload = move || reader.enrichment().map(Enrichment::reload);
            if tokio::task::spawn_blocking(reload).await.is_ok() {
                tracing::info!("tables, ranges and databases were read again");
            }
        }
        applied = found;
    }
}

/// What is looked at for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    /// The files with rules, and the day.
    rules: (u64, i64),
    /// The files with transforms.
    transforms: u64,
    /// The files with packs.
    parsers: u64,
    /// Tables, ranges and databases.
    known: u64,
}

async fn fingerprint(engine: &Weak<Inner>) -> Option<Fingerprint> {
    let engine = engine.upgrade().map(Engine::from)?;
    let day = engine.now().div_euclid(DAY);
    let (origin, folders, reader) =
        (engine.origin().clone(), engine.folders().clone(), engine.reader());
    let look = move || {
        let of = |dir: &Option<PathBuf>, files: fn(&Path) -> Vec<PathBuf>| {
            rulebook::fingerprint(&dir.as_deref().map(files).unwrap_or_default())
        };
        Fingerprint {
            rules: (origin.fingerprint(), day),
            transforms: of(&folders.transforms, transforms::files),
            parsers: of(&folders.parsers, parsers::files),
            known: reader.enrichment().map(Enrichment::fingerprint).unwrap_or_default(),
        }
    };
    tokio::task::spawn_blocking(look).await.ok()
}
