//! Bytes to text: UTF-8, or what they surely are otherwise.
//!
//! A wrong guess is worse than a replacement character, which shows that something is amiss. So an
//! encoding counts only if the bytes are without an error in it and the text bears it out:
//!
//! | encoding | what must hold |
//! |---|---|
//! | UTF-16 without a mark | one byte of nearly every pair is zero, always on the same side |
//! | Shift-JIS | four characters beyond ASCII, a quarter of them kana of full width |
//! | Windows-1252 | every odd character is a letter of Western Europe beside ASCII, or a quote |
//! | GBK | six characters beyond ASCII, nearly all of them common (level 1 of GB 2312) |
//!
//! For the last two, which others resemble, the statistics of `chardetng` must name them as well.
//! Latin-1 is read as Windows-1252, whose letters are the same.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{GBK, SHIFT_JIS, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Bytes of a record that statistics look at.
const LOOK_BYTES: usize = 16 << 10;
/// Fewer bytes say nothing about UTF-16.
const UTF16_BYTES_MIN: usize = 8;
const JAPANESE_MIN: usize = 4;
const CHINESE_MIN: usize = 6;

/// How a record is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, ASCII included.
    Utf8,
    /// UTF-16, low byte first, without a byte order mark.
    Utf16Le,
    /// UTF-16, high byte first, without a byte order mark.
    Utf16Be,
    /// Windows-1252, of which Latin-1 is a part.
    Windows1252,
    /// Shift-JIS with Microsoft's additions.
    ShiftJis,
    /// GBK, of which GB 2312 is a part.
    Gbk,
    /// None of these for sure; what is no UTF-8 became U+FFFD.
    Unknown,
}

impl Encoding {
    /// The name that the Encoding Standard gives it; `unknown` for [`Encoding::Unknown`].
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Utf16Le => "utf-16le",
            Encoding::Utf16Be => "utf-16be",
            Encoding::Windows1252 => "windows-1252",
            Encoding::ShiftJis => "shift_jis",
            Encoding::Gbk => "gbk",
            Encoding::Unknown => "unknown",
        }
    }
}

/// The text of a record, and how it was encoded. Borrowed where it is UTF-8.
pub fn decode(bytes: &[u8]) -> (Cow<'_, str>, Encoding) {
    if let Some((text, encoding)) = utf16(bytes) {
        return (text.into(), encoding);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.into(), Encoding::Utf8),
        Err(_) => match legacy(bytes) {
            Some((text, encoding)) => (text, encoding),
            None => (String::from_utf8_lossy(bytes), Encoding::Unknown),
        },
    }
}

/// UTF-16 without a byte order mark. A last byte that is half a character is dropped, as a cut
/// between the two bytes of a line end leaves one.
fn utf16(bytes: &[u8]) -> Option<(String, Encoding)> {
    if bytes.len() < UTF16_BYTES_MIN || memchr::memchr(0, &bytes[..UTF16_BYTES_MIN]).is_none() {
        return None;
    }
    let pairs = bytes.chunks_exact(2);
    let (count, [first, second]) = pairs.fold((0, [0, 0]), |(count, [first, second]), pair| {
        (count + 1, [first + usize::from(pair[0] == 0), second + usize::from(pair[1] == 0)])
    });
    let most = |zeros: usize| zeros * 4 >= count * 3;
    let (encoding, codec) = match (first, second) {
        (0, zeros) if most(zeros) => (Encoding::Utf16Le, UTF_16LE),
        (zeros, 0) if most(zeros) => (Encoding::Utf16Be, UTF_16BE),
        _ => return None,
    };
    let whole = &bytes[..bytes.len() & !1];
    let text = codec.decode_without_bom_handling_and_without_replacement(whole)?;
    let is_text = text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace() || c == '\x1b');
    is_text.then(|| (text.into_owned(), encoding))
}

fn legacy(bytes: &[u8]) -> Option<(Cow<'_, str>, Encoding)> {
    // More whole characters of UTF-8 than broken ones: UTF-8 that was cut or mixed.
    let (whole, broken) = bytes.utf8_chunks().fold((0, 0), |(whole, broken), chunk| {
        let beyond = chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        (whole + beyond, broken + usize::from(!chunk.invalid().is_empty()))
    });
    if whole >= broken {
        return None;
    }
    let decoded = |codec: &'static encoding_rs::Encoding| {
        codec.decode_without_bom_handling_and_without_replacement(bytes)
    };
    if let Some(text) = decoded(SHIFT_JIS).filter(|text| is_japanese(text)) {
        return Some((text, Encoding::ShiftJis));
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(&bytes[..bytes.len().min(LOOK_BYTES)], bytes.len() <= LOOK_BYTES);
    let guess = detector.guess(None, Utf8Detection::Deny);
    let (encoding, is_sure): (_, fn(&str) -> bool) = match guess {
        guess if guess == WINDOWS_1252 => (Encoding::Windows1252, is_western),
        guess if guess == GBK => (Encoding::Gbk, is_chinese),
        _ => return None,
    };
    let text = decoded(guess)?;
    is_sure(&text).then_some((text, encoding))
}

/// Letters with accents stand alone or in twos among ASCII; long runs are another script.
fn is_western(text: &str) -> bool {
    let mut run = 0;
    text.chars().all(|c| {
        run = if c.is_ascii() { 0 } else { run + 1 };
        let letter = ('À'..='ÿ').contains(&c) || "ŠšŽžŒœŸß".contains(c);
        let mark = "€‘’“”–—…•™°§©®«»·´¡¿£µº\u{aa}\u{a0}".contains(c);
        c.is_ascii() || (run <= 2 && (letter || mark))
    })
}

fn is_japanese(text: &str) -> bool {
    let beyond: Vec<char> = text.chars().filter(|c| !c.is_ascii()).collect();
    let kana = beyond.iter().filter(|c| ('\u{3041}'..='\u{30ff}').contains(*c)).count();
    let is_narrow = |c: &char| ('\u{ff61}'..='\u{ff9f}').contains(c);
    beyond.len() >= JAPANESE_MIN && kana * 4 >= beyond.len() && !beyond.iter().any(is_narrow)
}

fn is_chinese(text: &str) -> bool {
    let beyond: Vec<char> = text.chars().filter(|c| !c.is_ascii()).collect();
    let common = beyond.iter().filter(|c| is_common(**c)).count();
    beyond.len() >= CHINESE_MIN && common * 10 >= beyond.len() * 9
}

/// In level 1 of GB 2312 (rows 0xB0 to 0xD7), or punctuation of Chinese.
fn is_common(c: char) -> bool {
    let mut utf8 = [0; 4];
    let (bytes, _, failed) = GBK.encode(c.encode_utf8(&mut utf8));
    let hanzi = matches!(*bytes, [0xb0..=0xd7, 0xa1..=0xfe]);
    !failed && (hanzi || matches!(*bytes, [0xa1 | 0xa3, 0xa1..=0xfe]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str, encoding: Encoding) {
        assert_eq!(decode(bytes), (expected.into(), encoding), "{bytes:x?}");
    }

    #[track_caller]
    fn check_coded(text: &str, codec: &'static encoding_rs::Encoding, encoding: Encoding) {
        let (bytes, _, failed) = codec.encode(text);
        assert!(!failed, "{text} has no form in {codec:?}");
        check(&bytes, text, encoding);
    }

    #[test]
    fn sure_encodings_are_read() {
        check(b"", "", Encoding::Utf8);
        check("é漢".as_bytes(), "é漢", Encoding::Utf8);
        for text in [
            "Anmeldung von Jürgen Müller fehlgeschlagen: Kennwort ungültig",
            "Échec de l’authentification de l’utilisateur Hélène",
            "Usuario o contraseña no válidos en la sesión de Iñaki",
            "user=müller action=login",
        ] {
            check_coded(text, WINDOWS_1252, Encoding::Windows1252);
        }
        for text in [
            "ユーザー admin のログインに失敗しました",
            "2026-11-23 10:00:00 エラー: ファイルが見つかりません",
        ] {
            check_coded(text, SHIFT_JIS, Encoding::ShiftJis);
        }
        for text in ["用户登录失败，密码错误，请重新输入", "2026-11-23 系统服务已经启动 nginx"]
        {
            check_coded(text, GBK, Encoding::Gbk);
        }
        let wide: Vec<u8> = "An event\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        check(&wide, "An event\r\n", Encoding::Utf16Le);
        check(&wide[..wide.len() - 1], "An event\r", Encoding::Utf16Le);
        let wide: Vec<u8> = "Ereignis für".encode_utf16().flat_map(u16::to_be_bytes).collect();
        check(&wide, "Ereignis für", Encoding::Utf16Be);
    }

    #[test]
    fn what_is_unsure_stays_unknown() {
        // UTF-8 that was cut, random bytes, Russian, Korean, one lone byte of nothing.
        check(&"déjà vu é".as_bytes()[..11], "déjà vu \u{fffd}", Encoding::Unknown);
        for bytes in [&b"\xff\xfe\xfd\x80"[..], b"a\x81b", b"\xc0\xaf..\xc0\xaf", b"\x90\x90\x90"] {
            assert_eq!(decode(bytes).1, Encoding::Unknown, "{bytes:x?}");
        }
        for (text, codec) in [
            ("Ошибка входа пользователя", encoding_rs::WINDOWS_1251),
            ("사용자 로그인 실패 비밀번호 오류", encoding_rs::EUC_KR),
        ] {
            assert_eq!(decode(&codec.encode(text).0).1, Encoding::Unknown, "{text}");
        }
        // Zeros, but no UTF-16.
        for text in ["a\0\0\0\0\0\0\0\0\0", "ab\0cdefghij", "\0\0\0\0\0\0\0\0"] {
            check(text.as_bytes(), text, Encoding::Utf8);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_text(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let (text, encoding) = decode(&bytes);
            match encoding {
                Encoding::Utf8 => prop_assert_eq!(text.as_bytes(), &bytes[..]),
                Encoding::Unknown => prop_assert_eq!(text, String::from_utf8_lossy(&bytes)),
                _ => prop_assert!(!text.contains(char::REPLACEMENT_CHARACTER)),
            }
        }
    }
}
