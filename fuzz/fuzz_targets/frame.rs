//! Any bytes as a file and as a request body: no panic, an error only at the end, and text is cut
//! the same both ways. What EVTX chunks hold is parsed, too.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pugmark_event::Records;
use pugmark_fuzz::RECEIVED;
use pugmark_parse::frame::{self, Content, Frames};
use pugmark_parse::{Input, Parser};

static PARSER: LazyLock<Parser> =
    LazyLock::new(|| Parser::builtin().expect("the built-in packs compile"));

/// What a compressed input may grow to, in bytes: more only makes the fuzzer slow.
const BYTES_MAX: u64 = 4 << 20;
/// What compressed and UTF-16 files begin with; a body of a request has neither.
const NO_BODIES: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"\xfe\xff"];

fuzz_target!(
    // The reader of EVTX may give up on a chunk by a panic, which `frame` catches; the hook of
    // libfuzzer-sys would end the process before. What is not caught still ends it.
    init: drop(std::panic::take_hook()),
    |bytes: &[u8]| {
        if let Ok(frames) = frame::open(bytes, BYTES_MAX) {
            let content = frames.content();
            let blocks = read(frames);
            match content {
                Content::Evtx => blocks.iter().for_each(parse),
                _ if NO_BODIES.iter().any(|magic| bytes.starts_with(magic)) => {}
                _ => same(&blocks, &frame::body(bytes.to_vec())),
            }
        }
        if let Ok(frames) = frame::carve(bytes, BYTES_MAX) {
            read(frames).iter().for_each(parse);
        }
    }
);

fn read(frames: Frames<'_>) -> Vec<Records> {
    let (mut blocks, mut ended) = (Vec::new(), false);
    for block in frames {
        assert!(!ended, "an error is the last thing");
        match block {
            Ok(records) => blocks.push(records),
            Err(_) => ended = true,
        }
    }
    blocks
}

fn same(blocks: &[Records], body: &Records) {
    assert!(blocks.iter().flat_map(Records::iter).eq(body.iter()), "a file is cut like a body");
}

fn parse(records: &Records) {
    let (source, first_id, received) = ("fuzz", 1, RECEIVED);
    pugmark_fuzz::parse(&PARSER, &Input { source, records, first_id, received, format: None });
}
