//! Words: what a search for a word finds, and what filters are made of.
//!
//! A word is a longest run of ASCII letters, digits and underscores. Everything else, also every
//! byte of a non-ASCII character, separates words. Words are compared without ASCII case.

use twox_hash::XxHash3_64;

/// Bytes of a word that count; a longer one is known by its start.
const WORD_BYTES_MAX: usize = 128;

/// Digits of a number that filters do without.
const SHORT_NUMBER_BYTES_MAX: usize = 5;
/// Digits that a fraction of a second has at most, before the `Z` of a time.
const FRACTION_BYTES_MAX: usize = 9;
/// Hex digits that filters do without: as many as the middle parts of an UUID have.
const SHORT_HEX_BYTES_MAX: usize = 4;

/// Which bytes words are made of.
static IS_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        byte += 1;
    }
    table
};

/// True for a byte that words are made of.
#[inline]
pub(crate) fn is_word(byte: u8) -> bool {
    IS_WORD[byte as usize]
}

/// The words of a text, in order.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() && !is_word(text[at]) {
            at += 1;
        }
        let start = at;
        while at < text.len() && is_word(text[at]) {
            at += 1;
        }
        (start < at).then(|| &text[start..at])
    })
}

/// True when `word`, which is in lower case, is among the words of `text`.
pub(crate) fn has_word(text: &[u8], word: &[u8]) -> bool {
    if word.is_empty() {
        return true;
    }
    WordFinder::new(word).starts(text).any(|at| {
        (at == 0 || !is_word(text[at - 1]))
            && text.get(at + word.len()).is_none_or(|next| !is_word(*next))
    })
}

/// True when `part`, whose ASCII letters are in lower case, stands somewhere in `text`.
pub(crate) fn has_part(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || WordFinder::new(part).starts(text).next().is_some()
}

/// True when `part`, whose ASCII letters are in lower case, stands somewhere in `text`, which is
/// itself a part of a longer text; no word goes on before it, or after it, where that is asked.
pub(crate) fn has_phrase(text: &[u8], part: &[u8], (before, after): (bool, bool)) -> bool {
    let apart = |byte: Option<&u8>| byte.is_some_and(|byte| !is_word(*byte));
    !part.is_empty()
        && WordFinder::new(part).starts(text).any(|at| {
            (!before || apart(at.checked_sub(1).and_then(|at| text.get(at))))
                && (!after || apart(text.get(at + part.len())))
        })
}

/// True when all of `words`, which are in lower case, are among the words of `text`.
pub(crate) fn has_words(text: &[u8], words: &[impl AsRef<str>]) -> bool {
    words.iter().all(|word| has_word(text, word.as_ref().as_bytes()))
}

/// Letters of words, the most frequent in logs first; digits come between.
const FREQUENT: &[u8] = b"eationrsl0123c456789dupmhgfby_vwkxjqz";

/// Finds a word or a part of a text, which is in lower case and not empty, wherever its letters
/// stand.
pub(crate) struct WordFinder<'a> {
    word: &'a [u8],
    /// Place of its rarest letter: what is looked for first.
    rare: usize,
}

impl<'a> WordFinder<'a> {
    pub(crate) fn new(word: &'a [u8]) -> Self {
        let rank = |byte: u8| FREQUENT.iter().position(|known| *known == byte);
        // What is no letter of a word may be everywhere.
        let rare = (0..word.len()).max_by_key(|at| rank(word[*at]).unwrap_or(0));
        Self { word, rare: rare.unwrap_or(0) }
    }

    /// Where it begins in `text`, in any case, also as a part of a longer word.
    pub(crate) fn starts<'t>(&self, text: &'t [u8]) -> impl Iterator<Item = usize> + use<'a, 't> {
        let (word, rare) = (self.word, self.rare);
        let (low, high) = (word[rare], word[rare].to_ascii_uppercase());
        memchr::memchr2_iter(low, high, text).filter_map(move |at| {
            let start = at.checked_sub(rare)?;
            let found = text.get(start..start + word.len())?;
            found.eq_ignore_ascii_case(word).then_some(start)
        })
    }
}

/// True for a word that nearly every block of rows would have in its filter: a short number, a part
/// of a time, a few hex digits. Whoever looks for one looks for something else beside it. Filters
/// do without such words; a search for one reads every block, in files of any age.
///
/// The rule looks at each byte's class alone, so that what is true of one time is true of all that
/// are written alike.
pub(crate) fn is_common(word: &[u8]) -> bool {
    let digits = word.iter().take_while(|b| b.is_ascii_digit()).count();
    match &word[digits..] {
        [] => digits <= SHORT_NUMBER_BYTES_MAX,
        [b'z' | b'Z'] if (1..=FRACTION_BYTES_MAX).contains(&digits) => true,
        [b't' | b'T', hour @ ..] if digits == 2 => {
            hour.len() == 2 && hour.iter().all(u8::is_ascii_digit)
        }
        _ => {
            word.len() <= SHORT_HEX_BYTES_MAX
                && word.iter().all(u8::is_ascii_hexdigit)
                && word.iter().any(u8::is_ascii_digit)
        }
    }
}

/// The number that stands for a word in filters: XXH3 of its first bytes in lower case.
#[inline]
pub(crate) fn hash_word(word: &[u8]) -> u64 {
    let mut lower = [0; WORD_BYTES_MAX];
    let len = word.len().min(WORD_BYTES_MAX);
    for (to, from) in lower[..len].iter_mut().zip(word) {
        *to = from.to_ascii_lowercase();
    }
    XxHash3_64::oneshot(&lower[..len])
}

/// The number that stands for a whole value in filters. A value of one word has the number of
/// that word, so that it need not be kept twice.
pub(crate) fn hash_value(value: &[u8]) -> u64 {
    if value.len() <= WORD_BYTES_MAX {
        return hash_word(value);
    }
    if value.iter().all(|b| is_word(*b)) {
        return hash_word(value);
    }
    XxHash3_64::oneshot(&value.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_runs_of_letters_digits_and_underscores() {
        let found: Vec<_> = words("Failed-login: user_1 für 10.0.0.1".as_bytes())
            .map(|word| std::str::from_utf8(word).unwrap())
            .collect();
        assert_eq!(found, ["Failed", "login", "user_1", "f", "r", "10", "0", "0", "1"]);
    }

    #[test]
    fn a_word_is_found_whole_and_in_any_case() {
        for (word, expected) in
            [("failed", true), ("login", true), ("fail", false), ("ogin", false), ("1", false)]
        {
            assert_eq!(has_word(b"FAILED login user_1", word.as_bytes()), expected, "{word}");
        }
    }

    #[test]
    fn a_phrase_ends_where_words_are_known_to_end() {
        for (text, closed, expected) in [
            (" Call to x.", (true, true), true),
            ("call to x.", (true, true), false),
            (" call to x", (true, true), false),
            ("call to x", (false, false), true),
            (" recall to x.", (true, true), false),
            (" recall to x.", (false, true), true),
            ("call to y", (false, false), false),
        ] {
            assert_eq!(has_phrase(text.as_bytes(), b"call to x", closed), expected, "{text}");
        }
    }

    #[test]
    fn common_words_are_short_numbers_and_parts_of_times_and_ids() {
        for (word, expected) in [
            ("", true),
            ("0", true),
            ("12345", true),
            ("123456", false),
            ("12345z", true),
            ("123456789Z", true),
            ("1234567890z", false),
            ("z", false),
            ("23t09", true),
            ("3t09", false),
            ("23t0", false),
            ("23t099", false),
            ("4bcd", true),
            ("4Bc", true),
            ("beef", false),
            ("4bcde", false),
            ("4xyz", false),
            ("user1", false),
        ] {
            assert_eq!(is_common(word.as_bytes()), expected, "{word}");
        }
    }

    proptest! {
        #[test]
        fn finding_agrees_with_cutting(text in "[aA_0 .é]{0,20}", word in "[a_0]{1,3}") {
            let cut = words(text.as_bytes()).any(|w| w.eq_ignore_ascii_case(word.as_bytes()));
            prop_assert_eq!(has_word(text.as_bytes(), word.as_bytes()), cut);
        }

        #[test]
        fn case_does_not_change_a_hash(word in "[a-zA-Z0-9_]{1,200}") {
            let upper = word.to_ascii_uppercase();
            prop_assert_eq!(hash_word(word.as_bytes()), hash_word(upper.as_bytes()));
            prop_assert_eq!(hash_word(word.as_bytes()), hash_value(upper.as_bytes()));
        }
    }
}
