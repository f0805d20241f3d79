//! Parsing as people meet it: `pugmark parse`, `pugmark templates`, and headers that come before.

use crate::harness::{Server, failure, json_lines, stdout};

const AUTH: &str = "\
Nov 23 10:00:00 web1 sshd[8]: Failed password for root from 203.0.113.7 port 4711 ssh2
Nov 23 10:00:01 web1 sshd[8]: Failed password for invalid user anna from 203.0.113.8 port 4712 ssh2
Nov 23 10:00:02 web1 nobody-knows-this[9]: unit 7 is on fire
";

/// A file in a folder that ends with the test.
fn file(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    (dir, path.display().to_string())
}

#[test]
fn a_file_is_shown_as_events() {
    let (_dir, path) = file("auth.log", AUTH);
    let shown = stdout(&["parse", &path]);
    for part in [
        "openssh/sshd, ",
        "source.ip=203.0.113.7",
        "left over: unit 7 is on fire",
        "3 records, 2 (66 %) understood by a pack",
        "       1  unit # is on fire",
    ] {
        assert!(shown.contains(part), "{part} not in {shown}");
    }
    let events = json_lines(&stdout(&["parse", &path, "--format", "json"]));
    let modules: Vec<_> = events.iter().map(|event| event["event.module"].as_str()).collect();
    assert_eq!(modules, [Some("openssh/sshd"), Some("openssh/sshd"), None]);
    assert_eq!(events[1]["event.original"], AUTH.lines().nth(1).unwrap());
}

#[test]
fn a_pack_can_be_forced_and_must_exist() {
    let (_dir, path) = file("x.log", "Failed password for root from 203.0.113.7 port 9 ssh2\n");
    assert_eq!(
        json_lines(&stdout(&["parse", &path, "--format", "json"]))[0]["user.name"],
        serde_json::Value::Null
    );
    for name in ["openssh/sshd", "sshd"] {
        let events = json_lines(&stdout(&["parse", &path, "--format", "json", "--pack", name]));
        assert_eq!(events[0]["user.name"], "root", "{name}");
    }
    let (code, said) = failure(&["parse", &path, "--pack", "no/such"]);
    assert!(code == 2 && said.contains("no/such") && said.contains("--list"), "{code} {said}");
    assert!(stdout(&["parse", "--list"]).contains("openssh/sshd"));
}

#[test]
fn templates_of_messages_are_found() {
    let log: String = (0..9)
        .map(|i| format!("2026-11-23 10:00:0{i} INFO app.Worker - took {i}0 ms for user{i}\n"))
        .collect();
    let (_dir, path) = file("app.log", &log);
    let rows = json_lines(&stdout(&["templates", &path, "--format", "json"]));
    assert_eq!(rows.len(), 9);
    assert!(rows.iter().all(|row| row["template.id"] == rows[0]["template.id"]), "{rows:?}");
    assert_eq!(rows[0]["template"], "took <*> ms for <*>");
    let shown = stdout(&["templates", &path]);
    assert!(shown.starts_with("9 records, 1 templates"), "{shown}");
}

/// A header holds for the rows that come in later requests.
#[test]
fn a_header_holds_across_requests() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.ingest("iis", "#Fields: date time c-ip cs-method cs-uri-stem sc-status\n");
    server.ingest("iis", "2026-11-23 10:00:00 192.0.2.1 GET /a 200\n");
    server.ingest("other", "2026-11-23 10:00:00 192.0.2.1 GET /a 200\n");
    server.wait_until("the rows", |s| s.search("*").len() == 3);
    let row = server.search("event.source:iis source.ip:192.0.2.1");
    assert_eq!(row.len(), 1);
    assert_eq!(row[0]["http.response.status_code"], 200);
    assert_eq!(server.search("event.source:other c-ip:*").len(), 0);
}

#[test]
fn rows_know_their_header_after_a_restart_and_when_they_are_parsed_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let header = "#Software: Microsoft Internet Information Services 10.0\n\
                  #Fields: date time c-ip cs-method cs-uri-stem s-port sc-status\n";
    let row = |n: u32| format!("2026-11-23 09:00:0{n} 192.0.2.{n} GET /p{n} 443 200\n");
    let check = |server: &Server, rows: usize| {
        server.wait_until("the rows", |s| s.search("event.module:\"microsoft/iis\"").len() == rows);
        let found = server.search("source.ip:192.0.2.0/24");
        assert_eq!(found.len(), rows, "{found:?}");
    };
    let server = Server::start(&data);
    server.ingest("iis", header.to_string() + &row(1));
    check(&server, 1);
    server.stop();
    let server = Server::start(&data);
    server.ingest("iis", row(2));
    check(&server, 2);
    server.stop();
    stdout(&["reparse", "--source", "iis", "--data", &data.display().to_string()]);
    let server = Server::start(&data);
    check(&server, 2);
}
