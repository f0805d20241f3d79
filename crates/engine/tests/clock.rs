//! A source that writes local time: told, corrected, and the correction taken off again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::RecordBatch;
use pugmark_engine::engine::{Folders, Options, Parts};
use pugmark_engine::intake::Doors;
use pugmark_engine::parsers::ParserBook;
use pugmark_engine::rulebook::Origin;
use pugmark_engine::{Clock, CorrectionError, Corrections, Engine, Reader, RuleBook};
use pugmark_event::time::{self, CLOCK_CORRECTION, HOUR, MINUTE, Micros, SECOND};
use pugmark_event::{Batch, Records, Value};
use pugmark_parse::clean::Cause;
use pugmark_query::explain::Explanation;
use pugmark_query::{Answer, FieldRef, FieldValues, Plan, Presence, Request, Search, SearchError};
use pugmark_store::{RewriteScope, Scan, Store};

const START: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z
const TWO_HOURS: i64 = 7200;

/// A clock that the test sets.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }
}

/// Nobody asks questions here.
struct NoSearch;

#[async_trait::async_trait]
impl Search for NoSearch {
    async fn search(&self, _: Request) -> Result<Answer, SearchError> {
        Err(SearchError::Failed("this test has no search".into()))
    }

    async fn explain(&self, _: Request) -> Result<Explanation, SearchError> {
        Err(SearchError::Failed("this test has no search".into()))
    }

    async fn sql(&self, _: &str, _: Option<usize>) -> Result<Answer, SearchError> {
        Err(SearchError::Failed("this test has no search".into()))
    }

    fn arrived(&self, _: &Plan, _: &Batch, _: Micros) -> Result<Option<RecordBatch>, SearchError> {
        Ok(None)
    }

    async fn fields(&self, _: Option<i64>, _: Option<i64>) -> Result<Presence, SearchError> {
        Err(SearchError::Failed("this test has no search".into()))
    }

    async fn values(
        &self,
        _: &FieldRef,
        _: Option<i64>,
        _: Option<i64>,
    ) -> Result<FieldValues, SearchError> {
        Err(SearchError::Failed("this test has no search".into()))
    }
}

struct Node {
    engine: Engine,
    clock: Arc<Hand>,
}

async fn start(dir: &std::path::Path, now: Micros) -> Node {
    let (store, blocks) = Store::open(dir, pugmark_store::Options::default()).await.unwrap();
    let corrections = Corrections::new(store.kept_corrections().list().await.unwrap());
    let parsers = ParserBook::load(None).unwrap();
    let origin = Origin { builtin: false, dirs: Vec::new() };
    let clock = Arc::new(Hand(AtomicI64::new(now)));
    let parts = Parts {
        store,
        blocks,
        search: Arc::new(NoSearch),
        reader: Arc::new(Reader::new(parsers, Default::default()).corrected(corrections)),
        doors: Doors::default(),
        folders: Folders::default(),
        rules: RuleBook::compile(origin.read().unwrap(), &[], 0),
        origin,
        clock: clock.clone(),
    };
    Node { engine: Engine::start(parts, Options::default()), clock }
}

impl Node {
    fn pass(&self, span: Micros) {
        self.clock.0.fetch_add(span, Ordering::SeqCst);
    }

    /// Sends an order of now and a record without a time, for some minutes; the shop is two hours
    /// ahead.
    async fn sell(&self, minutes: i64) {
        for _ in 0..minutes {
            let order = |n: i64| {
                let written = time::format(self.clock.now() + 2 * HOUR - n * SECOND);
                format!(r#"{{"time":"{written}","order":{n}}}"#)
            };
            let lines: Vec<String> = (0..12).map(order).chain(["no time".to_string()]).collect();
            let records: Records = lines.iter().map(|line| line.as_bytes()).collect();
            self.engine.ingest("shop", records, None).await.unwrap();
            self.pass(MINUTE);
        }
        self.engine.settle().await;
    }

    /// What the clock is probably wrong by.
    fn estimate(&self) -> Option<(Cause, Micros)> {
        let clock = self.engine.source_health("shop").unwrap().clock;
        clock.map(|clock| (clock.cause, clock.correction))
    }

    /// Of every event from an id on: its time less that of its receipt, and its correction.
    fn events(&self, from: i64) -> Vec<(Micros, Option<i64>)> {
        let store = self.engine.store();
        let mut events = Vec::new();
        for part in store.snapshot().scan(Scan::default()) {
            for batch in part.read() {
                let batch = Batch::new(batch.unwrap()).unwrap();
                for row in (0..batch.rows()).filter(|row| batch.ids()[*row] >= from) {
                    let correction = match batch.attributes().get(row, CLOCK_CORRECTION) {
                        Some(Value::Number(seconds)) => Some(seconds.parse().unwrap()),
                        _ => None,
                    };
                    let delay = batch.event_times()[row] - batch.received_times()[row];
                    events.push((batch.ids()[row], (delay, correction)));
                }
            }
        }
        events.sort_by_key(|(id, _)| *id);
        events.into_iter().map(|(_, event)| event).collect()
    }

    /// The delay and the correction of the newest order of now, and of the record without a time.
    fn newest(&self) -> ((Micros, Option<i64>), (Micros, Option<i64>)) {
        let events = self.events(0);
        (events[events.len() - 13], events[events.len() - 1])
    }

    async fn correct(&self, seconds: i64) {
        self.engine.correct_clock("shop", seconds, "ann", "the till").await.unwrap();
        // It holds for what is received two seconds later.
        self.pass(MINUTE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_is_told_corrected_and_let_go_and_old_events_stay() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path(), START).await;
    let ahead = (2 * HOUR, None);
    let moved = (0, Some(-TWO_HOURS));
    let (untimed, proposed) = ((0, None), Some((Cause::Zone, -2 * HOUR)));
    node.sell(4).await;
    assert_eq!(node.estimate(), None);
    node.sell(4).await;
    assert_eq!((node.estimate(), node.newest()), (proposed, (ahead, untimed)));

    node.correct(-TWO_HOURS).await;
    node.sell(40).await;
    // All minutes that it remembers had the correction, and what is proposed is the same.
    assert_eq!((node.estimate(), node.newest()), (proposed, (moved, untimed)));
    // The same again is no other correction.
    node.correct(-TWO_HOURS).await;
    assert_eq!(node.engine.reader().corrections().of("shop").len(), 1);

    // A start reads it again.
    let before = node.events(0);
    let now = node.clock.now();
    node.engine.stop().await.unwrap();
    drop(node);
    let node = start(dir.path(), now).await;
    assert_eq!(node.events(0), before);
    node.sell(1).await;
    assert_eq!((node.estimate(), node.newest()), (proposed, (moved, untimed)));

    node.correct(0).await;
    node.sell(40).await;
    assert_eq!((node.estimate(), node.newest()), (proposed, (ahead, untimed)));
    let nothing = node.engine.correct_clock("shop", 0, "ann", "").await;
    assert!(matches!(nothing, Err(CorrectionError::Nothing(_))));

    // Old events keep the time that they had, also when they are read again.
    let events = node.events(0);
    let count = |event| events.iter().filter(|each| **each == event).count();
    assert_eq!((count(ahead), count(moved)), (48, 41));
    let scope = RewriteScope { source: "shop".into(), from: None, to: None };
    let done = node.engine.reparse("ann", &scope, None).await.unwrap();
    assert_eq!(done.events, events.len() as u64);
    assert_eq!(node.events(0), events);

    let audit = node.engine.store().audit_list(99).await.unwrap();
    let said: Vec<_> = audit
        .iter()
        .filter(|entry| entry.action.contains("clock"))
        .map(|entry| (entry.action.as_str(), entry.actor.as_str(), entry.subject.as_str()))
        .collect();
    let expected =
        [("clock correction removed", "ann", "shop"), ("clock corrected", "ann", "shop")];
    assert_eq!(said, expected);
    node.engine.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_the_wal_gives_the_same_events() {
    let dir = tempfile::tempdir().unwrap();
    let (store, blocks) = Store::open(dir.path(), pugmark_store::Options::default()).await.unwrap();
    let correction = Corrections::default().next("shop", -7200, ("ann", ""), START).unwrap();
    store.kept_corrections().add(&correction.unwrap(), START).await.unwrap();
    // Acknowledged, and never processed before the end.
    let line = |at: Micros| format!(r#"{{"time":"{}"}}"#, time::format(at + 2 * HOUR));
    for received in [START, START + MINUTE] {
        let record: Records = std::iter::once(line(received).as_bytes()).collect();
        store.append("shop".into(), Arc::new(record), received, None, None).await.unwrap();
    }
    store.close_intake().await;
    drop(blocks);
    store.close().await.unwrap();
    drop(store);

    let node = start(dir.path(), START + HOUR).await;
    node.engine.settle().await;
    assert_eq!(node.events(0), [(2 * HOUR, None), (0, Some(-7200))]);
    node.engine.stop().await.unwrap();
}
