//! Where a page of events ends: the place from which the next one goes on.
//!
//! Events have one order, by time and id, the newest first. A cursor is the time and id of the
//! last event of a page, so that no event comes twice and none is left out that was there when
//! the page before was made.

use std::fmt;

use pugmark_event::Batch;
use pugmark_event::fields::{EVENT_ID, EVENT_TIME};
use pugmark_event::time::{self, Micros};
use pugmark_query::{Bound, FieldRef, Filter, Kind, Pipe, Request, Test};

use crate::error::ApiError;
use crate::questions::TIMES;

/// Time and id of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    time: Micros,
    id: i64,
}

impl Cursor {
    /// Reads what `Display` wrote.
    ///
    /// # Errors
    /// When it is nothing that was given as a cursor.
    pub(crate) fn read(text: &str) -> Result<Self, ApiError> {
        let parts = text
            .split_once('.')
            .and_then(|(time, id)| Some(Self { time: time.parse().ok()?, id: id.parse().ok()? }));
        parts
            .filter(|cursor| cursor.id >= 0 && (TIMES.0..=TIMES.1).contains(&cursor.time))
            .ok_or_else(|| {
                ApiError::bad_request("this is no cursor")
                    .hint("give the `cursor` that came at the end of the page before, as it was")
            })
    }

    /// The place after the last event of a batch.
    pub(crate) fn after(batch: &Batch, row: usize) -> Self {
        Self { time: batch.event_times()[row], id: batch.ids()[row] }
    }

    /// The same question about what comes after.
    ///
    /// # Errors
    /// When its rows are not events in their order.
    pub(crate) fn narrow(self, request: &mut Request) -> Result<(), ApiError> {
        if !is_paged(request) {
            return Err(ApiError::bad_request("only lists of events have pages")
                .hint("leave the commands behind the filter away, or ask without a cursor"));
        }
        let field = |name: &str, test| Filter::Field(FieldRef::new(name), test);
        let below = |value: String| Test::Range {
            low: None,
            high: Some(Bound { value, inclusive: false }),
        };
        let time = time::format(self.time);
        let earlier = field(EVENT_TIME.name(), below(time.clone()));
        let same_time = field(EVENT_TIME.name(), Test::Equals(time));
        let before = field(EVENT_ID.name(), below(self.id.to_string()));
        let rest = Filter::Or(vec![earlier, Filter::And(vec![same_time, before])]);
        let filter = std::mem::replace(&mut request.plan.filter, Filter::All);
        request.plan.filter = Filter::And(vec![filter, rest]);
        let to = self.time.saturating_add(1);
        request.to = Some(request.to.map_or(to, |before| before.min(to)));
        Ok(())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.time, self.id)
    }
}

/// True for a question whose rows are events in their order.
pub(crate) fn is_paged(request: &Request) -> bool {
    let plan = &request.plan;
    plan.kind() == Kind::Events && plan.pipes.iter().all(|pipe| matches!(pipe, Pipe::Where(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_they_are_written() {
        for (text, good) in [
            ("1795428000000000.17", true),
            ("-1.0", true),
            ("1795428000000000", false),
            ("1795428000000000.-1", false),
            ("9223372036854775807.1", false),
            ("a.b", false),
            ("", false),
        ] {
            let read = Cursor::read(text).ok().map(|cursor| cursor.to_string());
            assert_eq!(read, good.then(|| text.to_string()), "{text}");
        }
    }
}
