//! One line read by the packs of this checkout, and values compared whatever their spelling.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use pugmark_event::Records;
use pugmark_event::json::RowWriter;
use pugmark_event::time::{self, Micros};
use pugmark_parse::{Input, PackSource, Parser};
use serde_json::{Map, Value};

const PACKS: &str = concat!(env!("WORKSPACE_ROOT"), "content/parsers");
const SHARED: &str = concat!(env!("WORKSPACE_ROOT"), "../shared/data/parsers");
const RECEIVED: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

/// Names that say nothing about what was read: the text itself, and what Pugmark adds.
const NOT_READ: &[&str] = &[
    "message",
    "event.original",
    "event.id",
    "event.ingested",
    "event.source",
    "event.issues",
    "event.module",
    "@timestamp",
];

/// A set of samples, or `None` where they are absent.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(SHARED).join(path);
    if !path.exists() {
        #[allow(clippy::print_stderr)] // the only way a test can say that it did nothing
        {
            eprintln!("skipped: ../shared is absent");
        }
        return None;
    }
    Some(path)
}

/// The entries of a folder in order; none if there is no such folder.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The name of a file or folder.
pub(crate) fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// A parser of the packs as they stand on the disk now, not as they were when this was built.
pub(crate) fn parser() -> Parser {
    let mut packs: Vec<PackSource> = entries(Path::new(PACKS))
        .iter()
        .flat_map(|vendor| entries(vendor))
        .map(|product| product.join("parser.yaml"))
        .filter(|path| path.is_file())
        .map(|path| PackSource {
            path: path.strip_prefix(PACKS).unwrap().display().to_string(),
            text: std::fs::read_to_string(&path).unwrap(),
        })
        .collect();
    assert!(packs.len() > 20, "only {} packs in {PACKS}", packs.len());
    // Others write packs meanwhile: one that does not compile yet must not hide the score of all.
    loop {
        let broken = match Parser::new(&packs) {
            Ok(parser) => return parser,
            Err(error) => error.path,
        };
        #[allow(clippy::print_stderr)] // it lowers the score
        {
            eprintln!("left out, it does not compile: {broken}");
        }
        let count = packs.len();
        packs.retain(|pack| pack.path != broken);
        assert!(packs.len() < count, "{broken} is no pack");
    }
}

/// What was read out of one line.
pub(crate) struct Event(Map<String, Value>);

impl Event {
    pub(crate) fn read(parser: &Parser, line: &str, source: &str) -> Event {
        let records: Records = [line.as_bytes()].into_iter().collect();
        let input =
            Input { source, records: &records, first_id: 1, received: RECEIVED, format: None };
        let batch = parser.parse(&input);
        let mut json = Vec::new();
        RowWriter::new(batch.columns()).write(0, &mut json);
        Event(serde_json::from_slice(&json).unwrap())
    }

    /// The value of a field as text; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        self.0.get(name).map_or(String::new(), plain)
    }

    /// When it happened, as far as the line says.
    pub(crate) fn time(&self) -> Micros {
        time::parse_rfc3339(&self.text("@timestamp")).unwrap()
    }

    /// True if some field or attribute holds exactly this, that is if it was taken out of the text.
    pub(crate) fn holds(&self, expected: &str) -> bool {
        self.read_values().any(|(_, value)| holds(value, expected))
    }

    /// What was read, for the message of a miss.
    pub(crate) fn shown(&self) -> String {
        let mut shown: Map<String, Value> =
            self.read_values().map(|(name, value)| (name.clone(), value.clone())).collect();
        for name in ["@timestamp", "event.module"] {
            shown.extend(self.0.get(name).map(|value| (name.to_string(), value.clone())));
        }
        serde_json::to_string(&shown).unwrap()
    }

    fn read_values(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter().filter(|(name, _)| !NOT_READ.contains(&name.as_str()))
    }
}

/// True for the value or a value inside it; JSON that stands in a text is looked into as well.
fn holds(value: &Value, expected: &str) -> bool {
    match value {
        Value::Array(values) => values.iter().any(|value| holds(value, expected)),
        Value::Object(values) => values.values().any(|value| holds(value, expected)),
        Value::String(text) if text.starts_with(['{', '[']) => {
            same(text, expected)
                || serde_json::from_str::<Value>(text).is_ok_and(|value| holds(&value, expected))
        }
        value => same(&plain(value), expected),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// The same text, address or number. Letter case is no difference: `TCP` is `tcp`.
pub(crate) fn same(got: &str, expected: &str) -> bool {
    let (got, expected) = (got.trim(), expected.trim());
    got.eq_ignore_ascii_case(expected)
        || address(got).is_some_and(|address| Some(address) == self::address(expected))
        || number(got).is_some_and(|number| Some(number) == self::number(expected))
}

/// IPv4 that is mapped into IPv6 is IPv4, and `192.030.0.6` is written without the zero.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').split([']', '%']).next()?;
    let stripped: Vec<&str> = bare
        .split('.')
        .map(|octet| match octet.trim_start_matches('0') {
            "" => "0",
            digits => digits,
        })
        .collect();
    let address: IpAddr = bare.parse().or_else(|_| stripped.join(".").parse()).ok()?;
    Some(match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        v4 => v4,
    })
}

fn number(text: &str) -> Option<f64> {
    let digits = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    text.parse().ok().filter(|_| digits)
}

#[test]
fn spellings_of_one_value_are_the_same() {
    for (got, expected, same) in [
        ("::ffff:192.0.2.1", "192.0.2.1", true),
        ("192.0.2.6", "192.000.2.6", true),
        ("2001:db8::1", "2001:0DB8:0::1", true),
        ("192.0.2.1", "192.0.2.10", false),
        ("1", "1.000", true),
        ("1", "10", false),
        ("tcp", "TCP", true),
        ("nan", "nan ", true),
        ("root", "roots", false),
    ] {
        assert_eq!(self::same(got, expected), same, "{got} {expected}");
    }
}

#[test]
fn the_text_itself_is_nothing_that_was_read() {
    let line = "Nov 23 09:58:01 web1 some[1]: an odd text";
    let event = Event::read(&parser(), line, "test");
    assert!(!event.holds("an odd text") && !event.holds(line));
    assert!(event.holds("web1") && event.holds("1"));
}
