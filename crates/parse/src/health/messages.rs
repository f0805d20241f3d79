//! The texts that the programs of a source print, by their templates.
//!
//! A template is a **new kind** of message when the source is known well: after [`LEARNT`]
//! messages, while the last [`SETTLED_WINDOWS`] windows brought at most [`SETTLED`] new templates
//! together. It is looked at when its window ends, so that one that was only the first of a form,
//! and merged into an older one meanwhile, is none. One with fewer words than variable parts is a
//! row of values and no text that somebody wrote; it is none either.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use super::{WINDOW, cut};
use crate::templates::{Kept as KeptTemplate, Limits, Miner, Part, Slot, Template, TemplateId};

/// Messages after which the templates of a source are known.
const LEARNT: u64 = 2_000;
/// Windows that say whether new templates have become few.
const SETTLED_WINDOWS: usize = 10;
/// New templates in these windows, at most.
const SETTLED: usize = 5;
/// New kinds that are remembered, the newest.
pub(super) const NEW_KINDS_MAX: usize = 50;
/// Templates of a source.
pub(super) const TEMPLATES_MAX: usize = 1_000;
/// Memory of the templates of a source, in bytes.
const BYTES_MAX: usize = 1 << 20;
/// Forms of a source that are found at once: 64 KiB.
const CACHE_SETS: usize = 1 << 10;
/// Ids that are remembered as known, also of templates that are no more.
const KNOWN_MAX: usize = 10_000;
/// New templates of a window that are looked at.
const FRESH_MAX: usize = 64;
/// Longest example and template, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 300;
/// Longest message that is looked at, in bytes.
const MESSAGE_BYTES_MAX: usize = 1_000;

/// A kind of message that its source did not have before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKind {
    /// Id of its template.
    pub template: u64,
    /// The template: `Failed password for <user> from <ip>`.
    pub text: String,
    /// The first message.
    pub example: String,
    /// Its event.
    pub event_id: i64,
    /// When that happened, in microseconds since the epoch.
    pub time: i64,
}

/// A template that is not known yet.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Fresh {
    template: u64,
    event_id: i64,
    time: i64,
}

/// The messages of a source.
#[derive(Debug, Clone)]
pub(super) struct Messages {
    miner: Miner,
    known: HashSet<u64>,
    /// Templates of records that nobody understood, with their number.
    pub(super) errors: BTreeMap<u64, u64>,
    total: u64,
    window: u32,
    fresh: Vec<Fresh>,
    /// New templates of the last windows.
    rates: VecDeque<usize>,
    pub(super) kinds: VecDeque<NewKind>,
    slots: Vec<Slot>,
}

/// What is written down.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    templates: Vec<KeptTemplate>,
    known: Vec<u64>,
    errors: BTreeMap<u64, u64>,
    total: u64,
    window: u32,
    fresh: Vec<Fresh>,
    rates: VecDeque<usize>,
    kinds: VecDeque<NewKind>,
}

fn limits(seed: u64) -> Limits {
    Limits {
        templates_max: TEMPLATES_MAX,
        bytes_max: BYTES_MAX,
        merges_max: TEMPLATES_MAX,
        cache_sets: CACHE_SETS,
        seed,
    }
}

impl Messages {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            miner: Miner::new(limits(seed)),
            known: HashSet::new(),
            errors: BTreeMap::new(),
            total: 0,
            window: 0,
            fresh: Vec::new(),
            rates: VecDeque::new(),
            kinds: VecDeque::new(),
            slots: Vec::new(),
        }
    }

    pub(super) fn keep(&self) -> Kept {
        let mut known: Vec<u64> = self.known.iter().copied().collect();
        known.sort_unstable();
        Kept {
            templates: self.miner.keep(),
            known,
            errors: self.errors.clone(),
            total: self.total,
            window: self.window,
            fresh: self.fresh.clone(),
            rates: self.rates.clone(),
            kinds: self.kinds.clone(),
        }
    }

    pub(super) fn resume(kept: Kept, seed: u64) -> Self {
        Self {
            miner: Miner::resume(limits(seed), &kept.templates),
            known: kept.known.into_iter().take(KNOWN_MAX).collect(),
            errors: kept.errors,
            total: kept.total,
            window: kept.window,
            fresh: kept.fresh,
            rates: kept.rates,
            kinds: kept.kinds,
            slots: Vec::new(),
        }
    }

    /// Learns a message. Gives its template; `None` when there is no room for one of its own.
    pub(super) fn learn(
        &mut self,
        message: &str,
        understood: bool,
        event_id: i64,
        time: i64,
    ) -> Option<u64> {
        let id = self.miner.learn(cut(message, MESSAGE_BYTES_MAX), &mut self.slots);
        let own = (id != self.miner.catch_all()).then_some(id.0);
        if let Some(template) = own.filter(|template| !self.known.contains(template))
            && self.fresh.len() < FRESH_MAX
            && !self.fresh.iter().any(|fresh| fresh.template == template)
        {
            self.fresh.push(Fresh { template, event_id, time });
        }
        if !understood && (self.errors.len() < TEMPLATES_MAX || self.errors.contains_key(&id.0)) {
            *self.errors.entry(id.0).or_default() += 1;
        }
        self.total += 1;
        self.window += 1;
        if self.window >= WINDOW {
            self.close();
        }
        own
    }

    /// True when new templates have become few.
    pub(super) fn is_settled(&self) -> bool {
        self.total >= LEARNT
            && self.rates.len() >= SETTLED_WINDOWS
            && self.rates.iter().sum::<usize>() <= SETTLED
    }

    fn close(&mut self) {
        self.window = 0;
        let settled = self.is_settled();
        let fresh = std::mem::take(&mut self.fresh);
        let is_own = |fresh: &&Fresh| {
            let id = TemplateId(fresh.template);
            self.miner.template(id).is_some_and(|template| template.id() == id)
        };
        let own: Vec<Fresh> = fresh.iter().filter(is_own).copied().collect();
        for fresh in &own {
            if self.known.len() < KNOWN_MAX {
                self.known.insert(fresh.template);
            }
            if settled {
                self.kinds.extend(self.kind(fresh));
            }
        }
        let too_many = self.kinds.len().saturating_sub(NEW_KINDS_MAX);
        self.kinds.drain(..too_many);
        self.rates.push_back(own.len());
        if self.rates.len() > SETTLED_WINDOWS {
            self.rates.pop_front();
        }
        if self.miner.counts().templates >= TEMPLATES_MAX {
            self.make_room();
        }
    }

    fn kind(&self, fresh: &Fresh) -> Option<NewKind> {
        let template = self.miner.template(TemplateId(fresh.template))?;
        if !is_text(template) {
            return None;
        }
        Some(NewKind {
            template: fresh.template,
            text: cut(&template.typed(), TEXT_BYTES_MAX).to_string(),
            example: cut(template.first(), TEXT_BYTES_MAX).to_string(),
            event_id: fresh.event_id,
            time: fresh.time,
        })
    }

    /// Forgets the rarer half of the templates; those that come again are no new kinds.
    fn make_room(&mut self) {
        let mut counts: Vec<(u64, u64)> =
            self.miner.templates().map(|template| (template.count(), template.id().0)).collect();
        counts.sort_unstable();
        let rare: HashSet<u64> = counts.iter().take(counts.len() / 2).map(|(_, id)| *id).collect();
        let kept = self.miner.keep();
        let common: Vec<KeptTemplate> =
            kept.into_iter().filter(|kept| !rare.contains(&kept.id())).collect();
        self.miner = Miner::resume(self.miner.limits(), &common);
        self.errors.retain(|id, _| !rare.contains(id));
        self.rates.clear();
    }

    /// Text and example of a template.
    pub(super) fn text(&self, template: u64) -> Option<(String, String)> {
        let template = self.miner.template(TemplateId(template))?;
        let example = if template.last().is_empty() { template.first() } else { template.last() };
        let text = cut(&template.text(), TEXT_BYTES_MAX).to_string();
        Some((text, cut(example, TEXT_BYTES_MAX).to_string()))
    }

    /// What a template has become through merges.
    pub(super) fn resolve(&self, template: u64) -> u64 {
        self.miner.resolve(TemplateId(template)).0
    }
}

/// Whether a template has at least as many words as variable parts.
fn is_text(template: Template<'_>) -> bool {
    let (mut words, mut slots) = (0, 0);
    for part in template.parts() {
        match part {
            Part::Text(text) => {
                let pieces = text.split(|c: char| !c.is_alphabetic());
                words += pieces.filter(|piece| piece.len() > 1).count();
            }
            Part::Slot(_) => slots += 1,
        }
    }
    words >= slots
}
