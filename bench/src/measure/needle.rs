//! A word that stands in seven records of millions: the question of every investigation.
//!
//! Several such words are asked for in turns, so that no answer is a memory of the one before.

use anyhow::Result;

use super::Measure;
use super::question::{self, Question};
use crate::corpus::NEEDLE_COPIES;
use crate::harness::Bench;
use crate::report::percentile;

pub(crate) const MEASURE: Measure =
    Measure { name: "needle", about: "a word in 7 of all records, through the API", run };

/// Percentiles of fewer say nothing.
const WARM_MIN: usize = 20;

fn run(bench: &mut Bench) -> Result<()> {
    let words = bench.corpus.needles.clone();
    if words.is_empty() {
        bench.report.note("needle skipped: none is hidden in these logs".into());
        return Ok(());
    }
    let all = |sql: fn(&str) -> String| words.iter().map(|word| sql(word)).collect::<Vec<_>>();
    let question = Question {
        name: "needle",
        queries: words.clone(),
        sql: vec![
            ("ClickHouse", all(|w| format!("SELECT * FROM events WHERE hasToken(message, '{w}')"))),
            ("DuckDB", all(|w| format!("SELECT * FROM events WHERE contains(message, '{w}')"))),
        ],
        rows: Some(NEEDLE_COPIES),
    };
    let times = question::ask(bench, &question)?;
    if times.len() >= WARM_MIN {
        bench.report.add("needle: p50", "ms", percentile(&times, 0.5));
        bench.report.add("needle: p95", "ms", percentile(&times, 0.95));
    }
    Ok(())
}
