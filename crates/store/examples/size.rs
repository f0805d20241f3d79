//! What logs cost in segments: `cargo run --release -p pugmark-store --example size -- FILE...`
//!
//! Parses each file as one source, stores it through the real path, and prints bytes per raw byte
//! and where they are, column by column. `--columns` for the list; `--merged` flushes often and
//! merges what was flushed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use pugmark_event::Records;
use pugmark_parse::{Input, Parser, frame};
use pugmark_store::{Options, Store};

const BLOCK_BYTES: usize = 1 << 20;
/// So that there is enough to merge.
const MERGED_MEMTABLE_BYTES: usize = 12 << 20;

#[tokio::main]
#[allow(clippy::print_stdout, reason = "an example prints what it found")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (flags, files): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let dir = tempfile::tempdir()?;
    let merged = flags.iter().any(|flag| flag == "--merged");
    let mut options = Options::default();
    if merged {
        options.memtable_bytes_max = MERGED_MEMTABLE_BYTES;
    }
    let (store, blocks) = Store::open(dir.path(), options).await?;
    let parser = Parser::builtin()?;
    let mut raw_bytes = 0;
    let (mut events, mut parsing, mut storing) = (0, 0.0, 0.0);
    for file in &files {
        let bytes = std::fs::read(file)?;
        let name = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let records = frame::body(bytes);
        let mut part = Records::new();
        for (i, record) in records.iter().enumerate() {
            part.push(record);
            if part.byte_len() < BLOCK_BYTES && i + 1 < records.len() {
                continue;
            }
            raw_bytes += part.byte_len() + part.len();
            events += part.len();
            let records = Arc::new(std::mem::take(&mut part));
            store.append(name.as_str().into(), records, 1_795_600_000_000_000, None, None).await?;
            let block = blocks.recv()?;
            let start = Instant::now();
            let (source, first_id, received) = (&*block.source, block.first_id, block.received);
            let input = Input { source, records: &block.records, first_id, received, format: None };
            let batch = parser.parse(&input);
            parsing += start.elapsed().as_secs_f64();
            store.insert(batch);
            store.processed(block.first_id + block.records.len() as i64);
            if store.needs_flush() {
                let start = Instant::now();
                store.flush().await?;
                storing += start.elapsed().as_secs_f64();
            }
        }
    }
    let start = Instant::now();
    store.flush().await?;
    storing += start.elapsed().as_secs_f64();
    if merged {
        let start = Instant::now();
        let done = store.compact().await?;
        println!(
            "{} segments became {}, {} bytes {}: {:.0} ns an event",
            done.removed,
            done.added,
            done.bytes_before,
            done.bytes_after,
            start.elapsed().as_secs_f64() * 1e9 / events as f64,
        );
    }
    // Those that were merged go with the store.
    store.close().await?;
    drop((store, blocks));
    let mut columns: BTreeMap<String, i64> = BTreeMap::new();
    let mut total = 0;
    for path in segments(&dir.path().join("segments"))? {
        total += std::fs::metadata(&path)?.len() as i64;
        let reader = SerializedFileReader::new(std::fs::File::open(&path)?)?;
        let mut add = |name: &str, bytes: i64| {
            *columns.entry(name.to_string()).or_default() += bytes;
        };
        for column in reader.metadata().row_groups().iter().flat_map(|group| group.columns()) {
            add(&column.column_path().string(), column.compressed_size());
            let pages = [column.column_index_length(), column.offset_index_length()];
            add("(page index)", pages.into_iter().flatten().map(i64::from).sum());
        }
        for (part, bytes) in tail(reader.metadata())? {
            add(part, bytes);
        }
    }
    let rest = total - columns.values().sum::<i64>();
    columns.insert("(footer)".into(), rest);
    let per_event = |bytes: f64| bytes / events as f64;
    println!(
        "{events} events, {raw_bytes} raw bytes, {total} bytes of segments: {:.4} per raw byte; \
         parse {:.0} ns, store {:.0} ns an event",
        total as f64 / raw_bytes as f64,
        per_event(parsing * 1e9),
        per_event(storing * 1e9),
    );
    if flags.iter().any(|flag| flag == "--columns") {
        let mut columns: Vec<_> = columns.into_iter().collect();
        columns.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        for (name, bytes) in columns.iter().take(40) {
            println!("{bytes:>12} {:8.3} B/event  {name}", per_event(*bytes as f64));
        }
    }
    Ok(())
}

/// Bytes of filters and of index, as the footer says.
fn tail(
    metadata: &ParquetMetaData,
) -> Result<[(&'static str, i64); 2], Box<dyn std::error::Error>> {
    let entries = metadata.file_metadata().key_value_metadata().into_iter().flatten();
    let entry = entries.into_iter().find(|entry| entry.key == "pugmark");
    let said = entry.and_then(|entry| entry.value.as_deref()).ok_or("no entry in the footer")?;
    let said: serde_json::Value = serde_json::from_str(said)?;
    let bytes = |part: &str| said[part][1].as_i64().ok_or("no such part in the footer");
    Ok([("(filters)", bytes("filters")?), ("(index)", bytes("index")?)])
}

fn segments(dir: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(segments(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}
