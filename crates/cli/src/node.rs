//! A node: store, search, rules and engine joined, on one folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pugmark_engine::engine::{Folders, Options, Parts};
use pugmark_engine::enrichment::{self, Enrichment};
use pugmark_engine::folding::Folding;
use pugmark_engine::intake::Doors;
use pugmark_engine::masking::Masking;
use pugmark_engine::parsers::ParserBook;
use pugmark_engine::retention::{self, ClassSettings};
use pugmark_engine::rulebook::Origin;
use pugmark_engine::tables::LookupTables;
use pugmark_engine::{
    Clock, Corrections, CostLimit, Engine, Reader, RuleBook, SystemClock, TransformBook, transforms,
};
use pugmark_parse::{Input, Parser};
use pugmark_query::Limits;
use pugmark_search::StoreSearch;
use pugmark_store::{
    Classes, Classify, Cold, KeptTransform, ObjectStorage, StorageSettings, Store,
};

use crate::error::CliError;
use crate::settings::Settings;

/// Longest time of a question, whatever the settings say: a year, which a clock can still add.
pub(crate) const QUESTION_SECONDS_MAX: u64 = 365 * 24 * 3600;

/// Opens `dir` for everything: intake, detection, questions. One process at a time can.
pub(crate) async fn open(dir: &Path, settings: &Settings) -> Result<Engine, CliError> {
    Ok(open_to_ask(dir, settings).await?.0)
}

/// The same, with the search of the engine for doors that ask in SQL.
pub(crate) async fn open_to_ask(
    dir: &Path,
    settings: &Settings,
) -> Result<(Engine, StoreSearch), CliError> {
    let options = store_options(settings)?;
    let (low, min) = (options.disk_free_bytes_low, options.disk_free_bytes_min);
    if (1..=min).contains(&low) {
        tracing::warn!(
            low,
            min,
            "a full disk refuses logs before old segments make room: set \
             store.disk_free_bytes_low above store.disk_free_bytes_min"
        );
    }
    // Rules and parsers come first: when they are wrong, nothing was opened yet.
    let origin = origin(settings);
    let found = origin.read().map_err(|error| {
        CliError::usage(error.to_string()).hint("change rules.dirs in the settings")
    })?;
    let folders = folders(dir, settings);
    let parsers = parsers(&folders)?;
    parsers.report();
    let enrichment = enrichment(dir, settings)?;
    let (store, blocks) = Store::open(dir, options).await.map_err(store_error)?;
    let kept = store.kept_rules().list().await.map_err(store_error)?;
    let rules = RuleBook::compile(found, &kept, SystemClock.now());
    rules.report();
    let kept = store.kept_transforms().list().await.map_err(store_error)?;
    let book = transforms_of(&folders, kept);
    book.report();
    let corrections = corrections(&store).await?;
    let reader = Reader::new(parsers, book).corrected(corrections).enriched(enrichment);
    let reader = Arc::new(reader);
    let search = StoreSearch::new(store.clone(), search_options(settings))
        .with_tables(Arc::new(LookupTables(reader.clone())));
    let parts = Parts {
        store,
        blocks,
        search: Arc::new(search.clone()),
        reader,
        doors: Doors { masking: masking(dir, settings)?, folding: folding(settings)? },
        folders,
        rules,
        origin,
        clock: Arc::new(SystemClock),
    };
    let flush_interval = Duration::from_secs(settings.store.flush_interval_seconds.max(1));
    let checkpoint_interval = Duration::from_secs(settings.rules.checkpoint_interval_seconds);
    let reload_interval = Duration::from_secs(settings.rules.reload_interval_seconds);
    let compaction = settings.store.compaction;
    let noise_budget = settings.rules.noise_budget_alerts_per_day;
    let cost_limit = CostLimit {
        core_share_max: settings.rules.core_share_max_percent / 100.0,
        window: Duration::from_secs(settings.rules.cost_window_seconds.max(1)),
    };
    let options = Options {
        flush_interval,
        compaction,
        checkpoint_interval,
        reload_interval,
        noise_budget,
        cost_limit,
    };
    Ok((Engine::start(parts, options), search))
}

/// Opens `dir` for questions only; a running server is not disturbed. Records that are still in
/// the WAL are parsed into memory, so that the answer is as fresh as the server's.
pub(crate) async fn open_read_only(
    dir: &Path,
    settings: &Settings,
) -> Result<(Arc<Store>, StoreSearch), CliError> {
    let (store, tail) =
        Store::open_read_only(dir, store_options(settings)?).await.map_err(store_error)?;
    let kept = store.kept_transforms().list().await.map_err(store_error)?;
    let folders = folders(dir, settings);
    let reader = Reader::new(parsers(&folders)?, transforms_of(&folders, kept))
        .corrected(corrections(&store).await?)
        .enriched(enrichment(dir, settings)?);
    for block in tail.iter().filter(|block| block.quarantine.is_none()) {
        store.insert(reader.read(&Input {
            source: &block.source,
            records: &block.records,
            first_id: block.first_id,
            received: block.received,
            format: block.format.as_deref(),
        }));
    }
    let store = Arc::new(store);
    let search = StoreSearch::new(store.clone(), search_options(settings))
        .with_tables(Arc::new(LookupTables(Arc::new(reader))));
    Ok((store, search))
}

/// The folders of the user's own: those of the settings, else some in the data folder.
pub(crate) fn folders(dir: &Path, settings: &Settings) -> Folders {
    Folders {
        parsers: Some(folder(dir, "parsers", &settings.parsers.dir)),
        transforms: Some(folder(dir, "transforms", &settings.transforms.dir)),
    }
}

fn folder(dir: &Path, name: &str, set: &Path) -> PathBuf {
    match set.as_os_str().is_empty() {
        true => dir.join(name),
        false => set.to_path_buf(),
    }
}

fn parsers(folders: &Folders) -> Result<ParserBook, CliError> {
    Ok(ParserBook::load(folders.parsers.as_deref()).map_err(anyhow::Error::from)?)
}

fn transforms_of(folders: &Folders, kept: Vec<KeptTransform>) -> TransformBook {
    let found = folders.transforms.as_deref().map(transforms::read_folder);
    TransformBook::compile(found.unwrap_or_default(), kept)
}

/// The corrections of clocks that were made in the product.
async fn corrections(store: &Store) -> Result<Corrections, CliError> {
    Ok(Corrections::new(store.kept_corrections().list().await.map_err(store_error)?))
}

/// Masking at the door, as the settings want it.
fn masking(dir: &Path, settings: &Settings) -> Result<Option<Arc<Masking>>, CliError> {
    let file = &settings.mask.file;
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let masking = Masking::open(file, &dir.join("mask.key"));
    masking.map(|masking| Some(Arc::new(masking))).map_err(|error| {
        CliError::usage(error.to_string()).hint("change mask.file in the settings, or the file")
    })
}

/// Folding of records that come again, as the settings want it.
fn folding(settings: &Settings) -> Result<Option<Arc<Folding>>, CliError> {
    let fold = &settings.fold;
    if fold.sources.is_empty() {
        return Ok(None);
    }
    let folding = Folding::new(&fold.sources, Duration::from_secs(fold.window_seconds));
    folding
        .map(|folding| Some(Arc::new(folding)))
        .map_err(|error| CliError::usage(error.to_string()).hint("change [fold] in the settings"))
}

/// What is known about values, as the settings want it.
fn enrichment(dir: &Path, settings: &Settings) -> Result<Enrichment, CliError> {
    let enrich = &settings.enrich;
    let standard = enrichment::Config::default();
    let config = enrichment::Config {
        geo: enrich.geo,
        ranges: enrich.ranges,
        agents: enrich.agents,
        domains: enrich.domains,
        learn: if enrich.bindings_max == 0 { Vec::new() } else { standard.learn },
        bindings_max: enrich.bindings_max,
    };
    let opened = Enrichment::open(&folder(dir, "enrich", &enrich.dir), config);
    Ok(opened.map_err(anyhow::Error::from)?)
}

/// The parser with the packs in the binary.
pub(crate) fn parser() -> Result<Arc<Parser>, CliError> {
    Ok(Arc::new(Parser::builtin().map_err(anyhow::Error::from)?))
}

/// What the settings say of the store.
pub(crate) fn store_options(settings: &Settings) -> Result<pugmark_store::Options, CliError> {
    let manifest = settings.store.manifest.parse().map_err(|error| {
        CliError::usage(format!("{error}")).hint("change store.manifest in the settings")
    })?;
    let (classes, classify) = retention(settings)?;
    Ok(pugmark_store::Options {
        memtable_bytes_max: settings.store.memtable_bytes_max,
        queue_bytes_max: settings.store.queue_bytes_max,
        disk_free_bytes_min: settings.store.disk_free_bytes_min,
        disk_free_bytes_low: settings.store.disk_free_bytes_low,
        manifest,
        classify,
        classes,
        cold: cold(settings)?,
        ..pugmark_store::Options::default()
    })
}

/// The retention classes of the settings, and what tells events apart by them.
pub(crate) fn retention(settings: &Settings) -> Result<(Classes, Arc<dyn Classify>), CliError> {
    let class = |class: &crate::settings::RetentionClass| ClassSettings {
        class: class.class.clone(),
        sources: class.sources.clone(),
        query: class.query.clone(),
        days_hot: class.days_hot,
        days_total: class.days_total,
        hold: class.hold,
    };
    let classes: Vec<ClassSettings> = settings.retention.iter().map(class).collect();
    retention::build(&classes).map_err(|error| {
        CliError::usage(error.to_string()).hint("change [[retention]] in the settings")
    })
}

/// The object storage of the settings.
fn cold(settings: &Settings) -> Result<Option<Cold>, CliError> {
    let cold = &settings.store.cold;
    if cold.url.is_empty() {
        return Ok(None);
    }
    let storage = ObjectStorage::new(&StorageSettings {
        url: cold.url.clone(),
        endpoint: cold.endpoint.clone(),
        allow_http: cold.allow_http,
        region: cold.region.clone(),
        request_timeout: Duration::from_secs(cold.request_timeout_seconds.max(1)),
    });
    let objects = storage.map_err(|error| {
        CliError::usage(error.to_string()).hint("change [store.cold] in the settings")
    })?;
    Ok(Some(Cold { objects: Arc::new(objects), cache_bytes_max: cold.cache_bytes_max }))
}

/// Opens `dir` for changes that need no engine. One process at a time can.
pub(crate) async fn open_manifest(dir: &Path, settings: &Settings) -> Result<Arc<Store>, CliError> {
    let (store, _) = Store::open(dir, store_options(settings)?).await.map_err(store_error)?;
    Ok(store)
}

fn search_options(settings: &Settings) -> pugmark_search::Options {
    let search = &settings.search;
    pugmark_search::Options {
        memory_bytes_max: search.memory_bytes_max,
        limits: Limits {
            time_max: Duration::from_secs(search.time_seconds_max.clamp(1, QUESTION_SECONDS_MAX)),
            read_bytes_max: (search.read_bytes_max > 0).then_some(search.read_bytes_max),
            rows_read_max: (search.rows_read_max > 0).then_some(search.rows_read_max),
            memory_bytes_max: (search.query_memory_bytes_max > 0)
                .then_some(search.query_memory_bytes_max),
        },
        ..pugmark_search::Options::default()
    }
}

/// Where the settings say that rules come from.
pub(crate) fn origin(settings: &Settings) -> Origin {
    Origin { builtin: settings.rules.builtin, dirs: settings.rules.dirs.clone() }
}

fn store_error(error: pugmark_store::StoreError) -> CliError {
    anyhow::Error::from(error).into()
}
