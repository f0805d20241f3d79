//! What libFuzzer wrote about a run, as one line.

use std::path::Path;

/// A run of one target.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    target: &'static str,
    /// Inputs that were run.
    runs: u64,
    runs_per_second: u64,
    /// Edges of the code that were reached.
    coverage: u64,
    memory_mb: u64,
    /// What happened and how to see it again.
    pub(super) failure: Option<String>,
}

impl Report {
    /// Reads what a target printed.
    pub(super) fn of(target: &'static str, said: &str, passed: bool, log: &Path) -> Self {
        let number = |name: &str| {
            let line = said.lines().rev().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0)
        };
        Self {
            target,
            runs: number("stat::number_of_executed_units:"),
            runs_per_second: number("stat::average_exec_per_sec:"),
            coverage: coverage(said),
            memory_mb: number("stat::peak_rss_mb:"),
            failure: (!passed).then(|| failure(target, said, log)),
        }
    }

    /// The line that is shown.
    pub(super) fn line(&self) -> String {
        let Self { target, runs, runs_per_second, coverage, memory_mb, failure } = self;
        let word = if failure.is_some() { "FAILED" } else { "ok" };
        let line = format!(
            "{word:<8} {target:<10} {runs:>9} runs {runs_per_second:>7}/s {coverage:>7} edges \
             {memory_mb:>5} MB"
        );
        line + failure.as_deref().unwrap_or_default()
    }
}

/// The last word on it: `#1048576 pulse  cov: 5123 ft: 20113 corp: 12/3Kb ...`.
fn coverage(said: &str) -> u64 {
    let after = |line: &str| {
        let (_, rest) = line.split_once(" cov: ").filter(|_| line.starts_with('#'))?;
        rest.split(' ').next()?.parse().ok()
    };
    said.lines().rev().find_map(after).unwrap_or(0)
}

/// What went wrong, on lines of its own: the panic if there is one, else what libFuzzer says; then
/// what repeats it.
fn failure(target: &str, said: &str, log: &Path) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let panic = lines.iter().rposition(|line| line.contains(" panicked at "));
    let panic = panic.map(|at| lines[at..lines.len().min(at + 2)].join(" "));
    let error = lines.iter().find(|line| line.contains("ERROR: libFuzzer")).copied();
    let what = panic.as_deref().or(error).unwrap_or("it ended without a word").trim();
    let written = "Test unit written to ";
    let input = lines.iter().rev().find_map(|line| line.split_once(written)).map(|(_, path)| path);
    let repeat = match input {
        Some(path) => format!("repeat with `cargo xtask fuzz --target {target} --input {path}`"),
        // A stack that overflows leaves the fuzzer none to write with.
        None => "it wrote no input down, as when a stack overflows".to_string(),
    };
    let log = format!("log: {}", log.display());
    [what, &repeat, &log].map(|line| format!("\n         {line}")).concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "INFO: seed corpus: files: 2\n#2\tINITED cov: 10 ft: 11 corp: 1/1b\n\
        #900\tDONE   cov: 57 ft: 99 corp: 9/40b lim: 4096 exec/s: 450 rss: 31Mb\n\
        Done 900 runs in 2 second(s)\nstat::number_of_executed_units: 900\n\
        stat::average_exec_per_sec:     450\nstat::peak_rss_mb:              31\n";

    #[track_caller]
    fn check(said: &str, passed: bool, expected: &str) {
        let report = Report::of("mask", said, passed, Path::new("logs/a.log"));
        assert_eq!(report.line(), expected);
    }

    #[test]
    fn a_run_is_a_line() {
        let line = "ok       mask             900 runs     450/s      57 edges    31 MB";
        check(GOOD, true, line);
    }

    #[test]
    fn a_failure_says_how_to_repeat_it() {
        let said = "#7\tNEW    cov: 5 ft: 5\nthread '<unnamed>' panicked at src/a.rs:5:9:\n\
            too long\n==7== ERROR: libFuzzer: deadly signal\n\
            artifact_prefix='f/'; Test unit written to f/crash-ab\n";
        let begin = "FAILED   mask               0 runs       0/s       5 edges     0 MB";
        check(
            said,
            false,
            &format!(
                "{begin}\n         thread '<unnamed>' panicked at src/a.rs:5:9: too long\n         \
                 repeat with `cargo xtask fuzz --target mask --input f/crash-ab`\n         \
                 log: logs/a.log"
            ),
        );
        let begin = "FAILED   mask               0 runs       0/s       0 edges     0 MB";
        check(
            "",
            false,
            &format!(
                "{begin}\n         it ended without a word\n         it wrote no input down, as when \
                 a stack overflows\n         log: logs/a.log"
            ),
        );
    }
}
