//! The live tail: which of the arriving events each question of a listener wants.
//!
//! Ingest never waits for a listener. Events pass through a bounded broadcast; a listener that
//! reads too slowly misses some, and is told how many. When more events pass than a frame takes,
//! the frame has a sample of them: one of every two, four and so on.

use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use pugmark_engine::Notice;
use pugmark_event::Batch;
use pugmark_event::json::RowWriter;
use pugmark_query::eval::Matcher;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior};

use crate::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::questions::events_of;

/// Shortest time between two frames of events.
const FRAME_TIME: Duration = Duration::from_millis(100);
/// Time between two signs of life.
const PING_TIME: Duration = Duration::from_secs(15);
/// Tails of one listener.
pub(crate) const TAILS_MAX: usize = 8;
/// Events in one frame; of more in the same time it has a sample.
pub(crate) const FRAME_EVENTS_MAX: usize = 500;
/// Bytes of events in one frame.
const FRAME_BYTES_MAX: usize = 2 << 20;
/// Longest id of a tail in bytes.
const ID_BYTES_MAX: usize = 64;

/// What ticks so often, and skips what it was too late for.
pub(crate) fn every(time: Duration) -> Interval {
    let mut interval = tokio::time::interval(time);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// What a listener hears.
pub(crate) enum Heard {
    /// Events or an alert.
    Notice(Arc<Notice>),
    /// That some notices are gone, since it was too slow.
    Missed,
    /// That it is time for a frame.
    Frame,
    /// That it is time for a sign of life.
    Ping,
}

/// Listens for somebody, from when it is made.
pub(crate) struct Ear {
    app: App,
    caller: Caller,
    notices: Receiver<Arc<Notice>>,
    frame: Interval,
    ping: Interval,
}

impl Ear {
    pub(crate) fn new(app: App, caller: Caller) -> Self {
        let notices = app.engine.subscribe();
        Self { app, caller, notices, frame: every(FRAME_TIME), ping: every(PING_TIME) }
    }

    /// What comes next; `None` when the stream ends.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        tokio::select! {
            () = self.app.stopping.cancelled() => None,
            _ = self.ping.tick() => Some(Heard::Ping),
            _ = self.frame.tick() => Some(Heard::Frame),
            notice = self.notices.recv() => match notice {
                Ok(notice) => Some(Heard::Notice(notice)),
                Err(RecvError::Lagged(_)) => Some(Heard::Missed),
                Err(RecvError::Closed) => None,
            },
        }
    }

    /// A sign of life, unless the session has ended meanwhile.
    pub(crate) async fn ping(&self) -> Option<Vec<Event>> {
        let valid = self.caller.is_still_valid(&self.app).await;
        valid.then(|| vec![Event::default().comment("ping")])
    }
}

/// One question that arriving events are held against.
struct Tail {
    id: String,
    matcher: Matcher,
    frame: Sample,
    dropped: u64,
}

/// Rows of one frame: all of them, or as many of every 2, 4, 8... as fit.
#[derive(Default)]
pub(crate) struct Sample {
    /// JSON objects.
    rows: Vec<Vec<u8>>,
    bytes: usize,
    seen: u64,
    /// Of so many rows one is kept, as a power of two.
    shift: u32,
}

impl Sample {
    /// Takes the next row, which `write` makes; most rows of a flood are never made.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let number = self.seen;
        self.seen += 1;
        if !number.is_multiple_of(1 << self.shift) {
            return;
        }
        let mut row = Vec::new();
        write(&mut row);
        self.bytes += row.len();
        self.rows.push(row);
        while self.rows.len() > 1
            && (self.rows.len() > FRAME_EVENTS_MAX || self.bytes > FRAME_BYTES_MAX)
        {
            self.thin();
        }
    }

    /// Keeps every second row.
    fn thin(&mut self) {
        let mut number = 0;
        self.rows.retain(|_| {
            number += 1;
            number % 2 == 1
        });
        self.bytes = self.rows.iter().map(Vec::len).sum();
        self.shift = (self.shift + 1).min(u64::BITS - 1);
    }

    /// The rows as a JSON array, if there are any, and how many more there were; then it is empty.
    pub(crate) fn take(&mut self) -> Option<(String, u64)> {
        let Sample { rows, seen, .. } = std::mem::take(self);
        let hidden = seen - rows.len() as u64;
        let rows: Vec<_> = rows.iter().map(|row| String::from_utf8_lossy(row)).collect();
        (!rows.is_empty()).then(|| (format!("[{}]", rows.join(",")), hidden))
    }
}

/// The tails of one listener.
#[derive(Default)]
pub(crate) struct Tails {
    tails: Vec<Tail>,
    /// The last event seen: ids have no gaps but for what was missed.
    last_id: Option<i64>,
}

/// A named event of the stream with its data.
pub(crate) type Frame = (&'static str, String);

impl Tails {
    /// Reads `ID:QUERY` or `QUERY` of each `tail` parameter.
    pub(crate) fn read(parameters: &[String]) -> Result<Self, ApiError> {
        if parameters.len() > TAILS_MAX {
            return Err(ApiError::bad_request(format!("a stream has at most {TAILS_MAX} tails")));
        }
        let tails: Result<Vec<Tail>, ApiError> = parameters
            .iter()
            .map(|parameter| {
                let (id, query) = split_id(parameter);
                let matcher = Matcher::new(&events_of(pugmark_query::parse(query)?));
                let id = id.to_string();
                Ok(Tail { id, matcher, frame: Sample::default(), dropped: 0 })
            })
            .collect();
        Ok(Self { tails: tails?, last_id: None })
    }

    /// True when there is no question.
    pub(crate) fn is_empty(&self) -> bool {
        self.tails.is_empty()
    }

    /// Holds arriving events against every question.
    pub(crate) fn take(&mut self, batch: &Batch) {
        let Some(last) = batch.ids().last() else { return };
        self.last_id = Some(*last);
        if self.tails.is_empty() {
            return;
        }
        let writer = RowWriter::new(batch.columns());
        for tail in &mut self.tails {
            let wanted = tail.matcher.matches(batch);
            for row in (0..batch.rows()).filter(|row| wanted.value(*row)) {
                tail.frame.push(|out| writer.write(row, out));
            }
        }
    }

    /// The listener missed some batches; the next one is `batch`. How many events these had is
    /// known, but not how many of them each question wanted, so all are counted.
    pub(crate) fn missed_until(&mut self, batch: &Batch) {
        let (Some(last), Some(first)) = (self.last_id, batch.ids().first()) else { return };
        let missed = (first - last - 1).max(0) as u64;
        self.tails.iter_mut().for_each(|tail| tail.dropped += missed);
    }

    /// What there is to send, and an empty frame after it.
    pub(crate) fn frames(&mut self) -> Vec<Frame> {
        self.tails.iter_mut().flat_map(Tail::frames).collect()
    }
}

impl Tail {
    fn frames(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        if let Some((events, hidden)) = self.frame.take() {
            frames.push(("events", format!("{{\"id\":{},\"events\":{events}}}", json!(self.id))));
            self.dropped += hidden;
        }
        if self.dropped > 0 {
            let dropped = json!({ "id": self.id, "count": self.dropped });
            frames.push(("dropped", dropped.to_string()));
            self.dropped = 0;
        }
        frames
    }
}

/// `ID:QUERY`, where the id is a plain word and no field: `user.name:root` is a query.
fn split_id(parameter: &str) -> (&str, &str) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    match parameter.split_once(':') {
        Some((id, query))
            if (1..=ID_BYTES_MAX).contains(&id.len())
                && id.bytes().all(plain)
                && pugmark_event::fields::by_name(id).is_none() =>
        {
            (id, query)
        }
        _ => ("", parameter),
    }
}

#[cfg(test)]
mod tests {
    use pugmark_event::{BatchBuilder, Value, fields};

    use super::*;

    fn batch(first_id: i64, users: &[&str]) -> Batch {
        let mut builder = BatchBuilder::new("test", 1_795_428_000_000_000);
        for (i, user) in users.iter().enumerate() {
            builder.begin(first_id + i as i64, user.as_bytes());
            builder.set(fields::USER_NAME, Value::Text(user));
            builder.end(None);
        }
        builder.finish().unwrap()
    }

    fn read(parameters: &[&str]) -> Tails {
        let parameters: Vec<String> = parameters.iter().map(ToString::to_string).collect();
        Tails::read(&parameters).unwrap()
    }

    #[test]
    fn each_tail_gets_what_it_asked_for() {
        let mut tails = read(&["a:user.name:root", "b:"]);
        tails.take(&batch(1, &["root", "<script>\n"]));
        let frames = tails.frames();
        assert_eq!(frames.len(), 2);
        for ((name, data), (id, count)) in frames.iter().zip([("a", 1), ("b", 2)]) {
            assert_eq!(*name, "events");
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            assert_eq!(data["id"], id);
            assert_eq!(data["events"].as_array().unwrap().len(), count);
        }
        assert!(!frames[1].1.contains('\n'), "a frame is one line");
        assert!(tails.frames().is_empty());
    }

    #[test]
    fn of_what_does_not_fit_a_sample_is_shown_and_the_rest_is_counted() {
        let mut tails = read(&["a:"]);
        let count = 3 * FRAME_EVENTS_MAX;
        tails.take(&batch(1, &vec!["x"; count]));
        let frames = tails.frames();
        let shown: serde_json::Value = serde_json::from_str(&frames[0].1).unwrap();
        let ids: Vec<&str> = shown["events"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|event| event["event.id"].as_str())
            .collect();
        let every_fourth: Vec<String> = (1..=count).step_by(4).map(|id| id.to_string()).collect();
        assert_eq!(ids, every_fourth);
        let hidden = count - every_fourth.len();
        assert_eq!(frames[1], ("dropped", format!("{{\"id\":\"a\",\"count\":{hidden}}}")));
        let next = batch(count as i64 + 100, &["x"]);
        tails.missed_until(&next);
        tails.take(&next);
        assert_eq!(tails.frames()[1].1, "{\"id\":\"a\",\"count\":99}");
    }

    #[test]
    fn ids_are_told_from_fields() {
        for (parameter, expected) in [
            ("t1:user.name:root", ("t1", "user.name:root")),
            ("user:root", ("", "user:root")),
            ("source.ip:10.0.0.1", ("", "source.ip:10.0.0.1")),
            ("failed password", ("", "failed password")),
            ("x:", ("x", "")),
            ("", ("", "")),
        ] {
            assert_eq!(split_id(parameter), expected, "{parameter:?}");
        }
        assert!(Tails::read(&vec!["x".to_string(); TAILS_MAX + 1]).is_err());
        assert!(Tails::read(&["t1:user.name:(".to_string()]).is_err());
    }
}
