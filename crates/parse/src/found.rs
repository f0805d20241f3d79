//! What a format found in one record, before anybody knows which product wrote it.

use std::borrow::Cow;

use pugmark_event::{FieldId, Value};

use crate::time::Stamp;

/// One value; borrowed from the record unless it had to be unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Val<'a> {
    Null,
    Text(Cow<'a, str>),
    Number(Cow<'a, str>),
    Bool(bool),
    Json(Cow<'a, str>),
}

impl Val<'_> {
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Val::Null => Value::Null,
            Val::Text(text) => Value::Text(text),
            Val::Number(text) => Value::Number(text),
            Val::Bool(truth) => Value::Bool(*truth),
            Val::Json(text) => Value::Json(text),
        }
    }

    pub(crate) fn text(&self) -> &str {
        self.value().text()
    }
}

impl<'a> From<&'a str> for Val<'a> {
    fn from(text: &'a str) -> Self {
        Val::Text(Cow::Borrowed(text))
    }
}

/// A native name and its value, in the order of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) value: Val<'a>,
}

impl<'a> Pair<'a> {
    pub(crate) fn new(name: &'a str, value: impl Into<Val<'a>>) -> Self {
        Self { name: Cow::Borrowed(name), value: value.into() }
    }
}

impl Pair<'_> {
    /// True when it is called so. Names are looked up often, and mostly their length or their last
    /// byte says that they differ.
    #[inline]
    pub(crate) fn is(&self, name: &str) -> bool {
        let own = self.name.as_bytes();
        own.len() == name.len() && own.last() == name.as_bytes().last() && own == name.as_bytes()
    }
}

/// The parts of a record. A flat list, not a map: it is walked once and then gone.
#[derive(Debug, Default)]
pub(crate) struct Found<'a> {
    /// The format that read it, by name.
    pub(crate) format: &'static str,
    /// When it happened, if the record says.
    pub(crate) stamp: Option<Stamp>,
    /// Sigma's product, when the format belongs to one product alone; packs may say better.
    pub(crate) product: &'static str,
    /// The program that wrote it: the syslog tag.
    pub(crate) program: Option<Cow<'a, str>>,
    /// The text without its envelope; packs look into it.
    pub(crate) message: Option<Cow<'a, str>>,
    /// Values whose field the format itself knows.
    pub(crate) fields: Vec<(FieldId, Val<'a>)>,
    /// Values of the envelope: they take their field only if nothing better did, else they stand
    /// in the tail under the name given here, if there is one.
    pub(crate) envelope: Vec<(FieldId, &'static str, Val<'a>)>,
    /// Native names and values.
    pub(crate) pairs: Vec<Pair<'a>>,
    /// Values inside of arrays, under the paths that a pack knows them by; the array keeps them.
    pub(crate) inside: Vec<Pair<'a>>,
    /// What went wrong.
    pub(crate) issues: Vec<&'static str>,
}

impl Val<'_> {
    /// The same, on its own.
    fn into_owned<'b>(self) -> Val<'b> {
        match self {
            Val::Null => Val::Null,
            Val::Text(text) => Val::Text(Cow::Owned(text.into_owned())),
            Val::Number(text) => Val::Number(Cow::Owned(text.into_owned())),
            Val::Bool(truth) => Val::Bool(truth),
            Val::Json(text) => Val::Json(Cow::Owned(text.into_owned())),
        }
    }
}

impl Pair<'_> {
    fn into_owned<'b>(self) -> Pair<'b> {
        Pair { name: Cow::Owned(self.name.into_owned()), value: self.value.into_owned() }
    }
}

impl Found<'_> {
    /// The same, on its own: what was found in a text that had to be unescaped first.
    pub(crate) fn into_owned<'b>(self) -> Found<'b> {
        let pairs = |pairs: Vec<Pair<'_>>| pairs.into_iter().map(Pair::into_owned).collect();
        Found {
            format: self.format,
            stamp: self.stamp,
            product: self.product,
            program: self.program.map(|text| Cow::Owned(text.into_owned())),
            message: self.message.map(|text| Cow::Owned(text.into_owned())),
            fields: self.fields.into_iter().map(|(id, v)| (id, v.into_owned())).collect(),
            envelope: self.envelope.into_iter().map(|(id, n, v)| (id, n, v.into_owned())).collect(),
            pairs: pairs(self.pairs),
            inside: pairs(self.inside),
            issues: self.issues,
        }
    }
}

impl<'a> Found<'a> {
    /// Nothing yet, read by `format`.
    pub(crate) fn new(format: &'static str) -> Self {
        Self { format, ..Self::default() }
    }

    /// The same with room for what a line of text usually holds.
    pub(crate) fn of_line(format: &'static str) -> Self {
        Self {
            format,
            fields: Vec::with_capacity(12),
            envelope: Vec::with_capacity(6),
            pairs: Vec::with_capacity(8),
            ..Self::default()
        }
    }

    /// The value that the record calls `name`.
    pub(crate) fn pair(&self, name: &str) -> Option<&Val<'a>> {
        self.pairs.iter().chain(&self.inside).find(|p| p.is(name)).map(|p| &p.value)
    }

    /// The place of the pair called `name`.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.pairs.iter().position(|p| p.is(name))
    }

    /// The same, or what the format knows under the ECS name `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&Val<'a>> {
        let known = || self.fields.iter().find(|(id, _)| id.name() == name).map(|(_, v)| v);
        self.pair(name).or_else(known)
    }

    /// Takes the pair called `name` out of the list.
    pub(crate) fn take(&mut self, name: &str) -> Option<Val<'a>> {
        let at = self.position(name)?;
        Some(self.pairs.remove(at).value)
    }

    /// Notes a value whose field the format knows; empty text and a bare dash say nothing.
    pub(crate) fn field(&mut self, id: FieldId, text: &'a str) {
        if !text.is_empty() && text != "-" {
            self.fields.push((id, text.into()));
        }
    }

    /// Notes a native value; empty text and a bare dash say nothing.
    pub(crate) fn attribute(&mut self, name: &'a str, text: &'a str) {
        if !text.is_empty() && text != "-" {
            self.pairs.push(Pair::new(name, text));
        }
    }
}
