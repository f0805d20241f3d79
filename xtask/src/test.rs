//! `cargo xtask test`: every check there is, in order, each timed.
//!
//! A failing step does not stop the steps that do not need it: one run says everything that is
//! wrong. The last line is `N passed, N failed`.

mod clients;
mod e2e;
mod readers;
mod s3;
mod venv;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::{codegen, fuzz, shell, tidy, web};

/// How a step that did not fail ended.
enum Outcome {
    Passed,
    Skipped(&'static str),
}

/// One line of the list below: its name, what it shows, the steps whose result it needs, and how.
struct Step {
    name: &'static str,
    about: &'static str,
    needs: &'static [&'static str],
    run: fn() -> Result<Outcome>,
}

/// From the quickest answer to the slowest.
const STEPS: &[Step] = &[
    Step { name: "fmt", about: "rustfmt agrees", needs: &[], run: fmt },
    Step { name: "tidy", about: "invariants of the tree", needs: &[], run: tree },
    Step { name: "web", about: "lint, unit tests, build, size budget", needs: &[], run: web_app },
    Step { name: "clippy", about: "no warning anywhere", needs: &[], run: clippy },
    Step { name: "build", about: "binaries and tests compile", needs: &[], run: build },
    Step { name: "tests", about: "unit and whole-product tests", needs: &["build"], run: tests },
    Step { name: "s3", about: "the cold tier on a real S3 server", needs: &["build"], run: s3::s3 },
    Step {
        name: "readers",
        about: "segments read by DuckDB and ClickHouse",
        needs: &["build"],
        run: readers::readers,
    },
    Step {
        name: "clients",
        about: "SQL asked by psql and psycopg",
        needs: &["build"],
        run: clients::clients,
    },
    Step {
        name: "rules",
        about: "every rule against its own tests",
        needs: &["build"],
        run: rules,
    },
    Step { name: "docs", about: "generated files are current", needs: &["build"], run: docs },
    Step {
        name: "e2e",
        about: "the web app on a real server, in a browser",
        needs: &["web", "build"],
        run: e2e::e2e,
    },
    Step { name: "fuzz", about: "every fuzz target for a minute", needs: &[], run: fuzz_targets },
    Step { name: "deny", about: "licences and sources of dependencies", needs: &[], run: deny },
];

/// Runs the steps, or those after `--only` (names with commas between) and what they need.
pub(crate) fn test(args: &[String]) -> Result<()> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => run(STEPS.iter().collect()),
        ["--list"] => {
            list();
            Ok(())
        }
        ["--only", names] => run(pick(names)?),
        _ => bail!("usage: cargo xtask test [--list | --only step,step]"),
    }
}

fn list() {
    for step in STEPS {
        println!("{:<8} {}", step.name, step.about);
    }
}

/// The named steps and those that they need, in the order of the list.
fn pick(names: &str) -> Result<Vec<&'static Step>> {
    let mut wanted: Vec<&str> = names.split(',').map(str::trim).collect();
    let mut at = 0;
    while let Some(name) = wanted.get(at) {
        let Some(step) = STEPS.iter().find(|step| step.name == *name) else {
            bail!("no step `{name}`: `cargo xtask test --list` names them");
        };
        wanted.extend(step.needs);
        at += 1;
    }
    Ok(STEPS.iter().filter(|step| wanted.contains(&step.name)).collect())
}

fn run(steps: Vec<&'static Step>) -> Result<()> {
    // The server embeds this folder; when the web step is not picked or failed it is just empty.
    fs::create_dir_all(shell::root().join("web/dist"))?;
    let mut report = Vec::new();
    let mut passed = 0;
    let mut failed: Vec<&str> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        println!("\n==> [{}/{}] {}: {}", index + 1, steps.len(), step.name, step.about);
        let start = Instant::now();
        let result = match step.needs.iter().find(|name| failed.contains(name)) {
            Some(name) => Err(anyhow::anyhow!("not run: it needs `{name}`, which failed")),
            None => (step.run)(),
        };
        let line = line_of(step, &result, start.elapsed());
        println!("{line}");
        match result {
            Ok(Outcome::Passed) => passed += 1,
            Ok(Outcome::Skipped(_)) => {}
            Err(_) => failed.push(step.name),
        }
        report.push(line);
    }
    println!("\n{}", report.join("\n"));
    println!("\n{passed} passed, {} failed", failed.len());
    if !failed.is_empty() {
        bail!(
            "failed: {}: repeat with `cargo xtask test --only {}`",
            failed.join(", "),
            failed.join(",")
        );
    }
    Ok(())
}

fn line_of(step: &Step, result: &Result<Outcome>, took: Duration) -> String {
    let (word, note) = match result {
        Ok(Outcome::Passed) => ("ok", String::new()),
        Ok(Outcome::Skipped(why)) => ("skipped", (*why).to_string()),
        Err(error) => ("FAILED", format!("{error:#}")),
    };
    format!("{word:<8} {:<8} {:>7.1} s  {note}", step.name, took.as_secs_f64()).trim_end().into()
}

fn cargo(args: &[&str]) -> Result<Outcome> {
    shell::run(&mut shell::cargo(args))?;
    Ok(Outcome::Passed)
}

fn fmt() -> Result<Outcome> {
    cargo(&["fmt", "--all", "--check"]).context("run `cargo fmt --all`")?;
    let fuzz = "fuzz/Cargo.toml";
    cargo(&["fmt", "--manifest-path", fuzz, "--check"])
        .with_context(|| format!("run `cargo fmt --manifest-path {fuzz}`"))
}

fn tree() -> Result<Outcome> {
    tidy::tidy(&[])?;
    Ok(Outcome::Passed)
}

fn web_app() -> Result<Outcome> {
    web::install()?;
    shell::run(&mut shell::npm(&["run", "--silent", "lint"]))?;
    shell::run(&mut shell::npm(&["test", "--silent"]))?;
    web::build(true)?;
    shell::run(&mut shell::npm(&["run", "--silent", "budget"]))?;
    Ok(Outcome::Passed)
}

fn clippy() -> Result<Outcome> {
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

/// All kinds of target in one call: one set of features, so that no dependency is built twice.
fn build() -> Result<Outcome> {
    cargo(shell::BUILD)
}

fn tests() -> Result<Outcome> {
    // Debian keeps the server's programs here, off the PATH.
    if !Path::new("/usr/lib/postgresql").exists() {
        shell::install(&["postgresql"], "the store's tests start PostgreSQL")?;
    }
    if shell::works("cargo", &["nextest", "--version"]) {
        cargo(&["nextest", "run", "--workspace", "--no-tests", "pass"])?;
    } else {
        println!("cargo-nextest is not installed: using cargo test");
        cargo(&["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"])?;
    }
    cargo(&["test", "--workspace", "--doc", "--quiet"])
}

fn rules() -> Result<Outcome> {
    let mut pugmark = Command::new(binary());
    shell::run(pugmark.args(["rules", "test", "content/rules"]).current_dir(shell::root()))?;
    Ok(Outcome::Passed)
}

fn docs() -> Result<Outcome> {
    codegen::codegen(&["--check".to_string()])?;
    Ok(Outcome::Passed)
}

fn fuzz_targets() -> Result<Outcome> {
    fuzz::fuzz(&[])?;
    Ok(Outcome::Passed)
}

fn deny() -> Result<Outcome> {
    if !shell::works("cargo", &["deny", "--version"]) {
        return Ok(Outcome::Skipped("cargo-deny is not installed"));
    }
    // Advisories need a database from the network: they are not a matter of this checkout.
    cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"])
}

/// The dev-profile binary that the build step made.
fn binary() -> std::path::PathBuf {
    shell::target_dir().join("debug/pugmark")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(only: &str, expected: &[&str]) {
        let steps = pick(only).expect("these are steps");
        assert_eq!(steps.iter().map(|step| step.name).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_step_brings_what_it_needs_in_list_order() {
        check("fmt", &["fmt"]);
        check("rules,fmt", &["fmt", "build", "rules"]);
        check("e2e", &["web", "build", "e2e"]);
    }

    #[test]
    fn an_unknown_step_is_refused() {
        assert!(pick("fmt,tyop").is_err());
    }
}
