//! Patterns: forms of a message, as regular expressions pinned to its start.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::literal::{ExtractKind, Extractor};

use super::text::PatternText;
use super::{Target, Values, values};

/// A compiled pattern may take this much memory, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// The group that holds the time.
const TIME: &str = "timestamp";

/// One form of a message. It is compiled when it is first asked: there are thousands, and a source
/// needs a few.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// The native name that is matched; `None` for the message.
    pub(super) within: Option<String>,
    pub(crate) values: Values,
    text: String,
    compiled: OnceLock<Result<Compiled, String>>,
}

#[derive(Debug)]
struct Compiled {
    /// Every match starts with this; most messages are dismissed by it.
    prefix: String,
    regex: Regex,
    /// For each group of the regex, where its text goes.
    groups: Vec<Option<Group>>,
}

/// What a group of a pattern holds.
#[derive(Debug)]
pub(crate) enum Group {
    /// When it happened.
    Time,
    /// A field or an attribute.
    Target(Target),
    /// A native name, which tables and fields of the pack may speak of.
    Native(String),
}

impl Group {
    /// Dotted names are Pugmark's own; others are names that the product could have used.
    fn of(name: &str) -> Self {
        match Target::of(name) {
            _ if name == TIME => Group::Time,
            Target::Attribute(name) if !name.contains('.') => Group::Native(name),
            target => Group::Target(target),
        }
    }
}

impl Pattern {
    pub(super) fn new(text: PatternText) -> Self {
        Self {
            within: text.r#in,
            values: values(text.values),
            text: text.pattern,
            compiled: OnceLock::new(),
        }
    }

    /// Compiles it now.
    ///
    /// # Errors
    /// When it is no regex, or a too big one.
    pub(super) fn check(&self) -> Result<(), String> {
        self.compiled().as_ref().map(drop).map_err(Clone::clone)
    }

    /// Where the texts of its groups go.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.compiled().iter().flat_map(|compiled| compiled.groups.iter().flatten())
    }

    fn compiled(&self) -> &Result<Compiled, String> {
        self.compiled.get_or_init(|| compile(&self.text))
    }

    /// The texts of the groups, if the text has this form.
    pub(super) fn captures<'p, 't>(
        &'p self,
        text: &'t str,
    ) -> Option<impl Iterator<Item = (&'p Group, &'t str)> + use<'p, 't>> {
        let compiled = self.compiled().as_ref().ok()?;
        if !text.starts_with(&compiled.prefix) {
            return None;
        }
        let captures = compiled.regex.captures(text)?;
        Some(
            compiled
                .groups
                .iter()
                .enumerate()
                .filter_map(move |(i, group)| Some((group.as_ref()?, captures.get(i)?.as_str()))),
        )
    }
}

/// True when a pack may hold this pattern.
pub(crate) fn is_usable(pattern: &str) -> bool {
    compile(pattern).is_ok()
}

fn compile(pattern: &str) -> Result<Compiled, String> {
    let regex = RegexBuilder::new(&format!("^(?:{pattern})"))
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .nest_limit(32)
        .build()
        .map_err(|e| format!("pattern {pattern:?} is no usable regex: {e}"))?;
    let groups = regex.capture_names().map(|name| name.map(Group::of)).collect();
    Ok(Compiled { prefix: literal_prefix(pattern), regex, groups })
}

/// The text with which every match of a pattern starts; empty if they start in several ways.
fn literal_prefix(pattern: &str) -> String {
    let Ok(parsed) = regex_syntax::parse(pattern) else { return String::new() };
    let prefixes = Extractor::new().kind(ExtractKind::Prefix).extract(&parsed);
    let common = prefixes.longest_common_prefix().unwrap_or_default();
    match std::str::from_utf8(common) {
        Ok(text) => text.to_string(),
        // Cut inside of a character that goes on in several ways.
        Err(error) => String::from_utf8_lossy(&common[..error.valid_up_to()]).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_prefix_is_what_every_match_starts_with() {
        for (pattern, expected) in [
            ("Failed (x)", "Failed x"),
            (r"\(a\) b", "(a) b"),
            (r"\<a", "a"),
            ("a[](]|b", ""),
            (r"\s*x", ""),
            ("abc?", "ab"),
            ("abc+", "abc"),
            ("a+*", ""),
            ("a|b", ""),
            ("a(b|c)", "a"),
            ("a[|]b|c", ""),
            ("a[(]b|c", ""),
            ("(?i)abc", ""),
        ] {
            assert_eq!(literal_prefix(pattern), expected, "{pattern}");
        }
    }

    proptest! {
        /// The prefix never dismisses a text that the pattern matches.
        #[test]
        fn the_prefix_loses_no_match(
            pattern in "[ab?*+.(|)\\\\\\[\\]]{0,8}", text in "[ab.(|)\\[]{0,6}",
        ) {
            let matches = Regex::new(&format!("^(?:{pattern})")).is_ok_and(|r| r.is_match(&text));
            if matches {
                prop_assert!(text.starts_with(&literal_prefix(&pattern)), "{} {}", pattern, text);
            }
        }
    }
}
