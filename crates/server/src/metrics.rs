//! Metrics in the Prometheus text format, version 0.0.4, written by hand.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use parking_lot::Mutex;
use pugmark_event::time::SECOND;
use pugmark_parse::health::{State, Summary};
use pugmark_store::{KeptSearch, LedgerRow, SearchRun};

use crate::turns::Turns;
use crate::wire;

/// Requests answered, by method, route and status. Routes are patterns, so there are few.
#[derive(Debug, Default)]
pub(crate) struct RequestCounts {
    counts: Mutex<BTreeMap<(&'static str, String, u16), u64>>,
}

impl RequestCounts {
    pub(crate) fn count(&self, method: &str, route: &str, status: u16) {
        // A client may invent methods; they must not fill the memory.
        let known = ["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"];
        let method = known.into_iter().find(|m| *m == method).unwrap_or("other");
        *self.counts.lock().entry((method, route.to_string(), status)).or_default() += 1;
    }
}

/// Writes all metrics.
pub(crate) fn render(
    status: &wire::Status,
    ledger: &[LedgerRow],
    sources: &BTreeMap<String, Summary>,
    searches: &[KeptSearch],
    requests: &RequestCounts,
    turns: &Turns,
) -> String {
    let mut page = Page::default();
    page.about("pugmark_events", "gauge", "Events that search can find.");
    page.value("pugmark_events", &[], status.events);
    page.about("pugmark_wal_bytes", "gauge", "Bytes of the write-ahead log on disk.");
    page.value("pugmark_wal_bytes", &[], status.wal_bytes);
    page.about("pugmark_segment_bytes", "gauge", "Bytes of segments on disk.");
    page.value("pugmark_segment_bytes", &[], status.disk_bytes);
    page.about("pugmark_segments", "gauge", "Segments.");
    page.value("pugmark_segments", &[], status.segments);
    page.about("pugmark_taking_logs", "gauge", "1 while logs are taken, else 0.");
    page.value("pugmark_taking_logs", &[], u8::from(status.taking_logs));
    page.about("pugmark_detections_total", "counter", "Detections since the start.");
    page.value("pugmark_detections_total", &[], status.detections);
    page.about("pugmark_records_not_understood_total", "counter", "Records of no known format.");
    page.value("pugmark_records_not_understood_total", &[], status.not_understood);
    page.about("pugmark_pending_records", "gauge", "Records on disk and not searchable yet.");
    page.value("pugmark_pending_records", &[], status.pending_records);
    page.about("pugmark_rule_keys_forgotten_total", "counter", "Keys that a rule had no room for.");
    for rule in &status.forgotten {
        page.value("pugmark_rule_keys_forgotten_total", &[("rule", &rule.rule)], rule.keys);
    }
    page.about("pugmark_rule_events_behind", "gauge", "Events that a throttled rule is behind.");
    for rule in &status.throttled {
        page.value("pugmark_rule_events_behind", &[("rule", &rule.rule)], rule.events_behind);
    }
    page.about("pugmark_open_alerts", "gauge", "Open alerts.");
    for (severity, count) in &status.open_alerts {
        page.value("pugmark_open_alerts", &[("severity", severity)], count);
    }
    ledger_metrics(&mut page, ledger);
    source_metrics(&mut page, sources);
    question_metrics(&mut page, turns);
    search_metrics(&mut page, searches);
    page.about("pugmark_http_requests_total", "counter", "Requests answered.");
    for ((method, route, status), count) in requests.counts.lock().iter() {
        let labels = [("method", *method), ("route", route), ("status", &status.to_string())];
        page.value("pugmark_http_requests_total", &labels, count);
    }
    page.text
}

fn source_metrics(page: &mut Page, sources: &BTreeMap<String, Summary>) {
    let name = "pugmark_source_understood_ratio";
    page.about(name, "gauge", "Share of the records of late that were understood.");
    for (source, known) in sources {
        page.value(name, &[("source", source)], known.understood);
    }
    page.about(
        "pugmark_source_broken",
        "gauge",
        "1 while records do not look as they did, else 0.",
    );
    for (source, known) in sources {
        let broken = u8::from(known.state == State::Broken);
        page.value("pugmark_source_broken", &[("source", source)], broken);
    }
}

/// Questions, small ones apart: an event by its id, completion.
fn question_metrics(page: &mut Page, turns: &Turns) {
    let counts = turns.counts();
    page.about("pugmark_questions_running", "gauge", "Questions that run.");
    for (kind, count) in counts {
        page.value("pugmark_questions_running", &[("kind", kind)], count.running);
    }
    page.about("pugmark_questions_waiting", "gauge", "Questions that wait for their turn.");
    for (kind, count) in counts {
        page.value("pugmark_questions_waiting", &[("kind", kind)], count.waiting);
    }
    page.about("pugmark_questions_refused_total", "counter", "Questions that got no turn.");
    for (kind, count) in counts {
        page.value("pugmark_questions_refused_total", &[("kind", kind)], count.refused);
    }
}

/// How the schedules of saved searches do; those that have not run yet are left out.
fn search_metrics(page: &mut Page, searches: &[KeptSearch]) {
    type Value = fn(&SearchRun) -> f64;
    let columns: [(&str, &str, Value); 3] = [
        ("failed", "1 when the last run of a scheduled search failed, else 0.", |run| {
            u8::from(run.error.is_some()).into()
        }),
        (
            "done_timestamp_seconds",
            "Event time up to which a scheduled search was asked about.",
            |run| run.done as f64 / SECOND as f64,
        ),
        ("duration_seconds", "Duration of the last run of a scheduled search.", |run| {
            run.took as f64 / SECOND as f64
        }),
    ];
    for (column, help, value) in columns {
        let name = format!("pugmark_scheduled_search_{column}");
        page.about(&name, "gauge", help);
        for search in searches {
            if let Some(run) = search.run.as_ref().filter(|run| run.ran.is_some()) {
                page.value(&name, &[("search", &search.name)], value(run));
            }
        }
    }
}

type Column = fn(&LedgerRow) -> u64;

fn ledger_metrics(page: &mut Page, ledger: &[LedgerRow]) {
    let columns: [(&str, &str, Column); 7] = [
        ("received", "Records received.", |row| row.received),
        ("stored", "Records stored as events.", |row| row.stored),
        ("sampled", "Records left out by sampling.", |row| row.sampled),
        ("folded", "Records that came again and were not stored again.", |row| row.folded),
        ("quarantined", "Records set aside.", |row| row.quarantined),
        ("shed", "Records dropped because a queue was full.", |row| row.shed),
        ("raw_bytes", "Bytes of raw records.", |row| row.raw_bytes),
    ];
    for (column, help, value) in columns {
        let name = match column {
            "raw_bytes" => "pugmark_raw_bytes_total".to_string(),
            column => format!("pugmark_records_{column}_total"),
        };
        page.about(&name, "counter", help);
        for row in ledger {
            page.value(&name, &[("source", &row.source)], value(row));
        }
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn about(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            self.text.push(if i == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{label}=\"{}\"", escape(text));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// Label values may hold anything once backslash, quote and line end are escaped.
fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.value("x", &[("source", "a\"b\\c\nd"), ("status", "200")], 7);
        assert_eq!(page.text, "x{source=\"a\\\"b\\\\c\\nd\",status=\"200\"} 7\n");
    }
}
