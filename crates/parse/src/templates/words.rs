//! When words at one place are values: what a word looks like where it stands, and how many
//! different ones it takes.

use super::scan::Item;

/// What a word looks like, from itself and its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// A name that stands before `=`: never a value.
    Key,
    /// It stands or is written as values do: a second one at its place makes the place a slot.
    Value,
    /// Any other word.
    Word,
}

/// As many words as a slot at the same place counts for: numbers there say that it is a value.
pub(super) const SLOT_WEIGHT: u32 = 3;

/// What the word at `place` looks like.
pub(super) fn look(text: &[u8], items: &[Item], place: usize) -> Look {
    let item = &items[place];
    let (start, end) = (item.start as usize, item.end as usize);
    let before = start.checked_sub(1).and_then(|at| text.get(at)).copied();
    let after = text.get(end).copied();
    if after == Some(b'=') {
        return Look::Key;
    }
    let quoted = matches!((before, after), (Some(b'"'), Some(b'"')) | (Some(b'\''), Some(b'\'')));
    let word = item.bytes(text);
    let digit = word.iter().any(u8::is_ascii_digit);
    let path = word.iter().filter(|byte| **byte == b'.').count() > 1;
    if before == Some(b'=') || quoted || digit || path { Look::Value } else { Look::Word }
}

/// The number of words that templates share outside the places of `apart`.
pub(super) fn shared(text: &[u8], items: &[Item], apart: u128) -> u32 {
    let counts = |(place, item): &(usize, &Item)| {
        apart >> place & 1 == 0 && item.bytes(text).iter().any(u8::is_ascii_alphabetic)
    };
    items.iter().enumerate().filter(counts).count() as u32
}

/// How many different words make `place` a slot, when the templates share that many others.
pub(super) fn enough(text: &[u8], items: &[Item], place: usize, shared: u32) -> u32 {
    let item = &items[place];
    // A label names what follows: `status: ...`.
    let label = text.get(item.end as usize) == Some(&b':');
    let base = match shared {
        0 => return u32::MAX,
        1 => 16,
        2 => 10,
        3 => 6,
        _ => 4,
    };
    if label { base * 2 } else { base }
}
