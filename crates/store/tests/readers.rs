//! Other programs read our segments: DuckDB and ClickHouse, each in its own words.
//!
//! `cargo xtask test --only readers` installs them; elsewhere the cases say that they did nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use pugmark_event::Records;
use pugmark_event::time::Micros;
use pugmark_parse::{Input, Parser};
use pugmark_store::{Options, Store};

const RECEIVED: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

/// Prints rows, ids, the sum of the statuses, the least address, and the texts of what is stored as
/// numbers and as bytes in the first event, as `docs/guide/segments.md` says.
const DUCKDB: &str = "
import duckdb, sys
row = duckdb.sql('''SELECT count(*), count(DISTINCT event_id), sum(http_response_status_code),
    min(source_ip), count(DISTINCT template) > 0,
    arg_min(CAST(session_id AS VARCHAR), event_id),
    arg_min('0x' || lower(to_hex(attributes_LogonId)), event_id),
    arg_min(lower(hex(trace_id)), event_id), arg_min(substr(hex(process_entity_id), 3), event_id)
    FROM read_parquet(%r, union_by_name = true)''' % (sys.argv[1:],)).fetchall()[0]
print(','.join(str(value) for value in row))
";
const CLICKHOUSE: &str = "
import chdb, sys
[path] = sys.argv[1:]
row = chdb.query('''SELECT count(), uniqExact(event_id), sum(http_response_status_code),
    min(source_ip), if(uniqExact(template) > 0, 'True', 'False'), argMin(toString(session_id), event_id),
    concat('0x', lower(trimLeft(hex(argMin(attributes_LogonId, event_id)), '0'))),
    argMin(lower(hex(trace_id)), event_id), argMin(substr(hex(process_entity_id), 3), event_id)
    FROM file('%s', 'Parquet')''' % path, 'CSV').data().strip()
print(row.replace('\"', ''))
";

/// The record of event `i`: values that are stored in each of the forms.
fn record(i: u32) -> String {
    format!(
        r#"{{"source.ip":"10.0.0.{}","http.response.status_code":{},"session.id":"{}","LogonId":"{:#x}","trace.id":"{:032x}","process.entity_id":"{{{:08X}-0000-4000-8000-00000000000A}}"}}"#,
        i % 250,
        200 + i % 5,
        70_000 + i * 977,
        0x3e7 + i * 7919,
        (u128::from(i) + 1) << 77,
        i + 0xabc,
    )
}

async fn check(script: &str) {
    let Some(python) = std::env::var_os("PUGMARK_TEST_PYTHON") else {
        #[allow(clippy::print_stderr)] // the only way a test can say that it did nothing
        {
            eprintln!("skipped: PUGMARK_TEST_PYTHON names no Python with the reader");
        }
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (store, blocks) = Store::open(dir.path(), Options::default()).await.unwrap();
    let records: Records =
        (0..500).map(record).collect::<Vec<_>>().iter().map(String::as_bytes).collect();
    store.append("web".into(), records.into(), RECEIVED, None, None).await.unwrap();
    let block = blocks.recv().unwrap();
    let (source, first_id, received) = (&*block.source, block.first_id, block.received);
    let input = Input { source, records: &block.records, first_id, received, format: None };
    store.insert(Parser::builtin().unwrap().parse(&input));
    store.processed(first_id + 500);
    store.flush().await.unwrap();
    store.close().await.unwrap();
    let files = segments(&dir.path().join("segments"));
    assert!(!files.is_empty());
    let ran = Command::new(python).args(["-c", script]).args(&files).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let statuses: i64 = (0..500).map(|i| 200 + i % 5).sum();
    let expected = format!(
        "500,500,{statuses},10.0.0.0,True,70000,0x3e7,{:032x},00000ABC00004000800000000000000A",
        1u128 << 77
    );
    assert_eq!(said.trim(), expected, "{}", String::from_utf8_lossy(&ran.stderr));
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { segments(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duckdb_reads_segments() {
    check(DUCKDB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clickhouse_reads_segments() {
    check(CLICKHOUSE).await;
}
