//! Patterns: forms of a text, as regular expressions pinned to its start.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, HirKind};
use regex_syntax::{ParserBuilder, ast};

use super::matcher::{Answer, Matcher, Spans};
use super::text::PatternText;
use super::{RECORD, Target, Values, values};

/// A compiled pattern may take this much memory, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Texts that one pattern is known by, at most.
const TEXTS_MAX: usize = 16;
/// Parentheses inside of each other.
const NEST_MAX: u32 = 32;
/// The group that holds the time.
const TIME: &str = "timestamp";

/// The patterns of a pack that look at the same text. The first that matches has the say.
#[derive(Debug)]
pub(crate) struct Forms {
    pub(super) about: About,
    patterns: Vec<Pattern>,
    index: OnceLock<Index>,
}

/// The text that patterns look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    Message,
    /// The whole record.
    Record,
    /// The value of a native name, and its slot among the names that the pack asks for.
    Value {
        name: String,
        slot: usize,
    },
}

impl About {
    fn of(within: Option<String>, slot: impl FnOnce(&str) -> usize) -> Self {
        match within {
            None => About::Message,
            Some(name) if name == RECORD => About::Record,
            Some(name) => About::Value { slot: slot(&name), name },
        }
    }

    /// True for the message and the record, which say whether the pack knows it.
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self, About::Value { .. })
    }
}

/// By the first byte of a text, the patterns that it may match, in their order: most packs and most
/// patterns are dismissed by it.
#[derive(Debug)]
struct Index {
    by_byte: Box<[Vec<u16>; 256]>,
    /// Those that may match an empty text.
    by_nothing: Vec<u16>,
    /// What each pattern begins with; none for many ways, or for none at all.
    starts: Vec<Vec<String>>,
}

/// One form of a text. It is compiled when it is first asked: there are thousands, and a source
/// needs a few.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) values: Values,
    text: String,
    compiled: OnceLock<Result<Compiled, String>>,
}

#[derive(Debug)]
struct Compiled {
    /// Answers for most patterns and texts.
    matcher: Option<Matcher>,
    /// Answers where the matcher does not.
    regex: Expression,
    /// For each group, where its text goes.
    groups: Vec<Option<Group>>,
}

/// A regular expression, compiled when it is first needed.
#[derive(Debug)]
struct Expression {
    text: String,
    compiled: OnceLock<Result<Regex, String>>,
}

/// Where the groups of a match stand in the text.
enum Captured<'t> {
    Matcher(Spans),
    Regex(regex::Captures<'t>),
}

impl Forms {
    /// The patterns in groups: in the order of the first of each, and in their own order inside.
    /// `slot` gives each native name its slot.
    pub(super) fn of(texts: Vec<PatternText>, mut slot: impl FnMut(&str) -> usize) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for mut text in texts {
            let about = About::of(text.r#in.take(), &mut slot);
            let pattern = Pattern::new(text);
            match all.iter_mut().find(|forms| forms.about == about) {
                Some(forms) => forms.patterns.push(pattern),
                None => {
                    let index = OnceLock::new();
                    all.push(Self { about, patterns: vec![pattern], index });
                }
            }
        }
        all
    }

    /// The patterns.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter()
    }

    /// Patterns that the text may match, by how it begins.
    pub(super) fn candidates<'p>(&'p self, text: &str) -> impl Iterator<Item = &'p Pattern> {
        let index = self.index.get_or_init(|| Index::of(&self.patterns));
        let list = match text.as_bytes().first() {
            Some(byte) => &index.by_byte[usize::from(*byte)],
            None => &index.by_nothing,
        };
        let begins = move |at: &&u16| {
            let starts = &index.starts[usize::from(**at)];
            starts.is_empty() || starts.iter().any(|start| text.starts_with(start.as_str()))
        };
        list.iter().filter(begins).map(|at| &self.patterns[usize::from(*at)])
    }

    /// The place of the first pattern that the text matches.
    pub(super) fn place(&self, text: &str) -> Option<usize> {
        let (found, _) = self.captures(text)?;
        self.patterns.iter().position(|pattern| std::ptr::eq(pattern, found))
    }

    /// The first pattern that the text matches, and the texts of its groups.
    pub(super) fn captures<'p, 't>(
        &'p self,
        text: &'t str,
    ) -> Option<(&'p Pattern, impl Iterator<Item = (&'p Group, &'t str)> + use<'p, 't>)> {
        self.candidates(text).find_map(|pattern| Some((pattern, pattern.captures(text)?)))
    }
}

impl Index {
    fn of(patterns: &[Pattern]) -> Self {
        let starts: Vec<Vec<String>> =
            patterns.iter().map(|pattern| starts(&pattern.text)).collect();
        let mut by_byte = Box::new([const { Vec::new() }; 256]);
        let mut by_nothing = Vec::new();
        for (at, starts) in (0u16..).zip(&starts) {
            let mut bytes: Vec<u8> = starts.iter().filter_map(|s| s.bytes().next()).collect();
            if bytes.is_empty() {
                by_nothing.push(at);
                bytes = (0..=u8::MAX).collect();
            }
            bytes.sort_unstable();
            bytes.dedup();
            bytes.iter().for_each(|byte| by_byte[usize::from(*byte)].push(at));
        }
        Self { by_byte, by_nothing, starts }
    }
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
    fn new(text: PatternText) -> Self {
        Self { values: values(text.values), text: text.pattern, compiled: OnceLock::new() }
    }

    /// Compiles it now.
    ///
    /// # Errors
    /// When it is no regex, or a too big one.
    pub(super) fn check(&self) -> Result<(), String> {
        let compiled = self.compiled().as_ref().map_err(Clone::clone)?;
        compiled.regex.get().as_ref().map(drop).map_err(|error| unusable(&self.text, error))
    }

    /// As it is written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where the texts of its groups go.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.compiled().iter().flat_map(|compiled| compiled.groups.iter().flatten())
    }

    fn compiled(&self) -> &Result<Compiled, String> {
        self.compiled.get_or_init(|| compile(&self.text))
    }

    /// The texts of the groups, if the text has this form.
    fn captures<'p, 't>(
        &'p self,
        text: &'t str,
    ) -> Option<impl Iterator<Item = (&'p Group, &'t str)> + use<'p, 't>> {
        let compiled = self.compiled().as_ref().ok()?;
        let found = compiled.find(text)?;
        let groups = compiled.groups.iter().enumerate();
        Some(groups.filter_map(move |(i, group)| Some((group.as_ref()?, found.get(i, text)?))))
    }
}

impl Compiled {
    fn find<'t>(&self, text: &'t str) -> Option<Captured<'t>> {
        match self.matcher.as_ref().map_or(Answer::GaveUp, |matcher| matcher.find(text)) {
            Answer::Match(spans) => Some(Captured::Matcher(spans)),
            Answer::NoMatch => None,
            Answer::GaveUp => self.regex.get().as_ref().ok()?.captures(text).map(Captured::Regex),
        }
    }
}

impl<'t> Captured<'t> {
    fn get(&self, group: usize, text: &'t str) -> Option<&'t str> {
        match self {
            Captured::Matcher(spans) => spans.get(group, text),
            Captured::Regex(captures) => Some(captures.get(group)?.as_str()),
        }
    }
}

impl Expression {
    fn get(&self) -> &Result<Regex, String> {
        self.compiled.get_or_init(|| {
            let builder = RegexBuilder::new(&self.text)
                .size_limit(PATTERN_BYTES_MAX)
                .dfa_size_limit(PATTERN_BYTES_MAX)
                .nest_limit(NEST_MAX)
                .build();
            builder.map_err(|error| error.to_string())
        })
    }
}

/// True when a pack may hold this pattern.
pub(crate) fn is_usable(pattern: &str) -> bool {
    compile(pattern).is_ok_and(|compiled| compiled.regex.get().is_ok())
}

fn unusable(pattern: &str, error: &str) -> String {
    format!("pattern {pattern:?} is no usable regex: {error}")
}

fn compile(pattern: &str) -> Result<Compiled, String> {
    let error = |e: &dyn std::fmt::Display| unusable(pattern, &e.to_string());
    let text = format!("^(?:{})", in_ascii(pattern).map_err(|e| error(&e))?);
    let parser = ParserBuilder::new().nest_limit(NEST_MAX).build().parse(&text);
    let tree = parser.map_err(|e| error(&e))?;
    let mut groups = vec![None];
    name_groups(&tree, &mut groups);
    let matcher = Matcher::of(&tree);
    let regex = Expression { text, compiled: OnceLock::new() };
    Ok(Compiled { matcher, regex, groups })
}

/// Adds where the text of each group goes, in the order of their numbers.
fn name_groups(tree: &Hir, groups: &mut Vec<Option<Group>>) {
    match tree.kind() {
        HirKind::Capture(capture) => {
            let at = capture.index as usize;
            groups.resize_with(groups.len().max(at + 1), || None);
            groups[at] = capture.name.as_deref().map(Group::of);
            name_groups(&capture.sub, groups);
        }
        HirKind::Repetition(repetition) => name_groups(&repetition.sub, groups),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().for_each(|part| name_groups(part, groups));
        }
        _ => {}
    }
}

/// The pattern with `\d`, `\s` and `\w` meaning what logs mean: digits, blanks and letters of
/// ASCII. Those of all of Unicode would make each pattern many times larger and slower.
fn in_ascii(pattern: &str) -> Result<String, Box<ast::Error>> {
    let tree = ast::parse::Parser::new().parse(pattern).map_err(Box::new)?;
    let found = ast::visit(&tree, Perl::default()).unwrap_or_default();
    let mut text = pattern.to_string();
    for (place, name) in found.into_iter().rev() {
        text.replace_range(place, &name);
    }
    Ok(text)
}

/// Spans of `\d` and the like in a pattern, and what to write instead.
#[derive(Default)]
struct Perl(Vec<(std::ops::Range<usize>, String)>);

impl Perl {
    fn note(&mut self, class: &ast::ClassPerl, is_inside: bool) {
        let name = match class.kind {
            ast::ClassPerlKind::Digit => "digit",
            ast::ClassPerlKind::Space => "space",
            ast::ClassPerlKind::Word => "word",
        };
        let negated = if class.negated { "^" } else { "" };
        let named = match is_inside {
            true => format!("[:{negated}{name}:]"),
            false => format!("[[:{negated}{name}:]]"),
        };
        self.0.push((class.span.start.offset..class.span.end.offset, named));
    }
}

impl ast::Visitor for Perl {
    type Output = Vec<(std::ops::Range<usize>, String)>;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<Self::Output, Self::Err> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, tree: &ast::Ast) -> Result<(), Self::Err> {
        if let ast::Ast::ClassPerl(class) = tree {
            self.note(class, false);
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), Self::Err> {
        if let ast::ClassSetItem::Perl(class) = item {
            self.note(class, true);
        }
        Ok(())
    }
}

/// The texts with which matches of a pattern start; none if they may start with anything.
fn starts(pattern: &str) -> Vec<String> {
    let Ok(parsed) = regex_syntax::parse(pattern) else { return Vec::new() };
    let mut found = Extractor::new().kind(ExtractKind::Prefix).extract(&parsed);
    if found.len().is_none_or(|count| count > TEXTS_MAX) {
        let common = found.longest_common_prefix().map(<[u8]>::to_vec);
        return common.as_deref().and_then(whole).into_iter().collect();
    }
    found.dedup();
    let starts = found.literals().unwrap_or_default().iter().map(|start| whole(start.as_bytes()));
    // One that may start with anything speaks for all.
    starts.collect::<Option<Vec<String>>>().unwrap_or_default()
}

/// Texts of which one stands in every match of a pattern; none if nothing has to.
pub(super) fn required(pattern: &str) -> Vec<String> {
    let starts = starts(pattern);
    let inside = regex_syntax::parse(pattern).map(|parsed| inside(&parsed)).unwrap_or_default();
    if worth(&inside) > worth(&starts) { inside } else { starts }
}

fn inside(hir: &Hir) -> Vec<String> {
    match hir.kind() {
        HirKind::Literal(literal) => whole(&literal.0).into_iter().collect(),
        HirKind::Capture(capture) => inside(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => inside(&repetition.sub),
        HirKind::Concat(parts) => {
            parts.iter().map(inside).max_by_key(|texts| worth(texts)).unwrap_or_default()
        }
        HirKind::Alternation(parts) => {
            let all: Vec<Vec<String>> = parts.iter().map(inside).collect();
            let is_any = all.iter().any(Vec::is_empty) || all.len() > TEXTS_MAX;
            if is_any { Vec::new() } else { all.concat() }
        }
        _ => Vec::new(),
    }
}

/// Bytes of the shortest: what the rarest match is found by.
fn worth(texts: &[String]) -> usize {
    texts.iter().map(String::len).min().unwrap_or(0)
}

/// The whole characters at the beginning of a text; `None` when there are none.
fn whole(bytes: &[u8]) -> Option<String> {
    let end = match std::str::from_utf8(bytes) {
        Ok(text) => text.len(),
        // Cut inside of a character that goes on in several ways.
        Err(error) => error.valid_up_to(),
    };
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: &[&str]) {
        assert_eq!(starts(pattern), expected, "{pattern}");
    }

    #[test]
    fn every_match_starts_with_one_of_these() {
        check("Failed (x)", &["Failed x"]);
        check(r"\(a\) b", &["(a) b"]);
        check(r"\<a", &["a"]);
        check("a[](]|b", &["a(", "a]", "b"]);
        check(r"\s*x", &[]);
        check("abc?", &["abc", "ab"]);
        check("abc+", &["abc"]);
        check("a+*", &[]);
        check("a|b", &["a", "b"]);
        check("a(b|c)", &["ab", "ac"]);
        check("(?:fatal: )?Timeout", &["fatal: Timeout", "Timeout"]);
        check("(?i)abc", &["ABC", "ABc", "AbC", "Abc", "aBC", "aBc", "abC", "abc"]);
        check("(?i)abcdef", &[]);
        check("[a-z]x", &[]);
    }

    #[test]
    fn every_match_holds_one_of_these() {
        for (pattern, expected) in [
            ("Failed (x)", &["Failed x"][..]),
            (r"\S+ from (?<x>\S+) port", &[" from "]),
            ("(?:a|bc)d+ efg", &[" efg"]),
            (r"\d+(?:abc|de)x?", &["abc", "de"]),
            (r"\S+(?: x)?$", &[]),
        ] {
            assert_eq!(required(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn classes_are_those_of_ascii() {
        for (pattern, expected) in [
            (r"a\d", "a[[:digit:]]"),
            (r"[\d.]\S", "[[:digit:].][[:^space:]]"),
            (r"[^\w\\]\\d", r"[^[:word:]\\]\\d"),
            (r"(?<x>\W)é\s", "(?<x>[[:^word:]])é[[:space:]]"),
        ] {
            assert_eq!(in_ascii(pattern).unwrap(), expected);
            assert!(compile(pattern).is_ok());
        }
    }

    /// Compares the matcher with the regex; false if the matcher does not say.
    #[track_caller]
    fn compare(compiled: &Compiled, text: &str) -> bool {
        let answer = compiled.matcher.as_ref().map(|matcher| matcher.find(text));
        let quick = match answer {
            Some(Answer::Match(spans)) => Some(Captured::Matcher(spans)),
            Some(Answer::NoMatch) => None,
            Some(Answer::GaveUp) | None => return false,
        };
        let regex = compiled.regex.get().as_ref().expect("a usable regex");
        let groups = |found: Option<Captured<'_>>| {
            let texts = |found: Captured<'_>| {
                let at = |i| found.get(i, text).map(|part| (part.as_ptr().addr(), part.len()));
                (1..compiled.groups.len()).map(at).collect::<Vec<_>>()
            };
            found.map(texts)
        };
        let (quick, sure) = (groups(quick), groups(regex.captures(text).map(Captured::Regex)));
        assert_eq!(quick, sure, "{:?} of {text:?}", compiled.regex.text);
        true
    }

    #[test]
    fn matcher_and_regex_agree() {
        for (pattern, texts) in [
            (
                r"Failed (?<a>\S+) for (?<b>.*) from (?<c>\S+)",
                &["Failed x for a from b from c d"][..],
            ),
            (r"(?<a>.*?) in (?<b>.*?)(?: x)?$", &["a in b in c x", "in x", " in "]),
            (r"(?:ab|a)(?<x>b?)(?<y>c*)$", &["ab", "abb", "abcc", "ac", "abd"]),
            (r"(?:(?<x>\w)=(?<y>\d);)*z", &["a=1;b=2;z", "a=1;b=;z", "z", ""]),
            (r"(?<x>a{2,3}?)(?<y>a{0,2})b", &["aaaab", "aab", "ab", "aaaaaab"]),
            (r"(?:ab){1,3}(?<x>\S*)", &["ab", "ababababab", "a"]),
            (r"[^ ]+ (?<x>.)\b(?<y>.*)\B$", &["é é b", "a b-", "a bc", "a b é"]),
            (r"(?s)(?<x>.*)[\\/](?<y>[^\\/]+)$", &["C:\\a\\b.exe", "a/\n/é", "/", "x"]),
            (r"é(?<x>[^é])", &["éa", "éé"]),
            (r"(?<x>\S*)\s*(?:^|$)", &["a  ", "", "ab c"]),
        ] {
            let compiled = compile(pattern).unwrap();
            for text in texts {
                compare(&compiled, text);
            }
        }
    }

    #[test]
    fn patterns_of_packs_need_no_regex() {
        let root = std::path::Path::new(concat!(env!("WORKSPACE_ROOT"), "content/parsers"));
        let (mut asked, mut answered) = (0, 0);
        for source in crate::builtin() {
            let pack = super::super::compile(&source).unwrap();
            let tests = root.join(&source.path).parent().unwrap().join("tests");
            let files = std::fs::read_dir(tests).into_iter().flatten().flatten();
            let cases = files.flat_map(|file| {
                let text = std::fs::read_to_string(file.path()).unwrap();
                serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap()
            });
            for case in cases {
                let input = case["input"].as_str().unwrap();
                let words = input.match_indices([' ', ':', '"']).map(|(at, text)| at + text.len());
                let starts: Vec<usize> = std::iter::once(0).chain(words).take(24).collect();
                for pattern in pack.patterns() {
                    let compiled = pattern.compiled().as_ref().unwrap();
                    for start in &starts {
                        asked += 1;
                        answered += usize::from(compare(compiled, &input[*start..]));
                    }
                }
            }
        }
        assert!(asked > 100_000 && answered * 100 > asked * 95, "{answered} of {asked}");
    }

    #[test]
    fn what_takes_too_long_is_left_to_the_regex() {
        let compiled = compile("(?:a?){20}a{20}(?<x>b)").unwrap();
        assert!(!compare(&compiled, &"a".repeat(40)));
        assert!(compiled.find(&format!("{}b", "a".repeat(40))).is_some());
    }

    /// Patterns of all kinds, of few letters.
    fn patterns() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "a", "b", "ab", " ", "é", "\\d", "\\S", ".", "[ab]", "[^a]", "[é-ü]", "$", "^", "\\b",
            "1",
        ]);
        leaf.prop_map(str::to_string).prop_recursive(4, 24, 4, |inner| {
            let repeats =
                prop::sample::select(vec!["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{2,}"]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..5).prop_map(|parts| parts.concat()),
                (inner.clone(), repeats).prop_map(|(part, how)| format!("(?:{part}){how}")),
                prop::collection::vec(inner.clone(), 2..4)
                    .prop_map(|parts| format!("(?:{})", parts.join("|"))),
                inner.prop_map(|part| format!("({part})")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_pattern_finds_what_the_regex_finds(
            pattern in patterns(), texts in prop::collection::vec("[ab1 éü]{0,9}", 8),
        ) {
            let compiled = compile(&pattern).unwrap();
            if compiled.regex.get().is_ok() {
                for text in &texts {
                    compare(&compiled, text);
                }
            }
        }
    }

    proptest! {
        /// No start dismisses a text that the pattern matches.
        #[test]
        fn starts_lose_no_match(
            pattern in "[abc?*+.(|)\\\\\\[\\]]{0,8}", text in "[abc.(|)\\[]{0,6}",
        ) {
            let text_of = |text: &str| PatternText {
                pattern: text.to_string(), r#in: None, values: Default::default(),
            };
            let forms = Forms::of(vec![text_of(&pattern)], |_| 0);
            if Regex::new(&format!("^(?:{pattern})")).is_ok_and(|r| r.is_match(&text)) {
                prop_assert!(forms[0].candidates(&text).count() == 1, "{} {}", pattern, text);
                let texts = required(&pattern);
                let is_there = texts.is_empty() || texts.iter().any(|part| text.contains(part));
                prop_assert!(is_there, "{} {} {:?}", pattern, text, texts);
            }
        }
    }
}
