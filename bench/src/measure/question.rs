//! One question, asked of us over HTTP and of each peer in its SQL, in turns.

use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::harness::{Bench, ms};

/// Most rows of an answer.
const ROWS_MAX: u64 = 100_000;

/// A question in both languages.
pub(crate) struct Question {
    /// The measure's name.
    pub(crate) name: &'static str,
    /// Texts that mean the same kind of thing, asked in turns.
    pub(crate) queries: Vec<String>,
    /// For each peer that is asked: its name and its SQL, one per query.
    pub(crate) sql: Vec<(&'static str, Vec<String>)>,
    /// How many rows the answer must have.
    pub(crate) rows: Option<usize>,
}

impl Question {
    /// A question that every peer is asked in the same words.
    pub(crate) fn same(name: &'static str, query: &str, sql: &str) -> Self {
        let peers = ["ClickHouse", "DuckDB"].map(|peer| (peer, vec![sql.to_string()]));
        Self { name, queries: vec![query.to_string()], sql: peers.into(), rows: None }
    }
}

/// Rows of an answer, and the sum of their counts.
type Shape = (u64, u64);

/// Asks a first time and as often again as the plan says; answers our warm times, sorted.
pub(crate) fn ask(bench: &mut Bench, question: &Question) -> Result<Vec<f64>> {
    let mut reader = bench.loaded()?.client("read")?;
    let mut times = Vec::new();
    for round in 0..=bench.plan.warm {
        let turn = round % question.queries.len();
        let query = &question.queries[turn];
        let start = Instant::now();
        let rows = reader.lines("/api/v1/search", &json!({"query": query, "limit": ROWS_MAX}))?;
        let took = ms(start.elapsed());
        if rows.is_empty() || question.rows.is_some_and(|wanted| wanted != rows.len()) {
            bail!("`{query}` answered {} rows", rows.len());
        }
        record(bench, question.name, round, took);
        if round > 0 {
            times.push(took);
        }
        let ours = (rows.len() as u64, rows.iter().filter_map(count_of).sum());
        ask_peers(bench, question, turn, round, ours);
    }
    times.sort_by(f64::total_cmp);
    compare(bench, question);
    Ok(times)
}

fn ask_peers(bench: &mut Bench, question: &Question, turn: usize, round: usize, ours: Shape) {
    let mut answers = Vec::new();
    for peer in bench.peers() {
        let Some((_, sql)) = question.sql.iter().find(|(name, _)| *name == peer.name) else {
            continue;
        };
        answers.push((peer.name, peer.ask(&sql[turn])));
    }
    for (peer, answer) in answers {
        let name = question.name;
        match answer {
            Ok(asked) => {
                record(bench, &format!("{name}, {peer}"), round, asked.ms);
                let theirs = (asked.rows, asked.sum);
                if round == 0 && theirs != ours {
                    bench.report.note(format!(
                        "{name}: {peer} answers {} rows that count {}, we {} that count {}",
                        theirs.0, theirs.1, ours.0, ours.1
                    ));
                }
            }
            Err(error) if round == 0 => bench.report.note(format!("{name}: {error:#}")),
            Err(_) => {}
        }
    }
}

fn record(bench: &mut Bench, name: &str, round: usize, took_ms: f64) {
    match round {
        0 => bench.report.add(&format!("{name} (cold)"), "ms", took_ms),
        _ => bench.report.add_quietly(name, "ms", took_ms),
    }
}

/// Our median over the better peer's.
fn compare(bench: &mut Bench, question: &Question) {
    let name = question.name;
    let ours = bench.report.median(name).unwrap_or(f64::NAN);
    let mut shown = format!("{name}: median {ours:.2} ms");
    let mut best = f64::INFINITY;
    for (peer, _) in &question.sql {
        if let Some(theirs) = bench.report.median(&format!("{name}, {peer}")) {
            shown += &format!(", {peer} {theirs:.2} ms");
            best = best.min(theirs);
        }
    }
    println!("{shown}");
    if best.is_finite() {
        bench.report.add(&format!("{name}, of the better peer"), "ratio", ours / best);
    }
}

/// The figure of a row: its column `count`.
fn count_of(row: &Value) -> Option<u64> {
    row.as_object()?.iter().find(|(name, _)| name.starts_with("count"))?.1.as_u64()
}
