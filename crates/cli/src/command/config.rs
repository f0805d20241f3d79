//! `pugmark config`: the settings in force, or their defaults with what each does.

use std::path::Path;

use crate::error::{CliError, Exit};
use crate::output::say;
use crate::settings::{DEFAULTS, Settings};

/// Print the settings in force
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print every setting with its default and what it does
    #[arg(long)]
    defaults: bool,
}

pub(crate) fn run(args: Args, file: Option<&Path>) -> Result<Exit, CliError> {
    if args.defaults {
        say(DEFAULTS.trim_end())?;
    } else {
        let settings = toml::to_string(&Settings::load(file)?).map_err(anyhow::Error::from)?;
        say(settings.trim_end())?;
    }
    Ok(Exit::Done)
}
