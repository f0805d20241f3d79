//! A search with a schedule: its rows are alerts, each once, whatever ends in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use parking_lot::Mutex;
use pugmark_alert::Alert;
use pugmark_engine::engine::{Folders, Options, Parts};
use pugmark_engine::intake::Doors;
use pugmark_engine::parsers::ParserBook;
use pugmark_engine::rulebook::Origin;
use pugmark_engine::schedule::{self, DELAY, Turns};
use pugmark_engine::{Clock, Engine, Reader, RuleBook};
use pugmark_event::time::{MINUTE, Micros};
use pugmark_event::{Batch, Severity};
use pugmark_query::explain::{Explanation, Progress};
use pugmark_query::{
    Answer, FieldRef, FieldValues, Kind, Plan, Presence, Request, Search, SearchError,
};
use pugmark_store::{AlertFilter, KeptSchedule, KeptSearch, SearchRun, Store};

const START: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z
const EVERY: Micros = 5 * MINUTE;

/// A clock that the test sets.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }
}

/// Answers every question with the same two rows, or not at all; knows what it was asked about.
#[derive(Default)]
struct TwoRows {
    asked: Mutex<Vec<(Option<Micros>, Option<Micros>)>>,
    fails: Mutex<bool>,
}

#[async_trait::async_trait]
impl Search for TwoRows {
    async fn search(&self, request: Request) -> Result<Answer, SearchError> {
        self.asked.lock().push((request.from, request.to));
        if *self.fails.lock() {
            return Err(SearchError::Failed("the test wants it so".into()));
        }
        let names = ["user.name", "count()"];
        let types = [DataType::Utf8, DataType::Int64];
        let fields = names.iter().zip(types).map(|(name, of)| Field::new(*name, of, true));
        let users = StringArray::from(vec!["ann", "bob"]);
        let counts = Int64Array::from(vec![3, 4]);
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let columns = vec![Arc::new(users) as _, Arc::new(counts) as _];
        let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
        let rows = stream::iter([Ok(batch)]).boxed();
        let columns = names.map(String::from).to_vec();
        let progress = Arc::new(Progress::default);
        Ok(Answer { kind: Kind::Table, columns, rows, last_id: 0, progress })
    }

    async fn explain(&self, _: Request) -> Result<Explanation, SearchError> {
        Err(SearchError::Failed("this test explains nothing".into()))
    }

    async fn sql(&self, _: &str, _: Option<usize>) -> Result<Answer, SearchError> {
        Err(SearchError::Failed("this test has no SQL".into()))
    }

    fn arrived(&self, _: &Plan, _: &Batch, _: Micros) -> Result<Option<RecordBatch>, SearchError> {
        Ok(None)
    }

    async fn fields(&self, _: Option<Micros>, _: Option<Micros>) -> Result<Presence, SearchError> {
        Ok(Presence::default())
    }

    async fn values(
        &self,
        _: &FieldRef,
        _: Option<Micros>,
        _: Option<Micros>,
    ) -> Result<FieldValues, SearchError> {
        Ok(FieldValues::default())
    }
}

/// Nobody else asks.
struct Free;

impl Turns for Free {
    fn turn(&self) -> BoxFuture<'_, Option<Box<dyn Send>>> {
        async { Some(Box::new(()) as Box<dyn Send>) }.boxed()
    }
}

struct Node {
    engine: Engine,
    clock: Arc<Hand>,
    search: Arc<TwoRows>,
}

async fn start(dir: &std::path::Path, now: Micros) -> Node {
    let (store, blocks) = Store::open(dir, pugmark_store::Options::default()).await.unwrap();
    let origin = Origin { builtin: false, dirs: Vec::new() };
    let (clock, search) = (Arc::new(Hand(AtomicI64::new(now))), Arc::new(TwoRows::default()));
    let parts = Parts {
        store,
        blocks,
        search: search.clone(),
        reader: Arc::new(Reader::new(ParserBook::load(None).unwrap(), Default::default())),
        doors: Doors::default(),
        folders: Folders::default(),
        rules: RuleBook::compile(origin.read().unwrap(), &[], 0),
        origin,
        clock: clock.clone(),
    };
    Node { engine: Engine::start(parts, Options::default()), clock, search }
}

impl Node {
    async fn run(&self) -> SearchRun {
        let kept = self.engine.store().kept_searches().get("users").await.unwrap();
        kept.unwrap().run.unwrap()
    }

    /// Waits until the schedule is as it is wanted.
    async fn wait(&self, what: &str, wanted: impl Fn(&SearchRun) -> bool) -> SearchRun {
        let begun = Instant::now();
        loop {
            let run = self.run().await;
            if wanted(&run) {
                return run;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {run:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn alerts(&self) -> Vec<Alert> {
        let mut alerts = self.engine.store().alerts().list(&AlertFilter::default()).await.unwrap();
        alerts.sort_by(|a, b| a.entity.value.cmp(&b.entity.value));
        alerts
    }

    /// Who the alerts are about, and how often.
    async fn counts(&self) -> Vec<(String, u64)> {
        let alerts = self.alerts().await.into_iter();
        alerts.map(|alert| (alert.entity.value, alert.count)).collect()
    }
}

fn saved() -> KeptSearch {
    let level = Severity::High;
    KeptSearch {
        name: "users".into(),
        query: "* | stats count() by user.name".into(),
        from: String::new(),
        to: String::new(),
        description: String::new(),
        schedule: Some(KeptSchedule { every: EVERY, level, title: String::new(), entity: None }),
        owner: "ada".into(),
        created: START,
        changed: START,
        run: None,
    }
}

fn counts(count: u64) -> Vec<(String, u64)> {
    ["ann", "bob"].map(|user| (user.to_string(), count)).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_window_is_asked_once_and_its_rows_are_alerts() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path(), START).await;
    let search = saved();
    let since = schedule::start(search.schedule.as_ref().unwrap(), START);
    node.engine.store().kept_searches().add(&search, since).await.unwrap();
    node.engine.schedule(Arc::new(Free));

    // The window before it was saved is over already.
    let first = START - DELAY;
    let run = node.wait("the first run", |run| run.done == first).await;
    assert_eq!((run.until, run.ran, run.rows, run.error), (first, Some(START), 2, None));
    assert_eq!(node.counts().await, counts(1));
    let alert = &node.alerts().await[0];
    assert_eq!((alert.rule.id.as_str(), alert.severity), ("saved-search:users", Severity::High));
    assert_eq!(alert.why[0].value, search.query);

    // A failure is said, and asked about again together with nothing else.
    *node.search.fails.lock() = true;
    node.clock.0.store(START + 3 * EVERY, Ordering::SeqCst);
    let run = node.wait("the failure", |run| run.error.is_some()).await;
    assert_eq!((run.done, run.until, run.rows), (first, first, 0));
    assert!(run.error.unwrap().contains("the test wants it so"));
    *node.search.fails.lock() = false;
    node.clock.0.store(START + 4 * EVERY, Ordering::SeqCst);
    node.wait("what was missed", |run| run.done == first + 4 * EVERY).await;
    let ends: Vec<_> = node.search.asked.lock().clone();
    let window = |from: Micros, to: Micros| (Some(first + from * EVERY), Some(first + to * EVERY));
    // After a failure one, then twice as much as worked.
    let expected = [window(-1, 0), window(0, 3), window(0, 1), window(1, 3), window(3, 4)];
    assert_eq!(ends, expected);
    assert_eq!(node.counts().await, counts(4));
    node.engine.stop().await.unwrap();

    // An end after the alerts were stored and before that was written down.
    let node = start(dir.path(), START + 4 * EVERY).await;
    let searches = node.engine.store().kept_searches();
    let now = node.run().await;
    let before = SearchRun { done: first + 3 * EVERY, ..now.clone() };
    assert!(searches.note_run("users", now.until, &before).await.unwrap());
    node.engine.schedule(Arc::new(Free));
    node.wait("the same window", |run| run.done == first + 4 * EVERY).await;
    assert_eq!(*node.search.asked.lock(), [window(3, 4)]);
    assert_eq!(node.counts().await, counts(4));
    node.engine.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_was_cut_short_and_fails_is_asked_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path(), START).await;
    let (search, first) = (saved(), START - 13 * EVERY);
    let searches = node.engine.store().kept_searches();
    searches.add(&search, first).await.unwrap();
    let begun = SearchRun { until: first + 12 * EVERY, ..SearchRun::since(first) };
    assert!(searches.note_run("users", first, &begun).await.unwrap());
    *node.search.fails.lock() = true;
    node.engine.schedule(Arc::new(Free));
    let run = node.wait("the failure", |run| run.error.is_some()).await;
    assert_eq!((run.done, run.until, run.span), (first, first, EVERY));
    *node.search.fails.lock() = false;
    node.clock.0.store(START + EVERY, Ordering::SeqCst);
    node.wait("the rest", |run| run.done == first + 13 * EVERY).await;
    let asked: Vec<_> = node.search.asked.lock().clone();
    let sizes = asked.iter().map(|(from, to)| (to.unwrap() - from.unwrap()) / EVERY);
    assert_eq!(sizes.collect::<Vec<_>>(), [12, 1, 2, 4, 6]);
    node.engine.stop().await.unwrap();
}

/// Others have all places.
struct Taken;

impl Turns for Taken {
    fn turn(&self) -> BoxFuture<'_, Option<Box<dyn Send>>> {
        async { None }.boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_gets_no_turn_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path(), START).await;
    let first = START - DELAY - EVERY;
    node.engine.store().kept_searches().add(&saved(), first).await.unwrap();
    node.engine.schedule(Arc::new(Taken));
    let run = node.wait("what is said", |run| run.error.is_some()).await;
    assert!(run.error.unwrap().contains("no turn"));
    // Nothing was asked, so nothing was too much.
    assert_eq!((run.done, run.ran, run.span), (first, Some(START), 0));
    assert!(node.search.asked.lock().is_empty());
    node.engine.stop().await.unwrap();
}

/// Somebody removes the search while it waits for its turn.
struct Removing(Arc<Store>);

impl Turns for Removing {
    fn turn(&self) -> BoxFuture<'_, Option<Box<dyn Send>>> {
        async {
            self.0.kept_searches().remove("users", "ada", START).await.unwrap();
            Some(Box::new(()) as Box<dyn Send>)
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_was_removed_meanwhile_is_not_asked() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path(), START).await;
    let searches = node.engine.store().kept_searches();
    searches.add(&saved(), START - DELAY - EVERY).await.unwrap();
    node.engine.schedule(Arc::new(Removing(node.engine.store().clone())));
    let begun = Instant::now();
    while searches.get("users").await.unwrap().is_some() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(node.search.asked.lock().is_empty());
    assert!(node.alerts().await.is_empty());
    node.engine.stop().await.unwrap();
}
