//! The WAL's bound, and what it does while it replays.

mod common;

use std::time::Duration;

use common::{NOW, Node, records, small};
use pugmark_store::{AppendError, Options, Store};

fn text(n: usize) -> String {
    // Words that do not repeat: the WAL compresses.
    (0..400).map(|i| format!("{:x} ", (n * 7919 + i) * 2_654_435_761)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wal_that_nobody_flushes_ends_at_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { wal_bytes_max: 64 << 10, memtable_bytes_max: 64 << 20, ..small() };
    let node = Node::open(dir.path(), options).await;
    let mut taken = 0;
    loop {
        match node.append(&[text(taken)]).await {
            Ok(_) => taken += 1,
            Err(AppendError::Full) => break,
            Err(error) => panic!("{error}"),
        }
        assert!(node.store.usage().wal_bytes < 128 << 10, "there is a bound");
        node.settle().await;
    }
    assert!(taken > 10 && node.store.needs_flush(), "{taken}");
    node.store.flush().await.unwrap();
    node.append(&[text(0)]).await.unwrap();
    node.settle().await;
    assert_eq!(common::check_ledger(&node.store).await, taken as u64 + 1);
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_taken_while_nobody_takes_the_replay() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { blocks_max: 2, ..small() };
    let (store, blocks) = Store::open(dir.path(), options()).await.unwrap();
    let taking = std::thread::spawn(move || blocks.iter().count());
    for n in 0..20 {
        let block = records(&[text(n)]);
        store.append("web".into(), block, NOW, None, None).await.unwrap();
    }
    drop(store);
    taking.join().unwrap();

    let (store, blocks) = Store::open(dir.path(), options()).await.unwrap();
    for n in 20..30 {
        let append = store.append("web".into(), records(&[text(n)]), NOW, None, None);
        let done = tokio::time::timeout(Duration::from_secs(10), append).await;
        assert_eq!(done.expect("nobody waits for the replay").unwrap().first_id, n as i64 + 1);
    }
    for n in 0..30 {
        let block = blocks.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!((block.first_id, block.records.get(0)), (n as i64 + 1, text(n).as_bytes()));
        store.processed(block.first_id + 1);
    }
    assert!(store.is_settled());
}
