//! Ingest until everything is durable, parsed and indexed, over HTTP, each body acknowledged.
//!
//! Rate per second of wall clock says what this machine does with the sender beside it; rate per
//! second of the server's own processor says what the work costs. The second counts everything
//! until the server is idle again: segments written, filters built, small segments merged.

use anyhow::Result;

use super::Measure;
use crate::flame;
use crate::harness::{Bench, Settled, ms};
use crate::send::{self, Feed, Sent};
use crate::server::Server;

pub(crate) const MEASURE: Measure =
    Measure { name: "ingest", about: "cost and rate of taking the corpus in", run };

/// The name of the server that keeps the whole corpus for the measures after this one.
pub(crate) const LOADED: &str = "loaded";

fn run(bench: &mut Bench) -> Result<()> {
    for pass in 1..=bench.plan.passes {
        if pass > 1 {
            bench.forget(LOADED)?;
        }
        let server = bench.start(LOADED, &[])?;
        bench.report.add("ingest: start on an empty folder", "ms", ms(server.started_in));
        let before = server.cpu_seconds()?;
        let taken = take_in(bench, &server)?;
        report(bench, &server, before, &taken)?;
        bench.report.add("ingest: clean stop", "ms", ms(server.stop()?));
    }
    if bench.plan.flame {
        sample(bench)?;
    }
    Ok(())
}

/// A corpus that is in.
pub(crate) struct Taken {
    sent: Sent,
    /// The server's processor seconds at the last acknowledgement.
    durable_cpu_seconds: f64,
    /// From the last acknowledgement until search counts every record, in milliseconds.
    exact_ms: f64,
    settled: Settled,
}

/// Sends the whole corpus and waits until it is found and the server idle.
pub(crate) fn take_in(bench: &Bench, server: &Server) -> Result<Taken> {
    let sent = send_all(bench, server)?;
    let durable_cpu_seconds = server.cpu_seconds()?;
    let start = std::time::Instant::now();
    bench.wait_until_exact(&mut server.client("read")?, bench.corpus.records())?;
    let exact_ms = ms(start.elapsed());
    let settled = bench.settle(server)?;
    Ok(Taken { sent, durable_cpu_seconds, exact_ms, settled })
}

/// Sends the whole corpus.
pub(crate) fn send_all(bench: &Bench, server: &Server) -> Result<Sent> {
    let mut clients = Vec::new();
    for _ in 0..bench.plan.clients {
        clients.push(server.client("ingest")?);
    }
    send::send(server.pid(), clients, &Feed::once(&bench.corpus.parts)?, &|| false)
}

fn report(bench: &mut Bench, server: &Server, before: f64, taken: &Taken) -> Result<()> {
    let Taken { sent, durable_cpu_seconds, exact_ms, settled } = taken;
    let (records, megabytes) = (sent.records as f64, sent.bytes as f64 / 1e6);
    let (wall, cpu) = (sent.wall.as_secs_f64(), settled.cpu_seconds - before);
    let samples = sent.samples.iter();
    let mut rss: Vec<f64> = samples.map(|sample| sample.rss_bytes as f64 / MIB).collect();
    rss.sort_by(f64::total_cmp);
    let peak = server.rss_peak_bytes()? as f64 / MIB;
    let report = &mut bench.report;
    report.add("ingest: raw per server CPU second", "MB", megabytes / cpu);
    report.add("ingest: events per server CPU second", "events", records / cpu);
    report.add("ingest: server CPU until durable", "s", durable_cpu_seconds - before);
    report.add("ingest: server CPU until settled", "s", cpu);
    report.add("ingest: sender CPU", "s", sent.sender_cpu_seconds);
    report.add("ingest: wall until durable", "s", wall);
    report.add("ingest: raw per second, durable", "MB", megabytes / wall);
    report.add("ingest: events per second, durable", "events", records / wall);
    report.add("ingest: last acknowledgement to exact", "ms", *exact_ms);
    report.add("ingest: last acknowledgement to settled", "s", settled.wall.as_secs_f64());
    report.add("ingest: requests refused with 429", "count", sent.refused as f64);
    if !rss.is_empty() {
        report.add("ingest: median memory", "MiB", rss[rss.len() / 2]);
    }
    report.add("ingest: peak memory", "MiB", peak);
    Ok(())
}

const MIB: f64 = 1024.0 * 1024.0;

/// One more pass, with perf beside it.
fn sample(bench: &mut Bench) -> Result<()> {
    if !flame::available() {
        bench.report.note("no flame graph: perf is not there".into());
        return Ok(());
    }
    let name = "flame";
    let server = bench.start(name, &[])?;
    let sampling = flame::start(server.pid(), &bench.place(name).join("perf.data"))?;
    take_in(bench, &server)?;
    server.stop()?;
    match sampling.write(&bench.plan.out) {
        Ok(()) => bench.report.note(
            "flame.svg and flame.txt: where the time of one more pass went, idle time left out"
                .into(),
        ),
        Err(error) => bench.report.note(format!("no flame graph: {error:#}")),
    }
    bench.forget(name)
}
