//! `pugmark rules`: checks rules, runs the tests in their files, says why a rule did not fire,
//! takes rules of others over, and tests exceptions on history.

mod backtest;
mod check;
mod coverage;
mod exception;
mod explain;
mod import;

use std::path::PathBuf;

use futures::StreamExt;
use pugmark_detect::Problem;
use pugmark_engine::rules;
use pugmark_query::{Request, Search};
use pugmark_search::StoreSearch;
use serde_json::Value;

use crate::error::{CliError, Exit};
use crate::output::{printable, say};
use crate::settings::Settings;

/// Check, test, explain and import rules
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Read rules and say what cannot be used, and why
    ///
    /// Then look for what is odd about those that can: fields that no event has, conditions that
    /// never hold or always do, rules that say the same. Exits with 1 when there are errors.
    ///
    /// Examples:
    ///   pugmark rules check my-rules
    ///   pugmark rules check my-rules --data pugmark-data --strict
    #[command(verbatim_doc_comment)]
    Check(check::Args),
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
    /// Take rules of others over, from a zip archive or a folder, and later their new versions
    ///
    /// Files stay as they came, with their licence, below imported/NAME. A file that you edit there
    /// is yours and never overwritten; write exceptions and placeholders elsewhere.
    ///
    /// Examples:
    ///   pugmark rules import sigma_core.zip --into my-rules --name sigmahq
    ///   pugmark rules import sigma/rules --into my-rules --name sigmahq --status stable,test
    #[command(verbatim_doc_comment)]
    Import(import::Args),
    /// Say which past alerts an exception would have hidden, true positives first
    ///
    /// Exits with 1 when there is a true positive among them.
    ///
    /// Examples:
    ///   pugmark rules exception my-rules backup-host.yaml --data pugmark-data
    #[command(verbatim_doc_comment)]
    Exception(exception::Args),
}

pub(crate) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    match args.verb {
        Verb::Check(args) => check::run(args, settings).await,
        Verb::Test { path } => test(&path),
        Verb::Backtest(args) => backtest::run(args, settings).await,
        Verb::Explain(args) => explain::run(&args),
        Verb::Coverage(args) => coverage::run(args, settings).await,
        Verb::Import(args) => import::run(args),
        Verb::Exception(args) => exception::run(args, settings).await,
    }
}

fn read(
    path: &std::path::Path,
) -> Result<(Vec<pugmark_detect::RuleSource>, Vec<Problem>), CliError> {
    rules::read_folder(path)
        .map_err(|e| CliError::usage(format!("cannot read rules from {}: {e}", path.display())))
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

/// The log sources of stored events.
const SOURCES: &str =
    "* | stats count() by logsource.product, logsource.category, logsource.service";
/// Most log sources that are looked at.
const SOURCES_MAX: usize = 10_000;

/// Product, category and service of stored events, each combination once; empty where an event has
/// none.
async fn stored_sources(search: &StoreSearch) -> Result<Vec<[String; 3]>, CliError> {
    let plan = pugmark_query::parse(SOURCES).map_err(|_| CliError::usage("BUG: the query"))?;
    let request = Request { limit: Some(SOURCES_MAX), ..Request::new(plan, 0) };
    let mut answer = search.search(request).await.map_err(anyhow::Error::from)?;
    let mut sources = Vec::new();
    while let Some(batch) = answer.rows.next().await {
        let batch = batch.map_err(anyhow::Error::from)?;
        let writer = pugmark_event::json::RowWriter::new(&batch);
        for row in 0..batch.num_rows() {
            let mut line = Vec::new();
            writer.write(row, &mut line);
            let row: Value = serde_json::from_slice(&line).unwrap_or_default();
            sources.push(["product", "category", "service"].map(|part| {
                row[format!("logsource.{part}")].as_str().unwrap_or_default().to_string()
            }));
        }
    }
    Ok(sources)
}

fn show(problems: &[Problem]) -> Result<(), CliError> {
    for problem in problems {
        say(&printable(&problem.to_string()))?;
    }
    Ok(())
}
