//! Corrections of clocks: what is added to the times of a source's events, since when, and by whom.
//!
//! A correction holds for records that are received from a moment on, until the next one of the
//! source does; taking one off is a correction of 0 seconds. Nothing is ever changed backwards:
//! whoever reads a record again, from the WAL or for a reparse, gives its event the time that it
//! had.

use std::collections::BTreeMap;

use pugmark_event::time::{Micros, SECOND};
use pugmark_parse::clean::CORRECTION_SECONDS_MAX;
use pugmark_store::{KeptCorrection, StoreError};

use crate::intake::is_source_name;

/// Corrections of one source: enough for a change of clocks twice a year, and many mistakes.
pub const CORRECTIONS_MAX: usize = 64;
/// Sources with corrections.
pub const SOURCES_MAX: usize = 1024;
/// Longest reason in bytes.
pub const REASON_BYTES_MAX: usize = 4 << 10;
/// A correction holds from so long after it was made: it must be on disk and in force before the
/// first record that it is for is read.
const GRACE: Micros = 2 * SECOND;

/// Why a correction is not taken.
#[derive(Debug, thiserror::Error)]
pub enum CorrectionError {
    /// No source is called so.
    #[error("{0:?} is no name for a source")]
    Source(String),
    /// It is none, or no clock is wrong by so much.
    #[error(
        "a correction adds 1 to {CORRECTION_SECONDS_MAX} seconds (26 hours), or takes them off; \
         here it is {0}"
    )]
    Seconds(i64),
    /// The reason is too long.
    #[error("a reason has at most {REASON_BYTES_MAX} bytes")]
    Reason,
    /// There is none in force.
    #[error("no correction of {0} is in force")]
    Nothing(String),
    /// The source, or all together, have too many already.
    #[error("{0}")]
    TooMany(String),
    /// It cannot be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The corrections of all sources.
#[derive(Debug, Clone, Default)]
pub struct Corrections {
    /// Those of each source in the order of time.
    sources: BTreeMap<String, Vec<KeptCorrection>>,
}

impl Corrections {
    /// These, in any order.
    pub fn new(kept: Vec<KeptCorrection>) -> Self {
        let mut sources: BTreeMap<String, Vec<KeptCorrection>> = BTreeMap::new();
        for correction in kept {
            sources.entry(correction.source.clone()).or_default().push(correction);
        }
        sources.values_mut().for_each(|list| list.sort_by_key(|correction| correction.since));
        Self { sources }
    }

    /// Those of a source in the order of time.
    pub fn of(&self, source: &str) -> &[KeptCorrection] {
        self.sources.get(source).map_or(&[], Vec::as_slice)
    }

    /// Seconds that are added to times of a source in what was received at this moment; 0 for none.
    pub fn seconds_at(&self, source: &str, received: Micros) -> i64 {
        if self.sources.is_empty() {
            return 0;
        }
        let list = self.of(source);
        let before = list.partition_point(|correction| correction.since <= received);
        before.checked_sub(1).map_or(0, |last| list[last].seconds)
    }

    /// Seconds that the last of a source adds; 0 for none.
    pub fn newest_seconds(&self, source: &str) -> i64 {
        self.of(source).last().map_or(0, |correction| correction.seconds)
    }

    /// The correction that a person wants now, or `None` where it is in force already. The times
    /// are in microseconds since the epoch, `seconds` are what is added, 0 to take it off.
    ///
    /// # Errors
    /// See [`CorrectionError`].
    pub fn next(
        &self,
        source: &str,
        seconds: i64,
        (actor, reason): (&str, &str),
        now: Micros,
    ) -> Result<Option<KeptCorrection>, CorrectionError> {
        if !is_source_name(source) {
            return Err(CorrectionError::Source(source.chars().take(80).collect()));
        }
        if !(-CORRECTION_SECONDS_MAX..=CORRECTION_SECONDS_MAX).contains(&seconds) {
            return Err(CorrectionError::Seconds(seconds));
        }
        if reason.len() > REASON_BYTES_MAX {
            return Err(CorrectionError::Reason);
        }
        if self.newest_seconds(source) == seconds {
            return match seconds {
                0 => Err(CorrectionError::Nothing(source.to_string())),
                _ => Ok(None),
            };
        }
        let list = self.of(source);
        self.check_room(source, seconds)?;
        // A clock of ours that was set back must not put it before one that is older.
        let after = list.last().map_or(Micros::MIN, |last| last.since.saturating_add(1));
        Ok(Some(KeptCorrection {
            source: source.to_string(),
            since: now.saturating_add(GRACE).max(after),
            seconds,
            reason: reason.to_string(),
            actor: actor.to_string(),
        }))
    }

    /// One place of each source stays free to take off what is in force.
    fn check_room(&self, source: &str, seconds: i64) -> Result<(), CorrectionError> {
        let count = self.of(source).len();
        if count == 0 && self.sources.len() >= SOURCES_MAX {
            let message = format!("{SOURCES_MAX} sources have corrections; no more can");
            return Err(CorrectionError::TooMany(message));
        }
        if seconds != 0 && count + 1 >= CORRECTIONS_MAX {
            let message = format!("{source} had {count} corrections; set its clock right instead");
            return Err(CorrectionError::TooMany(message));
        }
        Ok(())
    }

    /// The same with one more.
    pub fn with(&self, correction: KeptCorrection) -> Self {
        let mut all = self.clone();
        let list = all.sources.entry(correction.source.clone()).or_default();
        let at = list.partition_point(|known| known.since <= correction.since);
        list.insert(at, correction);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

    fn corrected(all: &Corrections, seconds: i64, now: Micros) -> Corrections {
        let next = all.next("shop", seconds, ("ann", "why"), now).unwrap().unwrap();
        all.with(next)
    }

    #[test]
    fn the_last_before_the_receipt_holds() {
        let all = corrected(&Corrections::default(), 7200, NOW);
        let all = corrected(&all, 3600, NOW + 60 * SECOND);
        let all = corrected(&all, 0, NOW + 120 * SECOND);
        for (after, expected) in
            [(-1, 0), (1, 0), (2, 7200), (61, 7200), (62, 3600), (121, 3600), (122, 0), (999, 0)]
        {
            assert_eq!(all.seconds_at("shop", NOW + after * SECOND), expected, "{after}");
            assert_eq!(all.seconds_at("other", NOW + after * SECOND), 0);
        }
        let kept: Vec<KeptCorrection> = all.of("shop").iter().rev().cloned().collect();
        assert_eq!(Corrections::new(kept).of("shop"), all.of("shop"));
        assert_eq!(all.newest_seconds("shop"), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_the_order() {
        let all = corrected(&Corrections::default(), 7200, NOW);
        let all = corrected(&all, 3600, NOW - 3_600 * SECOND);
        assert_eq!(all.newest_seconds("shop"), 3600);
        assert_eq!(all.of("shop")[1].since, all.of("shop")[0].since + 1);
    }

    #[track_caller]
    fn check(source: &str, seconds: i64, reason: &str, expected: &str) {
        let all = Corrections::default();
        let error = all.next(source, seconds, ("ann", reason), NOW).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn what_is_no_correction_is_refused() {
        check("a b", 60, "", "no name");
        check("shop", 0, "", "no correction of shop");
        check("shop", 93_601, "", "93600 seconds");
        check("shop", i64::MIN, "", "93600 seconds");
        check("shop", 60, &"x".repeat(5000), "4096 bytes");
        let all = corrected(&Corrections::default(), 60, NOW);
        assert_eq!(all.next("shop", 60, ("ann", ""), NOW).unwrap(), None);
    }

    #[test]
    fn a_list_that_is_full_can_still_be_ended() {
        let mut all = Corrections::default();
        let full = (1..).find(|seconds| {
            let next = all.next("shop", *seconds, ("ann", ""), NOW).ok().flatten();
            next.map(|next| all = all.with(next)).is_none()
        });
        assert_eq!(full, Some(CORRECTIONS_MAX as i64));
        all = corrected(&all, 0, NOW);
        assert_eq!(all.of("shop").len(), CORRECTIONS_MAX);
        assert!(matches!(all.next("shop", 60, ("ann", ""), NOW), Err(CorrectionError::TooMany(_))));
        for n in all.sources.len()..SOURCES_MAX {
            let next = all.next(&format!("s{n}"), 60, ("ann", ""), NOW).unwrap().unwrap();
            all = all.with(next);
        }
        let more = all.next("more", 60, ("ann", ""), NOW);
        assert!(matches!(more, Err(CorrectionError::TooMany(_))));
    }
}
