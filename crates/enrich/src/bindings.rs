//! Who had an address when, learned from events: leases, VPN sessions, logons.
//!
//! An event says "from now on this address has this machine or user", perhaps for how long, or "no
//! longer". Per address and role the intervals never overlap: a new holder ends the one before.
//! Events may come late and in any order. Memory is bounded: what was not seen for longest goes
//! first, and is counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use pugmark_event::time::Micros;
use serde::{Deserialize, Serialize};

use crate::lookup::normal;

/// Intervals kept per address and role; the oldest go first.
const SPANS_PER_KEY_MAX: usize = 256;
/// Longest address or name that is learned, in bytes; what is longer is neither.
const WORD_BYTES_MAX: usize = 256;

/// What an address has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A machine, by its name.
    Host,
    /// A person or account.
    User,
    /// A network card, by its hardware address.
    Mac,
}

/// A holder and when: from inclusive, to exclusive, in microseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Span {
    from: Micros,
    to: Micros,
    value: Arc<str>,
}

type Key = (Role, Arc<str>);

/// Holders by address and role.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "Saved", from = "Saved")]
pub struct Bindings {
    spans_max: usize,
    keys: HashMap<Key, Vec<Span>>,
    /// The keys by the end of their last interval: the first goes first.
    order: BTreeSet<(Micros, Key)>,
    count: usize,
    evicted: u64,
}

/// The form that is kept and sent.
#[derive(Serialize, Deserialize)]
struct Saved {
    spans_max: usize,
    evicted: u64,
    keys: Vec<(Role, Arc<str>, Vec<Span>)>,
}

impl From<Bindings> for Saved {
    fn from(all: Bindings) -> Self {
        let keys = all
            .order
            .iter()
            .filter_map(|(_, key)| Some((key.0, key.1.clone(), all.keys.get(key)?.clone())));
        Saved { spans_max: all.spans_max, evicted: all.evicted, keys: keys.collect() }
    }
}

impl From<Saved> for Bindings {
    /// Learns everything anew, so that whatever was stored, what must hold holds.
    fn from(saved: Saved) -> Self {
        let mut all = Bindings::new(saved.spans_max);
        all.evicted = saved.evicted;
        for (role, address, spans) in saved.keys {
            for span in spans {
                all.learn(role, &address, &span.value, span.from, span.to);
            }
        }
        all
    }
}

/// The holders of one address, by time.
#[derive(Clone, Copy)]
pub(crate) struct Holders<'a>(&'a [Span]);

impl<'a> Holders<'a> {
    /// Who had it at `time`.
    pub(crate) fn at(self, time: Micros) -> Option<&'a str> {
        let after = self.0.partition_point(|span| span.from <= time);
        let span = self.0.get(after.checked_sub(1)?)?;
        (time < span.to).then_some(&*span.value)
    }
}

impl Bindings {
    /// Nothing learned yet; room for so many intervals of all addresses together.
    pub fn new(spans_max: usize) -> Self {
        let (keys, order) = (HashMap::new(), BTreeSet::new());
        Self { spans_max, keys, order, count: 0, evicted: 0 }
    }

    /// Notes that `address` has `value` from `from` until `to` (exclusive) or until another
    /// holder is seen. Seen again, a holder keeps it on.
    pub fn learn(&mut self, role: Role, address: &str, value: &str, from: Micros, to: Micros) {
        let (address, value) = (normal(address), value.trim());
        let fits = |word: &str| (1..=WORD_BYTES_MAX).contains(&word.len());
        if !fits(&address) || !fits(value) || from >= to || self.spans_max == 0 {
            return;
        }
        let key: Key = (role, address.as_ref().into());
        let mut spans = self.take(&key);
        insert(&mut spans, Span { from, to, value: value.into() });
        if spans.len() > SPANS_PER_KEY_MAX {
            let surplus = spans.len() - SPANS_PER_KEY_MAX;
            spans.drain(..surplus);
            self.evicted += surplus as u64;
        }
        self.put(key, spans);
        self.bound();
    }

    /// Drops what ends first until the rest has room.
    fn bound(&mut self) {
        while self.count > self.spans_max
            && let Some((_, oldest)) = self.order.first().cloned()
        {
            self.evicted += self.take(&oldest).len() as u64;
        }
    }

    /// Notes that whoever has `address` at `time` has it no longer.
    pub fn release(&mut self, role: Role, address: &str, time: Micros) {
        let key: Key = (role, normal(address).as_ref().into());
        let mut spans = self.take(&key);
        if let Some(span) = spans.iter_mut().find(|span| span.from < time && time < span.to) {
            span.to = time;
        }
        self.put(key, spans);
    }

    /// Forgets what ended before `time`; this is no eviction.
    pub fn expire(&mut self, time: Micros) {
        while let Some((end, key)) = self.order.first().cloned()
            && end <= time
        {
            self.take(&key);
        }
    }

    /// Who had `address` at `time`.
    pub fn at(&self, role: Role, address: &str, time: Micros) -> Option<&str> {
        self.address(role, address)?.at(time)
    }

    /// All holders of an address, to be asked for times.
    pub(crate) fn address(&self, role: Role, address: &str) -> Option<Holders<'_>> {
        self.keys.get(&(role, normal(address).as_ref().into())).map(|spans| Holders(spans))
    }

    /// Number of intervals held.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Number of intervals that were dropped for lack of room, ever.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Everything as bytes, to be kept over a restart.
    ///
    /// # Errors
    /// When the encoding fails, which is a defect.
    pub fn save(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(self)
    }

    /// What [`Bindings::save`] wrote, with room for so many intervals from now on.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn load(bytes: &[u8], spans_max: usize) -> Result<Self, postcard::Error> {
        let mut all: Bindings = postcard::from_bytes(bytes)?;
        all.spans_max = spans_max;
        all.bound();
        Ok(all)
    }

    /// Takes a key out; [`Bindings::put`] brings it back, at its new place in the order.
    fn take(&mut self, key: &Key) -> Vec<Span> {
        let spans = self.keys.remove(key).unwrap_or_default();
        self.count -= spans.len();
        if let Some(last) = spans.last() {
            self.order.remove(&(last.to, key.clone()));
        }
        spans
    }

    fn put(&mut self, key: Key, spans: Vec<Span>) {
        let Some(last) = spans.last() else { return };
        self.count += spans.len();
        self.order.insert((last.to, key.clone()));
        self.keys.insert(key, spans);
    }
}

/// Puts a holder among others that are sorted and do not overlap, and keeps them so: it ends who
/// held before it began, and ends itself where the next is known to have begun.
fn insert(spans: &mut Vec<Span>, mut new: Span) {
    let mut at = spans.partition_point(|span| span.from <= new.from);
    while let Some(before) = at.checked_sub(1).map(|at| &mut spans[at])
        && before.to >= new.from
    {
        if before.value == new.value {
            (new.from, new.to) = (before.from, new.to.max(before.to));
        } else {
            before.to = new.from;
            if before.from < before.to {
                break;
            }
        }
        at -= 1;
        spans.remove(at);
    }
    while let Some(next) = spans.get(at).filter(|next| next.from <= new.to) {
        if next.value != new.value {
            new.to = next.from;
            break;
        }
        new.to = new.to.max(next.to);
        spans.remove(at);
    }
    spans.insert(at, new);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ADDRESS: &str = "192.0.2.7";

    /// Learns (value, from, to), `-` releases; then asks for times.
    #[track_caller]
    fn check(learned: &[(&str, Micros, Micros)], expected: &[(Micros, &str)]) {
        let mut all = Bindings::new(100);
        for (value, from, to) in learned {
            match *value {
                "-" => all.release(Role::User, ADDRESS, *from),
                value => all.learn(Role::User, ADDRESS, value, *from, *to),
            }
        }
        for (time, value) in expected {
            let found = all.at(Role::User, ADDRESS, *time).unwrap_or("-");
            assert_eq!(found, *value, "{learned:?} at {time}");
        }
    }

    #[test]
    fn who_had_it_then() {
        check(&[], &[(0, "-")]);
        check(&[("a", 10, 20)], &[(9, "-"), (10, "a"), (19, "a"), (20, "-")]);
        // The next holder ends the one before, also when the news is late.
        for order in [[("a", 10, 30), ("b", 20, 40)], [("b", 20, 40), ("a", 10, 30)]] {
            check(&order, &[(10, "a"), (19, "a"), (20, "b"), (39, "b"), (40, "-")]);
        }
        // A renewal goes on; after a gap it begins anew.
        check(&[("a", 10, 20), ("a", 15, 25)], &[(24, "a"), (25, "-")]);
        check(&[("a", 10, 20), ("a", 30, 40)], &[(19, "a"), (25, "-"), (30, "a")]);
        check(&[("a", 30, 40), ("a", 10, 20), ("a", 20, 30)], &[(10, "a"), (25, "a"), (39, "a")]);
        check(&[("a", 10, 20), ("-", 15, 0)], &[(14, "a"), (15, "-")]);
        check(&[("a", 10, 20), ("-", 25, 0)], &[(19, "a")]);
        check(&[("a", 10, 20), ("b", 10, 20)], &[(10, "b"), (19, "b")]);
        check(&[("b", 0, 9), ("a", 9, 12), ("b", 9, 12)], &[(0, "b"), (9, "b"), (11, "b")]);
        check(&[("a", 10, 10), ("", 10, 20)], &[(10, "-")]);
    }

    #[test]
    fn roles_and_addresses_are_apart_and_spelled_once() {
        let mut all = Bindings::new(100);
        all.learn(Role::Host, "2001:DB8::0:1", "pc1", 0, 10);
        assert_eq!(all.at(Role::Host, "2001:db8::1", 5), Some("pc1"));
        assert_eq!(all.at(Role::User, "2001:db8::1", 5), None);
        assert_eq!(all.at(Role::Host, "2001:db8::2", 5), None);
    }

    #[test]
    fn memory_is_bounded_and_loss_is_counted() {
        let mut all = Bindings::new(10);
        for i in 0..25 {
            all.learn(Role::User, &format!("192.0.2.{i}"), "a", i, i + 100);
        }
        assert_eq!((all.len(), all.evicted()), (10, 15));
        assert_eq!(all.at(Role::User, "192.0.2.14", 20), None);
        assert_eq!(all.at(Role::User, "192.0.2.15", 20), Some("a"));
        all.expire(120);
        assert_eq!((all.len(), all.evicted()), (4, 15));
        let less = Bindings::load(&all.save().unwrap(), 3).unwrap();
        assert_eq!((less.len(), less.evicted()), (3, 16));

        let mut one = Bindings::new(1000);
        for i in 0..300 {
            one.learn(Role::User, ADDRESS, &format!("u{i}"), i, i + 1);
        }
        assert_eq!((one.len(), one.evicted()), (SPANS_PER_KEY_MAX, 44));
        assert_eq!(one.at(Role::User, ADDRESS, 299), Some("u299"));
        one.learn(Role::User, ADDRESS, &"x".repeat(WORD_BYTES_MAX + 1), 400, 500);
        assert_eq!(one.at(Role::User, ADDRESS, 450), None);
    }

    fn events() -> impl Strategy<Value = Vec<(u8, u8, Micros, Micros)>> {
        prop::collection::vec((0u8..4, 0u8..4, 0i64..50, 0i64..50), 0..40)
    }

    proptest! {
        #[test]
        fn intervals_never_overlap_and_survive_a_restart(events in events()) {
            let mut all = Bindings::new(12);
            for (address, value, from, length) in events {
                let address = format!("192.0.2.{address}");
                match value {
                    0 => all.release(Role::User, &address, from),
                    value => {
                        let (value, to) = (format!("u{value}"), from + length);
                        all.learn(Role::User, &address, &value, from, to);
                        if length > 0 && all.evicted() == 0 {
                            prop_assert_eq!(all.at(Role::User, &address, from), Some(&*value));
                        }
                    }
                }
                let count: usize = all.keys.values().map(Vec::len).sum();
                prop_assert!(count == all.len() && count <= 12);
                prop_assert_eq!(all.order.len(), all.keys.len());
                for spans in all.keys.values() {
                    prop_assert!(spans.iter().all(|span| span.from < span.to));
                    prop_assert!(spans.windows(2).all(|pair| pair[0].to <= pair[1].from));
                }
            }
            let again = Bindings::load(&all.save().unwrap(), 12).unwrap();
            prop_assert_eq!((&again.keys, &again.order), (&all.keys, &all.order));
        }

        #[test]
        fn any_bytes_are_loaded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(all) = Bindings::load(&bytes, 3) {
                prop_assert!(all.len() <= 3);
            }
        }
    }
}
