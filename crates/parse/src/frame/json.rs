//! JSON objects that are not one a line: the elements of an array, or objects spread over lines.
//!
//! A cloud puts its records into a list in an object, `{"Records": [...]}`: that list is such an
//! array.
//!
//! Only brackets and strings are followed; whether an object is sound is for the parser to say.
//! Text between objects that is neither blank, comma nor bracket is a record too: nothing is lost.

use super::PIECE_BYTES_MAX;
use crate::formats::closing_quote;

/// Names of lists that clouds put their records into.
const LISTS: [&str; 9] =
    ["Records", "records", "value", "events", "logs", "items", "entries", "findings", "Findings"];
/// A list in an object begins within this many bytes.
const LIST_BYTES_MAX: usize = 1024;

/// Where the first record of a list in an object stands: behind `{"Records": [`. Names of OData
/// (`@odata.context`) may stand before the list.
pub(super) fn list_at(text: &[u8]) -> Option<usize> {
    let head = &text[..text.len().min(LIST_BYTES_MAX)];
    let mut rest = head.strip_prefix(b"{")?.trim_ascii_start();
    loop {
        let (name, after) = string(rest)?;
        let after = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        if LISTS.iter().any(|list| list.as_bytes() == name) {
            let inner = after.strip_prefix(b"[")?.trim_ascii_start();
            return matches!(inner.first()?, b'{' | b']').then(|| head.len() - inner.len());
        }
        let (_, after) = string(after).filter(|_| name.starts_with(b"@"))?;
        rest = after.trim_ascii_start().strip_prefix(b",")?.trim_ascii_start();
    }
}

/// What a string says, escapes as they stand, and what follows it.
pub(super) fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"\"")?;
    let end = closing_quote(inner)?;
    Some((&inner[..end], &inner[end + 1..]))
}

/// Cuts bytes into the outermost objects.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// Something was seen: what an object around a list begins with stands at the very start.
    begun: bool,
    /// The unfinished object or text.
    rest: Vec<u8>,
    /// Open objects and arrays inside the record.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The list at the start is open.
    in_list: bool,
    /// It has ended: the objects after it, one a line, hold such lists, too.
    has_lists: bool,
}

impl Objects {
    pub(super) fn feed(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(&[u8])) {
        if !self.begun {
            self.begun = true;
            let text = bytes.trim_ascii_start();
            let list = list_at(text);
            self.in_list = list.is_some();
            bytes = list.map_or(bytes, |at| &text[at..]);
        }
        let mut start = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if self.step(*byte) {
                self.take(&bytes[start..=at], emit);
                start = at + 1;
            }
        }
        self.keep(&bytes[start..], emit);
    }

    /// For the elements of a list behind its bracket.
    pub(super) fn of_list() -> Self {
        Self { begun: true, in_list: true, ..Self::default() }
    }

    /// True until the bracket that ends the list at the start.
    pub(super) fn in_list(&self) -> bool {
        self.in_list
    }

    /// Follows one byte; true when a record ends with it.
    pub(super) fn step(&mut self, byte: u8) -> bool {
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
            b']' if self.in_list => {
                (self.in_list, self.has_lists) = (false, true);
                return true;
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
            return self.give_out(bytes, emit);
        }
        self.keep(bytes, emit);
        self.give_out(&self.rest, emit);
        self.rest.clear();
    }

    fn give_out(&self, record: &[u8], emit: &mut dyn FnMut(&[u8])) {
        // The end of the object before it may stand in front.
        let object = record.trim_ascii_start();
        let object = object.strip_prefix(b"}").unwrap_or(object).trim_ascii_start();
        match list_at(object).filter(|_| self.has_lists) {
            Some(at) => {
                // Lists in it are not followed.
                let mut inner = Self { begun: true, ..Self::default() };
                inner.feed(&object[at..], emit);
                clean(&inner.rest, emit);
            }
            None => clean(record, emit),
        }
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
    // The end of the object around a list.
    if !record.is_empty() && record != b"}" {
        emit(record);
    }
}
