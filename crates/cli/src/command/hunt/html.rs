//! The report of a hunt as one HTML page that needs nothing else: no script, no font, no network.
//!
//! Everything in it comes from logs and rules, so everything goes through [`Text`]; the page also
//! forbids itself scripts and loading, should a browser ever see something else in it.

use std::fmt;
use std::io::{self, Write};

use pugmark_detect::RuleInfo;
use pugmark_engine::hunt::{RuleSeen, Span, Summary};
use pugmark_event::Severity;
use pugmark_event::time::{self, Micros};

use super::samples::{PER_RULE_MAX, Sample, Samples};
use super::sorted::Key;
use super::summary::{logons, or_more, shown, weight};
use crate::output::printable;

/// Rows of one list; the page says how many there are.
const LIST_MAX: usize = 100;

const STYLE: &str = include_str!("report.css");

/// Text as it may stand in HTML, also within quotes.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in printable(self.0).chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

/// Writes the report; `made` is when.
pub(super) fn write(
    mut out: impl Write,
    summary: &Summary,
    samples: &Samples,
    made: Micros,
) -> io::Result<()> {
    head(&mut out, summary, made)?;
    levels(&mut out, summary)?;
    rules(&mut out, summary)?;
    attack(&mut out, summary)?;
    names(&mut out, "Computers seen", &summary.computers)?;
    names(&mut out, "Users seen", &summary.users)?;
    logon_list(&mut out, summary)?;
    findings(&mut out, summary, samples)?;
    files(&mut out, summary)?;
    writeln!(out, "</main></body></html>")?;
    out.flush()
}

fn head(out: &mut impl Write, summary: &Summary, made: Micros) -> io::Result<()> {
    let total = &summary.total;
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Hunt report</title><style>{STYLE}</style></head>\n<body><main>\n\
         <h1>Hunt report</h1>\n<p>Made {} by Pugmark {}. All times are UTC.</p>\n<table>",
        Text(&time::format(made)),
        env!("CARGO_PKG_VERSION"),
    )?;
    let range = match (summary.span.first, summary.span.last) {
        (Some(first), Some(last)) => format!("{} to {}", time::format(first), time::format(last)),
        _ => "no events".to_string(),
    };
    let problems = match summary.problem_count {
        0 => "none".to_string(),
        n => format!("{n}, listed under Files"),
    };
    for (name, value) in [
        ("Files", summary.files.to_string()),
        ("Records", format!("{} ({} bytes)", total.records, total.bytes)),
        ("Events from", range),
        ("Not understood", total.not_understood.to_string()),
        ("Problems", problems),
    ] {
        writeln!(out, "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", Text(&value))?;
    }
    writeln!(out, "</table>")
}

/// The levels that there are, worst first.
const LEVELS: [Severity; 6] = [
    Severity::Fatal,
    Severity::Critical,
    Severity::High,
    Severity::Medium,
    Severity::Low,
    Severity::Informational,
];

fn levels(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    writeln!(out, "<h2>Findings by level</h2>\n<p class=\"levels\">")?;
    for level in LEVELS {
        let count = summary.levels.get(&level).copied().unwrap_or_default();
        // No rule of Sigma's has this level.
        if level == Severity::Fatal && count == 0 {
            continue;
        }
        let name = level.name();
        writeln!(out, "<span class=\"{name}\"><b>{count}</b> {name}</span>")?;
    }
    writeln!(out, "</p>")
}

/// Starts a list: its title, and the total where not all of it is shown.
fn list(out: &mut impl Write, title: &str, total: usize, columns: &[&str]) -> io::Result<()> {
    writeln!(out, "<h2>{title}</h2>")?;
    if total > LIST_MAX {
        writeln!(
            out,
            "<p>The first {LIST_MAX} of {total}; <code>--summary FILE</code> has more.</p>"
        )?;
    }
    write!(out, "<table><thead><tr>")?;
    for column in columns {
        write!(out, "<th scope=\"col\">{column}</th>")?;
    }
    writeln!(out, "</tr></thead><tbody>")
}

fn row(out: &mut impl Write, cells: &[&dyn fmt::Display]) -> io::Result<()> {
    write!(out, "<tr>")?;
    for cell in cells {
        write!(out, "<td>{cell}</td>")?;
    }
    writeln!(out, "</tr>")
}

fn end(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "</tbody></table>")
}

/// First and last time of a span, as cells.
fn times(span: &Span) -> [String; 2] {
    let shown = |time| shown(time).unwrap_or_default();
    [span.first, span.last].map(|time| format!("<time>{}</time>", Text(&shown(time))))
}

/// Where on the page a rule's findings are.
fn anchor(rule: &RuleInfo) -> String {
    format!("rule-{}", Text(&rule.id))
}

fn rules(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let rules = summary.top_rules();
    if rules.is_empty() {
        return Ok(());
    }
    list(out, "Rules that fired", rules.len(), &["Level", "Rule", "Findings", "First", "Last"])?;
    for seen in rules.iter().take(LIST_MAX) {
        let link = format!("<a href=\"#{}\">{}</a>", anchor(&seen.rule), Text(&seen.rule.title));
        let [first, last] = times(&seen.span);
        row(out, &[&badge(seen.rule.level), &link, &seen.span.count, &first, &last])?;
    }
    end(out)
}

fn badge(level: Severity) -> String {
    format!("<span class=\"{0}\">{0}</span>", level.name())
}

fn attack(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    for (title, seen) in [
        ("ATT&amp;CK tactics seen", summary.tactics()),
        ("ATT&amp;CK techniques seen", summary.techniques()),
    ] {
        if seen.is_empty() {
            continue;
        }
        let mut seen: Vec<_> = seen.iter().collect();
        seen.sort_by_key(|(_, span)| std::cmp::Reverse(span.count));
        list(out, title, seen.len(), &["Name", "Findings", "First", "Last"])?;
        for (name, span) in seen.into_iter().take(LIST_MAX) {
            let [first, last] = times(span);
            row(out, &[&Text(name), &span.count, &first, &last])?;
        }
        end(out)?;
    }
    Ok(())
}

fn names(
    out: &mut impl Write,
    title: &str,
    names: &pugmark_engine::hunt::Bounded<String, Span>,
) -> io::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let title = format!("{title}: {}", or_more(names));
    list(out, &title, names.len(), &["Name", "Events", "First", "Last"])?;
    for (name, span) in names.ranked(|span| span.count).into_iter().take(LIST_MAX) {
        let [first, last] = times(span);
        row(out, &[&Text(name), &span.count, &first, &last])?;
    }
    end(out)
}

fn logon_list(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let all = logons(summary);
    if all.span.count == 0 {
        return Ok(());
    }
    let columns = [
        "User",
        "Host",
        "From",
        "How",
        "Succeeded",
        "Failed",
        "Attempts",
        "Privileged",
        "First",
        "Last",
    ];
    let title = format!("Logons: {} succeeded, {} failed", all.successes, all.failures);
    list(out, &title, summary.logons.len(), &columns)?;
    for (logon, counts) in summary.logons.ranked(weight).into_iter().take(LIST_MAX) {
        let [first, last] = times(&counts.span);
        row(
            out,
            &[
                &Text(&logon.user),
                &Text(&logon.host),
                &Text(&logon.source),
                &Text(&logon.kind),
                &counts.successes,
                &counts.failures,
                &counts.attempts,
                &counts.privileged,
                &first,
                &last,
            ],
        )?;
    }
    end(out)?;
    match summary.logons.left_out() {
        0 => Ok(()),
        n => writeln!(out, "<p>{n} more logons had no room in this list.</p>"),
    }
}

fn findings(out: &mut impl Write, summary: &Summary, samples: &Samples) -> io::Result<()> {
    let mut level = None;
    for seen in summary.top_rules() {
        if level.replace(seen.rule.level) != Some(seen.rule.level) {
            writeln!(out, "<h2>Findings: {}</h2>", badge(seen.rule.level))?;
        }
        rule(out, seen, samples)?;
    }
    Ok(())
}

fn rule(out: &mut impl Write, seen: &RuleSeen, samples: &Samples) -> io::Result<()> {
    let rule = &seen.rule;
    let [first, last] = times(&seen.span);
    writeln!(
        out,
        "<section class=\"rule\" id=\"{}\"><h3>{}</h3>\n<p>{} findings, {first} to {last}.",
        anchor(rule),
        Text(&rule.title),
        seen.span.count,
    )?;
    if seen.span.count > PER_RULE_MAX as u64 {
        write!(out, " The first {PER_RULE_MAX} are shown; the timeline has all.")?;
    }
    writeln!(out, "</p>")?;
    about(out, rule)?;
    for (key, sample) in samples.of(&rule.id) {
        finding(out, key, sample)?;
    }
    writeln!(out, "</section>")
}

/// What a rule says about itself.
fn about(out: &mut impl Write, rule: &RuleInfo) -> io::Result<()> {
    for (name, text) in [
        ("", &rule.description),
        ("Next steps: ", &rule.next_steps),
        ("Harmless causes: ", &rule.falsepositives.join("; ")),
        ("Tags: ", &rule.tags.join(", ")),
        ("Author: ", &rule.author),
    ] {
        if !text.trim().is_empty() {
            writeln!(out, "<p class=\"about\">{name}{}</p>", Text(text.trim()))?;
        }
    }
    if !rule.references.is_empty() {
        writeln!(out, "<ul class=\"about\">")?;
        for reference in &rule.references {
            let text = Text(reference);
            // Other schemes than these run things.
            match reference.starts_with("https://") || reference.starts_with("http://") {
                true => writeln!(
                    out,
                    "<li><a rel=\"noreferrer noopener\" href=\"{text}\">{text}</a></li>"
                )?,
                false => writeln!(out, "<li>{text}</li>")?,
            }
        }
        writeln!(out, "</ul>")?;
    }
    Ok(())
}

fn finding(out: &mut impl Write, key: &Key, sample: &Sample) -> io::Result<()> {
    writeln!(
        out,
        "<details><summary><time>{}</time> {}{}</summary>",
        Text(&time::format(key.time)),
        Text(&sample.entity),
        if sample.count > 1 { format!(" ({} events)", sample.count) } else { String::new() },
    )?;
    writeln!(out, "<p>In {}</p>\n<ul>", Text(&key.file))?;
    for why in &sample.why {
        writeln!(out, "<li>{}</li>", Text(why))?;
    }
    writeln!(out, "</ul>\n<table>")?;
    for (name, value) in &sample.fields {
        writeln!(out, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", Text(name), Text(value))?;
    }
    writeln!(out, "</table></details>")
}

fn files(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let columns = ["File", "Records", "Bytes", "Not understood", "Problems"];
    let total = usize::try_from(summary.files).unwrap_or(usize::MAX);
    list(out, "Files", total, &columns)?;
    let rank = |seen: &pugmark_engine::hunt::FileSeen| (seen.problems, seen.records);
    for (name, seen) in summary.by_file.ranked(rank).into_iter().take(LIST_MAX) {
        let (records, bytes) = (&seen.records, &seen.bytes);
        row(out, &[&Text(name), records, bytes, &seen.not_understood, &seen.problems])?;
    }
    end(out)?;
    if summary.problem_count == 0 {
        return Ok(());
    }
    writeln!(out, "<h2>Problems: {}</h2>\n<ul>", summary.problem_count)?;
    for problem in summary.problems.iter().take(LIST_MAX) {
        writeln!(out, "<li>{}</li>", Text(problem))?;
    }
    writeln!(out, "</ul>")?;
    match summary.problem_count.saturating_sub(LIST_MAX as u64) {
        0 => Ok(()),
        more => writeln!(out, "<p>And {more} more, in <code>--summary FILE</code>.</p>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_log_becomes_markup() {
        for (text, expected) in [
            ("plain", "plain"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload='x' &", "&quot; onload=&#39;x&#39; &amp;"),
            ("\u{1b}[31m\u{202e}", "\\u{1b}[31m\\u{202e}"),
        ] {
            assert_eq!(Text(text).to_string(), expected);
        }
    }

    #[test]
    fn an_empty_hunt_makes_a_page_too() {
        let mut page = Vec::new();
        write(&mut page, &Summary::default(), &Samples::default(), 0).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains("no events") && page.ends_with("</html>\n"), "{page}");
        assert!(!page.contains("<script"));
    }
}
