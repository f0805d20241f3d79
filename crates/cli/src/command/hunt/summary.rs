//! The summary of a hunt: as JSON for programs, and in a few lines on stderr.

use std::io::Write;

use pugmark_engine::hunt::{Bounded, LogonCounts, Span, Summary};
use pugmark_event::time::{self, Micros};
use serde_json::{Value, json};

use crate::output::printable;

/// Rules that are told on stderr.
const RULES_TOLD: usize = 5;
/// Problems that are told on stderr.
const PROBLEMS_TOLD: usize = 20;

/// Everything that the summary holds. Times are RFC 3339 in UTC; `left_out` counts what came when
/// a list was full.
pub(super) fn json(summary: &Summary) -> Value {
    let spans = |spans: &std::collections::BTreeMap<String, Span>| -> Vec<Value> {
        spans.iter().map(|(name, span)| with_span(json!({ "name": name }), span)).collect()
    };
    let levels: serde_json::Map<String, Value> =
        summary.levels.iter().rev().map(|(l, n)| (l.name().to_string(), json!(n))).collect();
    json!({
        "files": {
            "count": summary.files,
            "records": summary.total.records,
            "bytes": summary.total.bytes,
            "not_understood": summary.total.not_understood,
            "list": summary.by_file.iter().map(|(name, seen)| json!({
                "file": name,
                "records": seen.records,
                "bytes": seen.bytes,
                "not_understood": seen.not_understood,
                "problems": seen.problems,
            })).collect::<Vec<_>>(),
            "left_out": summary.by_file.left_out(),
        },
        "first": shown(summary.span.first),
        "last": shown(summary.span.last),
        "findings": { "count": summary.findings(), "levels": levels },
        "rules": summary.top_rules().iter().map(|seen| with_span(json!({
            "rule.id": seen.rule.id,
            "rule.title": seen.rule.title,
            "rule.author": seen.rule.author,
            "level": seen.rule.level.name(),
            "tags": seen.rule.tags,
        }), &seen.span)).collect::<Vec<_>>(),
        "tactics": spans(&summary.tactics()),
        "techniques": spans(&summary.techniques()),
        "computers": names(&summary.computers),
        "users": names(&summary.users),
        "logons": {
            "list": summary.logons.ranked(weight).iter().map(|(logon, counts)| with_span(json!({
                "user": logon.user,
                "host": logon.host,
                "source": logon.source,
                "kind": logon.kind,
                "successes": counts.successes,
                "failures": counts.failures,
                "attempts": counts.attempts,
                "privileged": counts.privileged,
            }), &counts.span)).collect::<Vec<_>>(),
            "left_out": summary.logons.left_out(),
        },
        "problems": { "count": summary.problem_count, "list": summary.problems },
    })
}

/// What puts a logon first: failures, then how often.
pub(super) fn weight(counts: &LogonCounts) -> (u64, u64) {
    (counts.failures, counts.span.count)
}

/// A time, or nothing.
pub(super) fn shown(time: Option<Micros>) -> Option<String> {
    time.map(time::format)
}

fn with_span(mut row: Value, span: &Span) -> Value {
    row["count"] = json!(span.count);
    row["first"] = json!(shown(span.first));
    row["last"] = json!(shown(span.last));
    row
}

fn names(names: &Bounded<String, Span>) -> Value {
    let list = names.ranked(|span| span.count);
    let list: Vec<Value> =
        list.iter().map(|(name, span)| with_span(json!({ "name": name }), span)).collect();
    json!({ "count": names.len(), "list": list, "left_out": names.left_out() })
}

/// Tells the summary on stderr.
pub(super) fn tell(summary: &Summary) -> anyhow::Result<()> {
    for problem in summary.problems.iter().take(PROBLEMS_TOLD) {
        tracing::warn!("{}", printable(problem));
    }
    let more = summary.problem_count.saturating_sub(PROBLEMS_TOLD as u64);
    if more > 0 {
        tracing::warn!("and {more} more problems; --summary FILE has them");
    }
    let mut out = std::io::stderr().lock();
    for line in lines(summary) {
        writeln!(out, "{}", printable(&line))?;
    }
    Ok(())
}

fn lines(summary: &Summary) -> Vec<String> {
    let mut lines = vec![String::new(), read(summary)];
    let levels: Vec<String> =
        summary.levels.iter().rev().map(|(level, n)| format!("{n} {}", level.name())).collect();
    lines.push(match summary.findings() {
        0 => "Findings   none".to_string(),
        n => format!("Findings   {n} of {} rules: {}", summary.rules.len(), levels.join(", ")),
    });
    lines.extend(summary.top_rules().iter().take(RULES_TOLD).map(|seen| {
        let (rule, count) = (&seen.rule, seen.span.count);
        format!("           {:<13} {count:>7}  {}", rule.level.name(), rule.title)
    }));
    lines.push(format!(
        "Seen       {} computers, {} users",
        or_more(&summary.computers),
        or_more(&summary.users)
    ));
    let logons = logons(summary);
    if logons.span.count > 0 {
        lines.push(format!(
            "Logons     {} succeeded, {} failed, {} with special privileges",
            logons.successes, logons.failures, logons.privileged
        ));
    }
    lines
}

fn read(summary: &Summary) -> String {
    let total = &summary.total;
    let mut line = format!("Read       {} files, {} records", summary.files, total.records);
    if let (Some(first), Some(last)) = (summary.span.first, summary.span.last) {
        line += &format!(", {} to {}", time::format(first), time::format(last));
    }
    if total.not_understood > 0 {
        line += &format!(", {} not understood", total.not_understood);
    }
    if summary.problem_count > 0 {
        line += &format!(", {} problems", summary.problem_count);
    }
    line
}

/// All logons together.
pub(super) fn logons(summary: &Summary) -> LogonCounts {
    let mut all = LogonCounts::default();
    for (_, counts) in summary.logons.iter() {
        all.add(counts);
    }
    all
}

/// How many there are, with a mark where there was no room for more.
pub(super) fn or_more(names: &Bounded<String, Span>) -> String {
    let more = if names.left_out() > 0 { " or more" } else { "" };
    format!("{}{more}", names.len())
}
