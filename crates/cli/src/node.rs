//! A node: store, search, rules and engine joined, on one folder.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pugmark_detect::RuleSet;
use pugmark_engine::engine::{Options, Parts};
use pugmark_engine::{Engine, SystemClock, rules};
use pugmark_parse::{Input, Parser};
use pugmark_search::StoreSearch;
use pugmark_store::Store;

use crate::error::CliError;
use crate::settings::Settings;

/// Opens `dir` for everything: intake, detection, questions. One process at a time can.
pub(crate) async fn open(dir: &Path, settings: &Settings) -> Result<Engine, CliError> {
    let options = store_options(settings)?;
    // Rules and parsers come first: when they are wrong, nothing was opened yet.
    let rules = load_rules(settings)?;
    let parser = parser()?;
    let (store, blocks) = Store::open(dir, options).await.map_err(store_error)?;
    let search = StoreSearch::new(store.clone(), search_options(settings));
    let parts = Parts {
        store,
        blocks,
        search: Arc::new(search),
        parser,
        rules: Arc::new(rules),
        clock: Arc::new(SystemClock),
    };
    let flush_interval = Duration::from_secs(settings.store.flush_interval_seconds.max(1));
    Ok(Engine::start(parts, Options { flush_interval }))
}

/// Opens `dir` for questions only; a running server is not disturbed. Records that are still in
/// the WAL are parsed into memory, so that the answer is as fresh as the server's.
pub(crate) async fn open_read_only(
    dir: &Path,
    settings: &Settings,
) -> Result<(Arc<Store>, StoreSearch), CliError> {
    let (store, tail) =
        Store::open_read_only(dir, store_options(settings)?).await.map_err(store_error)?;
    let parser = parser()?;
    for block in tail.iter().filter(|block| block.quarantine.is_none()) {
        store.insert(parser.parse(&Input {
            source: &block.source,
            records: &block.records,
            first_id: block.first_id,
            received: block.received,
            format: block.format.as_deref(),
        }));
    }
    let store = Arc::new(store);
    let search = StoreSearch::new(store.clone(), search_options(settings));
    Ok((store, search))
}

/// The parser with the packs in the binary.
pub(crate) fn parser() -> Result<Arc<Parser>, CliError> {
    Ok(Arc::new(Parser::builtin().map_err(anyhow::Error::from)?))
}

fn store_options(settings: &Settings) -> Result<pugmark_store::Options, CliError> {
    let manifest = settings.store.manifest.parse().map_err(|error| {
        CliError::usage(format!("{error}")).hint("change store.manifest in the settings")
    })?;
    Ok(pugmark_store::Options {
        memtable_bytes_max: settings.store.memtable_bytes_max,
        queue_bytes_max: settings.store.queue_bytes_max,
        disk_free_bytes_min: settings.store.disk_free_bytes_min,
        manifest,
        ..pugmark_store::Options::default()
    })
}

fn search_options(settings: &Settings) -> pugmark_search::Options {
    pugmark_search::Options {
        memory_bytes_max: settings.search.memory_bytes_max,
        ..pugmark_search::Options::default()
    }
}

/// The rules that the settings ask for. A rule that cannot be used is reported and left out.
fn load_rules(settings: &Settings) -> Result<RuleSet, CliError> {
    let mut sources = if settings.rules.builtin { rules::builtin() } else { Vec::new() };
    let mut problems = Vec::new();
    for dir in &settings.rules.dirs {
        let (more, broken) = rules::read_folder(dir).map_err(|error| {
            CliError::usage(format!("cannot read rules from {}: {error}", dir.display()))
                .hint("change rules.dirs in the settings")
        })?;
        sources.extend(more);
        problems.extend(broken);
    }
    let (set, more) = rules::compile(&sources);
    problems.extend(more);
    for problem in problems {
        tracing::warn!(path = problem.path, "rule left out: {}", problem.message);
    }
    Ok(set)
}

fn store_error(error: pugmark_store::StoreError) -> CliError {
    anyhow::Error::from(error).into()
}
