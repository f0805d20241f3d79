//! Tables of the user's: what is known about an address or a name, and when it was true.
//!
//! A row has a key, values, and may have an interval in which it holds; the row of the shortest
//! interval around a time counts, so a short lease goes before a long assignment. Tables come from
//! CSV, or row by row from an API.
//!
//! ```text
//! address,owner,site,valid_from,valid_to
//! 192.0.2.7,anna,berlin,2026-01-01,2026-02-01T00:00:00Z
//! 192.0.2.7,bob,,2026-02-01,
//! ```

use std::borrow::Cow;
use std::net::IpAddr;

use hashbrown::HashMap;
use pugmark_event::time::{Micros, parse_bound};

use crate::span::Spans;

/// Most rows of a table.
pub const ROWS_MAX: usize = 5_000_000;
/// Most columns with values.
pub const COLUMNS_MAX: usize = 64;
/// Longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 4096;

const VALID_FROM: &str = "valid_from";
const VALID_TO: &str = "valid_to";

/// Why a table is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {what}")]
pub struct LookupError {
    /// Line of the CSV, or number of the row from an API, counted from 1.
    pub line: u64,
    /// What is wrong, and what to do.
    pub what: String,
}

/// One row, as an API gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Row {
    /// The address or name.
    pub key: String,
    /// The values, in the order of the table's columns; empty ones say nothing.
    pub values: Vec<String>,
    /// When it begins to hold, in microseconds since the epoch; absent: since ever.
    #[serde(default)]
    pub valid_from: Option<Micros>,
    /// When it no longer holds, exclusive; absent: until further notice.
    #[serde(default)]
    pub valid_to: Option<Micros>,
}

/// What is known by key and time.
#[derive(Debug, Clone, Default)]
pub struct Lookup {
    columns: Vec<String>,
    keys: HashMap<String, Spans<Micros>>,
    /// The values of all rows, a row after the other.
    values: Vec<String>,
    /// Whether some row does not hold always.
    timed: bool,
}

impl Lookup {
    /// Reads a table with a header. Its first column is the key; `valid_from` and `valid_to` may
    /// stand anywhere after it, hold a date, RFC 3339 or epoch numbers, and may be empty.
    ///
    /// # Errors
    /// At the first line that is wrong.
    pub fn read(csv: &[u8]) -> Result<Lookup, LookupError> {
        let csv = csv.strip_prefix(b"\xef\xbb\xbf").unwrap_or(csv);
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(csv);
        let header = reader.headers().map_err(|error| not_csv(1, &error))?.clone();
        let header = Header::of(&header).map_err(|what| LookupError { line: 1, what })?;
        let mut rows = Rows::default();
        let mut record = csv::StringRecord::new();
        loop {
            let next = reader.position().line();
            if !reader.read_record(&mut record).map_err(|error| not_csv(next, &error))? {
                break;
            }
            let line = record.position().map_or(next, csv::Position::line);
            let row = header.row(&record);
            row.and_then(|row| rows.push(row, &header.columns))
                .map_err(|what| LookupError { line, what })?;
        }
        Ok(rows.finish(header.columns))
    }

    /// A table of rows with these columns.
    ///
    /// # Errors
    /// At the first row that is wrong.
    pub fn from_rows(
        columns: Vec<String>,
        all: impl IntoIterator<Item = Row>,
    ) -> Result<Lookup, LookupError> {
        let names = columns.iter().map(String::as_str);
        check_columns(names).map_err(|what| LookupError { line: 1, what })?;
        let mut rows = Rows::default();
        for (line, row) in (1..).zip(all) {
            rows.push(row, &columns).map_err(|what| LookupError { line, what })?;
        }
        Ok(rows.finish(columns))
    }

    /// The names of the values.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether what is known of a key depends on the time.
    pub fn goes_by_time(&self) -> bool {
        self.timed
    }

    /// Number of different keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True when there are no rows.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The rows of a key, to be asked for times.
    pub(crate) fn key(&self, key: &str) -> Option<&Spans<Micros>> {
        self.keys.get(normal(key).as_ref())
    }

    /// The values of a row that [`Lookup::key`]'s answer named, one per column.
    pub(crate) fn values(&self, row: u32) -> &[String] {
        let width = self.columns.len();
        let start = (row as usize).saturating_mul(width);
        self.values.get(start..start.saturating_add(width)).unwrap_or_default()
    }

    /// What held for `key` at `time`: names and values, without the empty ones.
    pub fn at(&self, key: &str, time: Micros) -> impl Iterator<Item = (&str, &str)> {
        let row = self.key(key).and_then(|spans| spans.find(time));
        let values = row.map_or(&[][..], |row| self.values(row));
        let named = self.columns.iter().zip(values);
        named.map(|(name, value)| (name.as_str(), value.as_str())).filter(|(_, v)| !v.is_empty())
    }
}

/// The one spelling of a key: addresses as RFC 5952 writes them, IPv4 in IPv6 as IPv4; everything
/// else in lower case, since names of hosts and users have no case.
pub(crate) fn normal(key: &str) -> Cow<'_, str> {
    let key = key.trim();
    if key.contains(':')
        && let Ok(address) = key.parse::<IpAddr>()
    {
        return Cow::Owned(address.to_canonical().to_string());
    }
    match key.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        true => Cow::Borrowed(key),
        false => Cow::Owned(key.to_lowercase()),
    }
}

fn not_csv(line: u64, error: &csv::Error) -> LookupError {
    let line = error.position().map_or(line, csv::Position::line).max(1);
    LookupError { line, what: format!("this is no CSV ({error}); save it as UTF-8 with commas") }
}

fn check_columns<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if name.is_empty() || name.len() > 64 {
            return Err(format!("column {} has no name of 1 to 64 bytes; name it", seen.len() + 1));
        }
        if seen.contains(&name) {
            return Err(format!("the column `{name}` is there twice; rename or remove one"));
        }
        seen.push(name);
    }
    match seen.len() {
        0 => Err("there are no columns with values; add one beside the key".into()),
        many if many > COLUMNS_MAX => {
            Err(format!("{many} columns are more than {COLUMNS_MAX}; remove what nobody needs"))
        }
        _ => Ok(()),
    }
}

/// Where things stand in a row.
struct Header {
    columns: Vec<String>,
    places: Vec<usize>,
    from: Option<usize>,
    to: Option<usize>,
    width: usize,
}

impl Header {
    fn of(names: &csv::StringRecord) -> Result<Header, String> {
        let place = |wanted| names.iter().skip(1).position(|name| name == wanted).map(|at| at + 1);
        let is_value = |(_, name): &(usize, &str)| *name != VALID_FROM && *name != VALID_TO;
        let (places, columns): (Vec<usize>, Vec<&str>) =
            names.iter().enumerate().skip(1).filter(is_value).unzip();
        check_columns(columns.iter().copied())?;
        let columns = columns.into_iter().map(String::from).collect();
        let (from, to) = (place(VALID_FROM), place(VALID_TO));
        Ok(Header { columns, places, from, to, width: names.len() })
    }

    fn row(&self, record: &csv::StringRecord) -> Result<Row, String> {
        if record.len() != self.width {
            let (found, expected) = (record.len(), self.width);
            return Err(format!(
                "{found} values where the header has {expected}; put values with commas in quotes"
            ));
        }
        let value = |at: usize| record.get(at).unwrap_or_default();
        let time = |at: Option<usize>| at.map(value).filter(|text| !text.is_empty()).map(time);
        Ok(Row {
            key: value(0).to_string(),
            values: self.places.iter().map(|at| value(*at).to_string()).collect(),
            valid_from: time(self.from).transpose()?,
            valid_to: time(self.to).transpose()?,
        })
    }
}

fn time(text: &str) -> Result<Micros, String> {
    // `now` is for questions: a table that means another time each day would be no table.
    let read = parse_bound(text, 0).filter(|_| !text.starts_with("now"));
    read.ok_or_else(|| {
        format!("`{}` is no time; write 2026-11-23 or 2026-11-23T10:00:00Z", shown(text))
    })
}

/// The start of a text, for a message.
fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(60)]
}

/// Rows on their way into a table.
#[derive(Default)]
struct Rows {
    keys: HashMap<String, Vec<(Micros, Micros, u32)>>,
    values: Vec<String>,
    count: u32,
    timed: bool,
}

impl Rows {
    fn push(&mut self, row: Row, columns: &[String]) -> Result<(), String> {
        if self.count as usize >= ROWS_MAX {
            return Err(format!("more than {ROWS_MAX} rows; split the table"));
        }
        if row.values.len() != columns.len() {
            let (found, expected) = (row.values.len(), columns.len());
            return Err(format!("{found} values for {expected} columns; give one for each"));
        }
        if let Some(long) = row.values.iter().chain([&row.key]).find(|v| v.len() > VALUE_BYTES_MAX)
        {
            let text = shown(long);
            return Err(format!("`{text}...` is longer than {VALUE_BYTES_MAX} bytes; shorten it"));
        }
        let key = normal(&row.key);
        if key.is_empty() {
            return Err("the key is empty; fill it in or remove the row".into());
        }
        let (from, to) =
            (row.valid_from.unwrap_or(Micros::MIN), row.valid_to.unwrap_or(Micros::MAX));
        if from >= to {
            return Err("it ends before it begins; exchange valid_from and valid_to".into());
        }
        self.timed |= (from, to) != (Micros::MIN, Micros::MAX);
        // The end is exclusive; that of all times is not reached anyway.
        let span = (from, to - 1, self.count);
        self.keys.entry(key.into_owned()).or_default().push(span);
        self.values.extend(row.values);
        self.count += 1;
        Ok(())
    }

    fn finish(self, columns: Vec<String>) -> Lookup {
        let keys = self.keys.into_iter().map(|(key, rows)| (key, Spans::of(rows))).collect();
        Lookup { columns, keys, values: self.values, timed: self.timed }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: &str = "address,owner,valid_from,site,valid_to\n\
        192.0.2.7,anna,2026-01-01,berlin,2026-02-01\n\
        192.0.2.7,bob,2026-02-01,,\n\
        192.0.2.7,guest,2026-03-01T10:00:00Z,lobby,2026-03-01T11:00:00Z\n\
        2001:DB8:0::1,carla,,paris,\n\
        \"DB1.example.org\",\"team, db\",,rome,\n";

    #[track_caller]
    fn check(key: &str, time: &str, expected: &[(&str, &str)]) {
        let table = Lookup::read(TABLE.as_bytes()).unwrap();
        let found: Vec<_> = table.at(key, parse_bound(time, 0).unwrap()).collect();
        assert_eq!(found, expected, "{key} {time}");
    }

    #[test]
    fn only_rows_with_an_interval_go_by_time() {
        assert!(Lookup::read(TABLE.as_bytes()).unwrap().goes_by_time());
        assert!(!Lookup::read(b"user,team\nroot,ops\n").unwrap().goes_by_time());
    }

    #[test]
    fn who_had_this_address_then() {
        check("192.0.2.7", "2025-12-31T23:59:59Z", &[]);
        check("192.0.2.7", "2026-01-01", &[("owner", "anna"), ("site", "berlin")]);
        check("192.0.2.7", "2026-01-31T23:59:59Z", &[("owner", "anna"), ("site", "berlin")]);
        check("192.0.2.7", "2026-02-01", &[("owner", "bob")]);
        check("192.0.2.7", "2026-03-01T10:30:00Z", &[("owner", "guest"), ("site", "lobby")]);
        check("192.0.2.7", "2026-03-01T11:00:00Z", &[("owner", "bob")]);
        check("192.0.2.8", "2026-03-01", &[]);
        check("2001:db8::1", "1999-01-01", &[("owner", "carla"), ("site", "paris")]);
        check("::ffff:192.0.2.7", "2026-02-01", &[("owner", "bob")]);
        check("db1.EXAMPLE.org", "2026-01-01", &[("owner", "team, db"), ("site", "rome")]);
    }

    #[test]
    fn rows_of_an_api_are_the_same_table() {
        let row = |key: &str, from, to| Row {
            key: key.into(),
            values: vec!["x".into()],
            valid_from: from,
            valid_to: to,
        };
        let table = Lookup::from_rows(vec!["v".into()], [row("A", Some(5), Some(9))]).unwrap();
        for (time, expected) in [(4, 0), (5, 1), (8, 1), (9, 0)] {
            assert_eq!(table.at("a", time).count(), expected, "{time}");
        }
        for (bad, what) in [
            (row("", None, None), "the key is empty; fill it in or remove the row"),
            (
                row("a", Some(5), Some(5)),
                "it ends before it begins; exchange valid_from and valid_to",
            ),
            (
                Row { key: "a".into(), ..Row::default() },
                "0 values for 1 columns; give one for each",
            ),
        ] {
            let error = Lookup::from_rows(vec!["v".into()], [row("a", None, None), bad]);
            assert_eq!(error.unwrap_err(), LookupError { line: 2, what: what.into() });
        }
    }

    #[test]
    fn a_wrong_line_says_what_to_do() {
        for (csv, expected) in [
            ("", "line 1: there are no columns with values; add one beside the key"),
            (
                "key,valid_from\na,",
                "line 1: there are no columns with values; add one beside the key",
            ),
            ("key,a,a\n", "line 1: the column `a` is there twice; rename or remove one"),
            ("key,\n", "line 1: column 1 has no name of 1 to 64 bytes; name it"),
            (
                "key,a\nx,1\ny,1,2\n",
                "line 3: 3 values where the header has 2; put values with commas in quotes",
            ),
            ("key,a\n\"x\n\",1\n,2", "line 4: the key is empty; fill it in or remove the row"),
            (
                "key,a,valid_from\nx,1,yesterday",
                "line 2: `yesterday` is no time; write 2026-11-23 or 2026-11-23T10:00:00Z",
            ),
            (
                "key,a,valid_from\nx,1,now-1d",
                "line 2: `now-1d` is no time; write 2026-11-23 or 2026-11-23T10:00:00Z",
            ),
            (
                "key,a,valid_from,valid_to\nx,1,2026-02-01,2026-01-01",
                "line 2: it ends before it begins; exchange valid_from and valid_to",
            ),
        ] {
            assert_eq!(Lookup::read(csv.as_bytes()).unwrap_err().to_string(), expected, "{csv:?}");
        }
        let error = Lookup::read(b"key,a\nx,\xff\n").unwrap_err();
        assert!(error.line == 2 && error.what.contains("save it as UTF-8"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            text in "(key|a|valid_from|valid_to|2026-01-01|[\",\n]){0,20}",
        ) {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                if let Ok(table) = Lookup::read(bytes) {
                    prop_assert!(table.at("a", 0).count() <= table.columns().len());
                }
            }
        }
    }
}
