//! Functions of JSON and of lists, which are text in JSON as records bring them.

use serde_json::Value;

use super::{Call, Family, Function, LIST_MAX, TEXT_BYTES_MAX, long_of, place, text, text_of};
use crate::cell::Cell;

pub(super) const FAMILY: Family = Family {
    title: "Lists and JSON",
    functions: &[
        Function {
            name: "json",
            usage: "json(text, \"path\")",
            about: "The value at a path in JSON: names and places joined by points, as in \
                `users.0.name`.",
            examples: &[
                ("json(\"{\\\"a\\\": {\\\"b\\\": [1, 2]}}\", \"a.b.1\")", "2"),
                ("json(\"{\\\"a\\\": {\\\"b\\\": [1, 2]}}\", \"a.b\")", "[1,2]"),
                ("json(\"broken\", \"a\")", ""),
            ],
            args: 2..=2,
            shape: text_of,
            call: Call::Plain(|args| match (text(&args[0]), text(&args[1])) {
                (Some(json), Some(path)) => at_path(&json, &path).unwrap_or(Cell::Null),
                _ => Cell::Null,
            }),
        },
        Function {
            name: "kv",
            usage: "kv(text, \"key\")",
            about: "The value of `key=value` or `key:value` in a text; it may be in quotes.",
            examples: &[
                ("kv(\"user=root msg=\\\"no way\\\"\", \"msg\")", "no way"),
                ("kv(\"a=1, b=2\", \"a\")", "1"),
                ("kv(\"superuser=x\", \"user\")", ""),
            ],
            args: 2..=2,
            shape: text_of,
            call: Call::Plain(|args| match (text(&args[0]), text(&args[1])) {
                (Some(text), Some(key)) => {
                    value_of(&text, &key).map_or(Cell::Null, |v| Cell::Text(v.to_string()))
                }
                _ => Cell::Null,
            }),
        },
        Function {
            name: "split",
            usage: "split(text, separator)",
            about: "A list of the parts, without the blanks around them; `expand` makes a row of \
                each.",
            examples: &[("split(\"a, b,c\", \",\")", "[\"a\",\"b\",\"c\"]")],
            args: 2..=2,
            shape: text_of,
            call: Call::Plain(|args| match (text(&args[0]), text(&args[1])) {
                (Some(text), Some(separator)) if !separator.is_empty() => {
                    list(text.split(&*separator).map(|part| part.trim().to_string()))
                }
                _ => Cell::Null,
            }),
        },
        Function {
            name: "item",
            usage: "item(list, place)",
            about: "One value of a list, from 1 on. A negative place counts from the end.",
            examples: &[
                ("item(\"[\\\"a\\\", 5]\", 2)", "5"),
                ("item(\"[\\\"a\\\", 5]\", -2)", "a"),
            ],
            args: 2..=2,
            shape: text_of,
            call: Call::Plain(|args| {
                let items = items(&args[0]);
                let at = args[1].long().and_then(|at| place(at, items.len()));
                at.and_then(|at| items.into_iter().nth(at)).unwrap_or(Cell::Null)
            }),
        },
        Function {
            name: "count",
            usage: "count(list)",
            about: "How many values a list has; a single value is 1.",
            examples: &[("count(\"[1, 2, 3]\")", "3"), ("count(\"x\")", "1")],
            args: 1..=1,
            shape: long_of,
            call: Call::Plain(|args| match &args[0] {
                Cell::Null => Cell::Null,
                cell => Cell::Long(items(cell).len() as i64),
            }),
        },
    ],
};

/// Texts as a list in JSON, of so many at most.
pub fn list(items: impl Iterator<Item = String>) -> Cell {
    let items: Vec<Value> = items.take(LIST_MAX).map(Value::String).collect();
    Cell::Text(Value::Array(items).to_string())
}

/// The values of a list; of anything else the value itself. So many at most.
pub fn items(cell: &Cell) -> Vec<Cell> {
    match cell {
        Cell::Null => Vec::new(),
        Cell::Text(text) if text.starts_with('[') => match read(text) {
            Some(Value::Array(items)) => items.into_iter().take(LIST_MAX).map(of_json).collect(),
            _ => vec![cell.clone()],
        },
        _ => vec![cell.clone()],
    }
}

/// JSON of a record; its depth is bounded by the library.
fn read(text: &str) -> Option<Value> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn of_json(value: Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::String(text) => Cell::Text(text),
        other => Cell::Text(other.to_string()),
    }
}

fn at_path(json: &str, path: &str) -> Option<Cell> {
    let mut value = read(json)?;
    if !path.is_empty() {
        let mut rest = path;
        while !rest.is_empty() {
            (value, rest) = step(value, rest)?;
        }
    }
    Some(of_json(value))
}

/// The value of the longest start of `path` that is a key, since keys may have points in them.
fn step(value: Value, path: &str) -> Option<(Value, &str)> {
    let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
    match value {
        Value::Array(mut items) => {
            let end = path.find('.').unwrap_or(path.len());
            let place: usize = path[..end].parse().ok()?;
            let item = (place < items.len()).then(|| items.swap_remove(place))?;
            Some((item, path[end..].trim_start_matches('.')))
        }
        Value::Object(mut map) => {
            let end = ends.filter(|end| map.contains_key(&path[..*end])).max()?;
            let item = map.remove(&path[..end])?;
            Some((item, path[end..].trim_start_matches('.')))
        }
        _ => None,
    }
}

fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    if key.is_empty() {
        return None;
    }
    let is_name = |c: char| c.is_alphanumeric() || "_.-".contains(c);
    for (at, _) in text.match_indices(key) {
        if text[..at].chars().next_back().is_some_and(is_name) {
            continue;
        }
        let rest = text[at + key.len()..].trim_start_matches('"').trim_start();
        let Some(value) = rest.strip_prefix(['=', ':']) else { continue };
        let value = value.trim_start();
        for quote in ['"', '\''] {
            if let Some(inside) = value.strip_prefix(quote) {
                return Some(&inside[..inside.find(quote).unwrap_or(inside.len())]);
            }
        }
        let end = value.find(|c: char| c.is_whitespace() || ",;)]}".contains(c));
        return Some(&value[..end.unwrap_or(value.len())]);
    }
    None
}
