//! A crash with much in the WAL: flushes are held off, the server is killed, and starts again.
//!
//! The corpus is sent again and again until the WAL is long enough; meanwhile all events are in
//! memory, so this stops early when they take half of the machine's. Ready is the first healthy
//! answer, exact the first count that equals what was acknowledged. The second start has the
//! ordinary settings.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Measure;
use crate::harness::Bench;
use crate::process;
use crate::send::{self, Feed, Sent};
use crate::server::{Server, wal_bytes};

pub(crate) const MEASURE: Measure =
    Measure { name: "restart", about: "kill -9 with a large WAL, then ready and exact", run };

const LOOK: Duration = Duration::from_millis(50);
/// The status is at most a second old.
const STATUS_AGE_MAX: Duration = Duration::from_millis(1100);
/// What a shorter WAL took says nothing of the bar, which is for 1 GB.
const BAR_WAL_BYTES_MIN: u64 = 900_000_000;
const NAME: &str = "restart";

fn run(bench: &mut Bench) -> Result<()> {
    bench.clear()?;
    let held_off = [
        ("store.flush_interval_seconds", "100000".to_string()),
        // Memory is never full before the WAL is as long as it is to be.
        ("store.memtable_bytes_max", (64u64 << 30).to_string()),
    ];
    let server = bench.start(NAME, &held_off)?;
    let sent = fill(bench, &server)?;
    sleep(STATUS_AGE_MAX);
    let wal = wal_bytes(&mut server.client("read")?)?;
    server.kill()?;

    let start = Instant::now();
    let server = bench.start(NAME, &[])?;
    let ready = server.started_in.as_secs_f64();
    bench.wait_until_exact(&mut server.client("read")?, sent.records)?;
    let exact = start.elapsed().as_secs_f64();
    server.kill()?;
    let report = &mut bench.report;
    report.add("restart: WAL", "MB", wal as f64 / 1e6);
    report.add("restart: raw in the WAL", "MB", sent.bytes as f64 / 1e6);
    let name = if wal >= BAR_WAL_BYTES_MIN { "restart" } else { "restart, short WAL" };
    report.add(&format!("{name}: to ready"), "s", ready);
    report.add(&format!("{name}: to exact"), "s", exact);
    if name != "restart" {
        let wanted = bench.plan.wal_mb;
        bench
            .report
            .note(format!("restart: the WAL is short of the bar's; {wanted} MB were wanted"));
    }
    bench.forget(NAME)
}

/// Sends until the WAL is as long as the plan wants, or half of the machine's memory is used.
fn fill(bench: &Bench, server: &Server) -> Result<Sent> {
    let mut clients = Vec::new();
    for _ in 0..bench.plan.clients {
        clients.push(server.client("ingest")?);
    }
    let wanted = bench.plan.wal_mb * 1_000_000;
    let memory_max = process::machine_memory_bytes() / 2;
    let (full, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut reader = server.client("read")?;
    let feed = Feed::endless(&bench.corpus.parts)?;
    scope(|threads| {
        threads.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // A server that does not answer is the sender's to report.
                let long = wal_bytes(&mut reader).is_ok_and(|bytes| bytes >= wanted);
                let rss = process::memory_bytes(server.pid(), "VmRSS").unwrap_or(0);
                full.fetch_or(long || rss > memory_max, Ordering::Relaxed);
                sleep(LOOK);
            }
        });
        let enough = || full.load(Ordering::Relaxed);
        let sent = send::send(server.pid(), clients, &feed, &enough);
        done.store(true, Ordering::Relaxed);
        sent
    })
}
