//! UTF-16 with a byte order mark, as Windows tools export it, to UTF-8.

use std::io::{self, Read};

/// Which byte comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

/// The byte order that a mark at the start announces.
pub(super) fn order(head: &[u8]) -> Option<Order> {
    match head {
        [0xff, 0xfe, ..] => Some(Order::Little),
        [0xfe, 0xff, ..] => Some(Order::Big),
        _ => None,
    }
}

/// Decodes while reading; a lone surrogate or a half unit becomes U+FFFD.
pub(super) struct Decoder<R> {
    reader: R,
    order: Order,
    /// Bytes that do not make a whole character yet.
    pending: Vec<u8>,
    decoded: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R: Read> Decoder<R> {
    pub(super) fn new(reader: R, order: Order) -> Self {
        Self { reader, order, pending: Vec::new(), decoded: Vec::new(), at: 0, ended: false }
    }

    fn refill(&mut self) -> io::Result<()> {
        let mut bytes = [0; 32 << 10];
        let count = self.reader.read(&mut bytes)?;
        self.ended = count == 0;
        self.pending.extend_from_slice(&bytes[..count]);
        let units: Vec<u16> =
            self.pending.chunks_exact(2).map(|b| self.unit([b[0], b[1]])).collect();
        // The first half of a surrogate pair waits for the second.
        let waits = !self.ended && units.last().is_some_and(|u| (0xd800..0xdc00).contains(u));
        let whole = units.len() - usize::from(waits);
        self.decoded.clear();
        self.at = 0;
        let mut utf8 = [0; 4];
        for character in char::decode_utf16(units[..whole].iter().copied()) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            self.decoded.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
        }
        self.pending.drain(..whole * 2);
        if self.ended && !self.pending.is_empty() {
            self.pending.clear();
            self.decoded.extend_from_slice("\u{fffd}".as_bytes());
        }
        Ok(())
    }

    fn unit(&self, bytes: [u8; 2]) -> u16 {
        match self.order {
            Order::Little => u16::from_le_bytes(bytes),
            Order::Big => u16::from_be_bytes(bytes),
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.decoded.len() {
            if self.ended {
                return Ok(0);
            }
            self.refill()?;
        }
        let count = buffer.len().min(self.decoded.len() - self.at);
        buffer[..count].copy_from_slice(&self.decoded[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
