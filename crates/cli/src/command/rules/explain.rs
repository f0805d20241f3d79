//! `pugmark rules explain`: what an event rule says of the records of a file.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use pugmark_detect::{RuleSet, Verdict};
use pugmark_engine::hunt::FILE_BYTES_MAX;
use pugmark_engine::rules;
use pugmark_event::Batch;
use pugmark_parse::{Headers, Input, frame};

use crate::error::{CliError, Exit};
use crate::files;
use crate::output::{printable, say};

/// Longest piece of a record that is shown, in characters.
const RECORD_CHARS_MAX: usize = 160;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File or folder of Sigma rules
    #[arg(value_name = "RULES")]
    rules: PathBuf,
    /// File with the records, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Id or title of the rule, where there are several
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// How many records to show
    #[arg(long, value_name = "N", default_value_t = 3)]
    rows: usize,
}

/// A record and what the rule says of it.
struct Judged {
    number: u64,
    record: String,
    verdict: Verdict,
}

pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let (sources, mut problems) = super::read(&args.rules)?;
    let (set, more) = rules::compile(&sources);
    problems.extend(more);
    let rule = choose(&set, args.rule.as_deref()).inspect_err(|_| {
        // The rule that is meant may be among those that cannot be used.
        let _ = super::show(&problems);
    })?;
    let info = &set.rules()[rule as usize];
    if info.correlation {
        return Err(CliError::usage(format!(
            "{} is a correlation: explain the rules that it refers to",
            printable(&info.title)
        )));
    }
    let mut nearest: Vec<Judged> = Vec::new();
    let (mut records, mut fires) = (0, 0);
    each_batch(args, &mut |batch| {
        for row in 0..batch.rows() {
            records += 1;
            let Some(verdict) = set.verdict(rule, batch, row) else { continue };
            fires += u64::from(verdict.fires);
            let place = nearest.partition_point(|j| j.verdict.distance() <= verdict.distance());
            if place < args.rows {
                let record = shown(batch, row);
                nearest.insert(place, Judged { number: records, record, verdict });
                nearest.truncate(args.rows);
            }
        }
    })?;
    say(&format!("{}: fires on {fires} of {records} records", printable(&info.title)))?;
    for judged in &nearest {
        say(&describe(judged))?;
    }
    Ok(if fires > 0 { Exit::Done } else { Exit::No })
}

/// The rule that is meant: the named one, or the only one.
fn choose(set: &RuleSet, wanted: Option<&str>) -> Result<u32, CliError> {
    let Some(wanted) = wanted else {
        return match set.rules().len() {
            1 => Ok(0),
            0 => Err(CliError::usage("there is no rule that can be used")),
            n => Err(CliError::usage(format!("there are {n} rules; name one with --rule"))),
        };
    };
    let found = set.rules().iter().position(|info| info.id == wanted || info.title == wanted);
    found.map(|index| index as u32).ok_or_else(|| {
        CliError::usage(format!("no rule that can be used has the id or title {wanted}"))
    })
}

fn each_batch(args: &Args, each: &mut dyn FnMut(&Batch)) -> Result<(), CliError> {
    let parser = crate::node::parser()?;
    let received = chrono::Utc::now().timestamp_micros();
    for input in files::expand(std::slice::from_ref(&args.file))? {
        let name = input.name();
        let blocks = frame::open(input.open(&Arc::default())?, FILE_BYTES_MAX)
            .with_context(|| format!("cannot read {name}"))?;
        let mut headers = Headers::default();
        for block in blocks {
            let records = block.with_context(|| format!("cannot read {name}"))?;
            let (source, header) = ("explain", headers.next(&records));
            let format = header.as_deref();
            let input = Input { source, records: &records, first_id: 1, received, format };
            each(&parser.parse(&input));
        }
    }
    Ok(())
}

/// The start of a record on one line.
fn shown(batch: &Batch, row: usize) -> String {
    let record = batch.original(row);
    let text = String::from_utf8_lossy(&record[..record.len().min(4 * RECORD_CHARS_MAX)]);
    let line: Vec<&str> = text.split_whitespace().collect();
    let mut line = line.join(" ");
    if let Some((end, _)) = line.char_indices().nth(RECORD_CHARS_MAX) {
        line.truncate(end);
        line.push('…');
    }
    printable(&line).into_owned()
}

fn describe(judged: &Judged) -> String {
    let Judged { number, record, verdict } = judged;
    let mut text = format!("\nrecord {number}: {record}\n");
    let source: Vec<&str> =
        verdict.event_source.iter().map(|part| if part.is_empty() { "-" } else { part }).collect();
    if !verdict.reads {
        text += &format!(
            "  not read: the rule is for another log source, this is {}\n",
            source.join("/")
        );
    }
    match verdict.lacks.len() {
        0 if verdict.fires => text += "  fires",
        0 => text += "  its condition would hold",
        n => text += &format!("  {n} test{} would have to hold:", if n == 1 { "" } else { "s" }),
    }
    for lack in &verdict.lacks {
        let value = match lack.value.as_str() {
            "" => "it has no value".to_string(),
            value => format!("it is {value}"),
        };
        let line = format!("{}: {} {}; {value}", lack.selection, lack.field, lack.test);
        text += &format!("\n    {}", printable(&line));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(records: &str, rule: Option<&str>) -> Result<Exit, CliError> {
        let dir = tempfile::tempdir().unwrap();
        let (rules, file) = (dir.path().join("rule.yaml"), dir.path().join("records.log"));
        let text = "title: T\nid: t\nlogsource: {product: linux, service: sshd}\ndetection:\n  \
                    sel: {user.name: root}\n  condition: sel\n";
        std::fs::write(&rules, text).unwrap();
        std::fs::write(&file, records).unwrap();
        run(&Args { rules, file, rule: rule.map(str::to_string), rows: 2 })
    }

    #[test]
    fn a_rule_that_does_not_fire_says_no() {
        let failed = |user: &str| {
            format!(
                "Nov 23 10:00:01 web1 sshd[1]: Failed password for {user} from 192.0.2.1 port 5 ssh2\n"
            )
        };
        let both = failed("ines") + &failed("root");
        assert!(matches!(explain(&both, None), Ok(Exit::Done)));
        assert!(matches!(explain(&failed("ines"), Some("T")), Ok(Exit::No)));
        assert!(explain(&both, Some("other")).is_err());
    }

    #[test]
    fn a_verdict_is_described_in_words() {
        let lack = |value: &str| pugmark_detect::Reason {
            selection: "sel".into(),
            field: "Image".into(),
            test: "ends with 'cmd.exe'".into(),
            value: value.into(),
        };
        let verdict = Verdict {
            fires: false,
            event_source: ["linux".into(), String::new(), "sshd".into()],
            reads: false,
            lacks: vec![lack(""), lack("a\u{1b}b")],
            held: 0,
        };
        let text = describe(&Judged { number: 7, record: "x".into(), verdict });
        assert!(text.contains("record 7: x\n  not read: the rule is for another log source"));
        assert!(text.contains("this is linux/-/sshd\n  2 tests would have to hold:"));
        assert!(text.contains("sel: Image ends with 'cmd.exe'; it has no value"));
        assert!(!text.contains('\u{1b}'));
    }
}
