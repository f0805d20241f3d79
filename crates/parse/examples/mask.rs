//! Bytes a second that masking takes, and what it finds, in files of logs. Run it by hand:
//! `cargo run --release -p pugmark-parse --example mask -- FILE...`. Counts only, no values.

// An example talks to the person who runs it.
#![allow(clippy::print_stdout)]

use std::fs::File;
use std::time::Instant;

use pugmark_event::Records;
use pugmark_parse::frame;
use pugmark_parse::mask::{Counts, MaskConfig, Masker, Policy, Treatment};

/// Times that a file is masked; the fastest counts.
const ROUNDS: usize = 5;
/// Bytes of a file that are looked at.
const BYTES_MAX: usize = 64 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy = || Policy { treatment: Treatment::Mask, ..Policy::default() };
    let (card, key, token, secret, email) = (policy(), policy(), policy(), policy(), policy());
    let config = MaskConfig { card, key, token, secret, email, rules: Vec::new() };
    let masker = Masker::new(&config, b"")?;
    for path in std::env::args().skip(1) {
        let blocks = blocks(&path)?;
        let bytes: usize = blocks.iter().map(Records::byte_len).sum();
        let records: usize = blocks.iter().map(Records::len).sum();
        let mut fastest = f64::INFINITY;
        let mut counts = Counts::new();
        for _ in 0..ROUNDS {
            counts.clear();
            let start = Instant::now();
            for block in &blocks {
                std::hint::black_box(masker.mask_all(block, &mut counts));
            }
            fastest = fastest.min(start.elapsed().as_secs_f64());
        }
        let rate = bytes as f64 / fastest / 1e6;
        println!("{path}: {records} records, {bytes} bytes, {rate:.0} MB/s, {counts:?}");
    }
    Ok(())
}

fn blocks(path: &str) -> Result<Vec<Records>, Box<dyn std::error::Error>> {
    let (mut blocks, mut bytes) = (Vec::new(), 0);
    for block in frame::open(File::open(path)?, u64::MAX)? {
        let block = block?;
        bytes += block.byte_len();
        blocks.push(block);
        if bytes > BYTES_MAX {
            break;
        }
    }
    Ok(blocks)
}
