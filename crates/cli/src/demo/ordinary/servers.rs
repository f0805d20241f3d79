//! Linux servers: scheduled jobs, administrators at work, releases of the shop, the backup.

use super::super::company::{APP, DATABASE, LINUX, PEOPLE, Person, Server, WEB};
use super::super::lines::{Priority, arguments, audit, syslog};
use super::super::random::Random;
use super::super::{DAY, Day, HOUR, MINUTE, SECOND};
use super::browse;

const ADMINISTRATION: &[&[&str]] = &[
    &["/usr/bin/apt", "update"],
    &["/usr/bin/systemctl", "status", "nginx"],
    &["/usr/bin/tail", "-n", "200", "/var/log/nginx/error.log"],
    &["/usr/bin/journalctl", "-u", "shop", "--since", "today"],
    &["/usr/bin/systemctl", "reload", "nginx"],
    &["/usr/bin/df", "-h"],
];
const JOBS: &[(&str, i64)] = &[
    ("/usr/local/bin/report-load --quiet", 5),
    ("test -x /usr/sbin/anacron || run-parts --report /etc/cron.hourly", 60),
    ("/usr/local/bin/rotate-sessions", 30),
];

/// Writes the day of the Linux servers.
pub(super) fn write(day: &mut Day, random: &mut Random) {
    for server in LINUX {
        jobs(day, random, server);
        let mut at = random.between(0, 10 * MINUTE);
        while at < DAY {
            browse(day, random, at, server.1);
            at += random.between(6 * MINUTE, 20 * MINUTE);
        }
    }
    for person in PEOPLE.iter().filter(|p| p.administrator) {
        for _ in 0..random.between(9, 14) {
            let at = person.from * HOUR + random.between(0, person.hours * HOUR);
            let server = random.pick(LINUX);
            administration(day, random, person, server, at);
        }
    }
    for release in 0..6 {
        release_of_shop(day, random, 9 * HOUR + release * 95 * MINUTE);
    }
    backup(day, random);
}

fn login_line(day: &mut Day, at: i64, server: &Server, tag: &str, pid: i64, text: &str) {
    let priority = if tag == "sudo" { Priority::Sudo } else { Priority::Login };
    day.add(at, "linux", |t| syslog(t, priority, server.0, tag, pid, text));
}

fn jobs(day: &mut Day, random: &mut Random, server: &Server) {
    for (command, minutes) in JOBS {
        for at in (0..DAY).step_by((minutes * MINUTE) as usize) {
            let pid = random.between(2_000, 60_000);
            let at = at + SECOND + random.between(0, 40_000);
            let open = "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)";
            login_line(day, at, server, "CRON", pid, open);
            let text = format!("(root) CMD ({command})");
            day.add(at + 900, "linux", |t| {
                syslog(t, Priority::Cron, server.0, "CRON", pid + 1, &text)
            });
            let words = ["/bin/sh", "-c", command];
            execution(day, at + 2_000, server, pid, &words, "root", "4294967295");
        }
    }
}

/// An administrator logs in with a key, runs a few commands as root and leaves.
fn administration(day: &mut Day, random: &mut Random, person: &Person, server: &Server, at: i64) {
    let pid = random.between(2_000, 60_000);
    let (user, port) = (person.user, random.between(49_152, 65_536));
    open_session(day, at, server, pid, user, person.address, port);
    let mut now = at;
    for _ in 0..random.between(1, 5) {
        now += random.between(15, 300) * SECOND;
        let command = random.favour(ADMINISTRATION);
        let text = format!(
            "{user:>8} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND={}",
            command.join(" ")
        );
        login_line(day, now, server, "sudo", 0, &text);
        let serial = random.between(10_000, 900_000);
        execution(day, now + 3_000, server, serial, command, "root", "1001");
    }
    let text = format!("pam_unix(sshd:session): session closed for user {user}");
    login_line(day, now + 40 * SECOND, server, "sshd", pid, &text);
}

fn open_session(
    day: &mut Day,
    at: i64,
    server: &Server,
    pid: i64,
    user: &str,
    address: &str,
    port: i64,
) {
    let text = format!(
        "Accepted publickey for {user} from {address} port {port} ssh2: ED25519 \
         SHA256:4hP0uUuVqk0v3b1y6QmTn2Zr8sXcJdLwEaGfKiRo5Bg"
    );
    login_line(day, at, server, "sshd", pid, &text);
    let text =
        format!("pam_unix(sshd:session): session opened for user {user}(uid=1001) by (uid=0)");
    login_line(day, at + 20_000, server, "sshd", pid, &text);
}

/// What the audit system writes about one started program.
fn execution(
    day: &mut Day,
    at: i64,
    server: &Server,
    serial: i64,
    words: &[&str],
    user: &str,
    login: &str,
) {
    let exe = words.first().copied().unwrap_or_default();
    let name = exe.rsplit('/').next().unwrap_or(exe);
    day.add(at, "auditd", |t| {
        let rest = format!(
            "arch=c000003e syscall=59 success=yes exit=0 items=2 ppid=1802 pid={serial} \
             auid={login} uid=0 gid=0 tty=pts0 ses=14 comm=\"{name}\" exe=\"{exe}\" key=\"exec\" \
             UID=\"{user}\""
        );
        audit(t, server.0, "SYSCALL", serial, &rest)
    });
    day.add(at, "auditd", |t| audit(t, server.0, "EXECVE", serial, &arguments(words)));
}

/// The build host puts a new version on the web server.
fn release_of_shop(day: &mut Day, random: &mut Random, at: i64) {
    let at = at + random.between(0, 20 * MINUTE);
    let pid = random.between(2_000, 60_000);
    open_session(day, at, &WEB, pid, "deploy", APP.1, random.between(49_152, 65_536));
    let words = ["/usr/bin/systemctl", "restart", "shop"];
    let text = format!(
        "  deploy : TTY=unknown ; PWD=/home/deploy ; USER=root ; COMMAND={}",
        words.join(" ")
    );
    login_line(day, at + 8 * SECOND, &WEB, "sudo", 0, &text);
    let serial = random.between(10_000, 900_000);
    execution(day, at + 8 * SECOND + 3_000, &WEB, serial, &words, "root", "1004");
    let text = "pam_unix(sshd:session): session closed for user deploy";
    login_line(day, at + 15 * SECOND, &WEB, "sshd", pid, text);
}

/// The nightly backup of the database, which no rule should mind.
fn backup(day: &mut Day, random: &mut Random) {
    let at = HOUR + 30 * MINUTE;
    let pid = random.between(2_000, 60_000);
    let text = "(postgres) CMD (pg_dump -Fc -f /srv/backup/shop.dump shop)";
    day.add(at, "linux", |t| syslog(t, Priority::Cron, DATABASE.0, "CRON", pid, text));
    let words = ["/usr/bin/pg_dump", "-Fc", "-f", "/srv/backup/shop.dump", "shop"];
    execution(day, at + 50_000, &DATABASE, pid, &words, "postgres", "4294967295");
}
