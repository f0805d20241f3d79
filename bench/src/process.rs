//! What the system knows of a running process: its processor time, its memory, its threads.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::OnceLock;

/// Seconds of processor that all its threads, living and ended, have used; none once it ended.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    stat_seconds(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The harness's own.
pub(crate) fn own_cpu_seconds() -> f64 {
    cpu_seconds(std::process::id()).unwrap_or(0.0)
}

/// Seconds of processor of its living threads, by thread name.
fn thread_seconds(pid: u32) -> BTreeMap<String, f64> {
    let mut threads = BTreeMap::new();
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return threads };
    for entry in entries.flatten() {
        let read = |name| fs::read_to_string(entry.path().join(name)).ok();
        let (Some(name), Some(stat)) = (read("comm"), read("stat")) else { continue };
        *threads.entry(name.trim().to_string()).or_default() += stat_seconds(&stat).unwrap_or(0.0);
    }
    threads
}

/// Processor seconds of the threads that compact, by their name.
pub(crate) fn compaction_seconds(pid: u32) -> f64 {
    let threads = thread_seconds(pid);
    threads.iter().filter(|(name, _)| name.contains("compact")).map(|(_, seconds)| seconds).sum()
}

/// A line of `/proc/PID/status` in bytes: `VmHWM` is the most memory it held at once, `VmRSS`
/// what it holds now.
pub(crate) fn memory_bytes(pid: u32, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// What this machine has.
pub(crate) fn machine_memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kilobytes.map_or(u64::MAX, |kilobytes: u64| kilobytes * 1024)
}

/// User and system time from a `stat` line, whose second field may hold any character.
fn stat_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / ticks_per_second())
}

fn ticks_per_second() -> f64 {
    static TICKS: OnceLock<f64> = OnceLock::new();
    *TICKS.get_or_init(|| {
        let output = Command::new("getconf").arg("CLK_TCK").output().ok();
        let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
        // 100 on every Linux that people run.
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(100.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_past_any_name() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0";
        assert_eq!(stat_seconds(stat), Some(200.0 / ticks_per_second()));
        assert_eq!(stat_seconds("7 (a"), None);
    }

    #[test]
    fn we_run() {
        let us = std::process::id();
        let now = memory_bytes(us, "VmRSS");
        assert!(now > Some(100_000));
        assert!(memory_bytes(us, "VmHWM") >= now);
        assert!(!thread_seconds(us).is_empty());
        assert_eq!(memory_bytes(us, "Nothing"), None);
    }
}
