//! Crashes under load: what was acknowledged is there once, and the ledger balances.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::harness::Server;

/// Kills in one run. The seed of the moments is fixed; the machine adds its own chance.
const KILLS: u64 = 25;
const CLIENTS: u64 = 3;

#[test]
fn twenty_five_kills_lose_nothing_and_double_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let next = Arc::new(AtomicU64::new(0));
    // Numbers whose request was acknowledged, and numbers whose answer never came.
    let acknowledged = Arc::new(Mutex::new(Vec::<u64>::new()));
    for round in 0..KILLS {
        // A short flush interval makes kills during a flush likely.
        let server =
            Server::start_with(&data, &[], &[("PUGMARK_STORE_FLUSH_INTERVAL_SECONDS", "1")]);
        check_ledger(&server);
        let server = Arc::new(server);
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (server, stop) = (server.clone(), stop.clone());
                let (next, acknowledged) = (next.clone(), acknowledged.clone());
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        send_some(&server, &next, &acknowledged);
                    }
                })
            })
            .collect();
        // Between 100 and 1700 ms, spread over the rounds.
        std::thread::sleep(Duration::from_millis(100 + (round * 67 * 7) % 1600));
        kill_shared(&server);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().unwrap();
        }
    }
    let server = Server::start(&data);
    check_ledger(&server);
    let acknowledged = acknowledged.lock().unwrap();
    // The replay of the last round goes on while the server answers. Records whose answer never
    // came may be there too, so that enough are there does not mean that all are.
    let before = std::cell::Cell::new(0);
    server.wait_until("the end of the replay", |s| {
        let count = s.search("* | stats count()")[0]["count"].as_u64().unwrap_or(0);
        let same = before.replace(count) == count;
        std::thread::sleep(Duration::from_secs(1));
        same && count >= acknowledged.len() as u64
    });
    let mut found: BTreeMap<u64, u64> = BTreeMap::new();
    let body = r#"{"query":"* | fields n","limit":100000000}"#;
    let (status, answer) = server.request_json("/api/v1/search", body);
    assert_eq!(status, 200, "{answer}");
    for line in answer.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let n = &row["n"];
        let number = n
            .as_u64()
            .or_else(|| n.as_str()?.parse().ok())
            .unwrap_or_else(|| panic!("no number in {line}"));
        *found.entry(number).or_default() += 1;
    }
    let lost: Vec<_> = acknowledged.iter().filter(|n| !found.contains_key(n)).collect();
    let doubled: Vec<_> = found.iter().filter(|(_, count)| **count > 1).collect();
    eprintln!(
        "{KILLS} kills: {} acknowledged, {} lost, {} doubled",
        acknowledged.len(),
        lost.len(),
        doubled.len()
    );
    assert!(acknowledged.len() > 1000, "too little load: {}", acknowledged.len());
    let (lost, doubled) = (lost.first(), doubled.first());
    assert!(lost.is_none() && doubled.is_none(), "first lost {lost:?}, first doubled {doubled:?}");
}

/// One request with a hundred fresh numbers. Without an answer nothing is promised either way.
fn send_some(server: &Server, next: &AtomicU64, acknowledged: &Mutex<Vec<u64>>) {
    let first = next.fetch_add(100, Ordering::Relaxed);
    let numbers = first..first + 100;
    let body: String = numbers.clone().map(|n| format!("{{\"n\":{n}}}\n")).collect();
    if let Ok((200, _)) = server.request("POST", "/api/v1/ingest/load", &[], body.as_bytes()) {
        acknowledged.lock().unwrap().extend(numbers);
    }
}

/// `kill -9` while clients hold the server.
fn kill_shared(server: &Server) {
    let id = server.id().to_string();
    let done = std::process::Command::new("kill").args(["-KILL", &id]).status().unwrap();
    assert!(done.success());
}

#[track_caller]
fn check_ledger(server: &Server) {
    let ledger = server.json("/api/v1/ledger");
    assert_eq!(ledger["balanced"], true, "{ledger}");
}
