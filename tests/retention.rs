//! Retention as a user meets it: preview, hold, release, and a server that does what was shown.

use serde_json::Value;

use crate::harness::{Server, failure, json_lines, stdout};

/// Old events of one source, and settings that keep it for a month.
fn prepared(dir: &std::path::Path) -> (String, String) {
    let log = dir.join("old.log");
    let lines: String = (0..20)
        .map(|i| {
            format!("{{\"@timestamp\":\"2020-01-02T03:04:{i:02}Z\",\"message\":\"old {i}\"}}\n")
        })
        .collect();
    std::fs::write(&log, lines).unwrap();
    let data = dir.join("data").display().to_string();
    stdout(&["ingest", log.to_str().unwrap(), "--source", "web", "--data", &data]);
    let settings = dir.join("new.toml");
    let cold = dir.join("cold").display().to_string();
    let text = format!(
        "[[retention]]\nclass = \"audit\"\nsources = [\"auth*\"]\ndays_total = 400\n\
         [[retention]]\nclass = \"default\"\ndays_hot = 7\ndays_total = 30\n\
         [store.cold]\nurl = \"file://{cold}\"\n"
    );
    std::fs::write(&settings, text).unwrap();
    (data, settings.display().to_string())
}

/// The class `default` of a preview.
#[track_caller]
fn default_class(args: &[&str]) -> Value {
    let all = [&["retention", "preview", "--format", "json"], args].concat();
    let classes = json_lines(&stdout(&all));
    classes.into_iter().find(|class| class["class"] == "default").expect("it is always there")
}

#[test]
fn a_policy_is_seen_before_it_is_on_and_a_hold_stops_it() {
    let dir = tempfile::tempdir().unwrap();
    let (data, new) = prepared(dir.path());
    let in_use = default_class(&["--data", &data]);
    assert_eq!((&in_use["hot"]["events"], &in_use["to_delete"]["events"]), (&20.into(), &0.into()));
    let tried = default_class(&["--data", &data, "--settings", &new]);
    assert_eq!(tried["to_delete"]["events"], 20, "{tried}");
    let then = ["--data", &data, "--settings", &new, "--at", "2020-01-20"];
    let then = default_class(&then);
    assert_eq!(then["to_delete"]["events"], 0, "{then}");
    let table = stdout(&["retention", "preview", "--data", &data, "--settings", &new]);
    assert!(table.contains("audit") && table.contains("delete_events"), "{table}");

    let hold = ["retention", "hold", "default", "--reason", "case 17", "--data", &data];
    assert!(stdout(&hold).contains("Nothing of the retention class default"));
    let held = default_class(&["--data", &data, "--settings", &new]);
    assert_eq!((&held["held"], &held["to_delete"]["events"]), (&true.into(), &0.into()));
    let unknown = ["retention", "hold", "audti", "--reason", "x", "--data", &data];
    let (code, said) = failure(&unknown);
    assert!(code == 2 && said.contains("there are default"), "{code} {said}");

    let server = Server::start_with(dir.path().join("data").as_path(), &["--config", &new], &[]);
    let token = dir.path().join("data.token").display().to_string();
    let url = format!("http://{}", server.address);
    let place = ["--server", url.as_str(), "--token-file", token.as_str()];
    let shown = default_class(&place);
    assert_eq!((&shown["held"], &shown["hold"]["reason"]), (&true.into(), &"case 17".into()));
    let tried = default_class(&[&place[..], &["--settings", &new, "--at", "2020-01-20"]].concat());
    assert_eq!(tried["to_delete"]["events"], 0, "{tried}");

    let release = ["retention", "release", "default", "--reason", "closed"];
    stdout(&[&release[..], &place].concat());
    let (code, said) = failure(&[&release[..], &place].concat());
    assert!(code != 0 && said.contains("on hold"), "{code} {said}");
    let preview = default_class(&place);
    assert_eq!(preview["to_delete"]["events"], 20, "{preview}");
}

#[test]
fn a_server_deletes_what_the_preview_showed() {
    let dir = tempfile::tempdir().unwrap();
    let (_, new) = prepared(dir.path());
    let data = dir.path().join("data");
    let server = Server::start_with(&data, &["--config", &new], &[]);
    server.wait_until("the old events are gone", |server| {
        server.json("/api/v1/retention")["classes"][1]["hot"]["events"] == 0
    });
    assert_eq!(server.json("/api/v1/ledger")["balanced"], true);
    let (status, answer) = server.request_json("/api/v1/search", r#"{"query":"*"}"#);
    assert_eq!((status, answer.trim()), (200, ""));
}

#[test]
fn wrong_classes_are_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pugmark.toml");
    for (text, expected) in [
        (
            "[[retention]]\nclass = \"a\"\ndays_hot = 9\ndays_total = 3\nsources = [\"x\"]",
            "days_hot = 9",
        ),
        ("[[retention]]\nclass = \"a\"\nquery = \"user.name:(\"", "cannot be used"),
        ("[[retention]]\nclass = \"a\"", "wants every event"),
        ("[store.cold]\nurl = \"ftp://x\"", "is no address of object storage"),
    ] {
        std::fs::write(&file, text).unwrap();
        let data = dir.path().join("data").display().to_string();
        let config = file.display().to_string();
        let (code, said) =
            failure(&["serve", "--config", &config, "--data", &data, "--listen", "127.0.0.1:0"]);
        assert!(code == 2 && said.contains(expected) && said.contains("hint:"), "{code} {said}");
    }
}
