//! Secrets that can be told by how they are written: documented prefixes, JWTs, keys in PEM.
//!
//! The prefixes and lengths are those that their makers document; where lengths have changed, the
//! shortest ever given out counts.

use std::ops::Range;

use super::{Find, Kind};

/// A secret that begins with a prefix.
#[derive(Debug)]
pub(super) struct Shape {
    prefix: &'static str,
    pub(super) kind: Kind,
    /// Bytes after the prefix: at least so many, and at most.
    length: (usize, usize),
    alphabet: Alphabet,
}

#[derive(Debug, Clone, Copy)]
enum Alphabet {
    /// `A-Z2-7`.
    Base32,
    /// `0-9A-Za-z`.
    Alnum,
    /// `0-9A-Za-z_-`.
    Base64Url,
    /// [`Alphabet::Base64Url`] and `.`, `/`, `~`.
    Path,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        match self {
            Alphabet::Base32 => matches!(byte, b'A'..=b'Z' | b'2'..=b'7'),
            Alphabet::Alnum => byte.is_ascii_alphanumeric(),
            Alphabet::Base64Url => is_base64url(byte),
            Alphabet::Path => is_base64url(byte) || matches!(byte, b'.' | b'/' | b'~'),
        }
    }
}

const fn key(prefix: &'static str, min: usize, alphabet: Alphabet) -> Shape {
    Shape { prefix, kind: Kind::Key, length: (min, usize::MAX), alphabet }
}

const fn token(prefix: &'static str, min: usize, alphabet: Alphabet) -> Shape {
    Shape { prefix, kind: Kind::Token, length: (min, usize::MAX), alphabet }
}

const fn aws(prefix: &'static str) -> Shape {
    Shape { prefix, kind: Kind::Key, length: (16, 16), alphabet: Alphabet::Base32 }
}

use Alphabet::{Alnum, Base64Url, Path};

const SHAPES: &[Shape] = &[
    // AWS: ids of access keys (long-term, temporary), bearer tokens, context-specific.
    aws("AKIA"),
    aws("ASIA"),
    aws("ABIA"),
    aws("ACCA"),
    // Google: API keys, OAuth access tokens, client secrets.
    key("AIza", 35, Base64Url),
    token("ya29.", 20, Base64Url),
    key("GOCSPX-", 28, Base64Url),
    // GitHub: personal, OAuth, user-to-server, server-to-server, refresh, fine-grained.
    token("ghp_", 36, Alnum),
    token("gho_", 36, Alnum),
    token("ghu_", 36, Alnum),
    token("ghs_", 36, Path),
    token("ghr_", 36, Alnum),
    token("github_pat_", 22, Base64Url),
    // GitLab: personal, trigger, deploy, runner, job, feed, SCIM, incoming mail, OAuth.
    token("glpat-", 20, Path),
    token("glptt-", 20, Base64Url),
    token("gldt-", 20, Base64Url),
    token("glrt-", 20, Path),
    token("glcbt-", 20, Base64Url),
    token("glft-", 20, Base64Url),
    token("glsoat-", 20, Base64Url),
    token("glimt-", 20, Base64Url),
    token("gloas-", 20, Base64Url),
    // Slack: bots, users, apps and their kind; webhooks.
    token("xoxb-", 20, Base64Url),
    token("xoxp-", 20, Base64Url),
    token("xoxe", 20, Path),
    token("xox", 20, Base64Url),
    token("xapp-", 20, Base64Url),
    token("hooks.slack.com/services/", 20, Path),
    // Stripe: secret and restricted keys, webhook secrets.
    key("sk_live_", 16, Alnum),
    key("sk_test_", 16, Alnum),
    key("rk_live_", 16, Alnum),
    key("rk_test_", 16, Alnum),
    key("whsec_", 24, Alnum),
    // Registries.
    token("npm_", 36, Alnum),
    token("pypi-AgE", 50, Base64Url),
    token("dckr_pat_", 20, Base64Url),
    // Others that are met often.
    key("sk-ant-", 32, Base64Url),
    key("sk-proj-", 32, Base64Url),
    token("hvs.", 24, Base64Url),
    token("dop_v1_", 64, Alnum),
    token("SG.", 60, Path),
    token("shpat_", 32, Alnum),
];

/// A client secret of Azure: three bytes, a digit, `Q~`, and 31 or more.
const AZURE: [Shape; 2] = [key("7Q~", 31, Path), key("8Q~", 31, Path)];
const AZURE_BEFORE: usize = 3;
/// The shortest part of a JWT that is looked at as one.
const JWT_PART_MIN: usize = 10;
const PEM_BEGIN: &[u8] = b"-----BEGIN ";
const PEM_END: &[u8] = b"-----END ";
/// Longest label of a PEM block.
const PEM_LABEL_MAX: usize = 64;
/// Records after the first that may belong to a private key.
const PEM_LINES_MAX: usize = 128;
/// A line of a key has at least this much Base64, its last one apart.
const PEM_LINE_MIN: usize = 16;

pub(super) fn needles() -> impl Iterator<Item = (&'static [u8], Find)> {
    let shapes = SHAPES.iter().chain(&AZURE);
    let shapes = shapes.map(|shape| (shape.prefix.as_bytes(), Find::Shape(shape)));
    shapes.chain([(&b"eyJ"[..], Find::Jwt), (PEM_BEGIN, Find::Pem)])
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

impl Shape {
    /// The secret whose prefix stands at `at`.
    pub(super) fn find(&'static self, text: &[u8], at: usize) -> Option<(Range<usize>, Kind)> {
        let start = match self.prefix.ends_with("Q~") {
            true => at.checked_sub(AZURE_BEFORE)?,
            false => at,
        };
        let after = at + self.prefix.len();
        if !starts_word(text, start) || !text[start..at].iter().all(|b| Path.has(*b)) {
            return None;
        }
        let length = run(&text[after..], |b| self.alphabet.has(b));
        let (min, max) = self.length;
        // Something that goes on in small letters is no key of capital ones.
        let next = text.get(after + length);
        let ends = max == usize::MAX || !next.is_some_and(u8::is_ascii_alphanumeric);
        ((min..=max).contains(&length) && ends).then(|| (start..after + length, self.kind))
    }
}

/// A JSON Web Token: two parts and more, of which the first two are Base64 of `{"`.
pub(super) fn jwt(text: &[u8], at: usize) -> Option<(Range<usize>, Kind)> {
    if !starts_word(text, at) {
        return None;
    }
    let mut end = at;
    let mut parts = 0;
    loop {
        let part = run(&text[end..], is_base64url);
        if parts < 2 && part < JWT_PART_MIN {
            return None;
        }
        end += part;
        parts += 1;
        if parts == 5 || text.get(end) != Some(&b'.') {
            break;
        }
        end += 1;
    }
    (parts >= 2).then_some((at..end, Kind::Token))
}

/// A private key in PEM, from its first dash to its last, or to the end of its string or record.
pub(super) fn pem(text: &[u8], at: usize) -> Option<(Range<usize>, Kind)> {
    let label = &text[at + PEM_BEGIN.len()..];
    let label = &label[..label.len().min(PEM_LABEL_MAX)];
    memchr::memmem::find(label, b"PRIVATE KEY")?;
    let mut text = &text[..memchr::memchr(b'"', &text[at..]).map_or(text.len(), |end| at + end)];
    // A backslash belongs to the quote.
    while let [rest @ .., b'\\'] = text {
        text = rest;
    }
    let end = memchr::memmem::find(&text[at..], PEM_END).and_then(|end| {
        let after = at + end + PEM_END.len();
        Some(after + memchr::memmem::find(&text[after..], b"-----")? + 5)
    });
    Some((at..end.unwrap_or(text.len()), Kind::Key))
}

/// Follows a private key whose lines are records.
#[derive(Debug, Default)]
pub(super) struct PemLines {
    left: usize,
}

impl PemLines {
    /// Tells of a record in which something was found: a key may begin in it.
    pub(super) fn begin(&mut self, record: &[u8]) {
        let last = memchr::memmem::rfind(record, PEM_BEGIN);
        let is_open = |at: &usize| memchr::memmem::find(&record[*at..], PEM_END).is_none();
        if last.filter(is_open).and_then(|at| pem(record, at)).is_some() {
            self.left = PEM_LINES_MAX;
        }
    }

    /// The part of a key that this record holds, if a record before it began one.
    pub(super) fn body(&mut self, record: &[u8]) -> Option<Range<usize>> {
        self.left = self.left.checked_sub(1)?;
        // The key ends here, or something else begins.
        if memchr::memmem::find(record, b"-----").is_some() {
            self.left = 0;
            return None;
        }
        let end = record.trim_ascii_end().len();
        let length = record[..end].iter().rev().take_while(|b| is_base64(**b)).count();
        let is_line = length >= PEM_LINE_MIN || (length > 0 && length == end);
        is_line.then(|| end - length..end)
    }
}

/// How many bytes from the start on fit.
pub(super) fn run(text: &[u8], fits: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|b| fits(**b)).count()
}

/// True where no word goes on: after an escape such as `\n`, `%3D` or `ESC [31m` one begins.
pub(super) fn starts_word(text: &[u8], at: usize) -> bool {
    match text[..at] {
        [] => true,
        [.., last] if !is_base64url(last) => true,
        [.., b'\\', b'n' | b'r' | b't'] => true,
        [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => true,
        [.., b'\\', b'u', b'0', b'0', a, b] => a.is_ascii_hexdigit() && b.is_ascii_hexdigit(),
        [ref before @ .., b'm'] => {
            let colour = before.iter().rev().take(16);
            let count = colour.take_while(|b| b.is_ascii_digit() || **b == b';').count();
            before[..before.len() - count].ends_with(b"[")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_key_are_followed() {
        let mut lines = PemLines::default();
        let mut check = |record: &str, expected: Option<&str>| {
            let found = lines.body(record.as_bytes()).map(|range| &record[range]);
            lines.begin(record.as_bytes());
            assert_eq!(found, expected, "{record}");
        };
        check("MIIEpAIBAAKCAQEA7bq1nGk2mXl5", None);
        check("-----BEGIN RSA PRIVATE KEY-----", None);
        check("MIIEpAIBAAKCAQEA7bq1nGk2mXl5", Some("MIIEpAIBAAKCAQEA7bq1nGk2mXl5"));
        check("app: MIIEpAIBAAKCAQEA7bq1nGk2", Some("MIIEpAIBAAKCAQEA7bq1nGk2"));
        check("a short line", None);
        check("c2hvcnQ=", Some("c2hvcnQ="));
        check("-----END RSA PRIVATE KEY-----", None);
        check("MIIEpAIBAAKCAQEA7bq1nGk2mXl5", None);
        check("-----BEGIN CERTIFICATE-----", None);
        check("MIIEpAIBAAKCAQEA7bq1nGk2mXl5", None);
    }
}
