//! Chunks that a look at their byte classes does not settle: addresses, paths, times, numbers with
//! units, ids, and words with punctuation inside.
//!
//! The rules are about how values are written, never about one product. A chunk is taken apart at
//! `:` and `..`; each piece is then a word, a slot, or letters and numbers joined by `-`, `.`, `#`
//! (`worker-12`: a word, then a number).

use super::SlotKind;
use super::scan::{AT, CLASS, COLON, DIGIT, DOT, INNER, LETTER, Pass, SLASH, STOP};

/// A run of this many hexadecimal digits is a number, not a word.
const HEX_RUN: usize = 8;
/// Letters of a unit right after a number: `12ms`, `3.5GB`.
const UNIT_LETTERS: usize = 3;

#[inline]
fn class(byte: u8) -> u8 {
    CLASS[usize::from(byte)]
}

fn is(byte: Option<&u8>, classes: u8) -> bool {
    byte.is_some_and(|byte| class(*byte) & classes != 0)
}

/// Takes the items of a chunk; `flags` are the classes of its bytes. Gives where to go on, which is
/// past the chunk when a value reaches further.
pub(super) fn closer(pass: &mut Pass<'_>, start: usize, end: usize, flags: u8) -> usize {
    if flags & COLON != 0
        && flags & SLASH != 0
        && let Some((from, to)) = url(pass.text, start, end)
    {
        pieces(pass, start, from);
        pass.push(Some(SlotKind::Url), from, to);
        return to;
    }
    let text = pass.text;
    let start = start + lead(&text[start..end]);
    let tail = text[start..end].iter().rev().take_while(|b| matches!(b, b'.' | b':')).count();
    let trimmed = end - tail;
    if start >= trimmed {
        return end;
    }
    if flags & DIGIT != 0
        && text[start].is_ascii_digit()
        && let Some(to) = stamp(text, start)
        && to >= trimmed
    {
        pass.push(Some(SlotKind::Time), start, to);
        return to.max(end);
    }
    if flags & COLON != 0
        && let Some(kind) = colons(&text[start..trimmed])
    {
        pass.push(Some(kind), start, trimmed);
        return end;
    }
    if let Some(kind) = joined(&text[start..trimmed]) {
        pass.push(Some(kind), start, trimmed);
        return end;
    }
    if text.get(start + 1) == Some(&b':') && is(text.get(start + 2), SLASH) {
        pass.push(Some(SlotKind::Path), start, trimmed);
        return end;
    }
    if text[start] == b'/' && text.get(end) == Some(&b'?') && is(text.get(end + 1), LETTER | DIGIT)
    {
        // The path of a request, with its query.
        let to = url_end(text, end + 1);
        pass.push(Some(SlotKind::Url), start, to);
        return to;
    }
    pieces(pass, start, trimmed);
    end
}

/// Punctuation before the first item: all but a sign and the start of a path.
fn lead(chunk: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = chunk.get(at) {
        let next = chunk.get(at + 1);
        let starts = match byte {
            b'-' | b'+' => is(next, DIGIT),
            b'/' | b'\\' | b'~' => is(next, DIGIT | LETTER | SLASH | DOT),
            b':' => next == Some(&b':') && chunk.get(at + 2).is_some_and(u8::is_ascii_hexdigit),
            b'.' if at > 0 && chunk[at - 1] == b'.' => false,
            b'.' => is(next, SLASH | DIGIT) || next == Some(&b'.') && is(chunk.get(at + 2), SLASH),
            _ => class(*byte) & (DIGIT | LETTER) != 0,
        };
        if starts {
            break;
        }
        at += 1;
    }
    at
}

/// Takes a chunk apart at `:` and `..`.
fn pieces(pass: &mut Pass<'_>, start: usize, end: usize) {
    let text = pass.text;
    let mut from = start;
    while from < end {
        let address = address(&text[from..end]);
        if address > 0 {
            pass.push(Some(SlotKind::Ip), from, from + address);
            from += address;
        }
        let rest = &text[from..end];
        let length = piece_length(rest);
        if length > 0 {
            piece(pass, from, from + length);
        }
        from += length;
        from += text[from..end].iter().take_while(|b| matches!(b, b':' | b'.')).count();
    }
}

/// Bytes until `:` or `..`. A drive letter and an IPv4 address after `/` were seen to before.
fn piece_length(rest: &[u8]) -> usize {
    let ends = |at: usize| {
        rest[at] == b':'
            || rest[at] == b'.' && rest.get(at + 1) == Some(&b'.') && !is(rest.get(at + 2), SLASH)
    };
    (0..rest.len()).find(|at| ends(*at)).unwrap_or(rest.len())
}

fn piece(pass: &mut Pass<'_>, start: usize, end: usize) {
    let text = pass.text;
    let start = start + lead(&text[start..end]);
    let end = end - text[start.min(end)..end].iter().rev().take_while(|b| **b == b'.').count();
    if start >= end {
        return;
    }
    let bytes = &text[start..end];
    let flags = bytes.iter().fold(0, |flags, byte| flags | class(*byte));
    if flags & (LETTER | DIGIT) == 0 {
        return;
    }
    if flags & SLASH != 0 {
        return slashes(pass, start, end);
    }
    if flags & AT != 0 {
        return at_sign(pass, start, end);
    }
    if flags & DOT != 0 && host(bytes) {
        return pass.push(Some(SlotKind::Host), start, end);
    }
    if flags & DIGIT == 0 {
        return pass.word(start, end);
    }
    match whole(bytes) {
        Some(kind) => pass.push(Some(kind), start, end),
        None => segments(pass, start, end),
    }
}

/// A path, or two pieces with a slash between them: `tree/torus`, `PS/2`.
fn slashes(pass: &mut Pass<'_>, start: usize, end: usize) {
    let text = pass.text;
    let bytes = &text[start..end];
    if bytes[0] == b'/' && address(&bytes[1..]) == bytes.len() - 1 {
        return pass.push(Some(SlotKind::Ip), start + 1, end);
    }
    let count = bytes.iter().filter(|byte| is(Some(byte), SLASH)).count();
    if count > 1 && bytes.iter().all(|byte| is(Some(byte), SLASH | DIGIT)) {
        return pass.push(Some(SlotKind::Time), start, end);
    }
    let rooted = matches!(bytes[0], b'/' | b'\\' | b'~' | b'.');
    if rooted || count > 1 {
        let named = bytes.iter().any(|byte| is(Some(byte), LETTER));
        let kind = if named { SlotKind::Path } else { SlotKind::Id };
        return pass.push(Some(kind), start, end);
    }
    if !bytes.iter().any(u8::is_ascii_digit) {
        return pass.word(start, end);
    }
    let Some(slash) = bytes.iter().position(|byte| is(Some(byte), SLASH)) else { return };
    pieces(pass, start, start + slash);
    pieces(pass, start + slash + 1, end);
}

/// `name@host.example` is one value, as is what has more signs; of `Class@1f2e3d` the number is;
/// else two pieces.
fn at_sign(pass: &mut Pass<'_>, start: usize, end: usize) {
    let bytes = &pass.text[start..end];
    let Some(at) = bytes.iter().position(|byte| *byte == b'@') else { return };
    let (left, right) = (&bytes[..at], &bytes[at + 1..]);
    if right.contains(&b'@') {
        return pass.push(Some(SlotKind::Id), start, end);
    }
    if !left.is_empty() && right.contains(&b'.') && right.iter().any(u8::is_ascii_alphabetic) {
        return pass.push(Some(SlotKind::User), start, end);
    }
    piece(pass, start, start + at);
    let hex = right.len() > 4 && right.iter().all(u8::is_ascii_hexdigit);
    if hex && right.iter().any(u8::is_ascii_digit) {
        pass.push(Some(SlotKind::Hex), start + at + 1, end);
    } else {
        piece(pass, start + at + 1, end);
    }
}

/// Kinds that a piece has as a whole.
fn whole(bytes: &[u8]) -> Option<SlotKind> {
    if let [b'0', b'x' | b'X', digits @ ..] = bytes
        && !digits.is_empty()
        && digits.iter().all(u8::is_ascii_hexdigit)
    {
        return Some(SlotKind::Hex);
    }
    if number(bytes) {
        return Some(SlotKind::Number);
    }
    if bytes.len() >= HEX_RUN && bytes.iter().all(u8::is_ascii_hexdigit) {
        return Some(SlotKind::Hex);
    }
    if uuid(bytes) {
        return Some(SlotKind::Id);
    }
    // v1.2.3
    match bytes {
        [b'v' | b'V', digit, ..] if digit.is_ascii_digit() && bytes.contains(&b'.') => {
            number(&bytes[1..]).then_some(SlotKind::Number)
        }
        _ => None,
    }
}

/// Digits, joined by `.`, `-`, `_`, `x` and the like, with a sign before and a unit after.
fn number(bytes: &[u8]) -> bool {
    let digits = bytes.strip_prefix(b"-").or_else(|| bytes.strip_prefix(b"+")).unwrap_or(bytes);
    let mut at = 0;
    let mut after_digit = false;
    while let Some(byte) = digits.get(at) {
        let joins = matches!(byte, b'.' | b'-' | b'_' | b'x' | b'~' | b'+');
        if !byte.is_ascii_digit() && !(joins && (after_digit || *byte == b'.')) {
            break;
        }
        after_digit = byte.is_ascii_digit();
        at += 1;
    }
    at > 0 && digits[..at].iter().any(u8::is_ascii_digit) && unit(&digits[at..])
}

fn unit(rest: &[u8]) -> bool {
    rest.is_empty()
        || rest == b"%"
        || rest.len() <= UNIT_LETTERS && rest.iter().all(u8::is_ascii_alphabetic)
}

fn uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// How one part of a piece between `-`, `.`, `#` and the like is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Segment {
    Empty,
    Letters,
    Digits,
    /// Letters and one digit, as in the names of things: `L3`, `ssh2`, `http2`.
    Named,
    /// Letters and digits, as in an id.
    Mixed,
}

fn segment(bytes: &[u8]) -> Segment {
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    if bytes.is_empty() {
        return Segment::Empty;
    }
    if digits == 0 {
        return Segment::Letters;
    }
    if bytes[0].is_ascii_digit() {
        return if number(bytes) { Segment::Digits } else { Segment::Mixed };
    }
    let place = bytes.iter().position(u8::is_ascii_digit).unwrap_or(0);
    let named = digits == 1 && place > 0 && bytes[place - 1].is_ascii_alphabetic();
    if named { Segment::Named } else { Segment::Mixed }
}

/// The next segment from `at`: where it ends. `_-1` stays together: a sign after an underscore.
fn segment_end(bytes: &[u8], at: usize) -> usize {
    let ends = |at: usize| {
        let joins = is(bytes.get(at), DOT | INNER | AT);
        joins && !(bytes[at] == b'-' && at > 0 && bytes[at - 1] == b'_')
    };
    (at..bytes.len()).find(|at| ends(*at)).unwrap_or(bytes.len())
}

/// A piece of letters and digits: a word with a digit in it, an id, or words and numbers.
fn segments(pass: &mut Pass<'_>, start: usize, end: usize) {
    let bytes = &pass.text[start..end];
    // A key and a class keep their names: `fpr29=...`, `Brcm43xx::power`.
    let rest = &pass.text[end..];
    if (rest.starts_with(b"=") || rest.starts_with(b"::")) && bytes[0].is_ascii_alphabetic() {
        return pass.push(None, start, end);
    }
    let (mut named, mut digits, mut letters, mut mixed) = (0, 0, 0, 0);
    let mut at = 0;
    while at < bytes.len() {
        let to = segment_end(bytes, at);
        match segment(&bytes[at..to]) {
            Segment::Named => named += 1,
            Segment::Digits => digits += 1,
            Segment::Letters => letters += 1,
            Segment::Mixed => mixed += 1,
            Segment::Empty => {}
        }
        at = to + 1;
    }
    if mixed > 0 || named > 1 || named > 0 && digits > 0 {
        pass.push(Some(SlotKind::Id), start, end);
    } else if digits == 0 {
        pass.word(start, end);
    } else if letters == 0 && !bytes.contains(&b'#') {
        pass.push(Some(SlotKind::Number), start, end);
    } else {
        words_and_numbers(pass, start, end);
    }
}

/// `pool-1-thread-2`, `core.2275`, `CPU#0`: each run of letters is a word, each run of digits a
/// number.
fn words_and_numbers(pass: &mut Pass<'_>, start: usize, end: usize) {
    let bytes = &pass.text[start..end];
    let mut at = 0;
    let mut run: Option<(usize, usize)> = None;
    while at < bytes.len() {
        let to = segment_end(bytes, at);
        match segment(&bytes[at..to]) {
            Segment::Digits => {
                // `#` parts fields: `1#2` is two numbers.
                if let Some((from, to)) = run.take_if(|_| bytes[at - 1] == b'#') {
                    pass.push(Some(SlotKind::Number), start + from, start + to);
                }
                run = Some((run.map_or(at, |(from, _)| from), to));
            }
            Segment::Empty => {}
            _ => {
                if let Some((from, to)) = run.take() {
                    pass.push(Some(SlotKind::Number), start + from, start + to);
                }
                pass.push(None, start + at, start + to);
            }
        }
        at = to + 1;
    }
    if let Some((from, to)) = run {
        pass.push(Some(SlotKind::Number), start + from, start + to);
    }
}

/// Digits that go on after a comma: `1,234,567`, `12:00:01,250` has its own rule. Gives the end.
pub(super) fn grouped(text: &[u8], start: usize, end: usize) -> usize {
    let mut end = end;
    while end - start > 0
        && (end - start) % 4 <= 3
        && end - start <= 15
        && text.get(end) == Some(&b',')
        && (end - start <= 3 || text[end - 4] == b',')
        && text.get(end + 1..end + 4).is_some_and(|three| three.iter().all(u8::is_ascii_digit))
        && !is(text.get(end + 4), DIGIT | LETTER)
    {
        end += 4;
    }
    end
}

/// Length of an IPv4 address with an optional port at the start of `bytes`; 0 when there is none.
fn address(bytes: &[u8]) -> usize {
    let mut at = 0;
    for part in 0..4 {
        let digits = bytes[at..].iter().take(4).take_while(|b| b.is_ascii_digit()).count();
        let value = bytes[at..at + digits].iter().fold(0, |v, b| v * 10 + u32::from(b - b'0'));
        if digits == 0 || digits > 3 || value > 255 {
            return 0;
        }
        at += digits;
        if part < 3 {
            if bytes.get(at) != Some(&b'.') {
                return 0;
            }
            at += 1;
        }
    }
    if is(bytes.get(at), LETTER | DIGIT | INNER | AT)
        || bytes.get(at) == Some(&b'.') && is(bytes.get(at + 1), DIGIT | LETTER)
    {
        return 0;
    }
    let port = bytes.get(at + 1..).unwrap_or_default();
    let digits = port.iter().take(6).take_while(|b| b.is_ascii_digit()).count();
    let whole = bytes.get(at) == Some(&b':') && (1..=5).contains(&digits);
    if whole && !is(port.get(digits), DIGIT | LETTER) { at + 1 + digits } else { at }
}

/// An IPv6 address or a hardware address: groups of hexadecimal digits between colons.
fn colons(bytes: &[u8]) -> Option<SlotKind> {
    let (mut groups, mut pairs, mut empty) = (0, 0, 0);
    for group in bytes.split(|byte| *byte == b':') {
        let dotted = group.contains(&b'.') && address(group) == group.len();
        if !dotted && (group.len() > 4 || !group.iter().all(u8::is_ascii_hexdigit)) {
            return None;
        }
        groups += 1;
        pairs += usize::from(group.len() == 2);
        empty += usize::from(group.is_empty());
    }
    if groups >= 6 && groups == pairs {
        return Some(SlotKind::Id);
    }
    let short = (3..=8).contains(&groups) && (1..=3).contains(&empty) && bytes.len() > 2;
    let double = bytes.windows(2).any(|two| two == b"::");
    (groups == 8 && empty == 0 || short && double).then_some(SlotKind::Ip)
}

/// Parts with colons and slashes between them that are one value: `00:17`, `db-4:9000`,
/// `db-4/10.0.0.1:9000`.
fn joined(bytes: &[u8]) -> Option<SlotKind> {
    let port = bytes.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let name = bytes.len() - port;
    if port >= 2 && bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b':') {
        return Some(SlotKind::Time);
    }
    if let Some(slash) = bytes.iter().position(|byte| *byte == b'/') {
        let named = slash > 0 && is_name(&bytes[..slash]);
        let address = address(&bytes[slash + 1..]);
        return (named && address > 0 && slash + 1 + address == bytes.len())
            .then_some(SlotKind::Host);
    }
    if !(2..=5).contains(&port) || name < 2 || bytes[name - 1] != b':' {
        return None;
    }
    let name = &bytes[..name - 1];
    // `Main.java:17` is no host.
    let certain = name == b"localhost" || host(name) || name.iter().any(u8::is_ascii_digit);
    (is_name(name) && name.iter().any(u8::is_ascii_alphabetic) && certain && address(name) == 0)
        .then_some(SlotKind::Host)
}

/// Letters, digits, `-` and `.`, with a letter or digit first.
fn is_name(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte))
}

/// A URL inside the chunk: from its scheme to where it must end, which may be past the chunk.
fn url(text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let mark = start + text[start..end].windows(3).position(|three| three == b"://")?;
    let scheme = text[start..mark].iter().rev().take_while(|b| b.is_ascii_alphanumeric()).count();
    if scheme == 0 {
        return None;
    }
    Some((mark - scheme, url_end(text, mark + 3)))
}

/// Where the rest of a URL from `start` ends: also past `=`, `?` and the like.
fn url_end(text: &[u8], start: usize) -> usize {
    let goes_on = |at: &usize| match text[*at] {
        b'=' | b'?' | b';' | b'!' => true,
        b',' => text.get(at + 1).is_some_and(|next| !next.is_ascii_whitespace()),
        byte => class(byte) & STOP == 0,
    };
    let mut to = (start..text.len()).find(|at| !goes_on(at)).unwrap_or(text.len());
    while to > start && matches!(text[to - 1], b'.' | b':' | b',' | b';' | b'?' | b'!') {
        to -= 1;
    }
    to
}

/// Ends of top-level domains that are no ends of files or classes.
const DOMAINS: &[&[u8]] = &[
    b"com",
    b"net",
    b"org",
    b"edu",
    b"gov",
    b"mil",
    b"int",
    b"info",
    b"biz",
    b"local",
    b"lan",
    b"internal",
    b"arpa",
    b"example",
    b"localdomain",
    b"home",
    b"corp",
    b"cloud",
];

/// Two letters that end files rather than hosts.
const EXTENSIONS: &[&[u8]] =
    &[b"so", b"py", b"pl", b"sh", b"cc", b"rs", b"md", b"ps", b"gz", b"db", b"rb", b"ko", b"js"];

/// A host name: labels of letters, digits and `-`, the last one a domain as they are in use.
fn host(bytes: &[u8]) -> bool {
    let (mut labels, mut first, mut last) = (0, &b""[..], &b""[..]);
    for label in bytes.split(|byte| *byte == b'.') {
        if label.is_empty() || !label.iter().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b))
        {
            return false;
        }
        if labels == 0 {
            first = label;
        }
        (labels, last) = (labels + 1, label);
    }
    // Package names are domains backwards.
    if labels < 2 || DOMAINS.contains(&first) || first.contains(&b'_') {
        return false;
    }
    let country = last.len() == 2
        && last.iter().all(u8::is_ascii_lowercase)
        && labels > 2
        && !EXTENSIONS.contains(&last);
    DOMAINS.contains(&last) || country
}

/// Two digits from `at`.
fn two(text: &[u8], at: usize) -> bool {
    is(text.get(at), DIGIT) && is(text.get(at + 1), DIGIT)
}

/// The end of a date, a time of day, or both, that starts at `start`.
fn stamp(text: &[u8], start: usize) -> Option<usize> {
    if let Some(end) = clock(text, start) {
        return Some(end);
    }
    let mark = |at: usize| text.get(at).filter(|byte| b"-/.".contains(byte));
    let digits = text[start..].iter().take(5).take_while(|b| b.is_ascii_digit()).count();
    let first = mark(start + digits)?;
    let end = match digits {
        4 if two(text, start + 5) && mark(start + 7) == Some(first) && two(text, start + 8) => {
            start + 10
        }
        2 if *first != b'.' && two(text, start + 3) && mark(start + 5) == Some(first) => {
            let year = text[start + 6..].iter().take(5).take_while(|b| b.is_ascii_digit()).count();
            if year != 2 && year != 4 {
                return None;
            }
            start + 6 + year
        }
        _ => return None,
    };
    if is(text.get(end), DIGIT | LETTER) && text[end] != b'T' {
        return None;
    }
    let joined = matches!(text.get(end), Some(b'T' | b' ' | b'-' | b'_' | b':'));
    Some(joined.then(|| clock(text, end + 1)).flatten().unwrap_or(end))
}

/// The end of `12:00:01`, with a fraction and a zone if they are there.
fn clock(text: &[u8], start: usize) -> Option<usize> {
    let hours = if two(text, start) { 2 } else { usize::from(is(text.get(start), DIGIT)) };
    let mark = start + hours;
    if hours == 0 || text.get(mark) != Some(&b':') || !two(text, mark + 1) {
        return None;
    }
    if text.get(mark + 3) != Some(&b':') || !two(text, mark + 4) {
        return None;
    }
    let mut end = mark + 6;
    if matches!(text.get(end), Some(b'.' | b',')) && is(text.get(end + 1), DIGIT) {
        end += 1 + text[end + 1..].iter().take(9).take_while(|b| b.is_ascii_digit()).count();
    }
    match text.get(end) {
        Some(b'Z') => end += 1,
        Some(b'+' | b'-') if two(text, end + 1) => {
            end += 3;
            if text.get(end) == Some(&b':') && two(text, end + 1) {
                end += 3;
            } else if two(text, end) {
                end += 2;
            }
        }
        _ => {}
    }
    (!is(text.get(end), DIGIT | LETTER | COLON)).then_some(end)
}

const DAYS: &[&[u8]] = &[b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const MONTHS: &[&[u8]] = &[
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// The end of a date that is written with the name of its month: `Fri Jul 01 08:16:53 PDT 2005`.
pub(super) fn calendar(text: &[u8], start: usize) -> Option<usize> {
    let word = text.get(start..start + 3)?;
    if !word[0].is_ascii_uppercase() {
        return None;
    }
    let mut at = start;
    if DAYS.contains(&word) {
        at = space(text, at + 3 + usize::from(text.get(at + 3) == Some(&b',')))?;
    }
    if !MONTHS.contains(&text.get(at..at + 3)?) {
        return None;
    }
    at = space(text, at + 3)?;
    let day = text[at..].iter().take(3).take_while(|b| b.is_ascii_digit()).count();
    if day == 0 || day > 2 || is(text.get(at + day), LETTER | COLON) {
        return None;
    }
    at += day;
    if let Some(end) = space(text, at).and_then(|next| clock(text, next)) {
        at = end;
    }
    Some(zone_and_year(text, at))
}

fn zone_and_year(text: &[u8], at: usize) -> usize {
    let mut end = at;
    if let Some(next) = space(text, end) {
        let zone = text[next..].iter().take(5).take_while(|b| b.is_ascii_uppercase()).count();
        if (3..=4).contains(&zone) && space(text, next + zone).is_some_and(|y| year(text, y)) {
            end = next + zone;
        }
    }
    match space(text, end) {
        Some(next) if year(text, next) => next + 4,
        _ => at,
    }
}

fn year(text: &[u8], at: usize) -> bool {
    matches!(text.get(at), Some(b'1' | b'2'))
        && two(text, at)
        && two(text, at + 2)
        && !is(text.get(at + 4), DIGIT | LETTER | COLON)
}

/// What follows one or two spaces at `at`.
fn space(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at..at + 2)? {
        b"  " => Some(at + 2),
        [b' ', _] => Some(at + 1),
        _ => None,
    }
}

/// `true`, `false` and `null`, however they are written.
pub(super) fn truth(word: &[u8]) -> bool {
    [&b"true"[..], b"false", b"null"].iter().any(|truth| word.eq_ignore_ascii_case(truth))
}

/// Words before `user` that say that a name follows: `session opened for user root`.
pub(super) fn before_user(word: &[u8]) -> bool {
    matches!(word, b"for" | b"invalid" | b"illegal" | b"unknown" | b"by")
}

/// Words before `for` that say that a user follows: `Failed password for root`.
pub(super) fn credential(word: &[u8]) -> bool {
    matches!(
        word,
        b"password" | b"publickey" | b"login" | b"logon" | b"authentication" | b"failures"
    )
}

/// Words that follow where a user's name would and are none.
pub(super) fn no_user(word: &[u8]) -> bool {
    matches!(
        word,
        b"invalid" | b"illegal" | b"user" | b"unknown" | b"request" | b"name" | b"the" | b"this"
    )
}

/// The kind that a key gives its value, whatever the value looks like: `user=root`.
pub(super) fn entity_key(key: &[u8]) -> Option<SlotKind> {
    match key {
        b"user" | b"ruser" | b"username" | b"acct" | b"login" | b"logname" => Some(SlotKind::User),
        b"rhost" | b"host" | b"hostname" => Some(SlotKind::Host),
        _ => None,
    }
}
