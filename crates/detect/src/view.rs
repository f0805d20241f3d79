//! Rows of a batch as rules see them: per field, the distinct values and which row has which.
//!
//! A rule names a field as the product does. Its value is, first, the attribute of exactly that
//! name (an event that has it also has a column, but the column then holds another native field);
//! else the column that the registry resolves the name to; else the attribute of that name in
//! other case.

use std::borrow::Cow;

use arrow::array::{Array, AsArray, StringArray};
use hashbrown::HashMap;
use pugmark_event::fields::{self, FieldId, Kind};
use pugmark_event::{Batch, time};

use crate::pattern::fold;

/// The id of "no value".
pub(crate) const NONE: u32 = u32::MAX;
/// Elements of one array that are looked at.
const ELEMENTS_MAX: usize = 4096;

/// Fields to look up in events of one product.
#[derive(Debug, Default)]
pub(crate) struct FieldPlan {
    names: Vec<String>,
    columns: Vec<Option<FieldId>>,
    by_shape: ByShape,
    /// Names with letters beyond ASCII.
    foreign: Vec<u32>,
}

impl FieldPlan {
    /// A plan for `names`, each once.
    pub(crate) fn new(product: &str, names: Vec<String>) -> Self {
        let columns = names.iter().map(|name| fields::resolve(product, name)).collect();
        let by_shape = ByShape::new(&names);
        let foreign =
            (0u32..).zip(&names).filter(|(_, name)| !name.is_ascii()).map(|(at, _)| at).collect();
        Self { names, columns, by_shape, foreign }
    }

    /// Calls `each` with the fields that an attribute of this name stands for, and whether the name
    /// is the same letter by letter. Letters of ASCII stand for each other only.
    fn meanings(&self, name: &str, mut each: impl FnMut(u32, bool)) {
        for &field in self.by_shape.like(name) {
            let wanted = &self.names[field as usize];
            let exact = wanted == name;
            if exact || wanted.eq_ignore_ascii_case(name) {
                each(field, exact);
            }
        }
        if !self.foreign.is_empty() && !name.is_ascii() {
            let folded = fold(name);
            for &field in &self.foreign {
                let wanted = &self.names[field as usize];
                if fold(wanted) == folded {
                    each(field, wanted == name);
                }
            }
        }
    }
}

/// ASCII names by length and last letter: of most attributes this alone says that nobody asks about
/// them, and it costs less than a hash.
#[derive(Debug)]
struct ByShape {
    /// Where the names of each shape begin in `names`.
    starts: Box<[u32; SHAPES + 1]>,
    names: Vec<u32>,
}

const SHAPES: usize = 1024;

impl Default for ByShape {
    fn default() -> Self {
        Self { starts: Box::new([0; SHAPES + 1]), names: Vec::new() }
    }
}

impl ByShape {
    fn new(names: &[String]) -> Self {
        let ascii = (0u32..).zip(names).filter(|(_, name)| name.is_ascii());
        let mut shaped: Vec<(usize, u32)> = ascii.map(|(at, name)| (shape(name), at)).collect();
        shaped.sort_unstable();
        let mut by_shape = Self::default();
        for (shape, start) in by_shape.starts.iter_mut().enumerate() {
            *start = shaped.partition_point(|(of, _)| *of < shape) as u32;
        }
        by_shape.names = shaped.into_iter().map(|(_, at)| at).collect();
        by_shape
    }

    fn like(&self, name: &str) -> &[u32] {
        let shape = shape(name);
        &self.names[self.starts[shape] as usize..self.starts[shape + 1] as usize]
    }
}

/// The same for names that differ in case only.
fn shape(name: &str) -> usize {
    let last = name.as_bytes().last().copied().unwrap_or_default();
    name.len() % 32 * 32 + usize::from(last % 32)
}

/// One distinct value.
#[derive(Debug)]
pub(crate) struct Value<'a> {
    pub(crate) text: Cow<'a, str>,
    /// Elements, when it is a JSON array.
    pub(crate) elements: Option<Vec<String>>,
    pub(crate) null: bool,
}

impl<'a> Value<'a> {
    fn new(text: Cow<'a, str>, kind: u8) -> Self {
        let elements = if kind == b'j' { array(&text) } else { None };
        Self { text, elements, null: kind == b'z' }
    }

    /// The texts to test: the value, or the elements of an array.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let single = if self.elements.is_none() { Some(self.text.as_ref()) } else { None };
        let many = self.elements.as_deref().unwrap_or_default();
        single.into_iter().chain(many.iter().map(String::as_str))
    }
}

/// The elements of an array and of arrays in it; nulls are none.
fn array(text: &str) -> Option<Vec<String>> {
    if !text.starts_with('[') {
        return None;
    }
    let mut open: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
    open.reverse();
    let mut elements = Vec::new();
    while let Some(element) = open.pop() {
        match element {
            serde_json::Value::Null => {}
            serde_json::Value::Array(inner) => open.extend(inner.into_iter().rev()),
            serde_json::Value::String(text) => elements.push(text),
            other => elements.push(other.to_string()),
        }
        if elements.len() == ELEMENTS_MAX {
            break;
        }
    }
    Some(elements)
}

/// One field over the rows.
#[derive(Debug, Default)]
pub(crate) struct Column<'a> {
    /// Which value each row has; [`NONE`] for none.
    pub(crate) ids: Vec<u32>,
    /// Distinct values.
    pub(crate) values: Vec<Value<'a>>,
}

impl<'a> Column<'a> {
    pub(crate) fn at(&self, row: usize) -> Option<&Value<'a>> {
        self.values.get(self.ids[row] as usize)
    }
}

/// The fields of one event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventFields<'e, 'v> {
    pub(crate) names: &'e [String],
    /// In the order of the names.
    pub(crate) columns: &'e [&'e Column<'v>],
    pub(crate) row: usize,
}

impl<'e, 'v> EventFields<'e, 'v> {
    pub(crate) fn get(&self, name: &str) -> Option<&'e Value<'v>> {
        let index = self.names.iter().position(|known| known == name)?;
        self.columns[index].at(self.row)
    }
}

/// The fields of a plan over some rows of a batch.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// Rows of the batch.
    pub(crate) rows: Vec<u32>,
    /// In the order of the plan.
    pub(crate) columns: Vec<Column<'a>>,
}

impl<'a> View<'a> {
    pub(crate) fn new(batch: &'a Batch, rows: Vec<u32>, plan: &FieldPlan) -> Self {
        let mut columns: Vec<Column<'a>> =
            plan.columns.iter().map(|id| registered(batch, &rows, *id)).collect();
        attributes(batch, &rows, plan, &mut columns);
        Self { rows, columns }
    }
}

fn registered<'a>(batch: &'a Batch, rows: &[u32], field: Option<FieldId>) -> Column<'a> {
    let mut column = Column { ids: vec![NONE; rows.len()], values: Vec::new() };
    let Some(field) = field else { return column };
    match field.field().kind {
        Kind::Text | Kind::Ip => {
            if let Some(array) = batch.text(field) {
                texts(array, rows, &mut column);
            }
        }
        Kind::Long => {
            if let Some(array) = batch.long(field) {
                let mut seen: HashMap<i64, u32> = HashMap::new();
                for (at, &row) in rows.iter().enumerate() {
                    if array.is_valid(row as usize) {
                        let number = array.value(row as usize);
                        column.ids[at] = *seen.entry(number).or_insert_with(|| {
                            push(&mut column.values, Cow::Owned(number.to_string()), b'n')
                        });
                    }
                }
            }
        }
        Kind::Time => {
            let times = match field {
                fields::EVENT_TIME => batch.event_times(),
                _ => batch.received_times(),
            };
            for (at, &row) in rows.iter().enumerate() {
                let Some(&micros) = times.get(row as usize) else { continue };
                column.ids[at] = push(&mut column.values, Cow::Owned(time::format(micros)), b's');
            }
        }
        Kind::Bytes => {}
    }
    column
}

fn texts<'a>(array: &'a StringArray, rows: &[u32], column: &mut Column<'a>) {
    let mut distinct = Distinct::default();
    for (at, &row) in rows.iter().enumerate() {
        if array.is_valid(row as usize) {
            column.ids[at] = distinct.id(&mut column.values, b's', array.value(row as usize));
        }
    }
}

/// Values of one field that were seen.
#[derive(Default)]
struct Distinct<'a> {
    by_text: HashMap<(u8, &'a str), u32>,
    /// The last one: neighbours are often alike, and comparing costs less than hashing.
    last: Option<(u8, &'a str, u32)>,
    /// Values that were looked for.
    asked: usize,
    /// They repeat so rarely that hashing them is wasted.
    all_differ: bool,
}

/// Values after which it is clear whether a field's values repeat.
const TRIED: usize = 128;

impl<'a> Distinct<'a> {
    /// The id of a value, which is added if it was not seen.
    fn id(&mut self, values: &mut Vec<Value<'a>>, kind: u8, text: &'a str) -> u32 {
        let mut add = || push(values, Cow::Borrowed(text), kind);
        if self.all_differ {
            return add();
        }
        if let Some((_, _, id)) = self.last.filter(|last| (last.0, last.1) == (kind, text)) {
            return id;
        }
        let id = *self.by_text.entry((kind, text)).or_insert_with(add);
        self.asked += 1;
        if self.asked == TRIED {
            self.all_differ = self.by_text.len() > TRIED / 8 * 7;
        }
        self.last = Some((kind, text, id));
        id
    }
}

fn push<'a>(values: &mut Vec<Value<'a>>, text: Cow<'a, str>, kind: u8) -> u32 {
    values.push(Value::new(text, kind));
    values.len() as u32 - 1
}

/// One pass over the attributes of all rows.
fn attributes<'a>(batch: &'a Batch, rows: &[u32], plan: &FieldPlan, columns: &mut [Column<'a>]) {
    let Some(map) = batch.attributes().column() else { return };
    let (Some(keys), Some(values)) =
        (map.keys().as_string_opt::<i32>(), map.values().as_string_opt::<i32>())
    else {
        return;
    };
    let kinds = batch.text(fields::ATTRIBUTE_KINDS);
    let mut distinct: Vec<Distinct<'a>> = columns.iter().map(|_| Distinct::default()).collect();
    for (at, &row) in rows.iter().enumerate() {
        let row = row as usize;
        if map.is_null(row) {
            continue;
        }
        let range = map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize;
        let kinds = kinds.filter(|k| k.is_valid(row)).map_or(&[][..], |k| k.value(row).as_bytes());
        for (position, entry) in range.enumerate() {
            plan.meanings(keys.value(entry), |field, exact| {
                let column = &mut columns[field as usize];
                if !exact && column.ids[at] != NONE {
                    return;
                }
                let kind = match kinds.get(position) {
                    Some(kind @ (b'j' | b'z')) => *kind,
                    _ => b's',
                };
                let text = if values.is_valid(entry) { values.value(entry) } else { "" };
                let distinct = &mut distinct[field as usize];
                column.ids[at] = distinct.id(&mut column.values, kind, text);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use pugmark_event::{BatchBuilder, Value as Raw};

    use super::*;

    /// Looks `name` up in one Windows event.
    #[track_caller]
    fn check(fill: impl Fn(&mut BatchBuilder), name: &str, expected: &[&str]) {
        let mut builder = BatchBuilder::new("test", time::DAY);
        builder.begin(1, b"raw");
        fill(&mut builder);
        builder.end(None);
        let batch = builder.finish().unwrap();
        let plan = FieldPlan::new("windows", vec![name.into()]);
        let view = View::new(&batch, vec![0], &plan);
        let found: Vec<_> = view.columns[0].at(0).into_iter().flat_map(Value::texts).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_name_finds_its_column_or_attribute() {
        check(|b| b.native("windows", "Image", Raw::Text("a.exe")), "Image", &["a.exe"]);
        check(|b| b.native("windows", "EventID", Raw::Number("4625")), "EventID", &["4625"]);
        check(|b| b.native("windows", "LogonType", Raw::Text("3")), "LogonType", &["3"]);
        check(|b| b.native("windows", "LogonType", Raw::Text("%%1")), "LogonType", &["%%1"]);
        check(|b| b.attribute("Odd", Raw::Text("x")), "Odd", &["x"]);
        check(|b| b.attribute("resultType", Raw::Text("x")), "ResultType", &["x"]);
        check(|b| b.attribute("\u{212a}elvin", Raw::Text("x")), "kelvin", &[]);
        check(|b| b.attribute("GR\u{d6}SSE", Raw::Text("x")), "gr\u{f6}sse", &["x"]);
        check(|b| b.attribute("tags", Raw::Json(r#"["a",2]"#)), "tags", &["a", "2"]);
        let nested = r#"[["a",[null,"b"]],{"c":[1]},true]"#;
        let elements = ["a", "b", r#"{"c":[1]}"#, "true"];
        check(|b| b.attribute("tags", Raw::Json(nested)), "tags", &elements);
        check(|_| {}, "event.original", &["raw"]);
        check(|_| {}, "Image", &[]);
    }

    #[test]
    fn a_second_native_field_keeps_its_own_value() {
        let fill = |b: &mut BatchBuilder| {
            b.native("windows", "SubjectUserName", Raw::Text("alice"));
            b.native("windows", "User", Raw::Text("bob"));
        };
        check(fill, "SubjectUserName", &["alice"]);
        check(fill, "User", &["bob"]);
    }
}
