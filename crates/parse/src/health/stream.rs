//! The events of one program, reader and code: which fields they have, of which kind.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use pugmark_event::fields::{FIELDS, FieldId, Kind};
use serde::{Deserialize, Serialize};

use super::group::Rank;
use super::{FIELDS_MAX, LASTING, LEARN, REFERENCE_MAX, WINDOW, What, is_most, is_old, share};
use crate::templates::stable;

/// Sets of fields that are remembered; in a stream with more, none is familiar.
const SHAPES_MAX: usize = 128;

/// What values of a field look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FieldKind {
    /// Text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// An array or an object that stayed whole.
    Json,
    /// An address.
    Ip,
    /// A time.
    Time,
    /// A value that does not fit the field's column and is an attribute instead.
    Conflict,
}

impl FieldKind {
    const ALL: [FieldKind; 7] = [
        FieldKind::Text,
        FieldKind::Number,
        FieldKind::Boolean,
        FieldKind::Json,
        FieldKind::Ip,
        FieldKind::Time,
        FieldKind::Conflict,
    ];

    /// The lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            FieldKind::Text => "text",
            FieldKind::Number => "number",
            FieldKind::Boolean => "boolean",
            FieldKind::Json => "json",
            FieldKind::Ip => "ip",
            FieldKind::Time => "time",
            FieldKind::Conflict => "conflict",
        }
    }

    /// What the column of a field holds; raw bytes are no field.
    pub(super) fn of_column(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Text => Some(FieldKind::Text),
            Kind::Long => Some(FieldKind::Number),
            Kind::Ip => Some(FieldKind::Ip),
            Kind::Time => Some(FieldKind::Time),
            Kind::Bytes => None,
        }
    }

    /// What an attribute holds, by its letter (see `event.attribute_kinds`); a null is as good as
    /// no field.
    pub(super) fn of_letter(letter: u8) -> Option<Self> {
        match letter {
            b's' => Some(FieldKind::Text),
            b'n' => Some(FieldKind::Number),
            b'b' => Some(FieldKind::Boolean),
            b'j' => Some(FieldKind::Json),
            _ => None,
        }
    }
}

type Counts = [u32; FieldKind::ALL.len()];

/// What is not as it was with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Broken {
    Vanished,
    Type(FieldKind),
}

/// A field of a stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Field {
    pub(super) name: String,
    /// A hash of the name, the same in every process.
    tag: u64,
    reference: Counts,
    /// Of the window that is added to the reference next.
    pending: Counts,
    window: Counts,
    /// Events of the last whole window that had it.
    pub(super) newest: u32,
    pub(super) broken: Option<Broken>,
}

impl Field {
    /// Events of the reference that had it.
    pub(super) fn known(&self) -> u32 {
        self.reference.iter().sum()
    }

    /// Events of the reference and of what may become part of it.
    pub(super) fn seen(&self) -> u32 {
        self.known() + self.pending.iter().chain(&self.window).sum::<u32>()
    }

    /// The kind that most of its values had.
    pub(super) fn kind(&self) -> FieldKind {
        let counts = [&self.reference, &self.pending, &self.window];
        most(counts.into_iter().find(|counts| counts.iter().any(|n| *n > 0)).unwrap_or(counts[0]))
    }

    /// What a window with this field so says of it.
    fn judge(&self, total: u32) -> Option<Broken> {
        let (known, now, kind) = (self.known(), self.window.iter().sum::<u32>(), self.kind());
        let of_kind = |counts: &Counts| counts[kind as usize];
        if now == 0 {
            return is_most(known, total).then_some(Broken::Vanished);
        }
        let is_sure = known >= LEARN && is_most(of_kind(&self.reference), known);
        let is_other = of_kind(&self.window) == 0 && now * 2 >= WINDOW;
        (is_sure && is_other).then(|| Broken::Type(most(&self.window)))
    }

    /// Whether a window is as it was before the field broke.
    fn is_healed(&self, total: u32) -> bool {
        let (known, now) = (self.known(), self.window.iter().sum::<u32>());
        match self.broken {
            None => true,
            Some(Broken::Vanished) => {
                u64::from(now) * 2 * u64::from(total) >= u64::from(known) * u64::from(WINDOW)
            }
            Some(Broken::Type(_)) => now > 0 && self.window[self.kind() as usize] * 2 >= now,
        }
    }

    fn what(&self, broken: Broken, total: u32) -> What {
        let field = self.name.clone();
        match broken {
            Broken::Vanished => {
                What::Vanished { field, share: share(self.known().into(), total.into()) }
            }
            Broken::Type(to) => What::Type { field, from: self.kind(), to },
        }
    }
}

fn most(counts: &Counts) -> FieldKind {
    let most = FieldKind::ALL.into_iter().max_by_key(|kind| counts[*kind as usize]);
    most.unwrap_or(FieldKind::Text)
}

/// The events of one program, reader and code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stream {
    pub(super) program: String,
    pub(super) reader: String,
    pub(super) rank: Rank,
    pub(super) kind: String,
    pub(super) fields: Vec<Field>,
    /// Events of the reference.
    pub(super) total: u32,
    /// Events of the window that is added to it next.
    pending: u32,
    window: u32,
    first: i64,
    /// First and last event of the window that broke last.
    pub(super) broken_events: (i64, i64),
    broken_windows: u32,
    /// Sets of fields, and when they came.
    shapes: BTreeMap<u64, u64>,
    /// Those that are new in the window.
    fresh: Vec<u64>,
    /// Events of the window whose set of fields is not familiar.
    strange: u32,
    pub(super) events: u64,
    /// Values of fields beyond those that are counted.
    pub(super) beyond: u64,
    pub(super) last: u64,
    /// Places of fields: by name, by column, and in the order of the last event.
    #[serde(skip)]
    index: Index,
}

#[derive(Debug, Clone, Default)]
struct Index {
    names: HashMap<String, u16>,
    columns: Vec<Option<u16>>,
    order: Vec<u16>,
    at: usize,
    shape: u64,
}

impl Stream {
    pub(super) fn new(program: &str, reader: &str, rank: Rank, kind: &str) -> Self {
        Self {
            program: program.to_string(),
            reader: reader.to_string(),
            rank,
            kind: kind.to_string(),
            fields: Vec::new(),
            total: 0,
            pending: 0,
            window: 0,
            first: 0,
            broken_events: (0, 0),
            broken_windows: 0,
            shapes: BTreeMap::new(),
            fresh: Vec::new(),
            strange: 0,
            events: 0,
            beyond: 0,
            last: 0,
            index: Index::default(),
        }
    }

    pub(super) fn is_learnt(&self) -> bool {
        self.total >= LEARN
    }

    /// Notes a field of the open event that has a column.
    pub(super) fn column(&mut self, id: FieldId, kind: FieldKind, room: &mut usize) {
        if self.index.columns.is_empty() {
            self.index.columns = vec![None; FIELDS.len()];
        }
        let place = match self.index.columns[id.0 as usize] {
            Some(place) => place,
            None => {
                let Some(place) = self.place(id.name(), room) else { return };
                self.index.columns[id.0 as usize] = Some(place);
                place
            }
        };
        self.count(place, kind);
    }

    /// Notes an attribute of the open event.
    pub(super) fn attribute(&mut self, name: &str, kind: FieldKind, room: &mut usize) {
        let at = self.index.at;
        self.index.at += 1;
        // Events of one program have their attributes in one order.
        if let Some(place) = self.index.order.get(at)
            && self.fields.get(*place as usize).is_some_and(|field| field.name == name)
        {
            return self.count(*place, kind);
        }
        let Some(place) = self.place(name, room) else { return };
        if let Some(order) = self.index.order.get_mut(at) {
            *order = place;
        } else if at == self.index.order.len() {
            self.index.order.push(place);
        }
        self.count(place, kind);
    }

    fn count(&mut self, place: u16, kind: FieldKind) {
        let field = &mut self.fields[place as usize];
        field.window[kind as usize] += 1;
        let part = field.tag.wrapping_add(kind as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.index.shape = self.index.shape.wrapping_add(part ^ part >> 29);
    }

    fn place(&mut self, name: &str, room: &mut usize) -> Option<u16> {
        if let Some(place) = self.index.names.get(name) {
            return Some(*place);
        }
        if self.fields.len() >= FIELDS_MAX || *room == 0 {
            self.beyond += 1;
            return None;
        }
        *room -= 1;
        let place = self.fields.len() as u16;
        self.fields.push(Field {
            name: name.to_string(),
            tag: stable(name.as_bytes(), 0),
            reference: Counts::default(),
            pending: Counts::default(),
            window: Counts::default(),
            newest: 0,
            broken: None,
        });
        self.index.names.insert(name.to_string(), place);
        Some(place)
    }

    /// Ends an event whose fields were noted. Gives the first event of the window that ends with
    /// it, if one does, and what broke then.
    pub(super) fn end(&mut self, id: i64, room: &mut usize) -> Option<(i64, Vec<What>)> {
        let shape = std::mem::take(&mut self.index.shape);
        self.index.at = 0;
        if self.window == 0 {
            self.first = id;
        }
        self.window += 1;
        self.events += 1;
        let born = self.shapes.get(&shape).copied();
        self.strange += u32::from(!born.is_some_and(|born| is_old(born, self.events)));
        if born.is_none() && self.fresh.last() != Some(&shape) {
            self.fresh.push(shape);
        }
        if self.window < WINDOW {
            return None;
        }
        let broke = self.close(room);
        if broke.is_empty() {
            return None;
        }
        self.broken_events = (self.first, id);
        Some((self.first, broke))
    }

    fn close(&mut self, room: &mut usize) -> Vec<What> {
        let (total, is_learnt) = (self.total, self.is_learnt());
        let is_strange = self.strange * 2 >= WINDOW || self.shapes.len() >= SHAPES_MAX;
        let mut said = Vec::new();
        for field in &mut self.fields {
            if field.is_healed(total) {
                field.broken = None;
            }
            if field.broken.is_none()
                && is_learnt
                && is_strange
                && let Some(broken) = field.judge(total)
            {
                field.broken = Some(broken);
                said.push(field.what(broken, total));
            }
            field.newest = field.window.iter().sum();
        }
        match self.is_broken() {
            true => self.doubt(),
            false => self.broken_windows = 0,
        }
        if self.broken_windows >= LASTING {
            self.relearn();
        }
        if !self.is_broken() {
            self.merge(room);
        }
        self.fields.iter_mut().for_each(|field| field.window = Counts::default());
        self.fresh.clear();
        (self.window, self.strange) = (0, 0);
        said
    }

    fn is_broken(&self) -> bool {
        self.fields.iter().any(|field| field.broken.is_some())
    }

    /// Adds the window before to the reference; this one waits for the next.
    fn merge(&mut self, room: &mut usize) {
        let born = if self.is_learnt() { self.events } else { 0 };
        for shape in self.fresh.drain(..) {
            if self.shapes.len() < SHAPES_MAX {
                self.shapes.entry(shape).or_insert(born);
            }
        }
        self.total += std::mem::replace(&mut self.pending, self.window);
        for field in &mut self.fields {
            let pending = std::mem::replace(&mut field.pending, field.window);
            field.reference.iter_mut().zip(pending).for_each(|(sum, more)| *sum += more);
        }
        if self.total > REFERENCE_MAX {
            self.total /= 2;
            for field in &mut self.fields {
                field.reference.iter_mut().for_each(|count| *count /= 2);
            }
            self.drop_fields(room, 1);
        } else if self.fields.len() >= FIELDS_MAX {
            // Names that came once are no fields: somebody makes them up.
            self.drop_fields(room, 2);
        }
    }

    /// What came shortly before a break may be part of it.
    fn doubt(&mut self) {
        self.broken_windows += 1;
        let events = self.events;
        self.shapes.retain(|_, born| is_old(*born, events));
        self.fields.iter_mut().for_each(|field| field.pending = Counts::default());
        self.pending = 0;
    }

    /// Events of the reference and of what may become part of it.
    pub(super) fn seen(&self) -> u32 {
        self.total + self.pending + self.window
    }

    /// Forgets fields that fewer events have.
    fn drop_fields(&mut self, room: &mut usize, least: u32) {
        let before = self.fields.len();
        self.fields.retain(|field| field.seen() >= least);
        *room += before - self.fields.len();
        if self.fields.len() < before {
            self.reindex();
        }
    }

    /// Finds the places of fields again.
    pub(super) fn reindex(&mut self) {
        let names = self.fields.iter().zip(0u16..);
        let names = names.map(|(field, place)| (field.name.clone(), place)).collect();
        self.index = Index { names, ..Index::default() };
    }

    /// Forgets what was usual.
    pub(super) fn relearn(&mut self) {
        self.shapes.clear();
        (self.total, self.broken_windows) = (0, 0);
        for field in &mut self.fields {
            (field.reference, field.broken) = (Counts::default(), None);
        }
    }

    /// The breaks that stand.
    pub(super) fn broken(&self) -> impl Iterator<Item = What> {
        let fields = self.fields.iter();
        fields.filter_map(|field| field.broken.map(|broken| field.what(broken, self.total)))
    }
}
