//! What is known about the values of an event: country and network of an address, what its range
//! is for, who had it then; the program behind a user agent; the registered domain of a name; rows
//! of the user's own tables.
//!
//! Floor 1: tables, databases and lists come as bytes, "now" is the time of each event. The caller
//! reads files, watches them, and hands new ones over with the `set_` functions.
//!
//! [`Enricher::enrich`] asks once per different value of a column, not once per event. What a
//! record says itself is never changed. A value whose field is registered goes to its column, any
//! other to the attributes:
//!
//! - `source.ip` and `destination.ip` fill, below `source` and `destination`:
//!   `geo.country_iso_code`, `as.number`, `as.organization.name`, `network.name` (what the range is
//!   for), and `host.name`, `user.name`, `mac` (who had it then).
//! - `user_agent.original` fills `user_agent.name`, `.version`, `.type`, `.os.name`, `.os.version`
//!   and `.device.name`.
//! - `dns.question.name` fills `dns.question.registered_domain`, `.subdomain` and
//!   `.top_level_domain`; `source.domain` and `destination.domain` fill `.registered_domain`
//!   beside them.
//! - `url.original` fills `url.domain` and `url.registered_domain`.
//! - A user's table fills fields beside its key's: one on `host.name` with a column `owner` fills
//!   `host.owner`.

use std::net::IpAddr;
use std::sync::Arc;

use pugmark_event::batch::{Batch, BatchError};
use pugmark_event::fields::{self, FieldId};
use serde::{Deserialize, Serialize};

pub mod agent;
pub mod bindings;
pub mod domain;
mod fill;
pub mod geo;
mod learn;
pub mod lookup;
pub mod maxmind;
pub mod ranges;
mod span;

pub use bindings::{Bindings, Role};
pub use learn::Learn;
pub use lookup::Lookup;
pub use maxmind::MaxMind;
pub use ranges::Ranges;

use fill::{Distinct, Fill};
use geo::{GeoError, Place};

/// Which parts work, and what is learned from events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Country and network of addresses.
    pub geo: bool,
    /// What the range of an address is for.
    pub ranges: bool,
    /// Programs behind user agents.
    pub agents: bool,
    /// Registered domains of names.
    pub domains: bool,
    /// Which events say who has an address.
    pub learn: Vec<Learn>,
    /// Most intervals of "who had it then" that are held; one takes some 200 bytes.
    pub bindings_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            geo: true,
            ranges: true,
            agents: true,
            domains: true,
            learn: Learn::builtin(),
            bindings_max: 500_000,
        }
    }
}

/// A table of the user's and the fields whose values are its keys.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The table.
    pub lookup: Arc<Lookup>,
    /// Registered text or address fields: `host.name`.
    pub fields: Vec<FieldId>,
}

/// A batch with what is known about its values.
#[derive(Debug)]
#[must_use]
pub struct Enriched {
    /// The same events with more fields.
    pub batch: Batch,
    /// Lookups that found a broken record in a MaxMind database.
    pub broken: usize,
}

/// Adds to batches what is known about their values.
#[derive(Debug)]
pub struct Enricher {
    config: Config,
    table: geo::Table,
    maxmind: Vec<MaxMind>,
    ranges: Ranges,
    tables: Vec<Attached>,
    bindings: Bindings,
}

impl Enricher {
    /// With the built-in table and ranges, and nothing of the user's yet.
    ///
    /// # Errors
    /// When the built-in table is damaged.
    pub fn new(config: Config) -> Result<Self, GeoError> {
        let table = match config.geo {
            true => geo::Table::builtin()?,
            false => geo::Table::default(),
        };
        let bindings = Bindings::new(config.bindings_max);
        let (maxmind, ranges, tables) = (Vec::new(), Ranges::new(&[]), Vec::new());
        Ok(Self { config, table, maxmind, ranges, tables, bindings })
    }

    /// The label of the list of ranges that an address is in, the narrowest first.
    pub fn label(&self, address: IpAddr) -> Option<&str> {
        self.ranges.lookup(address)
    }

    /// The built-in table: whether there is one, its release, whom to name.
    pub fn table(&self) -> &geo::Table {
        &self.table
    }

    /// Uses these databases from now on; the first that knows a part answers it.
    pub fn set_maxmind(&mut self, databases: Vec<MaxMind>) {
        self.maxmind = databases;
    }

    /// Uses these ranges from now on.
    pub fn set_ranges(&mut self, ranges: Ranges) {
        self.ranges = ranges;
    }

    /// Uses these tables from now on; the first that knows a field fills it.
    pub fn set_tables(&mut self, tables: Vec<Attached>) {
        self.tables = tables;
    }

    /// Who had an address when, as learned.
    pub fn bindings(&self) -> &Bindings {
        &self.bindings
    }

    /// The same, to go on from what was saved or to forget what is old.
    pub fn bindings_mut(&mut self) -> &mut Bindings {
        &mut self.bindings
    }

    /// Learns from events who has which address. Call it before [`Enricher::enrich`], so that the
    /// events of one batch know each other.
    pub fn learn(&mut self, batch: &Batch) {
        learn::learn(&self.config.learn, batch, &mut self.bindings);
    }

    /// What is known about an address, from the databases and the table.
    ///
    /// # Errors
    /// When the record of a database is broken.
    pub fn place(&self, address: IpAddr) -> Result<Place<'_>, maxmind::MaxMindError> {
        let mut place = Place::default();
        for database in &self.maxmind {
            place = place.or(database.lookup(address)?);
        }
        Ok(place.or(self.table.lookup(address)))
    }

    /// Adds what is known.
    ///
    /// # Errors
    /// When Arrow cannot build the columns, such as text past 2 GiB.
    pub fn enrich(&self, batch: &Batch) -> Result<Enriched, BatchError> {
        let (mut fills, mut broken) = (Vec::new(), 0);
        for id in [fields::SOURCE_IP, fields::DESTINATION_IP] {
            broken += self.addresses(batch, id, &mut fills);
        }
        if self.config.agents {
            agents(batch, &mut fills);
        }
        if self.config.domains {
            domains(batch, &mut fills);
        }
        for table in &self.tables {
            for id in &table.fields {
                rows(batch, &table.lookup, *id, &mut fills);
            }
        }
        match fills.is_empty() {
            true => Ok(Enriched { batch: batch.clone(), broken }),
            false => Ok(Enriched { batch: fill::apply(batch, fills)?, broken }),
        }
    }

    /// Everything about the addresses of one column; answers how many records were broken.
    fn addresses(&self, batch: &Batch, id: FieldId, fills: &mut Vec<Fill>) -> usize {
        let Some(column) = batch.text(id) else { return 0 };
        let distinct = Distinct::of(column);
        let side = parent(id);
        let addresses: Vec<Option<IpAddr>> =
            distinct.values.iter().map(|text| text.parse().ok()).collect();
        let mut broken = 0;
        if self.config.geo {
            let places: Vec<Place<'_>> = addresses
                .iter()
                .map(|address| address.map_or(Ok(Place::default()), |a| self.place(a)))
                .map(|place| place.inspect_err(|_| broken += 1).unwrap_or_default())
                .collect();
            let add = |name: &str, value: &dyn Fn(&Place<'_>) -> Option<String>| {
                distinct.fill(format!("{side}.{name}"), places.iter().map(value).collect())
            };
            fills.push(add("geo.country_iso_code", &|place| place.country.map(String::from)));
            fills.push(add("as.number", &|place| place.network.map(|n| n.to_string())).numbers());
            fills.push(add("as.organization.name", &|p| p.organization.map(String::from)));
        }
        if self.config.ranges {
            let label = |address: &Option<IpAddr>| self.ranges.lookup((*address)?);
            let labels = addresses.iter().map(|address| label(address).map(String::from)).collect();
            fills.push(distinct.fill(format!("{side}.network.name"), labels));
        }
        if !self.bindings.is_empty() {
            self.holders(batch, &distinct, side, fills);
        }
        broken
    }

    /// Who had each address when the event happened.
    fn holders(&self, batch: &Batch, all: &Distinct<'_>, side: &str, fills: &mut Vec<Fill>) {
        let times = batch.event_times();
        for (role, name) in
            [(Role::Host, "host.name"), (Role::User, "user.name"), (Role::Mac, "mac")]
        {
            let spans: Vec<_> = all.values.iter().map(|a| self.bindings.address(role, a)).collect();
            let mut values = Vec::new();
            let place = |(row, time): (usize, &i64)| {
                let holder = spans[all.at(row)?]?.at(*time)?;
                // Neighbours are mostly alike.
                if values.last().is_none_or(|last: &Option<String>| last.as_deref() != Some(holder))
                {
                    values.push(Some(holder.to_string()));
                }
                Some(values.len() as u32 - 1)
            };
            let rows = times.iter().enumerate().map(place).collect();
            fills.push(Fill::by_row(format!("{side}.{name}"), rows, values));
        }
    }
}

/// `source.ip` has `source`.
fn parent(id: FieldId) -> &'static str {
    id.name().rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn agents(batch: &Batch, fills: &mut Vec<Fill>) {
    let Some(column) = batch.text(fields::USER_AGENT) else { return };
    let distinct = Distinct::of(column);
    let read: Vec<_> = distinct.values.iter().map(|text| agent::read(text)).collect();
    let mut add = |name: &str, part: &dyn Fn(&agent::Agent<'_>) -> Option<String>| {
        let values = read.iter().map(|agent| part(agent.as_ref()?)).collect();
        fills.push(distinct.fill(format!("user_agent.{name}"), values));
    };
    add("name", &|agent| Some(agent.name.to_string()));
    add("version", &|agent| agent.version.map(String::from));
    add("type", &|agent| Some(agent.kind.name().to_string()));
    add("os.name", &|agent| agent.os.map(String::from));
    add("os.version", &|agent| agent.os_version.as_deref().map(String::from));
    add("device.name", &|agent| agent.device.map(String::from));
}

fn domains(batch: &Batch, fills: &mut Vec<Fill>) {
    for id in [fields::DNS_QUESTION, fields::SOURCE_HOST, fields::DESTINATION_HOST] {
        let Some(column) = batch.text(id) else { continue };
        let distinct = Distinct::of(column);
        let read: Vec<_> = distinct.values.iter().map(|n| domain::Domain::of(n)).collect();
        let mut add = |name: &str, part: &dyn Fn(&domain::Domain) -> Option<&str>| {
            let values = read.iter().map(|d| part(d.as_ref()?).map(String::from)).collect();
            fills.push(distinct.fill(format!("{}.{name}", parent(id)), values));
        };
        add("registered_domain", &|domain| Some(domain.registered()));
        if id == fields::DNS_QUESTION {
            add("subdomain", &|domain| domain.subdomain());
            add("top_level_domain", &|domain| Some(domain.suffix()));
        }
    }
    let Some(column) = batch.text(fields::URL_ORIGINAL) else { return };
    let distinct = Distinct::of(column);
    let hosts: Vec<Option<&str>> = distinct.values.iter().map(|url| domain::host(url)).collect();
    let registered = |host: &Option<&str>| Some(domain::Domain::of((*host)?)?.registered().into());
    let names = hosts.iter().map(|host| host.map(str::to_lowercase)).collect();
    fills.push(distinct.fill("url.domain".into(), names));
    let registered = hosts.iter().map(registered).collect();
    fills.push(distinct.fill("url.registered_domain".into(), registered));
}

/// The rows of a user's table that held for a column's values when the events happened.
fn rows(batch: &Batch, table: &Lookup, id: FieldId, fills: &mut Vec<Fill>) {
    let Some(column) = batch.text(id) else { return };
    let distinct = Distinct::of(column);
    let keys: Vec<_> = distinct.values.iter().map(|key| table.key(key)).collect();
    // The rows found, each once, and the place of each event's row among them.
    let mut found = hashbrown::HashMap::new();
    let mut order = Vec::new();
    let mut place = |(row, time): (usize, &i64)| {
        let found_row = keys[distinct.at(row)?]?.find(*time)?;
        Some(*found.entry(found_row).or_insert_with(|| {
            order.push(found_row);
            order.len() as u32 - 1
        }))
    };
    let places: Vec<Option<u32>> = batch.event_times().iter().enumerate().map(&mut place).collect();
    for (at, name) in table.columns().iter().enumerate() {
        let value = |row: &u32| table.values(*row).get(at).filter(|v| !v.is_empty()).cloned();
        let values = order.iter().map(value).collect();
        let name = match parent(id) {
            "" => name.clone(),
            parent => format!("{parent}.{name}"),
        };
        fills.push(Fill::by_row(name, places.clone(), values));
    }
}

#[cfg(test)]
mod tests {
    use pugmark_event::json::RowWriter;
    use pugmark_event::time::{HOUR, Micros};
    use pugmark_event::{BatchBuilder, Value};

    use super::*;

    const NOW: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

    fn enricher(config: Config) -> Enricher {
        // Without the table of the build, which takes a while to read and has other answers.
        let mut enricher = Enricher::new(Config { geo: false, ..config.clone() }).unwrap();
        enricher.config = config;
        let mut table = geo::Builder::default();
        table.countries(b"203.0.113.0,203.0.113.255,DE").unwrap();
        table.networks(b"203.0.113.0,203.0.113.127,64500,Example").unwrap();
        enricher.table = table.finish("", "");
        enricher.set_ranges(Ranges::new(&[ranges::List::read("tor", b"203.0.113.9").unwrap()]));
        let lookup = Lookup::read(b"host,owner,site\nWEB1,anna,\n").unwrap();
        let columns = Lookup::read(b"user,id,target.name,email\ncarla,u7,,c@example.org").unwrap();
        let ports = Lookup::read(b"host,port\ndb1,5432\ndb2,many").unwrap();
        enricher.set_tables(vec![
            Attached { lookup: lookup.into(), fields: vec![fields::HOST_NAME] },
            Attached { lookup: columns.into(), fields: vec![fields::USER_NAME] },
            Attached { lookup: ports.into(), fields: vec![fields::DESTINATION_HOST] },
        ]);
        enricher
    }

    /// Events of (names and values), an hour between each.
    fn batch(events: &[&[(&str, &str)]]) -> Batch {
        let mut builder = BatchBuilder::new("test", NOW);
        for (row, event) in (0..).zip(events) {
            builder.begin(row, b"raw");
            event.iter().for_each(|(name, value)| builder.named(name, Value::Text(value)));
            builder.end(Some(NOW - 10 * HOUR + row * HOUR));
        }
        builder.finish().unwrap()
    }

    fn shown(batch: &Batch, row: usize) -> serde_json::Map<String, serde_json::Value> {
        let mut json = Vec::new();
        RowWriter::new(batch.columns()).write(row, &mut json);
        serde_json::from_slice(&json).unwrap()
    }

    /// What the last event has afterwards that it had not before.
    #[track_caller]
    fn check(config: &Config, events: &[&[(&str, &str)]], expected: &str) {
        let before = batch(events);
        let mut enricher = enricher(config.clone());
        enricher.learn(&before);
        let after = enricher.enrich(&before).unwrap();
        assert_eq!((after.broken, after.batch.rows()), (0, before.rows()));
        let last = events.len() - 1;
        let (before, mut after) = (shown(&before, last), shown(&after.batch, last));
        for (name, value) in before {
            assert_eq!(after.shift_remove(&name), Some(value), "{name} changed");
        }
        let mut found: Vec<_> = after.into_iter().map(|(name, v)| format!("{name}={v}")).collect();
        found.sort();
        assert_eq!(found.join(" ").replace('"', ""), expected, "{events:?}");
    }

    #[test]
    fn what_is_known_is_added() {
        let all = Config::default();
        check(&all, &[&[("event.action", "x")]], "");
        check(
            &all,
            &[&[("source.ip", "192.0.2.1")], &[("source.ip", "203.0.113.9")]],
            "source.as.number=64500 source.as.organization.name=Example \
             source.geo.country_iso_code=DE source.network.name=tor",
        );
        check(&all, &[&[("destination.ip", "10.0.0.1")]], "destination.network.name=private");
        check(&all, &[&[("source.ip", "198.18.0.1")], &[("event.action", "x")]], "");
        check(
            &all,
            &[&[("user_agent.original", "curl/8.0")]],
            "user_agent.name=curl user_agent.type=library user_agent.version=8.0",
        );
        check(
            &all,
            &[&[("dns.question.name", "a.example.co.uk")]],
            "dns.question.registered_domain=example.co.uk dns.question.subdomain=a \
             dns.question.top_level_domain=co.uk",
        );
        check(
            &all,
            &[&[("url.original", "https://WWW.example.org/x")]],
            "url.domain=www.example.org url.registered_domain=example.org",
        );
        check(&all, &[&[("host.name", "web1")]], "host.owner=anna");
        // Registered fields take their columns, text and numbers; what is no number is left out.
        check(&all, &[&[("user.name", "Carla")]], "user.email=c@example.org user.id=u7");
        check(&all, &[&[("destination.domain", "db1")]], "destination.port=5432");
        check(&all, &[&[("destination.domain", "db2")]], "");
        let own = [("destination.domain", "db1"), ("destination.port", "1")];
        check(&all, &[&[("destination.domain", "db1")], &own], "");
    }

    #[test]
    fn what_a_record_says_stays() {
        let country = [("source.ip", "203.0.113.200"), ("source.geo.country_iso_code", "FR")];
        check(&Config::default(), &[&country], "source.network.name=documentation");
        let owner = [("host.name", "web1"), ("host.owner", "bob"), ("x", "y")];
        check(&Config::default(), &[&owner], "");
    }

    #[test]
    fn a_part_may_be_off() {
        let none = Config {
            geo: false,
            ranges: false,
            agents: false,
            domains: false,
            ..Config::default()
        };
        let event = [
            ("source.ip", "203.0.113.9"),
            ("user_agent.original", "curl/8.0"),
            ("dns.question.name", "a.example.com"),
        ];
        check(&none, &[&event], "");
        let text = r#"{"geo": false}"#;
        let read: Config = serde_json::from_str(text).unwrap();
        assert_eq!(read, Config { geo: false, ..Config::default() });
        assert!(serde_json::from_str::<Config>(r#"{"place": false}"#).is_err());
    }

    #[test]
    fn events_know_who_had_an_address() {
        let config = Config { ranges: false, geo: false, ..Config::default() };
        let lease = |host, mac| {
            [
                ("event.action", "dhcp_ack"),
                ("source.ip", "10.0.0.7"),
                ("source.domain", host),
                ("source.mac", mac),
            ]
        };
        let (one, two) = (lease("pc1", "02:00:00:00:00:01"), lease("pc2", "02:00:00:00:00:02"));
        let login = |address, outcome| {
            [
                ("event.action", "login"),
                ("event.outcome", outcome),
                ("source.ip", address),
                ("user.name", "anna"),
            ]
        };
        let end = [("event.action", "dhcp_release"), ("source.ip", "10.0.0.7")];
        let seen = [("destination.ip", "10.0.0.7")];
        let first = "destination.host.name=pc1 destination.mac=02:00:00:00:00:01";
        let second = "destination.host.name=pc2 destination.mac=02:00:00:00:00:02";
        check(&config, &[&one, &seen], first);
        check(&config, &[&one, &two, &seen], second);
        check(&config, &[&seen], "");
        check(&config, &[&one, &end, &seen], "");
        check(&config, &[&login("10.0.0.7", "success"), &seen], "destination.user.name=anna");
        check(&config, &[&login("10.0.0.7", "failure"), &seen], "");
        let public = [("source.ip", "203.0.113.9")];
        check(&config, &[&login("203.0.113.9", "success"), &public], "");
        let vpn = [
            ("event.action", "vpn_address_assigned"),
            ("asa.assigned_ip", "10.0.0.7"),
            ("user.name", "anna"),
        ];
        check(&config, &[&vpn, &seen], "destination.user.name=anna");
    }
}
