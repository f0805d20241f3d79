//! Feeds every file below a folder to every format: each record is one event with its exact bytes,
//! whatever format the door said. A panic or a lost record ends the run. Run it by hand:
//! `cargo run --release -p pugmark-parse --example survive -- ../shared/data`.

// An example talks to the person who runs it.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;

use pugmark_event::Records;
use pugmark_parse::{Input, Parser, frame};

/// What a door may say; the last ones bring a header.
const FORMATS: &[Option<&str>] = &[
    None,
    Some("windows"),
    Some("windows_xml"),
    Some("json"),
    Some("cef"),
    Some("leef"),
    Some("cisco"),
    Some("cri"),
    Some("journal"),
    Some("klog"),
    Some("syslog"),
    Some("audit"),
    Some("access"),
    Some("keyvalue"),
    Some("plain"),
    Some("table ,time,source.ip,user.name"),
    Some("w3c date time c-ip cs-method cs-uri-stem sc-status"),
    Some("zeek conn\tts\tuid\tid.orig_h\tid.orig_p"),
];
/// Bytes of one file that are unpacked.
const FILE_BYTES_MAX: u64 = 64 << 20;

fn main() {
    let parser = Parser::builtin().expect("the built-in packs compile");
    let mut folders: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let (mut files, mut bytes, mut records) = (0usize, 0usize, 0usize);
    while let Some(path) = folders.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("the folder can be read");
            folders.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
            continue;
        }
        let Ok(content) = std::fs::read(&path) else { continue };
        files += 1;
        bytes += content.len();
        records += file(&parser, &content);
    }
    println!("{files} files, {bytes} bytes, {records} records in {} formats", FORMATS.len());
}

/// Feeds one file; answers how many records it has.
fn file(parser: &Parser, content: &[u8]) -> usize {
    let mut count = 0;
    let ways = [frame::open(content, FILE_BYTES_MAX), frame::carve(content, FILE_BYTES_MAX)];
    for block in ways.into_iter().flatten().flatten().flatten() {
        count += block.len();
        FORMATS.iter().for_each(|format| fed(parser, &block, *format));
    }
    // As it came over a socket: one body, bytes that are no text among them.
    let body = frame::body(content.to_vec());
    fed(parser, &body, None);
    count
}

fn fed(parser: &Parser, records: &Records, format: Option<&str>) {
    let received = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z
    let batch = parser.parse(&Input { source: "any", records, first_id: 1, received, format });
    assert_eq!(batch.rows(), records.len(), "{format:?}");
    for (row, record) in records.iter().enumerate() {
        assert_eq!(batch.original(row), record, "{format:?}");
    }
}
