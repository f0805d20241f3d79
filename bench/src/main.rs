//! `pugmark-bench`: makes a corpus of logs, and measures the built `pugmark` with it.
//!
//! It knows the product only as its users do: the command line, the HTTP API, the files it leaves
//! on disk. bench/README.md says how a run is made and read.

// A command speaks to the person who called it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod bars;
mod corpus;
mod flame;
mod harness;
mod http;
mod measure;
mod peers;
mod process;
mod random;
mod report;
mod scripts;
mod send;
mod server;
mod time;

use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
usage: pugmark-bench corpus --out DIR [--corpus NAME] [--mb N] [--seed N]
       pugmark-bench run --pugmark FILE [--corpus NAME] [--mb N] [--seed N] [--data DIR]
                         [--only NAME,NAME] [--passes N] [--warm N] [--clients N] [--wal-mb N]
                         [--set section.key=value]... [--flame] [--no-peers]
                         [--quiet-seconds N] [--rules DIR] [--work DIR] [--out DIR] [--note TEXT]

  corpus   writes one file per kind of log, and all.log with all of them
  run      measures a binary and writes raw.csv and summary.md in bench/runs/DATE/NAME

Corpora: mixed (text and JSON), ndjson, and shared (real logs below --data).
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.first().map(String::as_str) {
        Some("corpus") => make(&words[1..]),
        Some("run") => harness::run(&words[1..]),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn make(words: &[String]) -> Result<()> {
    let known = args::Known { options: &["out", "corpus", "mb", "seed"], flags: &[] };
    let args = args::Args::parse(words, &known)?;
    let recipe = corpus::recipe(&args.text("corpus", "mixed"))?;
    let (seed, mb) = (args.number("seed", 1)?, args.number("mb", 100)?);
    let made = corpus::write(&args.path("out")?, recipe, seed, mb)?;
    println!("{} records, {} bytes in {}", made.records(), made.bytes(), made.folder.display());
    Ok(())
}
