//! JSON objects that are not one a line: the elements of an array, or objects spread over lines.
//!
//! Only brackets and strings are followed; whether an object is sound is for the parser to say.
//! Text between objects that is neither blank, comma nor bracket is a record too: nothing is lost.

use super::PIECE_BYTES_MAX;

/// Cuts bytes into the outermost objects.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// The unfinished object or text.
    rest: Vec<u8>,
    /// Open objects and arrays inside the record.
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Objects {
    pub(super) fn feed(&mut self, bytes: &[u8], emit: &mut dyn FnMut(&[u8])) {
        let mut start = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if self.step(*byte) {
                self.take(&bytes[start..=at], emit);
                start = at + 1;
            }
        }
        self.keep(&bytes[start..], emit);
    }

    /// Follows one byte; true when a record ends with it.
    fn step(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                // A stray quote between objects must not swallow what follows.
                b'\n' if self.depth == 0 => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' => self.depth += 1,
            b'[' if self.depth > 0 => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                return self.depth == 0;
            }
            // Outside of objects: the brackets of the array itself, and what parts elements.
            b'[' | b']' | b',' | b'\n' => return self.depth == 0,
            _ => {}
        }
        false
    }

    fn keep(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(&[u8])) {
        while self.rest.len() + bytes.len() > PIECE_BYTES_MAX {
            let (now, later) = bytes.split_at(PIECE_BYTES_MAX - self.rest.len());
            self.rest.extend_from_slice(now);
            emit(&self.rest);
            self.rest.clear();
            bytes = later;
        }
        self.rest.extend_from_slice(bytes);
    }

    fn take(&mut self, bytes: &[u8], emit: &mut dyn FnMut(&[u8])) {
        if self.rest.is_empty() && bytes.len() <= PIECE_BYTES_MAX {
            return clean(bytes, emit);
        }
        self.keep(bytes, emit);
        clean(&self.rest, emit);
        self.rest.clear();
    }

    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(&[u8])) {
        clean(&self.rest, emit);
        *self = Self::default();
    }
}

/// Gives out the record without the commas, brackets and blanks around it.
fn clean(record: &[u8], emit: &mut dyn FnMut(&[u8])) {
    let mut record = record.trim_ascii();
    while let [b',' | b'[' | b']', rest @ ..] = record {
        record = rest.trim_ascii_start();
    }
    if !record.ends_with(b"}") {
        while let [rest @ .., b',' | b'[' | b']'] = record {
            record = rest.trim_ascii_end();
        }
    }
    if !record.is_empty() {
        emit(record);
    }
}
