//! What a day looks like when nothing happens.

mod internet;
mod office;
mod servers;
mod shop;

use super::company::{FIREWALL, SITES};
use super::lines::{Flow, Priority, syslog};
use super::random::Random;
use super::{Day, SECOND};

/// Writes the ordinary day. Every part draws from a stream of its own.
pub(super) fn write(day: &mut Day, seed: u64) {
    shop::write(day, &mut Random::new(seed, "shop"));
    office::write(day, &mut Random::new(seed, "office"));
    servers::write(day, &mut Random::new(seed, "servers"));
    internet::write(day, &mut Random::new(seed, "internet"));
}

/// Somebody on the Internet: half of them with an IPv6 address.
fn visitor(random: &mut Random) -> String {
    match random.between(0, 4) {
        0 => format!("198.51.100.{}", random.between(110, 250)),
        1 => format!("203.0.113.{}", random.between(100, 170)),
        _ => format!(
            "2001:db8:{:x}:{:x}::{:x}",
            random.between(1, 48),
            random.between(1, 16),
            random.between(1, 9)
        ),
    }
}

/// An inside host asks for one of the usual places and connects to it.
fn browse(day: &mut Day, random: &mut Random, at: i64, address: &str) {
    let (name, answer) = *random.favour(SITES);
    resolve(day, random, at, address, name, answer);
    let flow = Flow {
        source: address,
        source_port: random.between(49_152, 65_536),
        destination: answer,
        port: 443,
        protocol: 6,
        action: "accept",
        policy: 3,
        seconds: random.between(1, 240),
        sent_bytes: random.between(900, 60_000),
        received_bytes: random.between(3_000, 4_000_000),
    };
    day.add(at + random.between(1, 90) * SECOND, "firewall", |t| flow.line(t));
}

/// A question to the name server and its answer.
fn resolve(day: &mut Day, random: &mut Random, at: i64, address: &str, name: &str, answer: &str) {
    let write = |day: &mut Day, at: i64, text: String| {
        day.add(at, "dns", |t| syslog(t, Priority::Daemon, FIREWALL.0, "dnsmasq", 712, &text));
    };
    let kind = if random.chance(25) { "AAAA" } else { "A" };
    let how = if random.chance(60) { "cached" } else { "reply" };
    write(day, at, format!("query[{kind}] {name} from {address}"));
    let answer = if kind == "A" { answer } else { "NODATA-IPv6" };
    write(day, at + random.between(200, 40_000), format!("{how} {name} is {answer}"));
}
