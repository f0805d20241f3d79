//! The binary `pugmark`: one file per command, joined here.

mod cli;
mod command;
mod demo;
mod error;
mod files;
mod node;
mod output;
mod settings;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// Batches are made on one thread and freed on another, in sizes that differ each time: the
/// system's allocator keeps three times the memory that is in use.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match command::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => error.report(),
    }
}
