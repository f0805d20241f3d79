//! History finds what the stream found, to the id: whatever the cut into blocks, and wherever the
//! events lie by now, in memory, in segments or in merged ones.

use std::ops::ControlFlow;
use std::sync::Arc;

use pugmark_detect::{Checkpoint, Detector, RuleSet, RuleSource};
use pugmark_engine::backtest::Plan;
use pugmark_engine::history::History;
use pugmark_engine::rules;
use pugmark_event::{Batch, Records};
use pugmark_parse::{Input, Parser};
use pugmark_store::{Options, Store};

/// Rules whose fields are columns, attributes, elements of arrays, the record itself, and absent;
/// and rules over time on top.
const RULES: &str = r#"
title: Refused
id: refused
name: refused
logsource: {category: webserver}
detection:
  sel: {sc-status: 401}
  condition: sel
---
title: Taken
id: taken
name: taken
logsource: {category: webserver}
detection:
  sel: {sc-status: 200, cs-method: POST}
  condition: sel
---
title: Guessing
id: guessing
name: guessing
correlation:
  type: event_count
  rules: [refused]
  group-by: [c-ip]
  timespan: 60s
  condition: {gte: 4}
---
title: Guessed
id: guessed
correlation:
  type: temporal_ordered
  rules: [guessing, taken]
  group-by: [c-ip]
  timespan: 5m
  generate: true
---
title: Words
id: words
logsource: {}
detection:
  keywords: ['*traversal*', needle]
  condition: keywords
---
title: Attribute
id: attribute
logsource: {}
detection:
  sel: {detail.Colour|contains: red, detail.tags: b}
  filter: {detail.extra: null}
  condition: sel and not filter
---
title: Other case
id: case
logsource: {}
detection:
  sel: {DETAIL.COLOUR: blue}
  condition: sel
"#;

/// Words alone: within values, within what records share, and across both.
const WORDS: &str = r"
title: Within a value
id: value
logsource: {}
detection:
  keywords: [RAVERS, 'een need']
  condition: keywords
---
title: Within what records share
id: shared
logsource: {}
detection:
  keywords: ['T /login HTT']
  condition: keywords
---
title: Across both
id: across
logsource: {}
detection:
  keywords: ['.113.2 - - [', '404 12', '13.3']
  posted: [POST]
  condition: keywords and not posted
";

/// A cheap generator: the same numbers for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn time(chance: &mut Chance, step: i64) -> chrono::DateTime<chrono::Utc> {
    let late = if chance.below(7) == 0 { chance.below(500) } else { chance.below(20) };
    chrono::DateTime::from_timestamp(1_795_428_000 + step * 3 - late as i64, 0).unwrap()
}

fn web(chance: &mut Chance, step: i64) -> String {
    let time = time(chance, step).format("%d/%b/%Y:%H:%M:%S +0000").to_string();
    let status = [200, 401, 401, 404][chance.below(4) as usize];
    let method = ["GET", "POST"][chance.below(2) as usize];
    let path = ["/", "/login", "/a/traversal/b"][chance.below(3) as usize];
    let address = chance.below(4);
    format!("203.0.113.{address} - - [{time}] \"{method} {path} HTTP/1.1\" {status} 12 \"-\" \"x\"")
}

fn json(chance: &mut Chance, step: i64) -> String {
    let time = time(chance, step).to_rfc3339();
    let colour = ["dark red", "blue", "green needle"][chance.below(3) as usize];
    let tags = ["[\"a\",\"b\"]", "[\"c\"]", "\"b\""][chance.below(3) as usize];
    let extra = ["null", "1"][chance.below(2) as usize];
    format!(
        "{{\"@timestamp\":\"{time}\",\"detail\":{{\"Colour\":\"{colour}\",\"tags\":{tags},\
         \"extra\":{extra}}}}}"
    )
}

fn compiled(text: &str) -> Arc<RuleSet> {
    let source = RuleSource { path: "test.yaml".into(), text: text.into() };
    let (rules, problems) = rules::compile(&[source]);
    assert_eq!(problems, []);
    Arc::new(rules)
}

/// Ids of detections on the stream, while the events find their places in the store.
async fn stream(
    store: &Store,
    blocks: &Blocks,
    rules: &[Arc<RuleSet>],
    seed: u64,
) -> Vec<Vec<String>> {
    let mut detectors: Vec<Detector> = rules.iter().cloned().map(Detector::new).collect();
    let mut found = vec![Vec::new(); rules.len()];
    events(store, blocks, seed, &mut |batch, _| {
        for (detector, found) in detectors.iter_mut().zip(&mut found) {
            found.extend(detector.process(batch).into_iter().map(|detection| detection.id));
        }
    })
    .await;
    found
}

/// Puts events into the store, block by block; `each` sees a batch before it is there, and what the
/// mark of the store is then.
async fn events(store: &Store, blocks: &Blocks, seed: u64, each: &mut dyn FnMut(&Batch, i64)) {
    let parser = Parser::builtin().unwrap();
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for step in 0..40 {
        let of_web = chance.below(3) > 0;
        let count = 1 + chance.below(12);
        let line =
            |chance: &mut Chance| if of_web { web(chance, step) } else { json(chance, step) };
        let lines: Vec<String> = (0..count).map(|_| line(&mut chance)).collect();
        let records: Records = lines.iter().map(|line| line.as_bytes()).collect();
        let source = if of_web { "web" } else { "app" };
        let received = (1_795_428_000 + step * 3) * 1_000_000;
        store.append(source.into(), Arc::new(records), received, None, None).await.unwrap();
        let block = blocks.recv().unwrap();
        let input = Input {
            source: &block.source,
            records: &block.records,
            first_id: block.first_id,
            received: block.received,
            format: None,
        };
        let batch = parser.parse(&input);
        each(&batch, store.mark());
        store.insert(batch);
        store.processed(block.first_id + block.records.len() as i64);
        if chance.below(6) == 0 {
            store.flush().await.unwrap();
        }
        if chance.below(12) == 0 {
            store.compact().await.unwrap();
        }
    }
}

type Blocks = crossbeam_channel::Receiver<pugmark_store::Block>;

/// Ids of detections in everything that is stored.
fn history(store: &Store, rules: &Arc<RuleSet>) -> Vec<String> {
    follow(&History::new(store.snapshot()), rules, &mut Detector::new(rules.clone()))
}

fn follow(history: &History, rules: &Arc<RuleSet>, detector: &mut Detector) -> Vec<String> {
    let hits = history.hits(rules, &mut |_, _| ControlFlow::Continue(())).unwrap();
    let mut found = Vec::new();
    for hit in hits.read().unwrap() {
        found.extend(detector.follow(&hit.unwrap()).into_iter().map(|f| f.detection.id));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn history_finds_what_the_stream_found() {
    let (builtin, problems) = rules::compile(&rules::builtin());
    assert_eq!(problems, []);
    // Few rules choose rows themselves; many read all.
    let sets = [compiled(RULES), Arc::new(builtin), compiled(WORDS)];
    let mut total = 0;
    for seed in 1..=10 {
        let dir = tempfile::tempdir().unwrap();
        let (store, blocks) = Store::open(dir.path(), Options::default()).await.unwrap();
        let expected = stream(&store, &blocks, &sets, seed).await;
        for (rules, expected) in sets.iter().zip(&expected) {
            let found = tokio::task::block_in_place(|| history(&store, rules));
            assert_eq!(&found, expected, "seed {seed}, {} rules", rules.rules().len());
            total += expected.len();
        }
        store.close_intake().await;
        drop(blocks);
        store.close().await.unwrap();
    }
    assert!(total > 500, "only {total} detections");
}

/// A process ends at any block after any checkpoint, and the next one goes on: first with what is
/// in segments, then with what the WAL has.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_an_end_finds_what_none_would_have_found() {
    let rules = compiled(RULES);
    let mut caught_up = 0;
    for seed in 1..=12 {
        let dir = tempfile::tempdir().unwrap();
        let (store, blocks) = Store::open(dir.path(), Options::default()).await.unwrap();
        let mut detector = Detector::new(rules.clone());
        let (mut batches, mut states, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        events(&store, &blocks, seed, &mut |batch, mark| {
            let next = batch.ids()[0];
            states.push((detector.checkpoint(next).to_bytes().unwrap(), mark));
            expected.push(ids(detector.process(batch)));
            batches.push(batch.clone());
        })
        .await;
        let mut chance = Chance(seed + 99);
        for _ in 0..6 {
            let end = 1 + chance.below(batches.len() as u64 - 1) as usize;
            let kept = chance.below(end as u64) as usize;
            let known = Checkpoint::from_bytes(&states[kept].0).unwrap();
            let mark = states[end].1;
            let (mut detector, _) = Detector::resume(rules.clone(), &known);
            let next = known.next.max(mark);
            let mut found = Vec::new();
            if known.next < mark {
                let ids = Some((known.next, mark - 1));
                let history = History { ids, ..History::new(store.snapshot()) };
                let more = tokio::task::block_in_place(|| follow(&history, &rules, &mut detector));
                caught_up += more.len();
                found.extend(more);
            }
            for batch in &batches {
                let seen = batch.ids().partition_point(|id| *id < next);
                let rest = batch.slice(seen, batch.rows() - seen);
                found.extend(ids(detector.process(&rest)));
            }
            assert_eq!(found, expected[kept..].concat(), "seed {seed}, from {kept}, end {end}");
        }
        store.close_intake().await;
        drop(blocks);
        store.close().await.unwrap();
    }
    assert!(caught_up > 50, "only {caught_up} detections between checkpoint and mark");
}

fn ids(detections: Vec<pugmark_detect::Detection>) -> Vec<String> {
    detections.into_iter().map(|detection| detection.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_counts_shows_and_compares() {
    let dir = tempfile::tempdir().unwrap();
    let (store, blocks) = Store::open(dir.path(), Options::default()).await.unwrap();
    let rules = compiled(RULES);
    let expected = stream(&store, &blocks, std::slice::from_ref(&rules), 77).await.remove(0);
    let source = |text: &str| RuleSource { path: "t.yaml".into(), text: text.into() };
    let in_force = pugmark_detect::load(&[source(RULES)]).rules;
    let history = History::new(store.snapshot());
    let run = |plan: &Plan| {
        tokio::task::block_in_place(|| plan.run(&history, &mut |_| ControlFlow::Continue(())))
    };

    let plan = Plan::of_sources(&[source(RULES)], &in_force).unwrap();
    let report = run(&plan).unwrap();
    let detections: u64 = report.rules.iter().map(|rule| rule.detections).sum();
    assert_eq!(detections, expected.len() as u64);
    let guessing = report.rules.iter().find(|rule| rule.id == "guessing").unwrap();
    assert!(guessing.difference.is_none(), "the version in force is the same");
    let of_days: u64 = guessing.days.iter().map(|day| day.detections).sum();
    let of_entities: u64 = guessing.entities.iter().map(|entity| entity.detections).sum();
    assert_eq!((of_days, of_entities), (guessing.detections, guessing.detections));
    let why: Vec<&str> = guessing.samples[0].why.iter().map(|why| why.field.as_str()).collect();
    assert_eq!(why, ["event_count", "c-ip", "sc-status"]);

    // A higher count finds less, and says what is lost.
    let higher = RULES.replace("{gte: 4}", "{gte: 6}");
    let guessing_alone = higher.split("---").find(|text| text.contains("id: guessing")).unwrap();
    let plan = Plan::of_sources(&[source(guessing_alone)], &in_force).unwrap();
    let report = run(&plan).unwrap();
    assert_eq!(report.rules.len(), 1, "what it refers to is in force and not asked about");
    let difference = report.rules[0].difference.as_ref().unwrap();
    assert_eq!(difference.both + difference.only_before, guessing.detections);
    assert_eq!(difference.both + difference.only_now, report.rules[0].detections);
    assert!(!difference.lost_events.is_empty());

    // A rule that only feeds another is asked about by its name.
    let refused = run(&Plan::of_rule("Refused", &in_force).unwrap()).unwrap();
    assert!(refused.rules[0].detections > guessing.detections);
    let missing = Plan::of_rule("no such rule", &in_force).unwrap_err().to_string();
    assert_eq!(missing, "no rule has the id or title `no such rule`");
    let stopped =
        tokio::task::block_in_place(|| plan.run(&history, &mut |_| ControlFlow::Break(())));
    assert_eq!(stopped.unwrap_err().to_string(), "stopped before the end");
    store.close_intake().await;
    drop(blocks);
    store.close().await.unwrap();
}
