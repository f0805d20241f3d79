//! The noise of the Internet at the door: probes that nobody aimed at us.

use super::super::company::{ALL_HOURS, PUBLIC_ADDRESS, WEB};
use super::super::lines::{Flow, Priority, Request, syslog};
use super::super::random::Random;
use super::super::{Day, SECOND};

const PROBED_PORTS: &[i64] = &[23, 445, 3389, 22, 8080, 5060, 1433, 6379, 2323, 5900, 8443, 25];
const PROBED_PATHS: &[&str] = &[
    "/robots.txt",
    "/favicon.ico",
    "/.env",
    "/wp-login.php",
    "/admin",
    "/.git/config",
    "/actuator",
];
const GUESSED_USERS: &[&str] = &["admin", "test", "ubuntu", "oracle", "pi", "user", "git", "ftp"];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://search.example/bot)",
    "Mozilla/5.0 (compatible; ArchiveBot/1.0; +https://archive.example)",
    "python-requests/2.32.5",
    "-",
];

/// Writes refused connections, lost crawlers and single password guesses.
pub(super) fn write(day: &mut Day, random: &mut Random) {
    for _ in 0..1_500 {
        refused(day, random);
    }
    for _ in 0..420 {
        crawler(day, random);
    }
    for _ in 0..90 {
        guess(day, random);
    }
}

fn prober(random: &mut Random) -> String {
    format!("203.0.113.{}", random.between(2, 40))
}

fn refused(day: &mut Day, random: &mut Random) {
    let at = random.time_of_day(&ALL_HOURS);
    let source = prober(random);
    let flow = Flow {
        source: &source,
        source_port: random.between(1_024, 65_536),
        destination: PUBLIC_ADDRESS,
        port: *random.favour(PROBED_PORTS),
        protocol: 6,
        action: "deny",
        policy: 0,
        seconds: 0,
        sent_bytes: 60,
        received_bytes: 0,
    };
    day.add(at, "firewall", |t| flow.line(t));
}

fn crawler(day: &mut Day, random: &mut Random) {
    let at = random.time_of_day(&ALL_HOURS);
    let address = prober(random);
    let url = *random.favour(PROBED_PATHS);
    let agent = *random.pick(AGENTS);
    let status = if url == "/robots.txt" { 200 } else { 404 };
    let request =
        Request { address: &address, method: "GET", url, status, bytes: 146, referrer: "-", agent };
    day.add(at, "nginx", |t| request.line(t));
}

fn guess(day: &mut Day, random: &mut Random) {
    let at = random.time_of_day(&ALL_HOURS);
    let (address, user) = (prober(random), *random.pick(GUESSED_USERS));
    let (pid, port) = (random.between(2_000, 60_000), random.between(1_024, 65_536));
    let lines = [
        format!("Invalid user {user} from {address} port {port}"),
        format!("Failed password for invalid user {user} from {address} port {port} ssh2"),
        format!("Connection closed by invalid user {user} {address} port {port} [preauth]"),
    ];
    for (i, text) in lines.iter().enumerate() {
        day.add(at + i as i64 * SECOND, "linux", |t| {
            syslog(t, Priority::Login, WEB.0, "sshd", pid, text)
        });
    }
}
