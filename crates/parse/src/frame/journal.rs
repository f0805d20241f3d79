//! The systemd journal's export format: entries of `NAME=value` lines, parted by empty lines. A
//! value with line ends is the name alone, its length in 8 bytes (little endian), and its bytes.
//!
//! Source: systemd's Journal Export Formats.

use super::PIECE_BYTES_MAX;

/// What an entry begins with.
pub(super) const MAGIC: &[u8] = b"__CURSOR=";
/// Longest name of a field, in bytes; systemd's own limit is 64.
const NAME_BYTES_MAX: usize = 256;

/// Cuts bytes into entries.
#[derive(Debug, Default)]
pub(super) struct Entries {
    rest: Vec<u8>,
    /// How much of `rest` was followed already: whole fields of the open entry.
    followed: usize,
}

/// What stands next in the bytes.
enum Next {
    /// A whole field of so many bytes.
    Field(usize),
    /// The empty line at the end of an entry.
    End,
    /// More bytes are needed.
    More,
}

impl Entries {
    pub(super) fn feed(&mut self, bytes: &[u8], emit: &mut dyn FnMut(&[u8])) {
        self.rest.extend_from_slice(bytes);
        let mut start = 0;
        loop {
            match next(&self.rest[self.followed..]) {
                Next::Field(length) => self.followed += length,
                Next::End => {
                    give_out(&self.rest[start..self.followed], emit);
                    self.followed += 1;
                    start = self.followed;
                }
                Next::More => break,
            }
        }
        self.rest.drain(..start);
        self.followed -= start;
        // A length that is a lie must not gather the whole input.
        while self.rest.len() > PIECE_BYTES_MAX {
            let piece: Vec<u8> = self.rest.drain(..PIECE_BYTES_MAX).collect();
            self.followed = 0;
            emit(&piece);
        }
    }

    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(&[u8])) {
        give_out(&self.rest, emit);
        *self = Self::default();
    }
}

fn give_out(entry: &[u8], emit: &mut dyn FnMut(&[u8])) {
    let entry = entry.trim_ascii_end();
    if !entry.is_empty() {
        emit(entry);
    }
}

fn next(bytes: &[u8]) -> Next {
    let Some(end) = memchr::memchr(b'\n', bytes) else { return Next::More };
    let line = &bytes[..end];
    if line.is_empty() {
        return Next::End;
    }
    let is_name = line.len() <= NAME_BYTES_MAX
        && line.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_');
    if !is_name {
        return Next::Field(end + 1);
    }
    let Some(length) = bytes.get(end + 1..end + 9) else { return Next::More };
    let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let whole = (end + 9).saturating_add(length);
    match whole < bytes.len() {
        true => Next::Field(whole + 1),
        false => Next::More,
    }
}
