//! How often somebody may try to sign in: per address and for all together, in bounded memory.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use parking_lot::Mutex;
use pugmark_event::time::{Micros, SECOND};

/// Addresses remembered at once.
const ADDRESSES_MAX: usize = 1024;
/// Tries of one address at once, and the time after which it gets one more.
const ADDRESS: Limit = Limit { burst: 8.0, interval: 10 * SECOND };
/// Tries of everybody together.
const GLOBAL: Limit = Limit { burst: 60.0, interval: SECOND };

#[derive(Debug, Clone, Copy)]
struct Limit {
    burst: f64,
    interval: Micros,
}

/// A bucket of tries that fills again with time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tries: f64,
    at: Micros,
}

impl Bucket {
    fn full(limit: Limit, now: Micros) -> Self {
        Self { tries: limit.burst, at: now }
    }

    fn fill(&mut self, limit: Limit, now: Micros) {
        let passed = now.saturating_sub(self.at).max(0) as f64;
        self.tries = (self.tries + passed / limit.interval as f64).min(limit.burst);
        self.at = now;
    }

    /// Seconds until there is one try, zero when there is.
    fn wait_seconds(&self, limit: Limit) -> u64 {
        if self.tries >= 1.0 {
            return 0;
        }
        let wait = (1.0 - self.tries) * limit.interval as f64 / SECOND as f64;
        (wait.ceil() as u64).max(1)
    }
}

#[derive(Debug)]
struct Buckets {
    global: Bucket,
    addresses: HashMap<IpAddr, Bucket>,
}

/// Counts tries.
#[derive(Debug)]
pub(crate) struct Throttle {
    buckets: Mutex<Buckets>,
}

impl Throttle {
    pub(crate) fn new(now: Micros) -> Self {
        let global = Bucket::full(GLOBAL, now);
        Self { buckets: Mutex::new(Buckets { global, addresses: HashMap::new() }) }
    }

    /// Takes one try of `from`, or says after how many seconds there is one.
    ///
    /// The machine itself is not held up by what others do: its owner can always get in.
    pub(crate) fn take(&self, from: IpAddr, now: Micros) -> Result<(), u64> {
        let mut buckets = self.buckets.lock();
        let key = network(from);
        make_room(&mut buckets.addresses, &key);
        buckets.global.fill(GLOBAL, now);
        let global_wait = match from.is_loopback() {
            true => 0,
            false => buckets.global.wait_seconds(GLOBAL),
        };
        let bucket = buckets.addresses.entry(key).or_insert(Bucket::full(ADDRESS, now));
        bucket.fill(ADDRESS, now);
        let wait = bucket.wait_seconds(ADDRESS).max(global_wait);
        if wait > 0 {
            return Err(wait);
        }
        bucket.tries -= 1.0;
        if !from.is_loopback() {
            buckets.global.tries -= 1.0;
        }
        Ok(())
    }

    /// A try was right: forget what the address did before.
    pub(crate) fn forgive(&self, from: IpAddr) {
        self.buckets.lock().addresses.remove(&network(from));
    }
}

/// Drops the address that has tried least when there is no room for one more.
fn make_room(addresses: &mut HashMap<IpAddr, Bucket>, key: &IpAddr) {
    if addresses.len() < ADDRESSES_MAX || addresses.contains_key(key) {
        return;
    }
    let calmest = addresses.iter().max_by(|a, b| a.1.tries.total_cmp(&b.1.tries)).map(|e| *e.0);
    if let Some(calmest) = calmest {
        addresses.remove(&calmest);
    }
}

/// One customer holds a whole /64 of IPv6, so that counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::from(0xC000_0200 + n))
    }

    #[test]
    fn one_address_runs_out_and_recovers() {
        let throttle = Throttle::new(0);
        for _ in 0..8 {
            assert_eq!(throttle.take(address(1), 0), Ok(()));
        }
        assert_eq!(throttle.take(address(1), 0), Err(10));
        assert_eq!(throttle.take(address(2), 0), Ok(()));
        assert_eq!(throttle.take(address(1), 11 * SECOND), Ok(()));
        throttle.forgive(address(1));
        assert_eq!(throttle.take(address(1), 11 * SECOND), Ok(()));
    }

    #[test]
    fn many_addresses_share_a_limit_and_bounded_memory() {
        let throttle = Throttle::new(0);
        let let_in = (0..5000).filter(|n| throttle.take(address(*n), 0).is_ok()).count();
        assert_eq!(let_in, 60);
        assert!(throttle.buckets.lock().addresses.len() <= ADDRESSES_MAX);
        assert_eq!(throttle.take("127.0.0.1".parse().unwrap(), 0), Ok(()));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let throttle = Throttle::new(0);
        for n in 0..8 {
            throttle.take(format!("2001:db8::{n}").parse().unwrap(), 0).unwrap();
        }
        assert!(throttle.take("2001:db8::99".parse().unwrap(), 0).is_err());
    }
}
