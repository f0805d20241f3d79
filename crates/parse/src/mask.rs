//! Masking: secrets and personal data leave a record before it is kept anywhere.
//!
//! Pugmark keeps each record byte for byte, so what must not be kept has to go at the door, before
//! the write-ahead log: a [`Masker`] rewrites records there and everything behind it, parsing, the
//! raw record, search, only ever sees the rewritten one. «Bytes untouched» then means: from the
//! masker on. Nothing is masked unless the configuration says so, and a record in which nothing is
//! found is not copied.
//!
//! | kind | what |
//! |---|---|
//! | `card` | numbers of payment cards: the ranges of the networks and a Luhn sum that is right |
//! | `key` | private keys in PEM, access keys of clouds and payment services, by their prefixes |
//! | `token` | tokens of GitHub, GitLab, Slack, npm, PyPI and others, JWTs, `Authorization` |
//! | `secret` | what follows a name such as `password`, `client_secret`, `api_key`; URL passwords |
//! | `email` | addresses of people |
//!
//! and rules of one's own, each under its name. A value becomes `[email:****]` (`mask`; a star for
//! each doubling of the length, a card keeps its last four digits) or `[email:3f9a5c0b1d2e4f60]`
//! (`hash`: HMAC-SHA256 under the caller's key, 64 bits of it), which is the same for the same
//! value, so that it can still be counted and followed. What stands in a record as a JSON number
//! gets quotes. Masking what is masked changes nothing.
//!
//! What is found is counted by kind. Values appear in no error, no log and no `Debug`.
//!
//! **Limits.** A record is looked at as text: what it holds in Base64 or compressed is not seen.
//! UTF-16 is, and such a record is kept as UTF-8 when something in it was masked. A private key
//! that is spread over records is followed to the end of the block.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use aho_corasick::packed::{self, Searcher};
use aho_corasick::{AhoCorasick, MatchKind};
use hmac::{Hmac, Mac};
use pugmark_event::Records;
use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::clean;

mod card;
mod mail;
mod named;
mod place;
mod shape;

use place::Places;
use shape::Shape;

/// Shortest key of the hash, in bytes.
pub const HASH_KEY_BYTES_MIN: usize = 16;
/// Bytes that a compiled pattern of a rule may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Longest name of a rule, in bytes.
const NAME_BYTES_MAX: usize = 32;
/// Rules of one's own.
const RULES_MAX: usize = 64;
/// Bytes of the hash that are shown, two digits each.
const HASH_BYTES: usize = 8;
/// Longest text that stands for a value: brackets, name, colon, stars or hash, last digits.
const MARK_BYTES_MAX: usize = NAME_BYTES_MAX + 64;
/// Digits of a card that are shown.
const CARD_DIGITS_SHOWN: usize = 4;

/// What becomes of a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// It stays.
    #[default]
    Off,
    /// Stars stand for it.
    Mask,
    /// A keyed hash stands for it, the same for the same value.
    Hash,
}

/// What becomes of the values of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Wherever it stands.
    pub treatment: Treatment,
    /// Other treatments by the name that stands before the value (`name=` or `"name":`), as the
    /// record writes it, upper and lower case alike: `{from: hash, message_id: off}`. Of nested
    /// objects the innermost name counts.
    pub fields: BTreeMap<String, Treatment>,
}

/// A rule of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The kind that it finds: small letters, digits and `_`.
    pub name: String,
    /// A regular expression. Its first group is what is masked; all of it if there is none.
    pub pattern: String,
    /// Wherever it stands.
    pub treatment: Treatment,
    /// As in [`Policy::fields`].
    #[serde(default)]
    pub fields: BTreeMap<String, Treatment>,
}

/// What is masked, and how. By default nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaskConfig {
    /// Numbers of payment cards.
    pub card: Policy,
    /// Private keys and access keys. The id of an AWS key is one of them; hash it where rules
    /// follow it.
    pub key: Policy,
    /// Tokens that services give out.
    pub token: Policy,
    /// Values with a name that says secret.
    pub secret: Policy,
    /// E-mail addresses, and names that look like one (`ann@EXAMPLE.ORG`).
    pub email: Policy,
    /// Rules of one's own.
    pub rules: Vec<Rule>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// Something is to be hashed, and the key is missing or short.
    #[error("masking by hash needs a key of at least {HASH_KEY_BYTES_MIN} bytes")]
    Key,
    /// A name of a rule that cannot stand in a record, or is taken.
    #[error(
        "`{0}` cannot name a rule: use up to {NAME_BYTES_MAX} of a-z, 0-9 and _, and no name twice"
    )]
    Name(String),
    /// A pattern that is no regular expression, or too big a one.
    #[error("the pattern of rule `{name}` cannot be used: {source}")]
    Pattern {
        /// The rule.
        name: String,
        /// What is wrong with it.
        source: Box<regex::Error>,
    },
    /// Too many rules.
    #[error("there may be {RULES_MAX} masking rules, here are {0}")]
    Rules(usize),
}

/// What a found value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The number of a payment card.
    Card,
    /// A private key or an access key.
    Key,
    /// A token.
    Token,
    /// A value whose name says that it is secret.
    Secret,
    /// An e-mail address.
    Email,
    /// What the rule with this number finds.
    Rule(usize),
}

/// The built-in kinds, in the order of their numbers.
const KINDS: [(Kind, &str); 5] = [
    (Kind::Card, "card"),
    (Kind::Key, "key"),
    (Kind::Token, "token"),
    (Kind::Secret, "secret"),
    (Kind::Email, "email"),
];

impl Kind {
    fn number(self) -> usize {
        match self {
            Kind::Card => 0,
            Kind::Key => 1,
            Kind::Token => 2,
            Kind::Secret => 3,
            Kind::Email => 4,
            Kind::Rule(rule) => KINDS.len() + rule,
        }
    }
}

/// A value to be masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its bytes in the record.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
    /// What becomes of it; not [`Treatment::Off`].
    pub treatment: Treatment,
}

/// How many values were masked, by kind.
pub type Counts = BTreeMap<String, u64>;

/// What begins at a needle.
#[derive(Debug, Clone, Copy)]
enum Find {
    Shape(&'static Shape),
    Jwt,
    Pem,
    Name,
    Authorization,
    Bearer,
    /// An `@` in this many bytes.
    At(usize),
}

/// A kind with its policy, ready to use.
struct Ready {
    name: String,
    treatment: Treatment,
    /// Names in small letters.
    fields: BTreeMap<Vec<u8>, Treatment>,
}

impl Ready {
    fn new(name: &str, treatment: Treatment, fields: &BTreeMap<String, Treatment>) -> Self {
        let fields = fields.iter().map(|(name, t)| (name.to_ascii_lowercase().into_bytes(), *t));
        Self { name: name.into(), treatment, fields: fields.collect() }
    }

    fn treatments(&self) -> impl Iterator<Item = Treatment> + '_ {
        self.fields.values().copied().chain([self.treatment])
    }

    fn is_on(&self) -> bool {
        self.treatments().any(|treatment| treatment != Treatment::Off)
    }
}

/// The search for needles: by vectors where the processor has them, by an automaton elsewhere.
enum Needles {
    Packed(Searcher),
    Automaton(AhoCorasick),
}

impl Needles {
    fn new(texts: &[&[u8]]) -> Self {
        let mut config = packed::Config::new();
        config.match_kind(packed::MatchKind::LeftmostFirst).heuristic_pattern_limits(false);
        match config.builder().extend(texts).build() {
            Some(searcher) => Needles::Packed(searcher),
            None => {
                let mut builder = AhoCorasick::builder();
                let built = builder.match_kind(MatchKind::LeftmostFirst).build(texts);
                Needles::Automaton(built.expect("a few short needles"))
            }
        }
    }

    /// The next needle from `from` on: its number and where it stands.
    fn next(&self, text: &[u8], from: usize) -> Option<(usize, Range<usize>)> {
        let found = match self {
            Needles::Packed(searcher) => searcher.find_in(text, (from..text.len()).into()),
            Needles::Automaton(automaton) => {
                automaton.find(aho_corasick::Input::new(text).range(from..))
            }
        };
        found.map(|hit| (hit.pattern().as_usize(), hit.range()))
    }
}

/// Finds and masks values in records.
pub struct Masker {
    kinds: Vec<Ready>,
    patterns: Vec<Regex>,
    /// One search for all that begins with known bytes, and what each of them begins.
    needles: Option<Needles>,
    finds: Vec<Find>,
    hash: Option<Hmac<Sha256>>,
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let on = self.kinds.iter().filter(|kind| kind.is_on()).map(|kind| &kind.name);
        f.debug_struct("Masker").field("kinds", &on.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl Masker {
    /// A masker for this configuration. `hash_key` keys the hashes; it may be empty where nothing
    /// is hashed. Who has it can find out what a hash stands for by trying, so keep it as secret
    /// as the values.
    ///
    /// # Errors
    /// When something is to be hashed without a key, or a rule cannot be used.
    pub fn new(config: &MaskConfig, hash_key: &[u8]) -> Result<Masker, MaskError> {
        if config.rules.len() > RULES_MAX {
            return Err(MaskError::Rules(config.rules.len()));
        }
        let policies = [&config.card, &config.key, &config.token, &config.secret, &config.email];
        let built_in = KINDS.iter().zip(policies);
        let mut kinds: Vec<Ready> = built_in
            .map(|((_, name), policy)| Ready::new(name, policy.treatment, &policy.fields))
            .collect();
        let mut patterns = Vec::new();
        for rule in &config.rules {
            if !is_name(&rule.name) || kinds.iter().any(|kind| kind.name == rule.name) {
                return Err(MaskError::Name(rule.name.clone()));
            }
            kinds.push(Ready::new(&rule.name, rule.treatment, &rule.fields));
            patterns.push(compile(rule)?);
        }
        let hashes = kinds.iter().flat_map(Ready::treatments).any(|t| t == Treatment::Hash);
        if hashes && hash_key.len() < HASH_KEY_BYTES_MIN {
            return Err(MaskError::Key);
        }
        let hash = Hmac::new_from_slice(hash_key).ok().filter(|_| hashes);
        let mut masker = Masker { kinds, patterns, needles: None, finds: Vec::new(), hash };
        masker.look_for_needles();
        Ok(masker)
    }

    fn look_for_needles(&mut self) {
        let needles: Vec<(&[u8], Find)> =
            shape::needles().chain(named::needles()).chain(mail::needles()).collect();
        let needles = needles.into_iter().filter(|(_, find)| match find {
            Find::Shape(shape) => self.has(shape.kind),
            Find::Pem => self.has(Kind::Key),
            Find::Jwt | Find::Bearer | Find::Authorization => self.has(Kind::Token),
            Find::Name => self.has(Kind::Secret),
            Find::At(_) => self.has(Kind::Email) || self.has(Kind::Secret),
        });
        let (texts, finds): (Vec<_>, Vec<_>) = needles.unzip();
        self.needles = (!texts.is_empty()).then(|| Needles::new(&texts));
        self.finds = finds;
    }

    /// True when something may be masked. A masker that is off finds nothing.
    pub fn is_on(&self) -> bool {
        self.kinds.iter().any(Ready::is_on)
    }

    /// The name of a kind, as it stands in records and counts.
    pub fn name(&self, kind: Kind) -> &str {
        &self.kinds[kind.number()].name
    }

    fn has(&self, kind: Kind) -> bool {
        self.kinds[kind.number()].is_on()
    }

    /// The values to be masked in a record, in order and without overlap.
    pub fn find(&self, record: &[u8]) -> Vec<Span> {
        let mut found = self.candidates(record);
        if found.is_empty() {
            return Vec::new();
        }
        found.sort_by_key(|(range, kind)| (range.start, std::cmp::Reverse(range.end), *kind));
        let mut places = Places::new(record);
        let mut spans: Vec<Span> = Vec::new();
        for (range, kind) in found {
            let treatment = self.treatment(kind, &range, &mut places);
            match spans.last_mut() {
                _ if treatment == Treatment::Off => {}
                // Rather too much than a rest that can be read.
                Some(last) if range.start < last.range.end => {
                    last.range.end = last.range.end.max(range.end);
                }
                _ => spans.push(Span { range, kind, treatment }),
            }
        }
        spans
    }

    fn treatment(&self, kind: Kind, range: &Range<usize>, places: &mut Places<'_>) -> Treatment {
        let ready = &self.kinds[kind.number()];
        if ready.fields.is_empty() {
            return ready.treatment;
        }
        let name = places.name(range.start).to_ascii_lowercase();
        ready.fields.get(&name).copied().unwrap_or(ready.treatment)
    }

    /// All that looks like a value of a kind that is on.
    fn candidates(&self, record: &[u8]) -> Vec<(Range<usize>, Kind)> {
        let mut found = Vec::new();
        let mut ends = [0; KINDS.len()];
        let mut add = |at: usize, value: Option<(Range<usize>, Kind)>| {
            let Some((range, kind)) = value.filter(|(_, kind)| self.has(*kind)) else { return };
            let end = &mut ends[kind.number()];
            if at >= *end && !is_mark(record, &range) {
                *end = range.end;
                found.push((range, kind));
            }
        };
        let mut past = 0;
        let hits = |from: usize| self.needles.as_ref().and_then(|n| n.next(record, from));
        let mut next = hits(0);
        while let Some((needle, hit)) = next {
            next = hits(hit.end);
            let at = hit.start;
            let value = match self.finds[needle] {
                Find::Shape(shape) => shape.find(record, at),
                Find::Jwt => shape::jwt(record, at),
                Find::At(length) => mail::find(record, at, length),
                Find::Bearer => named::bearer(record, hit.end),
                Find::Authorization => named::authorization(record, hit),
                // What lies inside a value of the same kind has been looked at: time stays linear.
                _ if at < past => None,
                Find::Pem => shape::pem(record, at),
                Find::Name => named::find(record, hit),
            };
            if let Some((range, Kind::Key | Kind::Secret)) = &value {
                past = past.max(range.end);
            }
            add(at, value);
        }
        if self.has(Kind::Email) || self.has(Kind::Secret) {
            for at in memchr::memchr_iter(b'@', record) {
                add(usize::MAX, mail::find(record, at, 1));
            }
        }
        if self.has(Kind::Card) {
            card::find(record, &mut |range| add(usize::MAX, Some((range, Kind::Card))));
        }
        for (rule, pattern) in self.patterns.iter().enumerate() {
            if self.has(Kind::Rule(rule)) {
                found.extend(matches(pattern, record).map(|range| (range, Kind::Rule(rule))));
            }
        }
        found
    }

    /// The record with its values masked and counted; `None` where there is nothing to mask.
    pub fn mask(&self, record: &[u8], counts: &mut Counts) -> Option<Vec<u8>> {
        let text = text(record);
        let spans = self.find(&text);
        if spans.is_empty() {
            return None;
        }
        let mut masked = Vec::with_capacity(text.len());
        let mut places = Places::new(&text);
        let mut kept = 0;
        for span in spans {
            let quote = places.quote(&span.range);
            masked.extend_from_slice(&text[kept..span.range.start]);
            masked.extend_from_slice(quote);
            masked.extend_from_slice(self.mark(&text[span.range.clone()], &span).as_bytes());
            masked.extend_from_slice(quote);
            kept = span.range.end;
            count(self.name(span.kind), counts);
        }
        masked.extend_from_slice(&text[kept..]);
        Some(masked)
    }

    /// The block with the values of all its records masked and counted; `None` where there is
    /// nothing to mask. A private key whose lines are records of their own is one value.
    pub fn mask_all(&self, records: &Records, counts: &mut Counts) -> Option<Records> {
        if !self.is_on() {
            return None;
        }
        let mut masked: Option<Records> = None;
        let mut pem = shape::PemLines::default();
        for (index, record) in records.iter().enumerate() {
            let body = match self.kinds[Kind::Key.number()].treatment {
                Treatment::Off => None,
                treatment => pem.body(record).map(|range| (range, treatment)),
            };
            let new = match body {
                Some((range, treatment)) => Some(self.body(record, range, treatment)),
                None => self.mask(record, counts),
            };
            if new.is_some() && self.has(Kind::Key) {
                pem.begin(record);
            }
            if new.is_some() && masked.is_none() {
                masked = Some(records.iter().take(index).collect());
            }
            if let Some(masked) = &mut masked {
                masked.push(new.as_deref().unwrap_or(record));
            }
        }
        masked
    }

    /// A further line of a private key, which has been counted with its first.
    fn body(&self, record: &[u8], range: Range<usize>, treatment: Treatment) -> Vec<u8> {
        let span = Span { range: range.clone(), kind: Kind::Key, treatment };
        let mark = self.mark(&record[range.clone()], &span);
        [&record[..range.start], mark.as_bytes(), &record[range.end..]].concat()
    }

    /// What stands for a value.
    fn mark(&self, value: &[u8], span: &Span) -> String {
        let name = self.name(span.kind);
        let value = normal(value, span.kind);
        match (span.treatment, &self.hash) {
            (Treatment::Hash, Some(hash)) => {
                let mut hash = hash.clone();
                hash.update(name.as_bytes());
                hash.update(&[0]);
                hash.update(&value);
                let digits = hash.finalize().into_bytes();
                let digits = digits.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}"));
                format!("[{name}:{}]", digits.collect::<String>())
            }
            _ => {
                let stars = "*".repeat(value.len().max(1).ilog2() as usize);
                let shown = match span.kind {
                    Kind::Card => value.len().saturating_sub(CARD_DIGITS_SHOWN),
                    _ => value.len(),
                };
                format!("[{name}:{stars}{}]", String::from_utf8_lossy(&value[shown..]))
            }
        }
    }
}

/// The bytes to look at: the record's own, or UTF-8 in place of UTF-16.
fn text(record: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(0, record).is_none() {
        return record.into();
    }
    match clean::decode(record) {
        (text, clean::Encoding::Utf16Le | clean::Encoding::Utf16Be) => {
            text.into_owned().into_bytes().into()
        }
        _ => record.into(),
    }
}

/// The value in the one form that is hashed: a card's digits, an address in small letters.
fn normal(value: &[u8], kind: Kind) -> Cow<'_, [u8]> {
    match kind {
        Kind::Card => value.iter().copied().filter(u8::is_ascii_digit).collect(),
        Kind::Email => value.to_ascii_lowercase().into(),
        _ => value.into(),
    }
}

fn count(name: &str, counts: &mut Counts) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
}

fn compile(rule: &Rule) -> Result<Regex, MaskError> {
    let mut builder = RegexBuilder::new(&rule.pattern);
    let regex = builder.size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX).build();
    regex.map_err(|source| MaskError::Pattern { name: rule.name.clone(), source: Box::new(source) })
}

/// What a rule finds and was not masked before; the first group, or all of it.
fn matches<'a>(pattern: &'a Regex, text: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
    let found = pattern
        .captures_iter(text)
        .filter_map(|groups| groups.get(1).or(groups.get(0)).map(|group| group.range()));
    found.filter(|range| !range.is_empty() && !is_mark(text, range))
}

/// True for what stands for a value already, or begins inside of what does.
fn is_mark(text: &[u8], range: &Range<usize>) -> bool {
    let from = range.start.saturating_sub(MARK_BYTES_MAX);
    let before = &text[from..text.len().min(range.start + 1)];
    let Some(open) = memchr::memrchr(b'[', before).map(|open| from + open) else { return false };
    let end = mark_bytes(&text[open..]).map_or(open, |length| open + length);
    if open == range.start { range.end <= end } else { range.start < end }
}

/// Bytes of `[name:****1234]` or `[name:0123456789abcdef]` at the start.
fn mark_bytes(text: &[u8]) -> Option<usize> {
    let text = &text[..text.len().min(MARK_BYTES_MAX)];
    let end = memchr::memchr(b']', text)?;
    let inner = text[..end].strip_prefix(b"[")?;
    let colon = memchr::memchr(b':', inner)?;
    let (name, value) = (&inner[..colon], &inner[colon + 1..]);
    let digits = &value[value.iter().take_while(|b| **b == b'*').count()..];
    let masked = digits.len() <= CARD_DIGITS_SHOWN && digits.iter().all(u8::is_ascii_digit);
    let hashed = value.len() == 2 * HASH_BYTES && value.iter().all(u8::is_ascii_hexdigit);
    (std::str::from_utf8(name).is_ok_and(is_name) && (masked || hashed)).then_some(end + 1)
}

#[cfg(test)]
mod tests;
