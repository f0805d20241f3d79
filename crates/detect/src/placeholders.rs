//! What stands for `%name%` in values with the modifier `expand`.
//!
//! A rule says `%administrators%`, and every organisation has its own. The values are in files
//! called `placeholders.yaml` beside the rules, names with lists of values:
//!
//! ```yaml
//! administrators: [root, ines]
//! ```

use std::collections::{BTreeMap, HashMap};

use yaml_serde::Value;

use crate::sigma::Fault;

/// Values of one item after its placeholders have been filled in, at most.
const VALUES_MAX: usize = 10_000;

/// Values by name.
#[derive(Debug, Default)]
pub(crate) struct Placeholders(HashMap<String, Vec<String>>);

impl Placeholders {
    /// True for the path of a file of values.
    pub(crate) fn is_file(path: &str) -> bool {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        matches!(name, "placeholders.yaml" | "placeholders.yml")
    }

    /// Adds the values of a file; a name in several files has those of all.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), Fault> {
        let odd = |message: String| {
            Fault::new(message).hint("write names with lists of values: `administrators: [root]`")
        };
        let read: BTreeMap<String, Value> = yaml_serde::from_str(text)
            .map_err(|error| odd(format!("placeholders cannot be read: {error}")))?;
        for (name, values) in read {
            let listed = match values {
                Value::Sequence(values) => values,
                value => vec![value],
            };
            let texts: Option<Vec<String>> = listed.iter().map(scalar).collect();
            let texts = texts.ok_or_else(|| {
                odd(format!("the values of the placeholder `{name}` are no texts or numbers"))
            })?;
            self.0.entry(name).or_default().extend(texts);
        }
        Ok(())
    }

    /// The texts that `text` stands for: one for each value of each placeholder in it.
    pub(crate) fn fill(&self, text: &str) -> Result<Vec<String>, Fault> {
        let mut filled = vec![String::new()];
        let mut rest = text;
        while let Some((before, name, after)) = placeholder(rest) {
            let values = self.0.get(name).filter(|values| !values.is_empty()).ok_or_else(|| {
                Fault::new(format!("the placeholder `%{name}%` has no values"))
                    .hint("list them in a file placeholders.yaml beside the rules")
            })?;
            if filled.len().saturating_mul(values.len()) > VALUES_MAX {
                return Err(Fault::new(format!("`{text}` stands for over {VALUES_MAX} values"))
                    .hint("use fewer placeholders in one value, or shorter lists"));
            }
            filled = filled
                .iter()
                .flat_map(|start| values.iter().map(move |value| format!("{start}{before}{value}")))
                .collect();
            rest = after;
        }
        filled.iter_mut().for_each(|text| text.push_str(rest));
        Ok(filled)
    }
}

/// The first placeholder: what is before it, its name, and what is behind.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + text[from..].find('%')?;
        let close = open + 1 + text[open + 1..].find('%')?;
        let name = &text[open + 1..close];
        if !name.is_empty() && !name.contains(char::is_whitespace) {
            return Some((&text[..open], name, &text[close + 1..]));
        }
        // This sign begins none; the next may.
        from = close;
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], &str>) {
        let mut known = Placeholders::default();
        known.add("admins: [root, ines]\nport: 22\nnone: []\n").unwrap();
        known.add("admins: [max]\n").unwrap();
        match (known.fill(text), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(fault), Err(part)) => assert!(fault.message.contains(part), "{}", fault.message),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn placeholders_stand_for_each_of_their_values() {
        check("%admins%", Ok(&["root", "ines", "max"]));
        check("%port%/%admins%.", Ok(&["22/root.", "22/ines.", "22/max."]));
        check("100 % of %port%", Ok(&["100 % of 22"]));
        check("no %", Ok(&["no %"]));
        check("%%", Ok(&["%%"]));
        check("%other%", Err("`%other%` has no values"));
        check("%none%", Err("`%none%` has no values"));
        check(&"%admins%".repeat(9), Err("over 10000 values"));
    }

    #[test]
    fn only_files_of_that_name_have_values() {
        for (path, expected) in [
            ("placeholders.yaml", true),
            ("my/rules/placeholders.yml", true),
            ("my/placeholders.yaml/rule.yaml", false),
            ("old-placeholders.yaml", false),
        ] {
            assert_eq!(Placeholders::is_file(path), expected, "{path}");
        }
        assert!(Placeholders::default().add("- a").is_err());
        assert!(Placeholders::default().add("a: {b: c}").is_err());
    }
}
