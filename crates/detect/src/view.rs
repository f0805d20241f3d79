//! Rows of a batch as rules see them: per field, the distinct values and which row has which.
//!
//! A rule names a field as the product does. Its value is, first, the attribute of exactly that
//! name (an event that has it also has a column, but the column then holds another native field);
//! else the column that the registry resolves the name to; else the attribute of that name in
//! other case.

use std::borrow::Cow;
use std::cell::OnceCell;

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
    /// Lower-cased name to fields.
    by_folded_name: HashMap<String, Vec<u32>>,
}

impl FieldPlan {
    /// A plan for `names`, each once.
    pub(crate) fn new(product: &str, names: Vec<String>) -> Self {
        let mut by_folded_name: HashMap<String, Vec<u32>> = HashMap::new();
        for (index, name) in (0u32..).zip(&names) {
            by_folded_name.entry(fold(name).into_owned()).or_default().push(index);
        }
        let columns = names.iter().map(|name| fields::resolve(product, name)).collect();
        Self { names, columns, by_folded_name }
    }
}

/// One distinct value.
#[derive(Debug)]
pub(crate) struct Value<'a> {
    pub(crate) text: Cow<'a, str>,
    /// Elements, when it is a JSON array.
    pub(crate) elements: Option<Vec<String>>,
    pub(crate) null: bool,
    folded: OnceCell<Vec<Cow<'a, str>>>,
}

impl<'a> Value<'a> {
    fn new(text: Cow<'a, str>, kind: u8) -> Self {
        let elements = if kind == b'j' { array(&text) } else { None };
        Self { text, elements, null: kind == b'z', folded: OnceCell::new() }
    }

    /// The texts to test: the value, or the elements of an array.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let single = if self.elements.is_none() { Some(self.text.as_ref()) } else { None };
        let many = self.elements.as_deref().unwrap_or_default();
        single.into_iter().chain(many.iter().map(String::as_str))
    }

    /// The same texts with their letters folded.
    pub(crate) fn folded(&self) -> &[Cow<'a, str>] {
        self.folded.get_or_init(|| match (&self.elements, &self.text) {
            (Some(elements), _) => {
                elements.iter().map(|e| Cow::Owned(fold(e).into_owned())).collect()
            }
            (None, Cow::Borrowed(text)) => vec![fold(text)],
            (None, Cow::Owned(text)) => vec![Cow::Owned(fold(text).into_owned())],
        })
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
                // Raw records repeat so rarely that hashing them is wasted.
                texts(array, rows, field == fields::ORIGINAL, &mut column);
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

fn texts<'a>(array: &'a StringArray, rows: &[u32], all_differ: bool, column: &mut Column<'a>) {
    let mut seen: HashMap<&'a str, u32> = HashMap::new();
    // Neighbours are often alike, and comparing costs less than hashing.
    let mut last: (&'a str, u32) = ("", NONE);
    for (at, &row) in rows.iter().enumerate() {
        if array.is_null(row as usize) {
            continue;
        }
        let text = array.value(row as usize);
        if all_differ {
            column.ids[at] = push(&mut column.values, Cow::Borrowed(text), b's');
            continue;
        }
        if last.1 == NONE || last.0 != text {
            let id = *seen
                .entry(text)
                .or_insert_with(|| push(&mut column.values, Cow::Borrowed(text), b's'));
            last = (text, id);
        }
        column.ids[at] = last.1;
    }
}

fn push<'a>(values: &mut Vec<Value<'a>>, text: Cow<'a, str>, kind: u8) -> u32 {
    values.push(Value::new(text, kind));
    values.len() as u32 - 1
}

/// What an attribute name means for one field of the plan.
#[derive(Debug, Clone, Copy)]
struct Target {
    field: u32,
    exact: bool,
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
    // What each name seen in this batch stands for.
    let mut targets: HashMap<&'a str, Vec<Target>> = HashMap::new();
    let mut seen: HashMap<(u32, u8, &'a str), u32> = HashMap::new();
    for (at, &row) in rows.iter().enumerate() {
        let row = row as usize;
        if map.is_null(row) {
            continue;
        }
        let range = map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize;
        let kinds = kinds.filter(|k| k.is_valid(row)).map_or(&[][..], |k| k.value(row).as_bytes());
        for (position, entry) in range.enumerate() {
            let name = keys.value(entry);
            let targets = targets.entry(name).or_insert_with(|| meanings(plan, name));
            for target in targets.iter() {
                let column = &mut columns[target.field as usize];
                if !target.exact && column.ids[at] != NONE {
                    continue;
                }
                let kind = match kinds.get(position) {
                    Some(kind @ (b'j' | b'z')) => *kind,
                    _ => b's',
                };
                let text = if values.is_valid(entry) { values.value(entry) } else { "" };
                column.ids[at] = *seen
                    .entry((target.field, kind, text))
                    .or_insert_with(|| push(&mut column.values, Cow::Borrowed(text), kind));
            }
        }
    }
}

fn meanings(plan: &FieldPlan, name: &str) -> Vec<Target> {
    let Some(fields) = plan.by_folded_name.get(fold(name).as_ref()) else { return Vec::new() };
    fields
        .iter()
        .map(|&field| Target { field, exact: plan.names[field as usize] == name })
        .collect()
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
