//! Other projects' test lines: how often we read the same out of them. Each threshold is what was
//! reached when it was written, rounded down; a change that falls below it has lost something.

use std::path::{Path, PathBuf};

use pugmark_event::time::Micros;
use pugmark_event::{Batch, FieldId, Records, fields};
use pugmark_parse::{Input, Parser};

const SHARED: &str = concat!(env!("WORKSPACE_ROOT"), "../shared/data/parsers");
const RECEIVED: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(SHARED).join(path);
    if !path.exists() {
        #[allow(clippy::print_stderr)] // the only way a test can say that it did nothing
        {
            eprintln!("skipped: ../shared is absent");
        }
        return None;
    }
    Some(path)
}

fn parse(parser: &Parser, line: &str, source: &str) -> Batch {
    let records: Records = [line.as_bytes()].into_iter().collect();
    let input = Input { source, records: &records, first_id: 1, received: RECEIVED, format: None };
    parser.parse(&input)
}

fn text(batch: &Batch, field: FieldId) -> &str {
    batch.text(field).map_or("", |column| column.value(0))
}

/// Counts agreement and keeps the lines where there was none, for the message of a failure.
#[derive(Default)]
struct Score {
    right: usize,
    wrong: Vec<String>,
}

impl Score {
    fn note(&mut self, agrees: bool, line: &str) {
        if agrees {
            self.right += 1;
        } else {
            self.wrong.push(line.to_string());
        }
    }

    #[track_caller]
    fn expect(&self, count_min: usize, percent_min: usize) {
        let count = self.right + self.wrong.len();
        let percent = self.right * 100 / count.max(1);
        let wrong = self.wrong.join("\n");
        assert!(count >= count_min, "only {count} lines were found");
        assert!(percent >= percent_min, "{percent} % of {count} lines agree; not:\n{wrong}");
    }
}

/// fail2ban's lines say, in a comment before each, which host must be found in it.
#[test]
fn sshd_hosts_agree_with_fail2ban() {
    let Some(path) = shared("fail2ban/sshd") else { return };
    let parser = Parser::builtin().unwrap();
    let mut score = Score::default();
    let mut expected: Option<serde_json::Value> = None;
    for line in std::fs::read_to_string(path).unwrap().lines() {
        if let Some((_, json)) = line.split_once("failJSON:") {
            expected = serde_json::from_str(json.trim()).ok();
        } else if let Some(expected) = expected.take().filter(|e| e["match"] == true) {
            // Lines that go on in the next record name no host themselves.
            let Some(host) = expected["host"].as_str().filter(|host| line.contains(host)) else {
                continue;
            };
            let batch = parse(&parser, line, "sshd");
            let canonical =
                host.parse::<std::net::IpAddr>().map_or(host.to_string(), |a| a.to_string());
            let found = [text(&batch, fields::SOURCE_IP), text(&batch, fields::SOURCE_HOST)];
            score.note(found.contains(&canonical.as_str()), line);
        }
    }
    score.expect(97, 96);
}

/// The values that CrowdSec's assertions give for each line of a parser: (message, key, value).
fn assertions(path: &Path, parser: &str) -> Vec<std::collections::BTreeMap<String, String>> {
    let start = format!("results[\"s01-parse\"][\"{parser}\"][");
    let mut rows: std::collections::BTreeMap<usize, std::collections::BTreeMap<String, String>> =
        Default::default();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let Some(rest) = line.strip_prefix(&start) else { continue };
        let Some((index, rest)) = rest.split_once("].Evt.") else { continue };
        let Some((key, value)) = rest.split_once("\"] == ") else { continue };
        let value: String = serde_json::from_str(value).unwrap_or_else(|_| value.to_string());
        rows.entry(index.parse().unwrap()).or_default().insert(key.replace("[\"", "."), value);
    }
    rows.into_values().collect()
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.join("parser.assert").is_file());
    paths
}

#[test]
fn sshd_users_and_addresses_agree_with_crowdsec() {
    let Some(root) = shared("crowdsec") else { return };
    let parser = Parser::builtin().unwrap();
    let mut score = Score::default();
    for folder in folders(&root) {
        for row in assertions(&folder.join("parser.assert"), "crowdsecurity/sshd-logs") {
            let (Some(message), Some(address)) =
                (row.get("Parsed.message"), row.get("Meta.source_ip"))
            else {
                continue;
            };
            let line = format!("Nov 23 09:58:01 web1 sshd[812]: {message}");
            let batch = parse(&parser, &line, "sshd");
            let user = row.get("Meta.target_user").map_or("", |u| u.trim());
            let agrees = text(&batch, fields::SOURCE_IP) == address
                && (user.is_empty() || text(&batch, fields::USER_NAME) == user);
            score.note(agrees, &format!("{user} {address} <- {line}"));
        }
    }
    score.expect(46, 100);
}

#[test]
fn access_lines_agree_with_crowdsec() {
    let Some(root) = shared("crowdsec") else { return };
    let parser = Parser::builtin().unwrap();
    let mut score = Score::default();
    for folder in folders(&root) {
        for name in ["nginx-logs", "apache2-logs"] {
            let assertions =
                assertions(&folder.join("parser.assert"), &format!("crowdsecurity/{name}"));
            for row in assertions {
                let access = row.get("Meta.log_type").is_some_and(|t| t == "http_access-log");
                let Some(message) = row.get("Parsed.message").filter(|_| access) else { continue };
                let batch = parse(&parser, message, name);
                let status = batch.long(fields::HTTP_STATUS).map(|c| c.value(0).to_string());
                let get = |key: &str| row.get(key).map_or("", String::as_str);
                let source = [text(&batch, fields::SOURCE_IP), text(&batch, fields::SOURCE_HOST)];
                let agrees = source.contains(&get("Meta.source_ip"))
                    && status.unwrap_or_default() == get("Meta.http_status")
                    && text(&batch, fields::USER_AGENT)
                        == get("Meta.http_user_agent").trim_matches('-')
                    && text(&batch, fields::HTTP_METHOD) == get("Meta.http_verb");
                score.note(agrees, &format!("{row:?}"));
            }
        }
    }
    score.expect(62, 90);
}

/// Lines of products that have no pack: everything is kept, nothing panics.
#[test]
fn every_line_of_other_projects_is_kept() {
    let Some(root) = shared("") else { return };
    let parser = Parser::builtin().unwrap();
    let mut pending = vec![root];
    let mut count = 0;
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let records = pugmark_parse::frame::body(std::fs::read(path).unwrap());
        let input = Input {
            source: "other",
            records: &records,
            first_id: 1,
            received: RECEIVED,
            format: None,
        };
        let batch = parser.parse(&input);
        assert_eq!(batch.rows(), records.len());
        count += batch.rows();
        for (row, record) in records.iter().enumerate() {
            assert_eq!(batch.original(row), record);
        }
    }
    assert!(count > 10_000, "{count}");
}
