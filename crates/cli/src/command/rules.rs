//! `pugmark rules`: checks rules, runs the tests in their files, and says why a rule did not fire.

mod backtest;
mod coverage;
mod explain;

use std::path::PathBuf;

use pugmark_detect::Problem;
use pugmark_engine::rules;

use crate::error::{CliError, Exit};
use crate::output::{printable, say};
use crate::settings::Settings;

/// Check, test and explain rules
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Read rules and say what cannot be used, and why
    Check {
        /// Folder or file of Sigma rules
        #[arg(value_name = "DIR")]
        path: PathBuf,
    },
    /// Run the tests that stand in rule files
    Test {
        /// Folder or file of Sigma rules
        #[arg(value_name = "DIR")]
        path: PathBuf,
    },
    /// Try rules on everything that is stored, before they are trusted
    ///
    /// The matcher and the correlations are those of the stream, so this is what the stream would
    /// have found: detections, alerts a day, who they are about, and what changes against the
    /// version in force.
    ///
    /// Examples:
    ///   pugmark rules backtest my-rules/shell.yaml --data pugmark-data
    ///   pugmark rules backtest "SSH password guessing" --from now-30d --server http://127.0.0.1:7700 --token-file t
    #[command(verbatim_doc_comment)]
    Backtest(backtest::Args),
    /// Say why a rule fires on the records of a file, and where it does not, what is lacking
    ///
    /// The records that come nearest stand first.
    ///
    /// Examples:
    ///   pugmark rules explain my-rules/shell.yaml audit.log
    ///   pugmark rules explain sigma/rules --rule "Whoami Utility Execution" Security.evtx
    #[command(verbatim_doc_comment)]
    Explain(explain::Args),
    /// Say which techniques of ATT&CK the rules see, as a layer for the ATT&CK Navigator
    ///
    /// Each technique has the furthest step of its rules: written, tested, fed, fired.
    ///
    /// Examples:
    ///   pugmark rules coverage --data pugmark-data > layer.json
    ///   pugmark rules coverage my-rules --format table
    #[command(verbatim_doc_comment)]
    Coverage(coverage::Args),
}

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    match args.verb {
        Verb::Check { path } => check(&path),
        Verb::Test { path } => test(&path),
        Verb::Backtest(args) => backtest::run(args, settings).await,
        Verb::Explain(args) => explain::run(&args),
        Verb::Coverage(args) => coverage::run(args, settings).await,
    }
}

fn read(
    path: &std::path::Path,
) -> Result<(Vec<pugmark_detect::RuleSource>, Vec<Problem>), CliError> {
    rules::read_folder(path)
        .map_err(|e| CliError::usage(format!("cannot read rules from {}: {e}", path.display())))
}

fn check(path: &std::path::Path) -> Result<Exit, CliError> {
    let (sources, mut problems) = read(path)?;
    let (set, more) = rules::compile(&sources);
    problems.extend(more);
    show(&problems)?;
    let correlations = set.rules().iter().filter(|rule| rule.correlation).count();
    say(&format!(
        "{} rules in {} files, {correlations} of them correlations; {} cannot be used",
        set.rules().len(),
        sources.len(),
        problems.len()
    ))?;
    Ok(if problems.is_empty() { Exit::Done } else { Exit::No })
}

fn test(path: &std::path::Path) -> Result<Exit, CliError> {
    let (sources, mut problems) = read(path)?;
    let parser = crate::node::parser()?;
    let (results, more) = rules::run_tests(&sources, &parser);
    problems.extend(more);
    show(&problems)?;
    let mut failed = 0;
    for result in results.iter().filter(|result| !result.passed()) {
        failed += 1;
        say(&format!(
            "FAILED {}\n  {}: expected {} detections, found {}",
            printable(&result.path),
            printable(&result.name),
            result.expected,
            result.found
        ))?;
    }
    say(&format!("{} passed, {failed} failed", results.len() - failed))?;
    let good = failed == 0 && problems.is_empty() && !results.is_empty();
    Ok(if good { Exit::Done } else { Exit::No })
}

fn show(problems: &[Problem]) -> Result<(), CliError> {
    for problem in problems {
        say(&printable(&problem.to_string()))?;
    }
    Ok(())
}
