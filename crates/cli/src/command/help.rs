//! `pugmark help`: what a command, or the query language, is about.

use clap::CommandFactory;
use pugmark_query::reference;

use crate::cli::Cli;
use crate::error::{CliError, Exit};
use crate::output::say;

/// The word for the query language.
const LANGUAGE: &str = "pql";

/// Explain a command, or the query language (`help pql`, `help pql stats`)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A command and its subcommands; or `pql`, alone or with a command or function of a query
    words: Vec<String>,
}

pub(crate) fn run(args: Args) -> Result<Exit, CliError> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let text = match words.as_slice() {
        [LANGUAGE] => reference::page(),
        [LANGUAGE, name] => reference::about(name).ok_or_else(|| {
            CliError::usage(format!("a query has no command or function {name:?}"))
                .hint("`pugmark help pql` lists all of them")
        })?,
        words => of_command(words)?,
    };
    say(text.trim_end())?;
    Ok(Exit::Done)
}

fn of_command(words: &[&str]) -> Result<String, CliError> {
    let mut command = Cli::command();
    command.build();
    for word in words {
        let Some(below) = command.find_subcommand(word) else {
            return Err(CliError::usage(format!("there is no command {word:?}"))
                .hint("`pugmark help` lists all of them"));
        };
        command = below.clone();
    }
    Ok(command.render_long_help().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_below_commands() {
        for (words, part) in [
            (&[][..], "Exit codes"),
            (&["search"], "Usage: pugmark search"),
            (&["rules", "test"], "Usage: pugmark rules test"),
        ] {
            let text = of_command(words).unwrap();
            assert!(text.contains(part), "{words:?}: {text}");
        }
        assert!(of_command(&["search", "x"]).is_err());
    }
}
