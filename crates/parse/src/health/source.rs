//! One source: its groups, its streams, its messages.

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StringArray};
use hashbrown::{DefaultHashBuilder, HashMap};
use pugmark_event::Batch;
use pugmark_event::fields::{self, FIELDS, FieldId, SYSTEM};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash};

use super::group::{By, Group, Rank, Read};
use super::messages::{self, Messages};
use super::stream::{FieldKind, Stream};
use super::{Break, GROUPS_MAX, NAME_BYTES_MAX, SILENT, STREAMS_MAX, What, cut};
use crate::Readings;
use crate::clean::Skew;
use crate::formats::NOT_UNDERSTOOD;

/// Kinds of issues that are told apart.
const ISSUES_MAX: usize = 100;
/// Events after which counts halve, so that they are about what came of late.
const FADE: u64 = 100_000;

/// The columns of a batch, looked up once.
pub(super) struct Columns<'a> {
    readings: &'a Readings,
    ids: &'a [i64],
    times: &'a [i64],
    module: Option<&'a StringArray>,
    code: Option<&'a StringArray>,
    action: Option<&'a StringArray>,
    issues: Option<&'a StringArray>,
    message: Option<&'a StringArray>,
    fields: Vec<(FieldId, FieldKind, &'a ArrayRef)>,
    /// The attributes tail, and the names in it.
    attributes: Option<(&'a MapArray, &'a StringArray)>,
    /// One letter for each attribute.
    kinds: Option<&'a StringArray>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(batch: &'a Batch, readings: &'a Readings) -> Self {
        let column = |(field, id): (&fields::Field, FieldId)| {
            if SYSTEM.contains(&id) || id == fields::EVENT_MODULE {
                return None;
            }
            let kind = FieldKind::of_column(field.kind)?;
            Some((id, kind, batch.columns().column_by_name(field.column)?))
        };
        let tail = batch.attributes().column();
        let all = FIELDS.iter().zip((0u16..).map(FieldId));
        Self {
            readings,
            ids: batch.ids(),
            times: batch.event_times(),
            module: batch.text(fields::EVENT_MODULE),
            code: batch.text(fields::EVENT_CODE),
            action: batch.text(fields::EVENT_ACTION),
            issues: batch.text(fields::ISSUES),
            message: batch.text(fields::MESSAGE),
            fields: all.filter_map(column).collect(),
            attributes: tail.and_then(|tail| Some((tail, tail.keys().as_string_opt()?))),
            kinds: batch.text(fields::ATTRIBUTE_KINDS),
        }
    }

    /// Names of the attributes of an event, with the kinds of their values but for nulls.
    fn attributes(&self, row: usize) -> impl Iterator<Item = (&'a str, FieldKind)> {
        let letters = value(self.kinds, row).unwrap_or_default().as_bytes();
        let tail = self.attributes.filter(|(map, _)| map.is_valid(row));
        let names = tail.into_iter().flat_map(move |(map, names)| {
            let offsets = map.value_offsets();
            (offsets[row] as usize..offsets[row + 1] as usize).map(|at| names.value(at))
        });
        let kinds = letters.iter().copied().chain(std::iter::repeat(b's'));
        names.zip(kinds).filter_map(|(name, letter)| Some((name, FieldKind::of_letter(letter)?)))
    }

    fn issues(&self, row: usize) -> impl Iterator<Item = &'a str> {
        let text = value(self.issues, row).unwrap_or_default();
        text.split(',').filter(|issue| !issue.is_empty())
    }
}

fn value(column: Option<&StringArray>, row: usize) -> Option<&str> {
    column.filter(|column| column.is_valid(row)).map(|column| column.value(row))
}

/// What is known about one source.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) kept: Known,
    pub(super) messages: Messages,
    pub(super) clock: Skew,
    hasher: DefaultHashBuilder,
    groups: HashMap<u64, usize>,
    streams: HashMap<u64, usize>,
}

/// The part that is written down as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Known {
    /// All records, whoever wrote them.
    pub(super) whole: Group,
    pub(super) groups: Vec<Group>,
    pub(super) streams: Vec<Stream>,
    /// By kind, of late more than of long ago, as the events that they are to be shares of.
    pub(super) issues: BTreeMap<String, u64>,
    pub(super) recent: u64,
    /// Events in all.
    pub(super) events: u64,
    /// Of these, events of groups or streams beyond those that are told apart.
    pub(super) beyond: u64,
    pub(super) last_event: i64,
}

impl Known {
    /// Groups that are broken, and not silent since.
    pub(super) fn broken_groups(&self) -> impl Iterator<Item = &Group> {
        let speaks = |group: &&Group| group.last + SILENT >= self.events;
        self.groups.iter().filter(speaks).filter(|group| group.broken.is_some())
    }

    /// Streams with fields that are broken, and not silent since.
    pub(super) fn broken_streams(&self) -> impl Iterator<Item = &Stream> {
        let speaks = |stream: &&Stream| stream.last + SILENT >= self.events;
        self.streams.iter().filter(speaks).filter(|stream| stream.broken().next().is_some())
    }
}

/// What is written down.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    known: Known,
    messages: messages::Kept,
}

impl Source {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            kept: Known { last_event: i64::MIN, ..Known::default() },
            messages: Messages::new(seed),
            clock: Skew::default(),
            hasher: DefaultHashBuilder::default(),
            groups: HashMap::new(),
            streams: HashMap::new(),
        }
    }

    pub(super) fn keep(&self) -> Kept {
        Kept { known: self.kept.clone(), messages: self.messages.keep() }
    }

    pub(super) fn resume(kept: Kept, seed: u64) -> Self {
        let messages = Messages::resume(kept.messages, seed);
        let mut source = Self { kept: kept.known, messages, ..Self::new(seed) };
        source.kept.streams.iter_mut().for_each(Stream::reindex);
        let Self { kept, hasher, groups, streams, .. } = &mut source;
        for (at, group) in kept.groups.iter().enumerate() {
            groups.insert(hasher.hash_one(group.program.as_str()), at);
        }
        for (at, known) in kept.streams.iter().enumerate() {
            streams.insert(stream_key(hasher, known), at);
        }
        source
    }

    pub(super) fn relearn(&mut self) {
        // Another parser may read another zone.
        self.clock = Skew::default();
        self.kept.whole.relearn();
        self.kept.groups.iter_mut().for_each(Group::relearn);
        self.kept.streams.iter_mut().for_each(Stream::relearn);
    }

    /// True when it is known what its records are like.
    pub(super) fn is_learnt(&self) -> bool {
        self.kept.whole.is_learnt()
    }

    /// Fields that its streams hold.
    pub(super) fn fields(&self) -> usize {
        self.kept.streams.iter().map(|stream| stream.fields.len()).sum()
    }

    /// Looks at an event: at its message, and with room for fields at its shape.
    pub(super) fn event(
        &mut self,
        columns: &Columns<'_>,
        row: usize,
        room: Option<&mut usize>,
        breaks: &mut Vec<Break>,
    ) {
        let (id, time) = (columns.ids[row], columns.times[row]);
        self.kept.events += 1;
        self.kept.recent += 1;
        self.kept.last_event = self.kept.last_event.max(time);
        let (understood, timed) = self.issues(columns, row);
        let message = value(columns.message, row).filter(|message| !message.is_empty());
        let template =
            message.and_then(|message| self.messages.learn(message, understood, id, time));
        let Some(room) = room else { return };
        let module = value(columns.module, row);
        let (name, rank) = match module {
            Some(module) => (module, Rank::Pack),
            None if understood => (columns.readings.format(row), Rank::Format),
            None => ("", Rank::None),
        };
        let (kind, by) = match (value(columns.code, row), value(columns.action, row)) {
            (Some(code), _) => (code, By::Code),
            (None, Some(action)) => (action, By::Action),
            (None, None) => ("", By::Nothing),
        };
        let read = Read { name, rank, by, template };
        let program = cut(columns.readings.program(row), NAME_BYTES_MAX);
        self.readers(&read, program, (id, time), breaks);
        if rank == Rank::None {
            return;
        }
        let key = (program, name, cut(kind, NAME_BYTES_MAX));
        let Some(stream) = self.stream(key, rank, room) else {
            self.kept.beyond += 1;
            return;
        };
        if timed {
            stream.column(fields::EVENT_TIME, FieldKind::Time, room);
        }
        for (field, kind, column) in &columns.fields {
            if column.is_valid(row) {
                stream.column(*field, *kind, room);
            }
        }
        for field in columns.issues(row).filter_map(conflict) {
            stream.column(field, FieldKind::Conflict, room);
        }
        for (name, kind) in columns.attributes(row) {
            stream.attribute(name, kind, room);
        }
        let Some((first, broke)) = stream.end(id, room) else { return };
        let of = |what| stream_break(stream, what, (first, id), time);
        breaks.extend(broke.into_iter().map(of));
    }

    /// Counts the issues of an event: whether it was understood, and whether it has a time.
    fn issues(&mut self, columns: &Columns<'_>, row: usize) -> (bool, bool) {
        let (mut understood, mut timed) = (true, true);
        for issue in columns.issues(row) {
            understood &= issue != NOT_UNDERSTOOD;
            timed &= issue != "time_missing";
            let issue = cut(issue, NAME_BYTES_MAX);
            if let Some(count) = self.kept.issues.get_mut(issue) {
                *count += 1;
            } else if self.kept.issues.len() < ISSUES_MAX {
                self.kept.issues.insert(issue.to_string(), 1);
            }
        }
        if self.kept.recent >= FADE {
            self.fade();
        }
        (understood, timed)
    }

    fn fade(&mut self) {
        self.kept.recent /= 2;
        self.kept.issues.values_mut().for_each(|count| *count /= 2);
        self.kept.issues.retain(|_, count| *count > 0);
        self.kept.whole.fade();
        self.kept.groups.iter_mut().for_each(Group::fade);
    }

    /// Counts who read a record, for its program and for the source.
    fn readers(
        &mut self,
        read: &Read<'_>,
        program: &str,
        (id, time): (i64, i64),
        breaks: &mut Vec<Break>,
    ) {
        let is_said = self.kept.whole.broken.is_some();
        let broke = self.group(program).and_then(|group| group.note(read, id));
        // What is said of the whole source need not be said of one program.
        let broke = broke.filter(|(_, what)| !(is_said && matches!(what, What::Understood { .. })));
        breaks.extend(broke.map(|(first, what)| of_program(program, what, (first, id), time)));
        // Over the whole source only whether somebody reads a record counts: programs come and go.
        let rank = read.rank.min(Rank::Format);
        let read = Read { name: "", rank, by: By::Nothing, template: read.template };
        let broke = self.kept.whole.note(&read, id);
        // And what one program explains is said of that program.
        let broke = broke.filter(|_| self.kept.broken_groups().next().is_none());
        breaks.extend(broke.map(|(first, what)| of_program("", what, (first, id), time)));
    }

    fn group(&mut self, program: &str) -> Option<&mut Group> {
        let key = self.hasher.hash_one(program);
        let at = match self.groups.get(&key) {
            Some(at) => *at,
            None => {
                let silent = |group: &Group| silent(group.is_learnt(), group.last, &self.kept);
                let at = match self.kept.groups.len() {
                    len if len < GROUPS_MAX => len,
                    _ => self.kept.groups.iter().position(silent)?,
                };
                if let Some(old) = self.kept.groups.get_mut(at) {
                    self.groups.remove(&self.hasher.hash_one(old.program.as_str()));
                    *old = Group::new(program);
                } else {
                    self.kept.groups.push(Group::new(program));
                }
                self.groups.insert(key, at);
                at
            }
        };
        let group = self.kept.groups.get_mut(at)?;
        group.last = self.kept.events;
        Some(group)
    }

    fn stream(
        &mut self,
        (program, reader, kind): (&str, &str, &str),
        rank: Rank,
        room: &mut usize,
    ) -> Option<&mut Stream> {
        let key = hash(&self.hasher, (program, reader, rank == Rank::Pack, kind));
        let at = match self.streams.get(&key) {
            Some(at) => *at,
            None => {
                let silent = |stream: &Stream| silent(stream.is_learnt(), stream.last, &self.kept);
                let at = match self.kept.streams.len() {
                    len if len < STREAMS_MAX => len,
                    _ => self.kept.streams.iter().position(silent)?,
                };
                let new = Stream::new(program, reader, rank, kind);
                if let Some(old) = self.kept.streams.get_mut(at) {
                    self.streams.remove(&stream_key(&self.hasher, old));
                    *room += old.fields.len();
                    *old = new;
                } else {
                    self.kept.streams.push(new);
                }
                self.streams.insert(key, at);
                at
            }
        };
        let stream = self.kept.streams.get_mut(at)?;
        stream.last = self.kept.events;
        Some(stream)
    }

    /// The breaks that stand.
    pub(super) fn breaks(&self, name: &str) -> Vec<Break> {
        let known = &self.kept;
        let time = known.last_event;
        let of_group = |group: &Group| {
            let what = group.broken.clone()?;
            Some(of_program(&group.program, what, group.broken_events, time))
        };
        let mut breaks: Vec<Break> = known.broken_groups().filter_map(of_group).collect();
        if breaks.is_empty() {
            breaks.extend(of_group(&known.whole));
        }
        for stream in known.broken_streams() {
            let of = |what| stream_break(stream, what, stream.broken_events, time);
            breaks.extend(stream.broken().map(of));
        }
        breaks.iter_mut().for_each(|each| each.source = name.to_string());
        breaks
    }
}

/// Whether a group or a stream may give way.
fn silent(is_learnt: bool, last: u64, known: &Known) -> bool {
    !is_learnt && last + SILENT < known.events
}

fn hash(hasher: &DefaultHashBuilder, key: impl Hash) -> u64 {
    hasher.hash_one(key)
}

fn stream_key(hasher: &DefaultHashBuilder, stream: &Stream) -> u64 {
    let Stream { program, reader, kind, rank, .. } = stream;
    hash(hasher, (program.as_str(), reader.as_str(), *rank == Rank::Pack, kind.as_str()))
}

/// The field of `type:source.port`.
fn conflict(issue: &str) -> Option<FieldId> {
    fields::by_ecs_name(issue.strip_prefix("type:")?)
}

fn of_program(program: &str, what: What, events: (i64, i64), time: i64) -> Break {
    Break {
        source: String::new(),
        program: program.to_string(),
        reader: String::new(),
        kind: String::new(),
        what,
        events,
        time,
    }
}

fn stream_break(stream: &Stream, what: What, events: (i64, i64), time: i64) -> Break {
    Break {
        reader: stream.reader.clone(),
        kind: stream.kind.clone(),
        ..of_program(&stream.program, what, events, time)
    }
}
