//! Text of rules: literals and wildcards, and how letters fold.

use std::borrow::Cow;

/// Literal text as the rule wrote it. Case counts only where the rule says so.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) cased: bool,
}

impl Text {
    /// The form in which it is searched: folded unless case counts.
    pub(crate) fn needle(&self) -> Cow<'_, str> {
        if self.cased { Cow::Borrowed(&self.text) } else { fold(&self.text) }
    }
}

/// Lower case, letter by letter, so that a part of a text folds like the same part of a whole.
pub(crate) fn fold(text: &str) -> Cow<'_, str> {
    match letters(text) {
        Letters::Folded => Cow::Borrowed(text),
        Letters::Ascii => Cow::Owned(text.to_ascii_lowercase()),
        Letters::Foreign => {
            let mut folded = String::with_capacity(text.len());
            fold_foreign(text, &mut folded);
            Cow::Owned(folded)
        }
    }
}

/// The same in a room that is used again and again.
pub(crate) fn fold_in<'t>(room: &'t mut String, text: &'t str) -> &'t str {
    room.clear();
    match letters(text) {
        Letters::Folded => return text,
        Letters::Ascii => {
            room.push_str(text);
            room.make_ascii_lowercase();
        }
        Letters::Foreign => fold_foreign(text, room),
    }
    room
}

enum Letters {
    /// Of ASCII, and folded already.
    Folded,
    Ascii,
    Foreign,
}

/// One pass without a way out, which a machine does for many bytes at once.
fn letters(text: &str) -> Letters {
    let mark = |marks: u8, byte: u8| marks | byte & 0x80 | u8::from(byte.is_ascii_uppercase());
    match text.bytes().fold(0, mark) {
        0 => Letters::Folded,
        1 => Letters::Ascii,
        _ => Letters::Foreign,
    }
}

/// Most text with a foreign letter in it is ASCII all the same.
fn fold_foreign(text: &str, folded: &mut String) {
    let mut rest = text;
    while !rest.is_empty() {
        let (plain, other) = rest.split_at(rest.bytes().take_while(u8::is_ascii).count());
        folded.push_str(&plain.to_ascii_lowercase());
        let end = other.find(|c: char| c.is_ascii()).unwrap_or(other.len());
        folded.extend(other[..end].chars().flat_map(fold_letter));
        rest = &other[end..];
    }
}

/// The letter's lower case. Two foreign letters (the sign for Kelvin, the I with a dot) have a
/// letter of ASCII in theirs; they stay as they are: what looks for ASCII need not look for them.
fn fold_letter(letter: char) -> impl Iterator<Item = char> {
    let stays = !letter.is_ascii() && letter.to_lowercase().any(|lower| lower.is_ascii());
    let lower = letter.to_lowercase().filter(move |_| !stays);
    stays.then_some(letter).into_iter().chain(lower)
}

/// Text with `*` (any run of characters) and `?` (any one character).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Glob {
    pub(crate) tokens: Vec<Token>,
    pub(crate) cased: bool,
}

/// One step of a [`Glob`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Token {
    Char(char),
    One,
    Many,
}

impl Glob {
    /// The same glob with its letters folded, for folded values.
    pub(crate) fn folded(&self) -> Glob {
        if self.cased {
            return self.clone();
        }
        let mut tokens = Vec::with_capacity(self.tokens.len());
        for &token in &self.tokens {
            match token {
                Token::Char(c) => tokens.extend(fold_letter(c).map(Token::Char)),
                other => tokens.push(other),
            }
        }
        Glob { tokens, cased: false }
    }

    /// True when the whole of `text` matches. Going back only to the last `*` is enough, so the
    /// work is bounded by the product of both lengths.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let (mut at, mut step) = (0, 0);
        let mut last_many: Option<(usize, usize)> = None;
        loop {
            let next = text[at..].chars().next();
            match (self.tokens.get(step), next) {
                (Some(Token::Many), _) => {
                    last_many = Some((step, at));
                    step += 1;
                    continue;
                }
                (Some(Token::One), Some(c)) => {
                    at += c.len_utf8();
                    step += 1;
                    continue;
                }
                (Some(Token::Char(wanted)), Some(c)) if *wanted == c => {
                    at += c.len_utf8();
                    step += 1;
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((many, from)) = last_many else { return false };
            let Some(skipped) = text[from..].chars().next() else { return false };
            last_many = Some((many, from + skipped.len_utf8()));
            at = from + skipped.len_utf8();
            step = many + 1;
        }
    }
}

impl std::fmt::Display for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write;
        for token in &self.tokens {
            f.write_char(match token {
                Token::Char(c) => *c,
                Token::One => '?',
                Token::Many => '*',
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn glob(text: &str) -> Glob {
        let token = |c| match c {
            '*' => Token::Many,
            '?' => Token::One,
            c => Token::Char(c),
        };
        Glob { tokens: text.chars().map(token).collect(), cased: false }
    }

    #[test]
    fn wildcards_match_whole_values() {
        for (pattern, text, expected) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("a?c", "aéc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab", "aab", true),
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
        ] {
            assert_eq!(glob(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn globs_agree_with_regular_expressions(
            pattern in "[ab?*é]{0,8}", text in "[abé]{0,10}",
        ) {
            let regex: String = pattern.chars().map(|c| match c {
                '*' => "(?s:.*)".to_string(),
                '?' => "(?s:.)".to_string(),
                c => regex::escape(&c.to_string()),
            }).collect();
            let regex = regex::Regex::new(&format!("^{regex}$")).unwrap();
            prop_assert_eq!(glob(&pattern).matches(&text), regex.is_match(&text));
        }

        #[test]
        fn folding_parts_is_folding_the_whole(a in ".*|[Kk\u{212a}\u{130}i]*", b in ".*") {
            let whole = format!("{a}{b}");
            let letters: String = whole.chars().flat_map(fold_letter).collect();
            prop_assert_eq!(fold(&whole).into_owned(), letters);
            prop_assert_eq!(fold(&whole).into_owned(), format!("{}{}", fold(&a), fold(&b)));
        }
    }
}
