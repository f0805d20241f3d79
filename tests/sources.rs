//! The health of sources: a shape that breaks becomes one alert, whatever happens meanwhile.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Server, stdout};

const OFTEN: [(&str, &str); 2] = [
    ("PUGMARK_STORE_FLUSH_INTERVAL_SECONDS", "1"),
    ("PUGMARK_RULES_CHECKPOINT_INTERVAL_SECONDS", "0"),
];

/// Orders of a shop, from a number on; since an update they have no basket.
fn orders(from: u64, count: u64, basket: bool) -> String {
    let order = |n: u64| {
        let basket = if basket { format!(r#","basket":"b{n}""#) } else { String::new() };
        format!(r#"{{"time":"2026-11-23T10:00:00Z","msg":"order placed","total":{n}{basket}}}"#)
    };
    (from..from + count).map(|n| order(n) + "\n").collect()
}

/// The health of the shop once so many events were looked at.
fn health(server: &Server, events: u64) -> Value {
    let path = "/api/v1/sources/shop/health";
    let seen = |server: &Server| {
        let (status, body) = server.get(path);
        status == 200 && serde_json::from_str::<Value>(&body).unwrap()["events"] == events
    };
    server.wait_until("all events were looked at", seen);
    server.json(path)
}

/// Id and number of detections of each alert about the shape of sources.
fn alerts(server: &Server) -> Vec<(String, u64)> {
    let answer = server.json("/api/v1/alerts?rule=pugmark.source-field-vanished");
    let alerts = answer["alerts"].as_array().unwrap().clone();
    let shown = |alert: &Value| {
        assert_eq!(alert["entity"]["value"], "shop");
        (alert["id"].as_str().unwrap().to_string(), alert["count"].as_u64().unwrap())
    };
    alerts.iter().map(shown).collect()
}

#[test]
fn a_shape_that_breaks_is_one_alert_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &[], &OFTEN);
    server.ingest("shop", orders(0, 900, true));
    let known = health(&server, 900);
    assert_eq!(known["health"], "healthy", "{known}");
    assert_eq!(known["readers"][0]["name"], "json");
    assert_eq!(alerts(&server), []);

    server.ingest("shop", orders(900, 500, false));
    let broken = health(&server, 1400);
    assert_eq!(broken["health"], "broken", "{broken}");
    assert_eq!(broken["breaks"][0]["what"], "vanished");
    let fields = broken["streams"][0]["fields"].as_array().unwrap();
    let basket = fields.iter().find(|field| field["name"] == "basket").unwrap();
    assert_eq!((&basket["vanished"], &basket["kind"]), (&true.into(), &"text".into()));
    server.wait_until("the alert is stored", |server| !alerts(server).is_empty());
    let said = alerts(&server);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].1, 1);
    let sources = server.json("/api/v1/sources");
    assert_eq!(sources["sources"][0]["health"], "broken", "{sources}");
    assert!(server.get("/metrics").1.contains("pugmark_source_broken{source=\"shop\"} 1\n"));

    // An end in order.
    server.stop();
    let server = Server::start_with(dir.path(), &[], &OFTEN);
    assert_eq!(health(&server, 1400)["health"], "broken");
    server.ingest("shop", orders(1400, 300, false));
    assert_eq!(health(&server, 1700)["health"], "broken");
    assert_eq!(alerts(&server), said);

    // It heals, and breaks again: the same alert, which now counts two.
    server.ingest("shop", orders(1700, 900, true));
    assert_eq!(health(&server, 2600)["health"], "healthy");
    server.ingest("shop", orders(2600, 500, false));
    assert_eq!(health(&server, 3100)["health"], "broken");
    server.wait_until("the alert has grown", |server| alerts(server)[0].1 == 2);
    let said = [(said[0].0.clone(), 2)];
    assert_eq!(alerts(&server), said);

    // An end that is none.
    drop(server);
    let server = Server::start_with(dir.path(), &[], &OFTEN);
    server.ingest("shop", orders(3100, 500, false));
    let is_broken = |server: &Server| {
        let (status, body) = server.get("/api/v1/sources/shop/health");
        status == 200 && serde_json::from_str::<Value>(&body).unwrap()["health"] == "broken"
    };
    server.wait_until("it is still broken", is_broken);
    server
        .wait_until("all is done", |server| server.json("/api/v1/status")["pending_records"] == 0);
    assert_eq!(alerts(&server), said);
    server.stop();
}

#[test]
fn a_corrected_clock_is_shown_on_events_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &[], &OFTEN);
    let correct = |method: &str, body: &str| {
        let headers = [("content-type", "application/json")];
        let path = "/api/v1/sources/shop/clock";
        server.request(method, path, &headers, body.as_bytes()).unwrap().0
    };
    assert_eq!(correct("PUT", r#"{"correction_seconds": -7200, "reason": "local"}"#), 204);
    // It holds for what arrives two seconds later.
    let record = r#"{"time":"2025-11-23T10:00:00Z","msg":"order placed"}"#;
    server.wait_until("it holds", |server| {
        server.ingest("shop", record);
        !server.search("event.clock_correction:*").is_empty()
    });
    server
        .wait_until("all is done", |server| server.json("/api/v1/status")["pending_records"] == 0);
    let event = server.search("event.clock_correction:*").remove(0);
    assert_eq!(event["event.clock_correction"], -7200, "{event}");
    assert_eq!(event["@timestamp"], "2025-11-23T08:00:00Z", "{event}");
    assert_eq!(event["event.original"], record);
    let times = |server: &Server| -> BTreeMap<String, String> {
        let pair = |event: &Value| (event["event.id"].to_string(), event["@timestamp"].to_string());
        server.search("event.source:shop").iter().map(pair).collect()
    };
    let before = times(&server);
    server.stop();

    let data = dir.path().display().to_string();
    stdout(&["reparse", "--source", "shop", "--data", &data]);
    let server = Server::start_with(dir.path(), &[], &OFTEN);
    assert_eq!(times(&server), before);
    let clock = server.json("/api/v1/sources/shop/health")["clock"].clone();
    assert_eq!(clock["correction_seconds"], -7200, "{clock}");
    assert_eq!(clock["corrections"][0]["reason"], "local", "{clock}");
    server.stop();
}

#[test]
fn a_source_that_sent_nothing_has_no_health() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    assert_eq!(server.get("/api/v1/sources/shop/health").0, 404);
    server.ingest("shop", orders(0, 3, true));
    assert_eq!(health(&server, 3)["health"], "learning");
    server.stop();
}
