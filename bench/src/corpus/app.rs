//! A service that logs JSON: levels, durations, and an id per request that never comes again.

use std::fmt::Write as _;

use super::World;
use crate::time::Parts;

const SERVICES: [(u32, &str); 5] =
    [(40, "checkout"), (25, "catalog"), (20, "identity"), (10, "billing"), (5, "mailer")];
const LEVELS: [(u32, &str); 4] = [(80, "info"), (14, "debug"), (5, "warn"), (1, "error")];
const MESSAGES: [(u32, &str); 8] = [
    (30, "request finished"),
    (20, "cache hit"),
    (14, "cache miss"),
    (12, "basket updated"),
    (10, "token refreshed"),
    (8, "payment authorised"),
    (4, "retrying call to upstream"),
    (2, "queue is longer than usual"),
];

pub(super) fn write(world: &mut World, time: &Parts, line: &mut String) {
    let (service, level) = (world.random.weighted(&SERVICES), world.random.weighted(&LEVELS));
    let trace = world.hex32();
    let (time, host, user) = (time.rfc3339(), world.server(), world.user());
    let (address, path) = (world.sender(), world.path());
    let (message, duration) = (world.random.weighted(&MESSAGES), world.random.size(18_000));
    let ending = world.ending();
    let _ = write!(
        line,
        "{{\"@timestamp\":\"{time}\",\"log.level\":\"{level}\",\"message\":\"{message}{ending}\",\
         \"service.name\":\"{service}\",\"host.name\":\"app{host}\",\"user.name\":\"{user}\",\
         \"source.ip\":\"{address}\",\"url.path\":\"{path}\",\"trace.id\":\"{trace}\",\
         \"duration_us\":{duration}",
    );
    if level == "error" {
        let code = world.random.between(500, 512);
        let _ = write!(line, ",\"error\":{{\"code\":{code},\"retry\":true}}");
    }
    line.push('}');
}
