//! Puts records together again from the columns of a segment.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int64Array, MapArray, RecordBatch, StringArray,
};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType};
use pugmark_event::fields::{self, ATTRIBUTES, FieldId};
use pugmark_event::time::Micros;

use super::clock::Pattern;
use super::stored::push_text;
use super::template::{Form, Piece, Template, backslashes};
use crate::segment::Tail;
use crate::segment::layout::{Layout, TEMPLATE};

/// Templates by their text, each parsed once.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    known: HashMap<Arc<str>, Option<Arc<Template>>>,
    /// Those that the file's index has.
    of_file: Option<Arc<Tail>>,
}

impl Templates {
    /// Knows those of a file from the start.
    pub(crate) fn of(tail: &Arc<Tail>) -> Self {
        Self { known: HashMap::new(), of_file: Some(tail.clone()) }
    }

    pub(crate) fn get(&mut self, text: &str) -> Option<Arc<Template>> {
        let lookup = self.of_file.as_ref().and_then(|tail| tail.lookup.as_ref());
        if let Some(template) = lookup.and_then(|lookup| lookup.template(text)) {
            return Some(template.clone());
        }
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let template = Template::parse(text).map(Arc::new);
        self.known.insert(text.into(), template.clone());
        template
    }
}

/// Event times in microseconds, whatever the file has them in.
pub(crate) fn times_of(column: &ArrayRef) -> Cow<'_, [Micros]> {
    if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        return Cow::Borrowed(times.values());
    }
    let millis = column.as_primitive_opt::<TimestampMillisecondType>();
    let micros = |time: &i64| time.saturating_mul(1000);
    Cow::Owned(millis.map_or(Vec::new(), |times| times.values().iter().map(micros).collect()))
}

/// A piece of a template bound to the columns of one batch.
#[derive(Debug, Clone)]
enum Part<'a> {
    Literal(Box<str>),
    Time(Arc<Pattern>),
    /// A column, and whether its values stand with backslashes.
    Column(Values<'a>, bool),
    /// An attribute: the column it was promoted to, else the map.
    Attribute(Option<Values<'a>>, Box<str>, bool),
    Mark,
    /// A column that was not read: no row can be rendered.
    Missing,
}

/// The values of a column: most are of two kinds, which every record is put together from.
#[derive(Debug, Clone, Copy)]
enum Values<'a> {
    Text(&'a StringArray),
    Long(&'a Int64Array),
    Other(&'a ArrayRef),
}

impl<'a> Values<'a> {
    fn of(column: &'a ArrayRef) -> Self {
        let (text, long) = (column.as_string_opt(), column.as_primitive_opt::<Int64Type>());
        let text = text.map(Self::Text);
        text.or(long.map(Self::Long)).unwrap_or(Self::Other(column))
    }

    /// As [`push_text`].
    fn push(self, row: usize, out: &mut String) -> Option<()> {
        match self {
            Self::Text(texts) if texts.is_valid(row) => out.push_str(texts.value(row)),
            Self::Long(longs) if longs.is_valid(row) => {
                out.push_str(itoa::Buffer::new().format(longs.value(row)));
            }
            Self::Text(_) | Self::Long(_) => return None,
            Self::Other(column) => return push_text(column, row, out),
        }
        Some(())
    }
}

/// Columns of one batch of a segment.
pub(crate) struct Decoder<'a> {
    batch: &'a RecordBatch,
    layout: &'a Layout,
    times: Cow<'a, [Micros]>,
    map: Option<(&'a MapArray, &'a StringArray, &'a StringArray)>,
    keys: Option<&'a DictionaryArray<Int32Type>>,
    texts: Option<&'a StringArray>,
    /// For each value of the template column its pieces, once some row needed them.
    bound: Vec<Option<Bound<'a>>>,
}

#[derive(Debug)]
struct Bound<'a> {
    template: Arc<Template>,
    parts: Vec<Part<'a>>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(batch: &'a RecordBatch, layout: &'a Layout) -> Self {
        let map = batch.column_by_name(ATTRIBUTES).and_then(|c| c.as_map_opt());
        let map = map.and_then(|map| {
            Some((map, map.keys().as_string_opt::<i32>()?, map.values().as_string_opt::<i32>()?))
        });
        let keys = batch.column_by_name(TEMPLATE).and_then(|c| c.as_dictionary_opt::<Int32Type>());
        let texts = keys.and_then(|keys| keys.values().as_string_opt::<i32>());
        let times = batch.column_by_name(fields::EVENT_TIME.column());
        let times = times.map_or(Cow::Borrowed(&[][..]), times_of);
        let bound = (0..texts.map_or(0, Array::len)).map(|_| None).collect();
        Self { batch, layout, times, map, keys, texts, bound }
    }

    /// Place of the row's template among the values of the template column.
    pub(crate) fn key(&self, row: usize) -> Option<usize> {
        self.keys?.key(row)
    }

    /// The values of the template column, by [`Decoder::key`].
    pub(crate) fn template_texts(&self) -> Option<&'a StringArray> {
        self.texts
    }

    /// True when neither templates nor the map of attributes were read.
    pub(crate) fn has_columns_alone(&self) -> bool {
        self.texts.is_none() && self.map.is_none()
    }

    /// A column of the batch.
    pub(crate) fn column(&self, name: &str) -> Option<&'a ArrayRef> {
        self.batch.column_by_name(name)
    }

    /// Writes a time as a piece has it.
    pub(crate) fn time(&self, row: usize, piece: &Piece, out: &mut String) -> Option<()> {
        let Piece::Field(_, Form::Time(pattern)) = piece else { return None };
        pattern.render(*self.times.get(row)?, out);
        Some(())
    }

    /// Writes the record of the row. `None` when it has no template or a value is missing.
    pub(crate) fn record(
        &mut self,
        row: usize,
        known: &mut Templates,
        out: &mut String,
    ) -> Option<()> {
        let key = self.key(row)?;
        self.bind(key, known)?;
        let bound = self.bound[key].as_ref()?;
        self.render(&bound.parts, row, out)
    }

    /// Rows by the place of their template, and those without one.
    pub(crate) fn rows_by_template(&self) -> (Vec<Vec<u32>>, Vec<u32>) {
        let mut templated = vec![Vec::new(); self.bound.len()];
        let mut others = Vec::new();
        for row in 0..self.batch.num_rows() {
            let place = self.key(row).and_then(|key| templated.get_mut(key));
            place.unwrap_or(&mut others).push(row as u32);
        }
        (templated, others)
    }

    /// The template at this place; `None` when its text is none or needs a newer version.
    pub(crate) fn template_at(
        &mut self,
        key: usize,
        known: &mut Templates,
    ) -> Option<Arc<Template>> {
        self.bind(key, known).map(|bound| bound.template.clone())
    }

    /// Writes one piece of the template at `key`, which was asked for before.
    pub(crate) fn piece(
        &self,
        key: usize,
        piece: usize,
        row: usize,
        out: &mut String,
    ) -> Option<()> {
        let parts = &self.bound.get(key)?.as_ref()?.parts;
        self.render(parts.get(piece..=piece)?, row, out)
    }

    /// Event times, in microseconds.
    pub(crate) fn times(&self) -> &[Micros] {
        &self.times
    }

    /// Writes the value of a field that is made up of pieces. `None` when the row's template does
    /// not make it up.
    pub(crate) fn composite(
        &mut self,
        row: usize,
        id: FieldId,
        known: &mut Templates,
        out: &mut String,
    ) -> Option<()> {
        let key = self.key(row)?;
        let range = self.bind(key, known)?.template.derived(id)?;
        let bound = self.bound[key].as_ref()?;
        self.render(bound.parts.get(range)?, row, out)
    }

    /// Calls `each` with name, kind and text of every attribute that the row's template makes up.
    pub(crate) fn made_attributes(
        &mut self,
        row: usize,
        known: &mut Templates,
        each: &mut dyn FnMut(&str, u8, &str),
    ) {
        let Some(key) = self.key(row) else { return };
        let Some(template) = self.bind(key, known).map(|bound| bound.template.clone()) else {
            return;
        };
        let mut text = String::new();
        for (name, kind, range) in template.made_attributes() {
            text.clear();
            let parts = self.bound[key].as_ref().and_then(|bound| bound.parts.get(range));
            if parts.and_then(|parts| self.render(parts, row, &mut text)).is_some() {
                each(name, kind, &text);
            }
        }
    }

    fn bind(&mut self, key: usize, known: &mut Templates) -> Option<&Bound<'a>> {
        if self.bound.get(key)?.is_none() {
            let template = known.get(self.texts?.value(key))?;
            let parts =
                template.pieces.iter().map(|piece| self.part(piece)).collect::<Option<_>>()?;
            self.bound[key] = Some(Bound { template, parts });
        }
        self.bound[key].as_ref()
    }

    fn part(&self, piece: &Piece) -> Option<Part<'a>> {
        Some(match piece {
            Piece::Text(text) => Part::Literal(text.clone()),
            Piece::Open(_)
            | Piece::Close(_)
            | Piece::OpenAttribute(..)
            | Piece::CloseAttribute(_) => Part::Mark,
            Piece::Field(_, Form::Time(pattern)) => Part::Time(pattern.clone()),
            // A column that was not asked for is missed only when the row is rendered.
            Piece::Field(id, form) => match self.batch.column_by_name(id.column()) {
                Some(column) => Part::Column(Values::of(column), *form == Form::Json),
                None => Part::Missing,
            },
            Piece::Variable(variable) => match self.batch.column_by_name(&variable.column()) {
                Some(column) => Part::Column(Values::of(column), false),
                None => Part::Missing,
            },
            Piece::Attribute(name, form) => {
                let promoted = self.layout.promoted(name);
                let column = promoted.and_then(|p| self.batch.column_by_name(&p.column));
                Part::Attribute(column.map(Values::of), name.clone(), *form == Form::Json)
            }
        })
    }

    fn render(&self, parts: &[Part<'a>], row: usize, out: &mut String) -> Option<()> {
        for part in parts {
            let start = out.len();
            let json = match part {
                Part::Mark => continue,
                Part::Missing => return None,
                Part::Literal(text) => {
                    out.push_str(text);
                    continue;
                }
                Part::Time(pattern) => {
                    pattern.render(*self.times.get(row)?, out);
                    continue;
                }
                Part::Column(column, json) => {
                    column.push(row, out)?;
                    *json
                }
                Part::Attribute(column, name, json) => {
                    if column.and_then(|column| column.push(row, out)).is_none() {
                        out.push_str(self.attribute(row, name)?);
                    }
                    *json
                }
            };
            if json {
                backslashes(out, start);
            }
        }
        Some(())
    }

    /// The text of an attribute that is in the map.
    pub(crate) fn attribute(&self, row: usize, name: &str) -> Option<&'a str> {
        let (map, keys, values) = self.map.filter(|(map, ..)| map.is_valid(row))?;
        let range = map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize;
        let entry = range.clone().find(|entry| keys.value(*entry) == name)?;
        Some(if values.is_valid(entry) { values.value(entry) } else { "" })
    }
}
