//! Every format ever written stays readable: `formats/vN/` is a small data folder that the program
//! of that time wrote, and this test opens a copy of each with the program of today.
//!
//! A folder that was committed never changes again. To add one after a change of format:
//! `PUGMARK_FIXTURE=vN cargo test -p pugmark-store --test formats today`, then name it in
//! [`VERSIONS`].

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{NOW, Node, check_ledger, records, small};
use pugmark_event::time::{DAY, Micros};
use pugmark_event::{Batch, Value};
use pugmark_store::{Scan, Store};

/// Every format, oldest first.
const VERSIONS: &[&str] = &["v1", "v2", "v3", "v4"];

/// A block as it was sent: who sent it, its records, and why it was set aside.
struct Sent {
    source: &'static str,
    records: &'static [&'static [u8]],
    aside: Option<&'static str>,
}

const fn sent(source: &'static str, records: &'static [&'static [u8]]) -> Sent {
    Sent { source, records, aside: None }
}

/// What is in segments and in the quarantine of every folder. Ids count up from 1.
const FLUSHED: &[Sent] = &[
    sent("web", &[b"GET / 200", b"GET /login 401 day=1", b"", b"POST /login 200 user=\"ada\""]),
    sent("web", &[b"caf\xc3\xa9 day=2", b"latin caf\xe9 day=2", b"\x00\x01\x02\xfe\xff nul"]),
    Sent { source: "web", records: &[b"too odd \xff", b"odd as well"], aside: Some("odd") },
    sent("dns", &[b"query a.example.org A", b"query b.example.org AAAA day=1", b"tab\tand\r\n"]),
    sent("app", &[br#"{"level":"info","user":{"name":"ada"},"n":5,"m":"5","z":null}"#]),
    sent("app", &[b"the year before day=365", b"two years before day=730"]),
];

/// What is in the WAL alone, as after a crash.
const TAIL: &[Sent] = &[
    sent("web", &[b"GET /tail 200", b"tail caf\xe9 day=1"]),
    Sent { source: "dns", records: &[b"tail odd \xfe"], aside: Some("odd in the tail") },
    sent("new", &[b"the first of its source"]),
];

/// Ids with source and record of everything sent: events, and what was set aside.
fn expected() -> [BTreeMap<i64, (String, Vec<u8>)>; 2] {
    let mut found = [BTreeMap::new(), BTreeMap::new()];
    let mut id = 1;
    for sent in FLUSHED.iter().chain(TAIL) {
        for record in sent.records {
            let place = usize::from(sent.aside.is_some());
            found[place].insert(id, (sent.source.to_string(), record.to_vec()));
            id += 1;
        }
    }
    found
}

async fn send(node: &Node, blocks: &[Sent]) {
    for Sent { source, records: texts, aside } in blocks {
        let (source, aside) = (Arc::from(*source), aside.map(str::to_string));
        node.store.append(source, records(texts), NOW, None, aside).await.unwrap();
    }
    node.settle().await;
}

/// Event time of a record, as [`common::parse`] reads it.
fn event_time(record: &[u8]) -> Micros {
    let text = String::from_utf8_lossy(record);
    let days = text.split("day=").nth(1).and_then(|d| d.trim().parse::<i64>().ok());
    NOW - days.unwrap_or(0) * DAY
}

/// Everything the folder must hold, read in every way there is.
async fn check_content(store: &Store) {
    let [events, asides] = expected();
    let mut found = BTreeMap::new();
    for part in store.snapshot().scan(Scan::default()) {
        for batch in part.read() {
            let batch = Batch::new(batch.unwrap()).unwrap();
            for (row, id) in batch.ids().iter().enumerate() {
                let record = batch.original(row).to_vec();
                assert_eq!(batch.event_times()[row], event_time(&record), "{id}");
                assert_eq!(batch.received_times()[row], NOW, "{id}");
                let text = String::from_utf8_lossy(&record);
                let attribute = batch.attributes().get(row, "custom.key");
                assert_eq!(attribute, Some(Value::Text(&text)), "{id}");
                let source = batch.text(pugmark_event::fields::EVENT_SOURCE).unwrap().value(row);
                let twice = found.insert(*id, (source.to_string(), record));
                assert_eq!(twice, None, "{id} is there twice");
            }
        }
    }
    assert_eq!(found, events);
    let present = store.snapshot().present(None, None).unwrap();
    assert_eq!((present.events.events, present.events.exact), (events.len() as u64, true));
    assert_eq!(present.columns["event_source"], present.events);
    let possible = |column: &pugmark_store::Present| column.events <= present.events.events;
    assert!(present.columns.values().all(possible), "{present:?}");
    let held = store.quarantined(100).await.unwrap().into_iter();
    let held: BTreeMap<_, _> = held.map(|q| (q.id, (q.source, q.record))).collect();
    assert_eq!(held, asides);
    let all = (events.len() + asides.len()) as u64;
    // Seven records were shed when the folder was made.
    assert_eq!(check_ledger(store).await, all + 7);
    let accounts = store.accounts();
    assert_eq!(accounts.password_hash("ada").await.unwrap().as_deref(), Some("hash"));
    assert_eq!(accounts.setting("colour").await.unwrap().as_deref(), Some("green"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_format_ever_written_is_read() {
    for version in VERSIONS {
        check_format(&fixture(version)).await;
    }
}

async fn check_format(packed: &Path) {
    let dir = tempfile::tempdir().unwrap();
    unpack(packed, dir.path());
    // As it stands, with the tail in the WAL.
    let node = Node::open(dir.path(), small()).await;
    node.settle().await;
    check_content(&node.store).await;
    // All of it in segments of today, beside those of the time.
    assert!(node.store.flush().await.unwrap().events > 0, "{} has a tail", packed.display());
    check_content(&node.store).await;
    node.close().await;
    let node = Node::open(dir.path(), small()).await;
    check_content(&node.store).await;
    let report = pugmark_store::check(&node.store, pugmark_store::Depth::Deep).await.unwrap();
    assert_eq!(report.findings, []);
    node.close().await;
}

fn fixture(version: &str) -> PathBuf {
    Path::new(env!("WORKSPACE_ROOT")).join("crates/store/tests/formats").join(version)
}

/// Copies a fixture; a name that ends with `.zst` is unpacked and loses the ending.
fn unpack(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        let name = name.to_str().unwrap();
        if path.is_dir() {
            unpack(&path, &to.join(name));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        match name.strip_suffix(".zst") {
            Some(name) => {
                std::fs::write(to.join(name), zstd::decode_all(bytes.as_slice()).unwrap()).unwrap();
            }
            None => std::fs::write(to.join(name), bytes).unwrap(),
        }
    }
}

/// Writes a folder of today's format, and reads it like the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_format_of_today_is_read_like_the_others() {
    let scratch = tempfile::tempdir().unwrap();
    let to = match std::env::var("PUGMARK_FIXTURE") {
        Ok(version) => fixture(&version),
        Err(_) => scratch.path().join("today"),
    };
    assert!(!to.exists(), "{} is there already; a fixture never changes", to.display());
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    send(&node, FLUSHED).await;
    node.store.shed("dns", 7, "the queue was full");
    node.store.accounts().create_user("ada", "hash").await.unwrap();
    node.store.accounts().set_setting("colour", "green").await.unwrap();
    node.close().await;
    let node = Node::open(dir.path(), small()).await;
    send(&node, TAIL).await;
    // Dropped, not closed: the tail stays in the WAL.
    drop(node);
    pack(dir.path(), &to);
    check_format(&to).await;
}

/// Copies a data folder, the database packed; the lock and SQLite's own files are left out.
fn pack(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        let name = name.to_str().unwrap();
        match name {
            "LOCK" | "pugmark.db-shm" | "pugmark.db-wal" => {}
            "pugmark.db" => {
                let packed = zstd::encode_all(std::fs::read(&path).unwrap().as_slice(), 19);
                std::fs::write(to.join("pugmark.db.zst"), packed.unwrap()).unwrap();
            }
            _ if path.is_dir() => pack(&path, &to.join(name)),
            _ => drop(std::fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}
