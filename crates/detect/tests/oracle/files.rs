//! Files of the shared test data.

use std::io::Read;
use std::path::{Path, PathBuf};

use pugmark_event::Records;
use pugmark_parse::frame;

/// Bytes that one recording may grow to.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// The shared test data; `None`, said aloud, where it is absent.
pub(crate) fn shared() -> Option<PathBuf> {
    let dir = Path::new(concat!(env!("WORKSPACE_ROOT"), "../shared/data"));
    if !dir.exists() {
        eprintln!("skipped: ../shared is absent");
        return None;
    }
    Some(dir.to_path_buf())
}

/// Files below a folder with one of these endings, in the order of their paths.
pub(crate) fn below(dir: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            paths.extend(below(&path, endings));
        } else if path.extension().is_some_and(|e| endings.iter().any(|ending| e == *ending)) {
            paths.push(path);
        }
    }
    paths
}

/// The records of a recording: those that can be read.
pub(crate) fn records(path: &Path) -> Vec<Records> {
    let bytes = std::fs::read(path).unwrap();
    let parts =
        if path.extension().is_some_and(|e| e == "zip") { unzip(&bytes) } else { vec![bytes] };
    let mut blocks = Vec::new();
    for part in parts {
        let frames = frame::open(std::io::Cursor::new(part), FILE_BYTES_MAX).unwrap();
        blocks.extend(frames.map_while(Result::ok));
    }
    blocks
}

/// The files of a ZIP archive, by its central directory: method 0 (stored) and 8 (deflate).
fn unzip(bytes: &[u8]) -> Vec<Vec<u8>> {
    let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]) as usize;
    let long = |at: usize| short(at) | short(at + 2) << 16;
    let end = bytes.windows(4).rposition(|four| four == b"PK\x05\x06").unwrap();
    let mut at = long(end + 16);
    let mut files = Vec::new();
    for _ in 0..short(end + 10) {
        assert_eq!(&bytes[at..at + 4], b"PK\x01\x02");
        let (method, packed, local) = (short(at + 10), long(at + 20), long(at + 42));
        let start = local + 30 + short(local + 26) + short(local + 28);
        let data = &bytes[start..start + packed];
        match method {
            0 => files.push(data.to_vec()),
            8 => {
                let mut file = Vec::new();
                flate2::read::DeflateDecoder::new(data).read_to_end(&mut file).unwrap();
                files.push(file);
            }
            other => panic!("method {other}"),
        }
        at += 46 + short(at + 28) + short(at + 30) + short(at + 32);
    }
    files
}
