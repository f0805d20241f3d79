//! Care from the command line, beside a running server.

use serde_json::{Value, json};

use crate::harness::{Server, failure, json_lines, run, stdout, text};

/// A server with records of two sources, one of them in quarantine.
fn server(dir: &std::path::Path) -> Server {
    let server = Server::start(dir);
    let long = vec![b'x'; (1 << 20) + 1];
    server.ingest("web", [b"{\"n\":1}\n".as_slice(), &long, b"\n{\"n\":2}"].concat());
    let line =
        "Nov 23 10:00:01 web1 sshd[812]: Failed password for root from 203.0.113.7 port 4022";
    server.ingest("ssh", line);
    server.wait_until("the records", |s| s.search("*").len() == 3);
    server
}

#[test]
fn everything_is_checked_copied_and_restored_beside_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (data, copy, new) = (path("data"), path("copy"), path("new"));
    let server = server(&dir.path().join("data"));
    for depth in [&["doctor", "--data", &data][..], &["doctor", "--data", &data, "--deep"]] {
        let said = stdout(depth);
        assert!(said.contains("all is well"), "{said}");
    }
    stdout(&["backup", &copy, "--data", &data]);
    server.ingest("web", "{\"n\":3}");
    let again = stdout(&["backup", &copy, "--data", &data]);
    assert!(again.contains("copied now"), "{again}");
    stdout(&["restore", &copy, "--data", &new]);
    let (code, error) = failure(&["restore", &copy, "--data", &new]);
    assert!(code == 1 && error.contains("not empty"), "{error}");
    let found = json_lines(&stdout(&["search", "*", "--data", &new, "--format", "json"]));
    assert_eq!(found.len(), 4);
    assert!(stdout(&["doctor", "--data", &new, "--deep"]).contains("all is well"));

    server.stop();
    let segments = std::fs::read_dir(dir.path().join("data/segments")).unwrap();
    std::fs::remove_dir_all(segments.map(|day| day.unwrap().path()).next().unwrap()).unwrap();
    let output = run(&["doctor", "--data", &data]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("missing") && said.contains("from a backup"), "{said}");
    // A server that starts on it says so with an alert of its own.
    let server = Server::start(&dir.path().join("data"));
    let alert = "Stored records do not add up";
    server.wait_until("the alert", |s| s.get("/api/v1/alerts").1.contains(alert));
    let alerts = server.json("/api/v1/alerts?rule=pugmark.store-check");
    assert_eq!(alerts["alerts"][0]["severity"], "critical", "{alerts}");
    let id = alerts["alerts"][0]["id"].as_str().unwrap();
    assert_eq!(server.json(&format!("/api/v1/alerts/{id}"))["events"], json!([]));
}

#[test]
fn the_quarantine_is_inspected_and_replayed_and_the_past_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let server = server(&dir.path().join("data"));
    let token = dir.path().join("token");
    std::fs::write(&token, &server.token).unwrap();
    let (url, token) = (format!("http://{}", server.address), token.display().to_string());
    let remote = |args: &[&str]| {
        stdout(&[args, &["--server", url.as_str(), "--token-file", token.as_str()]].concat())
    };
    let reasons = remote(&["ledger", "--reasons", "--format", "json"]);
    let reason: Vec<Value> = json_lines(&reasons);
    assert_eq!((&reason[0]["fate"], &reason[0]["count"]), (&json!("quarantined"), &json!(1)));
    assert_eq!(
        json_lines(&stdout(&["ledger", "--reasons", "--data", &data, "--format", "json"])),
        reason
    );
    let minutes = remote(&["ledger", "--by", "minute", "--source", "web", "--format", "json"]);
    assert_eq!(json_lines(&minutes)[0]["received"], 3, "{minutes}");
    let earlier = remote(&["ledger", "--to", "2020-01-01", "--format", "json"]);
    assert_eq!(earlier, "");

    let held = json_lines(&stdout(&["quarantine", "--data", &data, "--format", "json"]));
    let id = held[0]["id"].as_str().unwrap();
    let raw = run(&["quarantine", "show", id, "--raw", "--data", &data]).stdout;
    assert_eq!(raw, vec![b'x'; (1 << 20) + 1]);
    assert!(stdout(&["quarantine", "show", id, "--data", &data]).contains("reason    the record"));
    let (status, bytes) =
        server.request("GET", &format!("/api/v1/quarantine/{id}"), &[], b"").unwrap();
    assert!(status == 200 && bytes == raw);
    let replayed = remote(&["quarantine", "replay", "--source", "web"]);
    assert!(replayed.contains("1 because they are too long"), "{replayed}");

    let done = remote(&["reparse", "--source", "ssh"]);
    assert!(done.contains("1 events read again"), "{done}");
    assert_eq!(server.search("source.ip:203.0.113.7").len(), 1);
    let trail = json_lines(&remote(&["audit", "--format", "json"]));
    assert_eq!((&trail[0]["action"], &trail[0]["subject"]), (&json!("reparse"), &json!("ssh")));
    assert_eq!(server.json("/api/v1/ledger")["balanced"], true);
    server.stop();
    let offline = stdout(&["reparse", "--source", "ssh", "--data", &data]);
    assert!(offline.contains("1 events read again"), "{offline}");
    assert!(stdout(&["doctor", "--data", &data, "--deep"]).contains("all is well"));
}
