//! Text without terminal escapes, to be shown: colours, cursor movements, titles, links.
//!
//! After ECMA-48 (and its 8-bit forms, U+0080 to U+009F): `ESC [` to a final byte, `ESC ]` and its
//! like to their terminator, `ESC` with one character; also `#033[`, as rsyslog writes `ESC [`.
//! Other control characters go as well, a backspace among them, which would hide what stands
//! before it; tabs and line ends stay. A sequence without an end hides nothing: then only the
//! characters that begin it go.

use std::borrow::Cow;

/// Longest text of a title or a link that is taken for one, in bytes.
const STRING_BYTES_MAX: usize = 4096;
/// Longest list of parameters, in bytes.
const PARAMETER_BYTES_MAX: usize = 64;
const ESC: u8 = 0x1b;
/// What rsyslog makes of an escape by default.
const RSYSLOG: &[u8] = b"#033[";

/// The text without terminal escapes and control characters; borrowed where there are none.
pub fn plain(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let Some(mut at) = first(bytes) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    let mut kept = 0;
    while at < bytes.len() {
        match escape(&bytes[at..]) {
            0 => at += 1,
            length => {
                out.push_str(&text[kept..at]);
                at += length;
                kept = at;
            }
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

/// Where the first byte stands that may begin something. Blocks, so that the compiler uses vectors.
fn first(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let may = |b: u8| is_control(b) | (b == 0xc2) | (b == b'#');
    let block = bytes.chunks(BLOCK).position(|c| c.iter().fold(false, |any, b| any | may(*b)))?;
    let start = block * BLOCK;
    Some(start + bytes[start..].iter().position(|b| may(*b))?)
}

fn is_control(byte: u8) -> bool {
    (byte < 0x20) & (byte != b'\t') & (byte != b'\n') & (byte != b'\r') | (byte == 0x7f)
}

/// Bytes of the sequence at the start; 0 if there is none.
fn escape(bytes: &[u8]) -> usize {
    match *bytes {
        [ESC, b'[', ..] => 2 + parameters(&bytes[2..]),
        [ESC, b']' | b'P' | b'X' | b'^' | b'_', ..] => 2 + string(&bytes[2..]),
        [ESC, 0x30..=0x7e, ..] => 2,
        // An intermediate, such as `(` of a character set, and its final byte.
        [ESC, 0x20..=0x2f, 0x30..=0x7e, ..] => 3,
        // CSI, then DCS, SOS, OSC, PM and APC, in one character.
        [0xc2, 0x9b, ..] => 2 + parameters(&bytes[2..]),
        [0xc2, 0x90 | 0x98 | 0x9d..=0x9f, ..] => 2 + string(&bytes[2..]),
        [0xc2, 0x80..=0x9f, ..] => 2,
        [b'#', ..] if bytes.starts_with(RSYSLOG) => {
            match parameters(&bytes[RSYSLOG.len()..]) {
                // It is only text, after all.
                0 => 0,
                length => RSYSLOG.len() + length,
            }
        }
        [byte, ..] if is_control(byte) => 1,
        _ => 0,
    }
}

/// Parameters, intermediates and the final byte; 0 without a final byte.
fn parameters(bytes: &[u8]) -> usize {
    let count = bytes.iter().take(PARAMETER_BYTES_MAX).take_while(|b| (0x20..0x40).contains(*b));
    let count = count.count();
    match bytes.get(count) {
        Some(0x40..=0x7e) => count + 1,
        _ => 0,
    }
}

/// A string with its terminator: BEL, `ESC \` or U+009C; 0 without one.
fn string(bytes: &[u8]) -> usize {
    let bytes = &bytes[..bytes.len().min(STRING_BYTES_MAX)];
    for at in memchr::memchr3_iter(0x07, ESC, 0xc2, bytes) {
        match bytes[at..] {
            [0x07, ..] => return at + 1,
            [ESC, b'\\', ..] | [0xc2, 0x9c, ..] => return at + 2,
            // Another sequence begins, so this one has no end.
            [ESC, ..] => return 0,
            _ => {}
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(plain(text), expected, "{text:?}");
    }

    #[test]
    fn escapes_go_and_text_stays() {
        check("", "");
        check("a line\twith\r\nall é and # of it", "a line\twith\r\nall é and # of it");
        check("\x1b[1;31mERROR\x1b[0m disk", "ERROR disk");
        check("\x1b[38;5;196mred\x1b[K", "red");
        check("\x1b[?25lhidden cursor\x1b[2J", "hidden cursor");
        check("\x1b]0;a title\x07after", "after");
        check("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link");
        check("\x1bPdevice\x1b\\control", "control");
        check("\x1b(Bcharacter set\x1b7\x1bc", "character set");
        check("\u{9b}31mred\u{9d}title\u{9c}\u{85}", "red");
        check("#033[0;32mgreen#033[0m #033[ #0331", "green #033[ #0331");
        check("root\x08\x08\x08\x08user\x7f\x00\x07", "rootuser");
        check("© é \u{a0}", "© é \u{a0}");
    }

    #[test]
    fn a_sequence_without_an_end_hides_nothing() {
        check("\x1b]0;all that follows", "0;all that follows");
        check("\x1b[12", "12");
        check("\x1b[1é", "1é");
        check("\x1b[", "");
        check("\x1b", "");
        check("\x1b]one\x1b[31mtwo", "onetwo");
        check("\x1bé", "é");
        check("\u{9d}title", "title");
        let long = "x".repeat(STRING_BYTES_MAX);
        check(&format!("\x1b]{long}\x07"), &long);
    }

    #[test]
    fn what_needs_nothing_is_borrowed() {
        for text in ["plain", "#1 issue, é, Â", "x\ty"] {
            assert!(matches!(plain(text), Cow::Borrowed(_)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_control_character_is_left(
            text in "[\x1b\\[\\]0-9;m#a\x07\\\\\u{80}-\u{9f}é\t]{0,40}"
        ) {
            let shown = plain(&text);
            prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\t'), "{:?}", shown);
        }

        #[test]
        fn text_without_controls_is_itself(text in "[ -~é漢]{0,40}") {
            prop_assume!(!text.contains("#033["));
            prop_assert_eq!(&plain(&text), &text);
        }
    }
}
