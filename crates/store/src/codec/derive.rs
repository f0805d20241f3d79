//! Finds the template of a record that no known template fits.
//!
//! First the values that parsers took out are looked for in the record: times in known patterns,
//! then text, the longest first, best where the value's name stands before it. What is left over
//! is cut into words. Records that differ in left-over words alone share a group; a word that
//! differs becomes a variable of it, as Drain does it (He et al., ICWS 2017): at once where it has
//! digits; once a source has many groups, where the template of its message has a variable part
//! ([`pugmark_parse::templates`]), and at last anywhere.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::Array as _;
use memchr::memmem;
use pugmark_event::fields::{self, FieldId};
use pugmark_parse::templates::{Limits, Miner, Slot};
use twox_hash::XxHash3_64;

use super::clock::{KNOWN, Pattern};
use super::rows::{Column, Rows};
use super::stored::{Stored, address_len, uuid_len};
use super::template::{Form, Piece, Template, VARIABLES_MAX, Variable, backslashes};
use super::words::is_word;

/// Longest record that is taken apart.
pub(crate) const RECORD_BYTES_MAX: usize = 32 * 1024;
/// Groups of a source up to which every word without digits is kept as it is: a group for each
/// costs less than a column for what varies.
const GROUPS_LITERAL_MAX: usize = 128;
/// From then on words vary where the template of their message does, if so many records that
/// fitted no template of the file had it.
const OF_MESSAGE_MIN: u64 = 16;
/// Groups of a source from which on any word may become a variable.
const GROUPS_EXACT_MAX: usize = 192;
/// A value shorter than this must have its name before it.
const BARE_BYTES_MIN: usize = 3;
/// Places of a value in a record that are looked at.
const PLACES_MAX: usize = 64;
/// A word with so many digits is a variable from the first.
const DIGITS_VARIABLE_MIN: usize = 3;

/// Templates of messages that one encoder knows, their bytes, and sets of the cache of their forms.
const MESSAGE_TEMPLATES_MAX: usize = 4096;
const MESSAGE_TEMPLATES_BYTES_MAX: usize = 8 << 20;
const MESSAGE_CACHE_SETS: usize = 1 << 9;

/// A value found in the record.
#[derive(Debug, Clone)]
struct Span {
    start: usize,
    end: usize,
    piece: Piece,
    /// What is made up of what lies inside.
    composite: Option<Composite>,
}

/// A value that is not stored, since the pieces of the record in it are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Composite {
    Field(FieldId),
    /// An attribute, with the letter of its kind.
    Attribute(Box<str>, u8),
}

impl Composite {
    fn marks(&self) -> (Piece, Piece) {
        match self {
            Self::Field(id) => (Piece::Open(*id), Piece::Close(*id)),
            Self::Attribute(name, kind) => {
                (Piece::OpenAttribute(name.clone(), *kind), Piece::CloseAttribute(name.clone()))
            }
        }
    }
}

/// A part of a record before it is decided which words vary.
#[derive(Debug, Clone, PartialEq)]
enum Unit {
    Piece(Piece),
    Separator(String),
    /// A word, or where words differed the kind that holds them all.
    Word(String),
    Varies(Stored),
}

/// What was learnt of the records so far.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: HashMap<u64, Vec<Unit>>,
    of_source: HashMap<String, usize>,
    messages: Messages,
}

/// The templates of messages, which say what words without digits vary.
#[derive(Debug)]
struct Messages {
    miner: Miner,
    slots: Vec<Slot>,
}

impl Default for Messages {
    fn default() -> Self {
        let limits = Limits {
            templates_max: MESSAGE_TEMPLATES_MAX,
            bytes_max: MESSAGE_TEMPLATES_BYTES_MAX,
            // Nobody asks what became of a template.
            merges_max: 2,
            cache_sets: MESSAGE_CACHE_SETS,
            // The key of its hashes is known: messages made to collide cost a little of each
            // derivation, and an encoder derives a bounded number of templates.
            ..Limits::default()
        };
        Self { miner: Miner::new(limits), slots: Vec::new() }
    }
}

impl Messages {
    /// Learns from the message of a row, and says where in its record it surely varies.
    fn learn(&mut self, record: &str, rows: &Rows<'_>, row: usize) -> Vec<Range<usize>> {
        let Some(Column::Text(messages)) = rows.field(fields::MESSAGE) else { return Vec::new() };
        if messages.is_null(row) {
            return Vec::new();
        }
        let message = messages.value(row);
        let Some(start) = memmem::find(record.as_bytes(), message.as_bytes()) else {
            return Vec::new();
        };
        let id = self.miner.learn(message, &mut self.slots);
        if self.miner.template(id).is_none_or(|template| template.count() < OF_MESSAGE_MIN) {
            return Vec::new();
        }
        let range = |slot: &Slot| slot.start as usize..slot.end as usize;
        // What holds several words, such as the rest of a long message, says of none that it
        // varies.
        let words = self
            .slots
            .iter()
            .map(range)
            .filter(|slot| !message.as_bytes()[slot.clone()].contains(&b' '));
        words.map(|slot| start + slot.start..start + slot.end).collect()
    }
}

impl Groups {
    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// The template of a record; `None` when it has too many parts.
    pub(crate) fn derive(&mut self, record: &str, rows: &Rows<'_>, row: usize) -> Option<Template> {
        let source = rows.source(row);
        let groups = self.of_source.get(source).copied().unwrap_or(0);
        let varying = self.messages.learn(record, rows, row);
        let varying = if groups < GROUPS_LITERAL_MAX { &[][..] } else { &varying };
        let units = units(record, spans(record, rows, row), varying);
        let exact = groups < GROUPS_EXACT_MAX;
        let key = skeleton(source, &units, exact);
        let merged = match self.groups.get(&key) {
            Some(known) => merge(known, &units),
            None => units.into_iter().map(first_guess).collect(),
        };
        let template = Template::new(pieces(&merged)?)?;
        if !self.groups.contains_key(&key) {
            self.of_source.insert(source.to_string(), groups + 1);
        }
        self.groups.insert(key, merged);
        Some(template)
    }
}

/// A hash of everything but the words that may vary.
fn skeleton(source: &str, units: &[Unit], exact: bool) -> u64 {
    let mut text = format!("{source}\0");
    for unit in units {
        match unit {
            Unit::Piece(piece) => text.push_str(&format!("\u{1}{piece:?}")),
            Unit::Separator(separator) => text.push_str(separator),
            Unit::Word(word) if is_whole(word) => text.push(Stored::of(word).letter()),
            Unit::Word(word) if exact && !has_digit(word) => text.push_str(word),
            Unit::Word(_) | Unit::Varies(_) => text.push('\u{2}'),
        }
        text.push('\0');
    }
    XxHash3_64::oneshot(text.as_bytes())
}

/// True for what is one word though it has dots or dashes.
fn is_whole(word: &str) -> bool {
    !word.bytes().all(is_word)
}

fn has_digit(word: &str) -> bool {
    word.bytes().any(|b| b.is_ascii_digit())
}

fn first_guess(unit: Unit) -> Unit {
    match unit {
        Unit::Word(word) if surely_varies(&word) => Unit::Varies(Stored::of(&word)),
        other => other,
    }
}

fn surely_varies(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    is_whole(word) || digits >= DIGITS_VARIABLE_MIN && (digits == word.len() || word.len() >= 12)
}

fn merge(known: &[Unit], new: &[Unit]) -> Vec<Unit> {
    known
        .iter()
        .zip(new)
        .map(|(known, new)| match (known, new) {
            (Unit::Word(a), Unit::Word(b)) if a != b => {
                Unit::Varies(wider(Stored::of(a), Stored::of(b)))
            }
            (Unit::Varies(kind), Unit::Word(b)) => Unit::Varies(wider(*kind, Stored::of(b))),
            (Unit::Word(a), Unit::Varies(kind)) => Unit::Varies(wider(Stored::of(a), *kind)),
            (Unit::Varies(a), Unit::Varies(b)) => Unit::Varies(wider(*a, *b)),
            (known, _) => known.clone(),
        })
        .collect()
}

fn wider(a: Stored, b: Stored) -> Stored {
    if a == b { a } else { Stored::Text }
}

fn pieces(units: &[Unit]) -> Option<Vec<Piece>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut literal = String::new();
    let mut places = [0u8; Stored::ALL.len()];
    for unit in units {
        let piece = match unit {
            Unit::Separator(text) | Unit::Word(text) => {
                literal.push_str(text);
                continue;
            }
            Unit::Piece(piece) => piece.clone(),
            Unit::Varies(kind) => {
                let kind = *kind;
                let place = places[kind as usize];
                if place >= VARIABLES_MAX {
                    return None;
                }
                places[kind as usize] += 1;
                Piece::Variable(Variable { kind, place })
            }
        };
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal).into()));
        }
        pieces.push(piece);
    }
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal.into()));
    }
    Some(pieces)
}

/// Cuts the record at the spans, and the rest into words and what is between them. Words without
/// digits vary in these ranges of it.
fn units(record: &str, spans: Vec<Span>, varying: &[Range<usize>]) -> Vec<Unit> {
    let mut out = Vec::new();
    nest(&Text { record, varying }, 0..record.len(), &spans, &mut out);
    out
}

/// A record, and where its message varies.
struct Text<'r> {
    record: &'r str,
    varying: &'r [Range<usize>],
}

fn nest(text: &Text<'_>, range: Range<usize>, spans: &[Span], out: &mut Vec<Unit>) {
    let mut at = range.start;
    let mut next = 0;
    while next < spans.len() {
        let span = &spans[next];
        let inside = spans[next + 1..].iter().take_while(|s| s.end <= span.end).count();
        cut(text, at..span.start, out);
        match &span.composite {
            Some(composite) => {
                let (open, close) = composite.marks();
                out.push(Unit::Piece(open));
                let inner = &spans[next + 1..next + 1 + inside];
                nest(text, span.start..span.end, inner, out);
                out.push(Unit::Piece(close));
            }
            None => out.push(Unit::Piece(span.piece.clone())),
        }
        at = span.end;
        next += 1 + inside;
    }
    cut(text, at..range.end, out);
}

fn cut(text: &Text<'_>, range: Range<usize>, out: &mut Vec<Unit>) {
    let bytes = &text.record.as_bytes()[..range.end];
    let mut at = range.start;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let word = is_word(rest[0]);
        let guid = || Stored::Guid.len_at(rest);
        let whole = address_len(rest).or_else(|| uuid_len(rest)).or_else(guid).filter(|_| word);
        let run = || rest.iter().position(|b| is_word(*b) != word).unwrap_or(rest.len());
        let end = at + whole.unwrap_or_else(run);
        let part = text.record[at..end].to_string();
        let varies = || !has_digit(&part) && text.varying.iter().any(|r| r.contains(&at));
        out.push(match word {
            true if varies() => Unit::Varies(Stored::of(&part)),
            true => Unit::Word(part),
            false => Unit::Separator(part),
        });
        at = end;
    }
}

/// A value that may stand in the record.
struct Candidate<'a> {
    /// As the record would have it.
    text: String,
    piece: Piece,
    /// Names that may stand before it.
    names: Vec<&'a str>,
    /// Letter of the kind of an attribute.
    kind: u8,
}

impl Candidate<'_> {
    fn at(&self, start: usize) -> Span {
        let end = start + self.text.len();
        Span { start, end, piece: self.piece.clone(), composite: composite(&self.piece) }
    }
}

/// Values found in the record, ordered so that what lies inside another comes after it.
fn spans(record: &str, rows: &Rows<'_>, row: usize) -> Vec<Span> {
    let mut spans = time_spans(record, rows.times[row], rows.moved_minutes(row));
    let mut candidates = candidates(rows, row);
    candidates.sort_by_key(|c| std::cmp::Reverse(c.text.len()));
    for candidate in &candidates {
        if let Some(start) = place(record, candidate, &spans) {
            spans.push(candidate.at(start));
        }
    }
    for candidate in &candidates {
        spans.extend(same_as_field(record, candidate, &spans));
    }
    // What a message repeats is not stored again.
    for candidate in &candidates {
        if composite(&candidate.piece).is_none() && spans.iter().any(|s| s.piece == candidate.piece)
        {
            repeats(record, candidate, &mut spans);
        }
    }
    // Wider first where two begin together; of two the same, the one made up of the other.
    spans.sort_by_key(|s| (s.start, std::cmp::Reverse(s.end), s.composite.is_none()));
    let made_of_nothing: Vec<bool> =
        (0..spans.len()).map(|i| !keeps_composite(&spans, i)).collect();
    for (span, plain) in spans.iter_mut().zip(made_of_nothing) {
        if plain {
            span.composite = None;
        }
    }
    spans
}

/// A message is always taken apart, and an URL where its parts are known: the parts have columns.
fn composite(piece: &Piece) -> Option<Composite> {
    match piece {
        Piece::Field(id, Form::Plain) if [fields::MESSAGE, fields::URL_ORIGINAL].contains(id) => {
            Some(Composite::Field(*id))
        }
        _ => None,
    }
}

/// Parsers keep a product's own names beside the fields: an attribute that stands behind its name,
/// where a field or the time already is.
fn same_as_field(record: &str, candidate: &Candidate<'_>, spans: &[Span]) -> Option<Span> {
    let Piece::Attribute(name, Form::Plain) = &candidate.piece else { return None };
    if spans.iter().any(|span| same_value(&span.piece, &candidate.piece)) {
        return None;
    }
    let start = stands(record, &candidate.text).find(|start| {
        let end = start + candidate.text.len();
        let field =
            |span: &Span| matches!(span.piece, Piece::Field(..)) && span.composite.is_none();
        let same = |span: &&Span| span.start == *start && span.end == end;
        let here: Vec<&Span> = spans.iter().filter(same).collect();
        named(&record.as_bytes()[..*start], &candidate.names)
            && matches!(here[..], [it] if field(it))
    })?;
    let composite = Some(Composite::Attribute(name.clone(), candidate.kind));
    Some(Span { composite, ..candidate.at(start) })
}

fn keeps_composite(spans: &[Span], at: usize) -> bool {
    match &spans[at].composite {
        None => false,
        Some(Composite::Field(fields::MESSAGE) | Composite::Attribute(..)) => true,
        Some(_) => spans.get(at + 1).is_some_and(|inner| inner.end <= spans[at].end),
    }
}

fn candidates<'a>(rows: &Rows<'a>, row: usize) -> Vec<Candidate<'a>> {
    let mut out = Vec::new();
    let mut add = |text: &str, piece: &dyn Fn(Form) -> Piece, names: Vec<&'a str>, kind: u8| {
        if text.is_empty() {
            return;
        }
        let mut escaped = text.to_string();
        backslashes(&mut escaped, 0);
        if escaped != text {
            let names = names.clone();
            out.push(Candidate { text: escaped, piece: piece(Form::Json), names, kind });
        }
        out.push(Candidate { text: text.to_string(), piece: piece(Form::Plain), names, kind });
    };
    for id in &rows.present {
        let field = id.field();
        let aliases = field.aliases.iter().filter_map(|a| Some(a.split_once(':')?.1));
        let last = field.name.rsplit('.').next().unwrap_or(field.name);
        let names = [field.name, last].into_iter().chain(aliases).collect();
        let piece = |form| Piece::Field(*id, form);
        match rows.field(*id) {
            Some(column) if column.is_null(row) => {}
            Some(Column::Text(texts)) => add(texts.value(row), &piece, names, b's'),
            Some(Column::Long(longs)) => add(&longs.value(row).to_string(), &piece, names, b's'),
            None => {}
        }
    }
    let kinds = rows.kinds(row);
    for (at, entry) in rows.entries(row).enumerate() {
        let name = rows.key(entry);
        let last = name.rsplit('.').next().unwrap_or(name);
        let piece = |form| Piece::Attribute(name.into(), form);
        let kind = kinds.get(at).copied().unwrap_or(b's');
        add(rows.value(entry), &piece, vec![name, last], kind);
    }
    out
}

/// Where a value goes: best behind its name, else where it stands alone.
fn place(record: &str, candidate: &Candidate<'_>, spans: &[Span]) -> Option<usize> {
    // Its other form is there already.
    let same = |s: &Span| same_value(&s.piece, &candidate.piece);
    if spans.iter().any(same) {
        return None;
    }
    let bytes = record.as_bytes();
    let mut bare = None;
    for start in stands(record, &candidate.text) {
        if !fits(start, start + candidate.text.len(), candidate, spans) {
            continue;
        }
        if named(&bytes[..start], &candidate.names) {
            return Some(start);
        }
        if bare.is_none() && candidate.text.len() >= BARE_BYTES_MIN {
            bare = Some(start);
        }
    }
    bare
}

/// Adds the other places of a value that has one.
fn repeats(record: &str, candidate: &Candidate<'_>, spans: &mut Vec<Span>) {
    if candidate.text.len() < BARE_BYTES_MIN {
        return;
    }
    for start in stands(record, &candidate.text) {
        if fits(start, start + candidate.text.len(), candidate, spans) {
            spans.push(candidate.at(start));
        }
    }
}

/// Where a text stands in the record without being a part of a longer word.
fn stands<'a>(record: &'a str, text: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = record.as_bytes();
    memmem::find_iter(bytes, text.as_bytes()).take(PLACES_MAX).filter(move |start| {
        let end = start + text.len();
        (*start == 0 || !is_word(bytes[start - 1]) || !is_word(bytes[*start]))
            && bytes.get(end).is_none_or(|b| !is_word(*b) || !is_word(bytes[end - 1]))
    })
}

fn same_value(a: &Piece, b: &Piece) -> bool {
    match (a, b) {
        (Piece::Field(a, _), Piece::Field(b, _)) => a == b,
        (Piece::Attribute(a, _), Piece::Attribute(b, _)) => a == b,
        _ => false,
    }
}

/// Free ground, or inside of a composite, or around a composite's equal.
fn fits(start: usize, end: usize, candidate: &Candidate<'_>, spans: &[Span]) -> bool {
    spans.iter().all(|span| {
        let apart = end <= span.start || start >= span.end;
        let inside = start >= span.start && end <= span.end;
        let around = start <= span.start && end >= span.end;
        let open = matches!(span.composite, Some(Composite::Field(_)));
        apart || inside && open || around && composite(&candidate.piece).is_some()
    })
}

/// True when one of the names stands before the value: `name=`, `"name":"`, `name: `.
fn named(before: &[u8], names: &[&str]) -> bool {
    let key = before.len()
        - before
            .iter()
            .rev()
            .take_while(|b| matches!(b, b'"' | b'\'' | b'=' | b':' | b' ' | b'>' | b'\\'))
            .count();
    if key == before.len() {
        return false;
    }
    names.iter().any(|name| {
        let start = key.checked_sub(name.len());
        start.is_some_and(|start| {
            before[start..key].eq_ignore_ascii_case(name.as_bytes())
                && (start == 0 || !is_word(before[start - 1]))
        })
    })
}

/// Where a record has its event's time, which may have been moved since it was read.
fn time_spans(record: &str, time: i64, moved_minutes: i32) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut text = String::new();
    let offsets = offsets(record);
    for pattern in KNOWN {
        for offset in &offsets {
            let written = offset.saturating_sub(moved_minutes);
            let Some(pattern) = Pattern::parse(pattern, written) else { continue };
            text.clear();
            pattern.render(time, &mut text);
            let pattern = Arc::new(pattern);
            for start in memmem::find_iter(record.as_bytes(), &text).take(4) {
                let end = start + text.len();
                let free = spans.iter().all(|s| end <= s.start || start >= s.end);
                // Digits of a longer number are no time.
                let bytes = record.as_bytes();
                let alone = (start == 0 || !bytes[start - 1].is_ascii_digit())
                    && bytes.get(end).is_none_or(|b| !b.is_ascii_digit());
                if text.len() >= 8 && free && alone {
                    let piece = Piece::Field(fields::EVENT_TIME, Form::Time(pattern.clone()));
                    spans.push(Span { start, end, piece, composite: None });
                }
            }
        }
    }
    spans
}

/// Offsets from UTC, in minutes, that the record may name: `+02:00`, `-0530`.
fn offsets(record: &str) -> Vec<i32> {
    let bytes = record.as_bytes();
    let mut found = vec![0];
    for at in memchr::memchr2_iter(b'+', b'-', bytes) {
        let mut digits = bytes[at + 1..].iter().filter(|b| **b != b':').take(4);
        let number =
            digits.try_fold(0i32, |n, b| b.is_ascii_digit().then(|| n * 10 + i32::from(b - b'0')));
        let before = at.checked_sub(1).map_or(0, |before| bytes[before]);
        let behind_digit = before.is_ascii_digit() || before == b' ';
        let Some(number) = number.filter(|_| behind_digit) else { continue };
        let minutes = number / 100 * 60 + number % 100;
        let minutes = if bytes[at] == b'-' { -minutes } else { minutes };
        if minutes % 15 == 0 && minutes.abs() <= 14 * 60 && !found.contains(&minutes) {
            found.push(minutes);
        }
        if found.len() >= 4 {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use pugmark_event::time::{CLOCK_CORRECTION, HOUR, MINUTE, Micros};
    use pugmark_event::{BatchBuilder, Value};

    use super::*;

    const TIME: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

    /// Whether the time of an event is found in its record, day and clock in one.
    #[track_caller]
    fn check(record: &str, time: Micros, correction: Option<&str>, expected: bool) {
        let mut builder = BatchBuilder::new("s", TIME);
        builder.begin(1, record.as_bytes());
        if let Some(seconds) = correction {
            builder.attribute(CLOCK_CORRECTION, Value::Number(seconds));
        }
        builder.end(Some(time));
        let batch = builder.finish().unwrap();
        let rows = Rows::new(batch.columns());
        let is_time = |span: &Span| {
            let length = span.end - span.start;
            matches!(span.piece, Piece::Field(fields::EVENT_TIME, _)) && length > "2026-11-23".len()
        };
        let found = spans(record, &rows, 0).iter().any(is_time);
        assert_eq!(found, expected, "{record} {correction:?}");
    }

    #[test]
    fn a_time_that_was_moved_is_found_as_it_was_written() {
        let plain = "2026-11-23 10:00:00 started";
        check(plain, TIME, None, true);
        check(plain, TIME - 2 * HOUR, Some("-7200"), true);
        check(plain, TIME - 2 * HOUR, None, false);
        check("2026-11-23T12:00:00+02:00 started", TIME + 7 * MINUTE, Some("420"), true);
        // Not by whole minutes, and no correction at all.
        check(plain, TIME + 61_000_000, Some("61"), false);
        check(plain, TIME, Some("x"), true);
        check(plain, TIME, Some("2147483640"), false);
    }
}
