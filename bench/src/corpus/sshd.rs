//! sshd in syslog (RFC 5424): the noise of the internet, and now and then a person.

use std::fmt::Write as _;

use super::World;
use crate::time::Parts;

const GUESSES: [&str; 10] =
    ["root", "admin", "ubuntu", "test", "oracle", "git", "postgres", "user", "pi", "deploy"];

pub(super) fn write(world: &mut World, time: &Parts, line: &mut String) {
    let (host, pid, time) = (world.server(), world.random.between(400, 4_000_000), time.rfc3339());
    let _ = write!(line, "<86>1 {time} srv{host} sshd {pid} - - ");
    let (address, port) = (world.stranger(), world.port());
    let guess = world.random.pick(&GUESSES);
    let _ = match world.random.below(20) {
        0..=6 => write!(line, "Failed password for {guess} from {address} port {port} ssh2"),
        7..=10 => {
            write!(line, "Failed password for invalid user {guess} from {address} port {port} ssh2")
        }
        11..=13 => write!(line, "Invalid user {guess} from {address} port {port}"),
        14..=15 => write!(line, "Connection closed by {address} port {port} [preauth]"),
        16 => {
            let (user, from, key) = (world.user(), world.workstation().1, world.hex32());
            write!(
                line,
                "Accepted publickey for {user} from {from} port {port} ssh2: ED25519 SHA256:{key}"
            )
        }
        17 => {
            let (user, from) = (world.user(), world.workstation().1);
            write!(line, "Accepted password for {user} from {from} port {port} ssh2")
        }
        _ => {
            let user = world.user();
            write!(line, "pam_unix(sshd:session): session opened for user {user} by (uid=0)")
        }
    };
}
