//! Which packs are asked about a record. There are hundreds for JSON and for lines of text; names
//! and texts that a pack cannot do without say at once which few of them come into question.

use std::borrow::Cow;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use hashbrown::HashMap;
use pugmark_event::fields;

use super::{Applies, Pack, Subject, pattern};
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

/// What entries need: each is noted under one name, else under texts, else under nothing.
#[derive(Debug)]
struct Index {
    by_name: HashMap<String, Vec<usize>>,
    /// What the message may hold, and the entry that each of them is for.
    texts: Option<AhoCorasick>,
    by_text: Vec<usize>,
    always: Vec<usize>,
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
        let places = index.places(subject.message, found);
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
        let (mut texts, mut by_text, mut always) = (Vec::new(), Vec::new(), Vec::new());
        for (at, need) in needs.iter().enumerate() {
            // The rarest name dismisses most records.
            let rarest = need.names.iter().min_by_key(|name| counts[name.as_str()]);
            match rarest {
                Some(name) => by_name.entry(name.clone()).or_default().push(at),
                None if need.texts.is_empty() => always.push(at),
                None => {
                    by_text.extend(std::iter::repeat_n(at, need.texts.len()));
                    texts.extend(need.texts.iter().map(|text| cut(text)));
                }
            }
        }
        // Only sizes beyond all bounds fail; then the packs are asked.
        let automaton = AhoCorasick::new(&texts).ok().filter(|_| !texts.is_empty());
        if automaton.is_none() {
            always.append(&mut by_text);
            always.sort_unstable();
            always.dedup();
        }
        Self { by_name, texts: automaton, by_text, always }
    }

    fn places(&self, message: &str, found: &Found<'_>) -> Vec<usize> {
        let mut places = self.always.clone();
        if !self.by_name.is_empty() {
            let named = found.pairs.iter().filter_map(|pair| self.by_name.get(&*pair.name));
            places.extend(named.flatten());
        }
        if let Some(texts) = &self.texts {
            let held = texts.find_overlapping_iter(message);
            places.extend(held.map(|at| self.by_text[at.pattern().as_usize()]));
        }
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
}

impl Need {
    fn of(pack: &Pack, applies: &Applies) -> Self {
        // What the format itself may know is no pair.
        let is_native = |name: &&String| fields::by_ecs_name(name).is_none();
        let named = applies.has.iter().chain(applies.is.keys().filter(is_native));
        let names = named.map(|name| Path::of(name).map_or(name.clone(), |path| path.array));
        let texts = match applies.contains.0.is_empty() {
            false => applies.contains.0.clone(),
            true if applies.pattern => pack.texts().unwrap_or_default(),
            true => Vec::new(),
        };
        Self { names: names.collect(), texts }
    }
}

impl Pack {
    /// Texts of which the message holds one if a pattern matches it; `None` if it may hold none.
    fn texts(&self) -> Option<Vec<String>> {
        if !self.columns.is_empty() {
            return None;
        }
        let mut all = Vec::new();
        for forms in self.forms.iter().filter(|forms| forms.is_whole()) {
            // Of the record more is looked at than of the message.
            forms.within.is_none().then_some(())?;
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
