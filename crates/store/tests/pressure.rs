//! A disk that runs full: the oldest goes first, what is held stays, and at the end intake stops.

mod common;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use common::cold::{add, files, folder, options};
use common::{Node, check_ledger, read};
use pugmark_store::{
    AppendError, Classes, Disk, DiskEntry, DiskRead, DiskWrite, Objects, Options, RealDisk, Scan,
};

/// The real disk, with room for as many bytes of segments as it is told.
#[derive(Debug, Default)]
struct SmallDisk {
    bytes: AtomicU64,
}

impl Disk for SmallDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskWrite>> {
        RealDisk.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskRead>> {
        RealDisk.open(path)
    }
    fn read(&self, path: &Path) -> io::Result<Bytes> {
        RealDisk.read(path)
    }
    fn cut(&self, path: &Path, len: u64) -> io::Result<()> {
        RealDisk.cut(path, len)
    }
    fn write_again(&self, path: &Path, offset: u64) -> io::Result<()> {
        RealDisk.write_again(path, offset)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn make_dirs(&self, path: &Path) -> io::Result<()> {
        RealDisk.make_dirs(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DiskEntry>> {
        RealDisk.list(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
    fn free_bytes(&self, dir: &Path) -> Option<u64> {
        // The WAL asks for its own folder.
        let dir = if dir.ends_with("wal") { dir.parent()? } else { dir };
        let used: u64 = files(&dir.join("segments"), ".parquet")
            .iter()
            .filter_map(|file| Some(file.metadata().ok()?.len()))
            .sum();
        Some(self.bytes.load(Ordering::SeqCst).saturating_sub(used))
    }
}

const LOW: u64 = 1 << 20;
const MIN: u64 = 1 << 10;

fn small_disk(disk: &Arc<SmallDisk>, objects: Option<Arc<dyn Objects>>) -> Options {
    Options {
        disk: disk.clone(),
        classes: Classes::default(),
        disk_free_bytes_low: LOW,
        disk_free_bytes_min: MIN,
        ..options(objects)
    }
}

/// Five segments, of one, two and more days ago; sizes are nearly the same.
async fn filled(dir: &Path, options: Options) -> (Node, u64) {
    let node = Node::open(dir, options).await;
    for days in 1..=5 {
        add(&node, days, 200).await;
    }
    let bytes = node.store.usage().disk_bytes;
    (node, bytes)
}

fn days(node: &Node) -> Vec<String> {
    let mut days: Vec<String> = read(&node.store, Scan::default())
        .into_values()
        .map(|text| text.split("day=").nth(1).unwrap().to_string())
        .collect();
    days.sort();
    days.dedup();
    days
}

#[tokio::test]
async fn the_oldest_segments_go_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(SmallDisk { bytes: u64::MAX.into() });
    let (node, bytes) = filled(dir.path(), small_disk(&disk, None)).await;
    assert_eq!(node.store.relieve().await.unwrap().deleted.segments, 0);
    // One and a half segments too little.
    disk.bytes.store(LOW + bytes - bytes * 3 / 10, Ordering::SeqCst);

    node.store.hold("default", "case 17", "anna").await.unwrap();
    assert_eq!(node.store.relieve().await.unwrap().deleted.segments, 0);
    assert_eq!(days(&node), ["1", "2", "3", "4", "5"]);
    node.store.release("default", "closed", "anna").await.unwrap();

    // A file that somebody still reads comes free later: nothing goes in its place.
    let held = node.store.snapshot();
    assert_eq!(node.store.relieve().await.unwrap().deleted.segments, 2);
    assert_eq!(node.store.relieve().await.unwrap().deleted.segments, 0);
    drop(held);
    assert_eq!(node.store.relieve().await.unwrap().deleted.segments, 0);
    assert_eq!(days(&node), ["1", "2", "3"]);
    check_ledger(&node.store).await;
    let audit = node.store.audit_list(1).await.unwrap().remove(0);
    assert_eq!((audit.action.as_str(), audit.subject.as_str()), ("expire", "default"));
    assert_eq!(audit.detail["why"], "the disk is nearly full");
    assert_eq!(audit.detail["events"], 400);
    node.close().await;
}

#[tokio::test]
async fn with_object_storage_segments_move_instead() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(SmallDisk { bytes: u64::MAX.into() });
    let objects = folder(&dir.path().join("storage"));
    let options = small_disk(&disk, Some(objects));
    let (node, bytes) = filled(&dir.path().join("data"), options).await;
    disk.bytes.store(LOW + bytes - bytes * 3 / 10, Ordering::SeqCst);
    let aged = node.store.relieve().await.unwrap();
    assert_eq!((aged.moved.segments, aged.deleted.segments), (2, 0));
    assert_eq!(days(&node), ["1", "2", "3", "4", "5"]);
    check_ledger(&node.store).await;
    node.close().await;
}

#[tokio::test]
async fn when_nothing_may_go_intake_stops_and_what_was_taken_is_safe() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(SmallDisk { bytes: u64::MAX.into() });
    let (node, bytes) = filled(dir.path(), small_disk(&disk, None)).await;
    node.store.hold("default", "case 17", "anna").await.unwrap();
    disk.bytes.store(bytes + MIN / 2, Ordering::SeqCst);
    node.store.relieve().await.unwrap();
    let refused = node.append(&["one more".to_string()]).await.unwrap_err();
    let AppendError::DiskFull(message) = refused else { panic!("{refused:?}") };
    assert!(message.contains("is full") && message.contains("free some space"), "{message}");
    assert_eq!(read(&node.store, Scan::default()).len(), 1000);

    // With the hold gone, room is made and logs are taken again.
    node.store.release("default", "closed", "anna").await.unwrap();
    assert!(node.store.relieve().await.unwrap().deleted.segments > 0);
    node.append(&["one more".to_string()]).await.unwrap();
    node.settle().await;
    check_ledger(&node.store).await;
    node.close().await;
}
