//! Which packs are asked about a record. There are hundreds for JSON and for lines of text; names
//! and texts that a pack cannot do without say at once which few of them come into question.

use std::borrow::Cow;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use hashbrown::HashMap;
use pugmark_event::fields;

use super::pattern::{self, About};
use super::{Applies, Pack, SOURCES, Subject};
use crate::found::Found;
use crate::path::Path;

/// Shorter lists are gone through.
const INDEXED_MIN: usize = 8;
/// Bytes of a text that are looked for; more make the automaton large and dismiss few more.
const TEXT_BYTES_MAX: usize = 12;

/// A pack, and one of its entries of `applies`.
pub(super) type Entry = (usize, usize);

/// Packs for one format or one program, the surest first.
#[derive(Debug, Default)]
pub(super) struct List {
    entries: Vec<Entry>,
    index: OnceLock<Index>,
}

/// What entries need: each is noted under one name, else under texts, else under names of sources,
/// else under nothing.
#[derive(Debug)]
struct Index {
    by_name: HashMap<String, Vec<usize>>,
    /// What the message may hold.
    by_text: Texts,
    /// What the source or the program may be called. What shippers say of it is among the names.
    by_source: Texts,
    always: Vec<usize>,
}

/// Texts, and the entry that each of them is for.
#[derive(Debug, Default)]
struct Texts {
    texts: Vec<String>,
    entries: Vec<usize>,
    automaton: Option<AhoCorasick>,
}

impl Texts {
    fn add(&mut self, texts: &[String], entry: usize) {
        self.texts.extend(texts.iter().map(|text| cut(text).to_string()));
        self.entries.extend(std::iter::repeat_n(entry, texts.len()));
    }

    /// Gets ready to look for them. Only sizes beyond all bounds fail; then all entries are given
    /// back.
    fn finish(&mut self) -> Vec<usize> {
        if self.texts.is_empty() {
            return Vec::new();
        }
        self.automaton = AhoCorasick::new(std::mem::take(&mut self.texts)).ok();
        if self.automaton.is_none() { self.entries.clone() } else { Vec::new() }
    }

    /// The entries of those that stand in `text`.
    fn held(&self, text: &str) -> impl Iterator<Item = usize> {
        let found = self.automaton.iter().flat_map(move |texts| texts.find_overlapping_iter(text));
        found.map(|at| self.entries[at.pattern().as_usize()])
    }
}

impl List {
    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// All of them.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Puts the first `own` packs before the others, and the surest first in both.
    pub(super) fn sort(&mut self, packs: &[Pack], own: usize) {
        let weight = |(p, a): &Entry| packs[*p].applies[*a].weight();
        self.entries.sort_by_key(|entry| (entry.0 >= own, std::cmp::Reverse(weight(entry))));
    }

    /// Those that may apply; whether one does is still to be asked.
    pub(super) fn candidates(
        &self,
        packs: &[Pack],
        subject: &Subject<'_>,
        found: &Found<'_>,
    ) -> Cow<'_, [Entry]> {
        if self.entries.len() < INDEXED_MIN {
            return Cow::Borrowed(&self.entries);
        }
        let index = self.index.get_or_init(|| Index::of(&self.entries, packs));
        let places = index.places(subject, found);
        Cow::Owned(places.into_iter().map(|at| self.entries[at]).collect())
    }
}

impl Index {
    fn of(entries: &[Entry], packs: &[Pack]) -> Self {
        let needs: Vec<Need> =
            entries.iter().map(|(p, a)| Need::of(&packs[*p], &packs[*p].applies[*a])).collect();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for name in needs.iter().flat_map(|need| &need.names) {
            *counts.entry(name).or_default() += 1;
        }
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        let (mut by_text, mut by_source) = (Texts::default(), Texts::default());
        let mut always = Vec::new();
        for (at, need) in needs.iter().enumerate() {
            // The rarest name dismisses most records.
            let rarest = need.names.iter().min_by_key(|name| counts[name.as_str()]);
            match rarest {
                Some(name) => by_name.entry(name.clone()).or_default().push(at),
                None if !need.texts.is_empty() => by_text.add(&need.texts, at),
                None if !need.sources.is_empty() => {
                    by_source.add(&need.sources, at);
                    SOURCES.iter().for_each(|name| by_name.entry_ref(*name).or_default().push(at));
                }
                None => always.push(at),
            }
        }
        always.append(&mut by_text.finish());
        always.append(&mut by_source.finish());
        Self { by_name, by_text, by_source, always }
    }

    fn places(&self, subject: &Subject<'_>, found: &Found<'_>) -> Vec<usize> {
        let mut places = Vec::with_capacity(self.always.len() + 8);
        places.extend(&self.always);
        if !self.by_name.is_empty() {
            let named = found.pairs.iter().filter_map(|pair| self.by_name.get(&*pair.name));
            places.extend(named.flatten());
        }
        places.extend(self.by_text.held(subject.message));
        let program = found.program.as_deref().unwrap_or_default();
        places.extend([subject.source, program].iter().flat_map(|name| self.by_source.held(name)));
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// What must be there for an entry to apply.
struct Need {
    /// Native names, all of them.
    names: Vec<String>,
    /// Texts in the message, one of them.
    texts: Vec<String>,
    /// Parts of the name of the source, of the program or of what shippers say of them.
    sources: Vec<String>,
}

impl Need {
    fn of(pack: &Pack, applies: &Applies) -> Self {
        // What the format itself may know is no pair.
        let is_native = |name: &&String| fields::by_ecs_name(name).is_none();
        let named = applies.has.iter().chain(applies.is.keys().filter(is_native));
        let names = named.map(|name| Path::of(name).map_or(name.clone(), |path| path.array));
        let texts = match applies.contains.is_empty() {
            false => applies.contains.texts.clone(),
            true if applies.pattern => pack.texts().unwrap_or_default(),
            true => Vec::new(),
        };
        Self { names: names.collect(), texts, sources: applies.source.clone() }
    }
}

impl Pack {
    /// Texts of which the message holds one if a pattern matches it; `None` if it may hold none.
    fn texts(&self) -> Option<Vec<String>> {
        if !self.columns.is_empty() {
            return None;
        }
        let mut all = Vec::new();
        for forms in self.forms.iter().filter(|forms| forms.about.is_whole()) {
            // Of the record more is looked at than of the message.
            (forms.about == About::Message).then_some(())?;
            for pattern in forms.patterns() {
                let texts = pattern::required(pattern.text());
                (!texts.is_empty()).then(|| all.extend(texts))?;
            }
        }
        Some(all)
    }
}

fn cut(text: &str) -> &str {
    super::cut(text, TEXT_BYTES_MAX)
}
