//! The project's own commands: `cargo xtask <command>`.
//!
//! One file per command, one line in [`COMMANDS`]. Few dependencies, so that this builds in
//! seconds on a fresh machine, before anything else can.

// A command speaks to the person who called it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod codegen;
mod fuzz;
mod geo;
mod run;
mod shell;
mod test;
mod tidy;
mod web;

use std::process::ExitCode;

use anyhow::Result;

/// A command gets the words after its name.
type Command = fn(&[String]) -> Result<()>;

/// Name, what it does, how.
const COMMANDS: &[(&str, &str, Command)] = &[
    ("run", "build everything and start the demo; further words go to `pugmark demo`", run::run),
    ("test", "every check there is; --only a,b picks steps, --list names them", test::test),
    (
        "tidy",
        "the invariants a machine can check; --ratchet rewrites xtask/ratchet.toml",
        tidy::tidy,
    ),
    ("bench", "build release and measure; further words go to `pugmark-bench run`", bench::bench),
    ("codegen", "write the generated files; --check only compares", codegen::codegen),
    (
        "fuzz",
        "build the fuzz targets and run each for a minute; --seconds N, --target NAME",
        fuzz::fuzz,
    ),
    ("geo", "get the table of countries and networks that builds take in; --force anew", geo::geo),
    ("web", "build web/dist when its sources changed; --force always", web::web),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((_, _, command)) =
        args.first().and_then(|name| COMMANDS.iter().find(|(known, _, _)| known == name))
    else {
        eprint!("{}", usage(args.first()));
        return ExitCode::from(2);
    };
    match command(&args[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage(unknown: Option<&String>) -> String {
    let mut text = String::new();
    if let Some(name) = unknown.filter(|name| !name.starts_with('-') && *name != "help") {
        text += &format!("error: no command `{name}`\n\n");
    }
    text += "usage: cargo xtask <command>\n\n";
    for (name, about, _) in COMMANDS {
        text += &format!("  {name:<8} {about}\n");
    }
    text
}
