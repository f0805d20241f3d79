//! What an answer is said to have read and done is what it did.

use crate::common::{NOW, Row, World};
use pugmark_query::explain::Explanation;
use pugmark_query::{Request, Search};

/// Hours of the first event of each day's segment; the last block stays in memory.
const DAYS: [i64; 3] = [0, 24, 48];

async fn world() -> World {
    let event = |hour: i64, n: i64| Row {
        second: hour * 3600 + n,
        raw: format!("event {n} of hour {hour}"),
        fields: vec![("user.name", format!("user{}", n % 3)), ("event.action", "logon".into())],
    };
    let day = |hour: i64| (0..10).map(|n| event(hour, n)).collect::<Vec<_>>();
    World::new(&DAYS.map(day), 1).await
}

async fn explained(world: &World, query: &str, from_hour: Option<i64>) -> Explanation {
    let plan = pugmark_query::parse(query).unwrap();
    let from = from_hour.map(|hour| NOW + hour * 3_600_000_000);
    let request = Request { from, limit: Some(100), ..Request::new(plan, NOW) };
    world.search.explain(request).await.unwrap()
}

/// The names of the steps in order, rows of the answer, segments and events read.
#[track_caller]
fn check(found: &Explanation, steps: &[&str], rows: u64, segments: u64, events: u64) {
    let names: Vec<&str> = found.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, steps, "{found:?}");
    let reading = found.reading;
    let read = (reading.segments_read, reading.row_groups_read, reading.events_read);
    assert_eq!((found.rows, read), (rows, (segments, segments, events)), "{found:?}");
    assert_eq!((reading.segments, reading.row_groups, reading.events), (2, 2, 30), "{found:?}");
    assert_eq!(reading.bytes_read > 0, segments > 0, "{found:?}");
}

#[tokio::test]
async fn each_way_of_answering_says_what_it_did() {
    let world = world().await;
    let newest = ["find the newest events", "read these events"];
    check(&explained(&world, "*", None).await, &newest, 30, 2, 30);
    check(&explained(&world, "*", Some(24)).await, &newest, 20, 1, 20);
    // No segment has it: statistics say so.
    check(&explained(&world, "user.name:zoe", None).await, &newest, 0, 0, 10);
    let group = ["read and group events"];
    check(
        &explained(&world, "event.action:logon | stats dc(user.name)", Some(24)).await,
        &group,
        1,
        1,
        20,
    );
    let pipes = ["read and group events", "evaluate"];
    let query = "* | stats dc(source.ip) by user.name | eval a = 1";
    check(&explained(&world, query, None).await, &pipes, 3, 2, 30);
}

#[tokio::test]
async fn steps_of_datafusion_have_times_and_rows() {
    let world = world().await;
    let found = explained(&world, "* | transaction by user.name pause=1h", None).await;
    let (first, last) = (found.steps.first().unwrap(), found.steps.last().unwrap());
    assert_eq!((first.name.as_str(), first.rows), ("read events", 30), "{found:?}");
    assert_eq!((last.name.as_str(), last.rows), ("evaluate", 9), "{found:?}");
    assert!(last.detail.starts_with("transaction by user.name"), "{found:?}");
    assert!(found.steps.iter().all(|step| step.took_us <= 10 * found.took_us), "{found:?}");
}
