//! Who reads the records of a source, and whether that is still as it was.
//!
//! [`Health`] is shown every batch and keeps, for each source, what its records look like: which
//! packs and formats read them, which fields their events have and of which kind, which records
//! nobody understood, and which texts its programs print. It knows no clock: it counts events.
//!
//! A source carries many programs, and at night only cron speaks. So nothing is judged over a whole
//! source but whether its records are understood at all. The records of one program are a
//! **group**, judged by who reads them; those of a group that one pack or format reads, with one
//! `event.code` (or else one `event.action`), are a **stream**, judged by its fields.
//!
//! Events are looked at in **windows** of [`WINDOW`]. A window that is as usual, and after which
//! another one is, is added to the **reference**, which halves now and then, so that it follows
//! slow change. After [`LEARN`] events a reference is believed, and a window may **break** with it:
//!
//! | break | before | in a whole window |
//! |---|---|---|
//! | understood | half or more was understood | half of that share is, or less |
//! | reader | one pack or format read 90 % | it reads none; another that is new half of them |
//! | vanished | 90 % had the field | none has it |
//! | type | 90 % of its values were of a kind | none is, and half of the events have another |
//!
//! What is familiar is no break, however much of it comes at once: a reader with [`FAMILIAR`]
//! events, a template of records that nobody understood, a set of fields; each from the time of
//! learning, or [`AGE`] events old. A better reader (a pack where there was a format) is none
//! either. A break is said once and stands until a window is as usual again, or until its program
//! is silent; one that lasts for [`LASTING`] windows is the new usual, and learning begins anew.
//!
//! Of each source it also keeps what its clock is probably wrong by ([`crate::clean::Skew`]), by
//! the times that were written, whatever correction is in force.
//!
//! **Bounds.** [`SOURCES_MAX`], [`GROUPS_MAX`], [`STREAMS_MAX`], [`FIELDS_MAX`], [`FIELDS_ALL_MAX`]
//! and a miner of 1,000 templates and 1 MiB for each source. What is beyond is counted and not
//! judged. Groups and streams that were not learnt and have long been silent give way to new ones.

mod group;
mod messages;
mod report;
mod source;
mod stream;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use pugmark_event::time::Micros;
use pugmark_event::{Batch, fields};
use serde::{Deserialize, Serialize};

use crate::Readings;
use crate::clean::{Skew, is_own_time, written_time};
use source::{Columns, Source};

pub use messages::NewKind;
pub use report::{ErrorReport, FieldReport, ReaderReport, Report, State, StreamReport, Summary};
pub use stream::FieldKind;

/// Events that are judged together.
pub const WINDOW: u32 = 200;
/// Events after which a reference is believed.
pub const LEARN: u32 = 500;
/// Broken windows in a row after which the new shape is the usual one.
pub const LASTING: u32 = 50;
/// Events after which a reader is familiar, when it is old enough.
pub const FAMILIAR: u64 = 20;
/// Events after which what a group or a stream has is old enough to be familiar.
pub const AGE: u64 = 2_000;
/// Events of a reference after which it halves.
const REFERENCE_MAX: u32 = 20_000;
/// Events of one batch whose fields and times are looked at; of more, evenly spread ones.
pub const BATCH_EVENTS_MAX: usize = 512;
/// Sources that are looked at; of others nothing is known.
pub const SOURCES_MAX: usize = 256;
/// Programs of a source.
pub const GROUPS_MAX: usize = 64;
/// Streams of a source.
pub const STREAMS_MAX: usize = 128;
/// Fields of a stream.
pub const FIELDS_MAX: usize = 256;
/// Fields of all streams of all sources.
pub const FIELDS_ALL_MAX: usize = 100_000;
/// Longest name of a program, a kind of events or an issue, in bytes; longer ones are cut.
const NAME_BYTES_MAX: usize = 64;
/// Events of a source without one of a stream after which that stream may give way.
const SILENT: u64 = 10_000;

/// A source no longer looks as it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Break {
    /// The source.
    pub source: String,
    /// The program whose records it is about; empty for those that name none, and for all.
    pub program: String,
    /// The pack or format that reads them, where the break is about fields; else empty.
    pub reader: String,
    /// Their `event.code` or `event.action`, where the break is about fields; may be empty.
    pub kind: String,
    /// What is not as it was.
    pub what: What,
    /// First and last event of the window that showed it.
    pub events: (i64, i64),
    /// Event time of the last one.
    pub time: i64,
}

/// What is not as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// The share of understood records fell, from and to a share between 0 and 1.
    Understood {
        /// Before.
        from: f64,
        /// In the window.
        to: f64,
    },
    /// Other packs or formats read the records now.
    Reader {
        /// The pack or format of before.
        from: String,
        /// The one of now.
        to: String,
    },
    /// A field is in no event any more.
    Vanished {
        /// Its name.
        field: String,
        /// The share of events that had it.
        share: f64,
    },
    /// The values of a field are of another kind.
    Type {
        /// Its name.
        field: String,
        /// The kind of before.
        from: FieldKind,
        /// The kind of now.
        to: FieldKind,
    },
}

impl What {
    /// The lower-case word.
    pub fn name(&self) -> &'static str {
        match self {
            What::Understood { .. } => "understood",
            What::Reader { .. } => "reader",
            What::Vanished { .. } => "vanished",
            What::Type { .. } => "type",
        }
    }
}

impl std::fmt::Display for What {
    /// One sentence for a person. Names of fields are hostile text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |share: f64| (share * 100.0).round() as u32;
        match self {
            What::Understood { from, to } => {
                let (from, to) = (percent(*from), percent(*to));
                write!(f, "{from} % of the records were understood, now {to} % are")
            }
            What::Reader { from, to } => {
                write!(f, "{from} read the records, now {to} does")
            }
            What::Vanished { field, share } => {
                write!(f, "{} % of the events had {field}, now none has", percent(*share))
            }
            What::Type { field, from, to } => {
                write!(f, "{field} was {}, now it is {}", from.name(), to.name())
            }
        }
    }
}

/// What is known about all sources.
#[derive(Debug, Clone)]
pub struct Health {
    sources: BTreeMap<String, Source>,
    /// Id of the first event that was not seen.
    next: i64,
    /// Fields that there is room for.
    room: usize,
    seed: u64,
}

/// What is written down. Behind it stand the clocks of sources, by name, which checkpoints of
/// before do not have.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    parser: std::borrow::Cow<'a, str>,
    next: i64,
    sources: BTreeMap<String, source::Kept>,
}

impl Health {
    /// Nothing is known yet. The seed keys hashes of hostile text; a secret one is best.
    pub fn new(seed: u64) -> Self {
        Self { sources: BTreeMap::new(), next: 0, room: FIELDS_ALL_MAX, seed }
    }

    /// Looks at the events of a batch that it has not seen yet, with how they were read. Gives the
    /// breaks that are new.
    pub fn observe(&mut self, batch: &Batch, readings: &Readings) -> Vec<Break> {
        let start = batch.ids().partition_point(|id| *id < self.next);
        let (Some(last), Some(name)) = (batch.ids().last(), batch.text(fields::EVENT_SOURCE))
        else {
            return Vec::new();
        };
        if start == batch.rows() {
            return Vec::new();
        }
        self.next = last.saturating_add(1);
        let name = name.value(0);
        if !self.sources.contains_key(name) {
            if self.sources.len() >= SOURCES_MAX {
                return Vec::new();
            }
            self.sources.insert(name.to_string(), Source::new(self.seed));
        }
        let Some(source) = self.sources.get_mut(name) else { return Vec::new() };
        source.clock.update(&written_times(batch, start));
        let columns = Columns::of(batch, readings);
        let mut breaks = Vec::new();
        // Of a flood some events show what all are like, once that is known; every message is
        // looked at.
        let step = match source.is_learnt() {
            true => (batch.rows() - start).div_ceil(BATCH_EVENTS_MAX),
            false => 1,
        };
        for row in start..batch.rows() {
            let shape = (row - start) % step == 0;
            source.event(&columns, row, shape.then_some(&mut self.room), &mut breaks);
        }
        breaks.iter_mut().for_each(|each| each.source = name.to_string());
        breaks
    }

    /// The breaks that stand, of all sources.
    pub fn breaks(&self) -> Vec<Break> {
        self.sources.iter().flat_map(|(name, source)| source.breaks(name)).collect()
    }

    /// Id of the first event that it has not seen.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// The sources it knows, each with its state in short.
    pub fn summaries(&self) -> impl Iterator<Item = (&str, Summary)> {
        self.sources.iter().map(|(name, source)| (name.as_str(), source.summary()))
    }

    /// All that is known about a source.
    pub fn report(&self, source: &str) -> Option<Report> {
        self.sources.get(source).map(|known| known.report(source))
    }

    /// What it knows as bytes, with the name of the parser that made the events.
    ///
    /// # Errors
    /// When it cannot be written down, which is a defect.
    pub fn to_bytes(&self, parser: &str) -> Result<Vec<u8>, postcard::Error> {
        let sources = self.sources.iter().map(|(name, source)| (name.clone(), source.keep()));
        let kept = Kept { parser: parser.into(), next: self.next, sources: sources.collect() };
        let clocks = self.sources.iter().map(|(name, source)| (name.as_str(), &source.clock));
        let clocks: BTreeMap<&str, &Skew> = clocks.collect();
        postcard::to_extend(&clocks, postcard::to_allocvec(&kept)?)
    }

    /// What [`Health::to_bytes`] gave. Where another parser made those events, the references are
    /// learnt anew: that the parser says other things is no change of a source.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn from_bytes(bytes: &[u8], parser: &str, seed: u64) -> Result<Self, postcard::Error> {
        let (kept, rest): (Kept<'_>, &[u8]) = postcard::take_from_bytes(bytes)?;
        let mut clocks: BTreeMap<String, Skew> = match rest {
            [] => BTreeMap::new(),
            rest => postcard::from_bytes(rest)?,
        };
        let same = kept.parser == parser;
        let mut health = Self { next: kept.next, ..Self::new(seed) };
        for (name, kept) in kept.sources.into_iter().take(SOURCES_MAX) {
            let mut source = Source::resume(kept, seed);
            source.clock = clocks.remove(&name).unwrap_or_default();
            if !same {
                source.relearn();
            }
            health.room = health.room.saturating_sub(source.fields());
            health.sources.insert(name, source);
        }
        Ok(health)
    }
}

/// Times of their own of events from a row on, evenly spread ones of many: each as it was written,
/// and when the event was received.
fn written_times(batch: &Batch, start: usize) -> Vec<(Micros, Micros)> {
    let received = batch.received_times();
    let step = (batch.rows() - start).div_ceil(BATCH_EVENTS_MAX).max(1);
    let rows = (start..batch.rows()).step_by(step);
    let times = rows.map(|row| (written_time(batch, row), received[row]));
    times.filter(|(written, received)| is_own_time(*written, *received)).collect()
}

/// Cuts a name that somebody else chose.
fn cut(name: &str, max: usize) -> &str {
    &name[..name.floor_char_boundary(max.min(name.len()))]
}

/// Whether something that was first seen at `born` is familiar after `events`; 0 is the time of
/// learning.
fn is_old(born: u64, events: u64) -> bool {
    born == 0 || born + AGE <= events
}

/// At least nine of ten.
fn is_most(part: u32, whole: u32) -> bool {
    u64::from(part) * 10 >= u64::from(whole) * 9
}

/// A share between 0 and 1; 0 of nothing.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
