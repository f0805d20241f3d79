//! Traffic records of a FortiGate, key=value.

use std::fmt::Write as _;

use super::World;
use crate::time::Parts;

/// Destination port, its name, the protocol's number.
const SERVICES: [(u32, (u16, &str, u8)); 8] = [
    (60, (443, "HTTPS", 6)),
    (12, (80, "HTTP", 6)),
    (12, (53, "DNS", 17)),
    (5, (123, "NTP", 17)),
    (4, (22, "SSH", 6)),
    (3, (993, "IMAPS", 6)),
    (2, (445, "SMB", 6)),
    (2, (3389, "RDP", 6)),
];
const ACTIONS: [(u32, &str); 4] = [(78, "accept"), (12, "close"), (8, "deny"), (2, "timeout")];

pub(super) fn write(world: &mut World, time: &Parts, line: &mut String) {
    let (port, service, protocol) = world.random.weighted(&SERVICES);
    let (action, from_port) = (world.random.weighted(&ACTIONS), world.port());
    let (inside, outside) = (world.workstation().1, world.stranger());
    let inbound = action == "deny";
    let (from, to) = if inbound { (outside, inside) } else { (inside, outside) };
    let (sent, received) = match inbound {
        true => (0, 0),
        false => (world.random.size(2_500), world.random.size(12_000)),
    };
    let (session, duration) = (world.random.below(1 << 31), world.random.size(8));
    let (date, clock) = (time.date(), time.clock());
    let (side_from, side_to) = if inbound { ("wan1", "lan") } else { ("lan", "wan1") };
    let _ = write!(
        line,
        "date={date} time={clock} devname=\"fw1\" devid=\"FGT60F0000000001\" tz=\"+0000\" \
         logid=\"0000000013\" type=\"traffic\" subtype=\"forward\" level=\"notice\" vd=\"root\" \
         srcip={from} srcport={from_port} srcintf=\"{side_from}\" dstip={to} dstport={port} \
         dstintf=\"{side_to}\" sessionid={session} proto={protocol} action=\"{action}\" \
         policyid={} service=\"{service}\" duration={duration} sentbyte={sent} rcvdbyte={received}",
        world.random.below(24),
    );
}
