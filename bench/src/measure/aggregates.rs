//! Figures over everything: counts by a field, the ten most frequent values, counts along time.

use anyhow::Result;

use super::Measure;
use super::question::{self, Question};
use crate::harness::Bench;

pub(crate) const MEASURE: Measure =
    Measure { name: "aggregates", about: "count by field, top 10, time histogram", run };

fn run(bench: &mut Bench) -> Result<()> {
    if bench.corpus.needles.is_empty() {
        let question = Question::same(
            "aggregate: count by source",
            "* | stats count() by event.source",
            "SELECT source, count(*) FROM events GROUP BY source",
        );
        question::ask(bench, &question)?;
        return Ok(());
    }
    for question in questions() {
        question::ask(bench, &question)?;
    }
    Ok(())
}

fn questions() -> [Question; 5] {
    let histogram = |bucket: &str| {
        vec![format!(
            "SELECT {bucket} AS bucket, count(*) FROM events GROUP BY bucket ORDER BY bucket"
        )]
    };
    [
        Question::same(
            "aggregate: count by source",
            "* | stats count() by event.source",
            "SELECT source, count(*) FROM events GROUP BY source",
        ),
        Question::same(
            "aggregate: count by status",
            "http.response.status_code:* | stats count() by http.response.status_code",
            "SELECT status, count(*) FROM events WHERE status != 0 GROUP BY status",
        ),
        Question::same(
            "aggregate: count by host",
            "host.name:* | stats count() by host.name",
            "SELECT host, count(*) FROM events WHERE host != '' GROUP BY host",
        ),
        Question {
            sql: vec![("ClickHouse", vec![top("toIPv4('0.0.0.0')")]), ("DuckDB", vec![top("0")])],
            ..Question::same("aggregate: top 10 addresses", "* | top 10 source.ip", "")
        },
        Question {
            sql: vec![
                ("ClickHouse", histogram("toStartOfFiveMinutes(ts)")),
                ("DuckDB", histogram("time_bucket(INTERVAL '5 minutes', ts)")),
            ],
            ..Question::same("aggregate: time histogram", "* | timechart span=5m count()", "")
        },
    ]
}

fn top(none: &str) -> String {
    format!(
        "SELECT source_ip, count(*) AS n FROM events WHERE source_ip != {none} \
         GROUP BY source_ip ORDER BY n DESC LIMIT 10"
    )
}
