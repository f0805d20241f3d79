//! fail2ban's filter tests. Before each line stands `# failJSON: {time, match, host}`: what a
//! filter must read out of it and whether it counts as a failure.
//!
//! Three parts are asserted, each only where the JSON says something that the line itself can tell:
//!
//! - time: where the JSON has one. It is local time without a zone; a line that names its zone is
//!   compared as the local time of Zurich, where fail2ban runs its tests.
//! - failure: `match` true is `event.outcome` failure. `match` false is any other outcome, or no
//!   source. Not asserted where the JSON holds under a `constraint` of the filter's options (the
//!   line is the same, its meaning is not), or where the host stands in an earlier line, since
//!   then that line makes it a failure.
//! - host: `match` true and the host stands in the line. It must be `source.ip` or `source.domain`.
//!
//! `match` false stays asserted where fail2ban's only reason is bookkeeping, such as a failed key
//! before an accepted one: the JSON does not say so, and nothing here may guess it.

use pugmark_event::time::HOUR;
use serde_json::Value;

use crate::event::{Event, entries, name, parser, same, shared};
use crate::products::listed;
use crate::score::{Row, Score};
use crate::times::{has_zone, same_second};

/// Per cent of the listed products' lines of which all parts are right; the project's bar is 90.
const BAR_PERCENT: usize = 86;
const LINES_MIN: usize = 500;

const PARTS: [&str; 4] = ["all parts", "time", "failure", "host"];
const ALL: usize = 0;
const TIME: usize = 1;
const FAILURE: usize = 2;
const HOST: usize = 3;

/// Zurich's hours before UTC, winter and summer.
const ZURICH_HOURS: [i64; 2] = [1, 2];

/// Which product writes the lines of a file. What is not here is not listed.
const FILES: &[(&str, &str)] = &[
    ("apache-auth", "Apache"),
    ("apache-fakegooglebot", "Apache"),
    ("apache-nohome", "Apache"),
    ("apache-pass", "Apache"),
    ("apache-shellshock", "Apache"),
    ("dovecot", "Dovecot"),
    ("haproxy-http-auth", "HAProxy"),
    ("mongodb-auth", "MongoDB"),
    ("mysqld-auth", "MySQL"),
    ("nginx-bad-request", "nginx"),
    ("nginx-botsearch", "nginx"),
    ("nginx-forbidden", "nginx"),
    ("nginx-http-auth", "nginx"),
    ("nginx-limit-req", "nginx"),
    ("pam-generic", "sudo/su/PAM"),
    ("php-url-fopen", "Apache"),
    ("postfix", "Postfix"),
    // `type=USER_LOGIN msg=audit(...)`: what sshd told the audit system.
    ("selinux-ssh", "Linux auditd"),
    ("squid", "Squid"),
    ("sshd", "OpenSSH"),
    ("sshd-journal", "OpenSSH"),
];

/// A line and the JSON before it.
fn cases(text: &str) -> Vec<(Value, &str)> {
    let mut cases = Vec::new();
    let mut pending: Option<Value> = None;
    for line in text.lines() {
        if let Some((_, json)) = line.split_once("failJSON:").filter(|_| line.starts_with('#')) {
            pending = serde_json::from_str(json.trim()).ok();
        } else if !line.starts_with('#') {
            cases.extend(pending.take().map(|expected| (expected, line)));
        }
    }
    cases
}

/// What the line must give, part by part; `None` where nothing is asserted.
fn judge(expected: &Value, line: &str, event: &Event) -> [Option<bool>; 4] {
    let matches = expected["match"] == true;
    let host = expected["host"].as_str().unwrap_or_default();
    let named = line.to_lowercase().contains(&host.to_lowercase());
    let sources = [event.text("source.ip"), event.text("source.domain")];
    let failure = event.text("event.outcome") == "failure";
    let sourceless = sources.iter().all(String::is_empty);
    let optional = expected["constraint"].as_str().is_some_and(|c| c.contains("opts"));
    let own = !optional && (!matches || named);
    let parts = [
        expected["time"].as_str().map(|time| time_is(time, line, event)),
        own.then_some(if matches { failure } else { !failure || sourceless }),
        (matches && named && !host.is_empty())
            .then(|| sources.iter().any(|source| same(source, host))),
    ];
    let [time, failure, host] = parts;
    let all = parts.iter().flatten().next().map(|_| parts.iter().flatten().all(|right| *right));
    [all, time, failure, host]
}

fn time_is(expected: &str, line: &str, event: &Event) -> bool {
    let shifted = |hours: &i64| same_second(event.time() + hours * HOUR, expected, line);
    same_second(event.time(), expected, line)
        || (has_zone(line) && ZURICH_HOURS.iter().any(shifted))
}

/// Counts the parts; a miss is told once, with the names of the parts that are wrong.
fn score_line(
    row: &Row,
    file: &str,
    judged: [Option<bool>; 4],
    score: &mut Score<4>,
    miss: impl Fn() -> String,
) {
    let wrong: Vec<&str> =
        (TIME..=HOST).filter(|part| judged[*part] == Some(false)).map(|part| PARTS[part]).collect();
    for (part, right) in judged.iter().enumerate() {
        let told = || format!("{} wrong: {}", wrong.join(", "), miss());
        let Some(right) = right else { continue };
        score.note(row, part, *right, file, || if part == ALL { told() } else { String::new() });
    }
}

#[test]
fn failures_agree_with_fail2ban() {
    let Some(root) = shared("fail2ban") else { return };
    let parser = parser();
    let mut score = Score::new("fail2ban: lines of which all parts are right", PARTS);
    for path in entries(&root).iter().filter(|path| path.is_file()) {
        let file = name(path);
        let product =
            FILES.iter().find(|(of_file, _)| *of_file == file).map(|(_, product)| product);
        assert!(product.is_none_or(|product| listed(product)), "{file}");
        let row = Row {
            apart: product.is_none(),
            name: product.map_or(file.to_string(), |product| format!("{product}: {file}")),
        };
        for (expected, line) in cases(&String::from_utf8_lossy(&std::fs::read(path).unwrap())) {
            // A filter is told which file to read, so the packs are told the file's name.
            let event = Event::read(&parser, line, file);
            score_line(&row, file, judge(&expected, line, &event), &mut score, || {
                format!("{line}\n  expected {expected}\n  got {}", event.shown())
            });
        }
    }
    score.print();
    let all = score.total(false)[ALL];
    assert!(all.asserted >= LINES_MIN, "only {} lines were found", all.asserted);
    assert!(all.percent() >= BAR_PERCENT, "{} % of the lines", all.percent());
}

#[test]
fn a_part_is_asserted_where_the_line_can_tell_it() {
    let parser = parser();
    let line =
        "Nov 23 09:58:01 web1 sshd[812]: Failed password for root from 192.0.2.1 port 9 ssh2";
    let event = Event::read(&parser, line, "sshd");
    for (json, expected) in [
        (
            r#"{"time": "2005-11-23T09:58:01", "match": true, "host": "192.0.2.1"}"#,
            [Some(true), Some(true), Some(true), Some(true)],
        ),
        (
            r#"{"time": "2005-11-23T09:58:02", "match": false}"#,
            [Some(false), Some(false), Some(false), None],
        ),
        (r#"{"match": true, "host": "192.0.2.9"}"#, [None, None, None, None]),
        (r#"{"match": false, "constraint": "opts.get('mode')"}"#, [None, None, None, None]),
    ] {
        let judged = judge(&serde_json::from_str(json).unwrap(), line, &event);
        assert_eq!(judged, expected, "{json}");
        assert_eq!([judged[TIME], judged[FAILURE], judged[HOST]], expected[1..]);
    }
}
