//! A word that is common, counted by a field over everything: no filter helps here.

use anyhow::Result;

use super::Measure;
use super::question::{self, Question};
use crate::harness::Bench;

pub(crate) const MEASURE: Measure =
    Measure { name: "word", about: "a common word, counted by a field over all", run };

const WORD: &str = "finished";

fn run(bench: &mut Bench) -> Result<()> {
    if bench.corpus.needles.is_empty() {
        bench
            .report
            .note("word skipped: these logs have no word that is known to be common".into());
        return Ok(());
    }
    let by = "GROUP BY service";
    let question = Question {
        name: "word: count by service",
        queries: vec![format!("{WORD} | stats count() by service.name")],
        sql: vec![
            (
                "ClickHouse",
                vec![format!(
                    "SELECT service, count() FROM events WHERE hasToken(message, '{WORD}') {by}"
                )],
            ),
            (
                "DuckDB",
                vec![format!(
                    "SELECT service, count(*) FROM events WHERE contains(message, '{WORD}') {by}"
                )],
            ),
        ],
        rows: None,
    };
    question::ask(bench, &question)?;
    let gigabytes = bench.corpus.bytes() as f64 / 1e9;
    if let Some(median) = bench.report.median(question.name) {
        bench.report.add("word: count by service, per GB raw", "ms", median / gigabytes);
    }
    Ok(())
}
