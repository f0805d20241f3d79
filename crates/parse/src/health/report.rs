//! What is known about a source, for a person.

use super::group::{Group, Rank};
use super::messages::NewKind;
use super::source::Source;
use super::stream::{Broken, Field, FieldKind, Stream};
use super::{Break, WINDOW, share};
use crate::clean::Estimate;

/// Templates of records that nobody understood which a report lists.
const ERRORS_MAX: usize = 20;
/// Streams that a report lists, those with the most events.
const STREAMS_MAX: usize = 50;

/// How a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It looks as it did.
    Healthy,
    /// Something is not as it was.
    Broken,
    /// Too little came to say.
    Learning,
}

impl State {
    /// The lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            State::Healthy => "healthy",
            State::Broken => "broken",
            State::Learning => "learning",
        }
    }

    fn of(is_broken: bool, is_learnt: bool) -> Self {
        match (is_broken, is_learnt) {
            (true, _) => State::Broken,
            (false, true) => State::Healthy,
            (false, false) => State::Learning,
        }
    }
}

/// A source in short.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// How it is.
    pub state: State,
    /// Share of its records of late that were understood, between 0 and 1.
    pub understood: f64,
}

/// All that is known about a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How it is.
    pub state: State,
    /// Events in all.
    pub events: u64,
    /// Events beyond the streams that are told apart.
    pub beyond: u64,
    /// Event time of the newest, in microseconds since the epoch.
    pub last_event: i64,
    /// Share of its records of late that were understood, between 0 and 1.
    pub understood: f64,
    /// Who reads its records, those with the most first.
    pub readers: Vec<ReaderReport>,
    /// What was odd about its records of late, by kind: the share that had it, the most first.
    pub issues: Vec<(String, f64)>,
    /// Its streams, those with the most events first.
    pub streams: Vec<StreamReport>,
    /// Records that nobody understood, by template, the most first.
    pub errors: Vec<ErrorReport>,
    /// New kinds of messages, the newest first.
    pub new_kinds: Vec<NewKind>,
    /// True when the source is known well enough to tell new kinds.
    pub settled: bool,
    /// What is not as it was.
    pub breaks: Vec<Break>,
    /// What its clock is probably wrong by, by the times that were written; `None` while too little
    /// came to say.
    pub clock: Option<Estimate>,
}

/// Who reads records.
#[derive(Debug, Clone, PartialEq)]
pub struct ReaderReport {
    /// The pack (`vendor/product`) or the format; empty for nobody.
    pub name: String,
    /// True for a pack.
    pub pack: bool,
    /// Share of the records of late, between 0 and 1.
    pub share: f64,
}

/// The events of one program, reader and kind.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamReport {
    /// The program, if its envelope names one.
    pub program: String,
    /// The pack or format.
    pub reader: String,
    /// True for a pack.
    pub pack: bool,
    /// `event.code` or `event.action`, if they have one.
    pub kind: String,
    /// How it is.
    pub state: State,
    /// Events in all.
    pub events: u64,
    /// Its fields, those with the most events first.
    pub fields: Vec<FieldReport>,
}

/// A field of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldReport {
    /// Its name.
    pub name: String,
    /// The kind that most of its values have.
    pub kind: FieldKind,
    /// Share of the events that usually have it, between 0 and 1.
    pub share: f64,
    /// Share of the events of the last window that had it.
    pub newest: f64,
    /// True when it was usual, and no event has it now.
    pub vanished: bool,
    /// The kind of its values now, where that is another.
    pub changed_to: Option<FieldKind>,
}

/// Records that nobody understood and that look alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReport {
    /// Their template, with `<*>` for what varies.
    pub text: String,
    /// One of them.
    pub example: String,
    /// How many.
    pub count: u64,
}

impl Source {
    pub(super) fn summary(&self) -> Summary {
        let known = &self.kept;
        let is_broken = known.whole.broken.is_some()
            || known.broken_groups().next().is_some()
            || known.broken_streams().next().is_some();
        let is_learnt = known.whole.is_learnt();
        let state = State::of(is_broken, is_learnt);
        Summary { state, understood: 1.0 - self.not_understood() }
    }

    fn not_understood(&self) -> f64 {
        let readers = &self.kept.whole.readers;
        let count = |none: bool| {
            let of = readers.iter().filter(|reader| !none || reader.rank == Rank::None);
            of.map(|reader| reader.count).sum::<u64>()
        };
        share(count(true), count(false))
    }

    pub(super) fn report(&self, name: &str) -> Report {
        let known = &self.kept;
        let Summary { state, understood } = self.summary();
        let issues = known.issues.iter();
        let mut issues: Vec<(String, f64)> =
            issues.map(|(name, count)| (name.clone(), share(*count, known.recent))).collect();
        issues.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut streams: Vec<&Stream> = known.streams.iter().collect();
        streams.sort_by_key(|stream| std::cmp::Reverse(stream.events));
        let streams = streams.into_iter().take(STREAMS_MAX);
        Report {
            state,
            events: known.events,
            beyond: known.beyond,
            last_event: known.last_event,
            understood,
            readers: readers(&known.groups),
            issues,
            streams: streams.map(stream_report).collect(),
            errors: self.errors(),
            new_kinds: self.new_kinds(),
            settled: self.messages.is_settled(),
            breaks: self.breaks(name),
            clock: self.clock.estimate(),
        }
    }

    fn errors(&self) -> Vec<ErrorReport> {
        let mut counts = std::collections::BTreeMap::<u64, u64>::new();
        for (template, count) in &self.messages.errors {
            *counts.entry(self.messages.resolve(*template)).or_default() += count;
        }
        let mut counts: Vec<(u64, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let report = |(template, count)| {
            let (text, example) = self.messages.text(template)?;
            Some(ErrorReport { text, example, count })
        };
        counts.into_iter().filter_map(report).take(ERRORS_MAX).collect()
    }

    /// New kinds that are still of their own.
    fn new_kinds(&self) -> Vec<NewKind> {
        let kinds = self.messages.kinds.iter().rev();
        let is_own = |kind: &&NewKind| self.messages.resolve(kind.template) == kind.template;
        kinds.filter(is_own).cloned().collect()
    }
}

fn readers(groups: &[Group]) -> Vec<ReaderReport> {
    let mut counts = std::collections::BTreeMap::<(&str, Rank), u64>::new();
    for reader in groups.iter().flat_map(|group| &group.readers) {
        *counts.entry((&reader.name, reader.rank)).or_default() += reader.count;
    }
    let all = counts.values().sum();
    let report = |((name, rank), count): ((&str, Rank), u64)| ReaderReport {
        name: name.to_string(),
        pack: rank == Rank::Pack,
        share: share(count, all),
    };
    let mut readers: Vec<ReaderReport> = counts.into_iter().map(report).collect();
    readers.sort_by(|a, b| b.share.total_cmp(&a.share));
    readers
}

fn stream_report(stream: &Stream) -> StreamReport {
    let is_learnt = stream.is_learnt();
    let report = |field: &Field| match is_learnt {
        true => field_report(field, field.known(), stream.total),
        false => field_report(field, field.seen(), stream.seen()),
    };
    let mut fields: Vec<FieldReport> = stream.fields.iter().map(report).collect();
    fields.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.name.cmp(&b.name)));
    StreamReport {
        program: stream.program.clone(),
        reader: stream.reader.clone(),
        pack: stream.rank == Rank::Pack,
        kind: stream.kind.clone(),
        state: State::of(stream.broken().next().is_some(), is_learnt),
        events: stream.events,
        fields,
    }
}

fn field_report(field: &Field, events: u32, total: u32) -> FieldReport {
    FieldReport {
        name: field.name.clone(),
        kind: field.kind(),
        share: share(events.into(), total.into()),
        newest: share(field.newest.into(), WINDOW.into()),
        vanished: field.broken == Some(Broken::Vanished),
        changed_to: match field.broken {
            Some(Broken::Type(kind)) => Some(kind),
            _ => None,
        },
    }
}
