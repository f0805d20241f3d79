//! What a source's clock is wrong by, from the times in its events and the times of receipt.
//!
//! An event's *delay* is its time of receipt less its own time. Late delivery makes some delays
//! long, but the shortest of a minute stays near zero; a wrong clock or zone moves all of them by
//! the same. So a [`Skew`] keeps, for the last 32 minutes in which events came, the shortest and
//! the median delay, and [`Skew::estimate`] looks at how well the shortest ones agree:
//!
//! | shortest delays | cause |
//! |---|---|
//! | agree, within a minute of zero | none |
//! | agree near a multiple of 15 minutes, at most 14 hours | a wrong zone: that multiple |
//! | agree on something else, at most 26 hours | a wrong clock: their median |
//! | disagree, or are longer | late delivery, a replay: no correction |
//!
//! It proposes and changes nothing. A correction is one number that is added to an event's time and
//! can be taken off again. Who writes a source's events can also make up its times, so a correction
//! is never more trustworthy than the source.

use pugmark_event::time::{HOUR, MINUTE, Micros, SECOND};
use serde::{Deserialize, Serialize};

/// Minutes that are remembered.
const MINUTES_MAX: usize = 32;
/// Delays of one batch that are looked at, spread over it.
const SAMPLE_MAX: usize = 1024;
/// Fewer minutes or events say nothing.
const MINUTES_MIN: usize = 5;
const EVENTS_MIN: u64 = 50;
/// How far the shortest delays of a source that delivers at once may lie apart.
const TOLERANCE: Micros = 30 * SECOND;
/// A clock that is wrong by less needs no correction.
const WRONG_MIN: Micros = MINUTE;
const ZONE_STEP: Micros = 15 * MINUTE;
/// Zones lie from UTC-12 to UTC+14.
const ZONE_MAX: Micros = 14 * HOUR;
/// How far from a multiple of [`ZONE_STEP`] the shortest delays may lie: transport, a slow clock.
const ZONE_TOLERANCE: Micros = MINUTE;
/// What is wrong by more is a replay, or a clock without a date.
const WRONG_MAX: Micros = 26 * HOUR;

/// What one minute showed, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Minute {
    /// Minutes since the epoch at which the events were received.
    minute: i64,
    shortest: Micros,
    /// The median of the biggest batch of the minute.
    median: Micros,
    /// Events of that batch.
    biggest: u32,
    /// Events of the minute.
    events: u32,
}

/// What is known about one source's clock: at most 32 minutes, below 6 KiB as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Skew {
    /// In order of time.
    minutes: Vec<Minute>,
}

/// Why event times differ from times of receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// They do not, or by less than a minute.
    None,
    /// Events come late, each by another span; their times are taken to be right.
    Late,
    /// Local time is written without its zone, or with a wrong one.
    Zone,
    /// The clock is wrong by a constant.
    Clock,
}

impl Cause {
    /// The lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Cause::None => "none",
            Cause::Late => "late",
            Cause::Zone => "zone",
            Cause::Clock => "clock",
        }
    }
}

/// What a source's clock is probably wrong by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Why.
    pub cause: Cause,
    /// To be added to the times of events, in microseconds; 0 for [`Cause::None`] and
    /// [`Cause::Late`]. Taking it off again gives the time that was written.
    pub correction: Micros,
    /// The share of minutes that agree with this, from 0 to 1, less where few were seen.
    pub confidence: f64,
    /// The median of all delays, in microseconds; negative where events come from the future.
    pub delay: Micros,
}

impl Skew {
    /// Learns from a batch: (time of the event, time of receipt), in microseconds since the epoch.
    /// Leave out events whose time is not their own.
    pub fn update(&mut self, pairs: &[(Micros, Micros)]) {
        let Some((_, received)) = pairs.last() else { return };
        let step = pairs.len().div_ceil(SAMPLE_MAX);
        let sample = pairs.iter().step_by(step);
        let mut delays: Vec<_> = sample.map(|(event, got)| got.saturating_sub(*event)).collect();
        let shortest = delays.iter().min().copied().unwrap_or(0);
        let count = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
        let minute = received.div_euclid(MINUTE);
        let median = median(&mut delays);
        self.add(Minute { minute, shortest, median, biggest: count, events: count });
    }

    fn add(&mut self, new: Minute) {
        match self.minutes.binary_search_by_key(&new.minute, |minute| minute.minute) {
            Ok(at) => {
                let old = &mut self.minutes[at];
                old.shortest = old.shortest.min(new.shortest);
                old.events = old.events.saturating_add(new.events);
                if new.biggest > old.biggest {
                    (old.biggest, old.median) = (new.biggest, new.median);
                }
            }
            Err(at) => self.minutes.insert(at, new),
        }
        let surplus = self.minutes.len().saturating_sub(MINUTES_MAX);
        self.minutes.drain(..surplus);
    }

    /// What the minutes so far say; `None` until they are 5 with 50 events.
    pub fn estimate(&self) -> Option<Estimate> {
        let events: u64 = self.minutes.iter().map(|minute| u64::from(minute.events)).sum();
        if self.minutes.len() < MINUTES_MIN || events < EVENTS_MIN {
            return None;
        }
        let delay = median(&mut self.minutes.iter().map(|m| m.median).collect::<Vec<_>>());
        let offset = median(&mut self.minutes.iter().map(|m| m.shortest).collect::<Vec<_>>());
        let near = |minute: &&Minute| minute.shortest.abs_diff(offset) <= TOLERANCE as u64;
        let share = |count: usize| count as f64 / self.minutes.len() as f64;
        let agreed = share(self.minutes.iter().filter(near).count());
        // Half the confidence is to be earned with the first 16 minutes.
        let evidence = (0.5 + share_of(self.minutes.len(), 16) / 2.0).min(1.0);
        let (cause, correction) = cause(offset, agreed);
        let agreed = if cause == Cause::Late { 1.0 - agreed.min(0.5) } else { agreed };
        Some(Estimate { cause, correction, confidence: agreed * evidence, delay })
    }
}

fn share_of(count: usize, whole: usize) -> f64 {
    count as f64 / whole as f64
}

/// The cause behind a median of shortest delays with which this share of the minutes agrees.
fn cause(offset: Micros, agreed: f64) -> (Cause, Micros) {
    let size = offset.unsigned_abs();
    if size < WRONG_MIN as u64 {
        return (Cause::None, 0);
    }
    // Nothing is delivered before it happened, so a time in the future needs less agreement.
    let needed = if offset < 0 { 0.5 } else { 0.75 };
    if agreed < needed || size > WRONG_MAX as u64 {
        return (Cause::Late, 0);
    }
    let steps = (offset + ZONE_STEP / 2).div_euclid(ZONE_STEP);
    let zone = steps * ZONE_STEP;
    let fits = (offset - zone).abs() <= ZONE_TOLERANCE && zone.abs() <= ZONE_MAX;
    match fits && zone != 0 {
        true => (Cause::Zone, zone),
        false => (Cause::Clock, offset),
    }
}

/// The median, the lower one of two; 0 of nothing.
fn median(values: &mut [Micros]) -> Micros {
    match values.len() {
        0 => 0,
        count => *values.select_nth_unstable((count - 1) / 2).1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-23T10:00:00Z
    const START: Micros = 1_795_428_000_000_000;

    /// A skew after `minutes` batches of 20 events, whose delays `delay(minute, event)` gives.
    fn seen(minutes: i64, delay: impl Fn(i64, i64) -> Micros) -> Skew {
        let mut skew = Skew::default();
        for minute in 0..minutes {
            let received = START + minute * MINUTE;
            let pairs = (0..20).map(|event| (received - delay(minute, event), received));
            skew.update(&pairs.collect::<Vec<_>>());
        }
        skew
    }

    #[track_caller]
    fn check(delay: impl Fn(i64, i64) -> Micros, cause: Cause, correction: Micros) {
        let estimate = seen(30, delay).estimate().expect("30 minutes are enough");
        assert_eq!((estimate.cause, estimate.correction), (cause, correction), "{estimate:?}");
        assert!(estimate.confidence > 0.5 && estimate.confidence <= 1.0, "{estimate:?}");
    }

    #[test]
    fn causes_are_told_apart() {
        let transport = |event: i64| event * 400_000;
        check(|_, event| transport(event), Cause::None, 0);
        check(|_, event| 2 * HOUR + transport(event), Cause::Zone, 2 * HOUR);
        check(|_, event| -5 * HOUR - 30 * MINUTE + transport(event), Cause::Zone, -330 * MINUTE);
        check(|_, event| 45 * MINUTE + 20 * SECOND + transport(event), Cause::Zone, 45 * MINUTE);
        check(|_, event| 7 * MINUTE + transport(event), Cause::Clock, 7 * MINUTE);
        check(|_, event| -200 * SECOND + transport(event), Cause::Clock, -200 * SECOND);
        // An agent that sends every so often what has piled up: the newest event is new.
        check(|_, event| event * 10 * MINUTE, Cause::None, 0);
        // One that was cut off and catches up.
        check(|minute, event| (60 - 2 * minute) * MINUTE + transport(event), Cause::Late, 0);
        // A replay of last year's events.
        check(|minute, _| 365 * 24 * HOUR + minute * 7 * SECOND, Cause::Late, 0);
    }

    #[test]
    fn a_few_odd_minutes_change_nothing() {
        let odd = |minute: i64| if minute % 10 == 3 { -90 * HOUR } else { 0 };
        check(|minute, _| HOUR + odd(minute), Cause::Zone, HOUR);
        check(|minute, _| odd(minute), Cause::None, 0);
    }

    #[test]
    fn little_says_nothing() {
        assert_eq!(Skew::default().estimate(), None);
        assert_eq!(seen(4, |_, _| HOUR).estimate(), None);
        let few = seen(5, |_, _| HOUR).estimate().expect("five minutes");
        let many = seen(20, |_, _| HOUR).estimate().expect("twenty minutes");
        assert!(few.confidence < many.confidence);
        let mut skew = Skew::default();
        skew.update(&[]);
        assert_eq!(skew, Skew::default());
    }

    #[test]
    fn a_clock_that_is_set_right_is_noticed() {
        let mut skew = seen(30, |_, _| HOUR);
        for minute in 30..80 {
            let received = START + minute * MINUTE;
            skew.update(&[(received, received); 20]);
        }
        assert_eq!(skew.estimate().expect("enough").cause, Cause::None);
    }

    proptest! {
        #[test]
        fn any_times_leave_a_bounded_state(
            pairs in prop::collection::vec((any::<i64>(), any::<i64>()), 0..200)
        ) {
            let mut skew = Skew::default();
            for pair in &pairs {
                skew.update(&[*pair; 3]);
            }
            let text = serde_json::to_string(&skew).expect("plain data");
            prop_assert!(text.len() < 6 << 10);
            prop_assert_eq!(serde_json::from_str::<Skew>(&text).expect("its own"), skew.clone());
            if let Some(estimate) = skew.estimate() {
                prop_assert!((0.0..=1.0).contains(&estimate.confidence));
                prop_assert!(estimate.correction.unsigned_abs() <= WRONG_MAX as u64);
            }
        }
    }
}
