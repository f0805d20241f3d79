//! `cargo xtask fuzz`: builds the fuzz targets and runs each for a while.
//!
//! Stable Rust is enough. libFuzzer wants counters at the edges of the code and calls at its
//! comparisons, which a pass of LLVM adds; fuzz/rustc.sh says to what. AddressSanitizer would need
//! a nightly compiler: what is found are panics, failed assertions, overflows of integers, inputs
//! that take too long, and memory without bound. Our own code that reads input has no `unsafe`.
//!
//! Below the target folder, in `fuzz/`: `build`, `seeds` (real samples, written anew each time),
//! `corpus` (what the fuzzer made of them and found worth keeping, from run to run), `failures`
//! (inputs that failed, tried first the next time) and `logs`.

mod report;
mod seeds;

use std::fs::{self, File};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::shell;
use report::Report;

/// What the compiler adds for libFuzzer.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// How long each target runs when nothing else is said.
const SECONDS: u64 = 60;
/// One input that takes this long is a failure.
const INPUT_SECONDS_MAX: u64 = 10;
const MEMORY_MB_MAX: u64 = 2048;

/// A file of `fuzz/fuzz_targets`: the longest input that it gets, and what it begins with.
struct Target {
    name: &'static str,
    bytes_max: usize,
    seeds: fn() -> Result<Vec<Vec<u8>>>,
}

/// All targets, those with the most behind them first.
const TARGETS: &[Target] = &[
    Target { name: "parse", bytes_max: 4 << 10, seeds: seeds::parse },
    // A header and one chunk of EVTX.
    Target { name: "frame", bytes_max: 68 << 10, seeds: seeds::frame },
    Target { name: "time", bytes_max: 64, seeds: seeds::time },
    Target { name: "pack", bytes_max: 8 << 10, seeds: seeds::pack },
    Target { name: "propose", bytes_max: 4 << 10, seeds: seeds::propose },
    Target { name: "mask", bytes_max: 4 << 10, seeds: seeds::mask },
    Target { name: "templates", bytes_max: 4 << 10, seeds: seeds::templates },
    Target { name: "rule", bytes_max: 8 << 10, seeds: seeds::rule },
    Target { name: "query", bytes_max: 512, seeds: seeds::query },
    Target { name: "transform", bytes_max: 2 << 10, seeds: seeds::transform },
    Target { name: "enrich", bytes_max: 8 << 10, seeds: seeds::enrich },
];

const USAGE: &str =
    "usage: cargo xtask fuzz [--seconds N] [--target NAME]... [--input FILE with one target]";

/// What the words of the command ask for.
struct Options {
    seconds: u64,
    targets: Vec<&'static Target>,
    /// Run this input once instead.
    input: Option<PathBuf>,
}

/// Runs all targets, or those after `--target`, for `--seconds` each; with `--input`, one input.
pub(crate) fn fuzz(args: &[String]) -> Result<()> {
    let options = options(args)?;
    let binaries = build()?;
    match options.input {
        Some(input) => repeat(&binaries.join(options.targets[0].name), &input),
        None => run(&binaries, &options),
    }
}

fn options(args: &[String]) -> Result<Options> {
    let mut options = Options { seconds: SECONDS, targets: Vec::new(), input: None };
    for words in args.chunks(2) {
        match words {
            [flag, seconds] if flag == "--seconds" => {
                options.seconds = seconds.parse().context("--seconds wants a whole number")?;
            }
            [flag, name] if flag == "--target" => options.targets.push(target(name)?),
            [flag, file] if flag == "--input" => {
                options.input = Some(fs::canonicalize(file).with_context(|| file.clone())?);
            }
            _ => bail!(USAGE),
        }
    }
    if options.input.is_some() && options.targets.len() != 1 {
        bail!(USAGE);
    }
    if options.targets.is_empty() {
        options.targets = TARGETS.iter().collect();
    }
    Ok(options)
}

fn target(name: &str) -> Result<&'static Target> {
    let found = TARGETS.iter().find(|target| target.name == name);
    let names = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    found.with_context(|| format!("no fuzz target `{name}`: there are {}", names()))
}

/// Builds all targets in one go; answers the folder with their binaries.
fn build() -> Result<PathBuf> {
    if !shell::works("c++", &["--version"]) {
        shell::install(&["g++"], "libFuzzer is written in C++")?;
    }
    let (host, folder) = (host()?, folder().join("build"));
    let mut cargo = shell::cargo(&["build", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    cargo.args(["--target", &host, "--target-dir"]).arg(&folder);
    cargo.env("RUSTC_WRAPPER", shell::root().join("fuzz/rustc.sh"));
    shell::run(cargo.env("FUZZ_RUSTFLAGS", FLAGS.join(" ")))?;
    Ok(folder.join(host).join("release"))
}

/// The triple of this machine.
fn host() -> Result<String> {
    let said = shell::output(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_string).context("`rustc -vV` names no host")
}

fn folder() -> PathBuf {
    shell::target_dir().join("fuzz")
}

/// Runs one input as the fuzzer would, with all that it prints.
fn repeat(binary: &Path, input: &Path) -> Result<()> {
    shell::run(limited(binary).arg(input))
}

/// A call of a target within its limits.
fn limited(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"))
        .env("RUST_BACKTRACE", "1");
    command
}

/// Runs the targets, one for each core at a time, and says a line about each.
fn run(binaries: &Path, options: &Options) -> Result<()> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failed = Vec::new();
        while let Some(target) = options.targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            match one(binaries, target, options.seconds) {
                Ok(report) => {
                    println!("{}", report.line());
                    failed.extend(report.failure.is_some().then_some(target.name));
                }
                Err(error) => {
                    println!("FAILED   {:<10} {error:#}", target.name);
                    failed.push(target.name);
                }
            }
        }
        failed
    };
    let failed: Vec<&str> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    if !failed.is_empty() {
        bail!("fuzz targets failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Runs one target for so many seconds.
fn one(binaries: &Path, target: &Target, seconds: u64) -> Result<Report> {
    let [seeds, corpus, failures] =
        ["seeds", "corpus", "failures"].map(|name| folder().join(name).join(target.name));
    write_seeds(&seeds, target)?;
    let logs = folder().join("logs");
    for folder in [&corpus, &failures, &logs] {
        fs::create_dir_all(folder)?;
    }
    let log = logs.join(format!("{}.log", target.name));
    let out = File::create(&log)?;
    let status = limited(&binaries.join(target.name))
        .args(["-seed=1", "-print_final_stats=1"])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={}", target.bytes_max))
        .arg(format!("-artifact_prefix={}/", failures.display()))
        // What is new goes into the first folder.
        .args([&corpus, &failures, &seeds])
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .status()
        .with_context(|| format!("cannot start the fuzz target {}", target.name))?;
    // Input of any bytes may be quoted in it.
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    Ok(Report::of(target.name, &said, status.success(), &log))
}

fn write_seeds(folder: &Path, target: &Target) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let seeds = (target.seeds)().with_context(|| format!("the seeds of {}", target.name))?;
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("{number:05}")), seed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &str, expected: Option<(u64, &[&str])>) {
        let args: Vec<String> = args.split_whitespace().map(str::to_string).collect();
        let options = options(&args).ok();
        let found = options.map(|options| {
            let names = options.targets.iter().map(|target| target.name);
            (options.seconds, names.collect::<Vec<_>>())
        });
        assert_eq!(found, expected.map(|(seconds, names)| (seconds, names.to_vec())), "{args:?}");
    }

    #[test]
    fn words_choose_targets_and_time() {
        let all: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        check("", Some((60, &all)));
        check("--target mask --target query --seconds 5", Some((5, &["mask", "query"])));
        for wrong in ["--target tyop", "--seconds", "--seconds x", "--input Cargo.toml", "mask"] {
            check(wrong, None);
        }
    }

    /// A file in the folder, a binary in the manifest and a line here are one target.
    #[test]
    fn every_target_has_a_line() {
        let mut lines: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        lines.sort_unstable();
        let files = fs::read_dir(shell::root().join("fuzz/fuzz_targets")).unwrap();
        let mut files: Vec<String> = files
            .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort_unstable();
        assert_eq!(files, lines);
        let manifest = fs::read_to_string(shell::root().join("fuzz/Cargo.toml")).unwrap();
        for name in lines {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        }
    }

    #[test]
    fn every_target_begins_with_samples() {
        for target in TARGETS {
            let seeds = (target.seeds)().unwrap();
            assert!(seeds.len() >= 3, "{}: {} seeds", target.name, seeds.len());
            let long = seeds.iter().filter(|seed| seed.len() > target.bytes_max).count();
            assert_eq!(long, 0, "{}: longer than an input may be", target.name);
        }
    }
}
