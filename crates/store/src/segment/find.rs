//! Finds the rows whose record has every word of a question, or may have a part of a text, reading
//! as little as possible.
//!
//! What a template says of a word decides for all its records at once: its text has the word, or
//! none of the columns that it takes values from can, or these columns must be looked at. Only
//! where a value touches letters of the template must a record be put together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBufferBuilder, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use hashbrown::HashMap as FastMap;
use pugmark_event::Kind;
use pugmark_event::fields::{ATTRIBUTES, EVENT_TIME, FieldId, ORIGINAL, ORIGINAL_BYTES};

use super::assemble::{COMPOSITES, columns_of};
use super::index::{Blocks, GroupIndex, Index, has_block};
use super::layout::{Layout, TEMPLATE};
use crate::codec::decode::Decoder;
use crate::codec::stored::{Stored, push_text};
use crate::codec::template::{Form, Piece, Template, Variable};
use crate::codec::words::{
    WordFinder, has_part, has_phrase, has_word, hash_word, is_common, is_word, words,
};
use crate::keep::Phrase;

/// Bytes of a part of a text that templates are asked for: their number and 0 are a bit each.
const PART_BYTES_MAX: usize = 63;

/// What is known of the templates of one file, made once.
#[derive(Debug)]
pub(crate) struct Lookup {
    templates: Vec<Places>,
    by_text: FastMap<Arc<str>, usize>,
    /// Every word of the text of a template, by its hash, with the template.
    words: Vec<(u64, u32)>,
    /// Columns of the file that records are put together from.
    record: BTreeSet<String>,
    /// The same for the fields that templates make up.
    composites: Vec<(FieldId, BTreeSet<String>)>,
    /// And for attributes, by name.
    attributes: BTreeMap<String, BTreeSet<String>>,
}

/// Where a template takes its values from.
#[derive(Debug)]
struct Places {
    template: Arc<Template>,
    alone: Vec<Alone>,
    /// The values that touch letters.
    glued: Vec<Glued>,
}

/// A value without letters beside it: its words are words of the record.
#[derive(Debug)]
struct Alone {
    piece: usize,
    /// The column's place in the index.
    column: usize,
    value: Letters,
}

/// What a word with a part of a value in it must look like.
#[derive(Debug)]
struct Glued {
    /// Letters of the template right before and right after the value.
    before: Box<[u8]>,
    after: Box<[u8]>,
    value: Letters,
}

/// What the words of a value are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letters {
    Digits,
    Hex,
    /// Digits, the `T` and `Z` of ISO 8601, and names of months.
    Time,
    Any,
}

impl Lookup {
    pub(crate) fn new(index: &Index, layout: &Layout) -> Self {
        let columns: HashMap<&str, usize> =
            index.columns().enumerate().map(|(at, name)| (name, at)).collect();
        let of = |range: &dyn Fn(&Template) -> Option<Range<usize>>| {
            let pieces = index.templates.iter().filter_map(|t| t.pieces.get(range(t)?)).flatten();
            columns_of(pieces, layout, |name| index.in_map(name))
        };
        let (mut words, mut attributes) = (Vec::new(), BTreeMap::new());
        for (at, template) in index.templates.iter().enumerate() {
            for (name, _, range) in template.made_attributes() {
                let pieces = template.pieces[range].iter();
                let columns = columns_of(pieces, layout, |name| index.in_map(name));
                attributes.entry(name.to_string()).or_insert_with(BTreeSet::new).extend(columns);
            }
            words.extend(template.words().map(|word| (hash_word(word), at as u32)));
        }
        words.sort_unstable();
        words.dedup();
        let templates = index.templates.iter();
        Self {
            templates: templates.clone().map(|t| Places::new(t, &columns)).collect(),
            by_text: templates.enumerate().map(|(at, t)| (t.text.clone(), at)).collect(),
            words,
            record: of(&|template| Some(0..template.pieces.len())),
            composites: COMPOSITES.map(|id| (id, of(&|template| template.derived(id)))).into(),
            attributes,
        }
    }

    /// Columns of the file that records are put together from.
    pub(crate) fn record_columns(&self) -> &BTreeSet<String> {
        &self.record
    }

    /// Columns of the file that the field is put together from, where it is.
    pub(crate) fn composite_columns(&self, id: FieldId) -> impl Iterator<Item = &String> {
        let found = self.composites.iter().find(|(known, _)| *known == id);
        found.into_iter().flat_map(|(_, columns)| columns)
    }

    /// Memory that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let places = self.templates.iter().map(|p| 16 * p.alone.len() + 64 * p.glued.len() + 64);
        let places: usize = places.sum();
        places + 16 * self.words.len() + 64 * self.by_text.len()
    }

    /// The same for a field in records of these templates alone.
    pub(super) fn composite_columns_of(
        &self,
        id: FieldId,
        open: &[bool],
        (index, layout): (&Index, &Layout),
    ) -> BTreeSet<String> {
        let templates = self.templates.iter().zip(open).filter(|(_, open)| **open);
        let templates = templates.map(|(places, _)| &places.template);
        let pieces = templates.filter_map(|t| t.pieces.get(t.derived(id)?)).flatten();
        columns_of(pieces, layout, |name| index.in_map(name))
    }

    /// The parsed template with this text.
    pub(crate) fn template(&self, text: &str) -> Option<&Arc<Template>> {
        self.by_text.get(text).map(|at| &self.templates[*at].template)
    }

    /// The place of the template with this text among those of the index.
    pub(crate) fn place(&self, text: &str) -> Option<usize> {
        self.by_text.get(text).copied()
    }

    /// Columns of the file that those attributes are put together from which templates make up and
    /// which are asked for by name.
    pub(crate) fn attribute_columns(
        &self,
        asked: &dyn Fn(&str) -> bool,
    ) -> impl Iterator<Item = &String> {
        self.attributes.iter().filter(move |(known, _)| asked(known)).flat_map(|(_, c)| c)
    }

    /// For each template whether its text has the word.
    fn with_word(&self, hash: u64) -> Vec<bool> {
        let mut with = vec![false; self.templates.len()];
        let start = self.words.partition_point(|(word, _)| *word < hash);
        for (_, at) in self.words[start..].iter().take_while(|(word, _)| *word == hash) {
            with[*at as usize] = true;
        }
        with
    }
}

impl Places {
    fn new(template: &Arc<Template>, columns: &HashMap<&str, usize>) -> Self {
        let mut places = Self { template: template.clone(), alone: Vec::new(), glued: Vec::new() };
        for (piece, glued) in template.glued.iter().enumerate() {
            let Some(name) = template.pieces[piece].column() else { continue };
            match columns.get(name.as_str()) {
                Some(column) if !glued => {
                    let value = Letters::of(&template.pieces[piece]);
                    places.alone.push(Alone { piece, column: *column, value });
                }
                // A value whose column the index does not know is treated as one that touches.
                _ => places.glued.push(Glued::new(&template.pieces, piece)),
            }
        }
        places
    }
}

impl Glued {
    fn new(pieces: &[Piece], at: usize) -> Self {
        let solid = |piece: &&Piece| !piece.is_mark();
        let before = match pieces[..at].iter().rev().find(solid) {
            None => Some(Vec::new()),
            Some(Piece::Text(text)) => {
                let bytes = text.as_bytes();
                let len = bytes.iter().rev().take_while(|b| is_word(**b)).count();
                // Letters up to the piece before it may go on there.
                (len < bytes.len()).then(|| bytes[bytes.len() - len..].to_vec())
            }
            Some(_) => None,
        };
        let after = match pieces[at + 1..].iter().find(solid) {
            None => Some(Vec::new()),
            Some(Piece::Text(text)) => {
                let bytes = text.as_bytes();
                let len = bytes.iter().take_while(|b| is_word(**b)).count();
                (len < bytes.len()).then(|| bytes[..len].to_vec())
            }
            Some(_) => None,
        };
        match (before, after) {
            (Some(before), Some(after)) => {
                let value = Letters::of(&pieces[at]);
                Self { before: before.into(), after: after.into(), value }
            }
            // Two values that touch make words of any kind.
            _ => Self { before: Box::default(), after: Box::default(), value: Letters::Any },
        }
    }

    /// False when the word cannot have a part of the value in it.
    fn may_be(&self, word: &[u8]) -> bool {
        if self.value == Letters::Any {
            return true;
        }
        let rest = match word.get(..self.before.len()) {
            Some(start) if start.eq_ignore_ascii_case(&self.before) => &word[start.len()..],
            _ => word,
        };
        let end = rest.len().saturating_sub(self.after.len());
        let rest = if rest[end..].eq_ignore_ascii_case(&self.after) { &rest[..end] } else { rest };
        self.value.may_make(rest)
    }
}

impl Letters {
    fn of(piece: &Piece) -> Self {
        match piece {
            Piece::Field(_, Form::Time(_)) => Self::Time,
            Piece::Field(id, _) if id.field().kind == Kind::Long => Self::Digits,
            Piece::Variable(variable) => match variable.kind {
                Stored::Integer | Stored::Address => Self::Digits,
                Stored::Hex | Stored::Uuid | Stored::Guid => Self::Hex,
                // An `x` is no hex digit.
                Stored::HexNumber | Stored::Text => Self::Any,
            },
            _ => Self::Any,
        }
    }

    /// False when no word of such a value is this one, which is in lower case.
    fn may_make(self, word: &[u8]) -> bool {
        match self {
            Self::Digits => word.iter().all(u8::is_ascii_digit),
            Self::Hex => word.iter().all(u8::is_ascii_hexdigit),
            Self::Time => {
                let of_time = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b't' | b'z');
                // A name of a month, or what a part of a text has of one.
                word.iter().all(of_time)
                    || word.len() <= 3 && word.iter().all(u8::is_ascii_alphabetic)
            }
            Self::Any => true,
        }
    }

    /// False when no such value has this text, which is in lower case, in it.
    fn may_have(self, text: &[u8]) -> bool {
        let between = |byte: u8| match self {
            Self::Digits | Self::Hex => matches!(byte, b'-' | b'.' | b'{' | b'}'),
            Self::Time | Self::Any => true,
        };
        text.iter().all(|byte| is_word(*byte) || between(*byte))
            && words(text).all(|word| self.may_make(word))
    }
}

/// The words of a question in one row group.
pub(super) struct Finder<'a> {
    words: Vec<Word<'a>>,
    index: &'a Index,
    group: &'a GroupIndex,
    lookup: &'a Lookup,
    layout: &'a Layout,
}

struct Word<'a> {
    text: &'a str,
    hash: u64,
    /// Filters say nothing of it.
    unfiltered: bool,
    /// For each template whether its text has the word.
    with: Vec<bool>,
    /// For each column of the index the blocks in which a listed value has the word.
    listed: Vec<Blocks>,
}

impl Word<'_> {
    /// True when the text of some template or a listed value of the block has it.
    fn is_elsewhere(&self, block: usize) -> bool {
        self.with.contains(&true) || self.listed.iter().any(|blocks| has_block(*blocks, block))
    }
}

impl<'a> Finder<'a> {
    pub(super) fn new(
        texts: &'a [String],
        (index, group): (&'a Index, &'a GroupIndex),
        lookup: &'a Lookup,
        layout: &'a Layout,
    ) -> Self {
        let words = texts.iter().map(|text| {
            let hash = hash_word(text.as_bytes());
            let unfiltered = is_common(text.as_bytes());
            let (with, listed) = (lookup.with_word(hash), group.listed(hash));
            Word { text, hash, unfiltered, with, listed }
        });
        Self { words: words.collect(), index, group, lookup, layout }
    }

    /// Those of `blocks` that may have such a record, gathered by how to look for it in them.
    pub(super) fn sieves(
        &self,
        blocks: impl Iterator<Item = usize>,
    ) -> Vec<(Sieve<'a>, Vec<usize>)> {
        let mut alike: BTreeMap<Vec<bool>, Vec<usize>> = BTreeMap::new();
        for block in blocks {
            let among_many = |word: &Word<'_>| {
                word.unfiltered || self.index.block_has(self.group, block, word.hash)
            };
            let many: Vec<bool> = self.words.iter().map(among_many).collect();
            if self.words.iter().zip(&many).all(|(word, many)| *many || word.is_elsewhere(block)) {
                alike.entry(many).or_default().push(block);
            }
        }
        let sieves = alike.into_iter().map(|(many, blocks)| (self.sieve(&many), blocks));
        sieves.filter(|(sieve, _)| sieve.may_pass()).collect()
    }

    /// For each word whether it may be among the many values of a column somewhere in the group.
    fn among_many(&self) -> Vec<bool> {
        let in_a_block = |word: &Word<'_>| {
            let mut blocks = 0..self.group.blocks();
            word.unfiltered
                || blocks.any(|block| self.index.block_has(self.group, block, word.hash))
        };
        self.words.iter().map(in_a_block).collect()
    }

    /// For each template whether some record in the group may have all words.
    fn possible(&self) -> Vec<bool> {
        let many = self.among_many();
        let mut sieve = Sieve::new(self.lookup, self.layout);
        let templates = 0..self.lookup.templates.len();
        templates.map(|at| !matches!(self.known(at, &many, &mut sieve), Known::No)).collect()
    }

    /// How to look where these words may be among the many values of a column.
    fn sieve(&self, among_many: &[bool]) -> Sieve<'a> {
        let mut sieve = Sieve {
            words: self.words.iter().map(|word| word.text).collect(),
            verbatim: among_many.iter().all(|many| *many),
            ..Sieve::new(self.lookup, self.layout)
        };
        for template in 0..self.lookup.templates.len() {
            let known = self.known(template, among_many, &mut sieve);
            sieve.known.push(known);
        }
        sieve
    }

    /// What is known of the records of a template.
    fn known(&self, template: usize, among_many: &[bool], sieve: &mut Sieve<'a>) -> Known {
        let places = &self.lookup.templates[template];
        let mut open = Vec::new();
        for (at, (word, many)) in self.words.iter().zip(among_many).enumerate() {
            if word.with[template] {
                continue;
            }
            let may = |alone: &&Alone| {
                self.column_may_have(word, alone.column, *many)
                    && alone.value.may_make(word.text.as_bytes())
            };
            let pieces = places.alone.iter().filter(may);
            let pieces: Vec<&Piece> =
                pieces.map(|alone| &places.template.pieces[alone.piece]).collect();
            let glued = *many && places.glued.iter().any(|g| g.may_be(word.text.as_bytes()));
            if pieces.is_empty() && !glued {
                return Known::No;
            }
            open.push((at, pieces, glued));
        }
        if open.is_empty() {
            return Known::Yes;
        }
        // Only now: a template without a chance asks for no column.
        let open = open.into_iter().map(|(word, pieces, glued)| Open {
            places: pieces.into_iter().flat_map(|p| sieve.places(p, word, self.index)).collect(),
            glued,
        });
        Known::Perhaps(open.collect())
    }
}

impl Finder<'_> {
    /// Whether values of a column may have a word, which may be among many values or not.
    fn column_may_have(&self, word: &Word<'_>, column: usize, among_many: bool) -> bool {
        word.listed.get(column).is_some_and(|blocks| *blocks != 0)
            || among_many && self.group.spilled(column)
    }

    /// False when these pieces of a template cannot have a part, whose inner words, at these
    /// places of it, are the words that are looked for.
    fn may_have(
        &self,
        at: usize,
        pieces: Range<usize>,
        (part, inner): (&[u8], &[Range<usize>]),
        many: &[bool],
    ) -> bool {
        let places = &self.lookup.templates[at];
        let reach = |piece: usize, from: usize| {
            let piece = pieces.start + piece;
            let reach = reach(&places.template.pieces[piece], part, from);
            let Some(alone) = places.alone.iter().find(|alone| alone.piece == piece) else {
                return reach;
            };
            // The value ends before a word that its column has nowhere.
            let words = inner.iter().zip(&self.words).zip(many);
            let mut words = words.filter(|((place, _), _)| place.start >= from);
            let missing =
                words.find(|((_, word), many)| !self.column_may_have(word, alone.column, **many));
            missing.map_or(reach, |((place, _), _)| reach.min(place.end - 1))
        };
        may_stand(&places.template.pieces[pieces.clone()], part, &reach)
    }
}

/// For each template whether the field that it makes up may have a part, whose ASCII letters are in
/// lower case, in a record of the group. True where it does not make it up.
pub(super) fn fields_with_part(
    part: &str,
    id: FieldId,
    (index, group): (&Index, &GroupIndex),
    lookup: &Lookup,
    layout: &Layout,
) -> Vec<bool> {
    let (inner, words) = (inner_places(part.as_bytes()), inner_words(part));
    let asked = (part.as_bytes(), &inner[..]);
    let finder = Finder::new(&words, (index, group), lookup, layout);
    let many = finder.among_many();
    let may = |(at, places): (usize, &Places)| {
        let pieces = places.template.derived(id);
        pieces.is_none_or(|pieces| finder.may_have(at, pieces, asked, &many))
    };
    lookup.templates.iter().enumerate().map(may).collect()
}

/// What is known of the records of a template.
#[derive(Debug)]
enum Known {
    /// They have all words.
    Yes,
    /// None has all words.
    No,
    /// These words are not in the template's text.
    Perhaps(Vec<Open>),
}

/// A word that a record of a template may have in one of its values.
#[derive(Debug)]
struct Open {
    places: Vec<Place>,
    /// Whether it may stand where a value touches a letter.
    glued: bool,
}

/// Where a value is, with the word that it may have.
#[derive(Debug)]
enum Place {
    /// One of [`Sieve::searches`].
    Search(usize),
    /// In the map of attributes.
    Map(Box<str>, usize),
    /// The time of the event, as the piece writes it.
    Time(Piece, usize),
}

/// Tells rows with all words from rows without.
#[derive(Debug)]
pub(super) struct Sieve<'a> {
    /// For each template of the index.
    known: Vec<Known>,
    words: Vec<&'a str>,
    /// Whether they are parts of a text, of which one is enough.
    parts: bool,
    /// Whether records that have no template may pass.
    verbatim: bool,
    /// Columns to search, each for one word.
    searches: Vec<(String, usize)>,
    lookup: &'a Lookup,
    layout: &'a Layout,
}

/// What came of a batch.
#[derive(Debug)]
pub(super) struct Sifted {
    /// Rows that have every word.
    pub(super) yes: BooleanBuffer,
    /// Rows of which it is not known yet.
    pub(super) perhaps: BooleanBuffer,
}

impl Sifted {
    /// By what is known of each of so many rows.
    pub(super) fn of(rows: usize, mut verdict: impl FnMut(usize) -> Option<bool>) -> Self {
        let mut perhaps = BooleanBufferBuilder::new(rows);
        perhaps.append_n(rows, false);
        let yes = BooleanBuffer::collect_bool(rows, |row| {
            let verdict = verdict(row);
            if verdict.is_none() {
                perhaps.set_bit(row, true);
            }
            verdict == Some(true)
        });
        Self { yes, perhaps: perhaps.finish() }
    }
}

impl<'a> Sieve<'a> {
    /// A sieve that looks for nothing yet.
    fn new(lookup: &'a Lookup, layout: &'a Layout) -> Self {
        let (known, words, searches) = (Vec::new(), Vec::new(), Vec::new());
        Self { known, words, parts: false, verbatim: true, searches, lookup, layout }
    }

    /// A sieve for records with one of these parts of a text: their ASCII letters are in lower
    /// case, and they have neither quotes nor backslashes, which records write in more ways than
    /// one.
    pub(super) fn of_parts(
        parts: &'a [String],
        (index, group): (&Index, &GroupIndex),
        lookup: &'a Lookup,
        layout: &'a Layout,
    ) -> Self {
        let words = parts.iter().map(String::as_str).collect();
        let mut sieve = Sieve { words, parts: true, ..Sieve::new(lookup, layout) };
        let possible: Vec<Vec<bool>> = parts
            .iter()
            .map(|part| Finder::new(&inner_words(part), (index, group), lookup, layout).possible())
            .collect();
        for (at, places) in lookup.templates.iter().enumerate() {
            let asked: Vec<usize> = (0..parts.len()).filter(|part| possible[*part][at]).collect();
            let known = sieve.known_of_parts(&places.template, &asked, index);
            sieve.known.push(known);
        }
        sieve
    }

    /// What is known of the records of a template, of which these parts are asked.
    fn known_of_parts(&mut self, template: &Template, asked: &[usize], index: &Index) -> Known {
        let runs = runs(&template.pieces);
        let mut open = Open { places: Vec::new(), glued: false };
        for &word in asked {
            let part = self.words[word].as_bytes();
            for run in &runs {
                match run {
                    Run::Text(text) if has_part(text, part) => return Known::Yes,
                    Run::Value(piece) if words(part).all(|w| Letters::of(piece).may_make(w)) => {
                        open.places.extend(self.places(piece, word, index));
                    }
                    Run::Text(_) | Run::Value(_) => {}
                }
            }
            open.glued |= crosses(&runs, part);
        }
        match open.places.is_empty() && !open.glued {
            true => Known::No,
            false => Known::Perhaps(vec![open]),
        }
    }

    /// Where the value of a piece may be.
    fn places(&mut self, piece: &Piece, word: usize, index: &Index) -> Vec<Place> {
        match piece {
            Piece::Field(_, Form::Time(_)) => {
                vec![Place::Time(piece.clone(), word)]
            }
            Piece::Field(id, _) => vec![self.column(id.column(), word)],
            Piece::Variable(variable) => vec![self.column(&variable.column(), word)],
            Piece::Attribute(name, _) => {
                let promoted = self.layout.promoted(name);
                let mut places: Vec<Place> =
                    promoted.iter().map(|p| self.column(&p.column, word)).collect();
                if index.in_map(name) {
                    places.push(Place::Map(name.clone(), word));
                }
                places
            }
            Piece::Text(_)
            | Piece::Open(_)
            | Piece::Close(_)
            | Piece::OpenAttribute(..)
            | Piece::CloseAttribute(_) => Vec::new(),
        }
    }

    /// The columns that the records of rows are put together from which stay open.
    pub(super) fn open_columns(&self, index: &Index) -> BTreeSet<String> {
        let is_open = |known: &Known| match known {
            Known::Perhaps(open) => open.iter().any(|open| open.glued),
            Known::Yes | Known::No => false,
        };
        let templates = self.lookup.templates.iter().zip(&self.known);
        let open = templates.filter(|(_, known)| is_open(known));
        let pieces = open.flat_map(|(places, _)| &places.template.pieces);
        let mut columns = columns_of(pieces, self.layout, |name| index.in_map(name));
        let all_need = [EVENT_TIME, ORIGINAL, ORIGINAL_BYTES].map(|id| id.column());
        columns.extend(all_need.into_iter().chain([TEMPLATE]).map(str::to_string));
        columns
    }

    fn is_in(&self, text: &[u8], word: usize) -> bool {
        match self.parts {
            true => has_part(text, self.words[word].as_bytes()),
            false => has_word(text, self.words[word].as_bytes()),
        }
    }

    fn may_pass(&self) -> bool {
        self.verbatim || self.known.iter().any(|known| !matches!(known, Known::No))
    }

    fn column(&mut self, name: &str, word: usize) -> Place {
        let same = |search: &(String, usize)| search.0 == name && search.1 == word;
        let at = self.searches.iter().position(same).unwrap_or_else(|| {
            self.searches.push((name.to_string(), word));
            self.searches.len() - 1
        });
        Place::Search(at)
    }

    /// The columns that [`Sieve::by_template`] looks at.
    pub(super) fn template_columns(&self) -> BTreeSet<String> {
        let verbatim = [ORIGINAL, ORIGINAL_BYTES].map(|id| id.column());
        let verbatim = verbatim.into_iter().filter(|_| self.verbatim);
        [TEMPLATE].into_iter().chain(verbatim).map(str::to_string).collect()
    }

    /// Tells rows apart by their template, or by their record where it has none, and adds the
    /// columns to `columns` that must be looked at in rows that are left open.
    pub(super) fn by_template(
        &self,
        batch: &RecordBatch,
        columns: &mut BTreeSet<String>,
    ) -> Sifted {
        let decoder = Decoder::new(batch, self.layout);
        let mut verdicts = vec![None; decoder.template_texts().map_or(0, Array::len)];
        let verdict = |row: usize| {
            let Some(key) = decoder.key(row) else {
                return Some(self.verbatim && self.verbatim_has(batch, row));
            };
            *verdicts[key].get_or_insert_with(|| {
                match self.template(&decoder, key).map(|at| &self.known[at]) {
                    Some(Known::Yes) => Some(true),
                    Some(Known::No) => Some(false),
                    Some(Known::Perhaps(open)) => {
                        self.add_columns(open, columns);
                        None
                    }
                    None => None,
                }
            })
        };
        Sifted::of(batch.num_rows(), verdict)
    }

    fn template(&self, decoder: &Decoder<'_>, key: usize) -> Option<usize> {
        self.lookup.by_text.get(decoder.template_texts()?.value(key)).copied()
    }

    fn add_columns(&self, open: &[Open], columns: &mut BTreeSet<String>) {
        columns.insert(TEMPLATE.to_string());
        for place in open.iter().flat_map(|open| &open.places) {
            columns.insert(match place {
                Place::Search(at) => self.searches[*at].0.clone(),
                Place::Map(..) => ATTRIBUTES.to_string(),
                Place::Time(..) => EVENT_TIME.column().to_string(),
            });
        }
    }

    /// Looks at the values of rows that [`Sieve::by_template`] left open; times in microseconds.
    pub(super) fn by_value(&self, batch: &RecordBatch) -> Sifted {
        let decoder = Decoder::new(batch, self.layout);
        let hits = Hits { sieve: self, decoder: &decoder, found: self.search(batch) };
        let mut any = BooleanBuffer::new_unset(batch.num_rows());
        for found in hits.found.iter().flatten() {
            any = &any | found;
        }
        let mut verdicts: Vec<Option<Verdict<'_>>> = Vec::new();
        verdicts.resize_with(decoder.template_texts().map_or(0, Array::len), || None);
        let verdict = |row: usize| {
            let Some(key) = decoder.key(row) else { return Some(false) };
            match verdicts[key].get_or_insert_with(|| hits.verdict(key)) {
                Verdict::Hits(_) if !any.value(row) => Some(false),
                Verdict::Hits(open) | Verdict::Each(open) => hits.row(open, row),
                Verdict::Whole => None,
            }
        };
        Sifted::of(batch.num_rows(), verdict)
    }

    /// The rows with a hit, for each search; `None` where there are none.
    fn search(&self, batch: &RecordBatch) -> Vec<Option<BooleanBuffer>> {
        let searches = self.searches.iter().map(|(name, word)| {
            let rows = self.rows_with(batch.column_by_name(name)?, *word);
            (rows.count_set_bits() > 0).then_some(rows)
        });
        searches.collect()
    }
}

/// How rows of a template are looked at.
enum Verdict<'a> {
    /// Rows without a hit have not every word.
    Hits(&'a [Open]),
    Each(&'a [Open]),
    /// The record must be put together.
    Whole,
}

/// Rows of a batch with a word in a column.
struct Hits<'a> {
    sieve: &'a Sieve<'a>,
    decoder: &'a Decoder<'a>,
    found: Vec<Option<BooleanBuffer>>,
}

impl<'a> Hits<'a> {
    fn verdict(&self, key: usize) -> Verdict<'a> {
        let known = self.sieve.template(self.decoder, key).map(|at| &self.sieve.known[at]);
        let Some(Known::Perhaps(open)) = known else { return Verdict::Whole };
        let searched = |open: &Open| {
            !open.glued && open.places.iter().all(|place| matches!(place, Place::Search(_)))
        };
        match open.iter().any(searched) {
            true => Verdict::Hits(open),
            false => Verdict::Each(open),
        }
    }

    fn row(&self, open: &[Open], row: usize) -> Option<bool> {
        let mut sure = true;
        for open in open {
            if open.places.iter().any(|place| self.has(place, row)) {
                continue;
            }
            if !open.glued {
                return Some(false);
            }
            sure = false;
        }
        sure.then_some(true)
    }

    fn has(&self, place: &Place, row: usize) -> bool {
        match place {
            Place::Search(at) => self.found[*at].as_ref().is_some_and(|rows| rows.value(row)),
            Place::Map(name, word) => {
                let value = self.decoder.attribute(row, name);
                value.is_some_and(|value| self.text_has(value, *word))
            }
            Place::Time(piece, word) => {
                let mut text = String::new();
                self.decoder.time(row, piece, &mut text).is_some() && self.text_has(&text, *word)
            }
        }
    }

    fn text_has(&self, text: &str, word: usize) -> bool {
        self.sieve.is_in(text.as_bytes(), word)
    }
}

impl Sieve<'_> {
    /// Rows of a column whose value has the word.
    fn rows_with(&self, column: &ArrayRef, word: usize) -> BooleanBuffer {
        let all = |test: fn(&u8) -> bool| words(self.words[word].as_bytes()).flatten().all(test);
        let possible = match column.data_type() {
            DataType::Int64 | DataType::UInt32 => all(u8::is_ascii_digit),
            DataType::Binary | DataType::FixedSizeBinary(_) => all(u8::is_ascii_hexdigit),
            _ => true,
        };
        if !possible {
            return BooleanBuffer::new_unset(column.len());
        }
        if let Some(texts) = column.as_string_opt::<i32>() {
            return self.texts_with(texts, word);
        }
        let mut text = String::new();
        let has = |row| {
            text.clear();
            push_text(column, row, &mut text).is_some() && self.is_in(text.as_bytes(), word)
        };
        (0..column.len()).map(has).collect()
    }

    /// Values lie one behind the other: the word is looked for in all of them at once.
    fn texts_with(&self, texts: &StringArray, word: usize) -> BooleanBuffer {
        let mut rows = BooleanBufferBuilder::new(texts.len());
        rows.append_n(texts.len(), false);
        let offsets = texts.value_offsets();
        let (first, last) = (offsets[0] as usize, offsets[texts.len()] as usize);
        let bytes = &texts.value_data()[first..last];
        let mut row = 0;
        for start in WordFinder::new(self.words[word].as_bytes()).starts(bytes) {
            while offsets[row + 1] as usize - first <= start {
                row += 1;
            }
            // Whether it is a whole word, and within one value, is seen in the value.
            let value = &bytes[offsets[row] as usize - first..offsets[row + 1] as usize - first];
            if !rows.get_bit(row) && texts.is_valid(row) && self.is_in(value, word) {
                rows.set_bit(row, true);
            }
        }
        rows.finish()
    }

    /// Whether a record that is kept as it was has every word, or one of the parts.
    fn verbatim_has(&self, batch: &RecordBatch, row: usize) -> bool {
        let texts = batch.column_by_name(ORIGINAL.column()).and_then(|c| c.as_string_opt::<i32>());
        let exact =
            batch.column_by_name(ORIGINAL_BYTES.column()).and_then(|c| c.as_binary_opt::<i32>());
        let text = texts.filter(|c| c.is_valid(row)).map(|c| c.value(row).as_bytes());
        let record = text.or_else(|| exact.filter(|c| c.is_valid(row)).map(|c| c.value(row)));
        let mut words = 0..self.words.len();
        record.is_some_and(|record| match self.parts {
            true => words.any(|word| self.is_in(record, word)),
            false => words.all(|word| self.is_in(record, word)),
        })
    }
}

/// What a template says of a phrase in its records: that all have it, that none has, or nothing.
pub(super) fn phrase_in(template: &Template, phrase: Phrase<'_>) -> Option<bool> {
    let part = phrase.text.as_bytes();
    let runs = runs(&template.pieces);
    let in_text = |run: &Run<'_>| matches!(run, Run::Text(t) if has_phrase(t, part, phrase.closed));
    if runs.iter().any(in_text) {
        return Some(true);
    }
    let reach = |piece: usize, from: usize| reach(&template.pieces[piece], part, from);
    (!may_stand(&template.pieces, part, &reach)).then_some(false)
}

/// False when a part of a text, its ASCII letters in lower case, cannot stand in these pieces,
/// whatever their values. Of a value `reach` tells, by its place and one in the part, up to where
/// it may have what is in the part from there on.
fn may_stand(pieces: &[Piece], part: &[u8], reach: &dyn Fn(usize, usize) -> usize) -> bool {
    let part = &part[..part.len().min(PART_BYTES_MAX)];
    let all = 1u64 << part.len();
    // A bit for each number of its first bytes that may stand right before the next piece.
    let mut here = 1u64;
    for (at, piece) in pieces.iter().enumerate().filter(|(_, piece)| !piece.is_mark()) {
        let before = here;
        let begun = (0..part.len()).filter(|from| (before >> from) & 1 == 1);
        here = begun.fold(1, |here, from| {
            here | match piece {
                Piece::Text(text) => ends(text.as_bytes(), part, from),
                _ => (u64::MAX >> (63 - reach(at, from).min(part.len()))) & (u64::MAX << from),
            }
        });
        if here & all != 0 {
            return true;
        }
    }
    part.is_empty()
}

/// These bits behind a text, where so many bytes of the part stand right before it.
fn ends(text: &[u8], part: &[u8], from: usize) -> u64 {
    if from > 0 {
        let len = text.len().min(part.len() - from);
        let goes_on = text[..len].eq_ignore_ascii_case(&part[from..from + len]);
        return u64::from(goes_on) << (from + len);
    }
    if has_part(text, part) {
        return 1 << part.len();
    }
    let is_end = |len: usize| text[text.len() - len..].eq_ignore_ascii_case(&part[..len]);
    let lens = 1..part.len().min(text.len() + 1);
    lens.fold(0, |bits, len| bits | (u64::from(is_end(len)) << len))
}

/// Up to where a value may have what is in a part from a place on, by what such values are.
fn reach(piece: &Piece, part: &[u8], from: usize) -> usize {
    let rest = &part[from..];
    let letters = Letters::of(piece);
    from + match piece {
        // Such a variable is a single word.
        Piece::Variable(Variable { kind: Stored::Text | Stored::HexNumber, .. }) => {
            rest.iter().take_while(|byte| is_word(**byte)).count()
        }
        _ if letters == Letters::Any => rest.len(),
        _ => (1..=rest.len()).take_while(|len| letters.may_have(&rest[..*len])).count(),
    }
}

/// True when a part may begin in one run and go on in the next.
fn crosses(runs: &[Run<'_>], part: &[u8]) -> bool {
    runs.windows(2).any(|pair| Run::may_cross(&pair[0], &pair[1], part))
}

/// Words of a part that are whole words wherever it stands.
fn inner_words(part: &str) -> Vec<String> {
    inner_places(part.as_bytes()).into_iter().map(|place| part[place].to_string()).collect()
}

/// Where a part has them.
fn inner_places(part: &[u8]) -> Vec<Range<usize>> {
    let mut end = 0;
    let runs = part.chunk_by(|a, b| is_word(*a) == is_word(*b)).map(|run| {
        end += run.len();
        end - run.len()..end
    });
    let is_inner =
        |run: &Range<usize>| is_word(part[run.start]) && run.start > 0 && run.end < part.len();
    runs.filter(is_inner).collect()
}

/// What a record is made of, one behind the other.
enum Run<'a> {
    Text(Vec<u8>),
    Value(&'a Piece),
}

/// Texts that only marks separate are one.
fn runs(pieces: &[Piece]) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    for piece in pieces.iter().filter(|piece| !piece.is_mark()) {
        match (runs.last_mut(), piece) {
            (Some(Run::Text(text)), Piece::Text(more)) => text.extend_from_slice(more.as_bytes()),
            (_, Piece::Text(text)) => runs.push(Run::Text(text.as_bytes().to_vec())),
            (_, value) => runs.push(Run::Value(value)),
        }
    }
    runs
}

impl Run<'_> {
    /// False when a part of a text cannot begin in one of two neighbours and go on in the other.
    fn may_cross(&self, next: &Run<'_>, part: &[u8]) -> bool {
        let ends = |text: &[u8], with: &[u8]| {
            let from = text.len().checked_sub(with.len());
            from.is_some_and(|from| text[from..].eq_ignore_ascii_case(with))
        };
        let begins = |text: &[u8], with: &[u8]| {
            text.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with))
        };
        (1..part.len()).any(|at| match (self, next) {
            (Run::Text(text), _) => ends(text, &part[..at]) || ends(&part[..at], text),
            (_, Run::Text(text)) => begins(text, &part[at..]) || begins(&part[at..], text),
            (Run::Value(_), Run::Value(_)) => true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn says(template: &str, part: &str) -> Option<bool> {
        let template = Template::parse(template).unwrap();
        phrase_in(&template, Phrase { text: part, closed: (false, false) })
    }

    #[track_caller]
    fn check(template: &str, part: &str, expected: Option<bool>) {
        assert_eq!(says(template, part), expected, "{template} {part}");
    }

    #[test]
    fn a_template_tells_what_its_records_cannot_have() {
        let part = "valid for ";
        check("{<message}token Valid for {#i0} s{>message}", part, Some(true));
        check("took {#i0} ms", part, Some(false));
        check("{#t0} took {#i0} ms", part, Some(false));
        check("by {user.name} at", part, None);
        check("by {#t0} for it", part, None);
        check("by {#t0} for", part, Some(false));
        check("by {#t0}, it", part, Some(false));
        check("{#t0} {#t1} x", part, None);
        check("{#t0}: {#t1} x", part, Some(false));
        check("in{#t0}lid {<message}for {#i0}{>message}", "invalid for 3", None);
        check("a{#i0}b{#h0}", "1b0", None);
        check("a{#i0}b{#h0}", "1x0", Some(false));
        check("{@timestamp|%Y-%m-%dT%H:%M:%S|0} up", "3t09", None);
        check("{@timestamp|%Y-%m-%dT%H:%M:%S|0} up", "call", Some(false));
        check("a{user.name}", &"x".repeat(2 * PART_BYTES_MAX), None);
        check("a{#i0}", &"x".repeat(2 * PART_BYTES_MAX), Some(false));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn what_stands_in_a_record_is_not_denied(
            pieces in prop::collection::vec((0..5, "[a1]{1,2}"), 1..7),
            (start, len) in (0usize..12, 1usize..8),
        ) {
            let (mut template, mut record) = (String::new(), String::new());
            for (kind, word) in &pieces {
                let digits = word.replace('a', "1");
                let (slot, value) = match kind {
                    0 => (word.as_str(), word.as_str()),
                    1 => (" ", " "),
                    2 => ("{#t0}", word.as_str()),
                    3 => ("{#i0}", digits.as_str()),
                    _ => ("{user.name}", "a 1"),
                };
                template.push_str(slot);
                record.push_str(value);
            }
            let start = start.min(record.len() - 1);
            let part = &record[start..record.len().min(start + len)];
            prop_assert_ne!(says(&template, part), Some(false), "{} {}", template, part);
        }
    }
}
