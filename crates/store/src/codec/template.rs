//! A template: a record with every extracted field and every variable word cut out.
//!
//! Written as text, so that people and other tools can read it in the column `template`:
//!
//! | in the text | stands for |
//! |---|---|
//! | `{source.ip}` | the value of a field, as the record wrote it |
//! | `{process.command_line\|json}` | the value, with `\` before each quote and backslash |
//! | `{@timestamp\|%Y-%m-%dT%H:%M:%S\|0}` | a time in a pattern, and minutes east of UTC |
//! | `{=NAME}` | the value of the attribute NAME; `{=NAME\|json}` with backslashes |
//! | `{#i0}` `{#t1}` | variables, one column each: `i` whole numbers, `h` hex digits, `u` UUIDs,
//!   `g` those in upper case, `x` numbers in hex digits, `a` IPv4 addresses, `t` text |
//! | `{<message}` ... `{>message}` | the field `message` is what lies between: no column |
//! | `{<=NAME\|s}` ... `{>=NAME}` | the same for an attribute, with the letter of its kind |
//!
//! A backslash before `{`, `|`, `}` or itself takes away its meaning.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use pugmark_event::fields::{self, FieldId};

use super::clock::Pattern;
use super::stored::Stored;
use super::words::{is_word, words};

/// Pieces of one template at most; a record that would need more is stored as it is.
pub(crate) const PIECES_MAX: usize = 1024;
/// Longest text of a template.
pub(crate) const TEXT_BYTES_MAX: usize = 32 * 1024;
/// Variables of each kind that one template can have: each is a column.
pub(crate) const VARIABLES_MAX: u8 = 24;

/// How the text of a value stands in the record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// With a backslash before each double quote and backslash, as JSON strings have them.
    Json,
    /// A time in a pattern.
    Time(Arc<Pattern>),
}

impl Stored {
    /// The letter that stands for it in a template.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Integer => 'i',
            Self::Hex => 'h',
            Self::Uuid => 'u',
            Self::HexNumber => 'x',
            Self::Guid => 'g',
            Self::Address => 'a',
            Self::Text => 't',
        }
    }

    pub(crate) fn of_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|stored| stored.letter() == letter)
    }
}

/// A column of variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Variable {
    pub(crate) kind: Stored,
    pub(crate) place: u8,
}

impl Variable {
    /// Name of its column in the file.
    pub(crate) fn column(self) -> String {
        format!("variable_{}{}", self.kind.letter(), self.place)
    }

    fn parse(text: &str) -> Option<Self> {
        let kind = Stored::of_letter(text.chars().next()?)?;
        let place = text[1..].parse().ok().filter(|place| *place < VARIABLES_MAX)?;
        Some(Self { kind, place })
    }
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Piece {
    /// The same in every record.
    Text(Box<str>),
    /// A registered field.
    Field(FieldId, Form),
    /// An attribute.
    Attribute(Box<str>, Form),
    /// A word that no parser took out.
    Variable(Variable),
    /// Here begins what a field without a column of its own is made of.
    Open(FieldId),
    /// Here it ends.
    Close(FieldId),
    /// Here begins an attribute that repeats what a field has, with the letter of its kind.
    OpenAttribute(Box<str>, u8),
    /// Here it ends.
    CloseAttribute(Box<str>),
}

impl Piece {
    /// True for what stands for no text of the record.
    pub(crate) fn is_mark(&self) -> bool {
        use Piece::{Close, CloseAttribute, Open, OpenAttribute};
        matches!(self, Open(_) | Close(_) | OpenAttribute(..) | CloseAttribute(_))
    }
}

/// A template, and what can be told from it alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) text: Arc<str>,
    pub(crate) pieces: Vec<Piece>,
    /// For each piece whether it is a value with a word character right beside it in the record,
    /// as far as the template tells: words of the record then differ from those of the value.
    pub(crate) glued: Vec<bool>,
    /// Fields that are made up of pieces, and of which.
    fields: Vec<(FieldId, Range<usize>)>,
    /// Attributes that are made up of pieces.
    attributes: Vec<(Box<str>, u8, Range<usize>)>,
    /// The text without the values, and without words that touch a value.
    literal: Vec<u8>,
    /// What comes behind the last value. Records of one source mostly differ there.
    pub(crate) end: Box<str>,
}

impl Template {
    /// `None` when it is larger than templates may be.
    pub(crate) fn new(pieces: Vec<Piece>) -> Option<Self> {
        if pieces.len() > PIECES_MAX {
            return None;
        }
        let text = print(&pieces);
        (text.len() <= TEXT_BYTES_MAX).then(|| Self::of(text.into(), pieces))
    }

    /// Reads the text of a template; `None` when it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        let mut literal = String::new();
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '\\' => {
                    let escaped = rest.chars().next()?;
                    literal.push(escaped);
                    rest = &rest[escaped.len_utf8()..];
                }
                '{' => {
                    if !literal.is_empty() {
                        parts.push(Piece::Text(std::mem::take(&mut literal).into()));
                    }
                    let (piece, after) = slot(rest)?;
                    parts.push(piece);
                    rest = after;
                }
                other => literal.push(other),
            }
        }
        if !literal.is_empty() {
            parts.push(Piece::Text(literal.into()));
        }
        (parts.len() <= PIECES_MAX).then(|| Self::of(text.into(), parts))
    }

    fn of(text: Arc<str>, pieces: Vec<Piece>) -> Self {
        let (glued, literal, end) = (glued(&pieces), literal(&pieces), end(&pieces));
        let (fields, attributes) = (made_fields(&pieces), made_attributes(&pieces));
        Self { text, pieces, glued, fields, attributes, literal, end }
    }

    /// How many values of a record have no column but that of a variable.
    pub(crate) fn variables(&self) -> usize {
        self.pieces.iter().filter(|piece| matches!(piece, Piece::Variable(_))).count()
    }

    /// The words that every record of this template has.
    pub(crate) fn words(&self) -> impl Iterator<Item = &[u8]> {
        words(&self.literal)
    }

    /// Places of the pieces that make up the field `id`, if it is made up of pieces.
    pub(crate) fn derived(&self, id: FieldId) -> Option<Range<usize>> {
        self.fields.iter().find(|(made, _)| *made == id).map(|(_, range)| range.clone())
    }

    /// Attributes that are made up of pieces: name, letter of the kind, places of the pieces.
    pub(crate) fn made_attributes(&self) -> impl Iterator<Item = (&str, u8, Range<usize>)> {
        self.attributes.iter().map(|(name, kind, range)| (&**name, *kind, range.clone()))
    }

    /// Fields that are made up of pieces.
    pub(crate) fn derives(&self) -> impl Iterator<Item = FieldId> + '_ {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Open(id) => Some(*id),
            _ => None,
        })
    }
}

fn made_fields(pieces: &[Piece]) -> Vec<(FieldId, Range<usize>)> {
    let mut made: Vec<(FieldId, Range<usize>)> = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let Piece::Open(id) = piece else { continue };
        let close = pieces.iter().position(|piece| *piece == Piece::Close(*id));
        let first = !made.iter().any(|(known, _)| known == id);
        if let Some(close) = close.filter(|close| first && at < *close) {
            made.push((*id, at + 1..close));
        }
    }
    made
}

fn made_attributes(pieces: &[Piece]) -> Vec<(Box<str>, u8, Range<usize>)> {
    let made = pieces.iter().enumerate().filter_map(|(at, piece)| {
        let Piece::OpenAttribute(name, kind) = piece else { return None };
        let ends = |p: &Piece| matches!(p, Piece::CloseAttribute(closed) if closed == name);
        let len = pieces[at + 1..].iter().position(ends)?;
        Some((name.clone(), *kind, at + 1..at + 1 + len))
    });
    made.collect()
}

/// One slot after its `{`, and what follows its `}`.
fn slot(text: &str) -> Option<(Piece, &str)> {
    let mut parts: Vec<String> = vec![String::new()];
    let mut chars = text.char_indices();
    let end = loop {
        let (at, c) = chars.next()?;
        match c {
            '}' => break at,
            '|' => parts.push(String::new()),
            '\\' => parts.last_mut()?.push(chars.next()?.1),
            other => parts.last_mut()?.push(other),
        }
    };
    let rest = &text[end + 1..];
    let name = parts.first()?.as_str();
    let form = || -> Option<Form> {
        match parts.len() {
            1 => Some(Form::Plain),
            2 if parts[1] == "json" => Some(Form::Json),
            3 => Some(Form::Time(Arc::new(Pattern::parse(&parts[1], parts[2].parse().ok()?)?))),
            _ => None,
        }
    };
    let kind = || match parts.get(1).map(String::as_bytes) {
        Some([kind]) if parts.len() == 2 && kind.is_ascii_lowercase() => Some(*kind),
        _ => None,
    };
    let piece = match name.as_bytes().first()? {
        b'<' if name[1..].starts_with('=') => Piece::OpenAttribute(name[2..].into(), kind()?),
        b'>' if name[1..].starts_with('=') => Piece::CloseAttribute(name[2..].into()),
        b'=' => Piece::Attribute(name[1..].into(), form()?),
        b'#' => Piece::Variable(Variable::parse(&name[1..])?),
        b'<' => Piece::Open(fields::by_ecs_name(&name[1..])?),
        b'>' => Piece::Close(fields::by_ecs_name(&name[1..])?),
        _ => Piece::Field(fields::by_ecs_name(name)?, form()?),
    };
    Some((piece, rest))
}

fn print(pieces: &[Piece]) -> String {
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => escape(text, &mut out),
            Piece::Field(id, form) => value(id.name(), form, &mut out),
            Piece::Attribute(name, form) => value(&format!("={name}"), form, &mut out),
            Piece::Variable(v) => drop(write!(out, "{{#{}{}}}", v.kind.letter(), v.place)),
            Piece::Open(id) => drop(write!(out, "{{<{}}}", id.name())),
            Piece::Close(id) => drop(write!(out, "{{>{}}}", id.name())),
            Piece::OpenAttribute(name, kind) => {
                out.push_str("{<=");
                escape(name, &mut out);
                let _ = write!(out, "|{}}}", *kind as char);
            }
            Piece::CloseAttribute(name) => value(&format!(">={name}"), &Form::Plain, &mut out),
        }
    }
    out
}

fn value(name: &str, form: &Form, out: &mut String) {
    out.push('{');
    escape(name, out);
    match form {
        Form::Plain => {}
        Form::Json => out.push_str("|json"),
        Form::Time(pattern) => {
            out.push('|');
            escape(pattern.text(), out);
            let _ = write!(out, "|{}", pattern.offset_minutes());
        }
    }
    out.push('}');
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        if matches!(c, '{' | '}' | '|' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
}

fn glued(pieces: &[Piece]) -> Vec<bool> {
    let ends = |piece: &Piece, first: bool| match piece {
        Piece::Text(text) => {
            let bytes = text.as_bytes();
            let byte = if first { bytes.first() } else { bytes.last() };
            byte.is_some_and(|b| is_word(*b))
        }
        // A value may begin and end with anything.
        _ => true,
    };
    let solid: Vec<usize> = (0..pieces.len()).filter(|i| !pieces[*i].is_mark()).collect();
    let mut glued = vec![false; pieces.len()];
    for (at, i) in solid.iter().enumerate() {
        if matches!(pieces[*i], Piece::Text(_)) {
            continue;
        }
        let before = at.checked_sub(1).is_some_and(|b| ends(&pieces[solid[b]], false));
        let after = solid.get(at + 1).is_some_and(|a| ends(&pieces[*a], true));
        glued[*i] = before || after;
    }
    glued
}

/// The text behind the last value.
fn end(pieces: &[Piece]) -> Box<str> {
    let is_value = |piece: &Piece| !matches!(piece, Piece::Text(_)) && !piece.is_mark();
    let start = pieces.iter().rposition(is_value).map_or(0, |last| last + 1);
    let texts = pieces[start..].iter().filter_map(|piece| match piece {
        Piece::Text(text) => Some(&**text),
        _ => None,
    });
    texts.collect::<String>().into()
}

/// The text between values, where a value leaves a blank and takes the words that touch it along.
fn literal(pieces: &[Piece]) -> Vec<u8> {
    const VALUE: u8 = 1;
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            // That byte separates words, as a blank does.
            Piece::Text(text) => {
                out.extend(text.bytes().map(|b| if b == VALUE { b' ' } else { b }));
            }
            mark if mark.is_mark() => {}
            _ => out.push(VALUE),
        }
    }
    let values: Vec<usize> = (0..out.len()).filter(|at| out[*at] == VALUE).collect();
    for at in values {
        let before = out[..at].iter().rev().take_while(|b| is_word(**b)).count();
        let after = out[at + 1..].iter().take_while(|b| is_word(**b)).count();
        out[at - before..=at + after].fill(b' ');
    }
    out
}

/// Puts a backslash before each quote and backslash from `start` on.
pub(crate) fn backslashes(out: &mut String, start: usize) {
    let extra = out.as_bytes()[start..].iter().filter(|b| matches!(b, b'"' | b'\\')).count();
    if extra == 0 {
        return;
    }
    let value = out.split_off(start);
    out.reserve(value.len() + extra);
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, pieces: usize) {
        let template = Template::parse(text).unwrap();
        assert_eq!(template.pieces.len(), pieces, "{text}");
        assert_eq!(&*Template::new(template.pieces).unwrap().text, text);
    }

    #[test]
    fn text_and_pieces_are_one_to_one() {
        check("", 0);
        check("plain \\{text\\} \\\\ \\|", 1);
        check("{source.ip} - {=a\\}b|json} {#i0}{#h23}{#t1}", 8 - 1);
        check("{@timestamp|%Y-%m-%dT%H:%M:%S.%3f|-90}Z {<message}hi {user.name}{>message}", 7 - 1);
        check("id={<=a\\}b|n}{session.id}{>=a\\}b}", 4);
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in [
            "{",
            "{}",
            "{nobody.knows}",
            "{#i99}",
            "{#q1}",
            "\\",
            "{source.ip|xml}",
            "{<=a}",
            "{<=a|sn}",
        ] {
            assert!(Template::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_value_beside_a_letter_is_glued() {
        let template = Template::parse("srv{host.name} [{#i0}] {user.name}{#t0}").unwrap();
        assert_eq!(template.glued, [false, true, false, false, false, true, true]);
    }

    #[test]
    fn words_of_the_text_are_those_of_every_record() {
        let template =
            Template::parse("srv{host.name} sshd{#i0} {<message}Failed login{>message}s");
        let template = template.unwrap();
        for (word, expected) in
            [("failed", true), ("login", false), ("logins", true), ("srv", false), ("sshd", false)]
        {
            let has = template.words().any(|w| w.eq_ignore_ascii_case(word.as_bytes()));
            assert_eq!(has, expected, "{word}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".*") {
            let _ = Template::parse(&text);
        }

        #[test]
        fn any_literal_comes_back(text in ".+") {
            let template = Template::new(vec![Piece::Text(text.as_str().into())]).unwrap();
            prop_assert_eq!(Template::parse(&template.text).unwrap().pieces, template.pieces);
        }
    }
}
