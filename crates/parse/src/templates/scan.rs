//! One pass over a message: words, slots, and the signature of what is not a slot.
//!
//! Bytes fall into classes by one table. Bytes that stop a chunk (spaces, brackets, quotes, `=`,
//! `,`) belong to no item; what lies between two items is their glue and is static. A chunk of
//! plain letters is a word at once; only chunks with digits or inner punctuation are looked at
//! closer, in `chunk`.

use super::SlotKind;
use super::chunk;
use super::hash::{hash, mix};

/// Items of one message; what follows them is one slot of text.
pub(super) const ITEMS_MAX: usize = 128;
/// Bytes of one message that are looked at; what follows them is one slot of text.
pub(super) const BYTES_MAX: usize = 8 << 10;

/// Ends a chunk.
pub(super) const STOP: u8 = 1;
/// `0` to `9`.
pub(super) const DIGIT: u8 = 2;
/// Letters, `_`, `$`, and every byte that is not ASCII.
pub(super) const LETTER: u8 = 4;
/// `.`
pub(super) const DOT: u8 = 8;
/// `:`
pub(super) const COLON: u8 = 16;
/// `/` and `\`
pub(super) const SLASH: u8 = 32;
/// `@`
pub(super) const AT: u8 = 64;
/// Other punctuation inside words: `-`, `+`, `#`, ...
pub(super) const INNER: u8 = 128;
/// A chunk with any of these is looked at closer.
const CLOSER: u8 = DIGIT | DOT | COLON | SLASH | AT;

pub(super) static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [LETTER; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' => LETTER,
            b'.' => DOT,
            b':' => COLON,
            b'/' | b'\\' => SLASH,
            b'@' => AT,
            b'-' | b'+' | b'#' | b'%' | b'&' | b'~' | b'*' | b'^' => INNER,
            _ => STOP,
        };
        byte += 1;
    }
    table
}

/// A word or a slot of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// First byte.
    pub(super) start: u32,
    /// One past the last byte.
    pub(super) end: u32,
    /// What kind of slot; a word has none.
    pub(super) kind: Option<SlotKind>,
    /// Hash of a word's bytes; the same for every slot.
    pub(super) hash: u64,
}

impl Item {
    pub(super) fn bytes<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// What one pass found; the memory is used again for the next message.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    /// Words and slots in order.
    pub(super) items: Vec<Item>,
    /// Sum of a hash of each item and its place.
    pub(super) sum: u64,
    /// Hash of the glue, and so of the number of items.
    pub(super) shape: u64,
    /// Hash of the kinds of the slots in order.
    pub(super) kinds: u64,
    seed: u64,
}

/// The hash that stands for any slot. The kind is no part of it: `port 22` and `port ssh2x1` are
/// the same template to a reader.
pub(super) const SLOT: u64 = 0x51_07;

/// The hash of glue that is nothing but space.
const SPACE: u64 = 1;

/// What an item with this hash adds to the sum at this place.
#[inline(always)]
pub(super) fn at_place(seed: u64, place: usize, hash: u64) -> u64 {
    mix(hash, seed ^ (place as u64 + 1).wrapping_mul(0xd6e8_feb8_6659_fd93))
}

impl Scan {
    pub(super) fn new(seed: u64) -> Self {
        Self { items: Vec::with_capacity(ITEMS_MAX), sum: 0, shape: 0, kinds: 0, seed }
    }

    /// Key of the message's form and of the kinds of its slots.
    #[inline]
    pub(super) fn signature(&self) -> u64 {
        mix(mix(self.shape, self.sum), self.kinds)
    }

    /// Scans a message.
    pub(super) fn run(&mut self, message: &str) {
        self.items.clear();
        (self.sum, self.shape, self.kinds) = (0, self.seed, 0);
        let bytes = message.as_bytes();
        let cut = cut(bytes);
        let mut pass = Pass {
            text: &bytes[..cut],
            whole: bytes.len(),
            scan: self,
            done: 0,
            expects_user: false,
            full: false,
        };
        pass.run();
        if !pass.full && cut < bytes.len() {
            pass.push(Some(SlotKind::Text), cut, bytes.len());
        }
        pass.finish();
    }
}

/// Where to stop in a long message: after a space, if there is one.
fn cut(bytes: &[u8]) -> usize {
    if bytes.len() <= BYTES_MAX {
        return bytes.len();
    }
    match memchr::memrchr(b' ', &bytes[..BYTES_MAX]) {
        Some(space) => space + 1,
        None => (0..=BYTES_MAX).rev().find(|at| bytes[*at] & 0xc0 != 0x80).unwrap_or(0),
    }
}

/// A pass under way.
pub(super) struct Pass<'a> {
    /// What is looked at.
    pub(super) text: &'a [u8],
    /// Bytes of the whole message.
    whole: usize,
    scan: &'a mut Scan,
    /// End of the last item.
    done: usize,
    /// The words so far announce the name of a user.
    expects_user: bool,
    /// No more items are taken.
    full: bool,
}

impl Pass<'_> {
    fn run(&mut self) {
        let text = self.text;
        let mut at = 0;
        while at < text.len() && !self.full {
            if CLASS[usize::from(text[at])] & STOP != 0 {
                at = match text[at] {
                    b'"' => self.quote(at),
                    b'(' | b'[' => self.bracket(at),
                    _ => at + 1,
                };
                continue;
            }
            let start = at;
            let mut flags = 0;
            while at < text.len() {
                let class = CLASS[usize::from(text[at])];
                if class & STOP != 0 && !apostrophe(text, at) {
                    break;
                }
                flags |= class;
                at += 1;
            }
            if flags & CLOSER == 0 {
                // Bare punctuation is glue.
                if flags & LETTER != 0 {
                    at = self.plain(start, at);
                }
            } else if flags == DIGIT {
                at = self.digits(start, at);
            } else {
                at = chunk::closer(self, start, at, flags);
            }
        }
    }

    /// `="..."` is one value; other quotes are glue. Gives where to go on.
    fn quote(&mut self, at: usize) -> usize {
        let inside = at + 1;
        if at == 0 || self.text[at - 1] != b'=' {
            return inside;
        }
        match memchr::memchr(b'"', &self.text[inside..]) {
            Some(length) if length > 0 => {
                self.push(Some(SlotKind::Text), inside, inside + length);
                inside + length
            }
            _ => inside,
        }
    }

    /// An empty pair of brackets holds a value that is empty this time: `from 10.0.0.1 ()`. After a
    /// letter it is a call, `init()`. Gives where to go on.
    #[inline]
    fn bracket(&mut self, at: usize) -> usize {
        let inside = at + 1;
        let empty = matches!(self.text.get(inside), Some(b')' | b']'));
        if empty && (at == 0 || matches!(self.text[at - 1], b' ' | b'=')) {
            self.push(Some(SlotKind::Text), inside, inside);
        }
        inside
    }

    fn plain(&mut self, start: usize, end: usize) -> usize {
        if end - start == 3
            && let Some(end) = chunk::calendar(self.text, start)
        {
            self.push(Some(SlotKind::Time), start, end);
            return end;
        }
        self.word(start, end);
        end
    }

    fn digits(&mut self, start: usize, end: usize) -> usize {
        let end = chunk::grouped(self.text, start, end);
        self.push(Some(SlotKind::Number), start, end);
        end
    }

    /// Takes a word, which may stand where a value does.
    pub(super) fn word(&mut self, start: usize, end: usize) {
        let word = &self.text[start..end];
        if self.expects_user && start - self.done <= 2 && !chunk::no_user(word) {
            return self.push(Some(SlotKind::User), start, end);
        }
        if matches!(word.len(), 3 | 4) && self.announces(word, start) {
            self.push(None, start, end);
            self.expects_user = true;
            return;
        }
        let before = start.checked_sub(1).map_or(b' ', |at| self.text[at]);
        if (before == b'=' || before == b':' || before == b' ')
            && let Some(kind) = self.value(word, start, before)
        {
            return self.push(Some(kind), start, end);
        }
        self.push(None, start, end);
    }

    /// Whether a user's name follows `word`: `for user`, `invalid user`, `password for`.
    #[inline]
    fn announces(&self, word: &[u8], start: usize) -> bool {
        let before = || self.scan.items.last().map_or(&b""[..], |item| item.bytes(self.text));
        match word {
            b"user" => start > self.done && chunk::before_user(before()),
            b"for" => chunk::credential(before()),
            _ => false,
        }
    }

    /// The kind of a word that its key makes a value: `user=root`, `enabled: true`.
    #[inline]
    fn value(&self, word: &[u8], start: usize, before: u8) -> Option<SlotKind> {
        if before == b'=' && start - self.done == 1 {
            let key = self.scan.items.last()?;
            if let Some(kind) = chunk::entity_key(key.bytes(self.text)) {
                return Some(kind);
            }
        }
        if !matches!(word.len(), 4 | 5) || !chunk::truth(word) {
            return None;
        }
        let glue = self.text[self.done..start].trim_ascii();
        let is = || self.scan.items.last().is_some_and(|item| item.bytes(self.text) == b"is");
        let says = matches!(glue, b"=" | b":") || glue.is_empty() && is();
        says.then_some(SlotKind::Text)
    }

    /// Takes an item. What would be one too many becomes a slot that ends with the message.
    #[inline]
    pub(super) fn push(&mut self, kind: Option<SlotKind>, start: usize, end: usize) {
        if self.full || self.continues(kind, start, end) {
            return;
        }
        self.expects_user = false;
        let (mut kind, mut end) = (kind, end);
        if self.scan.items.len() + 1 == ITEMS_MAX {
            (kind, end, self.full) = (Some(SlotKind::Text), self.whole, true);
        }
        self.glue(start);
        let hash = match kind {
            None => hash(self.scan.seed, &self.text[start..end]),
            Some(kind) => {
                self.scan.kinds = mix(self.scan.kinds, kind as u64 + 1);
                SLOT
            }
        };
        let place = self.scan.items.len();
        self.scan.sum = self.scan.sum.wrapping_add(at_place(self.scan.seed, place, hash));
        self.scan.items.push(Item { start: start as u32, end: end as u32, kind, hash });
        self.done = end;
    }

    /// Whether a slot is part of the one before it: names one after the other are a list, and a
    /// list is one slot however long it is; values that touch are one, `db.example:9000`.
    #[inline]
    fn continues(&mut self, kind: Option<SlotKind>, start: usize, end: usize) -> bool {
        use SlotKind::{Host, Id, Ip, Path, Url};
        let Some(kind) = kind else { return false };
        let Some(last) = self.scan.items.last_mut() else { return false };
        let Some(known) = last.kind else { return false };
        let continues = match &self.text[self.done..start] {
            b" " | b"," | b", " => known == kind && matches!(kind, Host | Id | Ip | Path | Url),
            b":" | b"/" | b"@" => true,
            _ => false,
        };
        if continues {
            last.end = end as u32;
            self.done = end;
        }
        continues
    }

    #[inline]
    fn glue(&mut self, start: usize) {
        let glue = &self.text[self.done.min(start)..start];
        self.scan.shape = mix(self.scan.shape, if glue == b" " { SPACE } else { glue_hash(glue) });
    }

    fn finish(&mut self) {
        self.glue(self.text.len());
    }
}

/// Spaces in a row count as one: columns that are lined up vary in them.
fn glue_hash(glue: &[u8]) -> u64 {
    if !glue.is_empty() && glue.iter().all(u8::is_ascii_whitespace) {
        return SPACE;
    }
    let mut state = 2;
    let mut spaces = false;
    for byte in glue {
        let space = byte.is_ascii_whitespace();
        if !(space && spaces) {
            state = mix(state, if space { u64::from(b' ') } else { u64::from(*byte) });
        }
        spaces = space;
    }
    state
}

/// `'` between letters, as in `can't`.
#[inline]
fn apostrophe(text: &[u8], at: usize) -> bool {
    let letter = |at: usize| text.get(at).is_some_and(|byte| byte.is_ascii_alphabetic());
    text[at] == b'\'' && at > 0 && letter(at - 1) && letter(at + 1)
}
