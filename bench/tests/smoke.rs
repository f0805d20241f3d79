//! The harness runs end to end on the built binary: every measure, two megabytes, no peers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The binary under test lies beside the harness; `cargo xtask test` builds both.
fn pugmark() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_pugmark-bench")).with_file_name("pugmark");
    assert!(binary.exists(), "no {}: build it with `cargo build -p pugmark`", binary.display());
    binary
}

#[test]
fn every_measure_runs_on_a_small_corpus() {
    let work = std::env::temp_dir().join(format!("pugmark-smoke-{}", std::process::id()));
    let out = work.join("out");
    let rules = Path::new(env!("WORKSPACE_ROOT")).join("content/rules");
    let output = Command::new(env!("CARGO_BIN_EXE_pugmark-bench"))
        .arg("run")
        .arg("--pugmark")
        .arg(pugmark())
        .arg("--work")
        .arg(&work)
        .arg("--out")
        .arg(&out)
        .arg("--rules")
        .arg(rules)
        .args(["--corpus", "mixed", "--mb", "2", "--passes", "1", "--warm", "2", "--wal-mb", "0"])
        .args(["--quiet-seconds", "2", "--set", "store.flush_interval_seconds=1", "--no-peers"])
        .output()
        .expect("the harness was built");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}{words}", String::from_utf8_lossy(&output.stdout));

    let summary = fs::read_to_string(out.join("summary.md")).expect("it was written");
    let raw = fs::read_to_string(out.join("raw.csv")).expect("it was written");
    let _ = fs::remove_dir_all(&work);
    for measure in ["ingest: raw per", "size: of zstd -3", "word: count", "equality:", "hunt: raw"]
    {
        assert!(raw.contains(&format!("\"{measure}")), "{measure} is missing in\n{raw}");
    }
    assert!(summary.contains("| restart: to exact | under 10 s | "), "{summary}");
    assert!(summary.contains("peers skipped: --no-peers"), "{summary}");
}
