//! What can be typed: the commands and the flags that all of them share.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::command;

/// Takes in every log, keeps all of it in open files, and finds the attacks in it early.
#[derive(Debug, Parser)]
#[command(name = "pugmark", version, max_term_width = 100, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 ok, 1 failure, 2 usage, 3 findings at --fail-on, \
                        5 server or authentication.")]
pub(crate) struct Cli {
    /// Settings file [default: pugmark.toml in this folder, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "PUGMARK_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Say more on stderr (-v what happens, -vv everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands. One file each in `command/`, one line here.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(command::serve::Args),
    Demo(command::demo::Args),
    Ingest(command::ingest::Args),
    Search(command::search::Args),
    Saved(command::saved::Args),
    Sql(command::sql::Args),
    Tail(command::tail::Args),
    Patterns(command::patterns::Args),
    Compare(command::compare::Args),
    Fields(command::fields::Args),
    Hunt(command::hunt::Args),
    Parse(command::parse::Args),
    Mask(command::mask::Args),
    Propose(command::propose::Args),
    Templates(command::templates::Args),
    Transform(command::transform::Args),
    Rules(command::rules::Args),
    Alerts(command::alerts::Args),
    Ledger(command::ledger::Args),
    Quarantine(command::quarantine::Args),
    Retention(command::retention::Args),
    Doctor(command::doctor::Args),
    Backup(command::backup::Args),
    Restore(command::restore::Args),
    Reparse(command::reparse::Args),
    Audit(command::audit::Args),
    Config(command::config::Args),
    Completions(command::completions::Args),
    Help(command::help::Args),
    #[command(hide = true)]
    Docs(command::docs::Args),
}
