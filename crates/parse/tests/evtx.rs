//! EVTX files, sound and corrupt: every readable record comes out, nothing panics.

use std::path::{Path, PathBuf};

use pugmark_event::{Records, fields};
use pugmark_parse::frame::{self, Content, FrameError};
use pugmark_parse::{Input, Parser};

const SHARED: &str = concat!(env!("WORKSPACE_ROOT"), "../shared/data");

fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(SHARED).join(folder);
    if !root.exists() {
        #[allow(clippy::print_stderr)] // the only way a test can say that it did nothing
        {
            eprintln!("skipped: ../shared is absent");
        }
        return Vec::new();
    }
    let mut pending = vec![root];
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "evtx") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn read(bytes: &[u8]) -> (Vec<Records>, Vec<FrameError>) {
    let (mut blocks, mut errors) = (Vec::new(), Vec::new());
    for block in frame::open(bytes, u64::MAX).unwrap() {
        match block {
            Ok(records) => blocks.push(records),
            Err(error) => errors.push(error),
        }
    }
    (blocks, errors)
}

/// How many records the EVTX crate itself finds, reading the file as a whole.
fn readable(bytes: Vec<u8>) -> usize {
    let settings = evtx::ParserSettings::new().num_threads(1);
    let mut parser = evtx::EvtxParser::from_buffer(bytes).unwrap().with_configuration(settings);
    parser.records_json().filter(|record| record.is_ok()).count()
}

/// Parses all records of all files; returns how many files, records and errors there were.
fn all(folder: &str) -> (usize, usize, usize) {
    let parser = Parser::builtin().unwrap();
    let (mut records, mut failed) = (0, 0);
    let files = files(folder);
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        let (blocks, errors) = read(&bytes);
        let count: usize = blocks.iter().map(Records::len).sum();
        // A chunk without a header gives us records that the crate alone does not find.
        let (sound, readable) = (errors.is_empty(), readable(bytes));
        assert!(count == readable || !sound && count > readable, "{}", file.display());
        assert!(errors.len() <= 1, "{}: one error at the end", file.display());
        failed += errors.len();
        for block in &blocks {
            let input = Input {
                source: "evtx",
                records: block,
                first_id: 1,
                received: 1_795_428_000_000_000,
                format: None,
            };
            let batch = parser.parse(&input);
            assert_eq!(batch.rows(), block.len());
            records += block.len();
            let codes = batch.text(fields::EVENT_CODE).unwrap();
            assert_eq!(arrow::array::Array::null_count(codes), 0, "{}", file.display());
        }
    }
    (files.len(), records, failed)
}

/// Expects exactly this many files, records, and files that end in an error.
#[track_caller]
fn check(folder: &str, expected: (usize, usize, usize)) {
    let got = all(folder);
    assert!(got.0 == 0 || got == expected, "{folder}: {got:?} files, records, errors");
}

#[test]
fn corrupt_samples_give_all_readable_records() {
    check("evtx/parser-samples", (23, 18_763, 5));
}

#[test]
fn attack_samples_are_read_whole() {
    check("evtx/evtx-to-mitre", (281, 10_015, 0));
}

#[test]
fn regression_samples_are_read_whole() {
    check("sigma/regression_data", (128, 154, 0));
}

#[test]
fn a_file_cut_anywhere_gives_what_was_there() {
    let Some(file) = files("evtx/parser-samples").into_iter().find(|f| f.ends_with("sysmon.evtx"))
    else {
        return;
    };
    let bytes = std::fs::read(file).unwrap();
    let count = |bytes: &[u8]| {
        let (blocks, errors) = read(bytes);
        (blocks.iter().map(Records::len).sum::<usize>(), errors.len())
    };
    let (whole, _) = count(&bytes);
    let mut before = 0;
    for end in [8, 100, 4096, 5000, 40_000, 70_000, bytes.len() - 30_000, bytes.len()] {
        let (now, errors) = count(&bytes[..end]);
        assert!(now >= before && now <= whole, "{end}: {now} records after {before}");
        assert!(errors == 1 || end == 4096 || now == whole, "{end}: {errors} errors");
        before = now;
    }
    assert_eq!(before, whole);
    assert_eq!(frame::open(&bytes[..], 0).unwrap().content(), Content::Evtx);
}

/// Reads bytes of any kind for chunks; returns how many records and errors there were.
fn carved(bytes: &[u8]) -> (usize, usize) {
    let (mut records, mut errors) = (0, 0);
    for block in frame::carve(bytes, u64::MAX).unwrap() {
        match block {
            Ok(block) => records += block.len(),
            Err(_) => errors += 1,
        }
    }
    (records, errors)
}

#[test]
fn chunks_are_carved_out_of_anything() {
    let Some(file) =
        files("evtx/parser-samples").into_iter().find(|f| f.ends_with("security.evtx"))
    else {
        return;
    };
    let bytes = std::fs::read(file).unwrap();
    let chunk = |n: usize| &bytes[4096 + n * 65_536..4096 + (n + 1) * 65_536];
    let (one, two) = (carved(chunk(0)).0, carved(chunk(1)).0);
    assert!(one > 50 && two > 50);
    let noise = vec![7; 1_000_003];
    for (dump, expected) in [
        (noise.clone(), 0..1),
        (b"ElfChnk\0".to_vec(), 0..1),
        ([&noise, chunk(0), &noise, chunk(1)].concat(), one + two..one + two + 1),
        // A piece of one, overwritten by another: every record comes once.
        ([&chunk(0)[..30_000], chunk(1)].concat(), two + 20..two + one),
        ([b"ElfChnk\0", chunk(0)].concat(), one..one + 1),
    ] {
        let (records, _) = carved(&dump);
        assert!(expected.contains(&records), "{records} records, not {expected:?}");
    }
    let zipped = zstd::encode_all(chunk(0), 1).unwrap();
    assert_eq!(carved(&zipped), (one, 0));
}

#[test]
fn flipped_bytes_never_panic() {
    let Some(file) = files("evtx/parser-samples").into_iter().find(|f| f.ends_with("system.evtx"))
    else {
        return;
    };
    let sound = std::fs::read(file).unwrap();
    let sound = &sound[..(4096 + 2 * 65_536).min(sound.len())];
    for seed in 0..60usize {
        let mut bytes = sound.to_vec();
        for i in 0..8 {
            let at = (seed * 7919 + i * 104_729) % bytes.len();
            bytes[at] ^= 1 << (seed % 8);
        }
        let _ = read(&bytes);
        let _ = carved(&bytes);
    }
}
