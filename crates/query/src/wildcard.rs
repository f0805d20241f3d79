//! Patterns with stars: as a test of a whole text, and as a way to take parts out of one.

use crate::plan::{Pattern, Piece};

/// Stars of one pattern that takes parts.
const STARS_MAX: usize = 50;

/// Reads a pattern: `*` is any text, `?` one character; a backslash takes that meaning away.
pub(crate) fn pattern(text: &str) -> Pattern {
    let mut pattern = Pattern::default();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(next @ ('*' | '?' | '\\'))) => {
                pattern.push_text(next.encode_utf8(&mut [0; 4]));
                chars.next();
            }
            ('*', _) => pattern.push_wildcard(Piece::Any),
            ('?', _) => pattern.push_wildcard(Piece::One),
            _ => pattern.push_text(c.encode_utf8(&mut [0; 4])),
        }
    }
    pattern
}

/// A pattern whose stars take what stands between its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Captures {
    /// The text before each star, and behind the last.
    texts: Vec<String>,
    /// Whether the last star takes all that is left, blanks too.
    rest: bool,
}

impl Captures {
    /// Reads a pattern such as `user * from *`; `\*` is a star itself, `**` at the end takes all
    /// that is left.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let (text, rest) = match text.strip_suffix("**") {
            Some(start) if !start.ends_with('\\') => (format!("{start}*"), true),
            _ => (text.to_string(), false),
        };
        let mut texts = vec![String::new()];
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let part = texts.last_mut().map(|last| (c, chars.peek().copied(), last));
            match part {
                Some(('\\', Some(next @ ('*' | '\\')), last)) => {
                    last.push(next);
                    chars.next();
                }
                Some(('*', _, _)) => texts.push(String::new()),
                Some((c, _, last)) => last.push(c),
                None => {}
            }
        }
        let found = Self { texts, rest };
        let inner = found.texts.get(1..found.texts.len() - 1).unwrap_or_default();
        match found.len() {
            0 => Err("a pattern has a star for each part that it takes".into()),
            n if n > STARS_MAX => Err(format!("a pattern has at most {STARS_MAX} stars")),
            _ if inner.iter().any(String::is_empty) => {
                Err("between two stars of a pattern there is text".into())
            }
            _ => Ok(found),
        }
    }

    /// Number of stars.
    pub(crate) fn len(&self) -> usize {
        self.texts.len() - 1
    }

    /// What each star stands for, where the pattern is found first; each takes as little as it
    /// can.
    pub(crate) fn find<'a>(&self, text: &'a str) -> Option<Vec<&'a str>> {
        let (first, others) = self.texts.split_first()?;
        let mut rest = &text[text.find(first.as_str())? + first.len()..];
        let mut found = Vec::with_capacity(others.len());
        for (place, next) in others.iter().enumerate() {
            let last = place + 1 == others.len();
            let end = match (last && next.is_empty(), self.rest) {
                (true, true) => rest.len(),
                (true, false) => rest.find(char::is_whitespace).unwrap_or(rest.len()),
                (false, _) => rest.find(next.as_str())?,
            };
            found.push(&rest[..end]);
            rest = &rest[end + next.len()..];
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: &str) {
        let captures = Captures::new(pattern).unwrap();
        let found = captures.find(text).map_or("-".into(), |found| found.join("|"));
        assert_eq!(found, expected, "{pattern:?} in {text:?}");
    }

    #[test]
    fn stars_take_parts() {
        check(
            "user * from * port *",
            "Failed for user root from 10.0.0.1 port 22 ssh2",
            "root|10.0.0.1|22",
        );
        check("[*] *: **", "x [a] b: c d", "a|b|c d");
        check("*=*", "a=b c", "a|b");
        check("a*b", "xaab", "a");
        check("a*b", "ac", "-");
        check(r"\**", "a*b c", "b");
        check("größe=*", "größe=7 x", "7");
        check("a*", "a", "");
    }

    #[test]
    fn patterns_that_take_nothing() {
        for (pattern, part) in [("abc", "star"), ("a**b", "between"), ("", "star")] {
            assert!(Captures::new(pattern).unwrap_err().contains(part), "{pattern}");
        }
        assert!(Captures::new(&"a*".repeat(51)).unwrap_err().contains("50"));
    }
}
