//! What a question may take, how far it is, and what arrives after it.

use std::time::Duration;

use pugmark_query::{Limits, Request, Search, SearchError};
use pugmark_search::{Options, StoreSearch};

use crate::common::{NOW, Row, World, rows};

/// Three blocks of a hundred events each; the last one is still in memory.
async fn world() -> World {
    let event = |second: i64| Row {
        second,
        raw: format!("event {second}"),
        fields: vec![("user.name", format!("user{}", second % 7))],
    };
    let block = |from: i64| (from..from + 100).map(event).collect();
    World::new(&[block(0), block(100), block(200)], 1).await
}

fn request(query: &str) -> Request {
    Request { limit: Some(1000), ..Request::new(pugmark_query::parse(query).unwrap(), NOW) }
}

/// The limit that stops each of these questions: of the three ways to an answer.
async fn check(limits: Limits, expected: &str) {
    let world = world().await;
    let search = StoreSearch::new(world.store.clone(), Options { limits, ..Options::default() });
    for query in
        ["event", "* | stats count() by user.name, message", "* | sort message, user.name | tail 3"]
    {
        let answer = search.search(request(query)).await.unwrap();
        let found = match rows(answer).await {
            Ok(_) => "none".to_string(),
            Err(SearchError::Limited { limit, message, hint }) => {
                assert!(message.contains("more than it may") && !hint.is_empty(), "{message}");
                limit.to_string()
            }
            Err(other) => other.to_string(),
        };
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn a_limit_that_is_reached_is_named() {
    let none = Limits::default();
    check(none, "none").await;
    check(Limits { time_max: Duration::ZERO, ..none }, "search.time_seconds_max").await;
    check(Limits { rows_read_max: Some(10), ..none }, "search.rows_read_max").await;
    check(Limits { rows_read_max: Some(1_000_000), ..none }, "none").await;
    check(Limits { read_bytes_max: Some(1), ..none }, "search.read_bytes_max").await;
    check(Limits { read_bytes_max: Some(1 << 40), ..none }, "none").await;
}

#[tokio::test]
async fn sql_has_the_same_limits() {
    let world = world().await;
    let limits = Limits { read_bytes_max: Some(1), ..Limits::default() };
    let search = StoreSearch::new(world.store.clone(), Options { limits, ..Options::default() });
    let text = "SELECT message, count(*) FROM events GROUP BY 1";
    let outcome = match search.sql(text, None).await {
        Ok(answer) => rows(answer).await.map(|rows| rows.len()),
        Err(error) => Err(error),
    };
    let stopped =
        matches!(&outcome, Err(SearchError::Limited { limit: "search.read_bytes_max", .. }));
    assert!(stopped, "{outcome:?}");
}

#[tokio::test]
async fn one_question_has_its_part_of_the_memory() {
    let world = world().await;
    let limits = Limits { memory_bytes_max: Some(1 << 10), ..Limits::default() };
    let search = StoreSearch::new(world.store.clone(), Options { limits, ..Options::default() });
    let answer = search.search(request("* | dedup message | sort user.name")).await.unwrap();
    match rows(answer).await {
        Err(SearchError::TooBig(message)) => {
            assert!(message.contains("search.query_memory_bytes_max"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn progress_ends_with_all_events_that_were_to_be_looked_at() {
    let world = world().await;
    for (query, from, events) in [
        ("event", None, 300),
        ("event | head 1", None, 300),
        ("* | stats count() by user.name", None, 300),
        ("* | sort message, user.name | tail 3", None, 300),
        ("event", Some(NOW + 150_000_000), 200),
    ] {
        let answer = world.search.search(Request { from, ..request(query) }).await.unwrap();
        let (progress, last_id) = (answer.progress.clone(), answer.last_id);
        rows(answer).await.unwrap();
        let progress = progress();
        assert_eq!((progress.events, progress.events_done), (events, events), "{query}");
        let ids = world.batches.iter().flat_map(|batch| batch.ids().iter().copied());
        assert_eq!(Some(last_id), ids.max(), "{query}");
    }
}

#[tokio::test]
async fn events_that_arrive_pass_a_question_by_row() {
    let world = world().await;
    for (query, expected) in [
        ("event | where user.name = \"user1\" | fields user.name, message", Some(15)),
        ("user.name:user2 | eval twice = user.name + user.name", Some(14)),
        ("user.name:user2 | sample 100%", Some(14)),
        ("nothing", None),
    ] {
        let plan = pugmark_query::parse(query).unwrap();
        assert!(plan.pipes.iter().all(pugmark_query::Pipe::is_by_row), "{query}");
        let found = world.search.arrived(&plan, &world.batches[0], NOW).unwrap();
        assert_eq!(found.as_ref().map(|batch| batch.num_rows()), expected, "{query}");
        if let Some(found) = found {
            let names = found.schema();
            let stored = names.column_with_name("event_original").is_some();
            assert!(stored || names.column_with_name("message").is_some(), "{query}: {names:?}");
        }
    }
    let counted = pugmark_query::parse("* | stats count()").unwrap();
    assert!(!counted.pipes.iter().all(pugmark_query::Pipe::is_by_row));
}
