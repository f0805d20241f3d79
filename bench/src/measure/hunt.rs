//! `pugmark hunt` over files with our own rules, the start of the process included.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Measure;
use crate::harness::Bench;
use crate::process;

pub(crate) const MEASURE: Measure =
    Measure { name: "hunt", about: "rules over a file, without a server", run };

const REPETITIONS: usize = 3;

fn run(bench: &mut Bench) -> Result<()> {
    let Some(part) = bench.corpus.part("windows").cloned() else {
        bench.report.note("hunt skipped: it is measured on windows.ndjson of `mixed`".into());
        return Ok(());
    };
    let found = bench.place("detections.ndjson");
    for _ in 0..REPETITIONS {
        let start = Instant::now();
        let mut child = Command::new(&bench.plan.binary)
            .arg("hunt")
            .arg(&part.file)
            .arg("--rules")
            .arg(&bench.plan.rules)
            .args(["--format", "json"])
            .stdin(Stdio::null())
            .stdout(fs::File::create(&found)?)
            .spawn()?;
        let mut rss = 0;
        let status = loop {
            rss = process::memory_bytes(child.id(), "VmHWM").unwrap_or(0).max(rss);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            sleep(Duration::from_millis(5));
        };
        let seconds = start.elapsed().as_secs_f64();
        if !status.success() {
            bail!("`pugmark hunt` failed ({status})");
        }
        bench.report.add("hunt: records per second", "records", part.records as f64 / seconds);
        bench.report.add("hunt: raw per second", "MB", part.bytes as f64 / 1e6 / seconds);
        bench.report.add("hunt: peak memory", "MB", rss as f64 / 1e6);
    }
    let detections = fs::read(&found)?.iter().filter(|byte| **byte == b'\n').count();
    bench.report.add("hunt: detections", "count", detections as f64);
    Ok(())
}
