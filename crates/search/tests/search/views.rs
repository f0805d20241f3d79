//! The views of SQL: what is in them, and that their columns stay and are documented.

use pugmark_alert::Alert;
use pugmark_event::fields::by_ecs_name;
use pugmark_query::Search;
use pugmark_query::eval::Cell;
use serde_json::json;

use crate::common::{NOW, Row, World, rows};

/// The guide that lists the views and their columns.
const GUIDE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/sql.md"));

fn event(second: i64, fields: &[(&'static str, &str)]) -> Row {
    let fields = fields.iter().map(|(name, value)| (*name, value.to_string())).collect();
    Row { second, raw: format!("event {second}"), fields }
}

async fn world() -> World {
    let span = [("span.id", "s1"), ("span.name", "GET /"), ("span.duration.us", "1500")];
    let blocks = [
        vec![event(1, &span), event(2, &[("span.id", "s2"), ("parent.id", "s1")])],
        vec![
            event(3, &[("metric.name", "cpu"), ("metric.value", "0.5"), ("host.name", "web1")]),
            event(4, &[("metric.name", "cpu"), ("metric.value", "much")]),
            event(5, &[("metric.name", "cpu")]),
        ],
    ];
    World::new(&blocks, 1).await
}

fn alert(number: usize, verdict: Option<&str>) -> Alert {
    let status = if verdict.is_some() { "closed" } else { "open" };
    serde_json::from_value(json!({
        "id": format!("a{number:04}"),
        "rule": {
            "id": "r1", "title": "A rule", "level": "high", "description": "",
            "falsepositives": [], "references": [], "tags": [],
        },
        "severity": "high", "status": status, "verdict": verdict, "note": "",
        "entity": {"kind": "address", "value": "203.0.113.7"},
        "summary": "once", "count": 1, "first_seen": NOW, "last_seen": NOW,
        "attack": {"tactics": [], "techniques": ["T1110"]}, "evidence": [1, 2],
        "detections": [{"id": format!("d{number}"), "time": NOW, "event_id": 2, "count": 11}],
        "why": [], "last_event_id": 2, "closed_at": null,
    }))
    .unwrap()
}

#[track_caller]
fn check(found: &str, sql: &str, expected: &str) {
    assert_eq!(found, expected, "{sql}");
}

async fn ask(world: &World, sql: &str) -> String {
    let answer = world.search.sql(sql, None).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let lines = rows(answer).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let line = |row: &Vec<Cell>| row.iter().map(Cell::text).collect::<Vec<_>>().join(",");
    lines.iter().map(line).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn views_show_events_and_the_state() {
    let world = world().await;
    world.store.alerts().upsert(&alert(1, None)).await.unwrap();
    world.store.alerts().upsert(&alert(2, Some("false_positive"))).await.unwrap();
    for (sql, expected) in [
        ("SELECT span_id, name, duration_us FROM spans", "s1,GET /,1500"),
        ("SELECT name, value, host_name FROM metrics WHERE value IS NOT NULL", "cpu,0.5,web1"),
        ("SELECT count(*) FROM metrics", "2"),
        ("SELECT source, received, stored FROM ledger ORDER BY 1", "source0,2,2 source1,3,3"),
        ("SELECT sum(received) FROM ledger_minutes", "5"),
        ("SELECT count(*) FROM ledger_minutes WHERE minute > '2100-01-01T00:00:00Z'", "0"),
        (
            "SELECT alert_id, severity, status FROM alerts ORDER BY 1",
            "a0001,high,open a0002,high,closed",
        ),
        ("SELECT verdict FROM alerts WHERE verdict IS NOT NULL", "false_positive"),
        ("SELECT techniques[1], cardinality(event_ids) FROM alerts LIMIT 1", "T1110,2"),
        (
            "SELECT detection_id, event_id, event_count FROM detections ORDER BY 1",
            "d1,2,11 d2,2,11",
        ),
    ] {
        check(&ask(&world, sql).await, sql, expected);
    }
}

#[tokio::test]
async fn alerts_are_read_page_after_page() {
    let world = world().await;
    for number in 0..501 {
        world.store.alerts().upsert(&alert(number, None)).await.unwrap();
    }
    let sql = "SELECT count(*), count(DISTINCT alert_id), max(alert_id) FROM alerts";
    check(&ask(&world, sql).await, sql, "501,501,a0500");
    let sql = "SELECT count(DISTINCT detection_id) FROM detections";
    check(&ask(&world, sql).await, sql, "501");
}

#[tokio::test]
async fn every_column_stands_in_the_guide() {
    let world = world().await;
    for view in ["alerts", "detections", "ledger", "ledger_minutes", "metrics", "spans"] {
        let answer = world.search.sql(&format!("SELECT * FROM {view}"), Some(0)).await.unwrap();
        for column in answer.columns {
            let field = by_ecs_name(&column).map(|id| id.column().to_string());
            let name = field.unwrap_or(column);
            assert!(GUIDE.contains(&format!("`{name}`")), "{view}.{name} is not in the guide");
        }
    }
}
