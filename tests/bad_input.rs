//! Bad input, each kind with a clear answer, and nothing lost.

use std::io::Write;

use serde_json::json;

use crate::harness::{Server, json_lines, pugmark, stdout, text};

fn server() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    (dir, server)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

#[test]
fn odd_records_are_kept_and_found() {
    let (_dir, server) = server();
    // A record, and what the event must show: field and value.
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let cases: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        (
            "utf8",
            b"caf\xe9 with \xff bytes".to_vec(),
            "event.original_bytes",
            "Y2Fm6SB3aXRoIP8gYnl0ZXM=",
        ),
        ("deep", format!("{{\"marker\":\"deep\",\"x\":{deep}}}").into_bytes(), "marker", "deep"),
        ("yearless", b"Nov 23 10:00:00 h app[1]: year-less".to_vec(), "host.name", "h"),
        (
            "unset",
            br#"{"time":"1970-01-01T00:00:00Z","m":1}"#.to_vec(),
            "event.stated_time",
            "1970-01-01T00:00:00Z",
        ),
        (
            "ahead",
            br#"{"time":"2099-01-01T00:00:00Z","m":1}"#.to_vec(),
            "event.stated_time",
            "2099-01-01T00:00:00Z",
        ),
        (
            "nothing",
            b"%%% nothing knows this %%%".to_vec(),
            "event.original",
            "%%% nothing knows this %%%",
        ),
    ];
    for (source, record, ..) in &cases {
        let receipt = server.ingest(source, record);
        assert_eq!(receipt["stored"], 1, "{source}: {receipt}");
    }
    for (source, _, field, value) in &cases {
        let query = format!("event.source:{source}");
        server.wait_until(source, |s| s.search(&query).len() == 1);
        assert_eq!(server.search(&query)[0][field], *value, "{source}");
    }
    assert_eq!(server.json("/api/v1/ledger")["balanced"], true);
}

#[test]
fn a_line_of_fifty_megabytes_is_set_aside_whole() {
    let (dir, server) = server();
    let long = vec![b'x'; 50 << 20];
    let body = [&b"before\n"[..], &long, b"\nafter\n"].concat();
    let receipt = server.ingest("long", &body);
    let expected = json!({"received": 3, "stored": 2, "folded": 0, "quarantined": 1, "shed": 0});
    assert_eq!(receipt, expected);
    server.wait_until("both short lines", |s| s.search("event.source:long").len() == 2);
    let ledger = server.json("/api/v1/ledger");
    assert_eq!((&ledger["balanced"], &ledger["total"]["quarantined"]), (&json!(true), &json!(1)));
    server.stop();
    let data = dir.path().join("data");
    let args = ["quarantine", "--data", data.to_str().unwrap(), "--format", "json"];
    let entries = json_lines(&stdout(&args));
    assert_eq!(entries[0]["bytes"], 50 << 20, "{entries:?}");
    assert!(entries[0]["reason"].as_str().unwrap().contains("1 MiB"), "{entries:?}");
}

#[test]
fn compressed_bodies_are_bounded() {
    let (_dir, server) = server();
    let send = |encoding: &str, body: &[u8]| {
        let headers = [("content-encoding", encoding)];
        let answer = server.request("POST", "/api/v1/ingest/z", &headers, body).unwrap();
        (answer.0, text(&answer.1))
    };
    let (status, answer) = send("gzip", &gzip(b"one\ntwo\n"));
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = send("zstd", &zstd::encode_all(&b"three\n"[..], 1).unwrap());
    assert_eq!(status, 200, "{answer}");
    // 400 MB of zeros in 400 kB.
    let bomb = gzip(&vec![b'0'; 400 << 20]);
    let (status, answer) = send("gzip", &bomb);
    assert_eq!(status, 413, "{answer}");
    assert!(answer.contains("MiB"), "{answer}");
    let (status, answer) = send("gzip", b"this is no gzip");
    assert_eq!(status, 400, "{answer}");
    let (status, answer) = send("br", b"x");
    assert_eq!(status, 415, "{answer}");
    server.wait_until("three events", |s| s.search("event.source:z").len() == 3);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let (_dir, server) = server();
    let search = |body: &str| server.request_json("/api/v1/search", body);
    for (body, status, expected) in [
        (r#"{"query":"a | stts count()"}"#, 400, "stats"),
        (r#"{"query":"user.name:("}"#, 400, "\"from\""),
        (r#"{"query":"a","from":"yesterdaz"}"#, 400, "no time"),
        (r#"{"qery":"a"}"#, 400, "query"),
        ("{", 400, "bad_json"),
    ] {
        let (got, answer) = search(body);
        assert_eq!(got, status, "{body}: {answer}");
        assert!(answer.contains(expected), "{body}: {answer}");
    }
    for (path, expected) in [("/api/v1/ingest/a%20b", 400), ("/api/v1/ingest/..%2Fx", 400)] {
        let (got, answer) = server.post(path, b"x");
        assert_eq!(got, expected, "{path}: {answer}");
    }
    let (status, answer) = server.get("/api/v1/nothing");
    assert_eq!(status, 404);
    assert!(answer.contains("\"error\""), "{answer}");
}

#[test]
fn nothing_opens_without_the_right_token() {
    let (_dir, server) = server();
    let paths =
        ["/api/v1/alerts", "/api/v1/ledger", "/api/v1/status", "/metrics", "/api/v1/openapi.json"];
    for path in paths {
        for token in ["Bearer wrong", "Bearer ", "Basic YTpi"] {
            let (status, _) =
                server.request("GET", path, &[("authorization", token)], b"").unwrap();
            assert_eq!(status, 401, "{path} with {token:?}");
        }
        assert_eq!(server.get(path).0, 200, "{path}");
    }
    let new = json!({"name": "shipper", "purpose": "ingest"}).to_string();
    let (status, answer) = server.request_json("/api/v1/tokens", &new);
    assert_eq!(status, 200, "{answer}");
    let token: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let (status, _) = server.request("POST", "/api/v1/ingest/a", &headers, b"x").unwrap();
    assert_eq!(status, 200);
    let (status, _) = server.request("GET", "/api/v1/alerts", &headers, b"").unwrap();
    assert_eq!(status, 403);
}

#[test]
fn what_an_attacker_writes_steers_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m<script>alert(1)</script>\u{202e}gnp.exe";
    let record =
        json!({"message": hostile, "user.name": hostile, "host": hostile, hostile: hostile});
    let mut child = pugmark(&["ingest", "-", "--source", "evil", "--data", data])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{record}\n{hostile}").unwrap();
    assert!(child.wait().unwrap().success());
    for query in ["*", "* | stats count() by user.name", "* | fields message, user.name"] {
        for format in ["table", "json", "csv"] {
            let out = stdout(&["search", query, "--data", data, "--format", format]);
            let bad = out
                .chars()
                .find(|c| (c.is_control() && *c != '\n' && *c != '\t') || *c == '\u{202e}');
            assert_eq!(bad, None, "{query} as {format}: {out:?}");
        }
    }
    // The bytes themselves are kept.
    let out = stdout(&["search", "*", "--data", data, "--format", "json"]);
    assert!(json_lines(&out).iter().any(|e| e["event.original"] == hostile));
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    server.ingest("app", "{\"n\":1}\n");
    server.stop();
    // More than any disk has free: the store must refuse as if the disk were full.
    let environment = [("PUGMARK_STORE_DISK_FREE_BYTES_MIN", "1000000000000000")];
    let server = Server::start_full(&data, &environment);
    let (status, answer) = server.post("/api/v1/ingest/app", b"{\"n\":2}\n");
    assert_eq!(status, 507, "{answer}");
    assert!(answer.contains("free"), "{answer}");
    assert_eq!(server.get("/healthz").0, 503);
    assert_eq!(server.json("/api/v1/status")["taking_logs"], false);
    assert_eq!(server.search("n:*").len(), 1);
    drop(server);
    let server = Server::start(&data);
    server.ingest("app", "{\"n\":3}\n");
    server.wait_until("both", |s| s.search("n:*").len() == 2);
    assert_eq!(server.json("/api/v1/ledger")["balanced"], true);
}
