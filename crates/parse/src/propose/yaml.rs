//! Text of the other side as YAML and as a regular expression, so that it stays text.

use std::fmt::Write as _;

/// Longest line that a comment shows, in characters.
const SHOWN_MAX: usize = 160;

/// True for a character that a YAML file may hold and a person sees as it is: no control, no other
/// end of a line, nothing that turns the direction of writing.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        && !matches!(c, '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}')
}

/// A scalar: bare where it is surely a name, in quotes else.
pub(super) fn scalar(text: &str) -> String {
    const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-');
    let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(inner)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    match is_name {
        true => text.to_string(),
        false => quoted(text),
    }
}

/// A scalar in quotes: single ones if every character may stand in a file.
pub(super) fn quoted(text: &str) -> String {
    if text.chars().all(is_plain) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if is_plain(c) => out.push(c),
            // Writing to a string cannot fail.
            c => drop(write!(out, "\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

/// A list in one line.
pub(super) fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", texts.into_iter().map(scalar).collect::<Vec<_>>().join(", "))
}

/// A map in one line.
pub(super) fn map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let entries =
        entries.into_iter().map(|(key, value)| format!("{}: {}", scalar(key), scalar(value)));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}

/// A record as a comment shows it: one line, cut, and nothing in it but what can be seen.
pub(super) fn shown(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(SHOWN_MAX)
        .map(|c| match c {
            '\t' => ' ',
            c if is_plain(c) => c,
            _ => '\u{fffd}',
        })
        .collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        out.push('…');
    }
    out
}

/// A regular expression that matches the text alone.
pub(super) fn literal(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => {
                out.extend(['\\', c]);
            }
            c if is_plain(c) => out.push(c),
            c => drop(write!(out, "\\x{{{:x}}}", u32::from(c))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scalars_are_bare_only_where_they_are_names() {
        for (text, expected) in [
            ("user.name", "user.name"),
            ("true", "'true'"),
            ("", "''"),
            ("it's: #1", "'it''s: #1'"),
            ("a\nb\"", "\"a\\U0000000ab\\\"\""),
            ("12", "'12'"),
        ] {
            assert_eq!(scalar(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>(), key in any::<String>()) {
            let yaml = format!("# {}\n{}: {}\n", shown(&text), scalar(&key), list([text.as_str()]));
            let back: std::collections::BTreeMap<String, Vec<String>> =
                yaml_serde::from_str(&yaml).unwrap();
            prop_assert_eq!(back, [(key, vec![text])].into());
        }

        #[test]
        fn a_literal_matches_its_text_alone(text in any::<String>(), other in any::<String>()) {
            let mut pattern = String::new();
            literal(&text, &mut pattern);
            let regex = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
            prop_assert!(regex.is_match(&text));
            prop_assert_eq!(regex.is_match(&other), text == other);
        }
    }
}
