//! The store as the engine sees it.

#![allow(clippy::print_stderr, reason = "a test that skips itself says so")]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray};
use common::{NOW, Node, at, both, check_ledger, parse, read, records, small};
use pugmark_event::time::{DAY, HOUR};
use pugmark_store::{
    AppendError, Block, FILES_PER_FLUSH_MAX, Options, Present, Prune, PruneOp, PruneValue, Scan,
    Store, StoreError,
};

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("record {i}")).collect()
}

both!(records_are_found_before_and_after_a_flush_and_a_restart);
async fn records_are_found_before_and_after_a_flush_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    let first = node.append(&texts(100)).await.unwrap();
    assert_eq!((first.first_id, first.count), (1, 100));
    node.settle().await;
    let expected = read(&node.store, Scan::default());
    assert_eq!((expected.len(), expected[&7].as_str()), (100, "record 6"));

    let before = node.store.snapshot();
    let flushed = node.store.flush().await.unwrap();
    assert_eq!((flushed.events, flushed.segments), (100, 1));
    assert_eq!(read(&node.store, Scan::default()), expected);
    assert_eq!(before.rows(), 100, "an older snapshot still sees its events");
    assert_eq!(node.store.memtable_bytes(), 0);

    node.append(&texts(3)).await.unwrap();
    node.store.shed("dns", 5, "the queue was full");
    node.close().await;
    assert_eq!(std::fs::read_dir(dir.path().join("wal")).unwrap().count(), 0);
    let node = Node::open(dir.path(), small()).await;
    assert_eq!(read(&node.store, Scan::default()).len(), 103);
    assert_eq!(check_ledger(&node.store).await, 108);
    assert_eq!(node.append(&texts(1)).await.unwrap().first_id, 104);
    let usage = node.store.usage();
    assert_eq!((usage.segments, usage.events >= 103), (2, true), "{usage:?}");
    node.close().await;
}

both!(bounds_are_exact_and_filters_only_skip);
async fn bounds_are_exact_and_filters_only_skip() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    let day = |d: i64| format!("event day={d}");
    node.append(&[day(0), day(1), day(2)]).await.unwrap();
    node.settle().await;
    node.store.flush().await.unwrap();
    node.append(&[day(0), day(3)]).await.unwrap();
    node.settle().await;
    let ids = |scan: Scan| read(&node.store, scan).into_keys().collect::<Vec<_>>();
    let from = |d: i64| Scan { from: Some(NOW - d * DAY), ..Scan::default() };
    assert_eq!(ids(from(1)), [1, 2, 4]);
    assert_eq!(ids(Scan { to: Some(NOW - DAY), ..Scan::default() }), [3, 5]);
    assert_eq!(ids(Scan { ids: Some((2, 4)), ..Scan::default() }), [2, 3, 4]);
    let prune = |column: &str, op, value| Scan {
        filters: vec![Prune { column: column.into(), op, value }],
        to: Some(NOW - HOUR),
        ..Scan::default()
    };
    // In memory nothing is skipped: only id 5 is left of the flushed and fresh ones.
    assert_eq!(ids(prune("source_ip", PruneOp::Eq, PruneValue::Text("99.0.0.1".into()))), [5]);
    assert_eq!(ids(prune("user_name", PruneOp::Eq, PruneValue::Text("root".into()))), [5]);
    assert_eq!(
        ids(prune("http_response_status_code", PruneOp::GtEq, PruneValue::Long(202))),
        [3, 5]
    );
    let newest: Vec<_> =
        node.store.snapshot().scan(Scan::default()).iter().map(|p| p.times().1).collect();
    assert!(newest.is_sorted_by(|a, b| a >= b), "{newest:?}");
    node.close().await;
}

/// Events of a range that have each of these columns; with `~` it is an estimate.
#[track_caller]
fn check_present(store: &Store, (from, to): (Option<i64>, Option<i64>), expected: [&str; 4]) {
    let day = |days: i64| NOW - days * DAY;
    let present = store.snapshot().present(from.map(day), to.map(day)).unwrap();
    let shown = |p: &Present| format!("{}{}", if p.exact { "" } else { "~" }, p.events);
    let column = |name| present.columns.get(name).map_or("-".to_string(), shown);
    let columns = ["source_ip", "attributes.custom.key", "user_name"].map(column);
    let [ip, key, user] = &columns;
    let found = [&shown(&present.events), ip, key, user];
    assert_eq!(found, expected, "{from:?} to {to:?}");
}

both!(columns_of_a_range_are_counted_without_reading_rows);
async fn columns_of_a_range_are_counted_without_reading_rows() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    check_present(&node.store, (None, None), ["0", "-", "-", "-"]);
    let days: Vec<String> = (0..3).map(|day| format!("event day={day}")).collect();
    node.append(&days).await.unwrap();
    node.settle().await;
    check_present(&node.store, (None, None), ["3", "3", "3", "-"]);
    // One batch of two days, of which the range has a half.
    check_present(&node.store, (Some(1), None), ["~2", "~2", "~2", "-"]);
    check_present(&node.store, (Some(5), Some(3)), ["0", "-", "-", "-"]);
    node.store.flush().await.unwrap();
    // Each day has a file of its own.
    check_present(&node.store, (None, None), ["3", "3", "3", "-"]);
    check_present(&node.store, (Some(1), None), ["2", "2", "2", "-"]);
    check_present(&node.store, (Some(1), Some(0)), ["1", "1", "1", "-"]);
    node.append(&days).await.unwrap();
    node.settle().await;
    check_present(&node.store, (None, None), ["6", "6", "6", "-"]);
    check_present(&node.store, (Some(1), None), ["~4", "~4", "~4", "-"]);
    node.close().await;
}

both!(batches_have_the_columns_that_were_asked_for);
async fn batches_have_the_columns_that_were_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    node.append(&texts(2)).await.unwrap();
    node.settle().await;
    for _ in 0..2 {
        let all = node.store.snapshot().scan(Scan::default()).remove(0);
        let all = all.read().next().unwrap().unwrap();
        assert_eq!(all.schema(), pugmark_event::batch::schema());
        let batch = pugmark_event::Batch::new(all).unwrap();
        assert_eq!(batch.attributes().get(1, "custom.key").unwrap().text(), "record 1");

        let columns = Some(vec!["user_name".to_string(), "source_ip".to_string()]);
        let scan = Scan { columns, from: Some(NOW), ..Scan::default() };
        let part = node.store.snapshot().scan(scan).remove(0);
        let some = part.read().next().unwrap().unwrap();
        assert_eq!((some.num_columns(), some.column(0).null_count()), (2, 2));
        assert_eq!(some.column(1).as_string::<i32>().value(1), "10.0.0.1");
        for from in [None, Some(NOW - 1)] {
            let count = Scan { columns: Some(vec![]), from, ..Scan::default() };
            let part = node.store.snapshot().scan(count).remove(0);
            assert_eq!(part.read().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
        }
        node.store.flush().await.unwrap();
    }
    let odd = Scan { columns: Some(vec!["nope".into()]), ..Scan::default() };
    let error = node.store.snapshot().scan(odd).remove(0).read().next().unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Column(_)), "{error}");
    node.close().await;
}

both!(hostile_times_make_few_files);
async fn hostile_times_make_few_files() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { memtable_bytes_max: 1 << 30, ..Options::default() };
    let node = Node::open(dir.path(), options).await;
    let spread: Vec<String> = (0..9000).map(|d| format!("day={d}")).collect();
    node.append(&spread).await.unwrap();
    node.append(&texts(50)).await.unwrap();
    node.settle().await;
    let flushed = node.store.flush().await.unwrap();
    assert_eq!(flushed.segments as usize, FILES_PER_FLUSH_MAX);
    assert_eq!(read(&node.store, Scan::default()).len(), 9050);
    let scan = Scan { to: Some(NOW - 8990 * DAY), ..Scan::default() };
    assert_eq!(read(&node.store, scan).len(), 9);
    check_ledger(&node.store).await;
    node.close().await;
}

both!(quarantined_records_are_kept_and_counted);
async fn quarantined_records_are_kept_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { memtable_bytes_max: 2 << 20, ..small() };
    let node = Node::open(dir.path(), options).await;
    let long = vec![b'x'; 3 << 20];
    let why = Some("too long".to_string());
    node.store.append("web".into(), records(&[&long]), NOW, None, why).await.unwrap();
    node.append(&texts(1)).await.unwrap();
    node.settle().await;
    for _ in 0..2 {
        let held = node.store.quarantined(10).await.unwrap();
        assert_eq!((held.len(), held[0].id, held[0].bytes), (1, 1, 3 << 20));
        assert_eq!((held[0].reason.as_str(), &held[0].record[..3]), ("too long", &b"xxx"[..]));
        let row = node.store.ledger().await.unwrap().remove(0);
        assert_eq!((row.received, row.stored, row.quarantined), (2, 1, 1));
        let minutes = node.store.ledger_minutes(NOW).await.unwrap();
        assert_eq!(minutes, [("web".to_string(), NOW, 2)]);
        node.store.flush().await.unwrap();
        check_ledger(&node.store).await;
    }
    node.close().await;
}

both!(one_process_writes_and_others_read);
async fn one_process_writes_and_others_read() {
    let dir = tempfile::tempdir().unwrap();
    let missing =
        Store::open_read_only(dir.path(), at(dir.path(), small()).await).await.err().unwrap();
    assert!(matches!(missing, StoreError::NoData(_)), "{missing}");
    let node = Node::open(dir.path(), small()).await;
    let second = Store::open(dir.path(), at(dir.path(), small()).await).await.err().unwrap();
    assert!(matches!(second, StoreError::Locked { pid: Some(_), .. }), "{second}");

    node.append(&texts(10)).await.unwrap();
    node.settle().await;
    node.store.flush().await.unwrap();
    node.append(&texts(5)).await.unwrap();
    let why = Some("odd".to_string());
    node.store.append("web".into(), records(&["x"]), NOW, None, why).await.unwrap();
    let look = || async {
        let (reader, tail) =
            Store::open_read_only(dir.path(), at(dir.path(), small()).await).await.unwrap();
        tail.iter().for_each(|block| reader.insert(parse(block)));
        assert_eq!(read(&reader, Scan::default()).len(), 15);
        assert_eq!(reader.ledger().await.unwrap()[0].received, 16);
        assert_eq!(reader.quarantined(5).await.unwrap().len(), 1);
        let refused = reader.append("a".into(), records(&["a"]), NOW, None, None).await;
        assert_eq!(refused, Err(AppendError::Closed));
        assert!(matches!(reader.flush().await, Err(StoreError::ReadOnly)));
    };
    look().await;
    node.close().await;
    look().await;
}

both!(a_reader_sees_everything_while_the_writer_flushes);
async fn a_reader_sees_everything_while_the_writer_flushes() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    let until = Instant::now() + Duration::from_millis(1500);
    let mut appended = 0;
    let mut looks = 0;
    while Instant::now() < until {
        appended += node.append(&texts(40)).await.unwrap().count;
        if appended % 400 == 0 {
            let store = node.store.clone();
            node.settle().await;
            let flush = tokio::spawn(async move { store.flush().await.unwrap() });
            let (reader, tail) =
                Store::open_read_only(dir.path(), at(dir.path(), small()).await).await.unwrap();
            tail.iter().for_each(|block| reader.insert(parse(block)));
            assert_eq!(read(&reader, Scan::default()).len(), appended);
            assert_eq!(read(&node.store, Scan::default()).len(), appended);
            flush.await.unwrap();
            looks += 1;
        }
    }
    assert!(looks > 2, "{looks}");
    check_ledger(&node.store).await;
    node.close().await;
}

both!(a_full_queue_says_so_and_recovers);
async fn a_full_queue_says_so_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { queue_bytes_max: 20_000, blocks_max: 8, ..small() };
    let (store, blocks) = Store::open(dir.path(), at(dir.path(), options).await).await.unwrap();
    let block = records(&[vec![b'x'; 6000]]);
    let append = || store.append("web".into(), block.clone(), NOW, None, None);
    for _ in 0..3 {
        append().await.unwrap();
    }
    assert_eq!(append().await, Err(AppendError::Full));
    let first: Block = blocks.recv().unwrap();
    store.insert(parse(&first));
    store.processed(2);
    append().await.unwrap();
    let huge = records(&[vec![0; 257 << 20]]);
    let refused = store.append("web".into(), huge, NOW, None, None).await;
    assert!(matches!(refused, Err(AppendError::TooBig { .. })), "{refused:?}");
    // Nobody takes the other blocks: they stay in the WAL.
    store.close().await.unwrap();
    drop((store, blocks));
    let node = Node::open(dir.path(), small()).await;
    node.settle().await;
    assert_eq!(read(&node.store, Scan::default()).into_keys().collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(node.store.recovery().replayed, 3);
    node.close().await;
}

both!(appends_polled_together_share_an_fsync_and_keep_their_order);
async fn appends_polled_together_share_an_fsync_and_keep_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let node =
        Node::open(dir.path(), Options { disk_free_bytes_min: 0, ..Options::default() }).await;
    let appends = (0..500).map(|i| {
        let (store, text) = (node.store.clone(), format!("{i}"));
        async move { store.append("web".into(), records(&[text]), NOW, None, None).await.unwrap() }
    });
    let done = futures::future::join_all(appends).await;
    assert!(done.windows(2).all(|w| w[0].first_id < w[1].first_id));
    node.settle().await;
    assert!(node.store.snapshot().scan(Scan::default()).len() < 100, "small batches are joined");
    assert_eq!(read(&node.store, Scan::default()).len(), 500);
    node.close().await;
}

both!(a_reserve_on_the_disk_is_kept);
async fn a_reserve_on_the_disk_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { disk_free_bytes_min: u64::MAX / 2, ..small() };
    let node = Node::open(dir.path(), options).await;
    let error = node.append(&texts(1)).await.unwrap_err();
    assert!(matches!(&error, AppendError::DiskFull(why) if why.contains("free")), "{error}");
    assert!(node.store.problem().unwrap().contains("kept in reserve"));
    node.close().await;
}

both!(a_full_disk_stops_intake_loses_nothing_and_recovers);
async fn a_full_disk_stops_intake_loses_nothing_and_recovers() {
    let Some(disk) = Disk::mount("16m") else {
        eprintln!("skipped: no right to mount a small disk");
        return;
    };
    for reserve in [0, 1 << 20] {
        let data = disk.path().join(format!("data{reserve}"));
        let memtable_bytes_max = 64 << 20;
        let options =
            Options { disk_free_bytes_min: reserve, memtable_bytes_max, ..Options::default() };
        let node = Node::open(&data, options).await;
        // Bytes that do not compress, so that the disk fills.
        let mut seed = 1_u64;
        let mut noise = || -> String {
            let next = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b'!' + (seed >> 33) as u8 % 90)
            };
            std::iter::repeat_with(next).take(20_000).collect()
        };
        let ballast = disk.path().join("ballast");
        std::fs::write(&ballast, vec![1; 11 << 20]).unwrap();
        let mut acknowledged = 0;
        let error = loop {
            match node.append(&[noise(), noise()]).await {
                Ok(appended) => acknowledged += appended.count,
                Err(error) => break error,
            }
            assert!(acknowledged < 1000, "the disk never fills");
        };
        assert!(matches!(error, AppendError::DiskFull(_)), "{error}");
        assert!(node.store.problem().is_some());
        node.settle().await;
        assert_eq!(read(&node.store, Scan::default()).len(), acknowledged);

        std::fs::remove_file(&ballast).unwrap();
        let patience = Instant::now() + Duration::from_secs(5);
        while node.store.problem().is_some() && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(node.store.problem(), None);
        acknowledged += node.append(&[noise()]).await.unwrap().count;
        node.close().await;
        let node = Node::open(&data, small()).await;
        node.settle().await;
        assert_eq!(read(&node.store, Scan::default()).len(), acknowledged);
        check_ledger(&node.store).await;
        node.close().await;
        std::fs::remove_dir_all(&data).unwrap();
    }
}

/// A small disk in memory.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().ok()?;
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(dir.path());
        let quiet = mount.stderr(std::process::Stdio::null());
        quiet.status().ok()?.success().then(|| Disk(dir))
    }

    fn path(&self) -> &std::path::Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

both!(a_flush_that_fails_keeps_everything);
async fn a_flush_that_fails_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    node.append(&texts(10)).await.unwrap();
    node.settle().await;
    let segments = dir.path().join("segments");
    std::fs::remove_dir(&segments).unwrap();
    std::fs::write(&segments, "in the way").unwrap();
    node.store.flush().await.unwrap_err();
    assert_eq!(read(&node.store, Scan::default()).len(), 10);
    std::fs::remove_file(&segments).unwrap();
    assert_eq!(node.store.flush().await.unwrap().events, 10);
    assert_eq!(read(&node.store, Scan::default()).len(), 10);
    check_ledger(&node.store).await;
    node.close().await;
}

both!(accounts_hold_users_sessions_and_tokens);
async fn accounts_hold_users_sessions_and_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    let accounts = node.store.accounts();
    assert_eq!(accounts.user_count().await.unwrap(), 0);
    accounts.create_user("ada", "hash").await.unwrap();
    assert_eq!(accounts.password_hash("ada").await.unwrap().as_deref(), Some("hash"));
    accounts.create_session("s1", "ada", i64::MAX).await.unwrap();
    assert_eq!(accounts.session("s1", NOW).await.unwrap().as_deref(), Some("ada"));
    assert_eq!(accounts.session("s1", i64::MAX).await.unwrap(), None);
    accounts.create_session("s2", "nobody", i64::MAX).await.unwrap_err();
    accounts.create_user("ada", "other").await.unwrap();
    assert_eq!(accounts.session("s1", NOW).await.unwrap(), None, "a new password ends sessions");
    accounts.create_token("t", "web", "ingest", "h", NOW).await.unwrap();
    accounts.touch_token("t", NOW + 1).await.unwrap();
    let token = accounts.token("h").await.unwrap().unwrap();
    assert_eq!((token.purpose.as_str(), token.last_used), ("ingest", Some(NOW + 1)));
    assert_eq!(accounts.list_tokens().await.unwrap(), [token]);
    assert!(accounts.delete_token("t").await.unwrap());
    assert!(!accounts.delete_token("t").await.unwrap());
    accounts.set_setting("k", "v").await.unwrap();
    assert_eq!(accounts.setting("k").await.unwrap().as_deref(), Some("v"));
    node.close().await;
}

both!(corrections_of_clocks_are_kept_with_who_made_them);
async fn corrections_of_clocks_are_kept_with_who_made_them() {
    use pugmark_store::KeptCorrection;
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    let make = |source: &str, since: i64, seconds: i64| KeptCorrection {
        source: source.into(),
        since,
        seconds,
        reason: "local time".into(),
        actor: "ada".into(),
    };
    let all = [make("dns", NOW, 60), make("web", NOW + 5, -7200), make("web", NOW + 9, 0)];
    let corrections = node.store.kept_corrections();
    for correction in all.iter().rev() {
        corrections.add(correction, NOW).await.unwrap();
    }
    assert_eq!(corrections.list().await.unwrap(), all);
    // One that is there stays as it is.
    corrections.add(&make("web", NOW + 5, 1), NOW).await.unwrap_err();
    node.close().await;
    let node = Node::open(dir.path(), small()).await;
    assert_eq!(node.store.kept_corrections().list().await.unwrap(), all);
    let trail = node.store.audit_list(9).await.unwrap();
    let said: Vec<(&str, &str, i64)> = trail
        .iter()
        .map(|entry| {
            let seconds = entry.detail["correction_seconds"].as_i64().unwrap();
            (entry.action.as_str(), entry.subject.as_str(), seconds)
        })
        .collect();
    let expected = [
        ("clock corrected", "dns", 60),
        ("clock corrected", "web", -7200),
        ("clock correction removed", "web", 0),
    ];
    assert_eq!(said, expected);
    assert_eq!((trail[0].actor.as_str(), trail[0].time), ("ada", NOW));
    node.close().await;
}

both!(folded_records_are_counted_for_themselves);
async fn folded_records_are_counted_for_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    node.append(&texts(3)).await.unwrap();
    node.settle().await;
    node.store.folded("dns", 4);
    node.store.folded("dns", 0);
    assert_eq!(check_ledger(&node.store).await, 7);
    node.store.flush().await.unwrap();
    // Nothing else happened since: what was folded is written all the same.
    node.store.folded("dns", 2);
    node.close().await;
    let node = Node::open(dir.path(), small()).await;
    assert_eq!(check_ledger(&node.store).await, 9);
    let rows = node.store.ledger().await.unwrap();
    let dns = rows.iter().find(|row| row.source == "dns").unwrap();
    assert_eq!((dns.received, dns.folded, dns.stored), (6, 6, 0));
    let minutes = node.store.ledger_by_minute(&Default::default()).await.unwrap();
    assert_eq!(minutes.iter().map(|minute| minute.row.folded).sum::<u64>(), 6);
    node.close().await;
}

both!(alerts_are_kept_and_listed);
async fn alerts_are_kept_and_listed() {
    use pugmark_alert::{Alert, Status};
    use pugmark_event::Severity;
    use pugmark_store::AlertFilter;
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    let alerts = node.store.alerts();
    let make = |id: &str, last_seen: i64| -> Alert {
        serde_json::from_value(serde_json::json!({
            "id": id, "rule": {"id": "r1", "title": "T", "level": "high", "description": "",
            "falsepositives": [], "references": [], "tags": []}, "severity": "high",
            "status": "open", "verdict": null, "note": "", "entity": {"kind": "user",
            "value": "ro\"ot"}, "summary": "s", "count": 1, "first_seen": NOW,
            "last_seen": last_seen, "attack": {"tactics": [], "techniques": []}, "evidence": [1],
            "why": [], "last_event_id": last_seen - NOW, "closed_at": null
        }))
        .unwrap()
    };
    let (old, mut new) = (make("a", NOW), make("b", NOW + 1));
    alerts.upsert(&old).await.unwrap();
    alerts.upsert(&new).await.unwrap();
    assert_eq!(alerts.get("a").await.unwrap().as_ref(), Some(&old));
    assert_eq!(alerts.newest_for("r1", &new.entity).await.unwrap().as_ref(), Some(&new));
    let filter = AlertFilter { status: Some(Status::Open), limit: 1, ..Default::default() };
    assert_eq!(alerts.list(&filter).await.unwrap(), [new.clone()]);
    new.status = Status::Closed;
    alerts.upsert(&new).await.unwrap();
    assert_eq!(alerts.open_for("r1", &new.entity).await.unwrap(), None);
    assert_eq!(alerts.list(&filter).await.unwrap(), [old]);
    let entity = AlertFilter {
        severity: Some(Severity::High),
        rule: Some("r1".into()),
        entity: Some("ro\"ot".into()),
        ..Default::default()
    };
    assert_eq!(alerts.list(&entity).await.unwrap().len(), 2);
    assert_eq!(alerts.counts_by_severity().await.unwrap(), [("high".to_string(), 1)]);
    assert_eq!(alerts.count_by_rule().await.unwrap(), [("r1".to_string(), 2)]);
    node.close().await;
}

both!(small_segments_are_merged_and_nothing_changes);
async fn small_segments_are_merged_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    let mut expected = BTreeMap::new();
    for part in 0..20 {
        let texts: Vec<String> = (0..40).map(|i| format!("part {part} record {i}")).collect();
        let appended = node.append(&texts).await.unwrap();
        expected.extend((appended.first_id..).zip(texts));
        node.settle().await;
        node.store.flush().await.unwrap();
    }
    let before = node.store.usage().segments;
    let held = node.store.snapshot();
    let compacted = node.store.compact().await.unwrap();
    assert_eq!((compacted.removed, compacted.added), (12, 1), "{before} segments");
    assert_eq!(node.store.usage().segments, before - 11);
    assert_eq!(read(&node.store, Scan::default()), expected);
    check_ledger(&node.store).await;
    // A question that began before goes on with the old files.
    let rows: usize = held
        .scan(Scan::default())
        .into_iter()
        .flat_map(|part| part.read())
        .map(|batch| batch.unwrap().num_rows())
        .sum();
    assert_eq!(rows, expected.len());
    node.close().await;
    let node = Node::open(dir.path(), small()).await;
    assert_eq!(read(&node.store, Scan::default()), expected);
    check_ledger(&node.store).await;
    node.close().await;
}
