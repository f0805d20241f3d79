//! What the store has to reach, beside what was measured.

use std::fmt::Write as _;

/// Which side of the limit is good.
#[derive(Clone, Copy)]
enum Side {
    AtMost,
    Under,
    AtLeast,
}

/// One promise, held against the median of one measure.
pub(crate) struct Bar {
    /// The measure, as the report names it.
    measure: &'static str,
    unit: &'static str,
    side: Side,
    limit: f64,
    /// The corpora that it is promised for.
    corpora: &'static [&'static str],
}

const ALL: &[&str] = &["mixed", "ndjson", "shared"];
const SEEDED: &[&str] = &["mixed", "ndjson"];

/// Every promise.
pub(crate) const BARS: &[Bar] = &[
    bar("size: of zstd -3 of the raw files", "ratio", Side::AtMost, 0.55, ALL),
    bar("size: of ClickHouse's typed table", "ratio", Side::Under, 1.0, SEEDED),
    bar("ingest: raw per server CPU second", "MB", Side::AtLeast, 60.0, &["ndjson"]),
    bar("ingest: events per server CPU second", "events", Side::AtLeast, 200_000.0, &["ndjson"]),
    bar("ingest: peak memory", "MiB", Side::Under, 400.0, ALL),
    bar("needle: p50", "ms", Side::Under, 10.0, SEEDED),
    bar("needle: p95", "ms", Side::Under, 30.0, SEEDED),
    bar("word: count by service, per GB raw", "ms", Side::Under, 150.0, SEEDED),
    bar("equality: source.ip", "ms", Side::Under, 15.0, SEEDED),
    bar("aggregate: count by source, of the better peer", "ratio", Side::AtMost, 1.0, SEEDED),
    bar("aggregate: count by status, of the better peer", "ratio", Side::AtMost, 1.0, SEEDED),
    bar("aggregate: count by host, of the better peer", "ratio", Side::AtMost, 1.0, SEEDED),
    bar("aggregate: top 10 addresses, of the better peer", "ratio", Side::AtMost, 1.0, SEEDED),
    bar("aggregate: time histogram, of the better peer", "ratio", Side::AtMost, 1.0, SEEDED),
    bar("queries: before the better peer", "of 20", Side::AtLeast, 14.0, &["ndjson"]),
    bar("queries: worst, of the better peer", "ratio", Side::AtMost, 2.0, &["ndjson"]),
    bar("restart: to ready", "s", Side::Under, 10.0, ALL),
    bar("restart: to exact", "s", Side::Under, 10.0, ALL),
    bar("compaction: most cores at once", "cores", Side::AtMost, 1.0, ALL),
    bar("compaction: ingest rate kept", "ratio", Side::AtLeast, 0.8, ALL),
];

const fn bar(
    measure: &'static str,
    unit: &'static str,
    side: Side,
    limit: f64,
    corpora: &'static [&'static str],
) -> Bar {
    Bar { measure, unit, side, limit, corpora }
}

impl Bar {
    fn passed(&self, value: f64) -> bool {
        match self.side {
            Side::AtMost => value <= self.limit,
            Side::Under => value < self.limit,
            Side::AtLeast => value >= self.limit,
        }
    }

    fn limit(&self) -> String {
        let words = match self.side {
            Side::AtMost => "at most",
            Side::Under => "under",
            Side::AtLeast => "at least",
        };
        format!("{words} {} {}", self.limit, self.unit)
    }
}

/// A table of all bars; `median` answers a measure's figure and how it is written.
pub(crate) fn table(corpus: &str, median: impl Fn(&str) -> Option<(f64, String)>) -> String {
    let mut text = "| bar | limit | measured | |\n| --- | --: | --: | --- |\n".to_string();
    for bar in BARS {
        let (shown, verdict) = match median(bar.measure) {
            _ if !bar.corpora.contains(&corpus) => (String::new(), "not for this corpus"),
            None => (String::new(), "not measured"),
            Some((value, shown)) if bar.passed(value) => (shown, "passed"),
            Some((_, shown)) => (shown, "**missed**"),
        };
        let _ = writeln!(text, "| {} | {} | {shown} | {verdict} |", bar.measure, bar.limit());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(measure: &str, corpus: &str, value: Option<f64>, expected: &str) {
        let of = |name: &str| value.filter(|_| name == measure).map(|v| (v, v.to_string()));
        let text = table(corpus, of);
        let line = text.lines().find(|line| line.contains(measure)).expect("it is a bar");
        assert!(line.ends_with(&format!("| {expected} |")), "{line}");
    }

    #[test]
    fn a_bar_is_passed_missed_or_not_measured() {
        let zstd = "size: of zstd -3 of the raw files";
        check(zstd, "mixed", Some(0.55), "passed");
        check(zstd, "mixed", Some(0.56), "**missed**");
        check(zstd, "mixed", None, "not measured");
        check("needle: p50", "mixed", Some(10.0), "**missed**");
        check("compaction: ingest rate kept", "mixed", Some(0.8), "passed");
        check("ingest: raw per server CPU second", "mixed", Some(90.0), "not for this corpus");
        check("ingest: raw per server CPU second", "ndjson", Some(59.0), "**missed**");
    }
}
