//! Crashes: whatever a crash leaves, every acknowledged record is found once and the account
//! balances.

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{NOW, Node, SERVER, both, check_ledger, read, records, small};
use proptest::prelude::*;
use pugmark_store::Scan;

/// Set for the process that is to be killed.
const DIR: &str = "PUGMARK_STORE_CRASH_DIR";
const ROUNDS: u64 = 12;

/// Appends until it is killed; writes down what was acknowledged. Does nothing in a normal run.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn writer_process() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let node = Node::open(&dir.join("data"), small()).await;
    let run = std::process::id();
    let tasks = (0..4).map(|task| {
        let (store, dir) = (node.store.clone(), dir.clone());
        tokio::spawn(async move {
            let path = dir.join(format!("acknowledged-{run}-{task}"));
            let mut log = std::fs::File::create(path).unwrap();
            for n in 0.. {
                let texts: Vec<_> =
                    (0..1 + n % 7).map(|i| format!("{run}-{task}-{n}-{i}")).collect();
                let aside = (n % 11 == 0).then(|| "set aside".to_string());
                let block = records(&texts);
                match store.append("web".into(), block, NOW, None, aside).await {
                    Ok(done) => {
                        let line = format!("{} {}\n", done.first_id, texts.join(" "));
                        log.write_all(line.as_bytes()).unwrap();
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        node.store.flush().await.unwrap();
        assert!(tasks.iter().all(|task| !task.is_finished()));
    }
}

fn acknowledged(dir: &Path) -> BTreeMap<i64, String> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_string_lossy().starts_with("acknowledged") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let mut words = line.split_whitespace();
            let first: i64 = words.next().unwrap().parse().unwrap();
            for (i, word) in words.enumerate() {
                let twice = all.insert(first + i as i64, word.to_string());
                assert_eq!(twice, None, "id {} was given twice", first + i as i64);
            }
        }
    }
    all
}

/// Everything in the store: events and records set aside.
async fn everything(node: &Node) -> BTreeMap<i64, String> {
    node.settle().await;
    let mut found = read(&node.store, Scan::default());
    for entry in node.store.quarantined(usize::MAX).await.unwrap() {
        let text = String::from_utf8_lossy(&entry.record).into_owned();
        assert_eq!(found.insert(entry.id, text), None, "id {} is found twice", entry.id);
    }
    let ids: Vec<i64> = found.keys().copied().collect();
    assert!(ids.iter().copied().eq(1..=ids.len() as i64), "ids have no gaps");
    assert_eq!(check_ledger(&node.store).await, found.len() as u64);
    found
}

both!(a_killed_writer_loses_and_doubles_nothing);
async fn a_killed_writer_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap());
        if let Ok(server) = SERVER.try_with(|server| *server) {
            child.env(common::postgres::SOCKET, server.socket());
        }
        let mut child = child
            .args(["--exact", "writer_process"])
            .env(DIR, dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Kill at a different moment each time, sometimes while it replays.
        std::thread::sleep(Duration::from_millis(60 + (round * 7919) % 500));
        child.kill().unwrap();
        child.wait().unwrap();
        let node = Node::open(&dir.path().join("data"), small()).await;
        // The WAL may hold more than memory: it was written to while the writer replayed.
        while !node.store.is_settled() {
            node.store.flush().await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let found = everything(&node).await;
        for (id, text) in acknowledged(dir.path()) {
            assert_eq!(found.get(&id), Some(&text), "round {round}: id {id}");
        }
        if round % 2 == 0 {
            node.close().await;
        }
    }
    assert!(acknowledged(dir.path()).len() > 100);
}

/// A folder with 30 blocks in the WAL of which a part is in segments, as a crash leaves it.
async fn crashed(dir: &Path, flush_at: usize) -> BTreeMap<i64, String> {
    let node = Node::open(dir, small()).await;
    for n in 0..30 {
        let texts: Vec<_> = (0..1 + n % 4).map(|i| format!("block {n} record {i}")).collect();
        node.append(&texts).await.unwrap();
        if n == flush_at {
            node.settle().await;
            node.store.flush().await.unwrap();
        }
    }
    everything(&node).await
    // Dropped without a close.
}

fn wal_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("wal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "wal"))
        .collect();
    files.sort();
    files
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_wal_cut_anywhere_keeps_what_lies_before(flush_at in 0usize..40, cut in 0.0..1.0f64) {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let whole = crashed(dir.path(), flush_at).await;
            let last = wal_files(dir.path()).pop().unwrap();
            let len = std::fs::metadata(&last).unwrap().len();
            let file = std::fs::File::options().write(true).open(&last).unwrap();
            file.set_len((len as f64 * cut) as u64).unwrap();
            let node = Node::open(dir.path(), small()).await;
            let found = everything(&node).await;
            assert!(found.iter().all(|(id, text)| whole[id] == *text));
            // What comes next gets fresh ids, and all of it is there after one more start.
            let next = node.append(&["next".to_string()]).await.unwrap();
            assert_eq!(next.first_id, found.len() as i64 + 1);
            node.close().await;
            let node = Node::open(dir.path(), small()).await;
            assert_eq!(everything(&node).await.len(), found.len() + 1);
        });
    }

    #[test]
    fn a_damaged_wal_loses_no_more_than_the_damage(
        at in 0.0..1.0f64, len in 1usize..40, byte: u8,
    ) {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let whole = crashed(dir.path(), 40).await;
            let file = wal_files(dir.path()).remove(0);
            let mut bytes = std::fs::read(&file).unwrap();
            let before = bytes.clone();
            let start = (bytes.len() as f64 * at) as usize;
            let end = (start + len).min(bytes.len());
            bytes[start..end].fill(byte);
            std::fs::write(&file, &bytes).unwrap();
            let node = Node::open(dir.path(), small()).await;
            let recovery = node.store.recovery().clone();
            let found = everything(&node).await;
            let kept = found.iter().filter(|(id, text)| whole.get(id) == Some(text)).count();
            // Frames here have some 70 bytes: 40 bytes touch two of them, four records each.
            assert!(kept + 8 >= whole.len(), "{kept} of {}, {recovery:?}", whole.len());
            let lost = found.len() - kept;
            assert_eq!(lost as u64, recovery.damaged_records);
            if recovery.damaged_pieces > 0 {
                let copies = std::fs::read_dir(dir.path().join("wal/damaged")).unwrap().count();
                assert_eq!(copies as u64, recovery.damaged_pieces);
            } else if bytes != before {
                assert!(recovery.torn_bytes > 0, "{recovery:?}");
            }
        });
    }
}

both!(files_of_an_unfinished_flush_are_removed);
async fn files_of_an_unfinished_flush_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let whole = crashed(dir.path(), 10).await;
    let day = dir.path().join("segments/default/2026-11-23");
    std::fs::write(day.join("0000000000000099-0000000000000100.parquet"), "orphan").unwrap();
    std::fs::write(day.join("x.parquet.tmp"), "half").unwrap();
    let node = Node::open(dir.path(), small()).await;
    assert_eq!(everything(&node).await, whole);
    assert_eq!(std::fs::read_dir(day).unwrap().count(), 1);
    node.close().await;
}

both!(a_missing_segment_is_reported);
async fn a_missing_segment_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    node.append(&["one".to_string()]).await.unwrap();
    node.settle().await;
    node.close().await;
    std::fs::remove_dir_all(dir.path().join("segments/default/2026-11-23")).unwrap();
    let node = Node::open(dir.path(), small()).await;
    let check = node.store.check_ledger().await.unwrap();
    assert!(!check.balanced && check.problems[0].contains("2026-11-23"), "{check:?}");
    let start = Instant::now();
    let part = node.store.snapshot().scan(Scan::default()).remove(0);
    part.read().next().unwrap().unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
    node.close().await;
}
