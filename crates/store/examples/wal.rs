//! Measures the WAL: what a payload costs, and how long a restart takes.
//!
//!     cargo run --release -p pugmark-store --example wal -- payload FILE
//!     cargo run --release -p pugmark-store --example wal -- write FILE DIR
//!     cargo run --release -p pugmark-store --example wal -- fill DIR FILE MB
//!     cargo run --release -p pugmark-store --example wal -- restart DIR
//!
//! FILE has a record per line. Times are those of the processor, where Linux tells them.

#![allow(clippy::exit, reason = "ends like a killed process")]
#![allow(clippy::print_stdout, reason = "it is a program")]

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, BinaryArray, RecordBatch};
use arrow::ipc::writer::StreamWriter;
use pugmark_event::Records;
use pugmark_parse::{Input, Parser};
use pugmark_store::{AppendError, Options, Store};

type Outcome<T> = Result<T, Box<dyn Error>>;

const BLOCK_BYTES: usize = 1 << 20;

#[tokio::main]
async fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["payload", file] => payload(Path::new(file)),
        ["write", file, dir] => write(Path::new(file), Path::new(dir)),
        ["fill", dir, file, mb] => fill(Path::new(dir), Path::new(file), mb.parse()?).await,
        ["restart", dir] => restart(Path::new(dir)).await,
        _ => Err("payload FILE | write FILE DIR | fill DIR FILE MB | restart DIR".into()),
    }
}

/// The lines of a file as blocks of about `bytes`.
fn blocks(file: &Path, bytes: usize) -> Outcome<Vec<Records>> {
    let text = std::fs::read(file)?;
    let mut blocks = vec![Records::new()];
    for line in text.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        if blocks.last().is_some_and(|block| block.byte_len() >= bytes) {
            blocks.push(Records::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.push(line);
        }
    }
    Ok(blocks)
}

/// Time that this thread has had of a processor.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0))
}

/// Bytes and processor time of layouts and compression levels, by size of block.
fn payload(file: &Path) -> Outcome<()> {
    println!("block bytes,layout,compression,bytes of raw,ns per record,MB/s");
    for bytes in [300, 1 << 10, 4 << 10, 16 << 10, BLOCK_BYTES] {
        let mut blocks = blocks(file, bytes)?;
        blocks.truncate((64 << 20) / bytes);
        for level in [None, Some(-7), Some(-5), Some(-3), Some(-1), Some(1), Some(2), Some(3)] {
            measure("raw", bytes, level, &blocks, &mut |records, out| {
                let (bytes, ends) = records.parts();
                ends.iter().for_each(|end| out.extend_from_slice(&end.to_le_bytes()));
                out.extend_from_slice(bytes);
                Ok(())
            })?;
        }
        for level in [None, Some(-5), Some(1), Some(3)] {
            measure("Arrow IPC of raw", bytes, level, &blocks, &mut |records, out| {
                let raw: ArrayRef = Arc::new(BinaryArray::from_iter_values(records.iter()));
                ipc(&RecordBatch::try_from_iter([("event_original", raw)])?, out)
            })?;
        }
        // Parsed events take many times the memory of their records.
        blocks.truncate((4 << 20) / bytes);
        let parser = Parser::builtin()?;
        let batches: Vec<_> = blocks
            .iter()
            .map(|records| {
                let input = Input { source: "x", records, first_id: 1, received: 1, format: None };
                parser.parse(&input)
            })
            .collect();
        for level in [Some(-5), Some(1), Some(3)] {
            let mut batches = batches.iter();
            measure("Arrow IPC of events", bytes, level, &blocks, &mut |_, out| {
                ipc(batches.next().ok_or("as many batches as blocks")?.columns(), out)
            })?;
        }
    }
    Ok(())
}

/// The same for compression levels alone, with each block written to a file in `dir` and synced.
fn write(file: &Path, dir: &Path) -> Outcome<()> {
    println!("block bytes,layout,compression,bytes of raw,ns per record,MB/s");
    let blocks = blocks(file, BLOCK_BYTES)?;
    let path = dir.join("wal-example");
    for level in [None, Some(-7), Some(-5), Some(-1), Some(1), Some(3)] {
        let mut out_file = std::fs::File::create(&path)?;
        let mut zstd = zstd::bulk::Compressor::new(level.unwrap_or(1))?;
        let layout = format!("raw, synced, zstd {level:?}");
        measure(&layout, BLOCK_BYTES, None, &blocks, &mut |records, out| {
            match level {
                Some(_) => out.extend_from_slice(&zstd.compress(records.parts().0)?),
                None => out.extend_from_slice(records.parts().0),
            }
            out_file.write_all(out)?;
            Ok(out_file.sync_data()?)
        })?;
    }
    Ok(std::fs::remove_file(&path)?)
}

fn ipc(batch: &RecordBatch, out: &mut Vec<u8>) -> Outcome<()> {
    let mut writer = StreamWriter::try_new(out, &batch.schema())?;
    writer.write(batch)?;
    writer.finish()?;
    Ok(())
}

fn measure(
    layout: &str,
    block_bytes: usize,
    level: Option<i32>,
    blocks: &[Records],
    write: &mut dyn FnMut(&Records, &mut Vec<u8>) -> Outcome<()>,
) -> Outcome<()> {
    let mut zstd = zstd::bulk::Compressor::new(level.unwrap_or(1))?;
    let (mut plain, mut written) = (Vec::new(), 0);
    let start = processor_time();
    for records in blocks {
        plain.clear();
        write(records, &mut plain)?;
        let packed = level.map(|_| zstd.compress(&plain)).transpose()?;
        let payload = packed.as_deref().unwrap_or(&plain);
        std::hint::black_box(crc32fast::hash(payload));
        written += payload.len();
    }
    let took = (processor_time() - start).as_secs_f64();
    let raw: usize = blocks.iter().map(Records::byte_len).sum();
    let rows: usize = blocks.iter().map(Records::len).sum();
    println!(
        "{block_bytes},{layout},{},{:.3},{:.0},{:.0}",
        level.map_or("none".to_string(), |level| format!("zstd {level}")),
        written as f64 / raw as f64,
        took * 1e9 / rows as f64,
        raw as f64 / took / 1e6,
    );
    Ok(())
}

/// Writes until the WAL of a new store in `dir` has `mb` megabytes; nothing is flushed.
async fn fill(dir: &Path, file: &Path, mb: u64) -> Outcome<()> {
    let (store, out) = Store::open(dir, Options::default()).await?;
    let taker = store.clone();
    let taken = std::thread::spawn(move || {
        for block in out {
            taker.processed(block.first_id + block.records.len() as i64);
        }
    });
    let blocks: Vec<_> = blocks(file, BLOCK_BYTES)?.into_iter().map(Arc::new).collect();
    let (start, mut records, mut bytes) = (Instant::now(), 0, 0);
    for block in blocks.iter().cycle() {
        if store.usage().wal_bytes >= mb * 1_000_000 {
            break;
        }
        match store.append("web".into(), block.clone(), 1, None, None).await {
            Ok(_) => (records, bytes) = (records + block.len(), bytes + block.byte_len()),
            Err(AppendError::Full) => tokio::time::sleep(Duration::from_millis(2)).await,
            Err(error) => return Err(error.into()),
        }
    }
    println!("{records} records, {bytes} bytes raw, {:?}", start.elapsed());
    println!("{} bytes of WAL", store.usage().wal_bytes);
    store.close_intake().await;
    taken.join().map_err(|_| "the taker has panicked")?;
    // No close: a crash.
    std::process::exit(0)
}

/// Times until the store is open, until the first block comes, and until all have come.
async fn restart(dir: &Path) -> Outcome<()> {
    let start = Instant::now();
    let (store, out) = Store::open(dir, Options::default()).await?;
    println!("open after {:?}: {:?}", start.elapsed(), store.recovery());
    let (mut records, mut bytes, mut next, mut first) = (0, 0, None, None);
    while records < store.recovery().replayed {
        let block = out.recv()?;
        first.get_or_insert_with(|| start.elapsed());
        if next.is_some_and(|next| next != block.first_id) {
            return Err(format!("a gap before id {}", block.first_id).into());
        }
        let end = block.first_id + block.records.len() as i64;
        next = Some(end);
        store.processed(end);
        records += block.records.len() as u64;
        bytes += block.records.byte_len();
    }
    println!("first block after {first:?}, all after {:?}", start.elapsed());
    println!("{records} records, {bytes} bytes raw");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or("no peak known"));
    std::process::exit(0)
}
