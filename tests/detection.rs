//! Detection across crashes, and rules that change while the server runs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::harness::Server;

/// Kills in one run.
const KILLS: u64 = 25;
/// Records of one request.
const RECORDS: u64 = 40;
const OFTEN: [(&str, &str); 2] = [
    ("PUGMARK_STORE_FLUSH_INTERVAL_SECONDS", "1"),
    ("PUGMARK_RULES_CHECKPOINT_INTERVAL_SECONDS", "1"),
];

/// Rules over time that are always about to fire: counts, different values, an order of events,
/// and one on top of another.
const RULES: &str = r"
title: Failure
id: failure
name: failure
logsource: {category: webserver}
detection:
  sel: {sc-status: 401}
  condition: sel
---
title: Success
id: success
name: success
logsource: {category: webserver}
detection:
  sel: {sc-status: 200}
  condition: sel
---
title: Guessing
id: guessing
name: guessing
correlation:
  type: event_count
  rules: [failure]
  group-by: [c-ip]
  timespan: 60s
  condition: {gte: 7}
---
title: Spraying
id: spraying
correlation:
  type: value_count
  rules: [failure]
  group-by: [c-ip]
  timespan: 60s
  condition: {gte: 5, field: cs-username}
---
title: Guessed
id: guessed
correlation:
  type: temporal_ordered
  rules: [guessing, success]
  group-by: [c-ip]
  timespan: 2m
---
title: Moved much
id: moved
correlation:
  type: value_sum
  rules: [success]
  group-by: [cs-username]
  timespan: 5m
  condition: {gt: 40000, field: sc-bytes}
";

/// Records of request number `n`: the same for every run. Some come out of order.
fn records(n: u64) -> String {
    let mut text = String::new();
    for i in 0..RECORDS {
        let step = n * RECORDS + i;
        let mut chance = step.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        chance ^= chance >> 29;
        chance = chance.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 8;
        let late = if chance.is_multiple_of(11) { chance % 90 } else { 0 };
        let millis = (step * 150).saturating_sub(late * 1000);
        let time = 1_795_428_000_000 + millis as i64;
        let time = chrono::DateTime::from_timestamp_millis(time).unwrap();
        let time = time.format("%d/%b/%Y:%H:%M:%S +0000");
        let status = if (chance >> 8).is_multiple_of(4) { 200 } else { 401 };
        let (address, account) = ((chance >> 16) % 30, (chance >> 24) % 8);
        let size = (chance >> 32) % 3000;
        text += &format!(
            "203.0.113.{address} - u{account} [{time}] \"POST /login HTTP/1.1\" {status} {size} \
             \"-\" \"test\"\n"
        );
    }
    text
}

/// Detections by the id of their alert.
fn detections(server: &Server) -> BTreeMap<String, Vec<String>> {
    let alerts = server.json("/api/v1/alerts?limit=10000");
    let alerts = alerts["alerts"].as_array().expect("alerts").clone();
    let detail = |alert: &Value| {
        let id = alert["id"].as_str().unwrap();
        let answer = server.json(&format!("/api/v1/alerts/{id}"));
        let listed = answer["detections"].as_array().expect("detections");
        let ids = listed.iter().map(|d| d["id"].as_str().unwrap().to_string()).collect();
        (id.to_string(), ids)
    };
    alerts.iter().map(detail).collect()
}

fn stored(server: &Server) -> u64 {
    server.search("* | stats count()")[0]["count"].as_u64().unwrap_or(0)
}

/// Waits until as many requests are stored as were acknowledged, or one more. How many are.
fn settled(server: &Server, acknowledged: u64) -> u64 {
    let before = std::cell::Cell::new(u64::MAX);
    server.wait_until("the end of the replay", |server| {
        let count = stored(server);
        let same = before.replace(count) == count;
        same && count.is_multiple_of(RECORDS) && count / RECORDS >= acknowledged
    });
    before.get() / RECORDS
}

fn send(server: &Server, n: u64) -> bool {
    let answer = server.request("POST", "/api/v1/ingest/test", &[], records(n).as_bytes());
    matches!(answer, Ok((200, _)))
}

#[test]
fn twenty_five_kills_change_no_detection() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    std::fs::write(rules.join("test.yaml"), RULES).unwrap();
    let dirs = rules.display().to_string();
    let quietly = [("PUGMARK_RULES_DIRS", dirs.as_str()), ("PUGMARK_RULES_BUILTIN", "false")];
    let often = [&quietly[..], &OFTEN].concat();
    let (killed, quiet) = (dir.path().join("killed"), dir.path().join("quiet"));
    let mut next = 0;
    for round in 0..KILLS {
        let server = Server::start_with(&killed, &[], &often);
        next = settled(&server, next);
        // Between 100 and 1300 ms after the replay, spread over the rounds.
        let end = std::time::Instant::now() + Duration::from_millis(100 + (round * 277) % 1200);
        std::thread::scope(|scope| {
            let pid = server.id().to_string();
            scope.spawn(move || {
                std::thread::sleep(end.saturating_duration_since(std::time::Instant::now()));
                let _ = std::process::Command::new("kill").args(["-KILL", &pid]).status();
            });
            while send(&server, next) {
                next += 1;
            }
        });
        drop(server);
    }
    let server = Server::start_with(&killed, &[], &often);
    let requests = settled(&server, next);
    let found = detections(&server);
    drop(server);

    let server = Server::start_with(&quiet, &[], &quietly);
    (0..requests).for_each(|n| assert!(send(&server, n)));
    settled(&server, requests);
    let expected = detections(&server);
    let count: usize = expected.values().map(Vec::len).sum();
    eprintln!(
        "{KILLS} kills, {} events: {count} detections in {} alerts",
        requests * RECORDS,
        expected.len()
    );
    assert!(count > 100, "too few detections: {count}");
    for (alert, ids) in &expected {
        assert_eq!(found.get(alert), Some(ids), "alert {alert}");
    }
    assert_eq!(found.len(), expected.len());
}
