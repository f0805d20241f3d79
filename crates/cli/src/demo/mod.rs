//! The demo: one day of Northwind Tea, a small company that we made up, and the night on which it
//! was broken into.
//!
//! The same seed and start give the same bytes, so the demo shows everybody the same alerts. The
//! company's midnight is the start; all names end in `.example`, all outside addresses are those
//! that RFC 5737 and RFC 3849 keep for documentation.
//!
//! ```text
//! company  who works there, which hosts, which habits      (tables)
//! ordinary what a day looks like when nothing happens      (shop, offices, servers, the Internet)
//! story    the break-in, minute by minute, and the guide
//! lines    how each product writes one line
//! ```

mod company;
mod lines;
mod ordinary;
mod random;
mod stamp;
mod story;

pub(crate) use story::STORY;

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;
/// Microseconds in a minute.
const MINUTE: i64 = 60 * SECOND;
/// Microseconds in an hour.
const HOUR: i64 = 60 * MINUTE;
/// Microseconds in a day.
const DAY: i64 = 24 * HOUR;

/// One record of the demo, as a product would have sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DemoRecord {
    /// When it happened, in microseconds since the Unix epoch; the line says the same, to the
    /// second or finer, as its product does.
    pub(crate) time_us: i64,
    /// The source that it comes from: `nginx`, `shop`, `linux`, `auditd`, `firewall`, `dns` or
    /// `windows`.
    pub(crate) source: &'static str,
    /// The raw record, one line without its line end.
    pub(crate) line: String,
}

/// The records of one day in the order of time: from `start_us` (microseconds since the Unix
/// epoch, whole seconds at best) to 24 hours later.
pub(crate) fn day(seed: u64, start_us: i64) -> Vec<DemoRecord> {
    let mut day = Day { start_us, records: Vec::with_capacity(64_000) };
    ordinary::write(&mut day, seed);
    story::write(&mut day, seed);
    // A stable sort: records of one instant stay in the order in which they were written.
    day.records.sort_by_key(|r| r.time_us);
    day.records
}

/// The day being written.
struct Day {
    start_us: i64,
    records: Vec<DemoRecord>,
}

impl Day {
    /// Adds the record that `line` writes for the time `after_us` after midnight. What would fall
    /// outside of the day is left out.
    fn add(
        &mut self,
        after_us: i64,
        source: &'static str,
        line: impl FnOnce(stamp::Stamp) -> String,
    ) {
        if (0..DAY).contains(&after_us) {
            let time_us = self.start_us + after_us;
            self.records.push(DemoRecord {
                time_us,
                source,
                line: line(stamp::Stamp::new(time_us)),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// 2026-11-23T00:00:00Z.
    const START_US: i64 = 1_795_392_000 * SECOND;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(day(7, START_US), day(7, START_US));
        assert_ne!(day(7, START_US), day(8, START_US));
    }

    #[test]
    fn a_day_is_sorted_and_complete() {
        let records = day(1, START_US);
        assert!(records.is_sorted_by_key(|r| r.time_us));
        assert!(records.iter().all(|r| (START_US..START_US + DAY).contains(&r.time_us)));
        assert!(records.iter().all(|r| !r.line.is_empty() && !r.line.contains(['\n', '\r'])));
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for record in &records {
            *counts.entry(record.source).or_default() += 1;
        }
        let sources: Vec<_> = counts.keys().copied().collect();
        assert_eq!(
            sources,
            ["auditd", "dns", "firewall", "linux", "nginx", "shop", "windows"],
            "{counts:?}"
        );
        assert!((40_000..=60_000).contains(&records.len()), "{} {counts:?}", records.len());
    }

    #[test]
    fn nights_are_quieter_than_days() {
        let records = day(1, START_US);
        let per_hour = |hour: i64| {
            let hours = START_US + hour * HOUR..START_US + (hour + 1) * HOUR;
            records.iter().filter(|r| r.source == "dns" && hours.contains(&r.time_us)).count()
        };
        assert!(per_hour(11) > 4 * per_hour(4), "{} {}", per_hour(11), per_hour(4));
    }

    #[test]
    fn json_lines_are_json() {
        for record in day(3, START_US) {
            if matches!(record.source, "shop" | "windows") {
                let parsed: Result<serde_json::Value, _> = serde_json::from_str(&record.line);
                assert!(parsed.is_ok_and(|v| v.is_object()), "{}", record.line);
            }
        }
    }
}
