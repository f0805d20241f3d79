//! Care: checks, backups, replays and reparses, on real folders.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{NOW, Node, check_ledger, parse, read, records, small};
use pugmark_event::time::DAY;
use pugmark_event::{Batch, BatchBuilder, Value, fields};
use pugmark_store::{
    Block, Depth, LedgerFilter, Level, ManifestAt, Options, ReplayFilter, Report, RewriteScope,
    Scan, Store, backup, check, restore,
};

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("record {i} day={}", i % 3)).collect()
}

/// A folder with segments of three days, a record in quarantine, and a tail in the WAL.
async fn filled(dir: &Path) -> Node {
    let node = Node::open(dir, small()).await;
    node.append(&texts(30)).await.unwrap();
    let why = Some("odd".to_string());
    node.store.append("dns".into(), records(&["\u{1}odd"]), NOW, None, why).await.unwrap();
    node.settle().await;
    node.store.flush().await.unwrap();
    node.append(&texts(5)).await.unwrap();
    node.settle().await;
    node
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let (mut folders, mut found) = (vec![dir.join("segments")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

async fn run_sql(dir: &Path, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("pugmark.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query(sql).execute(&pool).await.unwrap();
    pool.close().await;
}

/// What a second process finds.
async fn look(dir: &Path, depth: Depth) -> Report {
    let (store, tail) = Store::open_read_only(dir, Options::default()).await.unwrap();
    tail.iter().for_each(|block| store.insert(parse(block)));
    check(&store, depth).await.unwrap()
}

#[track_caller]
fn says(report: &Report, level: Level, what: &str) {
    let found = report.findings.iter().any(|f| f.level == level && f.what.contains(what));
    assert!(found, "{what:?} is not in {report:#?}");
    assert_eq!(report.is_sound(), level == Level::Notice, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_store_has_no_findings() {
    let dir = tempfile::tempdir().unwrap();
    let node = filled(dir.path()).await;
    for depth in [Depth::Light, Depth::Full, Depth::Deep] {
        let beside = look(dir.path(), depth).await;
        for report in [check(&node.store, depth).await.unwrap(), beside] {
            assert_eq!(report.findings, [], "{depth:?}");
            assert_eq!(report.segments, 3);
            let looked = depth > Depth::Light;
            assert_eq!(
                (report.quarantined, report.wal_records),
                if looked { (1, 5) } else { (0, 0) }
            );
            assert_eq!(report.events, if depth == Depth::Deep { 30 } else { 0 });
        }
    }
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_found_and_named() {
    type Damage = fn(&Path);
    let cases: [(Damage, Depth, Level, &str); 5] = [
        (
            |dir| std::fs::remove_file(&segments(dir)[0]).unwrap(),
            Depth::Light,
            Level::Wrong,
            "is missing",
        ),
        (
            |dir| {
                let file = std::fs::File::options().write(true).open(&segments(dir)[0]).unwrap();
                file.set_len(100).unwrap();
            },
            Depth::Light,
            Level::Wrong,
            "another size",
        ),
        (
            |dir| {
                let path = &segments(dir)[0];
                let mut bytes = std::fs::read(path).unwrap();
                let middle = bytes.len() / 4;
                bytes[middle..middle + 64].fill(0);
                std::fs::write(path, bytes).unwrap();
            },
            Depth::Deep,
            Level::Wrong,
            "segment",
        ),
        (
            |dir| std::fs::write(dir.join("segments/new.parquet"), "x").unwrap(),
            Depth::Light,
            Level::Notice,
            "does not know this file",
        ),
        (
            |dir| {
                let wal = std::fs::read_dir(dir.join("wal")).unwrap().next().unwrap().unwrap();
                let mut bytes = std::fs::read(wal.path()).unwrap();
                bytes.extend_from_slice(b"torn");
                std::fs::write(wal.path(), bytes).unwrap();
            },
            Depth::Full,
            Level::Notice,
            "not finished",
        ),
    ];
    for (damage, depth, level, what) in cases {
        let dir = tempfile::tempdir().unwrap();
        // Dropped, not closed: a tail stays in the WAL.
        drop(filled(dir.path()).await);
        damage(dir.path());
        says(&look(dir.path(), depth).await, level, what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_does_not_balance_is_found_at_every_start() {
    for (sql, what) in [
        ("UPDATE ledger SET stored = stored - 1 WHERE source = 'web'", "stored"),
        ("UPDATE ledger_minutes SET received = received + 1", "minutes"),
        ("DELETE FROM quarantine", "quarantine"),
        ("UPDATE quarantine SET record = x'00'", "unpacked"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path()).await);
        run_sql(dir.path(), sql).await;
        says(&look(dir.path(), Depth::Full).await, Level::Wrong, what);
    }
    // And one that does, after every restart.
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()).await);
    for _ in 0..3 {
        let node = Node::open(dir.path(), small()).await;
        node.append(&texts(3)).await.unwrap();
        node.settle().await;
        assert_eq!(check(&node.store, Depth::Deep).await.unwrap().findings, []);
        check_ledger(&node.store).await;
        drop(node);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_told_by_minute_and_with_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let node = filled(dir.path()).await;
    let all = LedgerFilter::default();
    let web = LedgerFilter { source: Some("web".into()), ..all.clone() };
    let earlier = LedgerFilter { to: Some(NOW), ..all.clone() };
    for _ in 0..2 {
        let reader = Store::open_read_only(dir.path(), Options::default()).await.unwrap();
        reader.1.iter().for_each(|block| reader.0.insert(parse(block)));
        for store in [&*node.store, &reader.0] {
            let rows = store.ledger_by_minute(&all).await.unwrap();
            let shape: Vec<_> = rows
                .iter()
                .map(|m| (m.minute, m.row.source.as_str(), m.row.stored, m.row.quarantined))
                .collect();
            assert_eq!(shape, [(NOW, "dns", 0, 1), (NOW, "web", 35, 0)]);
            assert_eq!(store.ledger_of(&web).await.unwrap()[0].received, 35);
            assert_eq!(store.ledger_of(&earlier).await.unwrap(), []);
            assert_eq!(store.ledger_reasons(&web).await.unwrap(), []);
            let reasons = store.ledger_reasons(&all).await.unwrap();
            let shape: Vec<_> = reasons
                .iter()
                .map(|r| (r.source.as_str(), r.fate.as_str(), r.reason.as_str(), r.count))
                .collect();
            assert_eq!(shape, [("dns", "quarantined", "odd", 1)]);
        }
        node.store.flush().await.unwrap();
    }
    node.close().await;
}

/// The events of records in quarantine, as the engine would make them.
async fn events_of(store: &Store, ids: &[i64]) -> Vec<Batch> {
    let mut batches = Vec::new();
    for id in ids {
        let entry = store.quarantined_record(*id).await.unwrap().unwrap();
        batches.push(parse(&Block {
            source: entry.source.as_str().into(),
            records: records(&[&entry.record]),
            first_id: entry.id,
            received: entry.received,
            format: None,
            quarantine: None,
        }));
    }
    batches
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_in_quarantine_become_events_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { memtable_bytes_max: 1 << 20, ..small() };
    let node = Node::open(dir.path(), options).await;
    let why = |text: &str| Some(text.to_string());
    let long = vec![b'x'; 200_000];
    for (source, reason) in [("web", "odd"), ("dns", "too long")] {
        let block = records(&[long.as_slice(), b"day=1", b"\xff"]);
        node.store.append(source.into(), block, NOW, None, why(reason)).await.unwrap();
    }
    node.append(&texts(4)).await.unwrap();
    node.settle().await;
    // In memory alone, whole.
    assert_eq!(node.store.quarantined_record(1).await.unwrap().unwrap().record, long);
    let by = |filter: ReplayFilter| {
        let store = node.store.clone();
        async move {
            let ids = store.quarantine_ids(&filter).await.unwrap();
            ids.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        }
    };
    let all = ReplayFilter::default();
    assert_eq!(by(ReplayFilter { source: why("web"), ..all.clone() }).await, [1, 2, 3]);
    assert_eq!(by(ReplayFilter { reason: why("long"), ..all.clone() }).await, [4, 5, 6]);
    assert_eq!(by(ReplayFilter { ids: [2, 9].into(), ..all.clone() }).await, [2]);
    assert_eq!(node.store.quarantined_record(1).await.unwrap().unwrap().record, long);

    let batches = events_of(&node.store, &[2, 3, 5]).await;
    assert_eq!(node.store.replay("me", batches.clone()).await.unwrap(), 3);
    // A second time changes nothing.
    node.store.replay("me", batches).await.unwrap_err();
    node.store.set_quarantine_reason(&[1, 4], "still too long").await.unwrap();
    for _ in 0..2 {
        let found = read(&node.store, Scan::default());
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [2, 3, 5, 7, 8, 9, 10]);
        assert_eq!(by(all.clone()).await, [1, 4, 6]);
        assert_eq!(check_ledger(&node.store).await, 10);
        let reasons = node.store.ledger_reasons(&LedgerFilter::default()).await.unwrap();
        let shape: Vec<_> = reasons.iter().map(|r| (r.reason.as_str(), r.count)).collect();
        assert_eq!(shape, [("still too long", 1), ("too long", 1), ("still too long", 1)]);
        assert_eq!(check(&node.store, Depth::Deep).await.unwrap().findings, []);
    }
    let trail = node.store.audit_list(10).await.unwrap();
    assert_eq!((trail.len(), trail[0].actor.as_str()), (1, "me"));
    node.close().await;
    let node = Node::open(dir.path(), small()).await;
    assert_eq!(read(&node.store, Scan::default()).len(), 7);
    assert_eq!(check_ledger(&node.store).await, 10);
    node.close().await;
}

/// A parser of tomorrow: it finds the user, and the day in another place.
fn tomorrow(batch: &Batch) -> Result<Batch, String> {
    let mut builder = BatchBuilder::new("web", NOW);
    for (row, id) in batch.ids().iter().enumerate() {
        builder.begin(*id, batch.original(row));
        builder.set(fields::USER_NAME, Value::Text("ada"));
        builder.end(Some(batch.event_times()[row] - 7 * DAY));
    }
    builder.finish().map_err(|error| error.to_string())
}

fn users(store: &Store) -> BTreeMap<i64, String> {
    let columns = Some(vec!["event_id".to_string(), "user_name".to_string()]);
    let mut found = BTreeMap::new();
    for part in store.snapshot().scan(Scan { columns, ..Scan::default() }) {
        for batch in part.read() {
            let batch = batch.unwrap();
            let ids: &arrow::array::Int64Array = batch.column(0).as_any().downcast_ref().unwrap();
            let users: &arrow::array::StringArray =
                batch.column(1).as_any().downcast_ref().unwrap();
            for row in 0..batch.num_rows() {
                let user = users.iter().nth(row).flatten().unwrap_or("").to_string();
                assert_eq!(found.insert(ids.value(row), user), None);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_made_anew_take_the_place_of_the_old_ones() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    node.append(&texts(30)).await.unwrap();
    let other = records(&["of another source day=1"]);
    node.store.append("dns".into(), other, NOW, None, None).await.unwrap();
    node.settle().await;
    node.store.flush().await.unwrap();
    let before = read(&node.store, Scan::default());
    let old = node.store.snapshot();

    // The same events again change nothing.
    let scope = RewriteScope { source: "web".into(), from: Some(NOW - DAY), to: None };
    let same = Arc::new(|batch: &Batch| Ok(batch.clone()));
    let done = node.store.rewrite(&scope, "me", same, |_| ()).await.unwrap();
    assert_eq!((done.segments, done.replaced, done.events), (2, 0, 20));
    let fails = Arc::new(|_: &Batch| Err("no".to_string()));
    node.store.rewrite(&scope, "me", fails, |_| ()).await.unwrap_err();

    // Queries go on meanwhile, and see each event once.
    let stop = Arc::new(AtomicBool::new(false));
    let (store, until) = (node.store.clone(), stop.clone());
    let asking = std::thread::spawn(move || {
        while !until.load(Ordering::SeqCst) {
            assert_eq!(read(&store, Scan::default()).len(), 31);
        }
    });
    let mut steps = 0;
    let done = node.store.rewrite(&scope, "me", Arc::new(tomorrow), |_| steps += 1).await.unwrap();
    stop.store(true, Ordering::SeqCst);
    asking.join().unwrap();
    assert_eq!((done.replaced, done.events, steps), (2, 20, 2));
    let expected = |id: &i64| if *id <= 30 && (id - 1) % 3 < 2 { "ada" } else { "" };
    for _ in 0..2 {
        assert_eq!(read(&node.store, Scan::default()), before);
        for (id, user) in users(&node.store) {
            assert_eq!(user, expected(&id), "{id}");
        }
        let moved = Scan { to: Some(NOW - 5 * DAY), ..Scan::default() };
        assert_eq!(read(&node.store, moved).len(), 20);
        // The files of the old events stay for the question that began before.
        let report = check(&node.store, Depth::Deep).await.unwrap();
        assert!(report.is_sound() && report.findings.len() == 2, "{report:#?}");
        node.store.flush().await.unwrap();
    }
    // A question that began before still sees what it saw.
    let rows: usize = old
        .scan(Scan::default())
        .into_iter()
        .flat_map(|part| part.read())
        .map(|batch| batch.unwrap().num_rows())
        .sum();
    assert_eq!(rows, 31);
    drop(old);
    assert_eq!(check(&node.store, Depth::Deep).await.unwrap().findings, []);
    node.close().await;
    let node = Node::open(dir.path(), small()).await;
    assert_eq!(read(&node.store, Scan::default()), before);
    check_ledger(&node.store).await;
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_has_everything_acknowledged_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    let node = Arc::new(Node::open(&data, small()).await);
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (node, stop) = (node.clone(), stop.clone());
        tokio::spawn(async move {
            let mut sent = 0;
            while !stop.load(Ordering::SeqCst) {
                node.append(&texts(20)).await.unwrap();
                sent += 20;
                if sent % 200 == 0 {
                    node.settle().await;
                    node.store.flush().await.unwrap();
                }
            }
        })
    };
    let mut reports = Vec::new();
    for round in 0..4 {
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        let acknowledged = node.append(&texts(1)).await.unwrap().first_id;
        let report = backup(&data, &ManifestAt::Folder, &copy).await.unwrap();
        reports.push(report);
        let restored = dir.path().join(format!("restored{round}"));
        restore(&copy, &restored).await.unwrap();
        let found = Node::open(&restored, small()).await;
        found.settle().await;
        let ids: Vec<i64> = read(&found.store, Scan::default()).into_keys().collect();
        assert!(ids.len() as i64 >= acknowledged, "{} of {acknowledged}", ids.len());
        assert!(ids.iter().copied().eq(1..=ids.len() as i64), "ids have no gaps");
        found.store.flush().await.unwrap();
        assert_eq!(check_ledger(&found.store).await, ids.len() as u64);
        assert_eq!(check(&found.store, Depth::Deep).await.unwrap().findings, []);
        found.close().await;
    }
    stop.store(true, Ordering::SeqCst);
    load.await.unwrap();
    let last = reports.last().unwrap();
    assert!(last.copied < last.files, "segments are copied once: {reports:?}");
    assert!(last.removed > 0, "old copies of the WAL go: {reports:?}");
    Arc::into_inner(node).unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_changed_is_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copy, new) =
        (dir.path().join("data"), dir.path().join("copy"), dir.path().join("new"));
    filled(&data).await.close().await;
    let at = ManifestAt::Folder;
    backup(&data, &at, &copy).await.unwrap();
    let error = restore(&data, &new).await.unwrap_err().to_string();
    assert!(error.contains("no backup.json"), "{error}");
    let error = backup(&data, &at, &data).await.unwrap_err().to_string();
    assert!(error.contains("data folder"), "{error}");
    let error = restore(&copy, &data).await.unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");

    let path = segments(&copy).remove(0);
    let whole = std::fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = restore(&copy, &new).await.unwrap_err().to_string();
    assert!(error.contains("changed"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = restore(&copy, &new).await.unwrap_err().to_string();
    assert!(error.contains("missing"), "{error}");
    assert!(!new.exists());
    // The next backup puts it right.
    backup(&data, &at, &copy).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    restore(&copy, &new).await.unwrap();
    let node = Node::open(&new, small()).await;
    assert_eq!(read(&node.store, Scan::default()).len(), 35);
    assert_eq!(check(&node.store, Depth::Deep).await.unwrap().findings, []);
    node.close().await;

    let list = copy.join("backup.json");
    let text = std::fs::read_to_string(&list).unwrap().replace("\"wal/", "\"../wal/");
    let text = text.replace("\"pugmark.db\"", "\"../pugmark.db\"");
    std::fs::write(&list, text).unwrap();
    let error = restore(&copy, &dir.path().join("other")).await.unwrap_err().to_string();
    assert!(error.contains("leads out"), "{error}");
}
