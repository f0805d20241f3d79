//! Hot and cold: moves, reads, failures at every step of a move, and what a crash leaves.

mod common;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use common::cold::{self, add, classes, files, folder, options};
use common::{NOW, Node, check_ledger, read};
use pugmark_store::{Cold, Depth, DiskRead, ObjectError, Objects, Options, Scan};

common::both!(old_segments_move_and_older_ones_go);

async fn old_segments_move_and_older_ones_go() {
    let dir = tempfile::tempdir().unwrap();
    cold::moves_and_reads(&dir.path().join("data"), folder(&dir.path().join("cold")), 300).await;
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    cold::cache_is_bounded(&dir.path().join("data"), folder(&dir.path().join("cold")), 20_000)
        .await;
}

#[tokio::test]
async fn wrong_bytes_on_the_storage_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    cold::wrong_bytes_are_noticed(&dir.path().join("data"), folder(&dir.path().join("cold")), 900)
        .await;
}

common::both!(what_expires_is_removed_everywhere_unless_it_is_held);

async fn what_expires_is_removed_everywhere_unless_it_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let objects = folder(&dir.path().join("cold"));
    cold::expiry_removes_the_object(&dir.path().join("data"), objects).await;
}

/// Object storage with a fault at one of its calls.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn Objects>,
    fault: Fault,
    left: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing is written.
    Put,
    /// It is written, but the answer is lost.
    PutAnswer,
    Size,
    Get,
    /// What is read is not what was written.
    Lie,
}

impl Faulty {
    fn new(inner: Arc<dyn Objects>, fault: Fault, times: usize) -> Arc<Self> {
        Arc::new(Self { inner, fault, left: times.into() })
    }

    fn strikes(&self, fault: Fault) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        fault == self.fault
            && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }

    fn failed<T>() -> Result<T, ObjectError> {
        Err(ObjectError::Failed("the storage is on fire".into()))
    }
}

impl Objects for Faulty {
    fn place(&self) -> &str {
        self.inner.place()
    }

    fn put(&self, key: &str, file: &Arc<dyn DiskRead>) -> Result<(), ObjectError> {
        if self.strikes(Fault::Put) {
            return Self::failed();
        }
        self.inner.put(key, file)?;
        if self.strikes(Fault::PutAnswer) { Self::failed() } else { Ok(()) }
    }

    fn get(&self, key: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        if self.strikes(Fault::Get) {
            return Self::failed();
        }
        let bytes = self.inner.get(key, range)?;
        if !self.strikes(Fault::Lie) {
            return Ok(bytes);
        }
        let mut bytes = bytes.to_vec();
        bytes[0] ^= 1;
        Ok(bytes.into())
    }

    fn size(&self, key: &str) -> Result<u64, ObjectError> {
        if self.strikes(Fault::Size) { Self::failed() } else { self.inner.size(key) }
    }

    fn remove(&self, key: &str) -> Result<(), ObjectError> {
        self.inner.remove(key)
    }
}

fn keep_all(objects: Arc<dyn Objects>) -> Options {
    let cold = Some(Cold { objects, cache_bytes_max: cold::CACHE_BYTES_MAX });
    Options { cold, disk_free_bytes_min: 0, ..Options::default() }
}

/// A move that fails leaves a whole hot segment and, after the next runs, no object.
async fn check_fault(dir: &Path, fault: Fault, message: &str) {
    let (data, storage) = (dir.join(format!("{fault:?}")), dir.join(format!("{fault:?}-cold")));
    let faulty = Faulty::new(folder(&storage), fault, 1);
    let node = Node::open(&data, options(Some(faulty.clone()))).await;
    add(&node, 5, 100).await;
    let aged = node.store.age(NOW).await.unwrap();
    let problem = aged.problem.unwrap();
    assert!(problem.contains("could not be moved to file://"), "{problem}");
    assert!(problem.contains("stays hot") && problem.contains(message), "{problem}");
    assert_eq!((aged.moved.segments, read(&node.store, Scan::default()).len()), (0, 100));
    node.close().await;

    // A crash here, and settings that no longer move anything: the object is removed.
    let node = Node::open(&data, keep_all(folder(&storage))).await;
    node.store.age(NOW).await.unwrap();
    assert_eq!(files(&storage, ".parquet").len(), 0, "{fault:?}");
    assert_eq!(files(&data.join("cold/doubt"), "").len(), 0, "{fault:?}");
    assert_eq!(read(&node.store, Scan::default()).len(), 100);
    node.close().await;

    // And the next try goes well.
    let faulty = Faulty::new(folder(&storage), fault, 1);
    let node = Node::open(&data, options(Some(faulty))).await;
    assert!(node.store.age(NOW).await.unwrap().problem.is_some());
    assert_eq!(node.store.age(NOW).await.unwrap().moved.segments, 1);
    assert_eq!(files(&storage, ".parquet").len(), 1);
    assert_eq!(files(&data.join("cold/doubt"), "").len(), 0);
    assert_eq!(read(&node.store, Scan::default()).len(), 100);
    check_ledger(&node.store).await;
    node.close().await;
}

#[tokio::test]
async fn a_move_that_fails_leaves_a_whole_hot_segment() {
    let dir = tempfile::tempdir().unwrap();
    check_fault(dir.path(), Fault::Put, "the storage is on fire").await;
    check_fault(dir.path(), Fault::PutAnswer, "the storage is on fire").await;
    check_fault(dir.path(), Fault::Size, "the storage is on fire").await;
    check_fault(dir.path(), Fault::Get, "the storage is on fire").await;
    check_fault(dir.path(), Fault::Lie, "what was read back is not what was sent").await;
}

#[tokio::test]
async fn a_crash_around_the_transaction_leaves_one_whole_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (data, storage) = (dir.path().join("data"), dir.path().join("cold"));
    let node = Node::open(&data, options(Some(folder(&storage)))).await;
    add(&node, 5, 100).await;
    let body = files(&data.join("segments"), ".parquet")[0].clone();
    let kept = std::fs::read(&body).unwrap();
    node.store.age(NOW).await.unwrap();
    node.close().await;
    assert!(!body.exists());

    // Just after it: the body is still there, and goes at the next start.
    std::fs::write(&body, &kept).unwrap();
    let node = Node::open(&data, options(Some(folder(&storage)))).await;
    assert!(!body.exists());
    assert_eq!(read(&node.store, Scan::default()).len(), 100);
    // Just before it: a tail of a segment that is hot.
    add(&node, 0, 10).await;
    let hot = files(&data.join("segments"), ".parquet")[0].clone();
    let tail = files(&data.join("segments"), ".tail")[0].clone();
    let stray = hot.with_extension("parquet.tail");
    std::fs::copy(&tail, &stray).unwrap();
    node.close().await;
    let node = Node::open(&data, options(Some(folder(&storage)))).await;
    assert!(!stray.exists() && tail.exists());
    assert_eq!(read(&node.store, Scan::default()).len(), 110);
    node.close().await;
}

#[tokio::test]
async fn a_tail_that_is_lost_or_damaged_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (data, storage) = (dir.path().join("data"), dir.path().join("cold"));
    let node = Node::open(&data, options(Some(folder(&storage)))).await;
    add(&node, 5, 100).await;
    node.store.age(NOW).await.unwrap();
    let tail = files(&data.join("segments"), ".tail")[0].clone();
    let whole = std::fs::read(&tail).unwrap();
    for damaged in [None, Some(&whole[..whole.len() - 5])] {
        match damaged {
            None => std::fs::remove_file(&tail).unwrap(),
            Some(bytes) => std::fs::write(&tail, bytes).unwrap(),
        }
        assert_eq!(read(&node.store, Scan::default()).len(), 100);
        assert_eq!(std::fs::read(&tail).unwrap(), whole);
    }
    node.close().await;
}

#[tokio::test]
async fn the_doctor_looks_at_cold_segments() {
    let dir = tempfile::tempdir().unwrap();
    let (data, storage) = (dir.path().join("data"), dir.path().join("cold"));
    let node = Node::open(&data, options(Some(folder(&storage)))).await;
    add(&node, 5, 100).await;
    add(&node, 0, 10).await;
    node.store.age(NOW).await.unwrap();
    let said = async |depth| {
        let report = pugmark_store::check(&node.store, depth).await.unwrap();
        let details: Vec<String> =
            report.findings.into_iter().map(|f| format!("{}: {}", f.what, f.detail)).collect();
        (report.remote, report.events, details.join("; "))
    };
    assert_eq!(said(Depth::Full).await, (1, 0, String::new()));
    assert_eq!(said(Depth::Deep).await, (0, 110, String::new()));
    let object = files(&storage, "")[0].clone();
    let mut bytes = std::fs::read(&object).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&object, &bytes).unwrap();
    assert_eq!(said(Depth::Full).await, (1, 0, String::new()));
    let (_, events, problem) = said(Depth::Deep).await;
    assert!(events == 10 && problem.ends_with("is not what was stored there"), "{problem}");
    std::fs::remove_file(&object).unwrap();
    assert!(said(Depth::Full).await.2.contains("there is no such object"));
    assert_eq!(said(Depth::Light).await, (1, 0, String::new()));
    node.close().await;
}

#[tokio::test]
async fn without_storage_in_the_settings_cold_segments_say_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (data, storage) = (dir.path().join("data"), dir.path().join("cold"));
    let node = Node::open(&data, options(Some(folder(&storage)))).await;
    add(&node, 5, 100).await;
    node.store.age(NOW).await.unwrap();
    node.close().await;
    let node = Node::open(&data, Options { classes: classes(), ..options(None) }).await;
    let error = cold::read_error(&node.store);
    assert!(error.contains("set store.cold.url"), "{error}");
    add(&node, 0, 10).await;
    assert_eq!(read(&node.store, Scan { from: Some(NOW), ..Scan::default() }).len(), 10);
    let preview = node.store.retention_preview(None, NOW).await.unwrap();
    assert_eq!((preview.cold_storage, preview.classes[0].cold.segments), (false, 1));
    node.close().await;
}
