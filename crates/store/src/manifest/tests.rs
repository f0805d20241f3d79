//! The manifest's promises, each over both databases.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use pugmark_event::time::{MINUTE, Micros};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::memtable::Entry;
use crate::quarantine::Aside;
use crate::state::alerts::Alerts;
use crate::state::searches::{
    Kept, KeptSchedule, KeptSearch, KeptSearches, SEARCHES_MAX, SearchRun,
};

#[path = "../../tests/common/postgres.rs"]
mod postgres;

const NOW: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

/// A test of each name, on a SQLite file and on PostgreSQL.
macro_rules! both {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name(super::Place::folder()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(place) = super::Place::postgres().await {
                    super::$name(place).await;
                }
            }
        }
    )*};
}

both!(
    a_flush_adds_all_or_nothing,
    segments_are_replaced_by_segments_with_the_same_rows,
    segments_move_between_tiers,
    expired_rows_stay_in_the_account,
    quarantined_records_become_events,
    the_audit_trail_keeps_its_order,
    a_writer_that_was_overtaken_changes_nothing,
    a_transaction_that_is_dropped_changes_nothing,
    an_answer_that_is_lost_is_looked_up,
    a_folder_and_its_manifest_belong_together,
    readers_have_a_stable_view,
    datasets_do_not_mix,
    ten_thousand_sources_fit_in_one_flush,
    older_schemas_are_brought_up_to_date,
    saved_searches_keep_how_far_they_have_come,
    saved_searches_are_bounded,
    a_schedule_that_cannot_be_read_stops_no_other,
);

/// A folder, and where its manifest is.
struct Place {
    dir: TempDir,
    at: ManifestAt,
}

impl Place {
    fn folder() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), at: ManifestAt::Folder }
    }

    async fn postgres() -> Option<Self> {
        let server = postgres::server()?;
        let dir = tempfile::tempdir().unwrap();
        let at = server.database_of(dir.path()).await.parse().unwrap();
        Some(Self { dir, at })
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    async fn open(&self) -> Manifest {
        Manifest::open(self.dir(), &self.at).await.unwrap()
    }
}

fn segment(path: &str, sources: &[(&str, u64)]) -> SegmentInfo {
    let sources: BTreeMap<_, _> = sources.iter().map(|(s, n)| (s.to_string(), *n)).collect();
    SegmentInfo {
        path: path.into(),
        partition: "2026-11-23".into(),
        rows: sources.values().sum(),
        bytes: 1000,
        times: (NOW, NOW + 1),
        ids: (1, 2),
        sources,
        class: "security".into(),
        format: 2,
        checksum: u32::MAX,
        raw_bytes: 5000,
        tail_offset: 900,
        ..SegmentInfo::default()
    }
}

/// What a flush of these segments, and of these records set aside, seals.
fn sealed(from: i64, segments: &[SegmentInfo], asides: &[(&str, &str, usize)]) -> Sealed {
    let mut book = Book::default();
    for (source, rows) in segments.iter().flat_map(|segment| &segment.sources) {
        book.add(&source.as_str().into(), &Counts::stored(*rows, rows * 10, NOW));
    }
    let mut mark = from + book.minutes.values().map(|c| c.stored as i64).sum::<i64>();
    let batch = pugmark_event::BatchBuilder::new("x", NOW);
    let entry = {
        let mut batch = batch;
        batch.begin(from, b"");
        batch.end(None);
        Entry::new(batch.finish().unwrap(), book).unwrap()
    };
    let mut all = Vec::new();
    for (source, reason, rows) in asides {
        let records: Vec<_> = (0..*rows).map(|i| format!("{source} {i}").into_bytes()).collect();
        all.push(Arc::new(Aside {
            first_id: mark,
            source: (*source).into(),
            received: NOW + MINUTE,
            reason: (*reason).to_string(),
            records: Arc::new(records.iter().map(Vec::as_slice).collect()),
            rows: 0..*rows,
        }));
        mark += *rows as i64;
    }
    let entries = if segments.is_empty() { Vec::new() } else { vec![Arc::new(entry)] };
    Sealed { entries, asides: all, mark }
}

async fn flush(
    manifest: &Manifest,
    segments: &[SegmentInfo],
    asides: &[(&str, &str, usize)],
) -> Result<(), StoreError> {
    let from = manifest.mark().await.unwrap();
    let sealed = sealed(from, segments, asides);
    let commit = Commit {
        from,
        segments: segments.iter().collect(),
        sealed: &sealed,
        shed: &Shed::default(),
    };
    manifest.commit(&commit).await
}

/// Everything that a person can see of a manifest.
async fn all(manifest: &Manifest) -> String {
    let loaded = manifest.load(EVENTS).await.unwrap();
    let minutes = manifest.minutes(0).await.unwrap();
    let reasons = manifest.reasons(Some(0)).await.unwrap();
    let aside = manifest.quarantined_whole(&QuarantineFilter::default(), 99).await.unwrap();
    let audit = manifest.audit_list(99).await.unwrap();
    format!("{loaded:?} {minutes:?} {reasons:?} {aside:?} {audit:?}")
}

async fn balanced(manifest: &Manifest) -> Loaded {
    assert_eq!(manifest.check().await.unwrap(), []);
    manifest.load(EVENTS).await.unwrap()
}

async fn paths(manifest: &Manifest) -> Vec<String> {
    balanced(manifest).await.segments.into_iter().map(|segment| segment.path).collect()
}

/// The change fails with these words, and changes nothing.
async fn refused<T>(
    manifest: &Manifest,
    change: impl Future<Output = Result<T, StoreError>>,
    words: &str,
) {
    let before = all(manifest).await;
    let error = change.await.err().expect("it is refused").to_string();
    assert!(error.contains(words), "{error}");
    assert_eq!(all(manifest).await, before);
    balanced(manifest).await;
}

async fn a_flush_adds_all_or_nothing(place: Place) {
    let manifest = place.open().await;
    let one = segment("one", &[("web", 3), ("dns", 2)]);
    flush(&manifest, std::slice::from_ref(&one), &[("web", "broken", 2)]).await.unwrap();
    let loaded = balanced(&manifest).await;
    assert_eq!((loaded.mark, loaded.commits, &loaded.segments), (8, 1, &vec![one.clone()]));
    let web = loaded.ledger["web"];
    assert_eq!((web.received, web.stored, web.quarantined, web.raw_bytes), (5, 3, 2, 40));
    assert_eq!(manifest.minutes(NOW + 1).await.unwrap().1.len(), 1);
    refused(&manifest, flush(&manifest, &[one], &[("web", "broken", 1)]), "segments").await;
    // The same flush again, as after an answer that was lost.
    let (again, shed) = (sealed(1, &[], &[("web", "broken", 2)]), Shed::default());
    let commit = Commit { from: 1, segments: vec![], sealed: &again, shed: &shed };
    refused(&manifest, manifest.commit(&commit), "WAL mark is not 1").await;
    let manifest = place_again(&place, manifest).await;
    assert_eq!(paths(&manifest).await, ["one"]);
    manifest.close().await;
}

/// Closes and opens it again.
async fn place_again(place: &Place, manifest: Manifest) -> Manifest {
    manifest.close().await;
    place.open().await
}

async fn segments_are_replaced_by_segments_with_the_same_rows(place: Place) {
    let manifest = place.open().await;
    let old = [segment("a", &[("web", 3)]), segment("b", &[("web", 1), ("dns", 2)])];
    flush(&manifest, &old, &[]).await.unwrap();
    let merged = segment("c", &[("web", 4), ("dns", 2)]);
    let less = segment("c", &[("web", 3), ("dns", 2)]);
    let more = segment("c", &[("web", 4), ("dns", 2), ("ssh", 1)]);
    let replace = |removed, added| {
        let manifest = manifest.clone();
        async move { manifest.replace(removed, &[added], None).await }
    };
    refused(&manifest, replace(&["a", "b"], &less), "source web has 4 rows").await;
    refused(&manifest, replace(&["a", "b"], &more), "source ssh has 0 rows").await;
    refused(&manifest, replace(&["a", "x"], &merged), "no segment x").await;
    let why = AuditEntry::now("pugmark", "reparse", "web", json!({"rows": 6}));
    manifest.replace(&["a", "b"], &[&merged], Some(&why)).await.unwrap();
    assert_eq!(balanced(&manifest).await.segments, std::slice::from_ref(&merged));
    assert_eq!(manifest.audit_list(9).await.unwrap()[0].detail, json!({"rows": 6}));
    refused(&manifest, replace(&["a", "b"], &merged), "no segment a").await;
    manifest.close().await;
}

async fn segments_move_between_tiers(place: Place) {
    let manifest = place.open().await;
    flush(&manifest, &[segment("a", &[("web", 3)])], &[]).await.unwrap();
    manifest.move_to("a", Tier::Cold, Some("logs/a"), None).await.unwrap();
    let a = balanced(&manifest).await.segments.remove(0);
    assert_eq!((a.tier, a.object.as_deref()), (Tier::Cold, Some("logs/a")));
    manifest.move_to("a", Tier::Hot, None, None).await.unwrap();
    assert_eq!(balanced(&manifest).await.segments, [segment("a", &[("web", 3)])]);
    refused(&manifest, manifest.move_to("b", Tier::Cold, None, None), "no segment b").await;
    manifest.close().await;
}

async fn expired_rows_stay_in_the_account(place: Place) {
    let manifest = place.open().await;
    let segments = [segment("a", &[("web", 3), ("dns", 1)]), segment("b", &[("web", 2)])];
    flush(&manifest, &segments, &[]).await.unwrap();
    let why = AuditEntry::now("pugmark", "expire", "default", json!({"paths": ["a"]}));
    refused(&manifest, manifest.expire(&["a", "x"], &why), "no segment x").await;
    let expired = manifest.expire(&["a"], &why).await.unwrap();
    assert_eq!(expired, BTreeMap::from([("dns".into(), 1), ("web".into(), 3)]));
    let loaded = balanced(&manifest).await;
    let web = loaded.ledger["web"];
    assert_eq!((web.received, web.stored, web.expired, loaded.segments.len()), (5, 5, 3, 1));
    assert_eq!(manifest.audit_list(9).await.unwrap()[0].action, "expire");
    manifest.close().await;
}

async fn quarantined_records_become_events(place: Place) {
    let manifest = place.open().await;
    flush(&manifest, &[segment("a", &[("web", 3)])], &[("web", "bad", 2), ("dns", "odd", 2)])
        .await
        .unwrap();
    let of_web = QuarantineFilter { source: Some("web".into()), ..QuarantineFilter::default() };
    let entries = manifest.quarantined_whole(&of_web, 9).await.unwrap();
    let ids: Vec<i64> = entries.iter().map(|entry| entry.id).collect();
    assert_eq!((ids.as_slice(), entries[1].record.as_slice()), (&[4, 5][..], &b"web 1"[..]));
    let (one, two) = (segment("r", &[("web", 1)]), segment("r", &[("web", 2)]));
    let replay = |ids, added| {
        let manifest = manifest.clone();
        async move { manifest.replay_quarantine(ids, &[added], None).await }
    };
    refused(&manifest, replay(&[4, 5], &one), "source web has 2 records").await;
    refused(&manifest, replay(&[4, 99], &two), "no record 99").await;
    let minutes = replay(&[4, 5, 5], &two).await.unwrap();
    assert_eq!(minutes, BTreeMap::from([(("web".into(), NOW + MINUTE), 2)]));
    let loaded = balanced(&manifest).await;
    let web = loaded.ledger["web"];
    assert_eq!((web.received, web.stored, web.quarantined, loaded.commits), (5, 5, 0, 2));
    let left = manifest.quarantined(9).await.unwrap().1;
    assert_eq!(left.iter().map(|entry| entry.id).collect::<Vec<_>>(), [7, 6]);
    let (_, reasons) = manifest.reasons(None).await.unwrap();
    assert_eq!(reasons.iter().map(|r| r.reason.as_str()).collect::<Vec<_>>(), ["odd"]);
    assert_eq!(manifest.reasons(Some(0)).await.unwrap().1.len(), 1);
    assert!(manifest.quarantined_record(4).await.unwrap().is_none());
    manifest.close().await;
}

async fn the_audit_trail_keeps_its_order(place: Place) {
    let manifest = place.open().await;
    for n in 0..5 {
        manifest.audit(&AuditEntry::now("ann", "hold", "web", json!(n))).await.unwrap();
    }
    let newest = manifest.audit_list(3).await.unwrap();
    assert_eq!(newest.iter().map(|e| e.detail.clone()).collect::<Vec<_>>(), [4, 3, 2]);
    manifest.close().await;
}

async fn a_writer_that_was_overtaken_changes_nothing(place: Place) {
    let first = place.open().await;
    flush(&first, &[segment("a", &[("web", 3)])], &[]).await.unwrap();
    let second = match Manifest::open(place.dir(), &place.at).await {
        Ok(second) => second,
        Err(error) => {
            // PostgreSQL knows that the first is still there.
            let error = error.to_string();
            assert!(error.contains("is in use by process") && error.contains("stop"), "{error}");
            // As if its connection had been lost and taken for dead.
            let Some(Pool::Postgres(pool)) = &first.writer else { panic!("{error}") };
            sqlx::raw_sql("SELECT pg_advisory_unlock_all()").execute(pool).await.unwrap();
            place.open().await
        }
    };
    let taken = "another Pugmark has taken over";
    let b = segment("b", &[("web", 1)]);
    refused(&first, flush(&first, std::slice::from_ref(&b), &[]), taken).await;
    refused(&first, first.replace(&["a"], &[&segment("c", &[("web", 3)])], None), taken).await;
    refused(&first, first.run("DELETE FROM tokens", args![]), taken).await;
    flush(&second, &[b], &[]).await.unwrap();
    assert_eq!(paths(&second).await, ["a", "b"]);
    first.close().await;
    second.close().await;
}

async fn a_transaction_that_is_dropped_changes_nothing(place: Place) {
    let manifest = place.open().await;
    flush(&manifest, &[segment("a", &[("web", 3)])], &[]).await.unwrap();
    let before = all(&manifest).await;
    let mut tx = manifest.begin().await.unwrap();
    tx.run("DELETE FROM segments", args![]).await.unwrap();
    tx.run("UPDATE progress SET value = 99", args![]).await.unwrap();
    drop(tx);
    assert_eq!(all(&manifest).await, before);
    flush(&manifest, &[segment("b", &[("web", 1)])], &[]).await.unwrap();
    assert_eq!(paths(&manifest).await, ["a", "b"]);
    manifest.close().await;
}

async fn an_answer_that_is_lost_is_looked_up(place: Place) {
    let manifest = place.open().await;
    flush(&manifest, &[segment("a", &[("web", 3)])], &[]).await.unwrap();
    // The connection is lost before the change counts.
    if let Some(Pool::Postgres(_)) = &manifest.writer {
        let before = all(&manifest).await;
        let mut tx = manifest.begin().await.unwrap();
        tx.run("DELETE FROM segments", args![]).await.unwrap();
        let pid: i32 =
            tx.row("SELECT pg_backend_pid()", args![]).await.unwrap().unwrap().get(0).unwrap();
        manifest
            .row("SELECT pg_terminate_backend($1::BIGINT::INT)", args![i64::from(pid)])
            .await
            .unwrap();
        manifest.finish(tx).await.unwrap_err();
        assert_eq!(all(&manifest).await, before);
        // The next change connects again, and holds the lock again.
        manifest.run("DELETE FROM tokens", args![]).await.unwrap();
        let taken = Manifest::open(place.dir(), &place.at).await.unwrap_err();
        assert!(matches!(taken, StoreError::ManifestTaken { .. }), "{taken}");
    }
    // The change counts, and the answer is lost.
    let mut tx = manifest.begin().await.unwrap();
    tx.run("UPDATE progress SET value = 5 WHERE name = 'commits'", args![]).await.unwrap();
    let turn = tx.turn.take().unwrap();
    tx.commit().await.unwrap();
    assert!(manifest.counts(turn).await.unwrap());
    // It does not count, and the answer is lost.
    let mut tx = manifest.begin().await.unwrap();
    let turn = tx.turn.take().unwrap();
    drop(tx);
    assert!(!manifest.counts(turn).await.unwrap());
    assert_eq!(manifest.load(EVENTS).await.unwrap().commits, 5);
    manifest.close().await;
}

async fn a_folder_and_its_manifest_belong_together(place: Place) {
    let manifest = place.open().await;
    flush(&manifest, &[segment("a", &[("web", 3)])], &[]).await.unwrap();
    manifest.close().await;
    let day = place.dir().join("segments/2026-11-23");
    std::fs::create_dir_all(&day).unwrap();
    std::fs::write(day.join("a.parquet"), "a").unwrap();
    let refused = async |dir: &Path, at: &ManifestAt, words: &str| {
        let error = Manifest::open(dir, at).await.unwrap_err();
        assert!(matches!(error, StoreError::NotTogether { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    let other = tempfile::tempdir().unwrap();
    match &place.at {
        ManifestAt::Folder => {
            // Its segments would be taken for leftovers.
            std::fs::rename(place.dir().join("pugmark.db"), other.path().join("pugmark.db"))
                .unwrap();
            refused(place.dir(), &place.at, "has segments and no manifest").await;
            if let Some(database) = Place::postgres().await {
                refused(place.dir(), &database.at, "the manifest there is empty").await;
                refused(other.path(), &database.at, "has a manifest of its own").await;
            }
        }
        ManifestAt::Postgres(_) => {
            refused(other.path(), &place.at, "belongs to another data folder").await;
            refused(place.dir(), &ManifestAt::Folder, "is in PostgreSQL").await;
            place.open().await.close().await;
        }
    }
}

async fn readers_have_a_stable_view(place: Place) {
    let manifest = place.open().await;
    flush(&manifest, &[segment("0", &[("web", 1)])], &[]).await.unwrap();
    let reader = Manifest::open_read_only(place.dir(), &place.at).await.unwrap();
    let writing = {
        let manifest = manifest.clone();
        tokio::spawn(async move {
            for n in 1..60 {
                flush(&manifest, &[segment(&n.to_string(), &[("web", 1)])], &[]).await.unwrap();
                if n % 5 == 0 {
                    let (old, new) = ((n - 1).to_string(), format!("{n}r"));
                    let merged = segment(&new, &[("web", 2)]);
                    manifest.replace(&[&old, &n.to_string()], &[&merged], None).await.unwrap();
                }
            }
        })
    };
    let mut tx = reader.snapshot().await.unwrap();
    let first = segments(&mut tx, EVENTS).await.unwrap();
    while !writing.is_finished() {
        // Each view adds up, whatever is written meanwhile.
        let loaded = balanced(&reader).await;
        let rows: u64 = loaded.segments.iter().map(|segment| segment.rows).sum();
        assert_eq!((rows as i64, rows), (loaded.mark - 1, loaded.ledger["web"].stored));
    }
    writing.await.unwrap();
    assert_eq!(segments(&mut tx, EVENTS).await.unwrap(), first, "an open view does not move");
    drop(tx);
    assert_eq!(balanced(&reader).await.mark, 61);
    let error = reader.run("DELETE FROM segments", args![]).await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly), "{error}");
    reader.close().await;
    manifest.close().await;
}

async fn datasets_do_not_mix(place: Place) {
    let manifest = place.open().await;
    let metrics = SegmentInfo { dataset: "metrics".into(), ..segment("m", &[("web", 2)]) };
    let segments = [segment("e", &[("web", 3)]), metrics.clone()];
    flush(&manifest, &segments, &[]).await.unwrap();
    assert_eq!(paths(&manifest).await, ["e"]);
    assert_eq!(manifest.load("metrics").await.unwrap().segments, [metrics]);
    assert_eq!(manifest.load("spans").await.unwrap().segments, []);
    manifest.close().await;
}

async fn ten_thousand_sources_fit_in_one_flush(place: Place) {
    let manifest = place.open().await;
    let names: Vec<String> = (0..10_000).map(|n| format!("source {n}")).collect();
    let sources: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    flush(&manifest, &[segment("a", &sources)], &[]).await.unwrap();
    flush(&manifest, &[segment("b", &sources)], &[]).await.unwrap();
    let loaded = balanced(&manifest).await;
    assert_eq!((loaded.ledger.len(), loaded.ledger["source 7"].stored), (10_000, 2));
    assert_eq!(loaded.segments[1].sources.len(), 10_000);
    manifest.close().await;
}

fn old_alert() -> pugmark_alert::Alert {
    serde_json::from_value(json!({
        "id": "a", "rule": {"id": "r", "title": "T", "level": "high", "description": "d",
        "falsepositives": [], "references": [], "tags": ["attack.t1110"]}, "severity": "high",
        "status": "open", "verdict": null, "note": "", "entity": {"kind": "user",
        "value": "ada"}, "summary": "s", "count": 1, "first_seen": 1, "last_seen": 2,
        "attack": {"tactics": [], "techniques": []}, "evidence": [1], "why": [],
        "last_event_id": 3, "closed_at": null
    }))
    .unwrap()
}

async fn older_schemas_are_brought_up_to_date(place: Place) {
    let writer = place.at.writer(place.dir()).await.unwrap();
    migrations::migrate_to(&writer, 2).await.unwrap();
    let mut tx = writer.begin().await.unwrap();
    let old = "INSERT INTO segments (path, partition, rows, bytes, min_time, max_time, min_id, \
            max_id) VALUES ('a', '2026-11-23', 2, 10, 5, 6, 1, 2); \
        INSERT INTO segment_sources VALUES (1, 'web', 2); \
        INSERT INTO ledger VALUES ('web', 3, 2, 0, 1, 0, 30, 7); \
        INSERT INTO ledger_minutes VALUES (0, 'web', 3, 2, 0, 1, 0, 30, 7); \
        INSERT INTO ledger_reasons VALUES ('web', 'quarantined', 'bad', 1); \
        UPDATE progress SET value = 4 WHERE name = 'wal_mark'";
    tx.script(old.into()).await.unwrap();
    let packed = quarantine::pack(b"bad").unwrap();
    let sql = "INSERT INTO quarantine VALUES (3, 'web', 7, 'bad', 3, $1)";
    tx.run(sql, &[packed.into()]).await.unwrap();
    let alert = old_alert();
    let sql = "INSERT INTO alerts VALUES ('a', 'r', 'user', 'ada', 4, 'open', 1, 2, 3, $1)";
    tx.run(sql, args![serde_json::to_string(&alert).unwrap()]).await.unwrap();
    tx.commit().await.unwrap();
    writer.close().await;
    let error = Manifest::open_read_only(place.dir(), &place.at).await.unwrap_err();
    assert!(error.to_string().contains("start the server once"), "{error}");

    let manifest = place.open().await;
    let loaded = balanced(&manifest).await;
    let a = &loaded.segments[0];
    assert_eq!((a.dataset.as_str(), a.class.as_str(), a.tier), (EVENTS, DEFAULT_CLASS, Tier::Hot));
    assert_eq!((a.format, a.checksum, a.object.as_deref()), (1, 0, None));
    assert_eq!((loaded.mark, loaded.ledger["web"].expired), (4, 0));
    // A record set aside before reasons were kept by minute.
    let replayed = SegmentInfo { ids: (3, 3), ..segment("r", &[("web", 1)]) };
    manifest.replay_quarantine(&[3], &[&replayed], None).await.unwrap();
    assert_eq!(balanced(&manifest).await.ledger["web"].stored, 3);
    // An alert that holds its rule, and the same when the rule is kept apart.
    let alerts = Alerts::new(manifest.clone());
    for _ in 0..2 {
        assert_eq!(alerts.get("a").await.unwrap(), Some(alert.clone()));
        alerts.upsert(&alert).await.unwrap();
    }
    assert_eq!(alerts.get("a").await.unwrap(), Some(alert));
    let whole = "SELECT count(*) FROM alerts WHERE alert LIKE '%T1110%' OR alert LIKE '%t1110%'";
    let whole = manifest.row(whole, args![]).await.unwrap().unwrap().count(0).unwrap();
    assert_eq!(whole, 0);
    let kept = "SELECT count(*) FROM alert_rules";
    let kept = manifest.row(kept, args![]).await.unwrap().unwrap().count(0).unwrap();
    assert_eq!(kept, 1);
    manifest.close().await;
    let manifest = place.open().await;
    assert_eq!(paths(&manifest).await, ["a", "r"]);
    manifest.close().await;
}

fn saved(name: &str, schedule: Option<KeptSchedule>) -> KeptSearch {
    KeptSearch {
        name: name.into(),
        query: "user.name:root | stats count() by source.ip".into(),
        from: "now-1d".into(),
        to: String::new(),
        description: "who was root".into(),
        schedule,
        owner: "ada".into(),
        created: NOW,
        changed: NOW,
        run: None,
    }
}

fn hourly() -> Option<KeptSchedule> {
    let (title, entity) = ("Root".to_string(), Some("source.ip".to_string()));
    let level = pugmark_event::Severity::High;
    Some(KeptSchedule { every: 60 * MINUTE, level, title, entity })
}

async fn saved_searches_keep_how_far_they_have_come(place: Place) {
    let manifest = place.open().await;
    let searches = KeptSearches::new(manifest.clone());
    let plain = saved("a", None);
    assert_eq!(searches.add(&plain, NOW).await.unwrap(), Kept::Yes);
    assert_eq!(searches.add(&saved("a", hourly()), NOW).await.unwrap(), Kept::NameTaken);
    assert_eq!(searches.get("a").await.unwrap(), Some(plain.clone()));
    assert_eq!(searches.scheduled().await.unwrap(), []);

    // A schedule begins where it is told to, and another owner does not take the search over.
    let other = KeptSearch { owner: "eve".into(), changed: NOW + 1, ..saved("a", hourly()) };
    assert_eq!(searches.put(&other, NOW - MINUTE, "eve").await.unwrap(), Kept::Yes);
    let begun = SearchRun::since(NOW - MINUTE);
    let expected =
        KeptSearch { changed: NOW + 1, run: Some(begun.clone()), ..saved("a", hourly()) };
    assert_eq!(searches.scheduled().await.unwrap(), [expected]);

    let run = SearchRun {
        done: NOW - MINUTE,
        until: NOW,
        ran: Some(NOW + 5),
        took: 5,
        rows: 3,
        error: Some("too slow".into()),
        span: MINUTE,
    };
    assert!(searches.note_run("a", begun.until, &run).await.unwrap());
    assert!(!searches.note_run("a", begun.until, &begun).await.unwrap(), "it has gone on");
    let noted = |search: Option<KeptSearch>| search.unwrap().run;
    assert_eq!(noted(searches.get("a").await.unwrap()), Some(run.clone()));

    // Who changes it wants it tried again; what was asked stays asked.
    searches.put(&other, NOW + MINUTE, "eve").await.unwrap();
    let tried = SearchRun { error: None, ..run };
    assert_eq!(noted(searches.get("a").await.unwrap()), Some(tried.clone()));
    // With another query, what was being asked is not asked any further.
    let changed = KeptSearch { query: "*".into(), ..other.clone() };
    searches.put(&changed, NOW + MINUTE, "eve").await.unwrap();
    let anew = SearchRun { until: tried.done, span: 0, ..tried };
    assert_eq!(noted(searches.get("a").await.unwrap()), Some(anew));
    searches.put(&plain, NOW, "ada").await.unwrap();
    assert_eq!(noted(searches.get("a").await.unwrap()), None);

    searches.put(&other, NOW, "eve").await.unwrap();
    assert!(searches.remove("a", "ada", NOW + 2).await.unwrap());
    assert!(!searches.remove("a", "ada", NOW + 2).await.unwrap(), "it has gone");
    assert_eq!(searches.list().await.unwrap(), []);
    let runs = manifest.row("SELECT count(*) FROM search_runs", args![]).await.unwrap();
    assert_eq!(runs.unwrap().count(0).unwrap(), 0);
    let audit = manifest.audit_list(10).await.unwrap();
    let found: Vec<_> = audit.iter().map(|e| (e.actor.as_str(), e.action.as_str())).collect();
    let (saved, removed) = ("search saved", "search removed");
    let by_eve = [("eve", saved); 3];
    let expected = [
        &[("ada", removed), ("eve", saved), ("ada", saved)][..],
        &by_eve[..],
        &[("ada", saved)][..],
    ];
    assert_eq!(found, expected.concat());
}

async fn a_schedule_that_cannot_be_read_stops_no_other(place: Place) {
    let manifest = place.open().await;
    let searches = KeptSearches::new(manifest.clone());
    for name in ["a", "b"] {
        searches.add(&saved(name, hourly()), NOW).await.unwrap();
    }
    let mut tx = manifest.begin().await.unwrap();
    tx.run("UPDATE searches SET schedule = '{' WHERE name = 'a'", args![]).await.unwrap();
    manifest.finish(tx).await.unwrap();
    let names = |found: Vec<KeptSearch>| found.into_iter().map(|s| s.name).collect::<Vec<_>>();
    assert_eq!(names(searches.scheduled().await.unwrap()), ["b"]);
    assert_eq!(names(searches.list().await.unwrap()), ["b"]);
    assert!(searches.get("a").await.is_err());
    assert!(searches.remove("a", "ada", NOW).await.unwrap());
    assert!(searches.get("a").await.unwrap().is_none());
}

async fn saved_searches_are_bounded(place: Place) {
    let manifest = place.open().await;
    let searches = KeptSearches::new(manifest.clone());
    let sql = "INSERT INTO searches (name, query, range_from, range_to, description, owner, \
        created, changed) VALUES ($1, '*', '', '', '', 'ada', 0, 0)";
    let mut tx = manifest.begin().await.unwrap();
    for n in 0..SEARCHES_MAX {
        tx.run(sql, args![n.to_string()]).await.unwrap();
    }
    manifest.finish(tx).await.unwrap();
    assert_eq!(searches.add(&saved("more", None), NOW).await.unwrap(), Kept::Full);
    assert_eq!(searches.put(&saved("more", None), NOW, "ada").await.unwrap(), Kept::Full);
    assert_eq!(searches.put(&saved("0", hourly()), NOW, "ada").await.unwrap(), Kept::Yes);
}
