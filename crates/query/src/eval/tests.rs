//! Filters and pipes over four events.

use super::*;
use pugmark_event::time::Micros;
use pugmark_event::{BatchBuilder, Value};

const NOW: Micros = 1_795_428_000_000_000;

fn batch() -> Batch {
    let mut b = BatchBuilder::new("web", NOW);
    for (id, user, port, size) in [
        (1, "root", "22", "10"),
        (2, "Bob", "443", "9"),
        (3, "", "x", "big"),
        (4, "bob", "22", "1.5"),
    ] {
        b.begin(id, format!("Event {id} by {user}").as_bytes());
        if !user.is_empty() {
            b.named("user.name", Value::Text(user));
        }
        b.named("source.port", Value::Text(port));
        b.attribute("size", Value::Text(size));
        b.end(Some(NOW + id * 1_000_000));
    }
    b.finish().unwrap()
}

#[track_caller]
fn check(query: &str, expected: &str) {
    let plan = crate::parse(query).unwrap_or_else(|e| panic!("{query}: {e:?}"));
    let batches = [batch()];
    let world = World { batches: &batches, tables: &Nothing, from: None, to: None, now: NOW };
    let table = run(&plan, &world, None).unwrap();
    let rows: Vec<String> = table
        .rows
        .iter()
        .map(|row| row.iter().map(Cell::text).collect::<Vec<_>>().join(","))
        .collect();
    assert_eq!(rows.join(" "), expected, "{query}");
}

#[test]
fn filters() {
    check("*", "4 3 2 1");
    check("event by BOB", "4 2");
    check("even", "");
    check("even*", "4 3 2 1");
    check("vent", "");
    check("*vent", "4 3 2 1");
    check("\"by root\"", "1");
    check("\"by roo\"", "");
    check("user:bob", "4 2");
    check("not user:bob", "3 1");
    check("user:*", "4 2 1");
    check("source.port:22 or size:9", "4 2 1");
    check("size:<9.5", "4 2");
    check("source.port:9*", "");
    check("source.port:x", "3");
    check("source.port:*", "4 3 2 1");
    check("source.port:>=22", "4 2 1");
    check("attributes.source.port:x", "3");
}

#[test]
fn pipes() {
    check(
        "* | stats count(), sum(size), min(user), max(size) by source.port",
        "22,2,11.5,bob,10 443,1,9,Bob,9 ,1,,,",
    );
    check("x0 | stats count(), avg(size)", "0,");
    check("x0 | stats count() by user", "");
    check("* | sort size | fields size", "1.5 9 10 big");
    check("* | sort -size | head 2 | fields size", "10 9");
    check("* | top 1 source.port", "22,2");
    check("* | rare source.port", "443,1 22,2");
    check("* | stats first(user), last(user), dc(user), p50(size)", "root,bob,3,9");
    check(
        "* | timechart span=2s count()",
        "2026-11-23T10:00:00Z,1 2026-11-23T10:00:02Z,2 2026-11-23T10:00:04Z,1",
    );
    check(
        "* | stats count() by user | where count:1 and not user:root | sort -user",
        "bob,1 Bob,1 ,1",
    );
}
