//! A pack as it is written: content/parsers/README.md describes each key.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PackText {
    #[serde(default)]
    pub(super) product: String,
    #[serde(default)]
    pub(super) category: String,
    #[serde(default)]
    pub(super) service: String,
    pub(super) applies: Vec<Applies>,
    /// Native names that hold the time, best first, where the format found none.
    #[serde(default)]
    pub(super) times: Vec<String>,
    /// The zone of times that name none: `UTC`.
    pub(super) zone: Option<String>,
    #[serde(default)]
    pub(super) values: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) fields: BTreeMap<String, FieldText>,
    #[serde(default)]
    pub(super) tables: Vec<TableText>,
    /// `key=value` pairs stand in the message from this text on.
    pub(super) pairs_from: Option<String>,
    #[serde(default)]
    pub(super) columns: Vec<ColumnsText>,
    #[serde(default)]
    pub(super) patterns: Vec<PatternText>,
}

/// One way in which a record can belong to the pack: all conditions must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Applies {
    /// The format that read the record is this one.
    pub(crate) format: Option<String>,
    /// The program that wrote it is one of these.
    pub(super) program: Vec<String>,
    /// The name of its source or its program holds one of these.
    pub(super) source: Vec<String>,
    /// It has all of these native names.
    pub(crate) has: Vec<String>,
    /// These native names have one of these values; `*` at the end of one stands for anything.
    pub(crate) is: BTreeMap<String, OneOrMore>,
    /// Its message holds one of these texts.
    pub(super) contains: Parts,
    /// One of the pack's patterns or columns fits its message.
    pub(super) pattern: bool,
}

impl Applies {
    /// Surer conditions are tried first.
    pub(super) fn weight(&self) -> usize {
        self.has.len()
            + 2 * self.is.len()
            + usize::from(!self.contains.is_empty())
            + usize::from(!self.program.is_empty())
            + usize::from(!self.source.is_empty())
            + usize::from(self.pattern)
    }
}

/// A text, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "OneOrMoreText")]
pub(crate) struct OneOrMore(pub(super) Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMoreText {
    One(String),
    More(Vec<String>),
}

impl From<OneOrMoreText> for OneOrMore {
    fn from(text: OneOrMoreText) -> Self {
        match text {
            OneOrMoreText::One(one) => Self(vec![one]),
            OneOrMoreText::More(more) => Self(more),
        }
    }
}

/// Texts of which one stands somewhere.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "OneOrMoreText")]
pub(super) struct Parts {
    pub(super) texts: Vec<String>,
    automaton: Option<AhoCorasick>,
}

impl TryFrom<OneOrMoreText> for Parts {
    type Error = aho_corasick::BuildError;

    fn try_from(text: OneOrMoreText) -> Result<Self, Self::Error> {
        let texts = OneOrMore::from(text).0;
        let automaton = Some(AhoCorasick::new(&texts)?);
        Ok(Self { texts, automaton })
    }
}

impl Parts {
    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// True when one of them stands in the text.
    pub(super) fn are_in(&self, text: &str) -> bool {
        self.automaton.as_ref().is_some_and(|parts| parts.is_match(text))
    }
}

/// The field, or fields, that a native name also stands for.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum FieldText {
    Name(OneOrMore),
    Translated {
        to: OneOrMore,
        #[serde(default)]
        table: BTreeMap<String, String>,
    },
}

/// Rows by the values of native names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableText {
    pub(super) keys: Vec<String>,
    pub(super) rows: BTreeMap<String, ActionText>,
}

/// What a row says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ActionText {
    pub(super) product: String,
    pub(super) category: String,
    pub(super) service: String,
    pub(super) values: BTreeMap<String, String>,
    pub(super) fields: BTreeMap<String, FieldText>,
}

/// Names for the values of a message that is a list of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnsText {
    /// Places, counted from 0, and what stands there.
    #[serde(default)]
    pub(super) when: BTreeMap<usize, OneOrMore>,
    /// What stands between values.
    #[serde(default = "comma")]
    pub(super) separator: char,
    /// Native names in the order of the values; an empty one passes over a value.
    pub(super) names: Vec<String>,
}

fn comma() -> char {
    ','
}

/// One form of the message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatternText {
    pub(super) pattern: String,
    /// The native name that is matched instead of the message.
    pub(super) r#in: Option<String>,
    #[serde(default)]
    pub(super) values: BTreeMap<String, String>,
}
