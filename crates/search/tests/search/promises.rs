//! What the engine promises beside right answers: SQL that only reads, memory bounds, freshness.

use crate::common::{NOW, Row, World, rows};
use futures::StreamExt;
use pugmark_query::eval::Cell;
use pugmark_query::{Request, Search, SearchError};
use pugmark_search::{Options, StoreSearch};

fn event(second: i64, user: &str, method: &str) -> Row {
    Row {
        second,
        raw: format!("{user} by {method}"),
        fields: vec![
            ("user.name", user.into()),
            ("ssh.method", method.into()),
            ("source.ip", format!("10.0.0.{}", second % 250)),
        ],
    }
}

async fn world() -> World {
    let blocks = [
        vec![event(1, "root", "password"), event(2, "bob", "publickey")],
        vec![event(3, "root", "publickey"), event(90_000, "eve", "password")],
        vec![event(4, "root", "password")],
    ];
    World::new(&blocks, 1).await
}

async fn sql(world: &World, text: &str) -> Result<String, SearchError> {
    let answer = world.search.sql(text, Some(100)).await?;
    let lines = rows(answer).await?;
    let line = |row: &Vec<Cell>| row.iter().map(Cell::text).collect::<Vec<_>>().join(",");
    Ok(lines.iter().map(line).collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn sql_reads() {
    let world = world().await;
    for (text, expected) in [
        ("SELECT count(*) FROM events", "5"),
        (
            "SELECT user_name, count(*) FROM events GROUP BY 1 ORDER BY 2 DESC, 1",
            "root,3 bob,1 eve,1",
        ),
        (
            "SELECT attributes['ssh.method'] AS m, count(*) FROM events GROUP BY 1 ORDER BY 1",
            "password,3 publickey,2",
        ),
        (
            "WITH r AS (SELECT * FROM events WHERE attributes['ssh.method'] = 'password') \
             SELECT user_name FROM r ORDER BY event_time DESC",
            "eve root root",
        ),
        ("SELECT count(*) FROM events WHERE attributes['absent'] IS NULL", "5"),
        ("SELECT count(*) FROM events WHERE event_time >= '2026-11-24T00:00:00Z'", "1"),
        ("SELECT count(*) FROM events WHERE cidr_match(source_ip, '10.0.0.0/30')", "4"),
        ("SELECT event_time FROM events ORDER BY event_time DESC LIMIT 1", "2026-11-24T11:00:00Z"),
    ] {
        let found = sql(&world, text).await.unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(found, expected, "{text}");
    }
    assert!(sql(&world, "EXPLAIN SELECT 1").await.unwrap().contains("Projection"));
}

#[tokio::test]
async fn sql_does_nothing_else() {
    let world = world().await;
    for text in [
        "DROP TABLE events",
        "CREATE TABLE t AS SELECT * FROM events",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE VIEW v AS SELECT 1",
        "INSERT INTO events SELECT * FROM events",
        "DELETE FROM events",
        "UPDATE events SET user_name = 'x'",
        "COPY events TO '/tmp/x.csv'",
        "EXPLAIN COPY events TO '/tmp/x.csv'",
        "SET datafusion.execution.target_partitions = 1",
        "PREPARE p AS SELECT 1",
        "BEGIN",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * INTO t FROM events",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM events",
        "SELECT 1/0",
        "",
        "not sql",
    ] {
        match sql(&world, text).await {
            Err(SearchError::BadSql(message)) => {
                assert!(!message.is_empty() && message.len() < 600, "{text}: {message}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let message = sql(&world, "DROP TABLE events").await.unwrap_err().to_string();
    assert_eq!(
        message,
        "the SQL is not understood: only reading is allowed: SELECT, WITH and EXPLAIN"
    );
    let nested = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(matches!(sql(&world, &nested).await, Err(SearchError::BadSql(_))));
}

#[tokio::test]
async fn a_question_that_needs_too_much_says_so() {
    let rows_: Vec<Row> = (0..20_000).map(|i| event(i, &format!("user{i}"), "x")).collect();
    let world = World::new(&[rows_], 0).await;
    let options = Options { memory_bytes_max: 1 << 16, ..Options::default() };
    let small = StoreSearch::new(world.store.clone(), options);
    let plan =
        pugmark_query::parse("* | stats dc(user), dc(event.original) by user, host").unwrap();
    let request = Request::new(plan, NOW);
    let outcome = match small.search(request).await {
        Ok(answer) => rows(answer).await.map(|rows| rows.len()),
        Err(error) => Err(error),
    };
    assert!(matches!(outcome, Err(SearchError::TooBig(_))), "{outcome:?}");
}

#[tokio::test]
async fn fresh_events_are_found_and_columns_are_named() {
    let world = world().await;
    let ask = |text: &str, limit| Request {
        plan: pugmark_query::parse(text).unwrap(),
        from: Some(NOW),
        to: None,
        limit,
        now: NOW,
    };
    let mut answer = world.search.search(ask("root password", Some(1))).await.unwrap();
    assert_eq!(
        (answer.columns[0].as_str(), answer.columns.last().unwrap().as_str()),
        ("@timestamp", "attributes")
    );
    let batch = answer.rows.next().await.unwrap().unwrap();
    let batch = pugmark_event::Batch::new(batch).unwrap();
    assert_eq!((batch.rows(), batch.original(0)), (1, &b"root by password"[..]));
    assert_eq!(batch.event_times(), [NOW + 4_000_000]);
    let answer = world
        .search
        .search(ask("* | stats p50(source.port), count() by user_name", None))
        .await
        .unwrap();
    assert_eq!(answer.columns, ["user.name", "p50(source.port)", "count"]);
    let answer = world.search.search(ask("* | timechart count()", None)).await.unwrap();
    assert_eq!(answer.columns, ["@timestamp", "count"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_are_too_old_are_skipped_and_a_dropped_answer_stops() {
    let blocks: Vec<Vec<Row>> =
        (0..8).map(|b| (0..500).map(|i| event(b * 1000 + i, "root", "x")).collect()).collect();
    let world = World::new(&blocks, 2).await;
    let plan = pugmark_query::parse("root").unwrap();
    let request = Request { limit: Some(3), ..Request::new(plan, NOW) };
    let found = rows(world.search.search(request.clone()).await.unwrap()).await.unwrap();
    assert_eq!(found.len(), 3);
    let mut answer = world.search.search(Request { limit: None, ..request }).await.unwrap();
    assert!(answer.rows.next().await.unwrap().is_ok());
    drop(answer);
    let explained = sql(
        &world,
        "EXPLAIN SELECT * FROM events WHERE user_name = 'x' ORDER BY event_time DESC LIMIT 3",
    )
    .await
    .unwrap();
    assert!(explained.contains("filter=DynamicFilter"), "{explained}");
    world.store.close().await.unwrap();
}
