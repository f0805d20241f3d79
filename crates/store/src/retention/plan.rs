//! What becomes of segments: one pure function, for the one who acts and for the one who asks.
//!
//! [`plan`] says what is due at a moment; the store carries out exactly that, and
//! [`preview`] counts exactly that. [`relieve`] says what goes when the disk runs full.

use std::collections::{BTreeMap, BTreeSet};

use pugmark_event::time::{DAY, Micros};
use serde::Serialize;

use super::{Class, Classes};

/// A segment, as far as its age matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Its path below the data folder.
    pub(crate) path: String,
    /// Its retention class.
    pub(crate) class: String,
    /// True when it lies on object storage.
    pub(crate) cold: bool,
    /// Events in it.
    pub(crate) rows: u64,
    /// Size of the file.
    pub(crate) bytes: u64,
    /// Earliest and latest event time. Its age is that of its newest event.
    pub(crate) times: (Micros, Micros),
}

/// What is to be done with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// To object storage, and the local file goes.
    Move,
    /// Away for good.
    Expire,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// What.
    pub(crate) action: Action,
    /// With which segment.
    pub(crate) segment: Kept,
    /// Why, for the audit trail.
    pub(crate) why: String,
}

/// What else a plan depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conditions<'a> {
    /// Classes that a person has put on hold.
    pub(crate) holds: &'a BTreeSet<String>,
    /// True when there is object storage to move to.
    pub(crate) cold_storage: bool,
}

/// What is due at `now`, the oldest first. A class that is held loses nothing; a segment whose
/// class is not among `classes` stays as it is, since nobody has said how long.
pub(crate) fn plan(
    segments: &[Kept],
    classes: &Classes,
    conditions: Conditions<'_>,
    now: Micros,
) -> Vec<Step> {
    let mut steps: Vec<Step> = segments
        .iter()
        .filter_map(|segment| {
            let class = classes.get(&segment.class)?;
            let (action, why) = due(segment, class, conditions, now)?;
            Some(Step { action, segment: segment.clone(), why })
        })
        .collect();
    steps.sort_by(|a, b| by_age(&a.segment, &b.segment));
    steps
}

fn due(
    segment: &Kept,
    class: &Class,
    conditions: Conditions<'_>,
    now: Micros,
) -> Option<(Action, String)> {
    let newest = segment.times.1;
    let passed = |days: u32| newest.saturating_add(i64::from(days).saturating_mul(DAY)) <= now;
    let held = class.hold || conditions.holds.contains(&segment.class);
    if let Some(days) = class.days_total.filter(|days| passed(*days) && !held) {
        return Some((Action::Expire, format!("older than days_total = {days}")));
    }
    let days = class.days_hot.filter(|days| passed(*days))?;
    (conditions.cold_storage && !segment.cold)
        .then(|| (Action::Move, format!("older than days_hot = {days}")))
}

fn by_age(a: &Kept, b: &Kept) -> std::cmp::Ordering {
    (a.times.1, &a.path).cmp(&(b.times.1, &b.path))
}

/// How a store gets room on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relief {
    /// Segments go to object storage.
    Move,
    /// Segments are deleted.
    Delete,
}

/// What goes so that the disk has `bytes` more free, or as near as one can get: the lowest class
/// first, in it the oldest first. What is held is not deleted. Segments of a class that the
/// settings no longer name go last: nobody has said how little they matter.
pub(crate) fn relieve(
    segments: &[Kept],
    classes: &Classes,
    holds: &BTreeSet<String>,
    relief: Relief,
    bytes: u64,
) -> Vec<Step> {
    let held = |segment: &Kept| {
        holds.contains(&segment.class) || classes.get(&segment.class).is_some_and(|c| c.hold)
    };
    let mut local: Vec<&Kept> = segments
        .iter()
        .filter(|segment| !segment.cold && (relief == Relief::Move || !held(segment)))
        .collect();
    local.sort_by(|a, b| {
        let rank = |s: &Kept| std::cmp::Reverse(classes.rank(&s.class));
        rank(a).cmp(&rank(b)).then_with(|| by_age(a, b))
    });
    let mut freed = 0;
    let action = match relief {
        Relief::Move => Action::Move,
        Relief::Delete => Action::Expire,
    };
    local
        .into_iter()
        .take_while(|segment| {
            let wanted = freed < bytes;
            freed += segment.bytes;
            wanted
        })
        .map(|segment| Step {
            action,
            segment: segment.clone(),
            why: "the disk is nearly full".to_string(),
        })
        .collect()
}

/// A number of segments and what is in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// Segments.
    pub segments: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl Amount {
    pub(super) fn add(&mut self, segment: &Kept) {
        self.segments += 1;
        self.events += segment.rows;
        self.bytes += segment.bytes;
    }
}

/// A class, what it holds, and what is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassPreview {
    /// The class.
    pub class: String,
    /// Days at hand; absent: for ever.
    pub days_hot: Option<u32>,
    /// Days in all; absent: for ever.
    pub days_total: Option<u32>,
    /// True when nothing of it may be deleted, by the settings or by a person.
    pub held: bool,
    /// False when segments have this class but the settings do not: they are kept as they are.
    pub known: bool,
    /// Event time of the oldest event.
    pub oldest: Option<Micros>,
    /// On the local disk.
    pub hot: Amount,
    /// On object storage.
    pub cold: Amount,
    /// What would move to object storage.
    pub to_move: Amount,
    /// What would be deleted.
    pub to_delete: Amount,
}

/// What retention would do at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The moment.
    pub at: Micros,
    /// False when there is no object storage: nothing moves then.
    pub cold_storage: bool,
    /// The classes, the most important first; then those that the settings do not name.
    pub classes: Vec<ClassPreview>,
}

/// Counts what [`plan`] says.
pub(crate) fn preview(
    segments: &[Kept],
    classes: &Classes,
    conditions: Conditions<'_>,
    at: Micros,
) -> Preview {
    let mut rows: Vec<ClassPreview> =
        classes.list().iter().map(|class| row(class, true, conditions)).collect();
    let unknown: BTreeSet<&str> = segments
        .iter()
        .map(|segment| segment.class.as_str())
        .filter(|name| classes.get(name).is_none())
        .collect();
    rows.extend(unknown.into_iter().map(|name| row(&Class::for_ever(name), false, conditions)));
    let places: BTreeMap<String, usize> =
        rows.iter().enumerate().map(|(place, row)| (row.class.clone(), place)).collect();
    for segment in segments {
        let row = &mut rows[places[&segment.class]];
        let oldest = row.oldest.map_or(segment.times.0, |oldest| oldest.min(segment.times.0));
        row.oldest = Some(oldest);
        if segment.cold { row.cold.add(segment) } else { row.hot.add(segment) }
    }
    for step in plan(segments, classes, conditions, at) {
        let row = &mut rows[places[&step.segment.class]];
        match step.action {
            Action::Move => row.to_move.add(&step.segment),
            Action::Expire => row.to_delete.add(&step.segment),
        }
    }
    Preview { at, cold_storage: conditions.cold_storage, classes: rows }
}

fn row(class: &Class, known: bool, conditions: Conditions<'_>) -> ClassPreview {
    ClassPreview {
        class: class.name.to_string(),
        days_hot: class.days_hot,
        days_total: class.days_total,
        held: class.hold || conditions.holds.contains(&*class.name),
        known,
        oldest: None,
        hot: Amount::default(),
        cold: Amount::default(),
        to_move: Amount::default(),
        to_delete: Amount::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = 1000 * DAY;

    fn kept(path: &str, class: &str, days_old: i64, bytes: u64) -> Kept {
        let newest = NOW - days_old * DAY;
        let (path, class) = (path.to_string(), class.to_string());
        Kept { path, class, cold: false, rows: 10, bytes, times: (newest - 1, newest) }
    }

    fn classes() -> Classes {
        let class = |name: &str, days_hot, days_total, hold| Class {
            name: name.into(),
            days_hot,
            days_total,
            hold,
        };
        Classes::new(vec![
            class("security", Some(30), Some(365), false),
            class("legal", Some(30), Some(90), true),
            class("debug", None, Some(7), false),
        ])
        .unwrap()
    }

    #[track_caller]
    fn check(segments: &[Kept], holds: &[&str], cold_storage: bool, expected: &[(Action, &str)]) {
        let holds = holds.iter().map(ToString::to_string).collect();
        let conditions = Conditions { holds: &holds, cold_storage };
        let steps = plan(segments, &classes(), conditions, NOW);
        let found: Vec<(Action, &str)> =
            steps.iter().map(|s| (s.action, s.segment.path.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_segment_moves_then_goes_with_its_newest_event() {
        use Action::{Expire, Move};
        check(&[kept("a", "security", 29, 1)], &[], true, &[]);
        check(&[kept("a", "security", 30, 1)], &[], true, &[(Move, "a")]);
        check(&[kept("a", "security", 30, 1)], &[], false, &[]);
        let moved = Kept { cold: true, ..kept("a", "security", 40, 1) };
        check(&[moved], &[], true, &[]);
        check(&[kept("a", "security", 365, 1)], &[], true, &[(Expire, "a")]);
        let all = [kept("b", "debug", 7, 1), kept("a", "debug", 9, 1), kept("c", "debug", 6, 1)];
        check(&all, &[], true, &[(Expire, "a"), (Expire, "b")]);
        check(&[kept("a", "default", 9999, 1)], &[], true, &[]);
        check(&[kept("a", "gone from the settings", 9999, 1)], &[], true, &[]);
    }

    #[test]
    fn what_is_held_moves_and_is_never_deleted() {
        check(&[kept("a", "legal", 900, 1)], &[], false, &[]);
        check(&[kept("a", "legal", 900, 1)], &[], true, &[(Action::Move, "a")]);
        check(&[kept("a", "debug", 900, 1)], &["debug"], true, &[]);
    }

    #[test]
    fn times_at_the_ends_of_the_range_do_not_overflow() {
        let far = Kept { times: (i64::MAX, i64::MAX), ..kept("a", "debug", 0, 1) };
        check(&[far], &[], true, &[]);
        let first = Kept { times: (i64::MIN, i64::MIN), ..kept("a", "debug", 0, 1) };
        check(&[first], &[], true, &[(Action::Expire, "a")]);
    }

    #[track_caller]
    fn check_relief(relief: Relief, bytes: u64, holds: &[&str], expected: &[&str]) {
        let cold = Kept { cold: true, ..kept("cold", "default", 99, 9) };
        let segments = [
            kept("s1", "security", 50, 10),
            kept("d2", "debug", 1, 10),
            kept("d1", "debug", 2, 10),
            kept("x1", "default", 0, 10),
            kept("l1", "legal", 99, 10),
            kept("u1", "unknown", 99, 10),
            cold,
        ];
        let holds = holds.iter().map(ToString::to_string).collect();
        let steps = relieve(&segments, &classes(), &holds, relief, bytes);
        let found: Vec<&str> = steps.iter().map(|s| s.segment.path.as_str()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_full_disk_takes_the_lowest_class_first_and_the_oldest_of_it() {
        check_relief(Relief::Delete, 0, &[], &[]);
        check_relief(Relief::Delete, 1, &[], &["x1"]);
        check_relief(Relief::Delete, 11, &[], &["x1", "d1"]);
        check_relief(Relief::Delete, 20, &[], &["x1", "d1"]);
        check_relief(Relief::Delete, 999, &[], &["x1", "d1", "d2", "s1", "u1"]);
        check_relief(Relief::Delete, 999, &["debug"], &["x1", "s1", "u1"]);
        check_relief(Relief::Move, 999, &["debug"], &["x1", "d1", "d2", "l1", "s1", "u1"]);
    }

    #[test]
    fn a_preview_counts_what_the_plan_does() {
        let segments = [
            kept("a", "debug", 9, 5),
            kept("b", "debug", 1, 7),
            Kept { cold: true, ..kept("c", "old name", 99, 11) },
        ];
        let holds = BTreeSet::new();
        let conditions = Conditions { holds: &holds, cold_storage: true };
        let preview = preview(&segments, &classes(), conditions, NOW);
        let names: Vec<&str> = preview.classes.iter().map(|c| c.class.as_str()).collect();
        assert_eq!(names, ["security", "legal", "debug", "default", "old name"]);
        let debug = &preview.classes[2];
        assert_eq!((debug.hot.segments, debug.hot.events, debug.hot.bytes), (2, 20, 12));
        assert_eq!((debug.to_delete.segments, debug.to_delete.bytes), (1, 5));
        assert_eq!(debug.to_move, Amount::default());
        assert_eq!(debug.oldest, Some(NOW - 9 * DAY - 1));
        assert!(preview.classes[1].held);
        let old = &preview.classes[4];
        assert_eq!((old.known, old.cold.bytes, old.to_delete.bytes), (false, 11, 0));
    }
}
