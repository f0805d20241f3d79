//! Mistakes in settings and on the machine get a clear answer and the right exit code.

use std::net::TcpListener;

use crate::harness::{failure, stdout};

/// Arguments, exit code, and what stderr must say.
#[track_caller]
fn check(args: &[&str], code: i32, expected: &[&str]) {
    let (got, said) = failure(args);
    assert_eq!(got, code, "{args:?}: {said}");
    for part in expected {
        assert!(said.contains(part), "{args:?}: {part:?} is not in: {said}");
    }
}

#[test]
fn the_defaults_can_be_printed_and_used() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pugmark.toml");
    std::fs::write(&file, stdout(&["config", "--defaults"])).unwrap();
    let used = stdout(&["config", "--config", file.to_str().unwrap()]);
    assert!(used.contains("listen = \"127.0.0.1:7700\""), "{used}");
}

#[test]
fn an_unknown_key_is_refused_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pugmark.toml");
    std::fs::write(&file, "[server]\nlisen = \"127.0.0.1:7700\"\n").unwrap();
    let args = ["config", "--config", file.to_str().unwrap()];
    check(&args, 2, &["server.lisen", "hint: did you mean server.listen?"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = dir.path().join("data");
    let args = ["serve", "--data", data.to_str().unwrap(), "--listen", &address];
    check(&args, 1, &[&address, "hint:"]);
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    // A file where the folder should be: even root cannot make a folder there.
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let data = file.join("data");
    let args = ["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    check(&args, 1, &[data.to_str().unwrap()]);
}

#[test]
fn what_makes_no_sense_is_usage() {
    check(&["serch", "x"], 2, &["unrecognized subcommand"]);
    check(&["ingest", "/nowhere/x.log", "--source", "a"], 2, &["there is no file"]);
    check(&["ingest", "-", "--source", "../etc"], 2, &["no name for a source"]);
    check(&["search", "a", "--from", "yesterdaz"], 2, &["is no time"]);
    check(&["search", "| stats cnt()", "--data", "/nowhere"], 2, &["^"]);
}
