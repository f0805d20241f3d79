//! Other programs read our segments: DuckDB and ClickHouse, each in its own words.
//!
//! `cargo xtask test --only readers` installs them; elsewhere the cases say that they did nothing.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Node, small};

/// Prints rows, ids, the sum of the statuses and the least address, with commas between.
const DUCKDB: &str = "
import duckdb, sys
row = duckdb.sql('''SELECT count(*), count(DISTINCT event_id), sum(http_response_status_code),
    min(source_ip), count(DISTINCT template) > 0 FROM read_parquet(%r, union_by_name = true)'''
    % (sys.argv[1:],)).fetchall()[0]
print(','.join(str(value) for value in row))
";
const CLICKHOUSE: &str = "
import chdb, sys
parts = [chdb.query('''SELECT count(), uniqExact(event_id), sum(http_response_status_code),
    min(source_ip), uniqExact(template) > 0 FROM file('%s', 'Parquet')''' % path, 'CSV').data().strip()
    for path in sys.argv[1:]]
rows = [part.replace('\"', '').split(',') for part in parts]
total = [sum(int(row[i]) for row in rows) for i in range(3)]
print(','.join([*map(str, total), min(row[3] for row in rows),
    str(all(row[4] in ('1', 'true') for row in rows))]))
";

async fn check(script: &str) {
    let Some(python) = std::env::var_os("PUGMARK_TEST_PYTHON") else {
        #[allow(clippy::print_stderr)] // the only way a test can say that it did nothing
        {
            eprintln!("skipped: PUGMARK_TEST_PYTHON names no Python with the reader");
        }
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let node = Node::open(dir.path(), small()).await;
    let texts: Vec<String> =
        (0..500).map(|i| format!("GET /page/{i} took {} ms, day={}", i * 7, i % 2)).collect();
    node.append(&texts).await.unwrap();
    node.settle().await;
    node.close().await;
    let files = segments(&dir.path().join("segments"));
    assert!(!files.is_empty());
    let ran = Command::new(python).args(["-c", script]).args(&files).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let statuses: i64 = (0..500).map(|i| 200 + i % 5).sum();
    let expected = format!("500,500,{statuses},10.0.0.0,True");
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
