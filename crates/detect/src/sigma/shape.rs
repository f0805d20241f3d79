//! The shape of a document, where the parser passes over in silence what has another one: a rule
//! that says less than it seems to is worse than one that is refused.

use yaml_serde::{Mapping, Value};

use super::Fault;

/// What a key must be.
struct Shape {
    key: &'static str,
    wanted: &'static str,
    fits: fn(&Value) -> bool,
    hint: &'static str,
}

const RULE: [Shape; 1] = [Shape {
    key: "logsource",
    wanted: "a mapping",
    fits: Value::is_mapping,
    hint: "write `logsource: {product: linux}`",
}];

const LOG_SOURCE: [Shape; 3] = [
    Shape { key: "product", wanted: "text", fits: is_text, hint: "write `product: linux`" },
    Shape { key: "category", wanted: "text", fits: is_text, hint: "write `category: webserver`" },
    Shape { key: "service", wanted: "text", fits: is_text, hint: "write `service: sshd`" },
];

const CORRELATION: [Shape; 5] = [
    Shape { key: "type", wanted: "text", fits: is_text, hint: "write `type: event_count`" },
    Shape {
        key: "rules",
        wanted: "a name or a list of names",
        fits: are_texts,
        hint: "write `rules: [name_of_a_rule]`",
    },
    Shape {
        key: "group-by",
        wanted: "a field or a list of fields",
        fits: are_texts,
        hint: "write `group-by: [user.name]`",
    },
    Shape {
        key: "generate",
        wanted: "true or false",
        fits: Value::is_bool,
        hint: "write `generate: true`, or leave it out",
    },
    Shape {
        key: "aliases",
        wanted: "a mapping of names to the field of each rule",
        fits: are_aliases,
        hint: "write `aliases: {who: {name_of_a_rule: its.field}}`",
    },
];

/// Refuses a document whose parts have another shape than Sigma's.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    let document: Value = yaml_serde::from_str(text)
        .map_err(|error| super::fault(&format!("YAML parse error: {error}")))?;
    let Some(document) = document.as_mapping() else { return Ok(()) };
    check_all(&RULE, document, "")?;
    if let Some(detection) = document.get("detection") {
        let Some(source) = document.get("logsource") else {
            return Err(Fault::new("Missing required field 'logsource'")
                .hint("write `logsource: {product: linux}`; `{}` reads events of any source"));
        };
        check_all(&LOG_SOURCE, mapping(source), "logsource: ")?;
        check_selections(mapping(detection), &["condition", "timeframe"])?;
    }
    if let Some(filter) = document.get("filter") {
        check_selections(mapping(filter), &["condition", "rules"])?;
    }
    match document.get("correlation") {
        None => Ok(()),
        Some(Value::Mapping(correlation)) => check_all(&CORRELATION, correlation, "correlation: "),
        Some(_) => Err(Fault::new("correlation must be a mapping")
            .hint("see the Sigma specification, section Correlations")),
    }
}

fn check_all(shapes: &[Shape], of: &Mapping, place: &str) -> Result<(), Fault> {
    for Shape { key, wanted, fits, hint } in shapes {
        if of.get(*key).is_some_and(|value| !value.is_null() && !fits(value)) {
            return Err(Fault::new(format!("{place}`{key}` must be {wanted}")).hint(hint));
        }
    }
    Ok(())
}

/// Selections: mappings of fields to values, or lists of such or of words. These `others` are none.
fn check_selections(selections: &Mapping, others: &[&str]) -> Result<(), Fault> {
    for (name, selection) in selections {
        let name = name.as_str().unwrap_or_default();
        if others.contains(&name) {
            continue;
        }
        let parts = match selection {
            Value::Sequence(parts) => parts.iter().collect(),
            one => vec![one],
        };
        for part in parts {
            check_selection(part).map_err(|fault| fault.within(&format!("selection `{name}`")))?;
        }
    }
    Ok(())
}

fn check_selection(part: &Value) -> Result<(), Fault> {
    if part.is_sequence() {
        return Err(Fault::new("a list in a list").hint("write one list"));
    }
    for (field, values) in mapping(part) {
        let Some(field) = field.as_str() else {
            return Err(Fault::new("a field's name must be text").hint("put it in quotes"));
        };
        let nested = |value: &Value| value.is_mapping() || value.is_sequence();
        let odd = match values {
            // The parser knows blocks of array elements, which are refused with their own words.
            _ if field.contains('[') => false,
            Value::Sequence(values) => values.iter().any(nested),
            value => value.is_mapping(),
        };
        if odd {
            return Err(Fault::new(format!("`{field}` has a list or a mapping as a value")).hint(
                "values are text, numbers, true, false and null; nested fields have dots: `a.b`",
            ));
        }
    }
    Ok(())
}

fn mapping(value: &Value) -> &Mapping {
    static EMPTY: std::sync::LazyLock<Mapping> = std::sync::LazyLock::new(Mapping::new);
    value.as_mapping().unwrap_or(&EMPTY)
}

fn is_text(value: &Value) -> bool {
    value.is_string()
}

fn are_texts(value: &Value) -> bool {
    match value {
        Value::Sequence(list) => list.iter().all(Value::is_string),
        value => value.is_string(),
    }
}

fn are_aliases(value: &Value) -> bool {
    let fields = |of: &Value| of.as_mapping().is_some_and(|of| of.values().all(Value::is_string));
    value.as_mapping().is_some_and(|aliases| aliases.values().all(fields))
}
