//! Functions of addresses, IPv4 and IPv6.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{ARGS_MAX, Call, Family, Function, bool_of, literal, long_of, text, text_of};
use crate::cell::Cell;
use crate::check;
use crate::expr::Expr;

pub(super) const FAMILY: Family = Family {
    title: "Addresses",
    functions: &[
        Function {
            name: "cidr",
            usage: "cidr(address, \"10.0.0.0/8\", ...)",
            about: "Whether the address is in one of the networks.",
            examples: &[
                ("cidr(\"10.1.2.3\", \"192.168.0.0/16\", \"10.0.0.0/8\")", "true"),
                ("cidr(\"2001:db8::1\", \"2001:db8::/32\")", "true"),
                ("cidr(\"x\", \"10.0.0.0/8\")", "false"),
            ],
            args: 2..=ARGS_MAX,
            shape: bool_of,
            call: Call::Made(|args: &[Expr]| {
                let network = |at| {
                    let text = literal(args, at, "a network such as 10.0.0.0/8")?;
                    text.parse::<IpNet>()
                        .map_err(|_| format!("{text} is no network such as 10.0.0.0/8"))
                };
                let networks = (1..args.len()).map(network).collect::<Result<Vec<_>, _>>()?;
                Ok(Arc::new(move |args| {
                    let inside = |address| networks.iter().any(|n| n.contains(&address));
                    Cell::Bool(address(&args[0]).is_some_and(inside))
                }))
            }),
        },
        Function {
            name: "subnet",
            usage: "subnet(address, bits)",
            about: "The network of so many bits that the address is in. Absent when the address \
                has fewer.",
            examples: &[
                ("subnet(\"10.1.2.3\", 24)", "10.1.2.0/24"),
                ("subnet(\"2001:db8::1\", 64)", "2001:db8::/64"),
                ("subnet(\"10.1.2.3\", 64)", ""),
            ],
            args: 2..=2,
            shape: text_of,
            call: Call::Plain(|args| {
                let bits = args[1].long().and_then(|bits| u8::try_from(bits).ok());
                let network = address(&args[0]).zip(bits).and_then(|(a, b)| IpNet::new(a, b).ok());
                network.map_or(Cell::Null, |n| Cell::Text(n.trunc().to_string()))
            }),
        },
        Function {
            name: "is_private",
            usage: "is_private(address)",
            about: "Whether the address is of a local network: RFC 1918, RFC 4193, loopback or \
                link-local.",
            examples: &[
                ("is_private(\"192.168.1.9\")", "true"),
                ("is_private(\"9.9.9.9\")", "false"),
            ],
            args: 1..=1,
            shape: bool_of,
            call: Call::Plain(|args| Cell::Bool(address(&args[0]).is_some_and(is_private))),
        },
        Function {
            name: "ip_version",
            usage: "ip_version(address)",
            about: "4 or 6; absent when it is no address.",
            examples: &[("ip_version(\"::1\")", "6"), ("ip_version(\"x\")", "")],
            args: 1..=1,
            shape: long_of,
            call: Call::Plain(|args| match address(&args[0]) {
                Some(IpAddr::V4(_)) => Cell::Long(4),
                Some(IpAddr::V6(_)) => Cell::Long(6),
                None => Cell::Null,
            }),
        },
    ],
};

fn address(cell: &Cell) -> Option<IpAddr> {
    text(cell).and_then(|text| check::address(&text))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private(IpAddr::V4(v4)),
            None => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}
