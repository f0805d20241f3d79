//! Parser packs: what a product means by its records, as data.
//!
//! A pack (`content/parsers/<vendor>/<product>/parser.yaml`) says which records it applies to,
//! which log source they are, how its message is taken apart and which fields its names stand for.
//! It holds no code, so that adding a product is adding a folder. The keys are described in
//! content/parsers/README.md.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hashbrown::HashMap;
use pugmark_event::{FieldId, fields};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::formats::scan_pairs;
use crate::found::{Found, Val};

/// A compiled pattern may take this much memory, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;
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

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackText {
    #[serde(default)]
    product: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    service: String,
    applies: Vec<Applies>,
    /// Native names that hold the time, best first, where the format found none.
    #[serde(default)]
    times: Vec<String>,
    #[serde(default)]
    values: BTreeMap<String, String>,
    #[serde(default)]
    fields: BTreeMap<String, FieldText>,
    #[serde(default)]
    tables: Vec<TableText>,
    /// `key=value` pairs stand in the message from this text on.
    pairs_from: Option<String>,
    #[serde(default)]
    patterns: Vec<PatternText>,
}

/// One way in which a record can belong to the pack: all conditions must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Applies {
    /// The format that read the record is this one.
    pub(crate) format: Option<String>,
    /// The program that wrote it is one of these.
    program: Vec<String>,
    /// The name of its source or its program holds one of these.
    source: Vec<String>,
    /// It has all of these native names.
    pub(crate) has: Vec<String>,
    /// Its message holds this text.
    contains: Option<String>,
    /// One of the pack's patterns matches its message.
    pattern: bool,
}

impl Applies {
    /// Surer conditions are tried first.
    fn weight(&self) -> usize {
        self.has.len()
            + usize::from(self.contains.is_some())
            + usize::from(!self.program.is_empty())
            + usize::from(!self.source.is_empty())
            + usize::from(self.pattern)
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum FieldText {
    Name(String),
    Translated {
        to: String,
        #[serde(default)]
        table: BTreeMap<String, String>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableText {
    keys: Vec<String>,
    rows: BTreeMap<String, ActionText>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ActionText {
    category: String,
    service: String,
    values: BTreeMap<String, String>,
    fields: BTreeMap<String, FieldText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PatternText {
    pattern: String,
    #[serde(default)]
    values: BTreeMap<String, String>,
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

/// The field that a native name also stands for.
#[derive(Debug)]
pub(crate) struct Also {
    pub(crate) target: Target,
    /// Empty: the value as it is. Else only what is listed, translated.
    table: HashMap<String, String>,
}

impl Also {
    /// The value in the words of the field.
    pub(crate) fn translate<'a>(&'a self, value: &'a Val<'_>) -> Option<Cow<'a, str>> {
        match self.table.is_empty() {
            true => (!matches!(value, Val::Null)).then(|| Cow::Borrowed(value.text())),
            false => self.table.get(value.text()).map(|text| Cow::Borrowed(text.as_str())),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Action {
    pub(crate) category: String,
    pub(crate) service: String,
    pub(crate) values: Values,
    pub(crate) fields: Alsos,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) keys: Vec<String>,
    pub(crate) rows: HashMap<String, Action>,
}

#[derive(Debug)]
pub(crate) struct Pattern {
    /// Every match starts with this; most messages are dismissed by it.
    prefix: String,
    regex: Regex,
    /// For each group of the regex, where its text goes.
    pub(crate) groups: Vec<Option<Target>>,
    pub(crate) values: Values,
}

#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) product: String,
    pub(crate) category: String,
    pub(crate) service: String,
    pub(crate) applies: Vec<Applies>,
    times: Vec<String>,
    pub(crate) values: Values,
    pub(crate) fields: Alsos,
    pub(crate) tables: Vec<Table>,
    pub(crate) pairs_from: Option<String>,
    pub(crate) patterns: Vec<Pattern>,
}

/// What a pack says about one record.
#[derive(Debug, Default)]
pub(crate) struct Meaning<'p, 'r> {
    pub(crate) product: &'p str,
    pub(crate) category: &'p str,
    pub(crate) service: &'p str,
    /// Native names that hold the time where the format found none.
    pub(crate) times: &'p [String],
    /// Constants, the most specific first.
    pub(crate) values: Vec<&'p Values>,
    /// Native names that also stand for a field.
    pub(crate) fields: Vec<&'p Alsos>,
    /// Taken out of the message.
    pub(crate) captures: Vec<(&'p Target, &'r str)>,
    /// A pattern matched, so the record was understood.
    pub(crate) matched: bool,
}

impl<'p> Meaning<'p, '_> {
    /// What the native name also stands for; the most specific list has the say.
    pub(crate) fn also(&self, name: &str) -> Option<&'p Also> {
        self.fields.iter().find_map(|list| list.get(name))
    }
}

/// All packs, found by format and program.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    pub(crate) packs: Vec<Pack>,
    /// Program to (pack, condition), surest first.
    by_program: HashMap<String, Vec<(usize, usize)>>,
    /// Format to (pack, condition), surest first.
    by_format: HashMap<String, Vec<(usize, usize)>>,
}

impl Packs {
    /// Compiles packs.
    pub(crate) fn new(sources: &[PackSource]) -> Result<Self, PackError> {
        let mut packs = Packs::default();
        for source in sources {
            let pack = compile(source)
                .map_err(|message| PackError { path: source.path.clone(), message })?;
            packs.packs.push(pack);
        }
        packs.index();
        Ok(packs)
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
        let weight = |(p, a): &(usize, usize)| self.packs[*p].applies[*a].weight();
        let (programs, formats) = (&mut self.by_program, &mut self.by_format);
        #[allow(clippy::iter_over_hash_type)] // each list is sorted by itself
        for list in programs.values_mut().chain(formats.values_mut()) {
            list.sort_by_key(|entry| std::cmp::Reverse(weight(entry)));
        }
    }

    /// What the first pack that applies says. Pairs that it finds in the message are added.
    pub(crate) fn meaning<'p, 'r>(
        &'p self,
        source: &str,
        message: &'r str,
        found: &mut Found<'r>,
    ) -> Option<Meaning<'p, 'r>> {
        let program = found.program.as_deref().map(base_name).unwrap_or("");
        let by_program = self.by_program.get(program).map(Vec::as_slice).unwrap_or_default();
        let by_format = self.by_format.get(found.format).map(Vec::as_slice).unwrap_or_default();
        by_program.iter().chain(by_format).find_map(|(p, a)| {
            let pack = &self.packs[*p];
            pack.apply(&pack.applies[*a], source, message, found)
        })
    }
}

impl Packs {
    /// True when a pack may have something to say about records of `format` that name no program
    /// and have these names: whether it does may hang on the message and the values.
    pub(crate) fn may_apply(&self, source: &str, format: &str, names: &[&str]) -> bool {
        let of = |index: &HashMap<String, Vec<(usize, usize)>>, key: &str| {
            index.get(key).is_some_and(|list| {
                list.iter().any(|(p, a)| {
                    let applies = &self.packs[*p].applies[*a];
                    applies.format.as_ref().is_none_or(|wanted| wanted == format)
                        && (applies.source.is_empty()
                            || applies.source.iter().any(|part| source.contains(part.as_str())))
                        && applies.has.iter().all(|name| names.contains(&name.as_str()))
                })
            })
        };
        of(&self.by_program, "") || of(&self.by_format, format)
    }
}

/// `/usr/sbin/sshd` and `postfix/smtpd` are known by their last part.
fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

impl Pack {
    fn apply<'p, 'r>(
        &'p self,
        applies: &Applies,
        source: &str,
        message: &'r str,
        found: &mut Found<'r>,
    ) -> Option<Meaning<'p, 'r>> {
        if !holds(applies, source, message, found) {
            return None;
        }
        let mut meaning = Meaning {
            product: &self.product,
            category: &self.category,
            service: &self.service,
            times: &self.times,
            ..Meaning::default()
        };
        self.match_message(message, &mut meaning);
        if applies.pattern && !meaning.matched {
            return None;
        }
        if let Some(at) = self.pairs_from.as_ref().and_then(|from| message.find(from.as_str())) {
            scan_pairs(&message[at..], &mut found.pairs);
        }
        for table in &self.tables {
            table.apply(found, &mut meaning);
        }
        meaning.values.push(&self.values);
        meaning.fields.push(&self.fields);
        Some(meaning)
    }

    fn match_message<'p, 'r>(&'p self, message: &'r str, meaning: &mut Meaning<'p, 'r>) {
        let matched = cut(message, MATCHED_BYTES_MAX);
        for pattern in &self.patterns {
            if !pattern.prefix.is_empty() && !matched.starts_with(&pattern.prefix) {
                continue;
            }
            let Some(captures) = pattern.regex.captures(matched) else { continue };
            for (group, target) in captures.iter().zip(&pattern.groups) {
                if let (Some(group), Some(target)) = (group, target) {
                    meaning.captures.push((target, group.as_str()));
                }
            }
            meaning.values.push(&pattern.values);
            meaning.matched = true;
            return;
        }
    }
}

fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    &text[..end]
}

fn holds(applies: &Applies, source: &str, message: &str, found: &Found<'_>) -> bool {
    let program = found.program.as_deref().unwrap_or("");
    let named = |part: &String| source.contains(part.as_str()) || program.contains(part.as_str());
    applies.format.as_ref().is_none_or(|format| format == found.format)
        && (applies.source.is_empty() || applies.source.iter().any(named))
        && applies.has.iter().all(|name| found.pair(name).is_some())
        && applies.contains.as_ref().is_none_or(|text| message.contains(text.as_str()))
}

impl Table {
    fn apply<'p>(&'p self, found: &Found<'_>, meaning: &mut Meaning<'p, '_>) {
        let mut key = String::new();
        for (i, name) in self.keys.iter().enumerate() {
            if i > 0 {
                key.push('/');
            }
            match name.as_str() {
                "service" => key.push_str(meaning.service),
                name => match found.pair(name) {
                    Some(value) => key.push_str(value.text()),
                    None => return,
                },
            }
        }
        key.make_ascii_lowercase();
        let Some(action) = self.rows.get(&key) else { return };
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
    }
    let tables = text.tables.into_iter().map(|t| Table {
        keys: t.keys,
        rows: t.rows.into_iter().map(|(k, a)| (k.to_ascii_lowercase(), action(a))).collect(),
    });
    Ok(Pack {
        product: text.product,
        category: text.category,
        service: text.service,
        applies: text.applies,
        times: text.times,
        values: values(text.values),
        fields: also(text.fields),
        tables: tables.collect(),
        pairs_from: text.pairs_from,
        patterns: text.patterns.into_iter().map(pattern).collect::<Result<_, _>>()?,
    })
}

fn action(text: ActionText) -> Action {
    Action {
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
            let (to, table) = match field {
                FieldText::Name(to) => (to, BTreeMap::new()),
                FieldText::Translated { to, table } => (to, table),
            };
            (native, Also { target: Target::of(&to), table: table.into_iter().collect() })
        })
        .collect()
}

fn pattern(text: PatternText) -> Result<Pattern, String> {
    let regex = RegexBuilder::new(&format!("^(?:{})", text.pattern))
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .nest_limit(32)
        .build()
        .map_err(|e| format!("pattern {:?} is no usable regex: {e}", text.pattern))?;
    let groups = regex.capture_names().map(|name| name.map(Target::of)).collect();
    let prefix = literal_prefix(&text.pattern);
    Ok(Pattern { prefix, regex, groups, values: values(text.values) })
}

/// The text with which every match of a pattern starts: up to the first character that means more
/// than itself, without the one that a following `?`, `*` or `{` would make optional.
fn literal_prefix(pattern: &str) -> String {
    let mut prefix = String::new();
    if has_alternatives(pattern) {
        return prefix;
    }
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        let literal = match c {
            '\\' => match characters.next() {
                Some(e) if ".+*?()|[]{}^$/\\".contains(e) => e,
                _ => break,
            },
            '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' | '|' => break,
            c => c,
        };
        if matches!(characters.peek(), Some('?' | '*' | '{')) {
            break;
        }
        prefix.push(literal);
    }
    prefix
}

/// True when a `|` stands outside of all groups, so that matches may start in several ways.
fn has_alternatives(pattern: &str) -> bool {
    // A class that begins with its own closing bracket would need a real parser; be careful.
    if pattern.contains("[]") || pattern.contains("[^]") {
        return true;
    }
    let (mut depth, mut in_class, mut escaped) = (0i32, false, false);
    for c in pattern.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => depth += 1,
            ')' if !in_class => depth -= 1,
            '|' if !in_class && depth == 0 => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_prefix_is_what_every_match_starts_with() {
        for (pattern, expected) in [
            ("Failed (x)", "Failed "),
            (r"\(a\) b", "(a) b"),
            (r"\<a", ""),
            ("a[](]|b", ""),
            (r"\s*x", ""),
            ("abc?", "ab"),
            ("abc+", "abc"),
            ("a|b", ""),
            ("a(b|c)", "a"),
            ("a[|]b|c", ""),
            ("a[(]b|c", ""),
            ("(?i)abc", ""),
        ] {
            assert_eq!(literal_prefix(pattern), expected, "{pattern}");
        }
    }

    proptest! {
        /// The prefix never dismisses a text that the pattern matches.
        #[test]
        fn the_prefix_loses_no_match(
            pattern in "[ab?*+.(|)\\\\\\[\\]]{0,8}", text in "[ab.(|)\\[]{0,6}",
        ) {
            let matches = Regex::new(&format!("^(?:{pattern})")).is_ok_and(|r| r.is_match(&text));
            if matches {
                prop_assert!(text.starts_with(&literal_prefix(&pattern)), "{} {}", pattern, text);
            }
        }
    }
}
