//! Any bytes as a table, a database, a list of ranges, a user's CSV, saved bindings, a user agent.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use pugmark_enrich::ranges::List;
use pugmark_enrich::{Bindings, Lookup, MaxMind, Ranges, agent, domain, geo};

fuzz_target!(|bytes: &[u8]| {
    let address = IpAddr::from([192, 0, 2, 1]);
    if let Ok(table) = geo::Table::read(bytes) {
        table.lookup(address);
    }
    if let Ok(database) = MaxMind::new(bytes.to_vec()) {
        let _ = database.lookup(address);
    }
    if let Ok(list) = List::read("list", bytes) {
        Ranges::new(&[list]).lookup(address);
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
