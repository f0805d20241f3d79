//! The hot path's memory: which template a signature has. Of fixed size, four places for each set
//! of signatures: those made to collide push each other out and cost time, never memory.

/// Entries of a set.
const WAYS: usize = 4;

/// One signature and where its template is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Signature of the message.
    pub(super) signature: u64,
    /// Place of the template.
    pub(super) index: u32,
    /// Says whether that place still holds this template.
    pub(super) tag: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Cache(Box<[[Entry; WAYS]]>);

impl Cache {
    /// A cache of so many sets, or the next power of two.
    pub(super) fn new(sets: usize) -> Self {
        Self(vec![[Entry::default(); WAYS]; sets.max(1).next_power_of_two()].into_boxed_slice())
    }

    /// Bytes in use, always the same.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    #[inline]
    pub(super) fn get(&self, signature: u64) -> Option<Entry> {
        let set = &self.0[signature as usize & (self.0.len() - 1)];
        set.iter().find(|entry| entry.signature == signature).copied()
    }

    /// Remembers an entry in place of the oldest of its set.
    pub(super) fn put(&mut self, entry: Entry) {
        let sets = self.0.len();
        let set = &mut self.0[entry.signature as usize & (sets - 1)];
        let last = set.iter().position(|old| old.signature == entry.signature).unwrap_or(WAYS - 1);
        set.copy_within(..last, 1);
        set[0] = entry;
    }
}
