//! The templates behind log messages: `Failed password for <*> from <*> port <*> ssh2`.
//!
//! A [`Miner`] gives each message the id of its template and the byte ranges of its variable parts.
//! It learns as it goes, from any system, with one configuration.
//!
//! A message that was seen in the same form costs one scan and one lookup: `scan` tells words from
//! values by how they are written, `cache` knows the template of the form. Other messages are
//! looked up among the templates, become a template of their own, and may make templates of one
//! bucket ripe to merge: `store`, with `words` and `refine` to say when.
//!
//! **Ids** are a hash of the text that a template had first, the same on every machine. When
//! templates merge, the oldest keeps its id and [`Miner::merges`] says what became of the others.
//!
//! **Bounds.** Of a message, 8 KiB and 128 words or slots are looked at; the rest is one slot. When
//! [`Limits`] are reached, the template that shares most with a message gets more slots, or else
//! the catch-all takes it; both are counted. Hashes are keyed with [`Limits::seed`], and the cache
//! is of fixed size, so messages made to collide cost time for a miss and nothing more.

mod cache;
mod chunk;
mod hash;
mod refine;
mod scan;
mod store;
mod words;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use cache::{Cache, Entry};
pub(crate) use hash::stable;
use scan::Scan;
use store::{CATCH_ALL, Node, Store};

/// Names a template, for ever: a hash of the text that it had first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateId(pub u64);

/// What a variable part looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlotKind {
    /// An address, IPv4 or IPv6, with its port if there is one.
    Ip,
    /// The name of a host.
    Host,
    /// A number, with sign, fraction and unit; a version.
    Number,
    /// Hexadecimal digits.
    Hex,
    /// A path of a file.
    Path,
    /// A URL.
    Url,
    /// A date, a time, or both.
    Time,
    /// Letters and digits that name one thing: a UUID, a block, a hardware address.
    Id,
    /// The name of a user, or an e-mail address.
    User,
    /// Anything else.
    Text,
}

impl SlotKind {
    /// The kind's name in a rendered template.
    pub fn name(self) -> &'static str {
        match self {
            SlotKind::Ip => "ip",
            SlotKind::Host => "host",
            SlotKind::Number => "number",
            SlotKind::Hex => "hex",
            SlotKind::Path => "path",
            SlotKind::Url => "url",
            SlotKind::Time => "time",
            SlotKind::Id => "id",
            SlotKind::User => "user",
            SlotKind::Text => "text",
        }
    }

    /// The kind of a slot that takes both.
    fn joined(self, other: SlotKind) -> SlotKind {
        use SlotKind::{Hex, Host, Id, Ip, Number, Text};
        match (self, other) {
            _ if self == other => self,
            (Number | Hex | Id, Number | Hex | Id) => Id,
            (Ip | Host, Ip | Host) => Host,
            _ => Text,
        }
    }
}

/// A variable part of one message. May be empty, and may be a list: `blk_1 blk_2` is one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// First byte in the message.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// What it looks like.
    pub kind: SlotKind,
}

/// What a miner may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Templates, the catch-all among them.
    pub templates_max: usize,
    /// Bytes of all templates with their maps, estimated.
    pub bytes_max: usize,
    /// Entries of the merge log; when it is full, its older half goes.
    pub merges_max: usize,
    /// Sets of the cache of forms, 64 bytes each; a power of two.
    pub cache_sets: usize,
    /// Key of the hashes that stay inside. Give a secret one where messages are hostile.
    pub seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            templates_max: 50_000,
            bytes_max: 192 << 20,
            merges_max: 200_000,
            cache_sets: 1 << 15,
            seed: 0x7075_676d_6172_6b31,
        }
    }
}

/// A template as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    id: u64,
    count: u64,
    slots: u128,
    items: u8,
    first: String,
    last: String,
}

impl Kept {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

/// One template went into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// The id that is no more.
    pub from: TemplateId,
    /// The id of the older template that took it in; a later merge may have moved that one.
    pub into: TemplateId,
}

/// How a miner is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Templates now, the catch-all among them.
    pub templates: usize,
    /// Estimated bytes of templates, maps and cache.
    pub bytes: usize,
    /// Messages whose signature was in the cache.
    pub hits: u64,
    /// Messages that had to be looked up among the templates.
    pub misses: u64,
    /// Messages that the catch-all took because there was no room.
    pub caught: u64,
    /// Templates that got more slots because there was no room for another.
    pub widened: u64,
    /// Merges that the log no longer holds.
    pub forgotten: u64,
}

/// Learns templates from messages and tells messages apart by them.
#[derive(Debug, Clone)]
pub struct Miner {
    scan: Scan,
    cache: Cache,
    store: Store,
    seed: u64,
    counts: Counts,
}

impl Miner {
    /// A miner that knows nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            scan: Scan::new(limits.seed),
            cache: Cache::new(limits.cache_sets),
            store: Store::new(limits),
            seed: limits.seed,
            counts: Counts::default(),
        }
    }

    /// A miner that goes on from what [`Miner::keep`] gave: it knows the same templates by the same
    /// ids, within its own limits. Merges of before are forgotten.
    pub fn resume(limits: Limits, kept: &[Kept]) -> Self {
        let mut miner = Miner::new(limits);
        for kept in kept {
            miner.scan.run(&kept.first);
            miner.store.enter(&miner.scan, kept);
        }
        miner
    }

    /// What it may use.
    pub fn limits(&self) -> Limits {
        self.store.limits
    }

    /// What it knows, oldest first, to be written down.
    pub fn keep(&self) -> Vec<Kept> {
        self.store.keep()
    }

    /// The id of the message's template, which is learnt if it is new. Puts the variable parts into
    /// `slots`, in order, in place of what was there.
    pub fn learn(&mut self, message: &str, slots: &mut Vec<Slot>) -> TemplateId {
        self.scan.run(message);
        let signature = self.scan.signature();
        let index = match self.cached(signature) {
            Some(index) => {
                self.counts.hits += 1;
                index
            }
            None => self.miss(signature, message),
        };
        self.counts.caught += u64::from(index == CATCH_ALL);
        self.store.count(index, message);
        let node = self.store.node(index);
        fill(node, &self.scan, message, slots);
        TemplateId(node.id)
    }

    /// The id of the message's template, if there is one. Learns and counts nothing.
    pub fn find(&self, message: &str, slots: &mut Vec<Slot>) -> Option<TemplateId> {
        let mut scan = Scan::new(self.seed);
        scan.run(message);
        let index = match self.cached(scan.signature()) {
            // The catch-all is no answer to somebody who asks.
            Some(index) if index != CATCH_ALL => index,
            _ => self.store.find(&scan, message)?,
        };
        let node = self.store.node(index);
        fill(node, &scan, message, slots);
        Some(TemplateId(node.id))
    }

    /// The id that an id has become through merges; an id that never merged is itself.
    pub fn resolve(&self, id: TemplateId) -> TemplateId {
        TemplateId(self.store.resolve(id.0))
    }

    /// The template of an id, through merges.
    pub fn template(&self, id: TemplateId) -> Option<Template<'_>> {
        self.store.by_id(self.store.resolve(id.0)).map(Template::of)
    }

    /// All templates that took messages, in no order that means anything.
    pub fn templates(&self) -> impl Iterator<Item = Template<'_>> {
        self.store.live().filter(|node| node.count > 0).map(Template::of)
    }

    /// What became of ids that are no more, oldest first; see [`Limits::merges_max`].
    pub fn merges(&self) -> &[Merge] {
        &self.store.merges
    }

    /// The template that takes what no other can when there is no room.
    pub fn catch_all(&self) -> TemplateId {
        TemplateId(self.store.node(CATCH_ALL).id)
    }

    /// How the miner is doing.
    pub fn counts(&self) -> Counts {
        Counts {
            templates: self.store.len(),
            bytes: self.store.bytes() + self.cache.bytes(),
            widened: self.store.widened,
            forgotten: self.store.forgotten,
            ..self.counts
        }
    }

    #[inline]
    fn cached(&self, signature: u64) -> Option<u32> {
        let entry = self.cache.get(signature)?;
        (self.store.node(entry.index).tag() == entry.tag).then_some(entry.index)
    }

    #[cold]
    fn miss(&mut self, signature: u64, message: &str) -> u32 {
        self.counts.misses += 1;
        let index = match self.store.find(&self.scan, message) {
            Some(index) => {
                self.store.see_kinds(index, &self.scan.items);
                index
            }
            None => self.store.make(&self.scan, message),
        };
        let tag = self.store.node(index).tag();
        self.cache.put(Entry { signature, index, tag });
        index
    }
}

/// Puts the variable parts of a message into `slots`.
#[inline]
fn fill(node: &Node, scan: &Scan, message: &str, slots: &mut Vec<Slot>) {
    slots.clear();
    if node.items.len() != scan.items.len() || node.is_catch_all() {
        // The catch-all, whose one slot is the message.
        return slots.push(Slot { start: 0, end: message.len() as u32, kind: SlotKind::Text });
    }
    for (place, item) in scan.items.iter().enumerate() {
        if let Some(kind) = item.kind {
            slots.push(Slot { start: item.start, end: item.end, kind });
        } else if node.is_slot(place) {
            slots.push(Slot { start: item.start, end: item.end, kind: SlotKind::Text });
        }
    }
}

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Text that all messages share, but for the number of spaces in a row.
    Text(&'a str),
    /// A variable part.
    Slot(SlotKind),
}

/// What messages of one kind have in common.
#[derive(Debug, Clone, Copy)]
pub struct Template<'a> {
    node: &'a Node,
}

impl<'a> Template<'a> {
    fn of(node: &'a Node) -> Self {
        Self { node }
    }

    /// Its id.
    pub fn id(self) -> TemplateId {
        TemplateId(self.node.id)
    }

    /// Messages that were assigned to it, also before it took in other templates.
    pub fn count(self) -> u64 {
        self.node.count
    }

    /// The first message, as far as it was looked at.
    pub fn first(self) -> &'a str {
        &self.node.first
    }

    /// A later message, or its first 256 bytes: the one when the count last was a power of two.
    pub fn last(self) -> &'a str {
        &self.node.last
    }

    /// Static text and slots in turn.
    pub fn parts(self) -> impl Iterator<Item = Part<'a>> {
        let text: &'a str = &self.node.first;
        let items = &self.node.items;
        let slots = items.iter().filter_map(|item| Some((item.start, item.end, item.kind?)));
        let end = (text.len() as u32, text.len() as u32, None);
        let mut done = 0;
        (slots.map(|(start, end, kind)| (start, end, Some(kind))))
            .chain(std::iter::once(end))
            .flat_map(move |(start, end, kind)| {
                let between = text.get(done..start as usize).unwrap_or_default();
                done = (end as usize).min(text.len());
                let fixed = (!between.is_empty()).then_some(Part::Text(between));
                fixed.into_iter().chain(kind.map(Part::Slot))
            })
    }

    /// `Failed password for <*> from <*>`
    pub fn text(self) -> String {
        self.render(|out, _| out.push_str("<*>"))
    }

    /// `Failed password for <user> from <ip>`
    pub fn typed(self) -> String {
        self.render(|out, kind| {
            // Writing to a string cannot fail.
            let _ = write!(out, "<{}>", kind.name());
        })
    }

    fn render(self, slot: impl Fn(&mut String, SlotKind)) -> String {
        let mut out = String::new();
        for part in self.parts() {
            match part {
                Part::Text(text) => push_spaced(&mut out, text),
                Part::Slot(kind) => slot(&mut out, kind),
            }
        }
        out
    }
}

/// Appends text with each run of spaces as one.
fn push_spaced(out: &mut String, text: &str) {
    for letter in text.chars() {
        let space = letter.is_ascii_whitespace();
        if !(space && out.ends_with(' ')) {
            out.push(if space { ' ' } else { letter });
        }
    }
}
