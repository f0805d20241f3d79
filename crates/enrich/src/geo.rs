//! Country and network (autonomous system) of an address: a table in the binary, built from CSV.
//!
//! The table is one file of our own, because general formats are several times as large or as slow
//! to load. All integers are little-endian; `varint` is LEB128.
//!
//! ```text
//! magic     8 bytes  "PUGGEO\0" and the version of the format, 1
//! checksum  u32      CRC-32 (IEEE) of everything after it
//! size      u32      bytes of the body before compression
//! body               zstd:
//!   release, attribution               varint length and UTF-8, each
//!   places    varint count; then the countries (2 bytes each, "\0\0": unknown) in one block,
//!             then the network numbers (varint, 0: unknown)
//!   names     varint count; then the network numbers (varint, distances), then the names' lengths
//!             (varint), then their text in one block
//!   IPv4      varint count; then the starts (varint, distances), then the places (varint, position
//!             plus 1; 0: nothing is known from here on)
//!   IPv6      the same
//! ```
//!
//! In memory the starts are a sorted array and a lookup is a binary search.

use std::net::IpAddr;

use hashbrown::HashMap;

use crate::span::{NONE, Point, Spans};

/// Format and version.
const MAGIC: &[u8; 8] = b"PUGGEO\0\x01";
/// Longest body that is unpacked, in bytes; the whole internet takes a tenth of it.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Longest name of a network that is kept, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Level at which a table is packed: once per release, so time does not matter.
const ZSTD_LEVEL: i32 = 19;

/// The table that the build found, empty if there was none.
const BUILTIN: &[u8] = include!(concat!(env!("OUT_DIR"), "/geo.rs"));

/// Why bytes are no table, or a line is no range.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GeoError {
    /// The bytes do not begin as a table does.
    #[error("this is no table of countries and networks of version 1; build it anew")]
    Magic,
    /// The bytes are not those that were written.
    #[error("the table of countries and networks is damaged ({0}); build it anew")]
    Damaged(&'static str),
    /// A line of a CSV file is no range.
    #[error("line {line}: {what}; expected `first address,last address,value`")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// What is known about an address. Unknown parts are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// ISO 3166-1 alpha-2: `DE`.
    pub country: Option<&'a str>,
    /// Number of the autonomous system.
    pub network: Option<u32>,
    /// Name of whoever runs it.
    pub organization: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// What `other` knows fills what is unknown here.
    pub(crate) fn or(self, other: Place<'a>) -> Place<'a> {
        let same = self.network.is_none() || self.network == other.network;
        Place {
            country: self.country.or(other.country),
            network: self.network.or(other.network),
            // The name belongs to the number.
            organization: self.organization.or(other.organization.filter(|_| same)),
        }
    }
}

/// Country and network by address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    v4: Spans<u32>,
    v6: Spans<u128>,
    /// Country (zeros: unknown) and network number (0: unknown).
    places: Vec<([u8; 2], u32)>,
    names: Names,
    release: String,
    attribution: String,
}

/// Names of networks, by ascending number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    numbers: Vec<u32>,
    /// Where each name ends in `text`.
    ends: Vec<u32>,
    text: String,
}

impl Names {
    fn get(&self, number: u32) -> Option<&str> {
        let at = self.numbers.binary_search(&number).ok()?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start as usize..self.ends[at] as usize)
    }
}

impl Table {
    /// The table in this binary. It is empty when the build had none.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn builtin() -> Result<Table, GeoError> {
        match BUILTIN.is_empty() {
            true => Ok(Table::default()),
            false => Table::read(BUILTIN),
        }
    }

    /// Reads what [`Table::write`] wrote.
    ///
    /// # Errors
    /// When the bytes are something else, or are damaged.
    pub fn read(bytes: &[u8]) -> Result<Table, GeoError> {
        let (checksum, rest) = bytes
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.split_first_chunk::<4>())
            .ok_or(GeoError::Magic)?;
        if crc32fast::hash(rest) != u32::from_le_bytes(*checksum) {
            return Err(GeoError::Damaged("wrong checksum"));
        }
        let (size, packed) = rest.split_first_chunk::<4>().ok_or(GeoError::Damaged("cut"))?;
        let size = u32::from_le_bytes(*size) as usize;
        if size > BODY_BYTES_MAX {
            return Err(GeoError::Damaged("too large"));
        }
        let body = zstd::bulk::decompress(packed, size);
        let body = body.map_err(|_| GeoError::Damaged("not packed by zstd"))?;
        let mut input = Input { rest: &body };
        input.table().filter(|_| input.rest.is_empty()).ok_or(GeoError::Damaged("wrong content"))
    }

    /// The table as bytes.
    ///
    /// # Errors
    /// When it is larger than what [`Table::read`] takes.
    pub fn write(&self) -> Result<Vec<u8>, GeoError> {
        let body = self.body();
        if body.len() > BODY_BYTES_MAX {
            return Err(GeoError::Damaged("too large"));
        }
        let packed = zstd::bulk::compress(&body, ZSTD_LEVEL);
        let packed = packed.map_err(|_| GeoError::Damaged("zstd cannot pack it"))?;
        let mut rest = (body.len() as u32).to_le_bytes().to_vec();
        rest.extend(packed);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(crc32fast::hash(&rest).to_le_bytes());
        bytes.extend(rest);
        Ok(bytes)
    }

    fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for text in [&self.release, &self.attribution] {
            put(&mut out, text.len() as u128);
            out.extend(text.as_bytes());
        }
        put(&mut out, self.places.len() as u128);
        self.places.iter().for_each(|(country, _)| out.extend(country));
        self.places.iter().for_each(|(_, number)| put(&mut out, u128::from(*number)));
        put(&mut out, self.names.numbers.len() as u128);
        put_distances(&mut out, &self.names.numbers);
        put_distances(&mut out, &self.names.ends);
        out.extend(self.names.text.as_bytes());
        put_spans(&mut out, &self.v4);
        put_spans(&mut out, &self.v6);
        out
    }

    /// What is known about an address.
    pub fn lookup(&self, address: IpAddr) -> Place<'_> {
        let place = match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.find(v4.into()),
            IpAddr::V6(v6) => self.v6.find(v6.into()),
        };
        let Some((country, number)) = place.and_then(|at| self.places.get(at as usize)) else {
            return Place::default();
        };
        Place {
            country: std::str::from_utf8(country).ok().filter(|_| *country != [0; 2]),
            network: Some(*number).filter(|number| *number != 0),
            organization: self.names.get(*number),
        }
    }

    /// True when the build had no data: `cargo xtask geo` gets it.
    pub fn is_empty(&self) -> bool {
        self.ranges() == 0
    }

    /// Number of ranges with one answer.
    pub fn ranges(&self) -> usize {
        self.v4.parts().0.len() + self.v6.parts().0.len()
    }

    /// Which data this is: names and versions of the packages it was made of.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Whom to name wherever countries and networks are shown, as the licence of the data asks.
    pub fn attribution(&self) -> &str {
        &self.attribution
    }
}

fn put(out: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_distances<P: Copy + Into<u128>>(out: &mut Vec<u8>, numbers: &[P]) {
    let mut before = 0;
    for number in numbers.iter().map(|number| (*number).into()) {
        put(out, number - before);
        before = number;
    }
}

fn put_spans<P: Point + Into<u128>>(out: &mut Vec<u8>, spans: &Spans<P>) {
    let (starts, values) = spans.parts();
    put(out, starts.len() as u128);
    put_distances(out, starts);
    values.iter().for_each(|value| put(out, u128::from(value.wrapping_add(1))));
}

/// Reads a body. Every answer is `None` where it ends too early or holds what it cannot.
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn table(&mut self) -> Option<Table> {
        let release = self.text()?.to_string();
        let attribution = self.text()?.to_string();
        let places = self.places()?;
        let names = self.names()?;
        let v4 = self.spans(places.len())?;
        let v6 = self.spans(places.len())?;
        Some(Table { v4, v6, places, names, release, attribution })
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u128> {
        let mut number = 0u128;
        for shift in (0..128).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u128::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// A count of things that take at least a byte each, so that it is bounded by what is there.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.rest.len()).then_some(count)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn places(&mut self) -> Option<Vec<([u8; 2], u32)>> {
        let count = self.count()?;
        let countries = self.take(count.checked_mul(2)?)?.as_chunks::<2>().0;
        countries.iter().map(|country| Some((*country, self.small()?))).collect()
    }

    fn distances<P: TryFrom<u128>>(&mut self, count: usize) -> Option<Vec<P>> {
        let mut at = 0u128;
        let next = |_| {
            at = at.checked_add(self.number()?)?;
            P::try_from(at).ok()
        };
        (0..count).map(next).collect()
    }

    fn names(&mut self) -> Option<Names> {
        let count = self.count()?;
        let numbers = self.distances::<u32>(count)?;
        let ends = self.distances::<u32>(count)?;
        let text = self.take(ends.last().map_or(0, |end| *end as usize))?;
        let text = std::str::from_utf8(text).ok()?.to_string();
        numbers.is_sorted_by(|a, b| a < b).then_some(Names { numbers, ends, text })
    }

    fn spans<P: Point + TryFrom<u128>>(&mut self, places: usize) -> Option<Spans<P>> {
        let count = self.count()?;
        let starts = self.distances::<P>(count)?;
        let value = |_| match self.small()? as usize {
            0 => Some(NONE),
            at => (at <= places).then_some(at as u32 - 1),
        };
        let values = (0..count).map(value).collect::<Option<Vec<u32>>>()?;
        Spans::from_parts(starts, values)
    }
}

/// Makes a [`Table`] of CSV files with inclusive ranges, in any order; IPv4 and IPv6 may mix.
#[derive(Debug, Default)]
pub struct Builder {
    countries: Ranges,
    networks: Ranges,
    names: HashMap<u32, String>,
}

/// First address, last address and value, by family.
#[derive(Debug, Default)]
struct Ranges {
    v4: Vec<(u32, u32, u32)>,
    v6: Vec<(u128, u128, u32)>,
}

impl Ranges {
    fn push(&mut self, first: IpAddr, last: IpAddr, value: u32) -> Result<(), &'static str> {
        match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) if a <= b => self.v4.push((a.into(), b.into(), value)),
            (IpAddr::V6(a), IpAddr::V6(b)) if a <= b => self.v6.push((a.into(), b.into(), value)),
            _ => return Err("the range ends before it begins"),
        }
        Ok(())
    }
}

impl Builder {
    /// Adds lines `first,last,country`.
    ///
    /// # Errors
    /// At the first line that is something else.
    pub fn countries(&mut self, csv: &[u8]) -> Result<(), GeoError> {
        each_line(csv, |first, last, row| {
            let code: [u8; 2] = row.get(2).and_then(|code| code.try_into().ok()).ok_or(COUNTRY)?;
            if !code.iter().all(u8::is_ascii_uppercase) {
                return Err(COUNTRY);
            }
            self.countries.push(first, last, u16::from_be_bytes(code).into())
        })
    }

    /// Adds lines `first,last,number,name`; the name may be absent.
    ///
    /// # Errors
    /// At the first line that is something else.
    pub fn networks(&mut self, csv: &[u8]) -> Result<(), GeoError> {
        each_line(csv, |first, last, row| {
            let number =
                row.get(2).and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
            let number = number.filter(|number| *number != NONE).ok_or(NUMBER)?;
            let name = String::from_utf8_lossy(row.get(3).unwrap_or_default());
            let name = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
            if !name.is_empty() && name != "-" {
                self.names.entry(number).or_insert_with(|| name.to_string());
            }
            match number {
                0 => Ok(()),
                number => self.networks.push(first, last, number),
            }
        })
    }

    /// The table. `release` says which data it was, `attribution` whom its licence wants named.
    pub fn finish(self, release: &str, attribution: &str) -> Table {
        let mut places = Places::default();
        let v4 = Spans::of(self.countries.v4)
            .zip(&Spans::of(self.networks.v4), |country, number| places.of(country, number));
        let v6 = Spans::of(self.countries.v6)
            .zip(&Spans::of(self.networks.v6), |country, number| places.of(country, number));
        let mut sorted: Vec<(u32, String)> = self.names.into_iter().collect();
        sorted.sort_unstable();
        let mut names = Names::default();
        for (number, name) in sorted {
            names.text.push_str(&name);
            names.numbers.push(number);
            names.ends.push(names.text.len() as u32);
        }
        let (release, attribution) = (release.to_string(), attribution.to_string());
        Table { v4, v6, places: places.list, names, release, attribution }
    }
}

const COUNTRY: &str = "the third value is no country of two capital letters";
const NUMBER: &str = "the third value is no network number";

/// Each different pair of country and network once.
#[derive(Default)]
struct Places {
    list: Vec<([u8; 2], u32)>,
    known: HashMap<(u32, u32), u32>,
}

impl Places {
    fn of(&mut self, country: u32, number: u32) -> u32 {
        if (country, number) == (NONE, NONE) {
            return NONE;
        }
        let code = u16::try_from(country).map_or([0; 2], u16::to_be_bytes);
        let number = if number == NONE { 0 } else { number };
        *self.known.entry((country, number)).or_insert_with(|| {
            self.list.push((code, number));
            self.list.len() as u32 - 1
        })
    }
}

fn each_line(
    csv: &[u8],
    mut take: impl FnMut(IpAddr, IpAddr, &csv::ByteRecord) -> Result<(), &'static str>,
) -> Result<(), GeoError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(csv);
    let mut row = csv::ByteRecord::new();
    loop {
        let line = reader.position().line();
        let more = reader.read_byte_record(&mut row);
        if !more.map_err(|_| GeoError::Line { line, what: "it is no CSV" })? {
            return Ok(());
        }
        let line = row.position().map_or(line, csv::Position::line);
        let address = |at| std::str::from_utf8(row.get(at)?).ok()?.parse().ok();
        let taken = match (address(0), address(1)) {
            (Some(first), Some(last)) => take(first, last, &row),
            _ => Err("the first two values are no addresses"),
        };
        taken.map_err(|what| GeoError::Line { line, what })?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COUNTRIES: &str = "192.0.2.0,192.0.2.255,DE\n198.51.100.0,198.51.100.127,FR\n\
                             2001:db8::,2001:db8::ffff,JP\n";
    const NETWORKS: &str = "192.0.2.128,192.0.3.255,64500,\"Example, Inc.\"\n\
                            2001:db8::8000,2001:db8::ffff,64501,Other\n203.0.113.0,203.0.113.0,0,-\n";

    fn table() -> Table {
        let mut builder = Builder::default();
        builder.countries(COUNTRIES.as_bytes()).unwrap();
        builder.networks(NETWORKS.as_bytes()).unwrap();
        builder.finish("test 1", "test data")
    }

    #[track_caller]
    fn check(address: &str, expected: (Option<&str>, Option<u32>, Option<&str>)) {
        let table = Table::read(&table().write().unwrap()).unwrap();
        let found = table.lookup(address.parse().unwrap());
        assert_eq!((found.country, found.network, found.organization), expected, "{address}");
    }

    #[test]
    fn an_address_has_the_country_and_the_network_around_it() {
        let example = Some("Example, Inc.");
        check("192.0.2.0", (Some("DE"), None, None));
        check("192.0.2.200", (Some("DE"), Some(64500), example));
        check("::ffff:192.0.2.200", (Some("DE"), Some(64500), example));
        check("192.0.3.0", (None, Some(64500), example));
        check("192.0.4.0", (None, None, None));
        check("198.51.100.127", (Some("FR"), None, None));
        check("198.51.100.128", (None, None, None));
        check("2001:db8::1", (Some("JP"), None, None));
        check("2001:db8::ffff", (Some("JP"), Some(64501), Some("Other")));
        check("2001:db8::1:0", (None, None, None));
        check("0.0.0.0", (None, None, None));
        check("255.255.255.255", (None, None, None));
        check("203.0.113.0", (None, None, None));
    }

    #[test]
    fn a_table_is_written_and_read() {
        let table = table();
        assert_eq!((table.release(), table.attribution()), ("test 1", "test data"));
        assert_eq!(Table::read(&table.write().unwrap()).unwrap(), table);
        assert_eq!(Table::read(&Table::default().write().unwrap()).unwrap(), Table::default());
        assert!(Table::default().is_empty() && !table.is_empty());
    }

    /// With the data there are answers for well-known addresses; without it there are none.
    #[test]
    fn the_table_of_the_build_is_sound() {
        let table = Table::builtin().unwrap();
        assert_eq!(table.is_empty(), BUILTIN.is_empty());
        let found = table.lookup("1.1.1.1".parse().unwrap());
        assert_eq!(found.network, (!table.is_empty()).then_some(13335));
        assert_eq!(table.attribution().is_empty(), table.is_empty());
    }

    #[test]
    fn damage_is_found() {
        let good = table().write().unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let expected = match at {
                0..8 => GeoError::Magic,
                _ => GeoError::Damaged("wrong checksum"),
            };
            assert_eq!(Table::read(&bad), Err(expected), "byte {at}");
            assert!(Table::read(&good[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        let wrong = |what| Err(GeoError::Line { line: 2, what });
        let addresses = "the first two values are no addresses";
        let ends = "the range ends before it begins";
        for (line, expected) in [
            ("1.0.0.1,1.0.0.2,DE", Ok(())),
            ("1.0.0.1,1.0.0.2,Germany", wrong(COUNTRY)),
            ("1.0.0.1,1.0.0.2,de", wrong(COUNTRY)),
            ("1.0.0.1,1.0.0.2", wrong(COUNTRY)),
            ("1.0.0.1,DE", wrong(addresses)),
            ("first,last,DE", wrong(addresses)),
            ("1.0.0.2,1.0.0.1,DE", wrong(ends)),
            ("1.0.0.2,::1,DE", wrong(ends)),
        ] {
            let csv = format!("192.0.2.0,192.0.2.1,DE\n{line}\n");
            assert_eq!(Builder::default().countries(csv.as_bytes()), expected, "{line}");
        }
        let line = b"192.0.2.0,192.0.2.1,AS1";
        let expected = Err(GeoError::Line { line: 1, what: NUMBER });
        assert_eq!(Builder::default().networks(line), expected);
    }

    proptest! {
        /// Below the checksum, where only an attacker gets.
        #[test]
        fn any_body_is_read_or_refused(
            at in 0usize..400, byte: u8, noise in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut body = table().body();
            if let Some(old) = body.get_mut(at) {
                *old = byte;
            }
            for body in [&body, &noise] {
                if let Some(table) = (Input { rest: body }).table() {
                    for address in ["192.0.2.200", "2001:db8::ffff", "255.255.255.255", "ffff::"] {
                        table.lookup(address.parse().unwrap());
                    }
                }
            }
        }

        #[test]
        fn any_csv_is_read_or_refused(csv in "[0-9.:,a-f\"\n]{0,60}") {
            let mut builder = Builder::default();
            let _ = builder.countries(csv.as_bytes());
            let _ = builder.networks(csv.as_bytes());
            let table = builder.finish("", "");
            prop_assert_eq!(Table::read(&table.write().unwrap()).unwrap(), table);
        }

        #[test]
        fn numbers_are_read_as_written(number: u128) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            let mut input = Input { rest: &bytes };
            prop_assert_eq!(input.number(), Some(number));
            prop_assert!(input.rest.is_empty());
        }
    }
}
