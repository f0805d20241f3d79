//! Five kinds of source as shippers send them: one flat JSON object a line, ECS names, and the
//! free text that the program wrote. Ids are random and never come again.

use std::fmt::Write as _;

use super::World;
use crate::time::Parts;

const AGENTS: [(u32, &str); 5] = [
    (40, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0"),
    (30, "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1) Safari/604.1"),
    (15, "Mozilla/5.0 (X11; Linux x86_64) Firefox/144.0"),
    (10, "okhttp/5.1.0"),
    (5, "curl/8.16.0"),
];
const STATUS: [(u32, u16); 7] =
    [(830, 200), (60, 304), (40, 302), (45, 404), (15, 403), (6, 500), (4, 502)];
const METHODS: [(u32, &str); 4] = [(88, "GET"), (10, "POST"), (1, "PUT"), (1, "HEAD")];
const SERVICES: [(u32, &str); 5] =
    [(40, "checkout"), (25, "catalog"), (20, "identity"), (10, "billing"), (5, "mailer")];
const LEVELS: [(u32, &str); 4] = [(80, "info"), (14, "debug"), (5, "warn"), (1, "error")];
/// Destination port, its protocol.
const PORTS: [(u32, (u16, &str)); 6] = [
    (62, (443, "tcp")),
    (12, (80, "tcp")),
    (12, (53, "udp")),
    (6, (123, "udp")),
    (5, (22, "tcp")),
    (3, (445, "tcp")),
];
const ACTIONS: [(u32, &str); 3] = [(88, "accept"), (10, "deny"), (2, "timeout")];
const QUESTIONS: [(u32, &str); 4] = [(70, "A"), (22, "AAAA"), (6, "HTTPS"), (2, "TXT")];

pub(super) fn nginx(world: &mut World, time: &Parts, line: &mut String) {
    let (time, host, address) = (time.rfc3339(), world.server(), world.sender());
    let (method, path) = (world.random.weighted(&METHODS), world.path());
    let status = world.random.weighted(&STATUS);
    let bytes = if status == 304 { 0 } else { world.random.size(4_000) };
    let (agent, id) = (world.random.weighted(&AGENTS), world.hex32());
    let (took, ending) = (world.random.size(9_000), world.ending());
    let _ = write!(
        line,
        "{{\"@timestamp\":\"{time}\",\"host.name\":\"web{host}\",\"source.ip\":\"{address}\",\
         \"http.request.method\":\"{method}\",\"url.path\":\"{path}\",\
         \"http.response.status_code\":{status},\"http.response.body.bytes\":{bytes},\
         \"user_agent.original\":\"{agent}\",\"http.request.id\":\"{id}\",\
         \"message\":\"{method} {path} {status} in {took} us{ending}\"}}",
    );
}

pub(super) fn app(world: &mut World, time: &Parts, line: &mut String) {
    let (service, level) = (world.random.weighted(&SERVICES), world.random.weighted(&LEVELS));
    let (time, host, user) = (time.rfc3339(), world.server(), world.user());
    let (trace, took) = (world.hex32(), world.random.size(18_000));
    let _ = write!(
        line,
        "{{\"@timestamp\":\"{time}\",\"log.level\":\"{level}\",\"service.name\":\"{service}\",\
         \"host.name\":\"app{host}\",\"user.name\":\"{user}\",\"trace.id\":\"{trace}\",\
         \"duration_us\":{took},\"message\":\"",
    );
    sentence(world, line);
    line.push_str(&world.ending());
    line.push_str("\"}");
}

/// What a service says of a request.
fn sentence(world: &mut World, line: &mut String) {
    let (items, cents) = (world.random.below(40), world.random.size(4_000));
    let path = world.path();
    let _ = match world.random.below(20) {
        0..=6 => write!(line, "request {path} finished with {items} items"),
        7..=10 => write!(line, "cache miss for {path}, {items} left"),
        11..=13 => write!(line, "basket updated: {items} items, {cents} cents"),
        14..=16 => write!(line, "token refreshed, valid for {} s", items * 60),
        17..=18 => write!(line, "payment of {cents} cents authorised"),
        _ => write!(line, "call to upstream failed, try {}", items % 5),
    };
}

pub(super) fn firewall(world: &mut World, time: &Parts, line: &mut String) {
    let (port, transport) = world.random.weighted(&PORTS);
    let (action, time, from_port) = (world.random.weighted(&ACTIONS), time.rfc3339(), world.port());
    let (inside, outside) = (world.workstation().1, world.stranger());
    let (from, to) = if action == "deny" { (outside, inside) } else { (inside, outside) };
    let (sent, received) = (world.random.size(2_500), world.random.size(12_000));
    let (session, rule) = (world.random.below(1 << 31), world.random.below(24));
    let ending = world.ending();
    let _ = write!(
        line,
        "{{\"@timestamp\":\"{time}\",\"host.name\":\"fw1\",\"source.ip\":\"{from}\",\
         \"source.port\":{from_port},\"destination.ip\":\"{to}\",\"destination.port\":{port},\
         \"network.transport\":\"{transport}\",\"event.action\":\"{action}\",\
         \"source.bytes\":{sent},\"destination.bytes\":{received},\
         \"message\":\"{action} {transport} session {session} by policy {rule}{ending}\"}}",
    );
}

pub(super) fn dns(world: &mut World, time: &Parts, line: &mut String) {
    let (time, name, address) = (time.rfc3339(), world.domain(), world.workstation().1);
    let (kind, id) = (world.random.weighted(&QUESTIONS), world.random.below(1 << 16));
    let ending = world.ending();
    let _ = write!(
        line,
        "{{\"@timestamp\":\"{time}\",\"host.name\":\"dns1\",\"source.ip\":\"{address}\",\
         \"dns.question.name\":\"{name}\",\"dns.question.type\":\"{kind}\",\"dns.id\":{id},\
         \"message\":\"query[{kind}] {name} from {address}{ending}\"}}",
    );
}

pub(super) fn sshd(world: &mut World, time: &Parts, line: &mut String) {
    let (host, pid, time) = (world.server(), world.random.between(400, 4_000_000), time.rfc3339());
    let (address, port, user) = (world.sender(), world.port(), world.user());
    let _ = write!(
        line,
        "{{\"@timestamp\":\"{time}\",\"host.name\":\"srv{host}\",\"process.name\":\"sshd\",\
         \"process.pid\":{pid},\"source.ip\":\"{address}\",\"source.port\":{port},\
         \"user.name\":\"{user}\",\"message\":\"",
    );
    let _ = match world.random.below(10) {
        0..=5 => write!(line, "Failed password for {user} from {address} port {port} ssh2"),
        6..=8 => write!(line, "Invalid user {user} from {address} port {port}"),
        _ => write!(line, "Accepted publickey for {user} from {address} port {port} ssh2"),
    };
    line.push_str(&world.ending());
    line.push_str("\"}");
}
