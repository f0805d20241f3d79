//! Any bytes through framing and parsing: no panic, and as many events as records, each with its
//! exact bytes.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pugmark_parse::{Input, Parser, frame};

static PARSER: LazyLock<Parser> =
    LazyLock::new(|| Parser::builtin().expect("the built-in packs compile"));

/// What a compressed input may grow to, in bytes: more only makes the fuzzer slow.
const BYTES_MAX: u64 = 4 << 20;

fuzz_target!(|bytes: &[u8]| {
    let ways = [frame::open(bytes, BYTES_MAX), frame::carve(bytes, BYTES_MAX)];
    for records in ways.into_iter().flatten().flatten().flatten() {
        let input = Input {
            source: "fuzz",
            records: &records,
            first_id: 1,
            received: 1_795_428_000_000_000,
            format: None,
        };
        let batch = PARSER.parse(&input);
        assert_eq!(batch.rows(), records.len());
        for (row, record) in records.iter().enumerate() {
            assert_eq!(batch.original(row), record);
        }
    }
});
