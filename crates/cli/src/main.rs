//! The binary `pugmark`: one file per command, joined here.

mod cli;
mod command;
mod demo;
mod error;
mod files;
mod memory;
mod node;
mod output;
mod place;
mod postgres;
mod settings;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    memory::give_back_soon();
    let cli = cli::Cli::parse();
    match command::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => error.report(),
    }
}
