//! Eight events that every example of the reference is about.

use std::sync::Arc;

use pugmark_event::{Batch, BatchBuilder, Value, time};

use crate::eval::{Known, LookupTable, Table, no_table};
use crate::plan::Plan;

/// One event: its time, its record, its fields.
#[derive(Debug)]
pub struct Sample {
    /// When it happened, in RFC 3339.
    pub time: &'static str,
    /// The record.
    pub record: &'static str,
    /// What the parser made of it.
    pub fields: &'static [(&'static str, &'static str)],
}

const fn sample(
    time: &'static str,
    record: &'static str,
    fields: &'static [(&'static str, &'static str)],
) -> Sample {
    Sample { time, record, fields }
}

/// The events, with the ids 1 to 8.
pub const EVENTS: &[Sample] = &[
    sample(
        "2026-11-23T10:00:00Z",
        "sshd: Failed password for root from 203.0.113.7 port 4711 ssh2",
        &[
            ("host.name", "web-1"),
            ("user.name", "root"),
            ("source.ip", "203.0.113.7"),
            ("event.outcome", "failure"),
            ("message", "Failed password for root from 203.0.113.7 port 4711 ssh2"),
        ],
    ),
    sample(
        "2026-11-23T10:00:20Z",
        "sshd: Failed password for root from 203.0.113.7 port 4712 ssh2",
        &[
            ("host.name", "web-1"),
            ("user.name", "root"),
            ("source.ip", "203.0.113.7"),
            ("event.outcome", "failure"),
            ("message", "Failed password for root from 203.0.113.7 port 4712 ssh2"),
        ],
    ),
    sample(
        "2026-11-23T10:00:40Z",
        "sshd: Failed password for admin from 203.0.113.7 port 4713 ssh2",
        &[
            ("host.name", "web-1"),
            ("user.name", "admin"),
            ("source.ip", "203.0.113.7"),
            ("event.outcome", "failure"),
            ("message", "Failed password for admin from 203.0.113.7 port 4713 ssh2"),
        ],
    ),
    sample(
        "2026-11-23T10:01:00Z",
        "sshd: Accepted password for admin from 203.0.113.7 port 4714 ssh2",
        &[
            ("host.name", "web-1"),
            ("user.name", "admin"),
            ("source.ip", "203.0.113.7"),
            ("event.outcome", "success"),
            ("message", "Accepted password for admin from 203.0.113.7 port 4714 ssh2"),
        ],
    ),
    sample(
        "2026-11-23T10:05:00Z",
        "path=/login status=200 bytes=512 client=198.51.100.4",
        &[
            ("host.name", "web-2"),
            ("user.name", "bob"),
            ("source.ip", "198.51.100.4"),
            ("url.path", "/login"),
            ("http.response.status_code", "200"),
            ("bytes", "512"),
        ],
    ),
    sample(
        "2026-11-23T10:05:30Z",
        "path=/login status=500 bytes=128 client=198.51.100.4",
        &[
            ("host.name", "web-2"),
            ("user.name", "bob"),
            ("source.ip", "198.51.100.4"),
            ("url.path", "/login"),
            ("http.response.status_code", "500"),
            ("bytes", "128"),
            ("tags", "[\"web\", \"error\"]"),
            ("detail", "{\"rule\": {\"id\": 942100}, \"tags\": [\"sqli\"]}"),
        ],
    ),
    sample(
        "2026-11-23T10:20:00Z",
        "path=/export status=200 bytes=90000 client=203.0.113.7",
        &[
            ("host.name", "web-2"),
            ("user.name", "admin"),
            ("source.ip", "203.0.113.7"),
            ("url.path", "/export"),
            ("http.response.status_code", "200"),
            ("bytes", "90000"),
        ],
    ),
    sample(
        "2026-11-23T11:30:00Z",
        "sshd: Failed password for bob from 198.51.100.4 port 4715 ssh2",
        &[
            ("host.name", "web-1"),
            ("user.name", "bob"),
            ("source.ip", "198.51.100.4"),
            ("event.outcome", "failure"),
            ("message", "Failed password for bob from 198.51.100.4 port 4715 ssh2"),
        ],
    ),
];

/// The range that the examples are asked over where one is needed: the hour of the last event.
pub const RANGE: (&str, &str) = ("2026-11-23T11:00:00Z", "2026-11-23T12:00:00Z");

/// The lookup table `people` of the examples: user, team, level.
pub const PEOPLE: &[(&str, &str, &str)] = &[("admin", "ops", "2"), ("bob", "dev", "1")];

/// The events as a batch.
///
/// # Panics
/// Never: the events are known to be good, which a test shows.
pub fn batch() -> Batch {
    let received = time::parse_rfc3339("2026-11-23T12:00:00Z").unwrap_or_default();
    let mut builder = BatchBuilder::new("sample", received);
    for (sample, id) in EVENTS.iter().zip(1..) {
        builder.begin(id, sample.record.as_bytes());
        for (name, value) in sample.fields {
            builder.named(name, Value::Text(value));
        }
        builder.end(time::parse_rfc3339(sample.time));
    }
    builder.finish().expect("the sample events fit a batch")
}

/// The tables of the examples.
#[derive(Debug, Clone, Copy)]
pub struct Tables;

impl Known for Tables {
    fn rows(&self, _: &Plan, _: i64) -> Result<Arc<Table>, String> {
        Err("the rows of another query are not at hand here".into())
    }

    fn table(&self, name: &str) -> Result<Arc<dyn LookupTable>, String> {
        match name {
            "people" => Ok(Arc::new(People)),
            _ => Err(no_table(name, &["people".into()])),
        }
    }
}

struct People;

impl LookupTable for People {
    fn columns(&self) -> Vec<String> {
        vec!["team".into(), "level".into()]
    }

    fn value(&self, key: &str, _: Option<i64>, column: &str) -> Option<String> {
        let (_, team, level) = PEOPLE.iter().find(|(name, ..)| *name == key)?;
        Some(if column == "team" { *team } else { *level }.to_string())
    }
}
