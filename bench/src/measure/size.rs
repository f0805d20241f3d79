//! Bytes on disk after a clean stop, everything included, beside what others make of the same logs.
//!
//! `zstd -3` gets each source's file whole; it answers no question. ClickHouse's typed table has
//! one column per key, ZSTD(3), no filters, and its better order; DuckDB's has its own codecs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};

use anyhow::Result;

use super::Measure;
use crate::harness::Bench;
use crate::measure::ingest::LOADED;
use crate::server;

pub(crate) const MEASURE: Measure =
    Measure { name: "size", about: "bytes on disk beside zstd, ClickHouse and DuckDB", run };

const ZSTD_LEVEL: i32 = 3;

fn run(bench: &mut Bench) -> Result<()> {
    bench.loaded()?;
    bench.unload()?;
    let raw = bench.corpus.bytes() as f64;
    let kinds = bytes_by_kind(bench)?;
    let all = kinds.values().sum::<u64>() as f64;
    for (kind, bytes) in kinds {
        bench.report.add(&format!("size: {kind}, per raw byte"), "bytes", bytes as f64 / raw);
    }
    bench.report.add("size: everything, per raw byte", "bytes", all / raw);
    let mut packed = 0;
    for part in &bench.corpus.parts {
        packed += zstd_bytes(&part.file)?;
    }
    bench.report.add("size: zstd -3, per raw byte", "bytes", packed as f64 / raw);
    bench.report.add("size: of zstd -3 of the raw files", "ratio", all / packed as f64);
    beside_peers(bench, all, raw);
    Ok(())
}

fn beside_peers(bench: &mut Bench, all: f64, raw: f64) {
    let mut sizes = Vec::new();
    for peer in bench.peers() {
        sizes.push((peer.name, peer.sizes.clone()));
    }
    for (name, layouts) in sizes {
        for (layout, bytes) in &layouts {
            let measure = format!("size: {name} ({layout}), per raw byte");
            bench.report.add(&measure, "bytes", *bytes as f64 / raw);
        }
        // Layouts that are an order, not a part of one and not with indexes.
        let tables = layouts.iter().filter(|(layout, _)| layout.starts_with("source"));
        if let Some(least) = tables.map(|(_, bytes)| *bytes).min() {
            let measure = format!("size: of {name}'s typed table");
            bench.report.add(&measure, "ratio", all / least as f64);
        }
    }
}

/// Bytes below the data folder by what they are.
fn bytes_by_kind(bench: &Bench) -> Result<BTreeMap<&'static str, u64>> {
    let mut kinds = BTreeMap::new();
    let mut folders = vec![server::data(&bench.place(LOADED))];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let path = entry.path();
            let kind = match path.extension().and_then(|extension| extension.to_str()) {
                Some("parquet") => "segments",
                Some("wal") => "WAL",
                Some(end) if end.starts_with("db") || end.starts_with("sqlite") => "manifest",
                _ => "the rest",
            };
            *kinds.entry(kind).or_default() += entry.metadata()?.len();
        }
    }
    Ok(kinds)
}

/// How many bytes `zstd -3` makes of a file.
fn zstd_bytes(file: &std::path::Path) -> Result<u64> {
    let mut encoder = zstd::Encoder::new(Counter(0), ZSTD_LEVEL)?;
    io::copy(&mut File::open(file)?, &mut encoder)?;
    Ok(encoder.finish()?.0)
}

/// Takes everything and remembers how much it was.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
