//! The keys of one correlation. Each rule has its own room, so a flood of keys for one rule
//! cannot push out what another rule knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use pugmark_event::time::Micros;

use super::window::{Entry, Found, Window};
use super::{Correlation, LATENESS};
use crate::checkpoint::StateImage;

/// Keys kept per rule.
const KEYS_MAX: usize = 50_000;
/// Entries kept per rule, over all keys.
const ENTRIES_MAX: usize = 200_000;

/// What one correlation knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    keys: HashMap<Arc<str>, Kept>,
    /// Keys by when they were last touched, the stalest first.
    stalest: BTreeMap<u64, Arc<str>>,
    next: u64,
    entries: usize,
    /// Keys dropped for want of room.
    pub(crate) evicted: u64,
}

#[derive(Debug)]
struct Kept {
    window: Window,
    /// Position in `stalest`.
    position: u64,
    /// When its last event was received.
    received: Micros,
}

impl State {
    /// Adds an entry under a key.
    pub(crate) fn add(
        &mut self,
        rule: &Correlation,
        key: &str,
        entry: Entry,
        received: Micros,
    ) -> Option<Found> {
        self.sweep(rule.span, received);
        let position = self.next;
        self.next += 1;
        let key: Arc<str> = match self.keys.get_key_value(key) {
            Some((known, kept)) => {
                self.stalest.remove(&kept.position);
                known.clone()
            }
            None => key.into(),
        };
        self.stalest.insert(position, key.clone());
        let kept = self.keys.entry(key).or_insert_with(|| Kept {
            window: Window::new(rule),
            position,
            received,
        });
        kept.position = position;
        kept.received = kept.received.max(received);
        let before = kept.window.len();
        let found = kept.window.add(rule, entry);
        self.entries = self.entries + kept.window.len() - before;
        while self.keys.len() > KEYS_MAX || (self.entries > ENTRIES_MAX && self.keys.len() > 1) {
            self.drop_stalest();
            self.evicted += 1;
        }
        found
    }

    /// What it knows, to be kept.
    pub(crate) fn image(&self) -> StateImage {
        let keys = self.stalest.values().filter_map(|key| {
            let kept = self.keys.get(key)?;
            Some(kept.window.image(key.clone(), kept.received))
        });
        StateImage { keys: keys.collect(), evicted: self.evicted }
    }

    /// The state that an image was made of.
    pub(crate) fn of(rule: &Correlation, image: &StateImage) -> Self {
        let mut state = State { evicted: image.evicted, ..State::default() };
        for key in &image.keys {
            let position = state.next;
            state.next += 1;
            let window = Window::of(rule, key);
            state.entries += window.len();
            state.stalest.insert(position, key.key.clone());
            let kept = Kept { window, position, received: key.received };
            state.keys.insert(key.key.clone(), kept);
        }
        state
    }

    /// Drops keys whose last event was received so long ago that no event on time can follow.
    fn sweep(&mut self, span: Micros, received: Micros) {
        let until = received.saturating_sub(span).saturating_sub(LATENESS);
        while let Some((_, key)) = self.stalest.first_key_value()
            && self.keys.get(key).is_none_or(|kept| kept.received < until)
        {
            self.drop_stalest();
        }
    }

    fn drop_stalest(&mut self) {
        let Some((_, key)) = self.stalest.pop_first() else { return };
        if let Some(kept) = self.keys.remove(&key) {
            self.entries -= kept.window.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;
    use crate::rule::Comparison;

    #[test]
    fn a_flood_of_keys_is_bounded_and_counted() {
        let rule = Correlation {
            rule: 0,
            refs: vec![1],
            kind: Kind::EventCount(vec![(Comparison::GreaterOrEqual, 3)]),
            group_by: vec![],
            group_fields: vec![],
            value_fields: vec![],
            span: 1000,
            has_parents: false,
        };
        let mut state = State::default();
        let flood = KEYS_MAX as i64 + 500;
        for id in 0..flood {
            let entry = Entry { time: id, id, source: 0, reference: 0, value: 0, evidence: None };
            state.add(&rule, &id.to_string(), entry, 0);
        }
        assert_eq!((state.keys.len(), state.entries), (KEYS_MAX, KEYS_MAX));
        assert_eq!(state.evicted, 500);
        let entry =
            Entry { time: flood, id: flood, source: 0, reference: 0, value: 0, evidence: None };
        state.add(&rule, "late", entry, 2 * LATENESS);
        assert_eq!((state.keys.len(), state.stalest.len(), state.entries), (1, 1, 1));
    }
}
