//! Makes the table of countries and networks out of CSV files; `cargo xtask geo` runs it:
//! `geo_table OUT RELEASE ATTRIBUTION COUNTRIES.csv,... NETWORKS.csv,...`.
//! Then it says how large the table is and, built with `--release`, how long a lookup takes.

// An example talks to the person who runs it.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use pugmark_enrich::geo::{Builder, Table};

const LOOKUPS: u32 = 2_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [out, release, attribution, countries, networks] = args.as_slice() else {
        return Err("usage: geo_table OUT RELEASE ATTRIBUTION COUNTRIES NETWORKS".into());
    };
    let mut builder = Builder::default();
    for path in countries.split(',') {
        builder.countries(&std::fs::read(path)?).map_err(|error| format!("{path}: {error}"))?;
    }
    for path in networks.split(',') {
        builder.networks(&std::fs::read(path)?).map_err(|error| format!("{path}: {error}"))?;
    }
    let bytes = builder.finish(release, attribution).write()?;
    std::fs::write(out, &bytes)?;
    let start = Instant::now();
    let table = Table::read(&bytes)?;
    let ranges = table.ranges();
    println!("{ranges} ranges, {} bytes, read in {:?}", bytes.len(), start.elapsed());
    if cfg!(debug_assertions) {
        return Ok(());
    }
    println!("IPv4: {} ns per lookup", nanoseconds(&table, |n| IpAddr::from(n.to_be_bytes())));
    let v6 = |n: u32| IpAddr::from(((0x2001_u128 << 112) | (u128::from(n) << 80)).to_be_bytes());
    println!("IPv6: {} ns per lookup", nanoseconds(&table, v6));
    Ok(())
}

/// Addresses are spread over the whole table, so that caches help as little as they can.
fn nanoseconds(table: &Table, address: impl Fn(u32) -> IpAddr) -> u128 {
    let start = Instant::now();
    for n in 0..LOOKUPS {
        black_box(table.lookup(black_box(address(n.wrapping_mul(2_654_435_761)))));
    }
    start.elapsed().as_nanos() / u128::from(LOOKUPS)
}
