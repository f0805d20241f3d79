//! Cases of the cold tier that hold for every object storage, and what they need.

#![allow(clippy::print_stderr, reason = "it says what it measured")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pugmark_event::time::DAY;
use pugmark_store::{
    Class, Classes, Cold, ObjectError, ObjectStorage, Objects, Options, Scan, StorageSettings,
    Store,
};

use super::{NOW, Node, at, check_ledger, read};

/// What the cache may hold in these tests: a few chunks.
pub const CACHE_BYTES_MAX: u64 = 600 << 10;

/// Everything is hot for two days and kept for ten.
pub fn classes() -> Classes {
    let default = Class::for_ever(pugmark_store::DEFAULT_CLASS);
    Classes::new(vec![Class { days_hot: Some(2), days_total: Some(10), ..default }]).unwrap()
}

pub fn options(objects: Option<Arc<dyn Objects>>) -> Options {
    let cold = objects.map(|objects| Cold { objects, cache_bytes_max: CACHE_BYTES_MAX });
    Options { classes: classes(), cold, disk_free_bytes_min: 0, ..Options::default() }
}

/// Object storage in a folder.
pub fn folder(dir: &Path) -> Arc<dyn Objects> {
    let url = format!("file://{}", dir.display());
    Arc::new(ObjectStorage::new(&StorageSettings { url, ..StorageSettings::default() }).unwrap())
}

/// A segment of `count` records that happened `days` days ago, each hard to compress.
pub async fn add(node: &Node, days: i64, count: usize) {
    let mut chance = 88172645463325252_u64.wrapping_mul(2 * days as u64 + 1);
    let texts: Vec<String> = (0..count)
        .map(|i| {
            let noise = (0..60).map(|_| {
                chance ^= chance << 13;
                chance ^= chance >> 7;
                chance ^= chance << 17;
                format!("{chance:016x}")
            });
            format!("needle{i} {} day={days}", noise.collect::<String>())
        })
        .collect();
    for texts in texts.chunks(2000) {
        node.append(texts).await.unwrap();
        node.settle().await;
    }
    node.store.flush().await.unwrap();
}

/// Files below `dir` whose name ends like this.
pub fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, end),
                false => vec![path],
            }
        })
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect();
    found.sort();
    found
}

/// Keys of the objects that were made, the newest first.
pub async fn keys(store: &Store) -> Vec<String> {
    let audit = store.audit_list(100).await.unwrap();
    let moves = audit.iter().filter(|entry| entry.action == "move");
    moves.map(|entry| entry.detail["object"].as_str().unwrap().to_string()).collect()
}

/// The first error of a scan of everything.
pub fn read_error(store: &Store) -> String {
    let parts = store.snapshot().scan(Scan::default());
    let mut errors = parts.into_iter().flat_map(|part| part.read()).filter_map(Result::err);
    errors.next().expect("a part cannot be read").to_string()
}

/// Old segments move, older ones go; what is cold is read like before, also after a new start.
pub async fn moves_and_reads(dir: &Path, objects: Arc<dyn Objects>, rows: usize) {
    let node = Node::open(dir, options(Some(objects.clone()))).await;
    for days in [0, 5, 20] {
        add(&node, days, rows).await;
    }
    let before = read(&node.store, Scan::default());
    assert_eq!(before.len(), 3 * rows);
    let held = node.store.snapshot();

    let aged = node.store.age(NOW).await.unwrap();
    assert_eq!(aged.problem, None);
    assert_eq!((aged.moved.segments, aged.moved.events), (1, rows as u64));
    assert_eq!((aged.deleted.segments, aged.deleted.events), (1, rows as u64));
    let left: Vec<_> = before.iter().filter(|(_, text)| !text.ends_with("day=20")).collect();
    assert!(read(&node.store, Scan::default()).iter().eq(left.iter().copied()));
    // Who asked before still reads everything, from files that go when the answer is there.
    assert_eq!(files(&dir.join("segments"), ".parquet").len(), 3);
    let seen: u64 = held.scan(Scan::default()).into_iter().map(|part| part.rows()).sum();
    assert_eq!(seen, 3 * rows as u64);
    drop(held);
    assert_eq!(files(&dir.join("segments"), ".parquet").len(), 1);
    assert_eq!(files(&dir.join("segments"), ".parquet.tail").len(), 1);
    check_ledger(&node.store).await;
    let again = node.store.age(NOW).await.unwrap();
    assert_eq!((again.moved.segments, again.deleted.segments), (0, 0));

    let audit = node.store.audit_list(10).await.unwrap();
    let expire = audit.iter().find(|entry| entry.action == "expire").unwrap();
    assert_eq!((expire.subject.as_str(), &expire.detail["events"]), ("default", &rows.into()));
    assert_eq!(expire.detail["why"], "older than days_total = 10");
    node.close().await;

    let node = Node::open(dir, options(Some(objects.clone()))).await;
    assert!(read(&node.store, Scan::default()).iter().eq(left.iter().copied()));
    check_ledger(&node.store).await;
    node.close().await;
    let options = at(dir, options(Some(objects))).await;
    let (reader, _) = Store::open_read_only(dir, options).await.unwrap();
    assert!(read(&reader, Scan::default()).iter().eq(left.iter().copied()));
}

/// The cache holds no more than it may, and saves the network what it holds.
pub async fn cache_is_bounded(dir: &Path, objects: Arc<dyn Objects>, rows: usize) {
    let node = Node::open(dir, options(Some(objects))).await;
    add(&node, 5, rows).await;
    let bytes = node.store.usage().disk_bytes;
    assert_eq!(node.store.age(NOW).await.unwrap().moved.segments, 1);
    let fetched = || node.store.cold_usage().unwrap().fetched_bytes;
    assert_eq!(fetched(), 0);

    let (first, last) = (rows as i64 / 2, rows as i64 / 2);
    let needle = || Scan { ids: Some((first, last)), ..Scan::default() };
    assert_eq!(read(&node.store, needle()).len(), 1);
    let once = fetched();
    eprintln!("a needle in a cold segment of {bytes} bytes: {once} bytes were read");
    assert!(once > 0 && once < bytes / 2, "{once} of {bytes}");
    assert_eq!(read(&node.store, needle()).len(), 1);
    assert!(once > CACHE_BYTES_MAX || fetched() == once, "the cache has what was just read");

    assert_eq!(read(&node.store, Scan::default()).len(), rows);
    let usage = node.store.cold_usage().unwrap();
    assert!(usage.cache_bytes > 0 && usage.cache_bytes <= CACHE_BYTES_MAX, "{usage:?}");
    let on_disk: u64 =
        files(&dir.join("cold"), ".chunk").iter().map(|f| f.metadata().unwrap().len()).sum();
    assert_eq!(on_disk, usage.cache_bytes);
    node.close().await;
}

/// Bytes that somebody changed on the storage are noticed, whichever part is read.
pub async fn wrong_bytes_are_noticed(dir: &Path, objects: Arc<dyn Objects>, rows: usize) {
    let node = Node::open(dir, options(Some(objects.clone()))).await;
    add(&node, 5, rows).await;
    let mut bytes = std::fs::read(&files(&dir.join("segments"), ".parquet")[0]).unwrap();
    assert_eq!(node.store.age(NOW).await.unwrap().moved.segments, 1);
    let key = &keys(&node.store).await[0];
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let path = dir.join("changed");
    std::fs::write(&path, &bytes).unwrap();
    let changed = pugmark_store::Disk::open(&pugmark_store::RealDisk, &path).unwrap();
    objects.put(key, &changed).unwrap();
    let error = read_error(&node.store);
    let expected = "could not be read from ";
    assert!(error.starts_with("the cold segment segments/"), "{error}");
    assert!(error.contains(expected) && error.contains(objects.place()), "{error}");
    assert!(error.contains("are not those that were stored"), "{error}");
    node.close().await;
}

/// What expires on object storage is removed there, in the manifest and on the local disk.
pub async fn expiry_removes_the_object(dir: &Path, objects: Arc<dyn Objects>) {
    let node = Node::open(dir, options(Some(objects.clone()))).await;
    add(&node, 5, 50).await;
    add(&node, 0, 50).await;
    node.store.age(NOW).await.unwrap();
    let key = keys(&node.store).await[0].clone();
    assert!(objects.size(&key).unwrap() > 0);

    node.store.hold("default", "case 17", "anna").await.unwrap();
    let aged = node.store.age(NOW + 30 * DAY).await.unwrap();
    assert_eq!((aged.deleted.segments, aged.moved.segments), (0, 1));
    assert!(node.store.release("default", "case 17 is closed", "anna").await.unwrap());
    assert!(!node.store.release("default", "twice", "anna").await.unwrap());

    let held = node.store.snapshot();
    let aged = node.store.age(NOW + 6 * DAY).await.unwrap();
    assert_eq!((aged.deleted.segments, aged.deleted.events), (1, 50));
    assert!(objects.size(&key).is_ok(), "somebody still reads it");
    drop(held);
    node.store.age(NOW + 6 * DAY).await.unwrap();
    assert_eq!(objects.size(&key), Err(ObjectError::Missing));
    assert_eq!(files(&dir.join("segments"), ".tail").len(), 1);
    assert_eq!(read(&node.store, Scan::default()).len(), 50);
    check_ledger(&node.store).await;
    let actions: Vec<String> =
        node.store.audit_list(10).await.unwrap().into_iter().map(|e| e.action).collect();
    assert_eq!(actions, ["expire", "release", "move", "hold", "move"]);
    node.close().await;
}
