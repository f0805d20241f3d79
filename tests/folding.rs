//! Records that a shipper sends twice are stored once, where the settings say so.

use serde_json::Value;

use crate::harness::{Server, failure, stdout};

const FOLDS: [(&str, &str); 1] = [("PUGMARK_FOLD_SOURCES", "app-*")];
const LINES: &str = "order=1 total=5\norder=2 total=7\norder=1 total=5\n";

fn counts(receipt: &Value) -> [&Value; 3] {
    [&receipt["received"], &receipt["stored"], &receipt["folded"]]
}

#[test]
fn what_comes_twice_is_stored_once_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &[], &FOLDS);
    assert_eq!(counts(&server.ingest("app-1", LINES)), [3, 2, 1]);
    assert_eq!(counts(&server.ingest("app-1", LINES)), [3, 0, 3]);
    assert_eq!(counts(&server.ingest("web", LINES)), [3, 3, 0]);
    server.wait_until("the events", |s| s.search("order:*").len() == 5);
    assert_eq!(server.search("event.source:app-1 order:1").len(), 1);
    let check = |ledger: &Value| {
        assert_eq!(ledger["balanced"], true, "{ledger}");
        assert_eq!(counts(&ledger["sources"][0]), [6, 2, 4], "{ledger}");
        assert_eq!(counts(&ledger["total"]), [9, 5, 4], "{ledger}");
    };
    check(&server.json("/api/v1/ledger"));
    assert_eq!(server.json("/api/v1/status")["folded"], 4);
    let metrics = server.get("/metrics").1;
    assert!(metrics.contains("pugmark_records_folded_total{source=\"app-1\"} 4\n"), "{metrics}");
    server.stop();

    // The account is kept, what came is not: a start remembers no records.
    let data = dir.path().display().to_string();
    assert!(stdout(&["doctor", "--data", &data]).contains("all is well"));
    let server = Server::start_with(dir.path(), &[], &FOLDS);
    check(&server.json("/api/v1/ledger"));
    assert_eq!(counts(&server.ingest("app-1", LINES)), [3, 2, 1]);
    server.stop();
    let account = stdout(&["ledger", "--data", &data, "--format", "json"]);
    assert!(account.contains("\"folded\":5"), "{account}");
}

#[test]
fn a_window_that_is_none_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("pugmark.toml");
    std::fs::write(&settings, "[fold]\nsources = [\"app\"]\nwindow_seconds = 0\n").unwrap();
    let data = dir.path().join("data").display().to_string();
    let (_, said) =
        failure(&["serve", "--config", &settings.display().to_string(), "--data", &data]);
    assert!(said.contains("1 to 86400 seconds") && said.contains("[fold]"), "{said}");
}
