//! Scheduled searches: saved searches that are asked again and again, window after window of event
//! time, and whose rows become detections.
//!
//! Windows of one search neither overlap nor leave a gap. Which one is being asked is written down
//! before it is, and that it was asked after its detections are in stored alerts: whatever ends in
//! between, the same window is asked again, and alerts know the detections that they have folded:
//! a row is known by what it says, wherever it stands among the others.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use crossbeam_channel::Sender;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use pugmark_alert::{ANSWER_IDS, WHY_MAX};
use pugmark_detect::detection::cut;
use pugmark_detect::{Detection, Reason, RuleInfo, stable_id};
use pugmark_event::Entity;
use pugmark_event::entity::EntityKind;
use pugmark_event::fields::{ATTRIBUTE_KINDS, EVENT_ID, EVENT_TIME, by_name};
use pugmark_event::json::RowWriter;
use pugmark_event::time::{self, DAY, MINUTE, Micros};
use pugmark_query::{Kind, Request, Search};
use pugmark_store::{KeptSchedule, KeptSearch, SearchRun, Store, StoreError};
use serde_json::{Map, Value};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;

/// Least time between two runs of a search.
pub const EVERY_MIN: Micros = MINUTE;
/// Most time between two runs of a search.
pub const EVERY_MAX: Micros = DAY;
/// A window is asked about this long after its end, so that events may be late.
pub const DELAY: Micros = MINUTE;
/// Windows that were missed are asked about together, up to this much time at once.
pub const WINDOW_MAX: Micros = DAY;
/// Rows of a run that become detections.
pub const ROWS_MAX: usize = 100;
/// Longest time for a run.
pub const RUN_TIME: Duration = Duration::from_secs(300);
/// What the ids of the rules that these alerts name begin with; the name of the search follows.
pub const RULE_PREFIX: &str = "saved-search:";

/// Longest name of a saved search in characters.
const NAME_CHARS_MAX: usize = 80;
/// Longest query of a saved search in bytes: alerts repeat it.
const QUERY_BYTES_MAX: usize = 8 << 10;
/// Longest description in bytes.
const DESCRIPTION_BYTES_MAX: usize = 4 << 10;
/// Longest other text in bytes.
const TEXT_BYTES_MAX: usize = 200;
/// Longest time until a run that failed is tried again.
const RETRY_MAX: Micros = 5 * MINUTE;
/// How often it is looked whether a search is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Who an event is about when the schedule does not say: the first of these that it has.
const ENTITIES: &[&str] = &["source.ip", "user.name", "host.name"];

/// A row of an answer by the names of its columns.
type Row = Map<String, Value>;

/// Says when it is the turn of work that nobody waits for.
pub trait Turns: Send + Sync {
    /// A place among the questions that are answered at once; it is free again when what is given
    /// is dropped. `None` when there is none for a long time.
    fn turn(&self) -> BoxFuture<'_, Option<Box<dyn Send>>>;
}

/// Detections for the pipeline to raise.
pub(crate) struct Found {
    pub(crate) detections: Vec<Detection>,
    /// Told when they are in stored alerts.
    pub(crate) raised: oneshot::Sender<()>,
}

/// A range of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First time.
    pub from: Micros,
    /// First time after it.
    pub to: Micros,
}

/// What is wrong with a search that is to be kept, beside its query.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn check(search: &KeptSearch) -> Result<(), String> {
    let good = |c: char| c.is_alphanumeric() || " _-.()".contains(c);
    let name = &search.name;
    let sized = (1..=NAME_CHARS_MAX).contains(&name.chars().count()) && name.trim() == name;
    // A name of dots would mean another place in an address.
    if !sized || !name.chars().all(good) || name.chars().all(|c| c == '.') {
        return Err(format!(
            "a name has 1 to {NAME_CHARS_MAX} letters, digits, blanks within, and `_-.()`"
        ));
    }
    let mut texts = vec![
        ("query", &search.query, QUERY_BYTES_MAX),
        ("description", &search.description, DESCRIPTION_BYTES_MAX),
        ("from", &search.from, TEXT_BYTES_MAX),
        ("to", &search.to, TEXT_BYTES_MAX),
    ];
    if let Some(schedule) = &search.schedule {
        texts.push(("title", &schedule.title, TEXT_BYTES_MAX));
        texts.extend(schedule.entity.iter().map(|entity| ("entity", entity, TEXT_BYTES_MAX)));
        if !(EVERY_MIN..=EVERY_MAX).contains(&schedule.every) {
            return Err("`every` is a time from 1m to 1d, such as 15m".to_string());
        }
    }
    if let Some((what, _, most)) = texts.iter().find(|(_, text, most)| text.len() > *most) {
        return Err(format!("`{what}` has at most {most} bytes"));
    }
    for (what, text) in [("from", &search.from), ("to", &search.to)] {
        if !text.is_empty() && time::parse_bound(text, 0).is_none() {
            return Err(format!("`{what}` is no time: write one such as now-1d or 2026-11-23"));
        }
    }
    Ok(())
}

/// Where a schedule begins that somebody writes now: its first window is over already, so that it
/// is seen at once what it does.
pub fn start(schedule: &KeptSchedule, now: Micros) -> Micros {
    now.saturating_sub(DELAY).saturating_sub(schedule.every)
}

/// The window to ask about after `done`: whole times of `every` that were over [`DELAY`] ago, as
/// many of them together as fit into `span` and [`WINDOW_MAX`], and one at least. `None` while
/// none is over.
pub fn next_window(done: Micros, every: Micros, now: Micros, span: Micros) -> Option<Window> {
    let every = every.clamp(EVERY_MIN, EVERY_MAX);
    let over = now.saturating_sub(DELAY).saturating_sub(done) / every;
    let count = over.min((span.min(WINDOW_MAX) / every).max(1));
    (count > 0).then(|| Window { from: done, to: done + count * every })
}

/// The window that a schedule is to be asked about now.
fn due(schedule: &KeptSchedule, run: &SearchRun, now: Micros) -> Option<Window> {
    let every = schedule.every.clamp(EVERY_MIN, EVERY_MAX);
    let retry = last_run(run, now).map(|ran| ran.saturating_add(every.min(RETRY_MAX)));
    if run.error.is_some() && retry.is_some_and(|retry| now < retry) {
        return None;
    }
    if run.until > run.done && run.until <= now {
        // An end came in between: the same again, since some of it may be in alerts.
        return Some(Window { from: run.done, to: run.until });
    }
    let span = if run.span == 0 { WINDOW_MAX } else { run.span };
    next_window(reached(run.done, every, now), every, now, span)
}

/// When the last run ended. A time that is not yet is of a clock that was ahead, and says nothing.
fn last_run(run: &SearchRun, now: Micros) -> Option<Micros> {
    run.ran.filter(|ran| *ran <= now)
}

/// The time up to which a schedule has asked. One that is not yet was reached by a clock that was
/// ahead: it goes back, by whole windows, to where it can be, instead of being waited for.
fn reached(done: Micros, every: Micros, now: Micros) -> Micros {
    if done <= now {
        return done;
    }
    let ahead = done.saturating_sub(now.saturating_sub(DELAY));
    done.saturating_sub((ahead / every + 1).saturating_mul(every))
}

/// The most time to ask about at once after a window that was answered, or was not: twice as much
/// as what worked, half of what did not, and one `every` while nothing is known to work.
fn next_span(span: Micros, window: Window, every: Micros, answered: bool) -> Micros {
    let size = window.to.saturating_sub(window.from);
    match (span, answered) {
        (0, true) => 0,
        (_, true) => span.max(size.saturating_mul(2)).min(WINDOW_MAX),
        (0, false) => every,
        (_, false) => (size / 2).max(every),
    }
}

/// Runs saved searches as their schedules say, one after the other.
pub(crate) struct Scheduler {
    pub(crate) store: Arc<Store>,
    pub(crate) search: Arc<dyn Search>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) turns: Arc<dyn Turns>,
    pub(crate) pipeline: Sender<Found>,
}

impl Scheduler {
    /// Runs until `stop` says so. What fails is written down and tried again.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        // Also when it was said before; an error means that the engine has gone.
        let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
        tokio::select! {
            () = self.work() => {}
            () = stopped => {}
        }
    }

    async fn work(&self) {
        loop {
            match self.step().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "scheduled searches cannot be run"),
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Runs the search whose last run is the longest ago of those that are due; false when there
    /// was none, or no turn for it.
    async fn step(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let searches = self.store.kept_searches().scheduled().await?;
        let due = searches.iter().filter_map(|search| Due::of(search, now));
        let Some(due) = due.min_by_key(|due| last_run(due.run, now)) else { return Ok(false) };
        let turn = self.turns.turn().await;
        // While it waited, somebody may have changed or removed it.
        let search = self.store.kept_searches().get(&due.search.name).await?;
        let due = search.as_ref().and_then(|search| Due::of(search, self.clock.now()));
        match (due, turn) {
            (None, _) => Ok(true),
            (Some(due), Some(turn)) => self.run_one(&due, turn).await.map(|()| true),
            (Some(due), None) => self.note_no_turn(&due).await.map(|()| false),
        }
    }

    /// Writes down that a search was due and got no turn; it is tried again as after a failure,
    /// and about as much.
    async fn note_no_turn(&self, due: &Due<'_>) -> Result<(), StoreError> {
        let name = &due.search.name;
        tracing::warn!(search = name, "a scheduled search got no turn");
        let error = "it got no turn: too many questions were asked at once".to_string();
        let (ran, error) = (Some(self.clock.now()), Some(error));
        let noted = SearchRun { ran, took: 0, rows: 0, error, ..due.run.clone() };
        self.store.kept_searches().note_run(name, due.run.until, &noted).await.map(drop)
    }

    async fn run_one(&self, due: &Due<'_>, turn: Box<dyn Send>) -> Result<(), StoreError> {
        let Due { search, run, window, .. } = due;
        let searches = self.store.kept_searches();
        let begun = SearchRun { until: window.to, ..(*run).clone() };
        if window.from < run.done {
            tracing::warn!(search = search.name, "the clock was ahead: a schedule goes back");
        }
        if !searches.note_run(&search.name, run.until, &begun).await? {
            return Ok(());
        }
        let since = Instant::now();
        let found = self.ask(due).await;
        // Who waits for alerts asks nothing.
        drop(turn);
        let rows = found.as_ref().map_or(0, Vec::len) as u64;
        let error = match found {
            Ok(detections) => match self.raise(detections).await {
                true => None,
                // The engine stops. The next one asks about the same window.
                false => return Ok(()),
            },
            Err(error) => {
                tracing::warn!(search = search.name, error, "a scheduled search failed");
                Some(cut(&error))
            }
        };
        let answered = error.is_none();
        let done = if answered { window.to } else { run.done };
        let span = next_span(run.span, *window, due.schedule.every, answered);
        let took = since.elapsed().as_micros() as Micros;
        let ran = Some(self.clock.now());
        let ended = SearchRun { done, until: done, ran, took, rows, error, span };
        searches.note_run(&search.name, window.to, &ended).await?;
        Ok(())
    }

    /// The detections of a window, or why there are none to be had.
    async fn ask(&self, due: &Due<'_>) -> Result<Vec<Detection>, String> {
        let asked = AssertUnwindSafe(self.rows(due)).catch_unwind();
        match tokio::time::timeout(RUN_TIME, asked).await {
            Ok(Ok(rows)) => Ok(due.detections(rows?)),
            Ok(Err(_)) => Err("BUG: the search panicked; the log says where".to_string()),
            Err(_) => Err(format!("it took longer than {} s; ask for less", RUN_TIME.as_secs())),
        }
    }

    /// The rows of a window: one more than become detections, when there are so many.
    async fn rows(&self, due: &Due<'_>) -> Result<Vec<String>, String> {
        let Window { from, to } = due.window;
        let plan = pugmark_query::parse(&due.search.query);
        let plan = plan.map_err(|wrong| {
            wrong.first().map_or_else(String::new, |diagnostic| diagnostic.to_string())
        })?;
        let limit = Some(ROWS_MAX + 1);
        // `now()` is the end of the window, so that it gives the same rows whenever it is asked.
        let request = Request { plan, from: Some(from), to: Some(to), now: to, limit };
        let mut answer = self.search.search(request).await.map_err(|error| error.to_string())?;
        let mut rows = Vec::new();
        while let Some(batch) = answer.rows.next().await {
            write_rows(&batch.map_err(|error| error.to_string())?, answer.kind, &mut rows);
            if rows.len() > ROWS_MAX {
                break;
            }
        }
        rows.truncate(ROWS_MAX + 1);
        Ok(rows)
    }

    /// Gives detections to the pipeline and waits until they are in stored alerts; false when the
    /// engine stops before.
    async fn raise(&self, detections: Vec<Detection>) -> bool {
        if detections.is_empty() {
            return true;
        }
        let (raised, told) = oneshot::channel();
        // There is room: one at a time is sent and waited for.
        self.pipeline.try_send(Found { detections, raised }).is_ok() && told.await.is_ok()
    }
}

fn write_rows(batch: &RecordBatch, kind: Kind, rows: &mut Vec<String>) {
    let writer = match kind {
        Kind::Events => RowWriter::new(batch),
        Kind::Table => RowWriter::new(batch).with_nulls(),
    };
    for row in 0..batch.num_rows().min(ROWS_MAX + 1) {
        let mut text = Vec::new();
        writer.write(row, &mut text);
        rows.push(String::from_utf8_lossy(&text).into_owned());
    }
}

/// A search that is due.
struct Due<'a> {
    search: &'a KeptSearch,
    schedule: &'a KeptSchedule,
    run: &'a SearchRun,
    window: Window,
}

impl<'a> Due<'a> {
    /// What a search is due for; `None` when it is not.
    fn of(search: &'a KeptSearch, now: Micros) -> Option<Self> {
        let (schedule, run) = (search.schedule.as_ref()?, search.run.as_ref()?);
        Some(Self { search, schedule, run, window: due(schedule, run, now)? })
    }

    /// A detection for each row.
    fn detections(&self, mut rows: Vec<String>) -> Vec<Detection> {
        let more = rows.len() > ROWS_MAX;
        rows.truncate(ROWS_MAX);
        rows.sort_unstable();
        let rule = Arc::new(self.rule());
        // A row is known by what it says, and among equal ones by its number.
        let equal = rows.chunk_by(|a, b| a == b).flat_map(|equal| equal.iter().enumerate());
        let mut detections: Vec<_> = equal
            .map(|(number, text)| {
                let row: Row = serde_json::from_str(text).unwrap_or_default();
                self.detection(&rule, self.id(&rule, number, text), &row, more)
            })
            .collect();
        detections.sort_by_key(|detection| detection.event_id);
        detections
    }

    /// The same for the same row of the same window, whatever the other rows are.
    fn id(&self, rule: &RuleInfo, number: usize, text: &str) -> String {
        let Window { from, to } = self.window;
        stable_id(&[&rule.id, &from.to_string(), &to.to_string(), &number.to_string(), text])
    }

    fn detection(&self, rule: &Arc<RuleInfo>, id: String, row: &Row, more: bool) -> Detection {
        let to = self.window.to;
        let event = event_id(row);
        Detection {
            // Not every row is an event. The end of the window and a part of the id order
            // detections as event ids would: windows do not lie closer together.
            event_id: to.saturating_add(part_of(&id) % ANSWER_IDS),
            id,
            rule: rule.clone(),
            time: event.and_then(|_| event_time(row)).unwrap_or(to),
            entity: self.entity(row, event.is_some()),
            events: event.into_iter().collect(),
            count: 1,
            why: self.why(row, more),
        }
    }

    /// Which search and window it was, and the values of the row.
    fn why(&self, row: &Row, more: bool) -> Vec<Reason> {
        let search = |field: &str, test: String, value: String| Reason {
            selection: "search".into(),
            field: field.into(),
            test,
            value,
        };
        let Window { from, to } = self.window;
        let window = format!("from {} to {}", time::format(from), time::format(to));
        let mut why = vec![search(&self.search.name, window, self.search.query.clone())];
        if more {
            let rest = "the others are in no alert: open the search for all of them";
            why.push(search("rows", format!("more than {ROWS_MAX}"), rest.into()));
        }
        let shown =
            row.iter().filter(|(name, value)| *name != ATTRIBUTE_KINDS.name() && !value.is_null());
        let values = shown.map(|(name, value)| Reason {
            selection: "row".into(),
            field: cut(name),
            test: "in the answer".into(),
            value: cut(&shown_text(value)),
        });
        why.extend(values);
        why.truncate(WHY_MAX);
        why
    }

    fn entity(&self, row: &Row, is_event: bool) -> Entity {
        let named = |name: &str| named(row, name);
        let found = match &self.schedule.entity {
            Some(name) => named(name).map(|(kind, value)| entity(kind, value)),
            None if is_event => ENTITIES
                .iter()
                .find_map(|name| named(name).map(|(kind, value)| entity(kind, value))),
            None => row.keys().find_map(|name| {
                let (kind, value) = named(name)?;
                (kind != EntityKind::Resource).then(|| entity(kind, value))
            }),
        };
        found.unwrap_or_else(Entity::none)
    }

    fn rule(&self) -> RuleInfo {
        let Due { search, schedule, .. } = self;
        let title = if schedule.title.is_empty() { &search.name } else { &schedule.title };
        let description = match search.description.is_empty() {
            true => format!("The saved search \"{}\" has rows.", search.name),
            false => search.description.clone(),
        };
        RuleInfo {
            id: format!("{RULE_PREFIX}{}", search.name),
            version: String::new(),
            title: title.clone(),
            level: schedule.level,
            description,
            author: search.owner.clone(),
            license: String::new(),
            references: Vec::new(),
            falsepositives: Vec::new(),
            next_steps: format!(
                "Open the saved search \"{}\" over the window that the first reason names: the \
                 reasons show the first row only.",
                search.name
            ),
            noise_budget: None,
            tags: Vec::new(),
            product: None,
            category: None,
            service: None,
            correlation: false,
            path: "search".into(),
            text: search.query.clone(),
            silent: false,
            exceptions: Vec::new(),
        }
    }
}

/// A number out of an id, which is hexadecimal.
fn part_of(id: &str) -> i64 {
    id.get(..12).and_then(|part| i64::from_str_radix(part, 16).ok()).unwrap_or(0)
}

/// The value of a column that is not empty, and what sort of thing it names.
fn named(row: &Row, name: &str) -> Option<(EntityKind, String)> {
    let field = by_name(name);
    let value = row.get(name).or_else(|| row.get(field?.name()));
    let text = value.filter(|value| !value.is_null()).map(shown_text)?;
    let kind = field.and_then(|id| id.field().role).map_or(EntityKind::Resource, Into::into);
    (!text.is_empty()).then_some((kind, text))
}

fn entity(kind: EntityKind, value: String) -> Entity {
    Entity { kind, value: cut(&value) }
}

fn shown_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

fn event_id(row: &Row) -> Option<i64> {
    row.get(EVENT_ID.name())?.as_str()?.parse().ok()
}

fn event_time(row: &Row) -> Option<Micros> {
    time::parse_rfc3339(row.get(EVENT_TIME.name())?.as_str()?)
}

#[cfg(test)]
mod tests {
    use pugmark_event::Severity;
    use pugmark_event::time::{HOUR, SECOND};
    use serde_json::json;

    use super::*;

    const NOW: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

    #[test]
    fn windows_neither_overlap_nor_leave_a_gap() {
        for (done, every, now, span, expected) in [
            // Not over, over but events may be late, over.
            (0, 5 * MINUTE, 5 * MINUTE, DAY, None),
            (0, 5 * MINUTE, 6 * MINUTE - 1, DAY, None),
            (0, 5 * MINUTE, 6 * MINUTE, DAY, Some((0, 5 * MINUTE))),
            // Missed ones are whole windows, together up to a day, or up to less.
            (0, 5 * MINUTE, 18 * MINUTE, DAY, Some((0, 15 * MINUTE))),
            (0, 5 * MINUTE, 18 * MINUTE, 14 * MINUTE, Some((0, 10 * MINUTE))),
            (0, 5 * MINUTE, 18 * MINUTE, 1, Some((0, 5 * MINUTE))),
            (0, 7 * HOUR, 30 * DAY, 9 * DAY, Some((0, 21 * HOUR))),
            (0, DAY, 30 * DAY, DAY, Some((0, DAY))),
            // A clock that was set back, times at the ends, spans that no schedule has.
            (HOUR, MINUTE, 0, DAY, None),
            (i64::MAX, MINUTE, i64::MIN, DAY, None),
            (i64::MIN, MINUTE, i64::MAX, i64::MAX, Some((i64::MIN, i64::MIN + DAY))),
            (0, 0, 3 * MINUTE, DAY, Some((0, 2 * MINUTE))),
            (0, i64::MAX, 2 * DAY, i64::MIN, Some((0, DAY))),
        ] {
            let found = next_window(done, every, now, span);
            let expected = expected.map(|(from, to)| Window { from, to });
            assert_eq!(found, expected, "{done} {every} {now} {span}");
        }
        let (mut done, mut now) = (0, 0);
        for step in [MINUTE, HOUR, 3 * DAY, SECOND, 90 * SECOND, 5 * HOUR] {
            now += step;
            while let Some(window) = next_window(done, 2 * MINUTE, now, DAY) {
                assert!(window.from == done && window.to <= now - DELAY);
                done = window.to;
            }
            assert!(now - DELAY - done < 2 * MINUTE);
        }
    }

    fn search() -> KeptSearch {
        KeptSearch {
            name: "logins by address".into(),
            query: "event.outcome:failure | stats count() by source.ip".into(),
            from: "now-1d".into(),
            to: String::new(),
            description: String::new(),
            schedule: Some(schedule()),
            owner: "ada".into(),
            created: NOW,
            changed: NOW,
            run: Some(SearchRun::since(NOW)),
        }
    }

    fn schedule() -> KeptSchedule {
        let (title, level) = ("Many failures".to_string(), Severity::High);
        KeptSchedule { every: 5 * MINUTE, level, title, entity: None }
    }

    #[test]
    fn what_failed_or_was_cut_short_is_asked_again() {
        let (every, rare) = (5 * MINUTE, HOUR);
        let run = SearchRun::since(NOW);
        let later = NOW + 31 * MINUTE;
        let window = |minutes| Some(Window { from: NOW, to: NOW + minutes * MINUTE });
        let small = SearchRun { span: 10 * MINUTE, ..run.clone() };
        let failed = SearchRun { ran: Some(later), error: Some("no".into()), ..small.clone() };
        let cut_short = SearchRun { until: NOW + 10 * MINUTE, ..run.clone() };
        let both = SearchRun { until: NOW + 15 * MINUTE, ..failed.clone() };
        let ahead = SearchRun { ran: Some(later + DAY), ..failed.clone() };
        let hourly = SearchRun { ran: Some(NOW + 3 * HOUR), ..failed.clone() };
        for (run, every, now, expected) in [
            (&run, every, later, window(30)),
            (&small, every, later, window(10)),
            (&cut_short, every, later, window(10)),
            (&failed, every, later + every - 1, None),
            (&failed, every, later + every, window(10)),
            // It is not waited long for the next try, nor for a time that a wrong clock gave.
            (&hourly, rare, NOW + 3 * HOUR + 4 * MINUTE, None),
            (&hourly, rare, NOW + 3 * HOUR + 5 * MINUTE, window(60)),
            (&ahead, every, later, window(10)),
            // There was no turn for what was cut short.
            (&both, every, later, None),
            (&both, every, later + every, window(15)),
        ] {
            let schedule = KeptSchedule { every, ..schedule() };
            assert_eq!(due(&schedule, run, now), expected, "{run:?} {now}");
        }
    }

    #[test]
    fn a_clock_that_was_ahead_is_not_waited_for() {
        let every = 5 * MINUTE;
        for (done, until) in [(DAY, 0), (DAY, 2 * DAY), (365 * DAY, 0), (HOUR, HOUR)] {
            let (done, until) = (NOW + done, NOW + until.max(done));
            let run = SearchRun { done, until, ..SearchRun::since(NOW) };
            let mut now = NOW;
            let window = loop {
                match due(&schedule(), &run, now) {
                    Some(window) => break window,
                    None => now += SECOND,
                }
            };
            assert!(now - NOW < every, "{done}");
            assert!(window.to <= now - DELAY && window.to > NOW - DELAY - every, "{window:?}");
            // Among the same windows as before, so that alerts know what they have.
            assert_eq!(((done - window.from) % every, window.to - window.from), (0, every));
        }
        // A clock that went back a little: what was asked is not asked again.
        let run = SearchRun::since(NOW - DELAY);
        assert_eq!(due(&schedule(), &run, NOW - 30 * SECOND), None);
        assert_eq!(reached(i64::MAX, MINUTE, i64::MIN), 0);
    }

    #[test]
    fn what_is_asked_at_once_halves_and_doubles() {
        let every = 5 * MINUTE;
        for (span, size, answered, expected) in [
            (0, 60, true, 0),
            (0, 60, false, 5),
            (5, 5, true, 10),
            (10, 10, true, 20),
            // A window that was small anyway says nothing of a large one.
            (20, 5, true, 20),
            (20, 20, false, 10),
            (10, 5, false, 5),
            (1000, 1000, true, 1440),
        ] {
            let window = Window { from: NOW, to: NOW + size * MINUTE };
            let found = next_span(span * MINUTE, window, every, answered);
            assert_eq!(found, expected * MINUTE, "{span} {size} {answered}");
        }
    }

    #[test]
    fn a_search_is_checked_before_it_is_kept() {
        let long = "x".repeat(QUERY_BYTES_MAX + 1);
        let with = |change: fn(&mut KeptSearch)| {
            let mut search = search();
            change(&mut search);
            search
        };
        let every = |every| {
            let mut search = search();
            search.schedule = Some(KeptSchedule { every, ..schedule() });
            search
        };
        for (search, expected) in [
            (search(), ""),
            (with(|s| s.name = "Anmeldungen (fehlerhaft) 2.1".into()), ""),
            (with(|s| s.name = String::new()), "a name has"),
            (with(|s| s.name = " a".into()), "a name has"),
            (with(|s| s.name = "a/b".into()), "a name has"),
            (with(|s| s.name = "..".into()), "a name has"),
            (with(|s| s.name = "a\nb".into()), "a name has"),
            (with(|s| s.name = "x".repeat(81)), "a name has"),
            (KeptSearch { query: long.clone(), ..search() }, "`query` has at most"),
            (KeptSearch { description: long, ..search() }, "`description` has at most"),
            (with(|s| s.from = "yesterday".into()), "`from` is no time"),
            (every(MINUTE - 1), "`every` is a time from 1m to 1d"),
            (every(DAY + 1), "`every` is a time from 1m to 1d"),
        ] {
            let found = check(&search).err().unwrap_or_default();
            assert!(found.starts_with(expected), "{:?}: {found}", search.name);
            assert_eq!(found.is_empty(), expected.is_empty(), "{found}");
        }
    }

    fn detections(schedule: &KeptSchedule, rows: &[Value]) -> Vec<Detection> {
        let (search, run) = (search(), SearchRun::since(NOW));
        let window = Window { from: NOW, to: NOW + 5 * MINUTE };
        let due = Due { search: &search, schedule, run: &run, window };
        due.detections(rows.iter().map(Value::to_string).collect())
    }

    #[test]
    fn a_row_becomes_a_detection_that_says_why() {
        let row = json!({"host.name": null, "source.ip": "203.0.113.7", "count()": 41});
        let found = detections(&schedule(), std::slice::from_ref(&row));
        let [found] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (found.rule.title.as_str(), found.rule.level),
            ("Many failures", Severity::High)
        );
        assert_eq!(
            (found.entity.kind, found.entity.value.as_str()),
            (EntityKind::Address, "203.0.113.7")
        );
        assert_eq!((found.time, found.events.len()), (NOW + 5 * MINUTE, 0));
        let why: Vec<_> =
            found.why.iter().map(|why| (why.field.as_str(), why.value.as_str())).collect();
        assert_eq!(
            why,
            [
                ("logins by address", "event.outcome:failure | stats count() by source.ip"),
                ("source.ip", "203.0.113.7"),
                ("count()", "41"),
            ]
        );
        assert_eq!(found.why[0].test, "from 2026-11-23T10:00:00Z to 2026-11-23T10:05:00Z");

        let named = KeptSchedule { entity: Some("count()".into()), ..schedule() };
        let found = detections(&named, &[row, json!({"count()": null})]);
        let entities: Vec<_> = found.iter().map(|found| found.entity.clone()).collect();
        let count = Entity { kind: EntityKind::Resource, value: "41".into() };
        assert_eq!(entities.len(), 2);
        assert!(entities.contains(&Entity::none()) && entities.contains(&count), "{entities:?}");
    }

    #[test]
    fn an_event_is_its_own_evidence() {
        let event = json!({
            "@timestamp": "2026-11-23T10:02:00Z", "event.id": "77", "user.name": "root",
            "event.original": "x",
        });
        let found = detections(&schedule(), &[event]);
        assert_eq!((found[0].time, found[0].events.as_slice()), (NOW + 2 * MINUTE, &[77][..]));
        assert_eq!(
            (found[0].entity.kind, found[0].entity.value.as_str()),
            (EntityKind::User, "root")
        );
    }

    #[test]
    fn the_same_rows_in_another_order_are_the_same_detections() {
        let mut rows: Vec<Value> = (0..9).map(|n| json!({"n": n})).collect();
        let found = detections(&schedule(), &rows);
        rows.reverse();
        assert_eq!(detections(&schedule(), &rows), found);
        assert!(found.is_sorted_by(|a, b| a.event_id < b.event_id && a.id != b.id));
    }

    #[test]
    fn a_row_is_the_same_detection_whatever_stands_beside_it() {
        let rows: Vec<Value> = [3, 3, 5].map(|n| json!({"n": n})).to_vec();
        let found = detections(&schedule(), &rows);
        let late = [json!({"n": 1}), json!({"n": 4})];
        let more = detections(&schedule(), &[&late[..1], &rows[..], &late[1..]].concat());
        let ids: std::collections::BTreeSet<_> = more.iter().map(|found| &found.id).collect();
        assert_eq!((found.len(), ids.len()), (3, 5));
        assert!(found.iter().all(|found| more.contains(found)), "{more:?}");
        // The order of windows is that of their ends.
        let end = NOW + 5 * MINUTE;
        assert!(more.iter().all(|found| (end..end + MINUTE).contains(&found.event_id)));
    }

    #[test]
    fn rows_beyond_the_cap_are_said() {
        let rows: Vec<Value> = (0..=ROWS_MAX).map(|n| json!({"n": n})).collect();
        let says = |found: &[Detection]| found[0].why.iter().any(|why| why.test == "more than 100");
        let found = detections(&schedule(), &rows[1..]);
        assert_eq!((found.len(), says(&found)), (ROWS_MAX, false));
        let found = detections(&schedule(), &rows);
        assert_eq!((found.len(), says(&found)), (ROWS_MAX, true));
    }
}
