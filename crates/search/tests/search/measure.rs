//! How long questions take, for people who change the engine:
//! `cargo test --release -p pugmark-search --test search measure -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use crate::common::{Row, World, rows};
use pugmark_query::{Request, Search};

const BLOCKS: i64 = 10;
const BLOCK_ROWS: i64 = 50_000;

fn event(i: i64) -> Row {
    let mixed = i.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17).unsigned_abs();
    let user = format!("user{}", mixed % 2000);
    let address = format!("198.18.{}.{}", mixed % 240, mixed / 7 % 250);
    let action = ["login", "logout", "open", "close", "denied"][(mixed % 5) as usize];
    let needle = if i % 71_000 == 70_999 { "needle" } else { "hay" };
    Row {
        second: i / 10,
        raw: format!("{needle} {action} by {user} from {address} session {mixed:016x} of the day"),
        fields: vec![
            ("user.name", user),
            ("source.ip", address),
            ("event.action", action.to_string()),
            ("source.port", (mixed % 60_000).to_string()),
            ("session", format!("{mixed:x}")),
        ],
    }
}

fn shown(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let ms = |d: &Duration| d.as_secs_f64() * 1e3;
    format!("{:8.2} ms, least {:.2}", ms(&times[times.len() / 2]), ms(&times[0]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute and proves nothing"]
#[allow(clippy::print_stdout)] // What it is for.
async fn measure() {
    let blocks: Vec<Vec<Row>> =
        (0..BLOCKS).map(|b| (b * BLOCK_ROWS..(b + 1) * BLOCK_ROWS).map(event).collect()).collect();
    let world = World::new(&blocks, 0).await;
    for (query, limit) in [
        ("nothinghasthisword user.name:nobody", Some(100)),
        ("nothinghasthisword user.name:nobody | sort user.name", Some(100)),
        ("*", Some(100)),
        ("needle", Some(100)),
        ("source.ip:198.18.7.7", Some(100)),
        ("* | stats count()", None),
        ("* | stats count() by event.action", None),
        ("* | stats p50(source.port), count() by event.action", None),
        ("* | stats count() by user.name, event.action", None),
        ("* | top 10 source.ip", None),
        ("* | timechart count()", None),
        ("* | timechart count() by event.action", None),
        ("login | stats count() by user.name", None),
        ("session:* | stats dc(session)", None),
    ] {
        let plan = pugmark_query::parse(query).unwrap();
        let (mut times, mut found) = (Vec::new(), 0);
        for _ in 0..15 {
            let request = Request { plan: plan.clone(), from: None, to: None, limit };
            let start = Instant::now();
            found = rows(world.search.search(request).await.unwrap()).await.unwrap().len();
            times.push(start.elapsed());
        }
        println!("{query:60} {found:7} rows {}", shown(times));
    }
    let mut times = Vec::new();
    for _ in 0..15 {
        let start = Instant::now();
        let sql = "SELECT user_name, count(*) FROM events WHERE user_name = 'no' GROUP BY 1";
        rows(world.search.sql(sql, Some(10)).await.unwrap()).await.unwrap();
        times.push(start.elapsed());
    }
    println!("{:60} {:>7} rows {}", "SQL that finds nothing", 0, shown(times));
}
