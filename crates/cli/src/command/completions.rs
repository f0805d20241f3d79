//! `pugmark completions`: completion for a shell.

use clap::CommandFactory;

use crate::cli::Cli;
use crate::error::{CliError, Exit};

/// Print completion for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: Args) -> Result<Exit, CliError> {
    clap_complete::generate(args.shell, &mut Cli::command(), "pugmark", &mut std::io::stdout());
    Ok(Exit::Done)
}
