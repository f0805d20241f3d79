//! One run: ingest, restart, questions, hunt; each measured from outside.
//!
//! Nothing is tuned and nothing is left out: what a user waits for is what the clock counts,
//! client and server sharing the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::args::Args;
use crate::corpus::{self, Corpus};
use crate::http::Client;
use crate::report::{self, Report};
use crate::server::{self, Server};
use crate::time::{Parts, now_us};

const BODY_BYTES: usize = 1 << 20;
const SEARCHABLE_WAIT_MAX: Duration = Duration::from_secs(300);
const SETTLE_WAIT_MAX: Duration = Duration::from_secs(120);
/// Longer than events wait in memory by default before they become a segment.
const QUIET: Duration = Duration::from_secs(15);
const WARM_REPETITIONS: usize = 5;
const HUNT_REPETITIONS: usize = 3;
const OPTIONS: [&str; 8] = ["pugmark", "mb", "seed", "clients", "rules", "work", "out", "note"];

/// What a run is made of.
struct Plan {
    binary: PathBuf,
    seed: u64,
    mb: u64,
    clients: usize,
    rules: PathBuf,
    work: PathBuf,
    out: PathBuf,
    note: String,
}

/// `pugmark-bench run ...`
pub(crate) fn run(words: &[String]) -> Result<()> {
    let plan = plan(words)?;
    println!("making the corpus");
    let corpus = corpus::ensure(&plan.work, plan.seed, plan.mb)?;
    let folder = plan.work.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let mut report = Report::default();
    let result = measure(&plan, &corpus, &folder, &mut report);
    if let Err(error) = result {
        bail!("{error:#}\n\nhint: the server's words are in {}", folder.display());
    }
    fs::remove_dir_all(&folder)?;
    report.write(&plan.out, "A benchmark run", &about(&plan, &corpus))?;
    println!("wrote {}", plan.out.display());
    Ok(())
}

fn plan(words: &[String]) -> Result<Plan> {
    let args = Args::parse(words, &OPTIONS)?;
    let date = Parts::of(now_us()).date();
    let out = match args.path("out") {
        Ok(out) => out,
        Err(_) => report::fresh_folder(Path::new("bench/runs"), &date),
    };
    Ok(Plan {
        binary: args.path("pugmark")?.canonicalize().context("--pugmark names no file")?,
        seed: args.number("seed", 1)?,
        mb: args.number("mb", 200)?,
        clients: usize::try_from(args.number("clients", 2)?.clamp(1, 64))?,
        rules: args.text("rules", "content/rules").into(),
        work: std::path::absolute(args.text("work", "target/bench"))?,
        out,
        note: args.text("note", ""),
    })
}

fn about(plan: &Plan, corpus: &Corpus) -> Vec<(&'static str, String)> {
    let binary = plan.binary.to_string_lossy();
    let (records, bytes) = (corpus.records(), corpus.bytes());
    let mut about = vec![
        ("date", Parts::of(now_us()).date()),
        ("machine", report::machine()),
        ("version", report::words(&binary, &["--version"])),
        ("commit", report::words("git", &["describe", "--always", "--dirty", "--abbrev=12"])),
        ("compiler", report::words("rustc", &["--version"])),
        ("corpus", format!("seed {}, {records} records, {bytes} bytes, six kinds", plan.seed)),
        (
            "ingest",
            format!("{} clients, bodies of {BODY_BYTES} bytes, no compression", plan.clients),
        ),
        ("cold", "first time in a fresh process; the system's page cache is warm".into()),
        ("warm", format!("{WARM_REPETITIONS} more times in that process")),
        (
            "recipe",
            format!(
                "`cargo xtask bench --seed {} --mb {} --clients {}`",
                plan.seed, plan.mb, plan.clients
            ),
        ),
    ];
    if !plan.note.is_empty() {
        about.push(("note", plan.note.clone()));
    }
    about
}

fn measure(plan: &Plan, corpus: &Corpus, folder: &Path, report: &mut Report) -> Result<()> {
    println!("\ningest");
    let server = Server::start(&plan.binary, folder)?;
    report.add("start on an empty folder", "ms", ms(server.started_in));
    ingest(plan, corpus, &server, report)?;
    settle(&server)?;
    report.add("peak memory after ingest", "MB", server.rss_peak_bytes()? as f64 / 1e6);
    report.add("clean stop", "ms", ms(server.stop()?));
    disk(corpus, folder, report)?;

    println!("\nquestions");
    let server = Server::start(&plan.binary, folder)?;
    report.add("start on the full folder", "ms", ms(server.started_in));
    questions(corpus, &server, report)?;
    report.add("peak memory after questions", "MB", server.rss_peak_bytes()? as f64 / 1e6);
    server.stop()?;

    println!("\nhunt");
    hunt(plan, corpus, folder, report)
}

/// A piece of one kind's file that is sent in one request.
struct Body<'a> {
    source: &'a str,
    bytes: &'a [u8],
    /// Where in its file it lies, from 0 to 1: kinds are sent side by side, as they happened.
    at: f64,
}

fn ingest(plan: &Plan, corpus: &Corpus, server: &Server, report: &mut Report) -> Result<()> {
    let mut files = Vec::new();
    for part in &corpus.parts {
        files.push((part.name.as_str(), fs::read(&part.file)?));
    }
    let mut bodies: Vec<Body<'_>> =
        files.iter().flat_map(|(source, bytes)| cut(source, bytes)).collect();
    bodies.sort_by(|a, b| a.at.total_cmp(&b.at));

    let (next, refused) = (AtomicUsize::new(0), AtomicU64::new(0));
    let mut clients = Vec::new();
    for _ in 0..plan.clients {
        clients.push(server.client("ingest")?);
    }
    let mut reader = server.client("read")?;
    let start = Instant::now();
    let send = |mut client| send_all(&mut client, &bodies, &next, &refused);
    scope(|threads| {
        let spawn = |client| threads.spawn(|| send(client));
        let running: Vec<_> = clients.into_iter().map(spawn).collect();
        let joined = running.into_iter().map(|thread| thread.join().expect("it does not panic"));
        joined.collect::<Result<Vec<()>>>()
    })?;
    let durable = start.elapsed();
    wait_until_searchable(&mut reader, corpus.records())?;
    let searchable = start.elapsed();

    let (records, megabytes) = (corpus.records() as f64, corpus.bytes() as f64 / 1e6);
    for (state, took) in [("durable", durable), ("searchable", searchable)] {
        report.add(&format!("ingest to {state}"), "MB/s", megabytes / took.as_secs_f64());
        report.add(&format!("ingest to {state} (records)"), "1/s", records / took.as_secs_f64());
    }
    report.add("last acknowledgement to searchable", "ms", ms(searchable - durable));
    report.add("requests refused with 429", "count", refused.into_inner() as f64);
    Ok(())
}

/// Cuts a file into bodies at line ends.
fn cut<'a>(source: &'a str, bytes: &'a [u8]) -> Vec<Body<'a>> {
    let mut bodies = Vec::new();
    let mut from = 0;
    while from < bytes.len() {
        let to = (from + BODY_BYTES).min(bytes.len());
        let line_end = bytes[from..to].iter().rposition(|byte| *byte == b'\n');
        let to = line_end.map_or(to, |at| from + at + 1);
        let at = from as f64 / bytes.len() as f64;
        bodies.push(Body { source, bytes: &bytes[from..to], at });
        from = to;
    }
    bodies
}

/// Sends bodies until none is left, again after a 429; an answer means that the disk has them.
fn send_all(
    client: &mut Client,
    bodies: &[Body<'_>],
    next: &AtomicUsize,
    refused: &AtomicU64,
) -> Result<()> {
    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
        let path = format!("/api/v1/ingest/{}", body.source);
        loop {
            let answer = client.post(&path, body.bytes)?;
            if answer.status != 429 {
                check_kept(body, &answer.ok(&path)?.json()?)?;
                break;
            }
            refused.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(answer.retry_after_seconds.unwrap_or(1).min(5)));
        }
    }
    Ok(())
}

fn check_kept(body: &Body<'_>, answer: &Value) -> Result<()> {
    let lines = body.bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    let count = |name: &str| answer[name].as_u64().unwrap_or(0);
    if count("received") != lines || count("shed") != 0 {
        bail!("{} records of {} were sent, the answer is {answer}", lines, body.source);
    }
    Ok(())
}

fn wait_until_searchable(reader: &mut Client, records: u64) -> Result<()> {
    let start = Instant::now();
    let mut found = 0;
    while start.elapsed() < SEARCHABLE_WAIT_MAX {
        let rows = reader.lines("/api/v1/search", &json!({"query": "* | stats count()"}))?;
        let row = rows.first().and_then(Value::as_object).context("no row")?;
        found = row.values().find_map(Value::as_u64).context("no count in the row")?;
        if found >= records {
            break;
        }
        sleep(Duration::from_millis(20));
    }
    if found != records {
        bail!("{records} records were acknowledged, search finds {found}");
    }
    Ok(())
}

/// Waits until the WAL stops shrinking, so that memory and disk are those of a quiet server.
fn settle(server: &Server) -> Result<()> {
    let mut reader = server.client("read")?;
    let (start, mut last, mut since) = (Instant::now(), u64::MAX, Instant::now());
    while start.elapsed() < SETTLE_WAIT_MAX && since.elapsed() < QUIET {
        let path = "/api/v1/status";
        let wal = reader.get(path)?.ok(path)?.json()?["wal_bytes"].as_u64().unwrap_or(0);
        if wal != last {
            (last, since) = (wal, Instant::now());
        }
        sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn disk(corpus: &Corpus, folder: &Path, report: &mut Report) -> Result<()> {
    let (mut all, mut segments) = (0, 0);
    let mut folders = vec![server::data(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = entry.metadata()?.len();
            all += bytes;
            if entry.path().extension().is_some_and(|extension| extension == "parquet") {
                segments += bytes;
            }
        }
    }
    let raw = corpus.bytes() as f64;
    report.add("disk per raw byte (segments)", "bytes", segments as f64 / raw);
    report.add("disk per raw byte (whole folder)", "bytes", all as f64 / raw);
    Ok(())
}

fn questions(corpus: &Corpus, server: &Server, report: &mut Report) -> Result<()> {
    let mut reader = server.client("read")?;
    let needle = &corpus.needle;
    let questions = [
        ("needle by field", format!("trace.id:{needle}"), Some(1)),
        ("needle by free word", needle.clone(), Some(1)),
        (
            "aggregate: statuses of nginx",
            "event.source:nginx | stats count() by http.response.status_code".into(),
            None,
        ),
        (
            "aggregate: addresses that fail at sshd",
            "event.source:sshd event.outcome:failure | stats count() by source.ip".into(),
            None,
        ),
        ("aggregate: all by source", "* | stats count() by event.source".into(), Some(6)),
    ];
    for (name, query, rows) in questions {
        let body = json!({"query": query, "limit": 100_000});
        for repetition in 0..=WARM_REPETITIONS {
            let start = Instant::now();
            let found = reader.lines("/api/v1/search", &body)?.len();
            let took = start.elapsed();
            if found == 0 || rows.is_some_and(|rows| rows != found) {
                bail!("`{query}` answered {found} rows");
            }
            let state = if repetition == 0 { "cold" } else { "warm" };
            report.add(&format!("{name} ({state})"), "ms", ms(took));
        }
    }
    Ok(())
}

fn hunt(plan: &Plan, corpus: &Corpus, folder: &Path, report: &mut Report) -> Result<()> {
    let part = corpus.part("windows")?;
    let found = folder.join("detections.ndjson");
    for _ in 0..HUNT_REPETITIONS {
        let start = Instant::now();
        let mut child = Command::new(&plan.binary)
            .arg("hunt")
            .arg(&part.file)
            .arg("--rules")
            .arg(&plan.rules)
            .args(["--format", "json"])
            .stdin(Stdio::null())
            .stdout(fs::File::create(&found)?)
            .spawn()?;
        let mut rss = 0;
        let status = loop {
            rss = server::rss_peak_bytes(child.id()).unwrap_or(0).max(rss);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            sleep(Duration::from_millis(5));
        };
        let seconds = start.elapsed().as_secs_f64();
        if !status.success() {
            bail!("`pugmark hunt` failed ({status})");
        }
        report.add("hunt (records)", "1/s", part.records as f64 / seconds);
        report.add("hunt", "MB/s", part.bytes as f64 / 1e6 / seconds);
        report.add("peak memory of hunt", "MB", rss as f64 / 1e6);
    }
    let detections = fs::read(&found)?.iter().filter(|byte| **byte == b'\n').count();
    report.add("detections of hunt", "count", detections as f64);
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_end_with_a_line() {
        let line = "x".repeat(999) + "\n";
        let file = line.repeat(3000);
        let bodies = cut("app", file.as_bytes());
        assert_eq!(bodies.len(), 3);
        assert!(bodies.iter().all(|body| body.bytes.ends_with(b"\n") && body.source == "app"));
        assert_eq!(bodies.iter().map(|body| body.bytes.len()).sum::<usize>(), file.len());
    }
}
