//! CrowdSec's parser tests: what its parsers read out of each line.
//!
//! A case is a folder: `config.yaml` (log_file, log_type), the log, and `parser.assert` with lines
//! such as `results["s01-parse"]["a/b-logs"][0].Evt.Parsed["user"] == "x"`. Results of a parser
//! stand in the order of the lines that it understood. A line is scored with what the last stage
//! that understood it asserts, all parsers of that stage together.
//!
//! Left out is what says nothing about the event: CrowdSec's own classification and bookkeeping
//! ([`OWN`]), the text or a rest of it ([`TEXT`]), values of nothing ([`NOTHING`]), JSON
//! that was only read (`Unmarshaled`), what is looked up elsewhere (`Enriched`, except the time),
//! and any value that the line does not hold, since CrowdSec made it up. A field with a column
//! ([`COLUMNS`]) must be there; any other may be in any column or attribute.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use pugmark_parse::Parser;
use regex::Regex;

use crate::event::{Event, entries, name, parser, same, shared};
use crate::products::listed;
use crate::score::{Row, Score};
use crate::times::{reads_as, same_instant};

/// Per cent of the asserted fields of listed products that are right; the project's bar is 90.
const BAR_PERCENT: usize = 95;
const FIELDS_MIN: usize = 3000;
const UNPLACED_MAX: usize = 7;

/// The product whose lines a parser reads. What is not here is not listed.
const PARSERS: &[(&str, &str)] = &[
    ("aws-alb", "ELB/ALB"),
    ("aws-cloudtrail", "AWS CloudTrail"),
    ("caddy-logs", "Caddy"),
    ("dovecot-logs", "Dovecot"),
    ("gitlab-logs", "GitLab"),
    ("iptables-logs", "kernel/iptables"),
    ("keycloak-logs", "Keycloak"),
    // Laurel writes the records of auditd as JSON.
    ("laurel-logs", "Linux auditd"),
    ("mikrotik-logs", "MikroTik"),
    ("mongodb-logs", "MongoDB"),
    ("mysql-logs", "MySQL"),
    ("nginx-logs", "nginx"),
    ("nginx-mail-logs", "nginx"),
    ("opnsense-gui-logs", "pfSense/OPNsense"),
    ("palo-alto-threat-log", "Palo Alto"),
    ("pam-logs", "sudo/su/PAM"),
    ("pfsense-gui-logs", "pfSense/OPNsense"),
    ("pgsql-logs", "PostgreSQL"),
    ("postfix-logs", "Postfix"),
    ("sshd-logs", "OpenSSH"),
    ("sshd-success-logs", "OpenSSH"),
    ("supabase-docker-pgsql", "PostgreSQL"),
    ("traefik-logs", "Traefik"),
    ("wireguard-logs", "WireGuard"),
];

/// The product of a case whose lines no parser of a product reads.
const CASES: &[(&str, &str)] = &[
    ("docker-logs", "Docker"),
    ("pfsense-rfc5424-filterlog", "pfSense/OPNsense"),
    ("sshd-logs-fp", "OpenSSH"),
    ("syslog-logs", "OpenSSH"),
    ("windows-logs", "Windows Security"),
];

/// Results of the first stage are scored on their own for what wraps another product's lines.
const WRAPPERS: &[(&str, &str)] = &[("cri-logs", "containerd")];

/// CrowdSec's own words: its classification, its labels and how it got the line.
const OWN: &[&str] = &[
    "Meta.service",
    "Meta.log_type",
    "Meta.log_type_enh",
    "Meta.log_subtype",
    "Meta.log_format",
    "Meta.sub_type",
    "Meta.subtype",
    "Meta.datasource_path",
    "Meta.datasource_type",
    "Parsed.logsource",
    "Parsed.syslog_version",
    // Cut once more from the request, which is judged as a whole.
    "Meta.http_args_len",
    "Parsed.file_dir",
    "Parsed.file_ext",
    "Parsed.file_frag",
    "Parsed.file_name",
    // Of the time, which is judged as an instant.
    "Parsed.zone",
];

/// The text, or what a parser leaves of it.
const TEXT: &[&str] = &[
    "Parsed.message",
    "Parsed.parsed_message",
    "Parsed.kvItems",
    "Parsed.sshd_trail",
    "Parsed.unparsed_data",
];

/// What stands where there is no value.
const NOTHING: &[&str] = &["", "-", "null", "unknown"];

/// The time as CrowdSec understood it, in RFC 3339.
const INSTANTS: &[&str] = &["Meta.timestamp", "Enriched.MarshaledTime"];

/// Names that stand for the time or a part of it.
const TIMES: &[&str] = &[
    "cri_timestamp",
    "date",
    "datetime",
    "day",
    "generation_timestamp",
    "month",
    "syslog_timestamp",
    "time",
    "time_local",
    "time_stamp",
    "timestamp",
    "timestamp8601",
    "year",
];

/// The columns that CrowdSec's names stand for; one of them must hold the value.
const COLUMNS: &[(&[&str], &[&str])] = &[
    (
        &[
            "source_ip",
            "src_ip",
            "remote_addr",
            "remote_ip",
            "client_ip",
            "sshd_client_ip",
            "dovecot_remote_ip",
        ],
        &["source.ip", "source.domain"],
    ),
    (&["source_hostname", "remote_host"], &["source.domain"]),
    (
        &["source_port", "src_port", "remote_port", "client_port", "sshd_client_port"],
        &["source.port"],
    ),
    (
        &[
            "user",
            "username",
            "target_user",
            "remote_user",
            "invalid_user",
            "dovecot_user",
            "sshd_auth_user",
            "sshd_invalid_user",
            "pgsql_target_user",
        ],
        &["user.name", "user.target.name"],
    ),
    (&["user_arn"], &["user.id", "user.name"]),
    (&["dst_ip", "dest_ip", "dovecot_local_ip"], &["destination.ip"]),
    (&["dst_port", "dest_port"], &["destination.port"]),
    (&["target_fqdn"], &["destination.domain", "destination.ip", "url.domain"]),
    (&["proto", "ip_proto"], &["network.transport"]),
    // What came instead of a request has no URL.
    (&["request", "http_path"], &["url.original", "url.path", "http.request.line"]),
    (&["http_args"], &["url.query", "url.original"]),
    (&["verb", "http_verb", "http_method"], &["http.request.method"]),
    (&["http_status", "status", "elb_status_code"], &["http.response.status_code"]),
    (&["http_user_agent", "user_agent"], &["user_agent.original"]),
    (&["http_referer"], &["http.request.referrer"]),
    (&["body_bytes_sent"], &["http.response.body.bytes"]),
    (&["machine", "hostname", "syslog_hostname", "Computer"], &["host.name"]),
    (&["program"], &["process.name"]),
    (&["pid", "PID"], &["process.pid"]),
    (&["EventID"], &["event.code"]),
    (&["Channel"], &["winlog.channel"]),
    (&["Source", "event_source"], &["event.provider"]),
    (&["event_name"], &["event.action"]),
    (&["region"], &["cloud.region"]),
    (&["account_id"], &["cloud.account.id"]),
    (&["rule_name"], &["rule.name"]),
];

static ASSERTION: LazyLock<Regex> = LazyLock::new(|| {
    let text = r#"^results\["([^"]+)"\]\["([^"]+)"\]\[(\d+)\]\.(.+?) == (.*)$"#;
    Regex::new(text).unwrap()
});
static FIELD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^Evt\.(\w+)\["([^"]+)"\](\[4:\])?$"#).unwrap());

/// What one parser asserts of one line.
#[derive(Debug, Default)]
struct Reading {
    fields: BTreeMap<String, String>,
    failed: bool,
}

/// All readings: stage and parser, then the number of the reading.
type Readings = BTreeMap<(String, String), BTreeMap<usize, Reading>>;

fn readings(assertions: &str) -> Readings {
    let mut readings = Readings::new();
    for line in assertions.lines() {
        let Some(parts) = ASSERTION.captures(line.trim()) else { continue };
        let parser = parts[2].rsplit('/').next().unwrap().to_string();
        let reading = readings
            .entry((parts[1].to_string(), parser))
            .or_default()
            .entry(parts[3].parse().unwrap())
            .or_default();
        if &parts[4] == "Success" {
            reading.failed = &parts[5] == "false";
        } else if let Some(field) = FIELD.captures(&parts[4]) {
            let value = unquoted(&parts[5]);
            let key = format!("{}.{}", &field[1], &field[2]);
            // `[4:]` cuts off a year that depends on the day of the test; any year does.
            let cut = field.get(3).is_some() && INSTANTS.contains(&key.as_str());
            let year = if cut { "2000" } else { "" };
            reading.fields.insert(key, format!("{year}{value}"));
        }
    }
    readings.values_mut().for_each(|of_parser| of_parser.retain(|_, reading| !reading.failed));
    readings
}

/// The text of a literal, which is nearly JSON.
fn unquoted(literal: &str) -> String {
    serde_json::from_str(literal).unwrap_or_else(|_| unescaped(literal.trim_matches(['"', '`'])))
}

fn unescaped(text: &str) -> String {
    text.replace(r#"\""#, "\"").replace(r"\n", "\n").replace(r"\t", "\t").replace(r"\\", r"\")
}

/// A log line, as written and as JSON or a literal inside it would be.
struct Line<'a> {
    text: &'a str,
    unescaped: String,
}

impl Line<'_> {
    fn holds(&self, value: &str) -> bool {
        let value = value.trim();
        self.text.contains(value) || self.unescaped.contains(value)
    }
}

/// The lines that a parser's readings belong to: the next that holds the message, else the next
/// that holds most of the values.
fn places(of_parser: &BTreeMap<usize, Reading>, lines: &[Line<'_>]) -> Vec<Option<usize>> {
    let mut next = 0;
    let mut place = |reading: &Reading| {
        let rest = lines.iter().enumerate().skip(next);
        let message = reading.fields.get("Parsed.message");
        let by_message =
            message.and_then(|message| rest.clone().find(|(_, line)| line.holds(message)));
        let found = by_message.map(|(i, _)| i).or_else(|| {
            let held = |line: &Line<'_>| {
                reading.fields.values().filter(|v| v.len() > 2 && line.holds(v)).count()
            };
            let best = rest.map(|(i, line)| (held(line), std::cmp::Reverse(i))).max()?;
            (best.0 > 0).then_some(best.1.0)
        });
        next = found.map_or(next, |i| i + 1);
        found
    };
    of_parser.values().map(&mut place).collect()
}

/// What the stages say of one line.
#[derive(Debug, Default)]
struct Expected {
    stages: BTreeMap<String, BTreeMap<String, String>>,
    parsers: BTreeSet<String>,
    wrapped: Option<(&'static str, BTreeMap<String, String>)>,
}

/// What is asserted of each line, and the number of readings whose line was not found.
fn expected(readings: &Readings, lines: &[Line<'_>]) -> (Vec<Expected>, usize) {
    let mut expected: Vec<Expected> = lines.iter().map(|_| Expected::default()).collect();
    let mut unplaced = 0;
    for ((stage, parser), of_parser) in readings {
        let wrapper = WRAPPERS.iter().find(|(of_parser, _)| of_parser == parser);
        for (reading, place) in of_parser.values().zip(places(of_parser, lines)) {
            let Some(place) = place else {
                unplaced += 1;
                continue;
            };
            let line = &mut expected[place];
            line.parsers.insert(parser.clone());
            if let Some((_, product)) = wrapper {
                line.wrapped = Some((product, reading.fields.clone()));
            }
            line.stages.entry(stage.clone()).or_default().extend(reading.fields.clone());
        }
    }
    // A line that only the first stage understood is no parsed line where others are.
    let parsed = |line: &Expected| line.stages.keys().any(|stage| stage != "s00-raw");
    if expected.iter().any(parsed) {
        for line in expected.iter_mut().filter(|line| !parsed(line)) {
            line.stages.clear();
        }
    }
    (expected, unplaced)
}

fn product<'a>(case: &'a str, parsers: &'a BTreeSet<String>) -> &'a str {
    let of_parser = parsers.iter().find_map(|parser| find(PARSERS, parser));
    let own =
        || parsers.iter().rfind(|parser| !parser.contains("syslog") && !parser.contains("enrich"));
    of_parser.or_else(|| find(CASES, case)).or_else(|| own().map(String::as_str)).unwrap_or(case)
}

fn find<'a>(table: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    table.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

/// Whether our event has a field; `None` for one that says nothing about the event.
fn judge(key: &str, value: &str, case: &Case<'_>, line: &Line<'_>, event: &Event) -> Option<bool> {
    let (kind, name) = key.split_once('.').unwrap();
    // The program of a line without a syslog envelope is the label that the user gave the source.
    let label = name == "program" && case.log_type != "syslog";
    if label || OWN.contains(&key) || TEXT.contains(&key) || NOTHING.contains(&value.trim()) {
        return None;
    }
    if INSTANTS.contains(&key) {
        return Some(same_instant(event.time(), value, line.text));
    }
    if !matches!(kind, "Meta" | "Parsed") {
        return None;
    }
    if TIMES.contains(&name) {
        return Some(reads_as(value, event.time()) || event.holds(value));
    }
    match COLUMNS.iter().find(|(names, _)| names.contains(&name)) {
        Some((_, columns)) => Some(columns.iter().any(|column| fits(&event.text(column), value))),
        None => line.holds(value).then(|| event.holds(value)),
    }
}

/// The same value; or the host before its port; or a part of a URL.
fn fits(got: &str, value: &str) -> bool {
    let host = value.rsplit_once(':').map_or("", |(host, _)| host);
    let of_host = !host.is_empty() && !host.contains('/') && same(got, host);
    same(got, value) || of_host || is_part_of_url(got, value)
}

/// True for the path of a URL, its query, or both.
fn is_part_of_url(url: &str, value: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let Some(start) = rest.find('/') else { return false };
    let (path, query) = rest[start..].split_once('?').unwrap_or((&rest[start..], ""));
    value == &rest[start..] || value == path || (!query.is_empty() && value == query)
}

struct Case<'a> {
    name: &'a str,
    log_type: String,
}

/// `key: value` of a case's configuration.
fn configured<'a>(config: &'a str, key: &str) -> Option<&'a str> {
    let lines = config.lines().filter_map(|line| line.split_once(':'));
    lines.filter(|(name, _)| *name == key).map(|(_, value)| value.trim()).next()
}

/// Scores a case; returns the number of readings whose line was not found.
fn score_case(folder: &Path, parser: &Parser, score: &mut Score<1>) -> usize {
    let read = |name: &str| {
        String::from_utf8_lossy(&std::fs::read(folder.join(name)).unwrap_or_default()).into_owned()
    };
    let config = read("config.yaml");
    let log = configured(&config, "log_file").map_or(String::new(), &read);
    let log_type = configured(&config, "log_type").unwrap_or_default().to_string();
    let case = Case { name: name(folder), log_type };
    let lines: Vec<Line<'_>> = log
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|text| Line { text, unescaped: unescaped(text) })
        .collect();
    let (expected, unplaced) = expected(&readings(&read("parser.assert")), &lines);
    for (line, expected) in lines.iter().zip(&expected) {
        let Some((_, fields)) = expected.stages.last_key_value() else { continue };
        let event = Event::read(parser, line.text, &case.log_type);
        score_line(fields, product(case.name, &expected.parsers), &case, line, &event, score);
        if let Some((product, fields)) = &expected.wrapped {
            score_line(fields, product, &case, line, &event, score);
        }
    }
    unplaced
}

fn score_line(
    fields: &BTreeMap<String, String>,
    product: &str,
    case: &Case<'_>,
    line: &Line<'_>,
    event: &Event,
    score: &mut Score<1>,
) {
    let row = Row { apart: !listed(product), name: product.to_string() };
    for (key, value) in fields {
        // The same time under a second name.
        if key == "Enriched.MarshaledTime" && fields.contains_key("Meta.timestamp") {
            continue;
        }
        let Some(right) = judge(key, value, case, line, event) else { continue };
        score.note(&row, 0, right, case.name, || {
            format!("{key} is {value}\n  line {}\n  got {}", line.text, event.shown())
        });
    }
}

#[test]
fn fields_agree_with_crowdsec() {
    let Some(root) = shared("crowdsec") else { return };
    let parser = parser();
    let mut score = Score::new("crowdsec: fields that are right", ["fields"]);
    let folders = entries(&root);
    let cases = folders.iter().filter(|folder| folder.join("parser.assert").is_file());
    let unplaced: Vec<(&str, usize)> = cases
        .map(|folder| (name(folder), score_case(folder, &parser, &mut score)))
        .filter(|(_, count)| *count > 0)
        .collect();
    score.print();
    #[allow(clippy::print_stderr)] // they are in no row, so that nobody would miss them
    {
        eprintln!("results that belong to no line: {unplaced:?}");
    }
    let [total] = score.total(false);
    let unplaced: usize = unplaced.iter().map(|(_, count)| count).sum();
    assert!(total.asserted >= FIELDS_MIN, "only {} fields were found", total.asserted);
    assert!(total.percent() >= BAR_PERCENT, "{} % of the fields", total.percent());
    assert!(unplaced <= UNPLACED_MAX, "{unplaced} results belong to no line");
}

/// Two lines of one user each, the second of which only the last stage tells the address of.
const ASSERTIONS: &str = r#"
results["s00-raw"]["a/non-syslog"][0].Evt.Parsed["message"] == "one \"root\""
results["s01-parse"]["a/sshd-logs"][0].Success == false
results["s01-parse"]["a/sshd-logs"][1].Success == true
results["s01-parse"]["a/sshd-logs"][1].Evt.Parsed["message"] == "two"
results["s02-enrich"]["a/dates"][0].Evt.Parsed["message"] == "two"
results["s02-enrich"]["a/dates"][0].Evt.Meta["timestamp"][4:] == "-11-23T09:58:01Z"
"#;

#[test]
fn the_last_stage_of_a_line_is_what_counts() {
    let lines = ["one \"root\"", "a two"].map(|text| Line { text, unescaped: unescaped(text) });
    let (expected, unplaced) = expected(&readings(ASSERTIONS), &lines);
    assert_eq!(unplaced, 0);
    assert!(expected[0].stages.is_empty());
    let (stage, fields) = expected[1].stages.last_key_value().unwrap();
    assert_eq!(
        (stage.as_str(), &*fields["Meta.timestamp"]),
        ("s02-enrich", "2000-11-23T09:58:01Z")
    );
    assert_eq!(product("case", &expected[1].parsers), "OpenSSH");
}

#[test]
fn a_field_is_judged_by_its_column() {
    let text =
        "Nov 23 09:58:01 web1 sshd[812]: Failed password for root from 192.0.2.1 port 9 ssh2";
    let line = Line { text, unescaped: unescaped(text) };
    let case = Case { name: "case", log_type: "syslog".to_string() };
    let event = Event::read(&parser(), text, "sshd");
    for (key, value, expected) in [
        ("Meta.source_ip", "192.0.2.1", Some(true)),
        ("Meta.target_user", "root", Some(true)),
        ("Meta.target_user", "web1", Some(false)),
        ("Meta.timestamp", "2000-11-23T09:58:01Z", Some(true)),
        ("Parsed.timestamp", "Nov 23 09:58:02", Some(false)),
        ("Parsed.method", "password", Some(true)),
        ("Parsed.method", "passw", Some(false)),
        ("Meta.method", "made up", None),
        ("Meta.service", "ssh", None),
        ("Parsed.message", text, None),
        ("Parsed.user", "-", None),
    ] {
        assert_eq!(judge(key, value, &case, &line, &event), expected, "{key} {value}");
    }
}

#[test]
fn urls_and_hosts_fit_in_part() {
    for (got, value, expected) in [
        ("http://a.example:80/b?c", "/b", true),
        ("http://a.example:80/b?c", "/b?c", true),
        ("/b?c", "/c", false),
        ("a.example", "a.example:80", true),
        ("", "/", false),
        ("", ":80", false),
    ] {
        assert_eq!(fits(got, value), expected, "{got} {value}");
    }
}
