//! The main job from end to end: logs come in, are kept, are found, and an attack raises an alert.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Server, json_lines, run, stdout, text};

/// Eleven refused logins from one address, as sshd writes them.
fn guesses() -> String {
    (0..11)
        .map(|i| {
            format!(
                "Nov 23 10:00:{i:02} web1 sshd[812]: Failed password for root from 203.0.113.7 \
                 port 40{i:03} ssh2\n"
            )
        })
        .collect()
}

#[test]
fn an_attack_over_http_becomes_an_alert() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let receipt = server.ingest("web1", guesses());
    let expected = json!({"received": 11, "stored": 11, "folded": 0, "quarantined": 0, "shed": 0});
    assert_eq!(receipt, expected);

    server.wait_until("the alert", |s| {
        let alerts = s.json("/api/v1/alerts");
        alerts["alerts"].as_array().is_some_and(|alerts| {
            alerts.iter().any(|a| a["entity"]["value"] == "203.0.113.7" && a["status"] == "open")
        })
    });
    let alerts = server.json("/api/v1/alerts");
    let alert = alerts["alerts"].as_array().unwrap().iter().find(|a| {
        a["attack"]["techniques"]
            .as_array()
            .unwrap()
            .iter()
            .any(|t| t.as_str().unwrap().starts_with("T1110"))
    });
    let alert = alert.expect("an alert about guessing");
    let detail = server.json(&format!("/api/v1/alerts/{}", alert["id"].as_str().unwrap()));
    let events = detail["events"].as_array().unwrap();
    assert!(!events.is_empty());
    assert!(events.iter().all(|e| e["source.ip"] == "203.0.113.7"), "{events:?}");
    server.stop();
}

#[test]
fn fresh_events_are_found_within_a_second_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    for round in 0..5 {
        server.ingest("app", format!("{{\"needle\":\"n{round}\",\"level\":\"error\"}}\n"));
        let acknowledged = Instant::now();
        server.wait_until("the event", |s| s.search(&format!("needle:n{round}")).len() == 1);
        let waited = acknowledged.elapsed();
        assert!(waited < Duration::from_secs(1), "round {round} took {waited:?}");
    }
    server.stop();
    let server = Server::start(&data);
    assert_eq!(server.search("needle:*").len(), 5);
    let ledger = server.json("/api/v1/ledger");
    assert_eq!(ledger["balanced"], true);
    assert_eq!(ledger["total"]["stored"], 5);
}

#[test]
fn the_command_line_ingests_searches_and_balances() {
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("data"), dir.path().join("auth.log.gz"));
    let mut gz = flate2::write::GzEncoder::new(
        std::fs::File::create(&log).unwrap(),
        flate2::Compression::fast(),
    );
    gz.write_all(guesses().as_bytes()).unwrap();
    gz.write_all(b"something that nothing understands\n").unwrap();
    gz.finish().unwrap();
    let (data, log) = (data.to_str().unwrap(), log.to_str().unwrap());

    let receipt = stdout(&["ingest", log, "--source", "web1", "--data", data, "--format", "json"]);
    assert_eq!(
        json_lines(&receipt),
        [json!({"received": 12, "stored": 12, "folded": 0, "quarantined": 0, "shed": 0})]
    );

    let search =
        |query: &str| json_lines(&stdout(&["search", query, "--data", data, "--format", "json"]));
    let events = search("source.ip:203.0.113.0/24 event.outcome:failure");
    assert_eq!(events.len(), 11);
    let original = events[0]["event.original"].as_str().unwrap();
    assert!(original.starts_with("Nov 23 10:00:"), "{original}");
    assert_eq!(search("\"nothing understands\"").len(), 1);
    let counts = search("* | stats count() by user.name | sort -count");
    assert_eq!(counts[0]["user.name"], "root");
    assert_eq!(counts[0]["count()"].as_i64().or(counts[0]["count"].as_i64()), Some(11));

    let ledger = json_lines(&stdout(&["ledger", "--data", data, "--format", "json"]));
    assert_eq!(ledger[0]["received"], 12);
    assert_eq!(ledger[0]["balanced"], true);
    let alerts = json_lines(&stdout(&["alerts", "--data", data, "--format", "json"]));
    assert!(alerts.iter().any(|a| a["entity"]["value"] == "203.0.113.7"), "{alerts:?}");
}

#[test]
fn the_command_line_works_against_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let (log, token) = (dir.path().join("auth.log"), dir.path().join("token"));
    std::fs::write(&log, guesses()).unwrap();
    std::fs::write(&token, &server.token).unwrap();
    let url = format!("http://{}", server.address);
    let place = ["--server", &url, "--token-file", token.to_str().unwrap()];
    let call = |args: &[&str]| stdout(&[args, &place[..]].concat());

    let log = log.to_str().unwrap();
    let receipt = call(&["ingest", log, "--source", "web1", "--format", "json"]);
    assert_eq!(json_lines(&receipt)[0]["stored"], 11);
    server.wait_until("the events", |s| s.search("sshd").len() == 11);
    let events = json_lines(&call(&["search", "sshd", "--format", "json"]));
    assert_eq!(events.len(), 11);
    let csv = call(&["search", "* | stats count() by user.name", "--format", "csv"]);
    assert_eq!(csv.lines().nth(1), Some("root,11"), "{csv}");

    std::fs::write(&token, "wrong").unwrap();
    let output = run(&[&["search", "*"], &place[..]].concat());
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    let gone = ["search", "*", "--server", "http://127.0.0.1:1", "--token-file"];
    let output = run(&[&gone[..], &[token.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
}

#[test]
fn a_folder_can_be_searched_while_a_server_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    server.ingest("app", "{\"n\":1}\n{\"n\":2}\n");
    let found = stdout(&["search", "*", "--data", data.to_str().unwrap(), "--format", "json"]);
    assert_eq!(json_lines(&found).len(), 2);
    let output = run(&["ingest", "-", "--source", "x", "--data", data.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("in use by process"), "{said}");
}

#[test]
fn sql_and_both_times_answer() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    server.ingest("app", "{\"time\":\"2026-11-23T10:00:00Z\",\"user.name\":\"ada\",\"n\":5}\n");
    server.wait_until("the event", |s| !s.search("*").is_empty());
    let sql = "SELECT user_name, attributes['n'] AS n, event_time FROM events";
    let (status, answer) = server.request_json("/api/v1/sql", &json!({"sql": sql}).to_string());
    assert_eq!(status, 200, "{answer}");
    let row = &json_lines(&answer)[0];
    let name = row.get("user.name").or(row.get("user_name"));
    assert_eq!(name, Some(&json!("ada")), "{row}");
    assert_eq!(row["n"], "5");
    let (status, answer) =
        server.request_json("/api/v1/sql", &json!({"sql": "DROP TABLE events"}).to_string());
    assert_eq!(status, 400, "{answer}");
    for (from, to, expected) in [
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:01Z", 1),
        ("2026-11-23T10:00:01Z", "2026-11-24T00:00:00Z", 0),
    ] {
        let body = json!({"query": "*", "from": from, "to": to}).to_string();
        let (status, answer) = server.request_json("/api/v1/search", &body);
        assert_eq!((status, json_lines(&answer).len()), (200, expected));
    }
}
