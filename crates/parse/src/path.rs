//! Paths into arrays: `events.0.name` is the name of the first event, `parameters.[name=ip].value`
//! the value of the parameter that is called so. Packs may use them wherever they name a native
//! value.

use std::borrow::Cow;

use crate::formats::json;
use crate::found::{Found, Val};

/// Elements of one array that are looked at.
const ELEMENTS_MAX: usize = 256;

/// A path with at least one step into an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// As it is written.
    pub(crate) name: String,
    /// The native name of the outermost array.
    pub(crate) array: String,
    steps: Vec<Step>,
}

/// Into an array, and on to a name in the element.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    which: Which,
    /// Dotted name in the element; empty for the element itself.
    then: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    At(usize),
    /// The first element that has this value under this name.
    Where(String, String),
}

impl Path {
    /// The path, if the name is one.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let mut path = Path { name: name.to_string(), array: String::new(), steps: Vec::new() };
        for segment in segments(name) {
            match Which::of(segment) {
                Some(which) => path.steps.push(Step { which, then: String::new() }),
                None => {
                    let to = path.steps.last_mut().map_or(&mut path.array, |step| &mut step.then);
                    if !to.is_empty() {
                        to.push('.');
                    }
                    to.push_str(segment);
                }
            }
        }
        (!path.steps.is_empty() && !path.array.is_empty()).then_some(path)
    }

    /// What stands there in a record.
    pub(crate) fn value<'a>(&self, found: &Found<'a>) -> Option<Val<'a>> {
        let mut value = found.pair(&self.array)?.clone();
        for step in &self.steps {
            value = step.take(&value)?;
        }
        Some(value)
    }
}

/// The parts between dots; a dot in brackets parts nothing.
fn segments(name: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0usize;
    name.split(move |c| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == '.' && depth == 0
    })
}

impl Which {
    fn of(segment: &str) -> Option<Self> {
        if let Ok(at) = segment.parse() {
            return Some(Which::At(at));
        }
        let inner = segment.strip_prefix('[')?.strip_suffix(']')?;
        let (name, value) = inner.split_once('=')?;
        Some(Which::Where(name.to_string(), value.to_string()))
    }
}

impl Step {
    fn take<'a>(&self, array: &Val<'a>) -> Option<Val<'a>> {
        let Val::Json(Cow::Borrowed(text)) = array else { return None };
        let mut elements = json::elements(text).into_iter().take(ELEMENTS_MAX);
        let element = match &self.which {
            Which::At(at) => elements.nth(*at),
            Which::Where(name, wanted) => elements
                .find(|element| inside(element, name).is_some_and(|value| value.text() == wanted)),
        }?;
        if self.then.is_empty() { Some(element) } else { inside(&element, &self.then) }
    }
}

/// The value that an object has under a dotted name.
fn inside<'a>(object: &Val<'a>, name: &str) -> Option<Val<'a>> {
    let Val::Json(Cow::Borrowed(text)) = object else { return None };
    let mut found = Found::new("");
    json::flatten(text, &mut found)?;
    found.take(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(path: &str, record: &str, expected: Option<&str>) {
        let mut found = Found::new("");
        json::flatten(record, &mut found).unwrap();
        let path = Path::of(path).unwrap();
        let value = path.value(&found);
        assert_eq!(value.as_ref().map(Val::text), expected, "{} in {record}", path.name);
    }

    #[test]
    fn a_path_leads_into_arrays() {
        check("e.0.name", r#"{"e":[{"name":"a"},{"name":"b"}]}"#, Some("a"));
        check("e.1.name", r#"{"e":[{"name":"a"},{"name":"b"}]}"#, Some("b"));
        check("e.2.name", r#"{"e":[{"name":"a"}]}"#, None);
        check("e.0", r#"{"e":["x"]}"#, Some("x"));
        check("a.e.0.b.c", r#"{"a":{"e":[{"b":{"c":7}}]}}"#, Some("7"));
        check(
            "e.0.p.[name=ip].value",
            r#"{"e":[{"p":[{"name":"x"},{"name":"ip","value":"1"}]}]}"#,
            Some("1"),
        );
        check("p.[a.b=c.d].v", r#"{"p":[{"a":{"b":"c.d"},"v":true}]}"#, Some("true"));
        check("e.0.name", r#"{"e":{"0":{"name":"a"}}}"#, None);
        check("e.0.name", r#"{"e":"text"}"#, None);
    }

    #[test]
    fn names_without_a_step_are_no_paths() {
        for name in ["", "a", "a.b", "0", "0.a", "[a=b]", "a.[b]"] {
            assert_eq!(Path::of(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_a_path_or_none(name in "[a0.=\\[\\]]{0,12}", record in "\\{\"a\":[\\[\\]{}a0:\",]{0,12}\\}") {
            let mut found = Found::new("");
            if let (Some(path), Some(())) = (Path::of(&name), json::flatten(&record, &mut found)) {
                let _ = path.value(&found);
            }
        }
    }
}
