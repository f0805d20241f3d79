//! Builds a batch: parsers push values, each finds its column or goes to the attributes tail.
//!
//! Nothing is refused. A value that does not fit its column (text in a number, `007` where a
//! number would lose the zeros, a second value for the same column) goes to the tail under the
//! name its producer gave it, and the event says so in `event.issues`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int64Builder, MapArray, RecordBatch, StringBuilder, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field as ArrowField, Schema};

use crate::batch::{Batch, BatchError, attributes_type, entry_fields};
use crate::fields::{self, ATTRIBUTES, FIELDS, FieldId, Kind, SYSTEM};
use crate::marks::NameMarks;
use crate::time::{DAY, Micros, SECOND};
use crate::value::{Value, exact_address, exact_integer};

/// Attributes kept per event; the rest stays in the raw record alone.
pub const ATTRIBUTES_PER_EVENT_MAX: usize = 512;
/// Longest attribute name in bytes; longer names are cut.
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 256;
/// Bytes of `event.issues` after which no more are added: a record with thousands of odd fields
/// must not grow a list of thousands of issues.
pub const ISSUES_BYTES_MAX: usize = 200;
/// An event time this far after the time of receipt is a wrong clock.
pub const CLOCK_AHEAD_MAX: Micros = DAY;
/// 2000-01-01: an event time before it is a clock that was never set.
pub const EVENT_TIME_MIN: Micros = 946_684_800 * SECOND;

/// Room that a text column begins with, in bytes per row.
const TEXT_BYTES_GUESS: usize = 12;

/// Collects events into columns.
#[derive(Debug)]
pub struct BatchBuilder {
    source: String,
    received: Micros,
    rows: usize,
    rows_expected: usize,
    columns: Vec<Option<Column>>,
    /// For each column, how many rows have a value or a null by now.
    filled: Vec<usize>,
    ids: Vec<i64>,
    times: Vec<Micros>,
    original: StringBuilder,
    attributes: AttributesBuilder,
    issues: String,
}

#[derive(Debug)]
enum Column {
    Text(StringBuilder),
    Long(Int64Builder),
    Bytes(BinaryBuilder),
}

impl Column {
    /// A column for up to about `rows` values.
    fn new(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::Text | Kind::Ip => {
                Column::Text(StringBuilder::with_capacity(rows, rows * TEXT_BYTES_GUESS))
            }
            Kind::Long | Kind::Time => Column::Long(Int64Builder::with_capacity(rows)),
            Kind::Bytes => Column::Bytes(BinaryBuilder::new()),
        }
    }

    /// Adds so many nulls.
    fn pad(&mut self, missing: usize) {
        if missing == 0 {
            // Even no nulls would make the builder keep a bit for every row.
            return;
        }
        match self {
            Column::Text(b) => b.append_nulls(missing),
            Column::Long(b) => b.append_nulls(missing),
            Column::Bytes(b) => b.append_nulls(missing),
        }
    }

    /// The column with so many nulls at its end.
    fn finish(mut self, missing: usize) -> ArrayRef {
        self.pad(missing);
        match self {
            Column::Text(mut b) => Arc::new(b.finish()),
            Column::Long(mut b) => Arc::new(b.finish()),
            Column::Bytes(mut b) => Arc::new(b.finish()),
        }
    }
}

#[derive(Debug, Default)]
struct AttributesBuilder {
    keys: StringBuilder,
    values: StringBuilder,
    offsets: Vec<i32>,
    /// Where the keys of the open event start.
    first: usize,
    kinds: String,
    count: usize,
    /// Which names the open event may have had already: most are new, and need no look at others.
    names: NameMarks,
}

impl BatchBuilder {
    /// A builder for records of `source` that arrived at `received`.
    pub fn new(source: &str, received: Micros) -> Self {
        Self::with_capacity(source, received, 0, 0)
    }

    /// The same with room for `rows` records of `raw_bytes` in all.
    pub fn with_capacity(source: &str, received: Micros, rows: usize, raw_bytes: usize) -> Self {
        Self {
            source: source.to_string(),
            received,
            rows: 0,
            rows_expected: rows,
            columns: FIELDS.iter().map(|_| None).collect(),
            filled: vec![0; FIELDS.len()],
            ids: Vec::with_capacity(rows),
            times: Vec::with_capacity(rows),
            original: StringBuilder::with_capacity(rows, raw_bytes),
            attributes: AttributesBuilder::new(rows),
            issues: String::new(),
        }
    }

    /// Number of events begun.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// When the records were received.
    pub fn received(&self) -> Micros {
        self.received
    }

    /// Starts an event from its raw record. Every `begin` is followed by one `end`.
    pub fn begin(&mut self, id: i64, raw: &[u8]) {
        match std::str::from_utf8(raw) {
            Ok(text) => self.begin_text(id, text),
            Err(_) => {
                self.ids.push(id);
                self.original.append_value(String::from_utf8_lossy(raw));
                self.bytes(fields::ORIGINAL_BYTES, raw);
                self.issue("not_utf8");
            }
        }
    }

    /// Starts an event from a raw record that is known to be text.
    pub fn begin_text(&mut self, id: i64, raw: &str) {
        self.ids.push(id);
        self.original.append_value(raw);
    }

    /// Ends the event. Without a time it happened when it was received; a clock that is impossible
    /// (more than a day ahead, or before 2000) is not believed, but what it said is kept in the
    /// attribute `event.stated_time`.
    pub fn end(&mut self, time: Option<Micros>) {
        let time = match time {
            None => {
                self.issue("time_missing");
                self.received
            }
            Some(t) if t > self.received.saturating_add(CLOCK_AHEAD_MAX) => {
                self.distrust("clock_ahead", t)
            }
            Some(t) if t < EVENT_TIME_MIN => self.distrust("clock_unset", t),
            Some(t) => t,
        };
        self.times.push(time);
        self.attributes.end();
        if !self.issues.is_empty() {
            let issues = std::mem::take(&mut self.issues);
            self.text(fields::ISSUES, &issues);
        }
        self.rows += 1;
    }

    fn distrust(&mut self, issue: &str, stated: Micros) -> Micros {
        self.issue(issue);
        self.attribute("event.stated_time", Value::Text(&crate::time::format(stated)));
        self.received
    }

    /// Notes that something went wrong, as a short code: `time_missing`, `type:source.port`.
    pub fn issue(&mut self, code: &str) {
        if self.issues.len() < ISSUES_BYTES_MAX && !self.issues.split(',').any(|seen| seen == code)
        {
            if !self.issues.is_empty() {
                self.issues.push(',');
            }
            self.issues.push_str(code);
        }
    }

    /// Says which log source the event belongs to; empty parts are left out.
    pub fn log_source(&mut self, product: &str, category: &str, service: &str) {
        for (id, value) in
            [(fields::PRODUCT, product), (fields::CATEGORY, category), (fields::SERVICE, service)]
        {
            if !value.is_empty() {
                self.text(id, value);
            }
        }
    }

    /// Puts a value into its column, else into the tail under the field's ECS name. Nulls and
    /// empty text leave no trace, since they say nothing that the raw record does not.
    pub fn set(&mut self, id: FieldId, value: Value<'_>) {
        self.place(id, id.name(), value);
    }

    /// Puts a value that a product calls `name` where the registry says, else into the tail under
    /// that name.
    pub fn native(&mut self, product: &str, name: &str, value: Value<'_>) {
        self.place_as(fields::resolve(product, name), name, value);
    }

    /// Puts a value that the record calls by its ECS name, else into the tail under that name.
    pub fn named(&mut self, name: &str, value: Value<'_>) {
        self.place_as(fields::by_ecs_name(name), name, value);
    }

    /// Puts a value into the column that the registry has for its name, if it has one, else into
    /// the tail under that name.
    pub fn place_as(&mut self, column: Option<FieldId>, name: &str, value: Value<'_>) {
        match column {
            Some(id) if !SYSTEM.contains(&id) => self.place(id, name, value),
            Some(_) => self.attribute(&format!("original.{name}"), value),
            None => self.attribute(name, value),
        }
    }

    /// True when the open event has a value in this column.
    pub fn has(&self, id: FieldId) -> bool {
        self.filled[id.0 as usize] > self.rows
    }

    fn place(&mut self, id: FieldId, name: &str, value: Value<'_>) {
        let text = value.text();
        if matches!(value, Value::Null) {
            return self.attribute(name, value);
        }
        if self.has(id) {
            // The same value twice is no conflict: many products repeat themselves.
            if !self.holds(id, text) {
                self.issue(&format!("second:{}", id.name()));
                self.attribute(name, value);
            }
            return;
        }
        match id.field().kind {
            Kind::Text if !matches!(value, Value::Json(_)) => return self.text(id, text),
            Kind::Ip if exact_address(text).is_some() => return self.text(id, text),
            Kind::Long if !matches!(value, Value::Json(_)) => {
                if let Some(number) = exact_integer(text) {
                    return self.long(id, number);
                }
            }
            _ => {}
        }
        if !text.is_empty() && text != "-" {
            self.issue(&format!("type:{}", id.name()));
        }
        self.attribute(name, value);
    }

    /// True when the open event's value of this column reads exactly like `text`.
    pub fn holds(&self, id: FieldId, text: &str) -> bool {
        if !self.has(id) {
            return false;
        }
        match &self.columns[id.0 as usize] {
            Some(Column::Text(b)) => {
                let offsets = b.offsets_slice();
                let range = offsets[self.rows] as usize..offsets[self.rows + 1] as usize;
                b.values_slice().get(range) == Some(text.as_bytes())
            }
            Some(Column::Long(b)) => {
                exact_integer(text).is_some_and(|n| b.values_slice().get(self.rows) == Some(&n))
            }
            _ => false,
        }
    }

    /// Puts an integer that a parser computed into its column.
    pub fn long(&mut self, id: FieldId, value: i64) {
        if let Some(Column::Long(b)) = self.open(id) {
            b.append_value(value);
            self.close(id);
        }
    }

    /// Puts text that a parser made into its column.
    pub fn text(&mut self, id: FieldId, value: &str) {
        if let Some(Column::Text(b)) = self.open(id) {
            b.append_value(value);
            self.close(id);
        }
    }

    fn bytes(&mut self, id: FieldId, value: &[u8]) {
        if let Some(Column::Bytes(b)) = self.open(id) {
            b.append_value(value);
            self.close(id);
        }
    }

    /// The column ready for a value of the open event; `None` if it has one already.
    fn open(&mut self, id: FieldId) -> Option<&mut Column> {
        let (at, rows, expected) = (id.0 as usize, self.rows, self.rows_expected);
        if self.filled[at] > rows {
            return None;
        }
        let column = self.columns[at].get_or_insert_with(|| Column::new(id.field().kind, expected));
        if self.filled[at] < rows {
            column.pad(rows - self.filled[at]);
            self.filled[at] = rows;
        }
        Some(column)
    }

    /// Notes that the open event has a value in this column now.
    fn close(&mut self, id: FieldId) {
        self.filled[id.0 as usize] = self.rows + 1;
    }

    /// Puts a value into the attributes tail.
    pub fn attribute(&mut self, name: &str, value: Value<'_>) {
        if self.attributes.len() >= ATTRIBUTES_PER_EVENT_MAX {
            return self.issue("attributes_cut");
        }
        let cut = floor_char_boundary(name, ATTRIBUTE_NAME_BYTES_MAX);
        if cut < name.len() {
            self.issue("name_cut");
        }
        self.attributes.push(&name[..cut], value);
    }

    /// The batch of all ended events.
    ///
    /// # Errors
    /// When Arrow cannot build the columns, which is a defect of this builder.
    pub fn finish(mut self) -> Result<Batch, BatchError> {
        let rows = self.rows;
        let mut schema = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        let mut source = StringBuilder::with_capacity(rows, rows * self.source.len());
        source.append_value_n(&self.source, rows);
        let columns = std::mem::take(&mut self.columns);
        for ((field, column), filled) in FIELDS.iter().zip(columns).zip(&self.filled) {
            let array: ArrayRef = match (field.name, column) {
                ("@timestamp", _) => times(std::mem::take(&mut self.times)),
                ("event.ingested", _) => times(vec![self.received; rows]),
                ("event.id", _) => {
                    Arc::new(arrow::array::Int64Array::from(std::mem::take(&mut self.ids)))
                }
                ("event.source", _) => Arc::new(source.finish()),
                ("event.original", _) => Arc::new(self.original.finish()),
                ("event.attribute_kinds", _) => Arc::new(self.attributes.kinds_column()),
                (_, Some(column)) => column.finish(rows - filled),
                (_, None) => continue,
            };
            schema.push(field.arrow());
            arrays.push(array);
        }
        schema.push(ArrowField::new(ATTRIBUTES, attributes_type(), true));
        arrays.push(self.attributes.finish()?);
        Batch::new(RecordBatch::try_new(Arc::new(Schema::new(schema)), arrays)?)
    }
}

/// The column of times that every event has.
pub fn times(values: Vec<Micros>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

/// These events with one attribute more where `value` gives one; it stands before the others. A
/// record's own attribute of that name gets a number behind it, as a second one does.
///
/// # Errors
/// When Arrow cannot build the columns, such as text past 2 GiB.
pub fn with_attribute<'v>(
    batch: &Batch,
    name: &str,
    value: impl Fn(usize) -> Option<Value<'v>>,
) -> Result<Batch, BatchError> {
    let mut tail = AttributesBuilder::new(batch.rows());
    for row in 0..batch.rows() {
        if let Some(value) = value(row) {
            tail.push(name, value);
        }
        for (own, value) in batch.attributes().row(row) {
            tail.push(own, value);
        }
        tail.end();
    }
    let kinds: ArrayRef = Arc::new(tail.kinds_column());
    let map = ArrowField::new(ATTRIBUTES, attributes_type(), true);
    batch.with_columns(vec![
        (Arc::new(fields::ATTRIBUTE_KINDS.field().arrow()), kinds),
        (Arc::new(map), tail.finish()?),
    ])
}

fn floor_char_boundary(text: &str, max: usize) -> usize {
    if text.len() <= max {
        return text.len();
    }
    (0..=max).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

impl AttributesBuilder {
    /// A tail for up to about `rows` events.
    fn new(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { offsets, ..Self::default() }
    }

    /// Attributes of the open event.
    fn len(&self) -> usize {
        self.count - self.first
    }

    fn push(&mut self, name: &str, value: Value<'_>) {
        // A map has each key once; readers such as DuckDB rely on it.
        if self.names.note(name) && self.has(name) {
            // Starting at the number of those before it, a record of one name repeated a thousand
            // times costs no more than a thousand names.
            let start = self.same(name) + 1;
            let again = (start..).map(|n| format!("{name}#{n}")).find(|n| !self.has(n));
            let again = again.unwrap_or_default();
            self.names.note(&again);
            self.keys.append_value(again);
        } else {
            self.keys.append_value(name);
        }
        self.values.append_value(value.text());
        self.kinds.push(value.kind());
        self.count += 1;
    }

    /// Attributes of the open event with this name or this name and a number.
    fn same(&self, name: &str) -> usize {
        let offsets = self.keys.offsets_slice();
        let bytes = self.keys.values_slice();
        (self.first..self.count)
            .filter(|&i| {
                let rest = bytes[offsets[i] as usize..offsets[i + 1] as usize]
                    .strip_prefix(name.as_bytes());
                rest.is_some_and(|rest| rest.first().is_none_or(|b| *b == b'#'))
            })
            .count()
    }

    fn has(&self, name: &str) -> bool {
        let offsets = self.keys.offsets_slice();
        let bytes = self.keys.values_slice();
        (self.first..self.count)
            .any(|i| &bytes[offsets[i] as usize..offsets[i + 1] as usize] == name.as_bytes())
    }

    fn end(&mut self) {
        self.offsets
            .push(i32::try_from(self.count).expect("a batch has fewer attributes than 2^31"));
        self.first = self.count;
        self.names = NameMarks::default();
    }

    /// One text per event with a letter for each attribute.
    fn kinds_column(&self) -> arrow::array::StringArray {
        let mut column = StringBuilder::with_capacity(self.offsets.len(), self.kinds.len());
        for window in self.offsets.windows(2) {
            column.append_value(&self.kinds[window[0] as usize..window[1] as usize]);
        }
        column.finish()
    }

    fn finish(mut self) -> Result<ArrayRef, BatchError> {
        let entries = StructArray::try_new(
            entry_fields(),
            vec![Arc::new(self.keys.finish()), Arc::new(self.values.finish())],
            None,
        )?;
        let DataType::Map(entry, _) = attributes_type() else {
            unreachable!("the attributes column is a map")
        };
        let offsets = OffsetBuffer::new(self.offsets.into());
        Ok(Arc::new(MapArray::try_new(entry, offsets, entries, None, false)?))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Array as _;

    use super::*;
    use crate::json::RowWriter;

    const NOW: Micros = 1_795_428_000_000_000;

    /// Builds one event and shows it as JSON without the columns that every event has.
    #[track_caller]
    fn check(fill: impl Fn(&mut BatchBuilder), time: Option<Micros>, expected: &str) {
        let mut builder = BatchBuilder::new("test", NOW);
        // A first event without columns proves that later ones are padded.
        builder.begin(1, b"first");
        builder.end(Some(NOW));
        builder.begin(2, b"raw");
        fill(&mut builder);
        builder.end(time);
        let batch = builder.finish().unwrap();
        let mut json = Vec::new();
        RowWriter::new(batch.columns()).write(1, &mut json);
        let mut shown: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&json).unwrap();
        for always in ["event.ingested", "event.id", "event.source", "event.original"] {
            assert!(shown.shift_remove(always).is_some(), "{always}");
        }
        assert_eq!(serde_json::to_string(&shown).unwrap(), expected);
    }

    #[test]
    fn a_value_that_fits_takes_its_column() {
        check(
            |b| {
                b.native("windows", "LogonType", Value::Text("3"));
                b.named("source.ip", Value::Text("192.0.2.1"));
                b.native("windows", "Extra", Value::Number("5"));
            },
            Some(NOW),
            r#"{"@timestamp":"2026-11-23T10:00:00Z","winlog.logon.type":3,"source.ip":"192.0.2.1","Extra":5}"#,
        );
    }

    #[test]
    fn a_value_that_does_not_fit_goes_to_the_tail() {
        check(
            |b| b.native("windows", "IpPort", Value::Text("007")),
            Some(NOW),
            r#"{"@timestamp":"2026-11-23T10:00:00Z","event.issues":"type:source.port","IpPort":"007"}"#,
        );
        check(
            |b| {
                b.named("source.ip", Value::Text("192.0.2.1"));
                b.native("nginx", "c-ip", Value::Text("192.0.2.2"));
                b.native("nginx", "c-ip", Value::Text("192.0.2.1"));
            },
            Some(NOW),
            r#"{"@timestamp":"2026-11-23T10:00:00Z","event.issues":"second:source.ip","source.ip":"192.0.2.1","c-ip":"192.0.2.2"}"#,
        );
    }

    #[test]
    fn a_record_cannot_forge_system_columns() {
        check(
            |b| {
                b.named("event.id", Value::Number("7"));
                b.named("event.source", Value::Text("other"));
            },
            Some(NOW),
            r#"{"@timestamp":"2026-11-23T10:00:00Z","original.event.id":7,"original.event.source":"other"}"#,
        );
    }

    #[test]
    fn impossible_clocks_are_kept_but_not_believed() {
        check(
            |_| {},
            Some(0),
            r#"{"@timestamp":"2026-11-23T10:00:00Z","event.issues":"clock_unset","event.stated_time":"1970-01-01T00:00:00Z"}"#,
        );
        check(
            |_| {},
            Some(4_070_908_800 * SECOND),
            r#"{"@timestamp":"2026-11-23T10:00:00Z","event.issues":"clock_ahead","event.stated_time":"2099-01-01T00:00:00Z"}"#,
        );
        check(
            |_| {},
            None,
            r#"{"@timestamp":"2026-11-23T10:00:00Z","event.issues":"time_missing"}"#,
        );
    }

    #[test]
    fn repeated_names_stay_apart_and_hostile_counts_are_bounded() {
        check(
            |b| {
                b.attribute("k", Value::Text("5"));
                b.attribute("k", Value::Number("5"));
            },
            Some(NOW),
            r##"{"@timestamp":"2026-11-23T10:00:00Z","k":"5","k#2":5}"##,
        );
        let mut builder = BatchBuilder::new("test", NOW);
        builder.begin(1, b"\xff");
        for i in 0..10_000 {
            builder.attribute(&format!("k{i}"), Value::Null);
        }
        builder.attribute(&"é".repeat(1000), Value::Null);
        builder.end(Some(NOW));
        let batch = builder.finish().unwrap();
        assert_eq!(batch.attributes().row(0).count(), ATTRIBUTES_PER_EVENT_MAX);
        assert_eq!(batch.original(0), b"\xff");
        assert_eq!(batch.text(fields::ISSUES).unwrap().value(0), "not_utf8,attributes_cut");
    }

    #[test]
    fn batches_with_other_columns_join() {
        let one = |id, field, value: &str| {
            let mut builder = BatchBuilder::new("test", NOW);
            builder.begin(id, value.as_bytes());
            builder.set(field, Value::Text(value));
            builder.end(Some(NOW));
            builder.finish().unwrap()
        };
        let batch =
            Batch::concat(&[one(1, fields::USER_NAME, "root"), one(2, fields::HOST_NAME, "web1")])
                .unwrap();
        assert_eq!(batch.ids(), [1, 2]);
        assert!(batch.text(fields::USER_NAME).unwrap().is_null(1));
        assert_eq!(batch.text(fields::HOST_NAME).unwrap().value(1), "web1");
    }
}
