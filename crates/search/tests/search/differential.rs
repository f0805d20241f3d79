//! The engine and the naive evaluator give the same answers.

use crate::common::{NOW, Row, World, rows};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use pugmark_event::Batch;
use pugmark_query::eval::{self, Cell};
use pugmark_query::{Request, Search};

const WORLDS: usize = 5;
const QUERIES: usize = 100;

const VALUES: &[&str] =
    &["root", "Root", "bob", "müller", "MÜLLER", "", "a*b", "22", "022", "9", "1.5", "-3", "1e2"];
const WORDS: &[&str] = &[
    "*",
    "a",
    "root",
    "roo",
    "roo*",
    "*oot",
    "\"b c\"",
    "a*b",
    "\"(\\\"size\"",
    "ü",
    "ller",
    "10.0.0.1",
    "0.0",
    "\"root k\"",
    "\"\\\", \\\"\"",
];
const ADDRESSES: &[&str] = &["10.0.0.1", "10.9.0.1", "192.0.2.7", "2001:db8::1"];

fn row() -> impl Strategy<Value = Row> {
    let field = prop_oneof![
        (
            select(
                &[
                    "user.name",
                    "event.code",
                    "size",
                    "k x",
                    "attributes",
                    "level",
                    "event.severity"
                ][..]
            ),
            select(VALUES)
        ),
        (select(&["source.ip", "peer", "IpAddress"][..]), select(ADDRESSES)),
        Just(("source.ip", "unknown")),
        (
            select(&["source.port", "source.bytes", "IpPort"][..]),
            select(&["22", "443", "7", "x", "022"][..])
        ),
    ];
    (0i64..200_000, prop::collection::vec(field, 0..5), "[a-cA-C ]{0,4}").prop_map(
        |(second, fields, text)| Row {
            second,
            raw: format!("{text} {fields:?}"),
            fields: fields.into_iter().map(|(name, value)| (name, value.to_string())).collect(),
        },
    )
}

fn field() -> impl Strategy<Value = String> {
    let names = &[
        "user.name",
        "user",
        "event_code",
        "size",
        "\"k x\"",
        "attributes.attributes",
        "level",
        "source.ip",
        "peer",
        "source.port",
        "source.bytes",
        "source",
        "absent",
        "attributes.level",
        "attributes.source.port",
        "attributes.IpPort",
        "event.severity",
    ];
    select(&names[..]).prop_map(str::to_string)
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        select(VALUES).prop_map(|v| format!("\"{v}\"")),
        select(ADDRESSES).prop_map(|v| format!("\"{v}\"")),
        select(
            &[
                "*",
                "r*",
                "?o*",
                "*2",
                "/o+/",
                "/^r/",
                "10.0.0.0/8",
                "2001:db8::/32",
                ">5",
                ">=22",
                "<1.5",
                "<=-3",
                "[7 TO 22]",
                "{7 TO 443}",
                "5..30",
                "(root or bob)",
                "source1",
                ">b",
                "(not root and not 22)",
                "SOURCE0",
                "22",
                "443",
                "022",
                "x",
                "unknown",
                "(x or unknown or 7)",
                ">10.0.0.9",
                ">=high",
            ][..]
        )
        .prop_map(str::to_string),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => (field(), value()).prop_map(|(f, v)| format!("{f}:{v}")),
        1 => select(WORDS).prop_map(str::to_string),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} {b})")),
            inner.prop_map(|a| format!("not {a}")),
        ]
    })
}

fn figure() -> impl Strategy<Value = String> {
    let functions = &["count", "sum", "avg", "min", "max", "dc", "first", "last"];
    prop_oneof![
        Just("count() as n".to_string()),
        (select(&functions[..]), field()).prop_map(|(name, field)| format!("{name}({field}) as m")),
    ]
}

fn pipes() -> impl Strategy<Value = String> {
    let after = select(
        &[
            "",
            " | sort -m | head 3",
            " | where m:>2",
            " | sort m",
            " | fields m",
            " | where not m:*",
        ][..],
    );
    let figure = || figure().prop_map(|f| f.replace(" as n", " as m"));
    prop_oneof![
        Just(String::new()),
        (field(), 1usize..9).prop_map(|(f, n)| format!(" | sort -{f} | head {n}")),
        (1usize..9, filter()).prop_map(|(n, f)| format!(" | head {n} | where {f}")),
        (field(), 1usize..9).prop_map(|(f, n)| format!(" | fields {f}, @timestamp | head {n}")),
        field().prop_map(|f| format!(" | sort {f} | fields event.id, {f}")),
        (filter(), 1usize..30, field())
            .prop_map(|(w, n, f)| format!(" | where {w} | head {n} | fields event.id, {f}")),
        (figure(), after.clone()).prop_map(|(a, t)| format!(" | stats {a}{t}")),
        (figure(), field(), after.clone()).prop_map(|(a, f, t)| format!(" | stats {a} by {f}{t}")),
        (figure(), field()).prop_map(|(a, f)| format!(" | stats {a} by {f}, event.category")),
        (figure(), field(), field())
            .prop_map(|(a, f, g)| format!(" | stats {a} by {f}, {g}, user")),
        (filter(), figure(), field())
            .prop_map(|(w, a, f)| format!(" | where {w} | stats {a}, count() by {f}")),
        (figure(), field(), after)
            .prop_map(|(a, f, t)| format!(" | timechart span=7h {a} by {f}{t}")),
        (field(), 1usize..4).prop_map(|(f, n)| format!(" | top {n} {f}")),
        (field(), 1usize..4).prop_map(|(f, n)| format!(" | rare {n} {f}")),
    ]
}

/// Counts of all events, or of those with a value: what the store may answer from its dictionaries.
fn counted() -> impl Strategy<Value = String> {
    let count = &["stats count() as m by", "top 3", "rare 2", "stats count() as m, dc(user) by"];
    (field(), any::<bool>(), select(&count[..])).prop_map(|(field, all, count)| {
        let filter = if all { "*".to_string() } else { format!("{field}:*") };
        format!("{filter} | {count} {field}")
    })
}

fn query() -> impl Strategy<Value = String> {
    prop_oneof![7 => (filter(), pipes()).prop_map(|(f, p)| f + &p), 1 => counted()]
}

fn make<S: Strategy>(runner: &mut TestRunner, strategy: &S) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

/// Events of the range alone.
fn within(batches: &[Batch], from: Option<i64>, to: Option<i64>) -> Vec<Batch> {
    let keep = |batch: &Batch| {
        let inside = |t: i64| from.is_none_or(|f| t >= f) && to.is_none_or(|e| t < e);
        batch.event_times().iter().map(|t| Some(inside(*t))).collect()
    };
    batches.iter().map(|batch| batch.filter(&keep(batch)).unwrap()).collect()
}

fn same(a: &Cell, b: &Cell) -> bool {
    match (a, b) {
        (Cell::Float(a), Cell::Float(b)) => (a - b).abs() <= 1e-9 * a.abs().max(1.0),
        _ => a == b,
    }
}

#[track_caller]
fn compare(asked: &str, mut found: Vec<Vec<Cell>>, mut expected: Vec<Vec<Cell>>, ordered: bool) {
    if !ordered {
        found.sort_by_key(|row| format!("{row:?}"));
        expected.sort_by_key(|row| format!("{row:?}"));
    }
    let equal = found.len() == expected.len()
        && found.iter().flatten().zip(expected.iter().flatten()).all(|(a, b)| same(a, b));
    assert!(equal, "{asked}\n found    {found:?}\n expected {expected:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_the_naive_evaluator() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut asked, mut refused, mut empty) = (0, 0, 0);
    for _ in 0..WORLDS {
        let blocks =
            make(&mut runner, &prop::collection::vec(prop::collection::vec(row(), 1..30), 4..7));
        let world = World::new(&blocks, 2).await;
        for _ in 0..QUERIES {
            let query = make(&mut runner, &query());
            // A value of the wrong kind for its field is refused, which is right.
            let Ok(plan) = pugmark_query::parse(&query) else {
                refused += 1;
                continue;
            };
            let bound = prop::option::weighted(0.3, 0i64..200_000);
            let at = |second: Option<i64>| second.map(|s| NOW + s * 1_000_000);
            let (from, to) = (at(make(&mut runner, &bound)), at(make(&mut runner, &bound)));
            let limit = make(&mut runner, &prop::option::of(1usize..40));
            let shown = format!("{query}  from {from:?} to {to:?} limit {limit:?}");
            let expected = eval::run(&plan, &within(&world.batches, from, to), limit);
            let ordered = limit.is_some() || query.contains("| s") || query.contains("| t");
            let answer = world.search.search(Request { plan, from, to, limit }).await;
            let answer = answer.unwrap_or_else(|e| panic!("{shown}: {e}"));
            if answer.kind == pugmark_query::Kind::Table {
                let names: Vec<String> = expected
                    .columns
                    .iter()
                    .map(|c| c.replace("event_code", "event.code"))
                    .collect();
                assert_eq!(answer.columns, names, "{shown}");
            }
            let found = rows(answer).await.unwrap_or_else(|e| panic!("{shown}: {e}"));
            asked += 1;
            empty += usize::from(expected.rows.is_empty());
            compare(&shown, found, expected.rows, ordered);
        }
    }
    assert!(
        refused * 2 < asked && empty * 3 < asked * 2,
        "{asked} asked, {refused} refused, {empty} empty"
    );
}
