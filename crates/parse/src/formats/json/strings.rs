//! Strings of JSON (RFC 8259 section 7): where they end, and what they say.

use memchr::{memchr, memchr2};

/// Bytes that are looked at together.
const WORD: usize = 8;

/// Where the first byte stands that is one of two. Others may be taken for it by mistake, but only
/// behind it: see "Determine if a word has a byte equal to n" in Anderson, Bit Twiddling Hacks.
#[inline]
fn first(word: &[u8; WORD], one: u8, other: u8) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    let word = u64::from_le_bytes(*word);
    let marks = |byte: u8| {
        let differs = word ^ (ONES * u64::from(byte));
        differs.wrapping_sub(ONES) & !differs & (ONES << 7)
    };
    let found = marks(one) | marks(other);
    (found != 0).then(|| found.trailing_zeros() as usize / WORD)
}

/// Where the next quote or backslash stands. Most texts of records are short, so the first bytes
/// are looked at here, a word at a time; what is longer is worth a call.
#[inline]
pub(super) fn quote_or_escape(bytes: &[u8], from: usize) -> Option<usize> {
    const WORDS: usize = 4;
    let rest = bytes.get(from..)?;
    let (words, _) = rest.as_chunks();
    for (i, word) in words.iter().take(WORDS).enumerate() {
        if let Some(at) = first(word, b'"', b'\\') {
            return Some(from + i * WORD + at);
        }
    }
    let looked = words.len().min(WORDS) * WORD;
    Some(from + looked + memchr2(b'"', b'\\', &rest[looked..])?)
}

/// Where the quote stands that ends a string, of which all before `from` is read.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr(b'"', bytes.get(at..)?)?;
        let escapes = bytes[from..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes % 2 == 0 {
            return Some(at);
        }
        at += 1;
    }
}

/// What a string says; `inside` is what stands between its quotes, and `escape_at` where its first
/// escape does. `None` when an escape is none of JSON.
pub(super) fn unescaped(inside: &str, escape_at: usize) -> Option<String> {
    let (bytes, mut at) = (inside.as_bytes(), escape_at);
    // An escape is longer than what it stands for.
    let mut out = Vec::with_capacity(bytes.len() + WORD);
    out.extend_from_slice(&bytes[..at]);
    while at < bytes.len() {
        if bytes[at] == b'\\' {
            at = push_escape(inside, at + 1, &mut out)?;
            continue;
        }
        // Escapes stand close to each other, in paths above all: a word is copied whole, and what
        // was too much is taken back, which costs less than to call for every few bytes.
        let Some(word) = bytes[at..].first_chunk() else {
            out.push(bytes[at]);
            at += 1;
            continue;
        };
        out.extend_from_slice(word);
        let plain = first(word, b'\\', b'\\').unwrap_or(WORD);
        out.truncate(out.len() - WORD + plain);
        at += plain;
    }
    String::from_utf8(out).ok()
}

/// Adds the character that stands escaped at `at`, behind a backslash, and says where the next one
/// begins.
#[inline]
fn push_escape(text: &str, at: usize, out: &mut Vec<u8>) -> Option<usize> {
    let byte = *text.as_bytes().get(at)?;
    let character = match byte {
        b'"' | b'\\' | b'/' => byte,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let (character, used) = unicode(text.get(at + 1..)?)?;
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(at + 1 + used);
        }
        _ => return None,
    };
    out.push(character);
    Some(at + 1)
}

/// Reads what follows `\u`: four hex digits, and the second half of a surrogate pair.
fn unicode(text: &str) -> Option<(char, usize)> {
    let hex = |text: &str| {
        let digits = text.get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let first = hex(text)?;
    if let (0xd800..=0xdbff, Some(second)) =
        (first, text.get(4..).and_then(|t| t.strip_prefix("\\u")).and_then(hex))
        && (0xdc00..=0xdfff).contains(&second)
    {
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return Some((char::from_u32(code)?, 10));
    }
    Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 4))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads the string that ends in `text`, as [`super::super::Walk`] does.
    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let said = || {
            let escape_at = quote_or_escape(text.as_bytes(), 0)?;
            let end = end(text.as_bytes(), escape_at)?;
            unescaped(&text[..end], escape_at)
        };
        assert_eq!(said().as_deref(), expected, "{text}");
    }

    #[test]
    fn escapes_are_what_they_stand_for() {
        check(
            r#"plain, and longer than one word of eight bytes", "next": 1"#,
            Some("plain, and longer than one word of eight bytes"),
        );
        check(r#"C:\\Windows\\System32\\""#, Some(r"C:\Windows\System32\"));
        check(
            r#"\"\\\/\b\f\n\r\t\u0041 and then some more text\"""#,
            Some("\"\\/\u{8}\u{c}\n\r\tA and then some more text\""),
        );
        check(r#"é\u00e9\ud83d\ude00ééééééé\ud83dé""#, Some("éé😀ééééééé\u{fffd}é"));
    }

    #[test]
    fn what_is_no_string_says_nothing() {
        for text in [r"no end", r#"\"#, r#"\""#, r#"\x""#, r#"\u12""#, r#"\\\""#, ""] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn the_first_quote_or_backslash_is_found(
            bytes in prop::collection::vec(prop_oneof![
                any::<u8>(), Just(b'"'), Just(b'\\'), Just(b'#'), Just(b'!'), Just(b'a'),
            ], 0..80),
            from in 0usize..90,
        ) {
            let expected = (from..bytes.len()).find(|&i| matches!(bytes[i], b'"' | b'\\'));
            prop_assert_eq!(quote_or_escape(&bytes, from), expected);
        }

        #[test]
        fn strings_say_what_serde_reads(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    r"\\", r#"\""#, r"\n", r"\u00e9", r"\ud83d\ude00", r"\/",
                    "Windows", "é", "]", "#", " ",
                ]),
                1..40,
            ),
        ) {
            let inside = parts.concat();
            let text = format!("{inside}\"");
            let at = quote_or_escape(text.as_bytes(), 0).unwrap();
            prop_assume!(at < inside.len());
            prop_assert_eq!(end(text.as_bytes(), at), Some(inside.len()));
            let expected: String = serde_json::from_str(&format!("\"{text}")).unwrap();
            prop_assert_eq!(unescaped(&inside, at), Some(expected));
        }
    }
}
