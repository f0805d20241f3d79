//! What is known about values, what is masked, and packs of the user's own, as users meet them.

use serde_json::json;

use crate::harness::{Server, json_lines, run, stdout, text};

const LEASE: &str =
    "<30>1 2026-11-23T09:00:00Z gw dnsmasq-dhcp 7 - - DHCPACK(eth0) 10.0.0.7 02:00:00:00:00:01 pc1";
const SEEN: &str =
    r#"{"time":"2026-11-23T09:05:00Z","destination.ip":"10.0.0.7","host.name":"web1"}"#;

#[test]
fn events_know_whose_an_address_was_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let lookups = data.join("enrich/lookups");
    std::fs::create_dir_all(&lookups).unwrap();
    std::fs::write(lookups.join("hosts.csv"), "host.name,owner\nweb1,anna\n").unwrap();
    let server = Server::start(&data);
    server.ingest("gw", LEASE);
    server.ingest("web", SEEN);
    let check = |server: &Server, count: usize| {
        server.wait_until("the events", |s| s.search("event.source:web").len() == count);
        for event in server.search("event.source:web") {
            assert_eq!(event["host.owner"], "anna", "{event}");
            assert_eq!(event["destination.host.name"], "pc1", "{event}");
            assert_eq!(event["destination.network.name"], "private", "{event}");
        }
    };
    check(&server, 1);
    server.stop();
    let server = Server::start(&data);
    server.ingest("web", SEEN);
    check(&server, 2);
    let tables = server.json("/api/v1/lookups");
    assert_eq!(tables["lookups"][0]["name"], "hosts", "{tables}");
    // A query asks the same tables.
    let asked = "event.source:web | lookup hosts host.name output owner as whose \
                 | lookup geo destination.ip output country | stats count() by whose";
    assert_eq!(server.search(asked)[0], json!({"whose": "anna", "count": 2}));
    // A table that changes is in force soon, for what comes then.
    std::fs::write(lookups.join("hosts.csv"), "host.name,owner\nweb1,bob\n").unwrap();
    server.wait_until("the other table", |s| {
        s.ingest("later", SEEN);
        !s.search("event.source:later host.owner:bob").is_empty()
    });
    check(&server, 2);
}

#[test]
fn what_is_masked_is_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let (data, rules) = (dir.path().join("data"), dir.path().join("mask.yaml"));
    std::fs::write(&rules, "secret: {treatment: mask}\nemail: {treatment: hash}\n").unwrap();
    let rules = rules.display().to_string();
    let record = "user=ann password=correct-horse-9 to=ann@example.org\n";
    let file = dir.path().join("app.log");
    std::fs::write(&file, record).unwrap();
    let shown = stdout(&["mask", &file.display().to_string(), "--rules", &rules]);
    assert!(shown.contains("user=ann") && !shown.contains("horse"), "{shown}");

    let server = Server::start_with(&data, &[], &[("PUGMARK_MASK_FILE", &rules)]);
    server.ingest("app", record);
    server.ingest("app", record);
    server.wait_until("the events", |s| s.search("event.source:app").len() == 2);
    let found = server.search("event.source:app");
    // The same value has the same hash, so that it can be counted.
    assert_eq!(found[0]["to"], found[1]["to"]);
    assert!(found[0]["to"].as_str().unwrap().starts_with("[email:"), "{}", found[0]);
    assert_eq!(server.json("/api/v1/status")["masked"], json!({"email": 2, "secret": 2}));
    server.stop();
    let mut files = vec![data];
    while let Some(path) = files.pop() {
        match path.is_dir() {
            true => files.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path())),
            false => {
                let bytes = std::fs::read(&path).unwrap();
                let has = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
                assert!(!has(b"correct-horse-9") && !has(b"ann@example"), "{}", path.display());
            }
        }
    }
}

#[test]
fn masking_with_a_mistake_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("mask.yaml");
    std::fs::write(&rules, "secrets: {treatment: mask}\n").unwrap();
    let file = dir.path().join("app.log");
    std::fs::write(&file, "a\n").unwrap();
    let (file, rules) = (file.display().to_string(), rules.display().to_string());
    let ended = run(&["mask", &file, "--rules", &rules]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(text(&ended.stderr).contains("secrets"), "{}", text(&ended.stderr));
}

#[test]
fn a_proposed_pack_reads_the_next_records() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = (0..40)
        .map(|n| {
            format!(
                "2026-11-23 09:00:{:02} till[7]: sale {n} refused for user u{n} from 192.0.2.{n}\n",
                n % 60
            )
        })
        .collect();
    let file = dir.path().join("till.log");
    std::fs::write(&file, &lines).unwrap();
    let (file, packs) =
        (file.display().to_string(), dir.path().join("packs").display().to_string());
    stdout(&["propose", &file, "--name", "shop/till", "--write", &packs]);
    let read = json_lines(&stdout(&["parse", &file, "--packs", &packs, "--format", "json"]));
    assert_eq!(read.len(), 40);
    assert!(read.iter().all(|event| event["event.module"] == "shop/till"), "{}", read[0]);
    assert_eq!(read[7]["source.ip"], "192.0.2.7", "{}", read[7]);

    let server = Server::start_with(
        &dir.path().join("data"),
        &[],
        &[("PUGMARK_PARSERS_DIR", packs.as_str())],
    );
    server.ingest("till", &lines);
    server.wait_until("the events", |s| s.search("event.module:\"shop/till\"").len() == 40);
    assert_eq!(server.json("/api/v1/parsers")["parsers"][0]["name"], "shop/till");
}
