//! Finds one ASCII text in another, in either case of its letters: many times faster than a regular
//! expression, and every record may have to be looked at.

use memchr::{memchr, memchr2};

use crate::words::is_word;

/// Longest text. What it finds is compared at each place where one of its bytes stands, so a long
/// text made for it could cost its length for each byte of a record.
const BYTES_MAX: usize = 64;

/// Bytes of records, the commonest first: by the rarest of a text the others are passed over.
const COMMON: &[u8] = b" e0t1a2io3n.s4r-5/6l:7c8d9\"up=mhg,_bf[]()yvw{}xkj;@zq";

/// A text to find.
#[derive(Debug, Clone)]
pub(crate) struct Finder {
    /// In lower case.
    text: Vec<u8>,
    /// Where its rarest byte is.
    rarest: usize,
    /// Whether no word may go on before it, and after it.
    closed: (bool, bool),
}

impl Finder {
    /// `None` for a text that must be found in another way.
    pub(crate) fn new(text: &str, closed: (bool, bool)) -> Option<Self> {
        if text.is_empty() || !text.is_ascii() || text.len() > BYTES_MAX {
            return None;
        }
        let text = text.to_ascii_lowercase().into_bytes();
        let rank = |byte: &u8| COMMON.iter().position(|c| c == byte).unwrap_or(COMMON.len());
        let rarest = (0..text.len()).max_by_key(|place| rank(&text[*place]))?;
        Some(Self { text, rarest, closed })
    }

    /// The text in lower case, and whether no word may go on before it, and after it.
    pub(crate) fn text(&self) -> (&str, (bool, bool)) {
        (std::str::from_utf8(&self.text).unwrap_or_default(), self.closed)
    }

    /// Whether it stands somewhere in `record`.
    pub(crate) fn finds(&self, record: &str) -> bool {
        let record = record.as_bytes();
        let (lower, behind) = (self.text[self.rarest], self.text.len() - self.rarest);
        let upper = lower.to_ascii_uppercase();
        // Nothing before here has room for the bytes before the rarest one.
        let mut from = self.rarest;
        while record.len() >= from + behind {
            let area = &record[from..=record.len() - behind];
            let next =
                if lower == upper { memchr(lower, area) } else { memchr2(lower, upper, area) };
            let Some(next) = next else { return false };
            if self.stands_at(record, from + next - self.rarest) {
                return true;
            }
            from += next + 1;
        }
        false
    }

    fn stands_at(&self, record: &[u8], start: usize) -> bool {
        let end = start + self.text.len();
        let goes_on = |byte: Option<&u8>| byte.is_some_and(|b| is_word(char::from(*b)));
        let before = start.checked_sub(1).and_then(|i| record.get(i));
        record[start..end].eq_ignore_ascii_case(&self.text)
            && !(self.closed.0 && goes_on(before))
            && !(self.closed.1 && goes_on(record.get(end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::Regex;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn it_finds_what_a_regular_expression_finds(
            text in "[aAbB_ .=1]{1,4}",
            record in "[aAbB_ .=1éſ]{0,12}",
            starts in any::<bool>(),
            ends in any::<bool>(),
        ) {
            // A closed end is where a word ends: the text's own character there is of a word.
            let starts = starts && text.starts_with(is_word);
            let ends = ends && text.ends_with(is_word);
            let edge = |closed: bool| if closed { r"(?-u:\b)" } else { "" };
            let folded: String = text.chars().map(|c| match c.is_ascii_alphabetic() {
                true => format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase()),
                false => regex::escape(&c.to_string()),
            }).collect();
            let regex = Regex::new(&format!("{}{folded}{}", edge(starts), edge(ends))).unwrap();
            let finder = Finder::new(&text, (starts, ends)).unwrap();
            prop_assert_eq!(finder.finds(&record), regex.is_match(&record));
        }
    }

    #[test]
    fn what_it_does_not_take() {
        assert!(Finder::new("", (false, false)).is_none());
        assert!(Finder::new("ü", (false, false)).is_none());
        assert!(Finder::new(&"a".repeat(BYTES_MAX + 1), (true, true)).is_none());
    }
}
