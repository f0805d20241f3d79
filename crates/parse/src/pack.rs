//! Parser packs: what a product means by its records, as data.
//!
//! A pack (`content/parsers/<vendor>/<product>/parser.yaml`) says which records it applies to,
//! which log source they are, how its message is taken apart and which fields its names stand for.
//! It holds no code, so that adding a product is adding a folder. The keys are described in
//! content/parsers/README.md.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hashbrown::HashMap;
use pugmark_event::{FieldId, NameMarks, fields};

use crate::formats::scan_pairs;
use crate::found::{Found, Pair, Val};
use crate::path::Path;
use crate::templates::stable;

mod columns;
mod list;
mod matcher;
mod pattern;
mod text;

use columns::Columns;
use list::List;
use pattern::{About, Forms, Pattern};
pub(crate) use pattern::{Group, is_usable};
pub(crate) use text::Applies;
use text::{ActionText, FieldText, OneOrMore, PackText};

/// What patterns call the whole record.
const RECORD: &str = "event.original";
/// Where Elastic's shippers say what they read; it counts like the name of a source.
const SOURCES: [&str; 4] = ["log.file.path", "fileset.module", "event.module", "event.dataset"];
/// At the end of a value: anything may follow.
const ANY: &str = "*";

/// Room for a key of a table that is made at once.
const KEY_BYTES_GUESS: usize = 96;
/// Room for what patterns take out of a record that is made at once.
const CAPTURES_GUESS: usize = 8;

/// Only so much of a message is matched against patterns, in bytes; the message is kept whole.
const MATCHED_BYTES_MAX: usize = 64 << 10;

/// The text of one pack and where it came from.
#[derive(Debug, Clone)]
pub struct PackSource {
    /// Its path, for messages.
    pub path: String,
    /// Its YAML.
    pub text: String,
}

/// Why a pack cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct PackError {
    /// The pack's path.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Where a value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Field(FieldId),
    Attribute(String),
}

impl Target {
    fn of(name: &str) -> Self {
        match fields::by_ecs_name(name) {
            Some(id) if !fields::SYSTEM.contains(&id) => Target::Field(id),
            _ => Target::Attribute(name.to_string()),
        }
    }
}

pub(crate) type Values = Vec<(Target, String)>;

/// Native names and the fields that they also stand for.
pub(crate) type Alsos = HashMap<String, Also>;

/// The fields that a native name also stands for.
#[derive(Debug)]
pub(crate) struct Also {
    pub(crate) targets: Vec<Target>,
    /// The value as it is. Else only what is listed, translated.
    as_it_is: bool,
    table: HashMap<String, String>,
    /// Beginnings of values, the longest first; the empty one, `*`, is for all others.
    starts: Vec<(String, String)>,
}

impl Also {
    /// The value in the words of the field.
    pub(crate) fn translate<'a>(&'a self, value: &'a Val<'_>) -> Option<Cow<'a, str>> {
        if self.as_it_is {
            return (!matches!(value, Val::Null)).then(|| Cow::Borrowed(value.text()));
        }
        let by_start = || {
            let (_, text) =
                self.starts.iter().find(|(start, _)| value.text().starts_with(start))?;
            Some(text)
        };
        let text = self.table.get(value.text()).or_else(by_start);
        text.map(|text| Cow::Borrowed(text.as_str()))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Action {
    pub(crate) product: String,
    pub(crate) category: String,
    pub(crate) service: String,
    pub(crate) values: Values,
    pub(crate) fields: Alsos,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) keys: Vec<String>,
    /// The places of these names in [`Asked`].
    slots: Vec<usize>,
    pub(crate) rows: HashMap<String, Action>,
}

#[derive(Debug)]
pub(crate) struct Pack {
    /// `vendor/product`.
    pub(crate) name: String,
    pub(crate) product: String,
    pub(crate) category: String,
    pub(crate) service: String,
    pub(crate) applies: Vec<Applies>,
    times: Vec<String>,
    utc: bool,
    pub(crate) values: Values,
    pub(crate) fields: Alsos,
    pub(crate) tables: Vec<Table>,
    pub(crate) pairs_from: Option<String>,
    pub(crate) columns: Vec<Columns>,
    /// Those about the whole message or record first.
    pub(crate) forms: Vec<Forms>,
    /// How many are about the whole.
    wholes: usize,
    asked: Asked,
    /// Paths into arrays that any of these names.
    paths: Vec<Path>,
}

/// The native names whose values a pack asks for: all of them are found in one walk over a record.
#[derive(Debug, Default)]
struct Asked {
    slots: HashMap<String, usize>,
    /// For each slot, the field that a format may know under its name.
    fields: Vec<Option<FieldId>>,
    /// Dismisses most names of a record before they are looked up.
    marks: NameMarks,
}

/// Where the values of the names in [`Asked`] stand among the first `counted` pairs of a record.
struct Places<'p> {
    asked: &'p Asked,
    at: Vec<Option<usize>>,
    counted: usize,
}

impl Asked {
    /// The slot of a name.
    fn slot(&mut self, name: &str) -> usize {
        let next = self.slots.len();
        let slot = *self.slots.entry_ref(name).or_insert(next);
        if slot == next {
            self.marks.note(name);
            self.fields.push(fields::by_ecs_name(name));
        }
        slot
    }

    fn places(&self, found: &Found<'_>) -> Places<'_> {
        let mut at = vec![None; self.slots.len()];
        if !self.slots.is_empty() {
            for (place, pair) in found.pairs.iter().enumerate() {
                if self.marks.may_hold(&pair.name)
                    && let Some(slot) = self.slots.get(&*pair.name)
                    && at[*slot].is_none()
                {
                    at[*slot] = Some(place);
                }
            }
        }
        Places { asked: self, at, counted: found.pairs.len() }
    }
}

impl Places<'_> {
    /// The value of a name, which may also have come later, or from the format.
    #[inline]
    fn value<'f, 'a>(&self, slot: usize, name: &str, found: &'f Found<'a>) -> Option<&'f Val<'a>> {
        if let Some(at) = self.at[slot] {
            return Some(&found.pairs[at].value);
        }
        if (found.pairs.len() > self.counted || !found.inside.is_empty())
            && let Some(value) = self.later(name, found)
        {
            return Some(value);
        }
        let field = self.asked.fields[slot]?;
        found.fields.iter().find(|(id, _)| *id == field).map(|(_, value)| value)
    }

    /// The value of a name that was found since the places were.
    fn later<'f, 'a>(&self, name: &str, found: &'f Found<'a>) -> Option<&'f Val<'a>> {
        let mut later = found.pairs[self.counted..].iter().chain(&found.inside);
        later.find(|pair| pair.is(name)).map(|pair| &pair.value)
    }
}

/// The record that a pack is asked about, beside what its format found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'r> {
    /// The name of its source.
    pub(crate) source: &'r str,
    /// All of it.
    pub(crate) record: &'r str,
    /// Its text without the envelope.
    pub(crate) message: &'r str,
}

/// What a pack says about one record.
#[derive(Debug, Default)]
pub(crate) struct Meaning<'p, 'r> {
    /// The pack's name.
    pub(crate) module: &'p str,
    pub(crate) product: &'p str,
    pub(crate) category: &'p str,
    pub(crate) service: &'p str,
    /// Native names that hold the time where the format found none.
    pub(crate) times: &'p [String],
    /// The time as a pattern found it.
    pub(crate) time: Option<Cow<'r, str>>,
    /// Times without a zone are UTC, as the product has it.
    pub(crate) utc: bool,
    /// Constants of tables and patterns, the most specific first.
    pub(crate) values: Vec<&'p Values>,
    /// Constants of the pack.
    pub(crate) defaults: &'p [(Target, String)],
    /// Native names that also stand for a field.
    pub(crate) fields: Vec<&'p Alsos>,
    /// Taken out of the message.
    pub(crate) captures: Vec<(&'p Target, Cow<'r, str>)>,
    /// A pattern matched, so the record was understood.
    pub(crate) matched: bool,
}

impl<'p, 'r> Meaning<'p, 'r> {
    /// What a group of this name took.
    fn captured(&self, name: &str) -> Option<Cow<'r, str>> {
        let is_named = |target: &Target| match target {
            Target::Field(id) => id.name() == name,
            Target::Attribute(own) => own == name,
        };
        let (_, text) = self.captures.iter().find(|(target, _)| is_named(target))?;
        Some(text.clone())
    }

    fn capture(&mut self, group: &'p Group, text: Cow<'r, str>, found: &mut Found<'r>)
    where
        'p: 'r,
    {
        match group {
            Group::Time => self.time = Some(text),
            Group::Target(target) => self.captures.push((target, text)),
            Group::Native(_) if text.is_empty() => {}
            Group::Native(name) => {
                found.pairs.push(Pair { name: Cow::Borrowed(name), value: Val::Text(text) });
            }
        }
    }
}

/// All packs, found by format and program.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    pub(crate) packs: Vec<Pack>,
    by_program: HashMap<String, List>,
    by_format: HashMap<String, List>,
    /// So many packs at the beginning are the user's own.
    own: usize,
    /// The only pack that is asked, and asked whatever the record looks like.
    forced: Option<usize>,
    /// A hash of their texts.
    pub(crate) fingerprint: u64,
}

impl Packs {
    /// Reads packs; their patterns are compiled when they are first asked.
    pub(crate) fn new(sources: &[PackSource]) -> Result<Self, PackError> {
        Self::with_own(sources, 0)
    }

    /// The same, where the first `own` are asked before the others.
    pub(crate) fn with_own(sources: &[PackSource], own: usize) -> Result<Self, PackError> {
        let mut packs = Packs { own, ..Packs::default() };
        for source in sources {
            let pack = compile(source)
                .map_err(|message| PackError { path: source.path.clone(), message })?;
            packs.packs.push(pack);
            let text = stable(source.text.as_bytes(), 0);
            packs.fingerprint = packs.fingerprint.rotate_left(7) ^ text;
        }
        packs.index();
        Ok(packs)
    }

    /// Compiles all patterns now; `sources` are those that the packs were read from.
    pub(crate) fn check(&self, sources: &[PackSource]) -> Result<(), PackError> {
        self.packs.iter().zip(sources).try_for_each(|(pack, source)| {
            let error = |message| PackError { path: source.path.clone(), message };
            pack.patterns().try_for_each(|pattern| pattern.check().map_err(error))
        })
    }

    /// Asks only the pack of this name from now on; false when there is none.
    pub(crate) fn force(&mut self, name: &str) -> bool {
        self.forced = self.packs.iter().position(|pack| pack.name == name);
        self.forced.is_some()
    }

    fn index(&mut self) {
        for (p, pack) in self.packs.iter().enumerate() {
            for (a, applies) in pack.applies.iter().enumerate() {
                for program in &applies.program {
                    self.by_program.entry(program.clone()).or_default().push((p, a));
                }
                if let (Some(format), true) = (&applies.format, applies.program.is_empty()) {
                    self.by_format.entry(format.clone()).or_default().push((p, a));
                }
            }
        }
        let (programs, formats) = (&mut self.by_program, &mut self.by_format);
        #[allow(clippy::iter_over_hash_type)] // each list is sorted by itself
        let lists = programs.values_mut().chain(formats.values_mut());
        lists.for_each(|list| list.sort(&self.packs, self.own));
    }

    /// What the first pack that applies says. Pairs that it finds in the message are added.
    pub(crate) fn meaning<'p: 'r, 'r>(
        &'p self,
        subject: &Subject<'r>,
        found: &mut Found<'r>,
    ) -> Option<Meaning<'p, 'r>> {
        if let Some(pack) = self.forced {
            self.packs[pack].look_inside(found);
            return self.packs[pack].say(false, subject, found);
        }
        let program = found.program.clone();
        let names = program.as_deref().map(names_of).unwrap_or_default();
        let by_program = names.iter().flatten().filter_map(|name| self.by_program.get(*name));
        by_program.chain(self.by_format.get(found.format)).find_map(|list| {
            let candidates = list.candidates(&self.packs, subject, found);
            candidates.iter().find_map(|(p, a)| self.ask(*p, *a, subject, found))
        })
    }

    /// What the pack says if this entry of `applies` holds.
    fn ask<'p: 'r, 'r>(
        &'p self,
        pack: usize,
        applies: usize,
        subject: &Subject<'r>,
        found: &mut Found<'r>,
    ) -> Option<Meaning<'p, 'r>> {
        let pack = &self.packs[pack];
        let applies = &pack.applies[applies];
        if applies.pattern && !pack.may_match(subject) {
            return None;
        }
        pack.look_inside(found);
        match holds(applies, subject, found) {
            true => pack.say(applies.pattern, subject, found),
            false => None,
        }
    }

    /// True when a pack may have something to say about records of `format` that name no program
    /// and have these names: whether it does may hang on the message and the values.
    pub(crate) fn may_apply(&self, source: &str, format: &str, names: &[&str]) -> bool {
        let of = |index: &HashMap<String, List>, key: &str| {
            index.get(key).is_some_and(|list| {
                list.entries().iter().any(|(p, a)| {
                    let pack = &self.packs[*p];
                    let applies = &pack.applies[*a];
                    // What is inside of an array is not among the names.
                    let is_there = |name: &String| {
                        names.contains(&name.as_str()) || pack.paths.iter().any(|p| p.name == *name)
                    };
                    applies.format.as_ref().is_none_or(|wanted| wanted == format)
                        && (applies.source.is_empty()
                            || SOURCES.iter().any(|name| names.contains(name))
                            || applies.source.iter().any(|part| source.contains(part.as_str())))
                        && applies.has.iter().all(is_there)
                        && applies.is.keys().all(is_there)
                })
            })
        };
        self.forced.is_some() || of(&self.by_program, "") || of(&self.by_format, format)
    }
}

/// What a program may be listed as: `/usr/sbin/sshd` as `sshd`, `postfix/smtpd` also as `postfix/`,
/// `polkitd(authority=local)` as `polkitd`.
fn names_of(program: &str) -> [Option<&str>; 4] {
    let bare = program.split_once('(').map(|(name, _)| name).filter(|name| !name.is_empty());
    let base = program.rsplit_once('/').map(|(_, base)| base);
    let family = program.find('/').filter(|at| *at > 0).map(|at| &program[..=at]);
    [Some(program), bare, base, family]
}

impl Pack {
    /// The place of the first pattern that matches a message.
    pub(crate) fn matching(&self, message: &str) -> Option<usize> {
        let message = cut(message, MATCHED_BYTES_MAX);
        self.forms.iter().find(|forms| forms.about == About::Message)?.place(message)
    }

    /// Adds the values in arrays that the pack names.
    fn look_inside<'p: 'r, 'r>(&'p self, found: &mut Found<'r>) {
        for path in &self.paths {
            if found.pair(&path.name).is_none()
                && let Some(value) = path.value(found)
            {
                found.inside.push(Pair { name: Cow::Borrowed(&path.name), value });
            }
        }
    }

    /// What the pack says about the record; nothing if it must know the message and does not.
    fn say<'p: 'r, 'r>(
        &'p self,
        must_match: bool,
        subject: &Subject<'r>,
        found: &mut Found<'r>,
    ) -> Option<Meaning<'p, 'r>> {
        let mut meaning = Meaning {
            module: &self.name,
            product: &self.product,
            category: &self.category,
            service: &self.service,
            times: &self.times,
            utc: self.utc,
            defaults: &self.values,
            captures: Vec::with_capacity(CAPTURES_GUESS),
            ..Meaning::default()
        };
        let message = cut(subject.message, MATCHED_BYTES_MAX);
        let places = self.asked.places(found);
        meaning.matched = self.columns.iter().any(|columns| columns.read(message, found));
        self.match_texts(true, subject, (&places, found), &mut meaning);
        if must_match && !meaning.matched {
            return None;
        }
        let from = self.pairs_from.as_ref();
        if let Some(at) = from.and_then(|from| subject.message.find(from.as_str())) {
            let mut pairs = Vec::new();
            scan_pairs(&subject.message[at..], &mut pairs);
            pairs.retain(|pair| found.pair(&pair.name).is_none());
            found.pairs.append(&mut pairs);
        }
        self.match_texts(false, subject, (&places, found), &mut meaning);
        let room = if self.tables.is_empty() { 0 } else { KEY_BYTES_GUESS };
        let mut key = String::with_capacity(room);
        for table in &self.tables {
            table.apply(&mut key, &places, found, &mut meaning);
        }
        meaning.fields.push(&self.fields);
        Some(meaning)
    }

    /// The first pattern that matches the message and the record, which say whether the pack knows
    /// the record; then, of what is known by then, each native value.
    fn match_texts<'p: 'r, 'r>(
        &'p self,
        whole: bool,
        subject: &Subject<'r>,
        (places, found): (&Places<'_>, &mut Found<'r>),
        meaning: &mut Meaning<'p, 'r>,
    ) {
        let (wholes, values) = self.forms.split_at(self.wholes);
        for forms in if whole { wholes } else { values } {
            let matched = match &forms.about {
                About::Message => forms.take(subject.message, found, meaning),
                About::Record => forms.take(subject.record, found, meaning),
                About::Value { name, slot } => {
                    forms.take_value((*slot, name), places, found, meaning)
                }
            };
            if let Some(pattern) = matched {
                meaning.values.push(&pattern.values);
                meaning.matched |= whole;
            }
        }
    }

    /// All its patterns.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.forms.iter().flat_map(Forms::patterns)
    }

    /// False when none of its patterns and columns can fit the message, at a glance.
    fn may_match(&self, subject: &Subject<'_>) -> bool {
        !self.columns.is_empty()
            || self.forms.iter().any(|forms| match forms.about {
                About::Message => forms.candidates(subject.message).next().is_some(),
                About::Record => forms.candidates(subject.record).next().is_some(),
                About::Value { .. } => false,
            })
    }
}

impl Forms {
    /// Adds what the groups of the first pattern hold that the text matches.
    fn take<'p: 'r, 'r>(
        &'p self,
        text: &'r str,
        found: &mut Found<'r>,
        meaning: &mut Meaning<'p, 'r>,
    ) -> Option<&'p Pattern> {
        let (pattern, captures) = self.captures(cut(text, MATCHED_BYTES_MAX))?;
        captures.for_each(|(group, text)| meaning.capture(group, text.into(), found));
        Some(pattern)
    }

    /// The same for the value of a native name, or else what a pattern took under that name.
    fn take_value<'p: 'r, 'r>(
        &'p self,
        (slot, name): (usize, &str),
        places: &Places<'_>,
        found: &mut Found<'r>,
        meaning: &mut Meaning<'p, 'r>,
    ) -> Option<&'p Pattern> {
        let captured;
        let text = match places.value(slot, name, found) {
            Some(Val::Text(text) | Val::Json(text) | Val::Number(text)) => text,
            _ => {
                captured = meaning.captured(name)?;
                &captured
            }
        };
        let text = match text {
            Cow::Borrowed(text) => return self.take(text, found, meaning),
            Cow::Owned(text) => cut(text, MATCHED_BYTES_MAX),
        };
        let (pattern, captures) = self.captures(text)?;
        // The text is that of a pair or a capture, and need not last as long as what it took.
        let captures: Vec<(&Group, String)> =
            captures.map(|(group, text)| (group, text.to_string())).collect();
        for (group, text) in captures {
            meaning.capture(group, Cow::Owned(text), found);
        }
        Some(pattern)
    }
}

fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    &text[..end]
}

fn holds(applies: &Applies, subject: &Subject<'_>, found: &Found<'_>) -> bool {
    let program = found.program.as_deref().unwrap_or("");
    let named = |part: &String| {
        let part = part.as_str();
        let shipped =
            || SOURCES.iter().any(|n| found.pair(n).is_some_and(|v| v.text().contains(part)));
        subject.source.contains(part) || program.contains(part) || shipped()
    };
    applies.format.as_ref().is_none_or(|format| format == found.format)
        && (applies.source.is_empty() || applies.source.iter().any(named))
        && applies.has.iter().all(|name| found.pair(name).is_some())
        && applies
            .is
            .iter()
            .all(|(name, wanted)| found.value(name).is_some_and(|value| wanted.is(value.text())))
        && (applies.contains.is_empty() || applies.contains.are_in(subject.message))
}

impl OneOrMore {
    /// True when the value is one of these; `*` at the end of one stands for anything.
    fn is(&self, value: &str) -> bool {
        self.0.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(start) => value.starts_with(start),
            None => value == wanted,
        })
    }
}

impl Table {
    /// Says what the row of the record says; `key` is room for its key.
    fn apply<'p>(
        &'p self,
        key: &mut String,
        places: &Places<'_>,
        found: &Found<'_>,
        meaning: &mut Meaning<'p, '_>,
    ) {
        key.clear();
        for (i, (name, slot)) in self.keys.iter().zip(&self.slots).enumerate() {
            if i > 0 {
                key.push('/');
            }
            match name.as_str() {
                "service" => key.push_str(meaning.service),
                name => match places.value(*slot, name, found) {
                    Some(value) => key.push_str(value.text()),
                    None => return,
                },
            }
        }
        key.make_ascii_lowercase();
        let Some(action) = self.rows.get(key) else { return };
        if !action.product.is_empty() {
            meaning.product = &action.product;
        }
        if !action.category.is_empty() {
            meaning.category = &action.category;
        }
        if !action.service.is_empty() {
            meaning.service = &action.service;
        }
        meaning.values.push(&action.values);
        meaning.fields.push(&action.fields);
    }
}

fn compile(source: &PackSource) -> Result<Pack, String> {
    let text: PackText = yaml_serde::from_str(&source.text).map_err(|e| e.to_string())?;
    for applies in &text.applies {
        if applies.format.is_none() && applies.program.is_empty() {
            return Err("each entry of `applies` names a `format` or a `program`".into());
        }
        let named = applies.has.len() + applies.is.len() + applies.program.len();
        if applies.format.as_deref() == Some("json") && named == 0 {
            return Err(
                "an entry of `applies` for json also needs `has`, `is` or `program`: other \
                        records then need no look"
                    .into(),
            );
        }
    }
    let mut asked = Asked::default();
    let mut forms = Forms::of(text.patterns, |name| asked.slot(name));
    forms.sort_by_key(|forms| !forms.about.is_whole());
    let mut slots = |keys: &[String]| keys.iter().map(|key| asked.slot(key)).collect();
    let tables = text.tables.into_iter().map(|t| Table {
        slots: slots(&t.keys),
        keys: t.keys,
        rows: t.rows.into_iter().map(|(k, a)| (k.to_ascii_lowercase(), action(a))).collect(),
    });
    let tables = tables.collect();
    let mut pack = Pack {
        name: name_of(&source.path),
        product: text.product,
        category: text.category,
        service: text.service,
        applies: text.applies,
        times: text.times,
        utc: match text.zone.as_deref() {
            None => false,
            Some("UTC") => true,
            Some(other) => return Err(format!("the zone {other:?} is not known: it can be UTC")),
        },
        values: values(text.values),
        fields: also(text.fields),
        tables,
        pairs_from: text.pairs_from,
        columns: text.columns.into_iter().map(Columns::new).collect(),
        wholes: forms.iter().filter(|forms| forms.about.is_whole()).count(),
        forms,
        asked,
        paths: Vec::new(),
    };
    pack.paths = paths(&pack);
    Ok(pack)
}

/// The paths into arrays that a pack names anywhere.
fn paths(pack: &Pack) -> Vec<Path> {
    let mut names: Vec<&String> = pack.times.iter().chain(pack.fields.keys()).collect();
    names.extend(pack.applies.iter().flat_map(|a| a.has.iter().chain(a.is.keys())));
    names.extend(pack.forms.iter().filter_map(|forms| match &forms.about {
        About::Value { name, .. } => Some(name),
        About::Message | About::Record => None,
    }));
    for table in &pack.tables {
        names.extend(table.keys.iter());
        #[allow(clippy::iter_over_hash_type)] // sorted below
        names.extend(table.rows.values().flat_map(|action| action.fields.keys()));
    }
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(String::as_str).filter_map(Path::of).collect()
}

/// `openssh/sshd` of `openssh/sshd/parser.yaml`.
fn name_of(path: &str) -> String {
    path.trim_end_matches("parser.yaml").trim_end_matches('/').to_string()
}

fn action(text: ActionText) -> Action {
    Action {
        product: text.product,
        category: text.category,
        service: text.service,
        values: values(text.values),
        fields: also(text.fields),
    }
}

fn values(text: BTreeMap<String, String>) -> Values {
    text.into_iter().map(|(name, value)| (Target::of(&name), value)).collect()
}

fn also(text: BTreeMap<String, FieldText>) -> Alsos {
    text.into_iter()
        .map(|(native, field)| {
            let (to, rows) = match field {
                FieldText::Name(to) => (to, BTreeMap::new()),
                FieldText::Translated { to, table } => (to, table),
            };
            let as_it_is = rows.is_empty();
            let (mut table, mut starts) = (HashMap::new(), Vec::new());
            for (from, into) in rows {
                match from.strip_suffix(ANY) {
                    Some(start) => starts.push((start.to_string(), into)),
                    None => drop(table.insert(from, into)),
                }
            }
            starts.sort_by_key(|(start, _)| std::cmp::Reverse(start.len()));
            let targets = to.0.iter().map(|name| Target::of(name)).collect();
            (native, Also { targets, as_it_is, table, starts })
        })
        .collect()
}
