//! What the engine says of itself: for the status page, the live stream and metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use pugmark_event::{Batch, fields};
use serde::Serialize;

/// The state of the engine at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Version of the program.
    pub version: &'static str,
    /// When the engine started, in microseconds since the epoch.
    #[serde(skip)]
    pub started: pugmark_event::time::Micros,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// Events that search can find.
    pub events: u64,
    /// Events a second, over the last ten seconds.
    pub events_per_second: f64,
    /// Bytes of raw records stored.
    pub raw_bytes: u64,
    /// Bytes of segments on disk.
    pub disk_bytes: u64,
    /// Bytes of the WAL on disk.
    pub wal_bytes: u64,
    /// Segments in the manifest.
    pub segments: u64,
    /// Rules that watch the stream.
    pub rules: u64,
    /// Detections since the start.
    pub detections: u64,
    /// Records since the start that no format understood.
    pub not_understood: u64,
    /// Records that are taken and on disk, and not searchable yet.
    pub pending_records: u64,
    /// Rules over time that ran out of room.
    pub forgotten: Vec<Forgotten>,
    /// Rules that cost too much and run behind the stream.
    pub throttled: Vec<Throttled>,
    /// Transforms that fail or do not run.
    pub transforms: Vec<TransformTrouble>,
    /// Values masked at the door since the start, by kind.
    pub masked: BTreeMap<String, u64>,
    /// Records that were not stored again, since equal ones of their source just were.
    pub folded: u64,
    /// Open alerts by severity.
    pub open_alerts: BTreeMap<String, u64>,
    /// Sources that have sent something.
    pub sources: u64,
    /// False while logs are refused.
    pub taking_logs: bool,
    /// Why logs are refused.
    pub problem: Option<String>,
}

/// A rule over time that had to forget what it was counting for want of room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Id of the rule.
    pub rule: String,
    /// Its title.
    pub title: String,
    /// Keys (addresses, users: what it groups by) that it dropped before their time was over.
    pub keys: u64,
}

/// A rule that cost too much on the stream: it goes on over stored events, behind it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Throttled {
    /// Id of the rule.
    pub rule: String,
    /// Its title.
    pub title: String,
    /// What it took of one core on the stream, in percent.
    pub core_percent: f64,
    /// Events on the stream that it has not looked at yet.
    pub events_behind: u64,
}

/// A transform that leaves events as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TransformTrouble {
    /// Its name.
    pub name: String,
    /// False when it does not run at all.
    pub running: bool,
    /// Events that it was for, since the start or since it was changed.
    pub events: u64,
    /// Of these, those that it failed on.
    pub failed: u64,
    /// What is wrong, or why it failed last.
    pub reason: String,
}

/// Counters that the pipeline keeps.
#[derive(Debug, Default)]
pub struct Counters {
    forgotten: Mutex<Vec<Forgotten>>,
    throttled: Mutex<Vec<Throttled>>,
    events: AtomicU64,
    detections: AtomicU64,
    not_understood: AtomicU64,
    rate: Mutex<Rate>,
}

/// Events per second over a sliding ten seconds: counts at past moments.
#[derive(Debug, Default)]
struct Rate {
    marks: std::collections::VecDeque<(i64, u64)>,
}

/// Span of the rate in microseconds.
const RATE_SPAN: i64 = 10_000_000;

impl Counters {
    /// Counts the events of a batch and those that nothing understood.
    pub(crate) fn count_issues(&self, batch: &Batch) {
        self.events.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        self.not_understood.fetch_add(not_understood(batch), Ordering::Relaxed);
    }

    pub(crate) fn count_detections(&self, count: usize) {
        self.detections.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn set_forgotten(&self, forgotten: Vec<Forgotten>) {
        *self.forgotten.lock() = forgotten;
    }

    /// Rules over time that ran out of room.
    pub fn forgotten(&self) -> Vec<Forgotten> {
        self.forgotten.lock().clone()
    }

    pub(crate) fn set_throttled(&self, throttled: Vec<Throttled>) {
        *self.throttled.lock() = throttled;
    }

    /// Rules behind the stream.
    pub fn throttled(&self) -> Vec<Throttled> {
        self.throttled.lock().clone()
    }

    /// Events processed since the start.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Detections since the start.
    pub fn detections(&self) -> u64 {
        self.detections.load(Ordering::Relaxed)
    }

    /// Records since the start that no format understood.
    pub fn not_understood(&self) -> u64 {
        self.not_understood.load(Ordering::Relaxed)
    }

    /// Marks the count at `now` and returns events per second since the oldest mark.
    pub(crate) fn rate(&self, now: i64) -> f64 {
        let events = self.events();
        let mut rate = self.rate.lock();
        while rate.marks.front().is_some_and(|(at, _)| *at < now - RATE_SPAN) {
            rate.marks.pop_front();
        }
        // Two marks a second are enough for ten seconds; more would grow with the callers.
        if rate.marks.back().is_none_or(|(at, _)| now - at > RATE_SPAN / 20) {
            rate.marks.push_back((now, events));
        }
        match rate.marks.front() {
            Some((at, count)) if now > *at => (events - count) as f64 * 1e6 / (now - at) as f64,
            _ => 0.0,
        }
    }
}

/// Events of a batch that no format understood.
pub(crate) fn not_understood(batch: &Batch) -> u64 {
    let issues = batch.text(fields::ISSUES);
    issues.map_or(0, |issues| {
        issues.iter().flatten().filter(|i| i.contains("not_understood")).count() as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_last_ten_seconds() {
        let counters = Counters::default();
        assert_eq!(counters.rate(0), 0.0);
        counters.events.fetch_add(500, Ordering::Relaxed);
        assert_eq!(counters.rate(5_000_000), 100.0);
        assert_eq!(counters.rate(30_000_000), 0.0);
    }
}
