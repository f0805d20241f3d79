//! Databases of MaxMind's format (`.mmdb`), if the user has them: country, city, ASN, ISP or
//! enterprise. They know more than the built-in table and go before it.
//!
//! Source: MaxMind DB File Format Specification 2.0. The reader bounds depth and size of what it
//! decodes; a broken record is an error of that lookup alone.

use std::net::IpAddr;

use serde::Deserialize;

use crate::geo::Place;

/// Why bytes are no database, or a lookup found a broken record.
#[derive(Debug, thiserror::Error)]
#[error("the MaxMind database is broken: {0}; download it again")]
pub struct MaxMindError(#[from] maxminddb::MaxMindDbError);

/// One database, held as the bytes of its file.
#[derive(Debug)]
pub struct MaxMind {
    reader: maxminddb::Reader<Vec<u8>>,
}

/// What we read of a record; databases differ in what they have.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    country: Option<Country<'a>>,
    #[serde(borrow)]
    registered_country: Option<Country<'a>>,
    #[serde(borrow)]
    traits: Option<Network<'a>>,
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<&'a str>,
}

#[derive(Deserialize)]
struct Country<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Deserialize)]
struct Network<'a> {
    autonomous_system_number: Option<u32>,
    #[serde(borrow)]
    autonomous_system_organization: Option<&'a str>,
}

impl MaxMind {
    /// Takes the bytes of a file.
    ///
    /// # Errors
    /// When they are no database.
    pub fn new(bytes: Vec<u8>) -> Result<Self, MaxMindError> {
        Ok(Self { reader: maxminddb::Reader::from_source(bytes)? })
    }

    /// The kind of database, as it calls itself: `GeoLite2-Country`.
    pub fn kind(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When it was built, in seconds since the epoch.
    pub fn built(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    /// What it knows about an address; all unknown where it has no record.
    ///
    /// # Errors
    /// When the record is broken.
    pub fn lookup(&self, address: IpAddr) -> Result<Place<'_>, MaxMindError> {
        let address = address.to_canonical();
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Ok(Place::default());
        }
        let Some(record) = self.reader.lookup(address)?.decode::<Record<'_>>()? else {
            return Ok(Place::default());
        };
        let own = Place {
            country: record.country.and_then(|c| c.iso_code),
            network: record.autonomous_system_number,
            organization: record.autonomous_system_organization,
        };
        let traits = record.traits.map_or_else(Place::default, |traits| Place {
            country: None,
            network: traits.autonomous_system_number,
            organization: traits.autonomous_system_organization,
        });
        let registered = Place {
            country: record.registered_country.and_then(|c| c.iso_code),
            ..Place::default()
        };
        Ok(own.or(traits).or(registered))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    const SHARED: &str = concat!(env!("WORKSPACE_ROOT"), "../shared/data/geoip/maxmind-db");

    /// MaxMind's own test databases below a folder; none where they are not at hand.
    fn databases(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let mut folders = vec![PathBuf::from(SHARED).join(folder)];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(folder).into_iter().flatten().map(|e| e.unwrap().path()) {
                match path.is_dir() {
                    true => folders.push(path),
                    false if path.extension().is_some_and(|end| end == "mmdb") => {
                        found.push((path.clone(), std::fs::read(path).unwrap()));
                    }
                    false => {}
                }
            }
        }
        if found.is_empty() {
            #[allow(clippy::print_stderr)] // the only way a test can say that it did nothing
            {
                eprintln!("skipped: ../shared is absent");
            }
        }
        found.sort();
        found
    }

    const ADDRESSES: [&str; 10] = [
        "0.0.0.0",
        "1.1.1.1",
        "2.125.160.216",
        "81.2.69.160",
        "89.160.20.112",
        "216.160.83.56",
        "255.255.255.255",
        "::",
        "2001:218::1",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ];

    fn ask(bytes: Vec<u8>) -> usize {
        let Ok(database) = MaxMind::new(bytes) else { return 0 };
        let ask = |text: &&str| database.lookup(text.parse().unwrap()).is_ok();
        ADDRESSES.iter().filter(|text| ask(text)).count()
    }

    #[test]
    fn records_are_read() {
        for (path, bytes) in databases("test-data") {
            let expected = match path.file_name().unwrap().to_str().unwrap() {
                "GeoIP2-Country-Test.mmdb" => ("2.125.160.216", Some("GB"), None),
                "GeoIP2-City-Test.mmdb" => ("216.160.83.56", Some("US"), None),
                "GeoLite2-ASN-Test.mmdb" => ("89.160.20.112", None, Some(29518)),
                "GeoIP2-Enterprise-Test.mmdb" => ("2.125.160.216", Some("GB"), None),
                "GeoLite2-Country-Test.mmdb" => ("2001:218::1", Some("JP"), None),
                _ => continue,
            };
            let database = MaxMind::new(bytes).unwrap();
            let found = database.lookup(expected.0.parse().unwrap()).unwrap();
            assert_eq!((found.country, found.network), (expected.1, expected.2), "{path:?}");
            assert!(database.built() > 1_000_000_000 && !database.kind().is_empty());
        }
    }

    #[test]
    fn broken_databases_are_errors() {
        for (_, bytes) in databases("bad-data").into_iter().chain(databases("test-data")) {
            ask(bytes);
        }
    }

    #[test]
    fn what_is_no_database_is_refused() {
        for bytes in [&b""[..], b"PK", b"\xab\xcd\xefMaxMind.com"] {
            assert!(MaxMind::new(bytes.to_vec()).is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_damage_is_an_error(
            damage in prop::collection::vec((any::<usize>(), any::<u8>()), 1..40),
        ) {
            for (_, mut bytes) in databases("test-data").into_iter().filter(|d| d.1.len() < 20_000) {
                let length = bytes.len();
                damage.iter().for_each(|(at, byte)| bytes[at % length] = *byte);
                prop_assert!(ask(bytes) <= ADDRESSES.len());
            }
        }
    }
}
