//! The records of one program: who reads them, and whether somebody does.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{FAMILIAR, LASTING, LEARN, REFERENCE_MAX, WINDOW, What, is_most, is_old, share};

/// Readers of a group that are told apart; others are counted as strange.
const READERS_MAX: usize = 16;
/// Templates of records that nobody understood which a group knows as usual.
const TEMPLATES_MAX: usize = 256;

/// How much a reader makes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Rank {
    /// Nobody understood it.
    None,
    /// A format did.
    Format,
    /// A pack did.
    Pack,
}

/// The field by which events of a reader are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum By {
    Nothing,
    Action,
    Code,
}

impl By {
    fn field(self) -> &'static str {
        match self {
            By::Nothing => "",
            By::Action => "event.action",
            By::Code => "event.code",
        }
    }
}

/// Who read a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Read<'a> {
    pub(super) name: &'a str,
    pub(super) rank: Rank,
    pub(super) by: By,
    /// The template of its message, if it is one of its own.
    pub(super) template: Option<u64>,
}

/// A reader of records.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Reader {
    pub(super) name: String,
    pub(super) rank: Rank,
    by: By,
    /// Events in windows that were as usual.
    seen: u64,
    /// Events of the group when it came; 0 while the group was learnt.
    born: u64,
    /// Of the events of the reference.
    reference: u32,
    /// Of the window that is added to it next.
    pending: u32,
    window: u32,
    /// Events, of late more than of long ago.
    pub(super) count: u64,
}

impl Reader {
    fn is_strange(&self, events: u64) -> bool {
        self.rank != Rank::None && (self.seen < FAMILIAR || !is_old(self.born, events))
    }
}

/// The records of one program, or all records of a source.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) program: String,
    pub(super) readers: Vec<Reader>,
    events: u64,
    /// Events of the reference.
    total: u32,
    /// Events of the window that is added to it next.
    pending: u32,
    window: u32,
    /// Templates of records that nobody understood, and when they came.
    templates: BTreeMap<u64, u64>,
    /// Those that are new in the window.
    strange: BTreeSet<u64>,
    /// Events of the window that nobody understood and whose template is not familiar.
    unknown: u32,
    /// Events of the window by readers beyond those that are told apart.
    beyond: u32,
    first: i64,
    pub(super) broken: Option<What>,
    /// First and last event of the window that broke.
    pub(super) broken_events: (i64, i64),
    broken_windows: u32,
    pub(super) last: u64,
}

impl Group {
    pub(super) fn new(program: &str) -> Self {
        Self { program: program.to_string(), ..Self::default() }
    }

    pub(super) fn is_learnt(&self) -> bool {
        self.total >= LEARN
    }

    /// Counts a record. Gives the first event of the window that ends with it, if one does, and
    /// what broke then.
    pub(super) fn note(&mut self, read: &Read<'_>, id: i64) -> Option<(i64, What)> {
        if self.window == 0 {
            self.first = id;
        }
        self.window += 1;
        self.events += 1;
        if read.rank == Rank::None {
            self.not_understood(read.template);
        }
        match self.reader(read) {
            Some(reader) => {
                reader.window += 1;
                reader.count += 1;
            }
            None => self.beyond += 1,
        }
        if self.window < WINDOW {
            return None;
        }
        let said = self.close();
        if said.is_some() {
            self.broken_events = (self.first, id);
        }
        said.map(|what| (self.first, what))
    }

    fn not_understood(&mut self, template: Option<u64>) {
        let born = template.and_then(|template| self.templates.get(&template).copied());
        if born.is_some_and(|born| is_old(born, self.events)) {
            return;
        }
        self.unknown += 1;
        if born.is_none() {
            self.strange.extend(template);
        }
    }

    fn reader(&mut self, read: &Read<'_>) -> Option<&mut Reader> {
        let is_it = |known: &Reader| {
            known.rank == read.rank && known.by == read.by && known.name == read.name
        };
        if let Some(at) = self.readers.iter().position(is_it) {
            return self.readers.get_mut(at);
        }
        if self.readers.len() >= READERS_MAX {
            return None;
        }
        let (name, rank, by) = (read.name.to_string(), read.rank, read.by);
        let (born, seen, count) = (self.birth(), 0, 0);
        let (reference, pending, window) = (0, 0, 0);
        let reader = Reader { name, rank, by, seen, born, reference, pending, window, count };
        self.readers.push(reader);
        self.readers.last_mut()
    }

    /// What comes now came then.
    fn birth(&self) -> u64 {
        if self.is_learnt() { self.events } else { 0 }
    }

    fn close(&mut self) -> Option<What> {
        let strange = self.strange();
        let said = match self.broken {
            Some(_) => {
                if strange * 10 <= WINDOW {
                    self.broken = None;
                }
                None
            }
            None if self.is_learnt() && strange * 2 >= WINDOW => self.judge(),
            None => None,
        };
        if said.is_some() {
            self.broken.clone_from(&said);
            self.broken_windows = 0;
        }
        if self.broken.is_some() {
            self.broken_windows += 1;
            self.doubt();
        }
        if self.broken_windows >= LASTING {
            self.relearn();
        }
        if self.broken.is_none() {
            self.merge();
        }
        self.readers.iter_mut().for_each(|reader| reader.window = 0);
        (self.window, self.unknown, self.beyond) = (0, 0, 0);
        self.strange.clear();
        said
    }

    /// Events of the window that the reference knows nothing of.
    fn strange(&self) -> u32 {
        let readers = self.readers.iter().filter(|reader| reader.is_strange(self.events));
        readers.map(|reader| reader.window).sum::<u32>() + self.unknown + self.beyond
    }

    fn judge(&self) -> Option<What> {
        if self.unknown * 2 >= WINDOW {
            let from = self.understood(|reader| reader.reference, self.total);
            let to = self.understood(|reader| reader.window, WINDOW);
            return (from >= 0.5 && to * 2.0 <= from).then_some(What::Understood { from, to });
        }
        let from = self.readers.iter().max_by_key(|reader| reader.reference)?;
        let strange = self.readers.iter().filter(|reader| reader.is_strange(self.events));
        let to = strange.max_by_key(|reader| reader.window)?;
        if from.window > 0 || !is_most(from.reference, self.total) || to.rank > from.rank {
            return None;
        }
        if from.name != to.name || from.rank != to.rank {
            return Some(What::Reader { from: from.name.clone(), to: to.name.clone() });
        }
        let share = share(from.reference.into(), self.total.into());
        (to.by < from.by).then(|| What::Vanished { field: from.by.field().into(), share })
    }

    fn understood(&self, count: impl Fn(&Reader) -> u32, total: u32) -> f64 {
        let none = self.readers.iter().filter(|reader| reader.rank == Rank::None).map(count);
        1.0 - share(none.sum::<u32>().into(), total.into())
    }

    /// Adds the window before to the reference; this one waits for the next.
    fn merge(&mut self) {
        let born = self.birth();
        let room = TEMPLATES_MAX.saturating_sub(self.templates.len());
        let strange = std::mem::take(&mut self.strange).into_iter().take(room);
        self.templates.extend(strange.map(|template| (template, born)));
        for reader in &mut self.readers {
            let pending = std::mem::replace(&mut reader.pending, reader.window);
            reader.reference += pending;
            reader.seen += u64::from(pending);
        }
        self.total += std::mem::replace(&mut self.pending, self.window);
        if self.total > REFERENCE_MAX {
            self.total /= 2;
            self.readers.iter_mut().for_each(|reader| reader.reference /= 2);
        }
    }

    /// What came shortly before a break may be part of it.
    fn doubt(&mut self) {
        let events = self.events;
        self.templates.retain(|_, born| is_old(*born, events));
        self.readers.iter_mut().for_each(|reader| reader.pending = 0);
        self.pending = 0;
    }

    /// Lets what was counted long ago weigh less.
    pub(super) fn fade(&mut self) {
        self.readers.iter_mut().for_each(|reader| reader.count /= 2);
    }

    /// Forgets what was usual.
    pub(super) fn relearn(&mut self) {
        self.readers.iter_mut().for_each(|reader| reader.reference = 0);
        (self.total, self.broken, self.broken_windows) = (0, None, 0);
    }
}
