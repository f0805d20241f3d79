//! An event as a program sees it, and what the program made of it as an event again.
//!
//! Dotted names become nested objects: `user.name` is `.user.name`. A name that cannot nest, since
//! what is before its dot is a value, stays whole: `."a.b"`. What a program leaves as it is goes
//! back exactly as it came, with its kind and its place.

use arrow::array::{Array, Int64Array, StringArray};
use pugmark_event::time::{self, Micros};
use pugmark_event::value::exact_integer;
use pugmark_event::{Batch, BatchBuilder, FieldId, Kind, Value, fields};
use vrl::prelude::NotNan;
use vrl::value::{KeyString, ObjectMap, Value as Vrl};

/// Parts of a name that become objects; a name with more stays whole.
const NAME_PARTS_MAX: usize = 16;
/// Deepest value that a program may leave behind.
pub(crate) const DEPTH_MAX: usize = 32;
/// Fields that a program may leave behind in one event.
pub(crate) const FIELDS_MAX: usize = 1024;
/// Bytes of names and values that a program may leave behind in one event.
pub(crate) const RESULT_BYTES_MAX: usize = 1 << 20;
/// Columns that a program may write although records may not.
const WRITABLE: [FieldId; 4] =
    [fields::EVENT_TIME, fields::PRODUCT, fields::CATEGORY, fields::SERVICE];
/// Issues that no longer hold when a program gave the event its time.
const TIME_ISSUES: [&str; 5] =
    ["time_missing", "year_guessed", "zone_guessed", "clock_ahead", "clock_unset"];
/// The issue that no longer holds when a program made something of the event.
const NOT_UNDERSTOOD: &str = "not_understood";

/// True when a program may read this column, yet not write it.
pub(crate) fn read_only(id: FieldId) -> bool {
    fields::SYSTEM.contains(&id) && !WRITABLE.contains(&id)
}

/// Reads and writes the events of one batch.
pub(crate) struct Events<'a> {
    batch: &'a Batch,
    columns: Vec<(FieldId, Column<'a>)>,
}

enum Column<'a> {
    Text(&'a StringArray),
    Long(&'a Int64Array),
    Times(&'a [Micros]),
}

/// One value of an event.
struct Entry<'a> {
    name: &'a str,
    place: Place,
    value: Owned<'a>,
    /// What the program saw, and whether under a nested name; `None` where it could not be shown.
    seen: Option<(Vrl, bool)>,
}

#[derive(Clone, Copy)]
enum Place {
    Column(FieldId),
    Attribute,
}

#[derive(Clone, Copy)]
enum Owned<'a> {
    Value(Value<'a>),
    Long(i64),
    Time(Micros),
}

/// One event: the object that a program runs on, and what it was made of.
pub(crate) struct Event<'a> {
    pub(crate) object: Vrl,
    entries: Vec<Entry<'a>>,
}

impl<'a> Events<'a> {
    pub(crate) fn new(batch: &'a Batch) -> Self {
        let hidden = [fields::ATTRIBUTE_KINDS, fields::ORIGINAL_BYTES];
        let all = (0..fields::FIELDS.len() as u16).map(FieldId);
        let columns = all.filter(|id| !hidden.contains(id)).filter_map(|id| {
            let column = match id.field().kind {
                Kind::Text | Kind::Ip => Column::Text(batch.text(id)?),
                Kind::Long => Column::Long(batch.long(id)?),
                Kind::Time if id == fields::EVENT_TIME => Column::Times(batch.event_times()),
                Kind::Time if id == fields::RECEIVED_TIME => Column::Times(batch.received_times()),
                Kind::Time | Kind::Bytes => return None,
            };
            Some((id, column))
        });
        Self { batch, columns: columns.collect() }
    }

    /// Bytes of the values at `row`, about; the record, which most of them are a part of, is not
    /// counted.
    pub(crate) fn bytes(&self, row: usize) -> usize {
        let column = |(id, column): &(FieldId, Column<'_>)| match column {
            Column::Text(text) if *id != fields::ORIGINAL && text.is_valid(row) => {
                text.value_length(row) as usize
            }
            _ => 0,
        };
        let columns: usize = self.columns.iter().map(column).sum();
        let tail = self.batch.attributes().row(row);
        columns + tail.map(|(name, value)| name.len() + value.text().len()).sum::<usize>()
    }

    pub(crate) fn event(&self, row: usize) -> Event<'a> {
        let columns = self.columns.iter().filter_map(|(id, column)| {
            let value = match column {
                Column::Text(text) if text.is_valid(row) => {
                    Owned::Value(Value::Text(text.value(row)))
                }
                Column::Long(long) if long.is_valid(row) => Owned::Long(long.value(row)),
                Column::Times(times) => Owned::Time(*times.get(row)?),
                _ => return None,
            };
            Some((id.name(), Place::Column(*id), value))
        });
        let attributes = self.batch.attributes().row(row);
        let attributes = attributes.map(|(n, value)| (n, Place::Attribute, Owned::Value(value)));
        let mut object = ObjectMap::new();
        let entries = columns.chain(attributes).map(|(name, place, value)| {
            let shown = value.shown();
            let nested = insert(&mut object, name, &shown);
            Entry { name, place, value, seen: nested.map(|nested| (shown, nested)) }
        });
        let entries = entries.collect();
        Event { object: Vrl::Object(object), entries }
    }

    /// Writes the event at `row` as it is, with more issues.
    pub(crate) fn copy(&self, row: usize, more: &[&str], builder: &mut BatchBuilder) {
        self.begin(row, builder);
        let mut time = None;
        for (id, column) in &self.columns {
            match column {
                Column::Times(times) if *id == fields::EVENT_TIME => time = times.get(row).copied(),
                Column::Text(text) if *id == fields::ISSUES && text.is_valid(row) => {
                    text.value(row).split(',').for_each(|issue| builder.issue(issue));
                }
                _ if read_only(*id) => {}
                Column::Text(text) if text.is_valid(row) => builder.text(*id, text.value(row)),
                Column::Long(long) if long.is_valid(row) => builder.long(*id, long.value(row)),
                _ => {}
            }
        }
        for (name, value) in self.batch.attributes().row(row) {
            builder.attribute(name, value);
        }
        more.iter().for_each(|issue| builder.issue(issue));
        builder.end(time);
    }

    /// Writes what programs left of the event at `row`, with more issues.
    pub(crate) fn write(
        &self,
        row: usize,
        event: Event<'a>,
        more: &[&str],
        builder: &mut BatchBuilder,
    ) {
        let Vrl::Object(mut object) = event.object else {
            return self.copy(row, more, builder);
        };
        self.begin(row, builder);
        let mut writer = Writer { builder, changed: false };
        let (mut time, mut time_set, mut issues) = (None, false, "");
        // What came last is taken first: `a.b` may stand within an object that is called `a`.
        let now = event.entries.iter().rev().map(|entry| match &entry.seen {
            Some((_, nested)) => take(&mut object, entry.name, *nested),
            None => None,
        });
        let now: Vec<Option<Vrl>> = now.collect();
        for (entry, now) in event.entries.iter().zip(now.into_iter().rev()) {
            let same = entry.seen.as_ref().is_none_or(|(seen, _)| Some(seen) == now.as_ref());
            match (entry.place, entry.value) {
                (Place::Column(fields::EVENT_TIME), Owned::Time(before)) => {
                    let set = if same { None } else { writer.time(now) };
                    (time, time_set) = (Some(set.unwrap_or(before)), set.is_some());
                }
                (Place::Column(id), value) if read_only(id) => {
                    if let (fields::ISSUES, Owned::Value(value)) = (id, value) {
                        issues = value.text();
                    }
                    if !same {
                        // As when a record names such a column.
                        now.into_iter().for_each(|now| writer.put(entry.name, now, 0));
                    }
                }
                (Place::Column(id), value) if same => writer.builder.put_exact(id, value),
                (Place::Attribute, Owned::Value(value)) if same => {
                    writer.builder.attribute(entry.name, value);
                }
                (Place::Attribute, Owned::Value(Value::Json(_))) => {
                    now.into_iter().for_each(|now| writer.whole(entry.name, &now));
                }
                _ => {
                    writer.changed = true;
                    now.into_iter().for_each(|now| writer.put(entry.name, now, 0));
                }
            }
        }
        for (name, value) in object {
            writer.put(name.as_str(), value, 0);
        }
        let changed = writer.changed;
        for issue in issues.split(',').filter(|issue| !issue.is_empty()) {
            let settled =
                time_set && TIME_ISSUES.contains(&issue) || changed && issue == NOT_UNDERSTOOD;
            if !settled {
                builder.issue(issue);
            }
        }
        more.iter().for_each(|issue| builder.issue(issue));
        builder.end(time);
    }

    fn begin(&self, row: usize, builder: &mut BatchBuilder) {
        builder.begin(self.batch.ids().get(row).copied().unwrap_or(0), self.batch.original(row));
    }
}

trait PutExact {
    fn put_exact(&mut self, id: FieldId, value: Owned<'_>);
}

impl PutExact for BatchBuilder {
    fn put_exact(&mut self, id: FieldId, value: Owned<'_>) {
        match value {
            Owned::Value(value) => self.text(id, value.text()),
            Owned::Long(number) => self.long(id, number),
            Owned::Time(_) => {}
        }
    }
}

struct Writer<'b> {
    builder: &'b mut BatchBuilder,
    changed: bool,
}

impl Writer<'_> {
    /// Puts a value that the program made under this dotted name.
    fn put(&mut self, name: &str, value: Vrl, depth: usize) {
        match value {
            // Objects are flattened, as the parsers do.
            Vrl::Object(object) if depth < DEPTH_MAX => {
                for (key, value) in object {
                    self.put(&format!("{name}.{key}"), value, depth + 1);
                }
            }
            // Null says that there is nothing.
            Vrl::Null => self.changed = true,
            value => self.whole(name, &value),
        }
    }

    fn whole(&mut self, name: &str, value: &Vrl) {
        self.changed = true;
        let (text, kind) = written(value);
        let value = Value::from_kind(kind, &text);
        match fields::by_ecs_name(name) {
            Some(id) if id != fields::EVENT_TIME && WRITABLE.contains(&id) => {
                self.builder.set(id, value);
            }
            _ => self.builder.named(name, value),
        }
    }

    /// The time that the program gave the event; what is none goes to the attributes.
    fn time(&mut self, value: Option<Vrl>) -> Option<Micros> {
        let name = fields::EVENT_TIME.name();
        match value? {
            Vrl::Timestamp(time) => {
                self.changed = true;
                Some(time.timestamp_micros())
            }
            Vrl::Null => None,
            value => {
                self.changed = true;
                let (text, kind) = written(&value);
                let read = time::parse_rfc3339(&text);
                if read.is_none() {
                    self.builder.issue(&format!("type:{name}"));
                    self.builder.attribute(name, Value::from_kind(kind, &text));
                }
                read
            }
        }
    }
}

/// A value as text, with the letter of its kind.
fn written(value: &Vrl) -> (String, u8) {
    match value {
        Vrl::Bytes(bytes) => (String::from_utf8_lossy(bytes).into_owned(), b's'),
        Vrl::String(text) => (text.to_string(), b's'),
        Vrl::Regex(regex) => (regex.as_str().to_string(), b's'),
        Vrl::Integer(number) => (number.to_string(), b'n'),
        Vrl::Float(number) => (number.to_string(), b'n'),
        Vrl::Boolean(value) => (value.to_string(), b'b'),
        Vrl::Timestamp(time) => (time::format(time.timestamp_micros()), b's'),
        Vrl::Null => (String::new(), b'z'),
        Vrl::Object(_) | Vrl::Array(_) => (serde_json::to_string(value).unwrap_or_default(), b'j'),
    }
}

impl Owned<'_> {
    /// The value as a program sees it.
    fn shown(self) -> Vrl {
        match self {
            Owned::Long(number) => Vrl::Integer(number),
            Owned::Time(time) => {
                chrono::DateTime::from_timestamp_micros(time).map_or(Vrl::Null, Vrl::Timestamp)
            }
            Owned::Value(Value::Null) => Vrl::Null,
            Owned::Value(Value::Text(text)) => Vrl::from(text),
            Owned::Value(Value::Bool(value)) => Vrl::Boolean(value),
            Owned::Value(Value::Number(text)) => match exact_integer(text) {
                Some(number) => Vrl::Integer(number),
                None => match text.parse::<f64>() {
                    Ok(number) if number.is_finite() && !is_padded(text) => {
                        NotNan::new(number).map_or(Vrl::Null, Vrl::Float)
                    }
                    _ => Vrl::from(text),
                },
            },
            // The library of JSON has a depth of its own at which it gives up.
            Owned::Value(Value::Json(text)) => match serde_json::from_str::<Vrl>(text) {
                Ok(value) if measure(&value).is_ok() => value,
                _ => Vrl::from(text),
            },
        }
    }
}

/// `007`: a number would lose the zeros.
fn is_padded(text: &str) -> bool {
    let digits = text.trim_start_matches('-').as_bytes();
    matches!(digits, [b'0', next, ..] if next.is_ascii_digit())
}

/// Puts a value under its dotted name, nested if that is possible (true) or whole; `None` where
/// neither is.
fn insert(object: &mut ObjectMap, name: &str, value: &Vrl) -> Option<bool> {
    if nest(object, name, value) {
        return Some(true);
    }
    if object.contains_key(name) {
        return None;
    }
    object.insert(name.into(), value.clone());
    Some(false)
}

fn nest(object: &mut ObjectMap, name: &str, value: &Vrl) -> bool {
    if name.split('.').any(str::is_empty) || name.split('.').count() > NAME_PARTS_MAX {
        return false;
    }
    let mut object = object;
    let mut rest = name;
    while let Some((part, after)) = rest.split_once('.') {
        // Looked up first: most objects are there already, and a key costs an allocation.
        if !object.contains_key(part) {
            object.insert(part.into(), Vrl::Object(ObjectMap::new()));
        }
        let Some(Vrl::Object(inner)) = object.get_mut(part) else { return false };
        object = inner;
        rest = after;
    }
    if object.contains_key(rest) {
        return false;
    }
    object.insert(rest.into(), value.clone());
    true
}

/// Takes out what stands under a dotted name.
fn take(object: &mut ObjectMap, name: &str, nested: bool) -> Option<Vrl> {
    let mut object = object;
    let mut rest = name;
    while nested && let Some((part, after)) = rest.split_once('.') {
        let Some(Vrl::Object(inner)) = object.get_mut(part) else { return None };
        object = inner;
        rest = after;
    }
    object.remove(rest)
}

/// Whether what a program left is within the limits; the text says what is not.
pub(crate) fn measure(value: &Vrl) -> Result<(), String> {
    let mut left = Left { fields: FIELDS_MAX, bytes: RESULT_BYTES_MAX };
    left.take(value, 0)
}

struct Left {
    fields: usize,
    bytes: usize,
}

impl Left {
    fn take(&mut self, value: &Vrl, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("the event is more than {DEPTH_MAX} levels deep"));
        }
        match value {
            Vrl::Object(object) => {
                for (key, value) in object {
                    self.field(key, value)?;
                    self.take(value, depth + 1)?;
                }
                Ok(())
            }
            Vrl::Array(values) => {
                self.bytes(values.len())?;
                values.iter().try_for_each(|value| self.take(value, depth + 1))
            }
            Vrl::Bytes(bytes) => self.bytes(bytes.len()),
            Vrl::String(text) => self.bytes(text.len()),
            _ => self.bytes(8),
        }
    }

    fn field(&mut self, key: &KeyString, value: &Vrl) -> Result<(), String> {
        self.bytes(key.len())?;
        if !matches!(value, Vrl::Object(_)) {
            let left = self.fields.checked_sub(1);
            let message = || format!("the event has more than {FIELDS_MAX} fields");
            self.fields = left.ok_or_else(message)?;
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.bytes.checked_sub(bytes);
        let message = || format!("the event has more than {RESULT_BYTES_MAX} bytes");
        self.bytes = left.ok_or_else(message)?;
        Ok(())
    }
}
