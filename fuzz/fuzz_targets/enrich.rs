//! Any bytes as a table, a database, a list of ranges, a user's CSV, saved bindings, a user agent.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use pugmark_enrich::ranges::List;
use pugmark_enrich::{Bindings, Lookup, MaxMind, Ranges, agent, domain, geo};

/// An address as lists have them, and ends of what there is.
const ADDRESSES: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::BROADCAST),
    IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)),
];

fuzz_target!(|bytes: &[u8]| {
    let (table, database) = (geo::Table::read(bytes), MaxMind::new(bytes.to_vec()));
    let ranges = List::read("list", bytes).map(|list| Ranges::new(&[list]));
    for address in ADDRESSES {
        let _ = table.as_ref().map(|table| table.lookup(address));
        let _ = database.as_ref().map(|database| database.lookup(address).is_ok());
        let _ = ranges.as_ref().map(|ranges| ranges.lookup(address));
    }
    if let Ok(table) = Lookup::read(bytes) {
        table.at("192.0.2.1", 0).count();
    }
    if let Ok(bindings) = Bindings::load(bytes, 1000) {
        assert!(bindings.save().is_ok());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        agent::read(text);
        domain::Domain::of(text);
        domain::host(text);
    }
});
