//! `pugmark rules check`: what cannot be used of a folder of rules, and what is odd about the rest.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pugmark_detect::{Lint, LintLevel, Problem, RuleSet};
use pugmark_engine::{Clock, SystemClock, rules};
use serde_json::json;

use crate::error::{CliError, Exit};
use crate::output::{Format, Printer, printable, say};
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder or file of Sigma rules
    #[arg(value_name = "DIR")]
    path: PathBuf,
    /// Data folder: rules for logs that never came are named too
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Exit with 1 on warnings too
    #[arg(long)]
    strict: bool,
    /// Print notes too, such as rules without tests
    #[arg(long)]
    notes: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Report::Table)]
    format: Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Report {
    /// Lines for people.
    Table,
    /// A JSON object a line.
    Json,
}

pub(super) async fn run(args: Args, settings: Settings) -> Result<Exit, CliError> {
    let (sources, mut problems) = super::read(&args.path)?;
    let parser = crate::node::parser()?;
    let seen = match &args.data {
        Some(dir) => {
            let (_, search) = crate::node::open_read_only(dir, &settings).await?;
            Some(super::stored_sources(&search).await?)
        }
        None => None,
    };
    let mut loaded = pugmark_detect::load(&sources);
    let expired = loaded.expire(SystemClock.now());
    let mut lints = pugmark_detect::lint(&loaded, &rules::known(&parser, seen));
    lints.extend(expired.into_iter().map(as_warning));
    let (set, more) = RuleSet::compile(loaded.rules);
    problems.extend(loaded.problems);
    problems.extend(more);
    let worst = worst(&problems, &lints);
    let counts = counts(&problems, &lints);
    lints.retain(|lint| args.notes || lint.level > LintLevel::Note);
    match args.format {
        Report::Json => print_json(&problems, &lints)?,
        Report::Table => {
            super::show(&problems)?;
            lints.iter().try_for_each(|lint| say(&described(lint)))?;
            let correlations = set.rules().iter().filter(|rule| rule.correlation).count();
            say(&format!(
                "{} rules in {} files, {correlations} of them correlations; {counts}",
                set.rules().len(),
                sources.len(),
            ))?;
        }
    }
    let bad = if args.strict { LintLevel::Warning } else { LintLevel::Error };
    Ok(if worst.is_some_and(|worst| worst >= bad) { Exit::No } else { Exit::Done })
}

/// An exception that expired does no harm, but somebody should look.
fn as_warning(problem: Problem) -> Lint {
    Lint {
        code: "expired",
        level: LintLevel::Warning,
        path: problem.path,
        line: problem.line.unwrap_or(1),
        rule: problem.rule.unwrap_or_default(),
        message: problem.message,
        hint: problem.hint,
    }
}

/// The worst there is; a rule that cannot be used is an error.
fn worst(problems: &[Problem], lints: &[Lint]) -> Option<LintLevel> {
    let broken = (!problems.is_empty()).then_some(LintLevel::Error);
    lints.iter().map(|lint| lint.level).max().max(broken)
}

/// `2 cannot be used, 1 error (never-fires), 3 warnings (duplicate 2, too-broad 1)`.
fn counts(problems: &[Problem], lints: &[Lint]) -> String {
    let mut parts = vec![format!("{} cannot be used", problems.len())];
    for level in [LintLevel::Error, LintLevel::Warning, LintLevel::Note] {
        let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
        for lint in lints.iter().filter(|lint| lint.level == level) {
            *codes.entry(lint.code).or_default() += 1;
        }
        let count: usize = codes.values().sum();
        let listed: Vec<String> = codes.iter().map(|(code, n)| format!("{code} {n}")).collect();
        match count {
            0 => {}
            1 => parts.push(format!("1 {} ({})", level.name(), listed.join(", "))),
            n => parts.push(format!("{n} {}s ({})", level.name(), listed.join(", "))),
        }
    }
    parts.join(", ")
}

fn described(lint: &Lint) -> String {
    let Lint { code, level, path, line, message, hint, .. } = lint;
    let hint = if hint.is_empty() { String::new() } else { format!(" ({hint})") };
    let line = format!("{path}:{line}: {} {code}: {message}{hint}", level.name());
    printable(&line).into_owned()
}

fn print_json(problems: &[Problem], lints: &[Lint]) -> Result<(), CliError> {
    let mut printer = Printer::new(Format::Json, vec!["code".into()]);
    for problem in problems {
        let line = json!({
            "code": "broken",
            "level": LintLevel::Error,
            "path": problem.path,
            "line": problem.line,
            "rule": problem.rule,
            "message": problem.message,
            "hint": problem.hint,
        });
        printer.line(&line.to_string())?;
    }
    for lint in lints {
        printer.line(&serde_json::to_string(lint).map_err(anyhow::Error::from)?)?;
    }
    Ok(printer.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn errors_and_strictness_decide_how_it_ends() {
        let rule = |detection: &str| {
            format!("title: T\nid: t\nlogsource: {{product: windows}}\ndetection:\n{detection}\n")
        };
        let good = rule("  s: {User: evil}\n  condition: s");
        let broad = rule("  s: {User: evil}\n  condition: not s");
        let never = rule("  s: {User: a}\n  t: {User: b}\n  condition: s and t");
        let broken = rule("  s: {User: a}\n  condition: t");
        for (text, strict, done) in [
            (&good, false, true),
            (&good, true, true),
            (&broad, false, true),
            (&broad, true, false),
            (&never, false, false),
            (&broken, false, false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("rule.yaml"), text).unwrap();
            let path = dir.path().to_path_buf();
            let args = Args { path, data: None, strict, notes: false, format: Report::Json };
            let exit = run(args, Settings::load(None).unwrap()).await.unwrap();
            assert_eq!(matches!(exit, Exit::Done), done, "{text} {strict}");
        }
    }

    #[test]
    fn a_lint_is_one_line_that_steers_no_terminal() {
        let lint = Lint {
            code: "unknown-field",
            level: LintLevel::Warning,
            path: "r.yaml".into(),
            line: 7,
            rule: "t".into(),
            message: "no \u{1b}[2J field".into(),
            hint: "did you mean `x`?".into(),
        };
        let text = "r.yaml:7: warning unknown-field: no \\u{1b}[2J field (did you mean `x`?)";
        assert_eq!(described(&lint), text);
        let lints = [lint.clone(), lint];
        assert_eq!(counts(&[], &lints), "0 cannot be used, 2 warnings (unknown-field 2)");
    }
}
