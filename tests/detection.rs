//! Detection across crashes, and rules that change while the server runs.

use std::cell::Cell;
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
    ("PUGMARK_RULES_CHECKPOINT_INTERVAL_SECONDS", "0"),
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
  generate: true
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
        let rule = answer["alert"]["rule"]["id"].as_str().unwrap();
        let shown = |d: &Value| {
            let text = |key: &str| d[key].as_str().unwrap().to_string();
            format!("{} at {} with event {}", text("id"), text("time"), text("event"))
        };
        (format!("{rule} {id}"), listed.iter().map(shown).collect())
    };
    alerts.iter().map(detail).collect()
}

fn stored(server: &Server) -> u64 {
    server.search("* | stats count()")[0]["count"].as_u64().unwrap_or(0)
}

/// Waits until everything that is on disk is processed. How many requests are stored: as many as
/// were acknowledged, or one more whose answer never came.
fn settled(server: &Server, acknowledged: u64) -> u64 {
    server.wait_until("the end of the replay", |server| {
        let pending = server.json("/api/v1/status")["pending_records"].as_u64();
        pending == Some(0) && stored(server) >= acknowledged * RECORDS
    });
    let count = stored(server);
    assert!(count.is_multiple_of(RECORDS), "{count} records");
    assert!((acknowledged..=acknowledged + 1).contains(&(count / RECORDS)), "{count} records");
    count / RECORDS
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
        // Between 50 and 450 ms after the replay, spread over the rounds.
        let end = std::time::Instant::now() + Duration::from_millis(50 + (round * 77) % 400);
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
    same(&found, &expected);
}

/// Both have the same detections in the same alerts.
#[track_caller]
fn same(found: &BTreeMap<String, Vec<String>>, expected: &BTreeMap<String, Vec<String>>) {
    for (alert, expected) in expected {
        let found = found.get(alert).cloned().unwrap_or_default();
        let lost: Vec<_> = expected.iter().filter(|one| !found.contains(one)).collect();
        let more: Vec<_> = found.iter().filter(|one| !expected.contains(one)).collect();
        assert!(
            lost.is_empty() && more.is_empty(),
            "alert {alert}: lost {lost:#?}, more {more:#?}"
        );
    }
    assert_eq!(found.len(), expected.len());
}

/// Every rule costs more than it may, so one after the other leaves the stream, also across a kill;
/// some return and leave again. They find the same, later.
#[test]
fn rules_that_cost_too_much_find_the_same_behind_the_stream() {
    const REQUESTS: u64 = 30;
    let throttled = |server: &Server| {
        let list = server.json("/api/v1/status")["throttled"].clone();
        list.as_array().expect("throttled").clone()
    };
    let folder = RuleFolder::new(RULES);
    let tight = [
        ("PUGMARK_RULES_CORE_SHARE_MAX_PERCENT", "0.000001"),
        ("PUGMARK_RULES_COST_WINDOW_SECONDS", "1"),
    ];
    let server = folder.start(&tight);
    let next = Cell::new(0);
    let go_on = |server: &Server| {
        for n in next.get()..next.get() + REQUESTS {
            assert!(send(server, n));
            std::thread::sleep(Duration::from_millis(100));
        }
        next.set(next.get() + REQUESTS);
    };
    // Costs are measured on events: on a busy machine it takes more of them.
    let until_throttled = |server: &Server, rules: usize| {
        server.wait_until("throttled rules", |server| {
            go_on(server);
            throttled(server).len() >= rules
        });
    };
    let caught_up = |server: &Server| {
        settled(server, next.get());
        server.wait_until("the rules behind the stream", |server| {
            throttled(server).iter().all(|rule| rule["events_behind"] == 0)
        });
    };
    // Whoever switches a rule off and on wants it back on the stream. A rule that is off raises
    // nothing, not of events either that wait for it, so none may wait.
    let off_and_on = |server: &Server| {
        caught_up(server);
        let list = throttled(server);
        let Some(rule) = list.first().and_then(|rule| rule["rule"].as_str()) else { return };
        let path = format!("/api/v1/rules/{rule}/switch");
        for body in [r#"{"on":false,"reason":"a test"}"#, r#"{"on":true}"#] {
            assert_eq!(server.request_json(&path, body).0, 204);
        }
    };
    // The first of two returns, and the other goes on with the rules that they share.
    until_throttled(&server, 2);
    off_and_on(&server);
    until_throttled(&server, 1);
    drop(server);
    let server = folder.start(&tight);
    server.wait_until("what is remembered", |server| !throttled(server).is_empty());
    off_and_on(&server);
    go_on(&server);
    caught_up(&server);
    // What was found last is folded a moment after it counts as seen.
    std::thread::sleep(Duration::from_secs(1));
    let found = detections(&server);
    let list = throttled(&server);
    assert!(list.iter().all(|rule| rule["core_percent"].as_f64() > Some(0.0)), "{list:?}");
    for rule in list {
        let id = rule["rule"].clone();
        server.wait_until("the rule's return", |server| {
            let list = throttled(server);
            if list.iter().any(|rule| rule["rule"] == id) {
                off_and_on(server);
            }
            list.iter().all(|rule| rule["rule"] != id)
        });
    }
    drop(server);

    let quiet = RuleFolder::new(RULES);
    let server = quiet.start(&[("PUGMARK_RULES_CORE_SHARE_MAX_PERCENT", "0")]);
    (0..next.get()).for_each(|n| assert!(send(&server, n)));
    settled(&server, next.get());
    same(&found, &detections(&server));
}

/// A folder with rules, and the settings that use it alone.
struct RuleFolder {
    dir: tempfile::TempDir,
}

impl RuleFolder {
    fn new(text: &str) -> Self {
        let folder = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(folder.dir.path().join("rules")).unwrap();
        folder.write("test.yaml", text);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join("rules").join(name), text).unwrap();
    }

    fn start(&self, more: &[(&str, &str)]) -> Server {
        let rules = self.dir.path().join("rules").display().to_string();
        let own = [
            ("PUGMARK_RULES_DIRS", rules.as_str()),
            ("PUGMARK_RULES_BUILTIN", "false"),
            ("PUGMARK_RULES_RELOAD_INTERVAL_SECONDS", "1"),
        ];
        Server::start_with(&self.dir.path().join("data"), &[], &[&own[..], more].concat())
    }
}

/// One refused login of an address, so many seconds after some moment.
fn refused(address: u64, seconds: i64) -> String {
    let time = chrono::DateTime::from_timestamp(1_795_428_000 + seconds, 0).unwrap();
    let time = time.format("%d/%b/%Y:%H:%M:%S +0000");
    format!("203.0.113.{address} - u [{time}] \"POST /login HTTP/1.1\" 401 9 \"-\" \"test\"\n")
}

/// Titles and entities of alerts, with their counts.
fn alerts(server: &Server) -> Vec<(String, String, u64)> {
    let alerts = server.json("/api/v1/alerts?limit=1000");
    let shown = |alert: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_string();
        (
            text(&alert["rule"]["id"]),
            text(&alert["entity"]["value"]),
            alert["count"].as_u64().unwrap(),
        )
    };
    let mut alerts: Vec<_> = alerts["alerts"].as_array().unwrap().iter().map(shown).collect();
    alerts.sort();
    alerts
}

fn rule_ids(server: &Server) -> Vec<String> {
    let rules = server.json("/api/v1/rules");
    let mut ids: Vec<String> = rules["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| rule["off"].is_null())
        .map(|rule| rule["id"].as_str().unwrap().to_string())
        .collect();
    ids.sort();
    ids
}

const ADMIN: &str = "title: Admin page\nid: admin\nlogsource: {category: webserver}\ndetection:\n  \
                     sel: {cs-uri-stem: /admin}\n  condition: sel\n";

#[test]
fn rules_change_while_the_server_runs() {
    let folder = RuleFolder::new(RULES);
    let server = folder.start(&[]);
    let before = ["guessed", "guessing", "moved", "spraying", "success"];
    assert_eq!(rule_ids(&server), before);
    (0..5).for_each(|i| drop(server.ingest("web", refused(7, i))));

    folder.write("admin.yaml", ADMIN);
    folder.write("broken.yaml", "title: Broken\nlogsource: {product: x}\n");
    server.wait_until("the new rule", |s| rule_ids(s).contains(&"admin".into()));
    let problems = server.json("/api/v1/rules")["problems"].clone();
    assert!(problems[0]["path"].as_str().unwrap().ends_with("broken.yaml"), "{problems}");

    // What was counted before the change still counts.
    (5..7).for_each(|i| drop(server.ingest("web", refused(7, i))));
    server.wait_until("the detection", |s| !alerts(s).is_empty());
    assert_eq!(alerts(&server), [("guessing".into(), "203.0.113.7".into(), 1)]);

    // A rule of the product stands in for that of the folder, until it is removed.
    let write = |text: &str| {
        let body = serde_json::json!({"text": text, "reason": "a test"}).to_string();
        let headers = [("content-type", "application/json")];
        let answer = server.request("PUT", "/api/v1/rules/admin", &headers, body.as_bytes());
        let (status, body) = answer.unwrap();
        (status, String::from_utf8(body).unwrap())
    };
    let (status, answer) = write(&ADMIN.replace("condition: sel", "condition: other"));
    assert!(status == 400 && answer.contains("other"), "{status} {answer}");
    let (status, answer) = write(&ADMIN.replace("id: admin", "id: another"));
    assert!(status == 400 && answer.contains("another"), "{status} {answer}");
    let (status, answer) = write(&ADMIN.replace("Admin page", "Our admin page"));
    assert_eq!(status, 200, "{answer}");
    let detail = server.json("/api/v1/rules/admin");
    assert_eq!(
        (&detail["title"], &detail["origin"]),
        (&"Our admin page".into(), &"product".into())
    );

    let switch = |body: &str| server.request_json("/api/v1/rules/admin/switch", body).0;
    assert_eq!(switch(r#"{"on":false}"#), 400, "a reason is needed");
    assert_eq!(switch(r#"{"on":false,"reason":"too noisy"}"#), 204);
    assert!(!rule_ids(&server).contains(&"admin".into()));
    assert_eq!(server.json("/api/v1/rules/admin")["off"]["reason"], "too noisy");
    assert_eq!(switch(r#"{"on":true}"#), 204);
    assert_eq!(server.request("DELETE", "/api/v1/rules/admin", &[], b"").unwrap().0, 204);
    let detail = server.json("/api/v1/rules/admin");
    assert_eq!((&detail["title"], &detail["origin"]), (&"Admin page".into(), &"folder".into()));
    let audit = server.json("/api/v1/audit")["entries"].to_string();
    assert!(audit.contains("rule written") && audit.contains("too noisy"), "{audit}");
}

#[test]
fn an_event_that_comes_late_completes_what_was_forgotten() {
    let folder = RuleFolder::new(&RULES.replace("{gte: 7}", "{gte: 3}"));
    let server = folder.start(&[("PUGMARK_STORE_FLUSH_INTERVAL_SECONDS", "1")]);
    let send = |address, seconds| drop(server.ingest("web", refused(address, seconds)));
    send(7, 0);
    send(7, 1);
    // An hour later the window of the first two is gone.
    send(7, 3600);
    send(7, 2);
    server.wait_until("the detection", |s| !alerts(s).is_empty());
    assert_eq!(alerts(&server), [("guessing".into(), "203.0.113.7".into(), 1)]);
    let list = server.json("/api/v1/alerts");
    let detail =
        server.json(&format!("/api/v1/alerts/{}", list["alerts"][0]["id"].as_str().unwrap()));
    assert_eq!(detail["alert"]["evidence"], serde_json::json!(["1", "2", "4"]));
    assert_eq!(detail["alert"]["why"][2]["field"], "sc-status", "{detail}");
}

#[test]
fn beyond_its_noise_budget_a_rule_has_one_alert() {
    let rule = "title: Refused\nid: refused\nnoise_budget: 3\nlogsource: {category: webserver}\n\
                detection:\n  sel: {sc-status: 401}\n  condition: sel\n";
    let folder = RuleFolder::new(rule);
    let server = folder.start(&[]);
    (1..=10).for_each(|i| drop(server.ingest("web", refused(i, 0))));
    // Those of before still get theirs.
    server.ingest("web", refused(2, 5));
    let total = |server: &Server| alerts(server).iter().map(|(.., count)| count).sum::<u64>();
    server.wait_until("eleven detections", |s| total(s) == 11);
    let one = |address: &str, count| ("refused".to_string(), address.to_string(), count);
    let expected =
        [one("", 7), one("203.0.113.1", 1), one("203.0.113.2", 2), one("203.0.113.3", 1)];
    assert_eq!(alerts(&server), expected);
    let list = server.json("/api/v1/alerts").to_string();
    assert!(list.contains("7 detections beyond the noise budget of the rule"), "{list}");
}
