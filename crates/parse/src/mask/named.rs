//! Values whose name says that they are secret: `password=`, `"client_secret":`, `--api-key `,
//! `<password>`, `Authorization:`, in plain text, JSON (also inside of a JSON string), URLs, XML.
//!
//! How much a value must look like a secret depends on its name:
//!
//! | name ends in | value |
//! |---|---|
//! | `password`, `passwd`, `pwd`, `passphrase`, `_pass` | any; in prose, with digits or signs |
//! | `secret` | six bytes, two kinds of letters, digits and signs |
//! | `token`, `api_key`, `access_key`, `credential`, `sig` | a random one |
//!
//! Words that stand for nothing, such as `null`, `***` or `${VAR}`, stay.

use std::ops::Range;

use super::shape::{run, starts_word};
use super::{Find, Kind};

/// Longest name that is looked at, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Bytes of a value that decide whether it is a secret.
const LOOK_BYTES: usize = 256;
/// Blanks between a name, its separator and its value.
const BLANKS_MAX: usize = 4;
/// A random value has at least so many bytes and bits of entropy a byte. Sixteen random
/// hexadecimal digits have 3.1 bits or so, words of English joined by dashes as much, so digits
/// must be among the letters too.
const RANDOM_BYTES_MIN: usize = 16;
const RANDOM_BITS_MIN: f64 = 3.0;
const SECRET_BYTES_MIN: usize = 6;
/// Longest text of an XML element that is taken for a value, in bytes.
const XML_BYTES_MAX: usize = 4096;
/// Shortest credentials after a scheme such as `Basic`.
const CREDENTIALS_BYTES_MIN: usize = 6;

/// Parts of names, as they are written in small letters, in capitals and within camelCase.
const NEEDLES: &[&str] = &[
    "pass",
    "Pass",
    "PASS",
    "pwd",
    "Pwd",
    "PWD",
    "ecret",
    "ECRET",
    "oken",
    "OKEN",
    "key",
    "Key",
    "KEY",
    "redential",
    "REDENTIAL",
    "sig=",
];
const AUTHORIZATION: &[&str] = &["uthorization", "UTHORIZATION"];
/// Schemes whose credentials are secret by themselves; those of others are signatures.
const SCHEMES: &[&str] =
    &["basic", "bearer", "token", "apikey", "api-key", "key", "negotiate", "ntlm", "splunk"];
/// Values that say nothing, in small letters.
const NOTHING: &[&str] = &[
    "null",
    "(null)",
    "none",
    "nil",
    "true",
    "false",
    "undefined",
    "yes",
    "no",
    "empty",
    "redacted",
    "masked",
    "hidden",
    "filtered",
    "n/a",
];

pub(super) fn needles() -> impl Iterator<Item = (&'static [u8], Find)> {
    let names = NEEDLES.iter().map(|needle| (needle.as_bytes(), Find::Name));
    let headers = AUTHORIZATION.iter().map(|needle| (needle.as_bytes(), Find::Authorization));
    names.chain(headers).chain([(&b"earer "[..], Find::Bearer)])
}

/// What a name promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    Password,
    Secret,
    Random,
}

/// The promise of a name that is in small letters without `_`, `-` and `.`.
fn promise(name: &[u8], original: &[u8]) -> Option<Promise> {
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix.as_bytes()));
    let pass = |suffix: &[u8]| original.ends_with(suffix);
    if ends(&["password", "passwd", "passwort", "passphrase", "pwd"])
        || name == b"pass"
        || [&b"_pass"[..], b"_PASS", b"-pass", b".pass", b"Pass"].into_iter().any(pass)
    {
        return Some(Promise::Password);
    }
    if ends(&["secret"]) {
        return Some(Promise::Secret);
    }
    let random = ends(&["token", "credential", "credentials"])
        || name == b"sig"
        || ["api", "access", "secret", "private", "account", "shared", "auth", "signing", "master"]
            .iter()
            .any(|word| name.strip_suffix(b"key").is_some_and(|n| n.ends_with(word.as_bytes())));
    random.then_some(Promise::Random)
}

/// Where a value lies, and how it is written.
struct Written {
    value: Range<usize>,
    quoted: bool,
    /// After a colon and a blank, without quotes: perhaps a sentence.
    prose: bool,
}

/// The secret whose name the needle at `needle` is a part of.
pub(super) fn find(text: &[u8], needle: Range<usize>) -> Option<(Range<usize>, Kind)> {
    let name = name(text, &needle)?;
    let original = &text[name.clone()];
    let small = original.iter().filter(|b| !matches!(b, b'_' | b'-' | b'.'));
    let small: Vec<u8> = small.map(u8::to_ascii_lowercase).collect();
    let promise = promise(&small, original)?;
    let written = written(text, &name)?;
    let value = &text[written.value.clone()];
    let secret = !is_nothing(value)
        && match promise {
            Promise::Password => is_password(value, &small, &written),
            Promise::Secret => value.len() >= SECRET_BYTES_MIN && classes(value) >= 2,
            Promise::Random => is_random(value),
        };
    let Range { start, mut end } = written.value;
    if secret && !written.quoted && end - start == LOOK_BYTES {
        end += bare(&text[end..], false);
    }
    secret.then_some((start..end, Kind::Secret))
}

/// The word around a needle; `None` if it is too long or goes on after the needle with more than
/// the end of a name.
fn name(text: &[u8], needle: &Range<usize>) -> Option<Range<usize>> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    // `sig=` is found with its separator.
    let stop = needle.end - usize::from(text[needle.end - 1] == b'=');
    let tail = &text[stop..text.len().min(stop + NAME_BYTES_MAX)];
    let end = stop + run(tail, fits);
    let look = text[..needle.start].iter().rev().take(NAME_BYTES_MAX);
    let mut start = needle.start - look.take_while(|b| fits(**b)).count();
    if text[..start].ends_with(b"\\") && start < needle.start {
        // The letter of an escape, as in `\npassword=`.
        start += usize::from(matches!(text[start], b'n' | b'r' | b't'));
    }
    (end - start <= NAME_BYTES_MAX).then_some(start..end)
}

/// The value after a name.
fn written(text: &[u8], name: &Range<usize>) -> Option<Written> {
    let mut at = name.end;
    let closing = quote(&text[at..]);
    at += closing.len();
    let before = blanks(&text[at..]);
    at += before;
    let option = || text[name.clone()].starts_with(b"-") || text[..name.start].ends_with(b"-");
    let separator = match text[at..] {
        [b'=', b'>', ..] | [b':', b'=', ..] => 2,
        [b'=' | b':', ..] => 1,
        // `<password>`, `<Data Name="password">`.
        [b'>', ..] if !closing.is_empty() || text[..name.start].ends_with(b"<") => 1,
        [b'%', b'3', b'D' | b'd', ..] => 3,
        [b'\\', b'u', b'0', b'0', b'3', b'd' | b'D', ..] => 6,
        // `--password VALUE`.
        _ if before > 0 && closing.is_empty() && option() => 0,
        _ => return None,
    };
    let is_colon = text[at..].starts_with(b":");
    let is_xml = text[at..].starts_with(b">");
    at += separator;
    let after = blanks(&text[at..]);
    // `password= user=ann` has no password.
    if separator == 1 && !is_colon && after > 0 && before == 0 {
        return None;
    }
    at += after;
    let is_object = text.starts_with(b"{");
    let opening = match quote(&text[at..]) {
        // In a JSON string this is its end: quotes inside would be escaped.
        b"\"" if is_object && closing != b"\"" => &[],
        quote => quote,
    };
    at += opening.len();
    let rest = &text[at..];
    let xml = || memchr::memchr(b'<', &rest[..rest.len().min(XML_BYTES_MAX)]);
    let mut length = match opening {
        [] => xml().filter(|_| is_xml).unwrap_or_else(|| {
            // So much decides; what is a secret is followed to its end.
            bare(&rest[..rest.len().min(LOOK_BYTES)], !closing.is_empty())
        }),
        quote => quoted(rest, quote),
    };
    if is_object && opening != b"\"" {
        length = quoted(&rest[..length], b"\"");
    }
    let prose = is_colon && after > 0 && closing.is_empty() && opening.is_empty();
    Some(Written { value: at..at + length, quoted: !opening.is_empty(), prose })
}

fn blanks(text: &[u8]) -> usize {
    run(&text[..text.len().min(BLANKS_MAX)], |b| b == b' ' || b == b'\t')
}

/// A quote with the backslashes before it; empty if there is none.
fn quote(text: &[u8]) -> &[u8] {
    let slashes = run(&text[..text.len().min(BLANKS_MAX)], |b| b == b'\\');
    match text.get(slashes) {
        Some(b'"' | b'\'') => &text[..=slashes],
        _ => &[],
    }
}

/// Bytes until the quote that closes; all that is left if none does.
fn quoted(text: &[u8], quote: &[u8]) -> usize {
    let (Some(mark), slashes) = (quote.last(), quote.len() - 1) else { return 0 };
    for at in memchr::memchr_iter(*mark, text) {
        let before = text[..at].iter().rev().take_while(|b| **b == b'\\').count();
        // More backslashes than the opening quote has are part of the value.
        if before <= slashes || (slashes == 0 && before % 2 == 0) {
            return at - before.min(slashes);
        }
    }
    text.len()
}

/// Bytes of a value without quotes.
fn bare(text: &[u8], is_json: bool) -> usize {
    run(text, |b| match b {
        b'"' | b'\'' | b'&' | b';' | b',' | b'<' | b'>' | b'\\' => false,
        b'}' | b']' => !is_json,
        _ => !b.is_ascii_whitespace() && !b.is_ascii_control(),
    })
}

fn is_nothing(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let inner = value.strip_prefix(b"[").or(value.strip_prefix(b"<")).unwrap_or(value);
    let inner = inner.strip_suffix(b"]").or(inner.strip_suffix(b">")).unwrap_or(inner);
    let variable = matches!(value, [b'$', ..] | [b'%', b'%' | b's' | b'v' | b'(', ..] | [b'{', ..]);
    let word = || NOTHING.iter().any(|nothing| inner.eq_ignore_ascii_case(nothing.as_bytes()));
    let filler = || value.iter().all(|b| matches!(b, b'*' | b'.' | b'-' | b'x' | b'X' | b'#'));
    variable || filler() || word()
}

fn is_password(value: &[u8], name: &[u8], written: &Written) -> bool {
    // Shells write their working directory as PWD.
    let is_path = matches!(value, [b'/' | b'~' | b'\\' | b'.', ..] | [_, b':', b'\\' | b'/', ..]);
    if name.ends_with(b"pwd") && is_path {
        return false;
    }
    let looks_made = || classes(value) >= 2 && value.len() >= SECRET_BYTES_MIN;
    written.quoted || !written.prose || (looks_made() && !value.ends_with(b":"))
}

/// How many of: small letters and one capital in front; capitals; digits; signs.
fn classes(value: &[u8]) -> usize {
    let value = &value[..value.len().min(LOOK_BYTES)];
    let value = value.strip_suffix(b".").unwrap_or(value);
    let tail = value.get(1..).unwrap_or(&[]);
    let is_sign =
        |b: &u8| !b.is_ascii_alphanumeric() && !matches!(b, b'/' | b'_' | b'-' | b'.' | b' ');
    [
        value.iter().any(u8::is_ascii_lowercase),
        tail.iter().any(u8::is_ascii_uppercase),
        value.iter().any(u8::is_ascii_digit),
        value.iter().any(is_sign),
    ]
    .into_iter()
    .filter(|is_there| *is_there)
    .count()
}

/// A value that nobody thought of: long, digits among letters, and high in entropy.
fn is_random(value: &[u8]) -> bool {
    let value = &value[..value.len().min(LOOK_BYTES)];
    let fits = |b: &u8| b.is_ascii_alphanumeric() || b"+/=_-.~%:".contains(b);
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = value.iter().filter(|b| b.is_ascii_alphabetic()).count();
    value.len() >= RANDOM_BYTES_MIN
        && value.iter().all(fits)
        && digits >= 2
        && letters >= 4
        && value.first() != Some(&b'/')
        && bits(value) >= RANDOM_BITS_MIN
}

/// Shannon's entropy of the bytes, in bits a byte.
fn bits(value: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in value {
        counts[usize::from(*byte)] += 1;
    }
    let whole = value.len() as f64;
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / whole);
    -shares.map(|share| share * share.log2()).sum::<f64>()
}

/// The credentials of an `Authorization` header.
pub(super) fn authorization(text: &[u8], needle: Range<usize>) -> Option<(Range<usize>, Kind)> {
    let name = name(text, &needle)?;
    if !text[name.clone()].to_ascii_lowercase().ends_with(b"authorization") {
        return None;
    }
    let mut at = name.end;
    at += quote(&text[at..]).len();
    at += blanks(&text[at..]);
    at += match text[at..] {
        [b'=' | b':', ..] => 1,
        [b'%', b'3', _, ..] => 3,
        _ => return None,
    };
    // A list, as proxies write headers: `["Basic ..."]`.
    at += run(&text[at..text.len().min(at + BLANKS_MAX)], |b| b == b' ' || b == b'[');
    at += quote(&text[at..]).len();
    let scheme = run(&text[at..text.len().min(at + NAME_BYTES_MAX)], |b| {
        b.is_ascii_alphanumeric() || b == b'-'
    });
    let known = SCHEMES.iter().any(|s| text[at..at + scheme].eq_ignore_ascii_case(s.as_bytes()));
    let gap = blanks(&text[at + scheme..]).max(run(&text[at + scheme..], |b| b == b'+').min(1));
    let start = if known && gap > 0 { at + scheme + gap } else { at };
    let length = run(&text[start..text.len().min(start + LOOK_BYTES)], is_credential);
    let value = &text[start..start + length];
    let secret = match start > at {
        true => length >= CREDENTIALS_BYTES_MIN && !is_nothing(value),
        // What a blank follows is a scheme itself.
        false => is_random(value) && text.get(start + length) != Some(&b' '),
    };
    // So much decides; what is a secret is followed to its end.
    let end = start + length;
    secret.then(|| (start..end + run(&text[end..], is_credential), Kind::Token))
}

/// What follows `Bearer ` at `at`, wherever that stands.
pub(super) fn bearer(text: &[u8], at: usize) -> Option<(Range<usize>, Kind)> {
    let before = &text[..at - b"earer ".len()];
    if !before.ends_with(b"B") && !before.ends_with(b"b") || !starts_word(text, before.len() - 1) {
        return None;
    }
    let length = run(&text[at..], is_credential);
    is_random(&text[at..at + length]).then_some((at..at + length, Kind::Token))
}

/// The `token68` of RFC 9110.
fn is_credential(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}
