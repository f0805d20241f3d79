//! What the tests of the store share: a stand-in for the engine, and the checks.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "each test binary uses a part of it"
)]

pub mod cold;
pub mod postgres;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use crossbeam_channel::Receiver;
use pugmark_event::time::{DAY, Micros};
use pugmark_event::{Batch, BatchBuilder, Records, Value, fields};
use pugmark_store::{AppendError, Appended, Block, ManifestAt, Options, Scan, Store};

pub const NOW: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

pub fn small() -> Options {
    Options {
        wal_segment_bytes_max: 16 << 10,
        memtable_bytes_max: 64 << 10,
        disk_free_bytes_min: 0,
        ..Options::default()
    }
}

/// Two tests of a body: with the manifest in the folder, and in PostgreSQL.
macro_rules! both {
    ($name:ident) => {
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(server) = super::common::postgres::server() {
                    super::common::SERVER.scope(server, super::$name()).await;
                }
            }
        }
    };
}
pub(crate) use both;

tokio::task_local! {
    /// The server that the manifests of a test are on.
    pub static SERVER: &'static postgres::Server;
}

/// Options for a data folder, with its manifest where the test wants it.
pub async fn at(dir: &Path, options: Options) -> Options {
    let server = match SERVER.try_with(|server| *server) {
        Ok(server) => Some(server),
        // A process that such a test started.
        Err(_) if std::env::var_os(postgres::SOCKET).is_some() => postgres::server(),
        Err(_) => None,
    };
    let manifest = match server {
        Some(server) => server.database_of(dir).await.parse().unwrap(),
        None => ManifestAt::Folder,
    };
    Options { manifest, ..options }
}

pub fn records<T: AsRef<[u8]>>(texts: &[T]) -> Arc<Records> {
    Arc::new(texts.iter().map(AsRef::as_ref).collect())
}

/// Events whose time is `day=N` days before the time of receipt, if the record says so.
pub fn parse(block: &Block) -> Batch {
    let mut builder = BatchBuilder::new(&block.source, block.received);
    for (i, record) in block.records.iter().enumerate() {
        builder.begin(block.first_id + i as i64, record);
        let text = String::from_utf8_lossy(record);
        let days = text.split("day=").nth(1).and_then(|d| d.trim().parse::<i64>().ok());
        builder.set(fields::SOURCE_IP, Value::Text(&format!("10.0.0.{}", i % 250)));
        builder.long(fields::HTTP_STATUS, 200 + (i % 5) as i64);
        builder.attribute("custom.key", Value::Text(&text));
        builder.end(Some(days.map_or(block.received, |d| block.received - d * DAY)));
    }
    builder.finish().unwrap()
}

/// A store with a thread that does what the engine does.
pub struct Node {
    pub store: Arc<Store>,
    pipeline: Pipeline,
}

/// Ends after the store, which is dropped before it: then nobody holds the folder any more.
struct Pipeline(Option<JoinHandle<()>>);

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            thread.join().unwrap();
        }
    }
}

impl Node {
    pub async fn open(dir: &Path, options: Options) -> Node {
        let (store, blocks) = Store::open(dir, at(dir, options).await).await.unwrap();
        Node { pipeline: Pipeline(Some(run(Arc::downgrade(&store), blocks))), store }
    }

    pub async fn append(&self, texts: &[String]) -> Result<Appended, AppendError> {
        self.store.append("web".into(), records(texts), NOW, None, None).await
    }

    pub async fn settle(&self) {
        while !self.store.is_settled() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Closes in order.
    pub async fn close(mut self) {
        self.store.close_intake().await;
        let pipeline = self.pipeline.0.take().unwrap();
        tokio::task::spawn_blocking(move || pipeline.join().unwrap()).await.unwrap();
        self.store.close().await.unwrap();
    }
}

fn run(store: Weak<Store>, blocks: Receiver<Block>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for block in blocks {
            // A store that was dropped stands for a crash.
            let Some(store) = store.upgrade() else { return };
            let end = block.first_id + block.records.len() as i64;
            match &block.quarantine {
                Some(reason) => store.quarantine(&block, 0..block.records.len(), reason),
                None => store.insert(parse(&block)),
            }
            store.processed(end);
        }
    })
}

/// Every id and its raw record, as a scan finds them. Panics when one is found twice.
#[track_caller]
pub fn read(store: &Store, scan: Scan) -> BTreeMap<i64, String> {
    let columns = Some(vec!["event_original".to_string(), "event_id".to_string()]);
    let scan = Scan { columns, ..scan };
    let mut found = BTreeMap::new();
    for part in store.snapshot().scan(scan) {
        for batch in part.read() {
            let batch = batch.unwrap();
            assert_eq!(batch.schema().field(1).name(), "event_id");
            let raw = batch.column(0).as_string::<i32>();
            let ids = batch.column(1).as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let text = if raw.is_valid(row) { raw.value(row).to_string() } else { "".into() };
                let twice = found.insert(ids.value(row), text);
                assert_eq!(twice, None, "id {} is found twice", ids.value(row));
            }
        }
    }
    found
}

/// The account balances, in memory and on disk; returns records received.
pub async fn check_ledger(store: &Store) -> u64 {
    let check = store.check_ledger().await.unwrap();
    assert!(check.balanced, "{:?}", check.problems);
    let rows = store.ledger().await.unwrap();
    assert!(rows.iter().all(|row| row.balanced()), "{rows:?}");
    rows.iter().map(|row| row.received).sum()
}
