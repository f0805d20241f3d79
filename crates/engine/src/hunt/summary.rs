//! What a hunt saw, folded batch by batch: how much of what, when, who and where. Its size does not
//! grow with the evidence; every list says when it had no more room.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, StringArray};
use pugmark_detect::{Detection, RuleInfo};
use pugmark_event::fields;
use pugmark_event::time::Micros;
use pugmark_event::{Batch, FieldId, Severity};

use super::bounded::Bounded;
use super::logons::{Columns, Logon, LogonCounts};

/// Computers, and users, that are told apart.
const NAMES_MAX: usize = 10_000;
/// Combinations of user, host, source and type that are told apart.
const LOGONS_MAX: usize = 20_000;
/// Files that are listed by name.
const FILES_MAX: usize = 10_000;
/// Problems that are kept in words.
const PROBLEMS_MAX: usize = 1000;
/// Longest name of a user or a computer, in bytes; real ones have at most 256.
const NAME_BYTES_MAX: usize = 512;

/// How often, from when to when, in event time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// How many.
    pub count: u64,
    /// The first time; `None` when there was nothing.
    pub first: Option<Micros>,
    /// The last time.
    pub last: Option<Micros>,
}

impl Span {
    /// Something at this time.
    pub fn at(time: Micros) -> Self {
        Self { count: 1, first: Some(time), last: Some(time) }
    }

    /// Takes in what another span counted.
    pub fn add(&mut self, other: &Span) {
        self.count += other.count;
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.max(other.last);
    }
}

/// What a file held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSeen {
    /// Records read.
    pub records: u64,
    /// Bytes of those records.
    pub bytes: u64,
    /// Records that no format understood.
    pub not_understood: u64,
    /// Reports of what could not be read.
    pub problems: u64,
}

impl FileSeen {
    fn add(&mut self, other: &FileSeen) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.not_understood += other.not_understood;
        self.problems += other.problems;
    }
}

/// A rule that fired.
#[derive(Debug, Clone)]
pub struct RuleSeen {
    /// The rule.
    pub rule: Arc<RuleInfo>,
    /// How often and when.
    pub span: Span,
}

/// What a hunt saw.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Files read.
    pub files: u64,
    /// What all of them held.
    pub total: FileSeen,
    /// What each of them held.
    pub by_file: Bounded<String, FileSeen>,
    /// From when to when the events are.
    pub span: Span,
    /// Findings by level.
    pub levels: BTreeMap<Severity, u64>,
    /// Rules that fired, by id.
    pub rules: BTreeMap<String, RuleSeen>,
    /// Computers that events happened on.
    pub computers: Bounded<String, Span>,
    /// Users who acted or were acted on.
    pub users: Bounded<String, Span>,
    /// Logons.
    pub logons: Bounded<Logon, LogonCounts>,
    /// What could not be read, the first 1000 in words.
    pub problems: Vec<String>,
    /// How many problems there were.
    pub problem_count: u64,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            files: 0,
            total: FileSeen::default(),
            by_file: Bounded::new(FILES_MAX),
            span: Span::default(),
            levels: BTreeMap::new(),
            rules: BTreeMap::new(),
            computers: Bounded::new(NAMES_MAX),
            users: Bounded::new(NAMES_MAX),
            logons: Bounded::new(LOGONS_MAX),
            problems: Vec::new(),
            problem_count: 0,
        }
    }
}

impl Summary {
    /// Adds the events of a batch.
    pub fn batch(&mut self, batch: &Batch) {
        let times = batch.event_times();
        // A record without a time of its own has that of the hunt: no time of the evidence.
        let own = times.iter().zip(batch.received_times()).filter(|(at, now)| at != now);
        let own = || own.clone().map(|(at, _)| *at);
        let span = Span { count: times.len() as u64, first: own().min(), last: own().max() };
        self.span.add(&span);
        count(batch, fields::HOST_NAME, None, &mut self.computers);
        count(batch, fields::USER_NAME, Some(fields::USER_DOMAIN), &mut self.users);
        count(batch, fields::USER_TARGET_NAME, Some(fields::USER_TARGET_DOMAIN), &mut self.users);
        let Some(columns) = Columns::of(batch) else { return };
        for (row, time) in times.iter().enumerate() {
            if let Some((logon, counts)) = columns.logon(row, *time)
                && let Some(own) = self.logons.entry(&logon)
            {
                own.add(&counts);
            }
        }
    }

    /// Adds a finding.
    pub fn detection(&mut self, detection: &Detection) {
        let rule = &detection.rule;
        *self.levels.entry(rule.level).or_default() += 1;
        let at = Span::at(detection.time);
        match self.rules.get_mut(&rule.id) {
            Some(seen) => seen.span.add(&at),
            None => {
                let seen = RuleSeen { rule: rule.clone(), span: at };
                self.rules.insert(rule.id.clone(), seen);
            }
        }
    }

    /// Adds a file that was read to its end.
    pub fn file(&mut self, name: &str, seen: FileSeen) {
        self.files += 1;
        self.total.add(&seen);
        if let Some(own) = self.by_file.entry(name) {
            own.add(&seen);
        }
    }

    /// Adds something that could not be read.
    pub fn problem(&mut self, problem: String) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    /// Takes in what another summary holds.
    pub fn merge(&mut self, other: Summary) {
        self.files += other.files;
        self.total.add(&other.total);
        self.span.add(&other.span);
        self.by_file.merge(other.by_file, |own, more| own.add(&more));
        self.computers.merge(other.computers, |own, more| own.add(&more));
        self.users.merge(other.users, |own, more| own.add(&more));
        self.logons.merge(other.logons, |own, more| own.add(&more));
        for (level, count) in other.levels {
            *self.levels.entry(level).or_default() += count;
        }
        for (id, seen) in other.rules {
            match self.rules.get_mut(&id) {
                Some(own) => own.span.add(&seen.span),
                None => drop(self.rules.insert(id, seen)),
            }
        }
        let room = PROBLEMS_MAX - self.problems.len();
        self.problems.extend(other.problems.into_iter().take(room));
        self.problem_count += other.problem_count;
    }

    /// Findings, all levels together.
    pub fn findings(&self) -> u64 {
        self.levels.values().sum()
    }

    /// The rules that fired: worst level first, then the most frequent.
    pub fn top_rules(&self) -> Vec<&RuleSeen> {
        let mut rules: Vec<_> = self.rules.values().collect();
        rules.sort_by_key(|seen| std::cmp::Reverse((seen.rule.level, seen.span.count)));
        rules
    }

    /// Findings by ATT&CK technique, such as `T1059.001`.
    pub fn techniques(&self) -> BTreeMap<String, Span> {
        let is_id = |tag: &&str| {
            tag.strip_prefix('t').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        self.by_tag(|tag| Some(tag).filter(is_id).map(str::to_ascii_uppercase))
    }

    /// Findings by ATT&CK tactic, such as `credential-access`.
    pub fn tactics(&self) -> BTreeMap<String, Span> {
        // The other tags under `attack.` are ids: techniques, groups, software.
        let is_name = |tag: &&str| !tag.contains(|c: char| c.is_ascii_digit());
        self.by_tag(|tag| Some(tag).filter(is_name).map(|tag| tag.replace('_', "-")))
    }

    fn by_tag(&self, name: impl Fn(&str) -> Option<String>) -> BTreeMap<String, Span> {
        let mut spans: BTreeMap<String, Span> = BTreeMap::new();
        for seen in self.rules.values() {
            let tags = seen.rule.tags.iter().filter_map(|tag| tag.strip_prefix("attack."));
            // A rule that names one tag twice still fired once.
            for name in tags.filter_map(&name).collect::<std::collections::BTreeSet<_>>() {
                spans.entry(name).or_default().add(&seen.span);
            }
        }
        spans
    }
}

/// Counts the names of a column, each with the domain beside it.
fn count(batch: &Batch, name: FieldId, domain: Option<FieldId>, into: &mut Bounded<String, Span>) {
    let Some(names) = batch.text(name) else { return };
    let domains = domain.and_then(|domain| batch.text(domain));
    let at = |row| Some((text(names, row)?, domains.and_then(|domains| text(domains, row))));
    let times = batch.event_times();
    let mut row = 0;
    // Neighbours mostly say the same.
    while row < times.len() {
        let first = row;
        let key = at(first);
        let mut span = Span::default();
        while row < times.len() && at(row) == key {
            span.add(&Span::at(times[row]));
            row += 1;
        }
        let Some((name, domain)) = key else { continue };
        if let Some(own) = into.entry(&user(name, domain)) {
            own.add(&span);
        }
    }
}

/// A value that says something: neither null nor empty nor the dash of Windows.
pub(super) fn text(column: &StringArray, row: usize) -> Option<&str> {
    Some(column)
        .filter(|c| c.is_valid(row))
        .map(|c| c.value(row))
        .filter(|v| !matches!(*v, "" | "-"))
}

/// `DOMAIN\name`, unless the name says its domain itself.
pub(super) fn user(name: &str, domain: Option<&str>) -> String {
    let mut user = match domain {
        Some(domain) if !name.contains(['\\', '@']) => format!("{domain}\\{name}"),
        _ => name.to_string(),
    };
    user.truncate(user.floor_char_boundary(NAME_BYTES_MAX));
    user
}

#[cfg(test)]
mod tests {
    use pugmark_parse::{Input, Parser};

    use super::*;

    fn seen(records: &[&str]) -> Summary {
        let records = records.iter().map(|r| r.as_bytes()).collect();
        let input = Input {
            source: "t",
            records: &records,
            first_id: 1,
            received: 1_795_428_000_000_000,
            format: None,
        };
        let mut summary = Summary::default();
        summary.batch(&Parser::builtin().unwrap().parse(&input));
        summary
    }

    /// Successes, failures, attempts, privileged.
    #[track_caller]
    fn check(records: &[&str], key: [&str; 4], expected: [u64; 4]) {
        let summary = seen(records);
        let all: Vec<_> = summary.logons.iter().collect();
        let [(logon, counts)] = all[..] else { panic!("{all:?}") };
        assert_eq!([&*logon.user, &*logon.host, &*logon.source, &*logon.kind], key);
        let LogonCounts { successes, failures, attempts, privileged, .. } = *counts;
        assert_eq!([successes, failures, attempts, privileged], expected);
    }

    /// A Security event of Windows.
    fn windows(id: u32, more: &str) -> String {
        format!(
            "{{\"EventID\":{id},\"Channel\":\"Security\",\"Computer\":\"ws1\",\
             \"TimeCreated\":\"2026-11-23T09:58:01Z\",{more}}}"
        )
    }

    #[test]
    fn logons_are_counted_by_who_where_whence_and_how() {
        let anna = "\"TargetUserName\":\"anna\",\"TargetDomainName\":\"CORP\",\
                    \"SubjectUserName\":\"WS1$\",\"LogonType\":\"10\",\"IpAddress\":\"192.0.2.9\"";
        let key = ["CORP\\anna", "ws1", "192.0.2.9", "remote interactive (10)"];
        let (good, bad) = (windows(4624, anna), windows(4625, anna));
        check(&[&good, &bad, &bad], key, [1, 2, 0, 0]);
        let local = "\"TargetUserName\":\"anna\",\"SubjectUserName\":\"bob\",\"IpAddress\":\"-\"";
        check(&[&windows(4648, local)], ["anna", "ws1", "", "other credentials"], [0, 0, 1, 0]);
        let root = "\"SubjectUserName\":\"root\",\"SubjectDomainName\":\"CORP\"";
        check(
            &[&windows(4672, root)],
            ["CORP\\root", "ws1", "", "special privileges"],
            [0, 0, 0, 1],
        );
        let failed =
            "Nov 23 10:00:01 web1 sshd[8]: Failed password for root from 203.0.113.7 port 4 ssh2";
        check(&[failed], ["root", "web1", "203.0.113.7", "ssh_login"], [0, 1, 0, 0]);
        for other in [windows(4634, anna), windows(4769, anna), windows(4688, anna)] {
            assert!(seen(&[&other]).logons.is_empty(), "{other}");
        }
    }

    #[test]
    fn computers_and_users_have_counts_and_times() {
        let record = |time: &str, host: &str| {
            format!(
                "{{\"EventID\":4688,\"Channel\":\"Security\",\"Computer\":\"{host}\",\
                 \"TimeCreated\":\"2026-11-23T{time}Z\",\"SubjectUserName\":\"anna\"}}"
            )
        };
        let records = [record("10:00:02", "a"), record("10:00:01", "a"), record("10:00:03", "b")];
        let mut summary = seen(&records.each_ref().map(String::as_str));
        summary.merge(seen(&[&record("10:00:09", "a")]));
        let second = |span: &Span| (span.last.unwrap() - span.first.unwrap()) / 1_000_000;
        let computers: Vec<_> =
            summary.computers.iter().map(|(k, v)| (k.as_str(), v.count, second(v))).collect();
        assert_eq!(computers, [("a", 3, 8), ("b", 1, 0)]);
        let users: Vec<_> = summary.users.iter().map(|(k, v)| (k.as_str(), v.count)).collect();
        assert_eq!(users, [("anna", 4)]);
        summary.merge(seen(&["no time at all"]));
        assert_eq!((summary.span.count, second(&summary.span)), (5, 8));
    }
}
