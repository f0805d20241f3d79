//! `pugmark transform`: tries users' programs on samples before they go live, and lists them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use pugmark_engine::transforms::{self, Sample, TransformTestResult};
use pugmark_event::Records;
use pugmark_transform::{Problem, Transform, TransformSource, Transforms};
use serde_json::Value;

use crate::error::{CliError, Exit};
use crate::output::{cell, printable, say};
use crate::settings::Settings;

/// Sample lines that are looked at.
const LINES_MAX: usize = 1000;

/// Test and list the programs that change events after the parser
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Run the tests of a transform, and show what it makes of sample lines
    ///
    /// What is wrong with a program is named with its line. Exits with 1 when it does not compile,
    /// when a test fails, and when there is neither a test nor a sample. Nothing is stored.
    ///
    /// Examples:
    ///   pugmark transform test shop.yaml
    ///   pugmark transform test shop.yaml shop.log
    #[command(verbatim_doc_comment)]
    Test {
        /// The transform
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// File with a sample record a line
        #[arg(value_name = "LINES")]
        lines: Option<PathBuf>,
        /// Name of the source that the samples come from [default: the first of the transform]
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
    },
    /// List the transforms of a folder, the order in which they run, and what is wrong with them
    List {
        /// Folder with transforms [default: the one of the settings]
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

pub(crate) fn run(args: &Args, settings: &Settings) -> Result<Exit, CliError> {
    match &args.verb {
        Verb::Test { file, lines, source } => test(file, lines.as_deref(), source.as_deref()),
        Verb::List { dir } => {
            let own = crate::node::folders(&settings.data.dir, settings).transforms;
            list(&dir.clone().or(own).unwrap_or_default())
        }
    }
}

/// The text of a transform, named after its file.
pub(super) fn read(file: &Path) -> Result<TransformSource, CliError> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| CliError::usage(format!("cannot read {}: {e}", file.display())))?;
    let name = file.file_stem().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    Ok(TransformSource { name, text })
}

fn test(file: &Path, lines: Option<&Path>, source: Option<&str>) -> Result<Exit, CliError> {
    let text = read(file)?;
    let parser = crate::node::parser()?;
    let (transforms, problems) = Transforms::compile(std::slice::from_ref(&text));
    problems.iter().try_for_each(|problem| say(&described(problem)))?;
    let Some(transform) = transforms.list().first() else { return Ok(Exit::No) };
    let (results, _) = transforms::run_tests(std::slice::from_ref(&text), &parser);
    let failed: Vec<_> = results.iter().filter(|result| !result.passed()).collect();
    failed.iter().try_for_each(|result| say(&wrong(result)))?;
    let source = source.map_or_else(|| transform.sample_source(), str::to_string);
    if !transform.is_for(&source) {
        return Err(CliError::usage(format!("the transform is not for the source {source}")));
    }
    let records = match lines {
        Some(lines) => sample_lines(lines)?,
        None => Records::default(),
    };
    let samples = transforms::samples(&transforms, &parser, &source, &records);
    samples.iter().try_for_each(|sample| say(&shown(sample)))?;
    let inputs = || transform.tests().iter().map(|test| test.input.as_bytes()).collect();
    let timed: Records = if records.is_empty() { inputs() } else { records };
    if let Some(time) = transforms::time_per_event(&transforms, &parser, &source, &timed) {
        let micros = time.as_nanos() as f64 / 1000.0;
        say(&format!("{micros:.1} µs for an event"))?;
    }
    say(&format!("{} passed, {} failed", results.len() - failed.len(), failed.len()))?;
    let tried = !results.is_empty() || !samples.is_empty();
    Ok(if failed.is_empty() && tried { Exit::Done } else { Exit::No })
}

fn sample_lines(path: &Path) -> Result<Records, CliError> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    Ok(lines.filter(|line| !line.is_empty()).take(LINES_MAX).collect())
}

fn list(dir: &Path) -> Result<Exit, CliError> {
    let book = transforms::TransformBook::compile(transforms::read_folder(dir), Vec::new());
    for transform in book.transforms.list() {
        say(&printable(&line(transform)))?;
    }
    book.problems.iter().try_for_each(|problem| say(&described(problem)))?;
    let (good, all) = (book.transforms.list().len(), book.sources.len());
    say(&format!("{good} transforms in {}, {} set aside", dir.display(), all - good))?;
    Ok(if book.problems.is_empty() { Exit::Done } else { Exit::No })
}

fn line(transform: &Transform) -> String {
    let tests = transform.tests().len();
    format!("{:<24} {} ({tests} tests)", transform.name(), transform.sources().join(" "))
}

/// `shop:3:10: message (hint)`.
pub(super) fn described(problem: &Problem) -> String {
    let place = |number: Option<usize>| number.map_or_else(String::new, |n| format!(":{n}"));
    let (line, column) = (place(problem.line), place(problem.column));
    let hint = match problem.hint.is_empty() {
        true => String::new(),
        false => format!(" ({})", problem.hint),
    };
    printable(&format!("{}{line}{column}: {}{hint}", problem.name, problem.message)).into_owned()
}

fn wrong(result: &TransformTestResult) -> String {
    let mut text = format!("FAILED {}\n  {}", result.name, result.input.trim_end());
    for (name, expected, found) in &result.wrong {
        text += &format!("\n  {name}: expected {expected}, found {found}");
    }
    if let Some(reason) = &result.reason {
        text += &format!("\n  {reason}");
    }
    lines_printable(&text)
}

/// The record, then each field that is another one.
fn shown(sample: &Sample) -> String {
    let value = |value: Option<&Value>| match value {
        Some(value) => cell(Some(value)),
        None => "-".to_string(),
    };
    let mut text = cell(sample.after.get("event.original"));
    let gone = sample.before.keys().filter(|name| !sample.after.contains_key(*name));
    for name in sample.after.keys().chain(gone).filter(|name| *name != "event.attribute_kinds") {
        let (before, after) = (sample.before.get(name), sample.after.get(name));
        if before != after {
            text += &format!("\n  {name}: {} -> {}", value(before), value(after));
        }
    }
    for reason in sample.outcomes.iter().filter_map(|outcome| outcome.reason.as_ref()) {
        text += &format!("\n  failed: {reason}");
    }
    lines_printable(&text)
}

fn lines_printable(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_says_whether_a_transform_may_go_live() {
        let transform = |program: &str, expected: &str| {
            format!(
                "sources: [shop-*]\nprogram: |\n  {program}\ntests:\n  - input: 'order=1 total=5'\n    \
                 expected: {{{expected}}}\n"
            )
        };
        for (text, done) in [
            (transform(".shop.total = to_int!(.total)", "shop.total: 5"), true),
            (transform(".shop.total = to_int!(.total)", "shop.total: 6"), false),
            (transform(".shop.total = to_int!(.none)", "shop.total: 5"), false),
            (transform(".shop.total = ", "shop.total: 5"), false),
            (transform(".at = now()", ""), false),
            ("sources: [a]\nprogram: .a = 1".to_string(), false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("shop.yaml");
            std::fs::write(&file, &text).unwrap();
            let exit = test(&file, None, None).unwrap();
            assert_eq!(matches!(exit, Exit::Done), done, "{text}");
        }
    }

    #[test]
    fn a_problem_is_one_line_with_its_place() {
        let problem = |line, column| Problem {
            name: "shop".into(),
            line,
            column,
            message: "no \u{1b}[2J such".into(),
            hint: "try".into(),
        };
        assert_eq!(described(&problem(Some(3), Some(7))), "shop:3:7: no \\u{1b}[2J such (try)");
        assert_eq!(described(&problem(None, None)), "shop: no \\u{1b}[2J such (try)");
    }
}
