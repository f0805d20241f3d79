//! dnsmasq in syslog (RFC 5424): a question, or the answer to one.

use std::fmt::Write as _;

use super::World;
use crate::time::Parts;

const TYPES: [(u32, &str); 4] = [(70, "A"), (22, "AAAA"), (6, "HTTPS"), (2, "TXT")];

pub(super) fn write(world: &mut World, time: &Parts, line: &mut String) {
    let (time, name) = (time.rfc3339(), world.domain());
    let _ = write!(line, "<30>1 {time} dns1 dnsmasq 531 - - ");
    if world.random.chance(0.55) {
        let (kind, address) = (world.random.weighted(&TYPES), world.workstation().1);
        let _ = write!(line, "query[{kind}] {name} from {address}");
    } else {
        let _ = write!(line, "reply {name} is {}", world.stranger());
    }
}
