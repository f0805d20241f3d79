//! The engine and the naive evaluator give the same answers.

use crate::common::{NOW, People, Row, World, rows_with};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use pugmark_query::eval::{self, Cell};
use pugmark_query::{Pipe, Plan, Request, Search};

/// Questions of one world, and all questions where nothing is said.
const QUERIES: usize = 200;
const CASES: usize = 3000;
/// Says how many questions are asked: `PUGMARK_ORACLE_CASES=20000`.
const CASES_VARIABLE: &str = "PUGMARK_ORACLE_CASES";

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
const MESSAGES: &[&str] = &[
    "valid for 22 s",
    "token of root valid for 443 s",
    "bob is not valid for 10.0.0.1",
    "Valid for 7 s",
    "valid",
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
        (Just("message"), select(MESSAGES)),
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
        "message",
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
                "/valid for [0-9]+ s/",
                "/(?i)valid for [0-9]{2}/",
                "/of r.* valid/",
                "*valid*",
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
    let functions = &["count", "sum", "avg", "min", "max", "dc", "first", "last", "values", "rate"];
    prop_oneof![
        Just("count() as m".to_string()),
        (select(&functions[..]), field()).prop_map(|(name, field)| format!("{name}({field}) as m")),
        (select(&["count", "min", "max", "dc", "latest", "values"][..]), expr())
            .prop_map(|(name, expr)| format!("{name}(({expr})) as m")),
    ]
}

/// Values computed of `fields`.
fn expr_of(fields: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let value = prop_oneof![
        3 => fields,
        2 => select(
            &["5", "1.5", "-3", "\"root\"", "\"22\"", "null", "true", "2s", "\"b c\"", "now()"][..]
        )
        .prop_map(str::to_string),
    ];
    let inner = value.prop_recursive(2, 6, 3, |inner| {
        let two = &[
            "({a}) + ({b})",
            "({a}) - ({b})",
            "({a}) * ({b})",
            "({a}) / ({b})",
            "({a}) % ({b})",
            "({a}) = ({b})",
            "({a}) != ({b})",
            "({a}) < ({b})",
            "({a}) >= ({b})",
            "({a}) == ({b})",
            "({a}) in (({b}), 22)",
            "if(({a}) > 5, {b}, \"no\")",
            "coalesce({a}, {b})",
            "concat({a}, {b})",
            "contains({a}, {b})",
            "least({a}, {b})",
            "({a}) and ({b})",
            "({a}) or ({b})",
            "item(split({a}, \"o\"), 1)",
            "startswith({a}, {b})",
        ];
        let one = &[
            "lower({a})",
            "len({a})",
            "int({a})",
            "round({a}, 1)",
            "text({a})",
            "not ({a})",
            "-({a})",
            "like({a}, \"*o*\")",
            "matches({a}, /^[a-r]/)",
            "cidr({a}, \"10.0.0.0/8\")",
            "regex_replace({a}, /o+/, \"0\")",
            "subnet({a}, 16)",
            "md5({a})",
            "hour({a})",
            "substr({a}, 2, 2)",
            "json({a}, \"x\")",
            "kv({a}, \"size\")",
            "exists({a})",
            "abs({a})",
            "span({a}, 10)",
            "time({a})",
            "is_private({a})",
            "case(({a}) = \"root\", 1, 2)",
        ];
        prop_oneof![
            (select(&two[..]), inner.clone(), inner.clone())
                .prop_map(|(form, a, b)| form.replace("{a}", &a).replace("{b}", &b)),
            (select(&one[..]), inner).prop_map(|(form, a)| form.replace("{a}", &a)),
        ]
    });
    inner.boxed()
}

/// A field as an expression takes it.
fn expr() -> BoxedStrategy<String> {
    let names = &[
        "user.name",
        "user",
        "event_code",
        "size",
        "'k x'",
        "level",
        "source.ip",
        "peer",
        "source.port",
        "source.bytes",
        "absent",
        "event.severity",
        "@timestamp",
        "event.id",
    ];
    expr_of(select(&names[..]).prop_map(str::to_string).boxed())
}

/// A step that leaves events events.
fn event_step() -> BoxedStrategy<String> {
    let steps = prop_oneof![
        filter().prop_map(|f| format!("where {f}")),
        expr().prop_map(|e| format!("where ({e}) = 5 or user:root")),
        expr().prop_map(|e| format!("where {e} > 5")),
        (field(), any::<bool>()).prop_map(|(f, d)| format!("sort {}{f}", if d { "-" } else { "" })),
        (1usize..40).prop_map(|n| format!("head {n}")),
        (1usize..40).prop_map(|n| format!("tail {n}")),
        (1usize..3, field()).prop_map(|(n, f)| format!("dedup {n} {f}")),
        expr().prop_map(|e| format!("eval x = {e}, size = x")),
        (field(), field()).prop_map(|(f, g)| format!("rename {f} as y, {g} as z")),
        (field(), select(&["number", "integer", "text", "time", "boolean"][..]))
            .prop_map(|(f, t)| format!("cast {f} as {t}")),
        Just("sample 40%".to_string()),
        field().prop_map(|f| format!("eval l = split({f}, \"o\") | expand l")),
        field().prop_map(|f| format!("parse \"*o*\" as p, q from {f}")),
        Just("extract /(?<n>[0-9]+)/".to_string()),
        field().prop_map(|f| format!("lookup people {f} output team, odd as o")),
        (field(), field(), filter(), any::<bool>()).prop_map(|(f, g, w, l)| format!(
            "join {}{f} = g [ {w} | stats count() as n, min({g}) as o by {g} as g ]",
            if l { "left " } else { "" }
        )),
    ];
    steps.boxed()
}

/// A step that makes a table with the columns `k` and `m`.
fn table_step() -> BoxedStrategy<String> {
    let steps = prop_oneof![
        (figure(), field()).prop_map(|(a, f)| format!("stats {a} by {f} as k")),
        (figure(), field()).prop_map(|(a, f)| format!("stats {a} by {f} as k | sort -m | head 4")),
        (figure(), expr()).prop_map(|(a, e)| format!("stats {a} by lower({e}) as k")),
        (figure(), field(), field())
            .prop_map(|(a, f, g)| format!("stats {a} by {f} as k, {g} as j")),
        figure().prop_map(|a| format!("stats {a}, count() as k")),
        (figure(), field())
            .prop_map(|(a, f)| format!("stats {a} by span(@timestamp, 7h), {f} as k")),
        figure().prop_map(|a| format!("stats {a} by span(@timestamp, 1d, \"Europe/Berlin\") as k")),
        (figure(), field())
            .prop_map(|(a, f)| format!("timechart span=7h {a} by {f} | rename {f} as k")),
        (field(), 1usize..4)
            .prop_map(|(f, n)| format!("top {n} {f} | rename {f} as k, count as m")),
        (field(), 1usize..4)
            .prop_map(|(f, n)| format!("rare {n} {f} | rename {f} as k, count as m")),
        (field(), field()).prop_map(|(f, g)| format!("fields {f} as k, {g} as m")),
        (figure(), field(), field()).prop_map(|(a, f, g)| format!(
            "transaction {a}, values({g}) as k by {f} pause=3h span=10h"
        )),
        (field(), field()).prop_map(|(f, g)| format!(
            "transaction by {f}, {g} pause=3h span=10h | rename {f} as k, events as m"
        )),
        field().prop_map(|f| format!(
            "transaction by {f} pause=5h | where duration > 10 | eval k = events, m = end | \
             stats count() as m, max(m) as o, dc(duration) as d by k, {f}"
        )),
        (field(), filter(), filter()).prop_map(|(f, a, b)| format!(
            "sequence by {f} within=6h [ {a} ] [ {b} ] | eval k = events, m = duration"
        )),
        field().prop_map(|f| format!("patterns 5 {f} | rename pattern as k, count as m")),
    ];
    steps.boxed()
}

/// A step from a table with the columns `k` and `m` to another.
fn after_step() -> BoxedStrategy<String> {
    let names = select(&["k", "m"][..]).prop_map(str::to_string).boxed();
    let steps = prop_oneof![
        Just("sort -m".to_string()),
        Just("sort k".to_string()),
        Just("head 3".to_string()),
        Just("tail 2".to_string()),
        Just("where m > 2".to_string()),
        Just("where not m:*".to_string()),
        Just("where k:*o* or m:>2".to_string()),
        Just("dedup m".to_string()),
        Just("sample 60%".to_string()),
        Just("expand m".to_string()),
        Just("fields m, k".to_string()),
        Just("stats count() as m, first(m) as f by k".to_string()),
        Just("stats max(m) as m, values(k) as k".to_string()),
        Just("baseline m by k window=3".to_string()),
        Just("outlier m threshold=0.5".to_string()),
        Just("compare 9h".to_string()),
        Just("union [ user:root | stats count() as m by user as k ]".to_string()),
        Just("join left k [ * | stats dc(user) as users by size as k ]".to_string()),
        Just("lookup people k output team as t".to_string()),
        expr_of(names.clone()).prop_map(|e| format!("eval m = {e}")),
        expr_of(names).prop_map(|e| format!("where {e}")),
    ];
    steps.boxed()
}

fn pipes() -> impl Strategy<Value = String> {
    let joined =
        |steps: Vec<String>| steps.iter().map(|step| format!(" | {step}")).collect::<String>();
    let events = || prop::collection::vec(event_step(), 0..3).prop_map(joined);
    let after = prop::collection::vec(after_step(), 0..4).prop_map(joined);
    prop_oneof![
        1 => events(),
        3 => (events(), table_step(), after).prop_map(|(e, t, a)| format!("{e} | {t}{a}")),
    ]
}

/// Questions about one field: what the store may answer from its dictionaries.
fn counted() -> impl Strategy<Value = String> {
    let count = &[
        "stats count() as m by {f}",
        "top 3 {f}",
        "rare 2 {f}",
        "stats count() as m, dc(user) by {f}",
        "stats count() as m",
        "stats dc({f}) as m, count({f}) as n, max({f}) as o",
        "where not {f}:22 | stats count() as m by lower({f}) as k",
        "eval x = len({f}), y = {f} | where x > 2 | stats count() as m by y, x",
        "lookup people {f} output team | stats count() as m by team",
        "lookup people {f} output odd | stats dc(odd) as m by {f}",
    ];
    let filter = prop_oneof![
        Just("*".to_string()),
        Just("{f}:*".to_string()),
        value().prop_map(|value| format!("{{f}}:{value}")),
        value().prop_map(|value| format!("not {{f}}:{value}")),
    ];
    // Names without quotes: they are typed alike everywhere.
    let field = field().prop_map(|field| if field.contains('"') { "size".into() } else { field });
    (filter, select(&count[..]), field)
        .prop_map(|(filter, count, field)| format!("{filter} | {count}").replace("{f}", &field))
}

fn query() -> impl Strategy<Value = String> {
    prop_oneof![7 => (filter(), pipes()).prop_map(|(f, p)| f + &p), 1 => counted()]
}

fn make<S: Strategy>(runner: &mut TestRunner, strategy: &S) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

/// Whether rows have an order after a pipe.
fn orders(pipe: &Pipe) -> bool {
    !matches!(
        pipe,
        Pipe::Where(_)
            | Pipe::Extend(_)
            | Pipe::Select(_)
            | Pipe::Sample { .. }
            | Pipe::Lookup(_)
            | Pipe::Join(_)
    )
}

fn same(a: &Cell, b: &Cell) -> bool {
    match (a, b) {
        (Cell::Float(a), Cell::Float(b)) => (a - b).abs() <= 1e-9 * a.abs().max(1.0),
        _ => a == b,
    }
}

fn equal(mut found: Vec<Vec<Cell>>, mut expected: Vec<Vec<Cell>>, ordered: bool) -> bool {
    if !ordered {
        found.sort_by_key(|row| format!("{row:?}"));
        expected.sort_by_key(|row| format!("{row:?}"));
    }
    found.len() == expected.len()
        && found.iter().flatten().zip(expected.iter().flatten()).all(|(a, b)| same(a, b))
}

/// A question as it is asked of both.
struct Question {
    plan: Plan,
    from: Option<i64>,
    to: Option<i64>,
    limit: Option<usize>,
}

impl Question {
    /// Whether both give the same answer: an error says what is different. The answer is how many
    /// rows there are.
    async fn ask(&self, world: &World) -> Result<usize, String> {
        let Self { plan, from, to, limit } = self;
        let (from, to, limit) = (*from, *to, *limit);
        let all = eval::World { batches: &world.batches, tables: &People, from, to, now: NOW };
        let expected = eval::run(plan, &all, limit)?;
        let request = Request { plan: plan.clone(), from, to, limit, now: NOW };
        let answer = world.search.search(request).await.map_err(|e| e.to_string())?;
        let named = expected.columns.iter().map(|c| c.name.replace("event_code", "event.code"));
        let named: Vec<String> = named.collect();
        if answer.kind == pugmark_query::Kind::Table && answer.columns != named {
            return Err(format!("columns {:?}, not {named:?}", answer.columns));
        }
        let computed = plan.scope().columns.len();
        let found = rows_with(answer, computed).await.map_err(|e| e.to_string())?;
        let ordered = limit.is_some() || plan.pipes.iter().any(orders);
        let rows = expected.rows.len();
        match equal(found.clone(), expected.rows.clone(), ordered) {
            true => Ok(rows),
            false => Err(format!("found    {found:?}\n expected {:?}", expected.rows)),
        }
    }
}

/// Differences that are told of at once.
const DIFFERENCES_MAX: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_the_naive_evaluator() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut asked, mut refused, mut empty) = (0, 0, 0);
    let mut different = Vec::new();
    let cases = std::env::var(CASES_VARIABLE).ok().and_then(|text| text.parse().ok());
    for _ in 0..cases.unwrap_or(CASES).div_ceil(QUERIES) {
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
            let second = 0i64..200_000;
            let bound = match query.contains("| compare") {
                true => second.prop_map(Some).boxed(),
                false => prop::option::weighted(0.3, second).boxed(),
            };
            let at = |second: Option<i64>| second.map(|s| NOW + s * 1_000_000);
            let (from, to) = (at(make(&mut runner, &bound)), at(make(&mut runner, &bound)));
            let limit = make(&mut runner, &prop::option::of(1usize..40));
            let question = Question { plan, from, to, limit };
            asked += 1;
            match question.ask(&world).await {
                Ok(rows) => empty += usize::from(rows == 0),
                Err(error) => different
                    .push(format!("{query}  from {from:?} to {to:?} limit {limit:?}\n {error}")),
            }
            if different.len() >= DIFFERENCES_MAX {
                break;
            }
        }
        if different.len() >= DIFFERENCES_MAX {
            break;
        }
    }
    assert!(different.is_empty(), "of {asked}:\n{}", different.join("\n"));
    assert!(
        refused * 2 < asked && empty * 3 < asked * 2,
        "{asked} asked, {refused} refused, {empty} empty"
    );
}
