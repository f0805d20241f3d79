//! The sender: cuts the files of a corpus into bodies and posts them, all kinds side by side.
//!
//! It shares two cores with the server, so it is as light as it can be: few connections, no
//! compression, bodies read from the page cache just before they are sent.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::corpus::Part;
use crate::http::Client;
use crate::process;

/// Most bytes of a body.
pub(crate) const BODY_BYTES: usize = 1 << 20;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(200);
/// The system counts in hundredths of a second: shorter spans are all rounding.
const CORES_WINDOW: Duration = Duration::from_secs(1);

/// The files of a corpus as bodies, in the order of the time of day.
pub(crate) struct Feed {
    files: Mutex<Vec<(Part, File, u64)>>,
    /// Whether the files begin again at their end.
    endless: bool,
}

/// Whole lines of one source.
pub(crate) struct Body {
    source: String,
    bytes: Vec<u8>,
    lines: u64,
}

/// What was sent and acknowledged.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) wall: Duration,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// Requests that the server told to come again.
    pub(crate) refused: u64,
    /// Processor time of this process meanwhile.
    pub(crate) sender_cpu_seconds: f64,
    /// The server every fifth of a second.
    pub(crate) samples: Vec<Sample>,
}

/// A server at work, at one moment.
pub(crate) struct Sample {
    at: Instant,
    pub(crate) rss_bytes: u64,
    compaction_seconds: f64,
}

impl Sample {
    pub(crate) fn of(server: u32) -> Option<Self> {
        let rss_bytes = process::memory_bytes(server, "VmRSS")?;
        let compaction_seconds = process::compaction_seconds(server);
        Some(Self { at: Instant::now(), rss_bytes, compaction_seconds })
    }
}

/// The most cores that compaction used over any second of these samples.
pub(crate) fn compaction_cores_max(samples: &[Sample]) -> f64 {
    let cores = |from: &Sample, to: &Sample| {
        let used = to.compaction_seconds - from.compaction_seconds;
        used / to.at.duration_since(from.at).as_secs_f64()
    };
    let mut most = 0f64;
    for (index, from) in samples.iter().enumerate() {
        let second = |to: &&Sample| to.at.duration_since(from.at) >= CORES_WINDOW;
        if let Some(to) = samples[index..].iter().find(second) {
            most = most.max(cores(from, to));
        }
    }
    most
}

impl Feed {
    /// Each record once.
    pub(crate) fn once(parts: &[Part]) -> Result<Self> {
        Self::new(parts, false)
    }

    /// All records again and again.
    pub(crate) fn endless(parts: &[Part]) -> Result<Self> {
        Self::new(parts, true)
    }

    fn new(parts: &[Part], endless: bool) -> Result<Self> {
        let mut files = Vec::new();
        for part in parts {
            files.push((part.clone(), File::open(&part.file)?, 0));
        }
        Ok(Self { files: Mutex::new(files), endless })
    }

    /// The next body, of the source that is furthest behind; none at the end.
    pub(crate) fn next(&self) -> Result<Option<Body>> {
        let mut files = self.files.lock().expect("no holder panics");
        if self.endless && files.iter().all(|(part, _, at)| *at >= part.bytes) {
            files.iter_mut().for_each(|(_, _, at)| *at = 0);
        }
        let progress = |(part, _, at): &(Part, File, u64)| *at as f64 / part.bytes as f64;
        let behind = files.iter_mut().filter(|(part, _, at)| *at < part.bytes);
        let Some((part, file, at)) = behind.min_by(|a, b| progress(a).total_cmp(&progress(b)))
        else {
            return Ok(None);
        };
        let mut bytes = vec![0; BODY_BYTES.min((part.bytes - *at) as usize)];
        file.read_exact_at(&mut bytes, *at)?;
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            bail!("{} has a line over {BODY_BYTES} bytes at {at}", part.file.display());
        };
        bytes.truncate(end + 1);
        *at += bytes.len() as u64;
        let source = part.name.clone();
        drop(files);
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(Some(Body { source, bytes, lines }))
    }
}

/// Sends bodies over the clients' connections until the feed ends or `enough` says so.
pub(crate) fn send(
    server: u32,
    clients: Vec<Client>,
    feed: &Feed,
    enough: &(dyn Fn() -> bool + Sync),
) -> Result<Sent> {
    let (counts, done) = (Counts::default(), AtomicBool::new(false));
    let (start, own) = (Instant::now(), process::own_cpu_seconds());
    let (result, samples) = scope(|threads| {
        let sampler = threads.spawn(|| sample(server, &done));
        let spawn = |client| threads.spawn(|| send_all(client, feed, &counts, enough));
        let running: Vec<_> = clients.into_iter().map(spawn).collect();
        let joined = running.into_iter().map(|thread| thread.join().expect("it does not panic"));
        let result = joined.collect::<Result<Vec<()>>>();
        done.store(true, Ordering::Relaxed);
        (result, sampler.join().expect("it does not panic"))
    });
    result?;
    Ok(Sent {
        wall: counts
            .last_answer
            .into_inner()
            .expect("no holder panics")
            .map_or_else(|| start.elapsed(), |at: Instant| at.duration_since(start)),
        records: counts.records.into_inner(),
        bytes: counts.bytes.into_inner(),
        refused: counts.refused.into_inner(),
        sender_cpu_seconds: process::own_cpu_seconds() - own,
        samples,
    })
}

#[derive(Default)]
struct Counts {
    records: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
    last_answer: Mutex<Option<Instant>>,
}

fn sample(server: u32, done: &AtomicBool) -> Vec<Sample> {
    let mut samples = Vec::new();
    while !done.load(Ordering::Relaxed) {
        samples.extend(Sample::of(server));
        sleep(SAMPLE_INTERVAL);
    }
    samples
}

/// Sends bodies, again after a 429; an answer means that the disk has them.
fn send_all(
    mut client: Client,
    feed: &Feed,
    counts: &Counts,
    enough: &(dyn Fn() -> bool + Sync),
) -> Result<()> {
    while let Some(body) = feed.next()? {
        let path = format!("/api/v1/ingest/{}", body.source);
        loop {
            let answer = client.post(&path, &body.bytes)?;
            if answer.status != 429 {
                check_kept(&body, &answer.ok(&path)?.json()?)?;
                break;
            }
            counts.refused.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(answer.retry_after_seconds.unwrap_or(1).min(5)));
        }
        counts.records.fetch_add(body.lines, Ordering::Relaxed);
        counts.bytes.fetch_add(body.bytes.len() as u64, Ordering::Relaxed);
        *counts.last_answer.lock().expect("no holder panics") = Some(Instant::now());
        if enough() {
            break;
        }
    }
    Ok(())
}

fn check_kept(body: &Body, answer: &Value) -> Result<()> {
    let count = |name: &str| answer[name].as_u64().unwrap_or(0);
    if count("received") != body.lines || count("shed") != 0 {
        bail!("{} records of {} were sent, the answer is {answer}", body.lines, body.source);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn cores_are_taken_over_a_second() {
        let start = Instant::now();
        let sample = |millis, compaction_seconds| Sample {
            at: start + Duration::from_millis(millis),
            rss_bytes: 0,
            compaction_seconds,
        };
        let samples = [sample(0, 1.0), sample(200, 1.2), sample(1000, 1.5), sample(1200, 1.9)];
        assert!((compaction_cores_max(&samples) - 0.7).abs() < 1e-9);
        assert_eq!(compaction_cores_max(&samples[..2]), 0.0);
    }

    #[test]
    fn bodies_are_whole_lines_and_sources_keep_step() {
        let folder = std::env::temp_dir().join(format!("pugmark-feed-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("it is ours");
        let part = |name: &str, lines: usize| {
            let file = folder.join(name);
            let text = format!("{}\n", "x".repeat(999)).repeat(lines);
            fs::write(&file, &text).expect("it is ours");
            let (records, bytes) = (lines as u64, text.len() as u64);
            Part { name: name.into(), file, records, bytes }
        };
        let feed = Feed::once(&[part("a", 3000), part("b", 1500)]).expect("they are there");
        let (mut sources, mut lines) = (String::new(), 0);
        while let Some(body) = feed.next().expect("files are files") {
            assert!(body.bytes.ends_with(b"\n"));
            sources.push_str(&body.source);
            lines += body.lines;
        }
        let endless = Feed::endless(&[part("b", 1500)]).expect("it is there");
        let more: Vec<u64> =
            (0..4).flat_map(|_| endless.next().expect("a file")).map(|body| body.lines).collect();
        let _ = fs::remove_dir_all(&folder);
        assert_eq!(more, [1048, 452, 1048, 452]);
        assert_eq!((sources.as_str(), lines), ("abaab", 4500));
    }
}
