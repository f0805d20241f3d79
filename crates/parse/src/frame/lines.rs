//! Lines: ended by LF or CR LF; empty ones are no records, and those of a trace go on with the
//! record above them.

use pugmark_event::Records;

use super::PIECE_BYTES_MAX;
use super::trace::Traces;

/// Ends are kept for lines of about this many bytes at first.
const LINE_BYTES_GUESS: usize = 128;

/// Cuts bytes into lines, keeping the unfinished one between calls.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line that has no end yet.
    rest: Vec<u8>,
    /// The record that the next line may go on with.
    open: Vec<u8>,
    traces: Traces,
}

impl Lines {
    pub(super) fn feed(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(&[u8])) {
        while let Some(at) = memchr::memchr(b'\n', bytes) {
            let (line, after) = (&bytes[..at], &bytes[at + 1..]);
            if self.rest.is_empty() {
                self.line(line, emit);
            } else {
                self.keep(line, emit);
                let line = std::mem::take(&mut self.rest);
                self.line(&line, emit);
            }
            bytes = after;
        }
        self.keep(bytes, emit);
    }

    /// Keeps the start of a line, giving out whole pieces of one that is too long.
    fn keep(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(&[u8])) {
        while self.rest.len() + bytes.len() > PIECE_BYTES_MAX {
            self.give_out(emit);
            let (now, later) = bytes.split_at(PIECE_BYTES_MAX - self.rest.len());
            self.rest.extend_from_slice(now);
            emit(&self.rest);
            self.rest.clear();
            bytes = later;
        }
        self.rest.extend_from_slice(bytes);
    }

    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(&[u8])) {
        let line = std::mem::take(&mut self.rest);
        self.line(&line, emit);
        self.give_out(emit);
    }

    /// A whole line: it goes on with the open record, or gives that out and opens the next.
    fn line(&mut self, line: &[u8], emit: &mut dyn FnMut(&[u8])) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return;
        }
        if self.traces.go_on(line) && !self.open.is_empty() {
            self.open.push(b'\n');
            self.open.extend_from_slice(line);
            return;
        }
        self.give_out(emit);
        if line.len() > PIECE_BYTES_MAX {
            return line.chunks(PIECE_BYTES_MAX).for_each(emit);
        }
        self.open.extend_from_slice(line);
    }

    fn give_out(&mut self, emit: &mut dyn FnMut(&[u8])) {
        if !self.open.is_empty() {
            emit(&self.open);
            self.open.clear();
        }
    }
}

/// Cuts a whole body into lines within its own memory: each line moves up to the one before it, and
/// one that goes on with the record above keeps the line end between them.
pub(super) fn in_place(mut bytes: Vec<u8>, mut at: usize) -> Records {
    let mut ends: Vec<u32> = Vec::with_capacity(bytes.len() / LINE_BYTES_GUESS);
    let mut kept = 0;
    let mut traces = Traces::default();
    while at < bytes.len() {
        let line_end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |len| at + len);
        let line = &bytes[at..line_end];
        let mut left = line.strip_suffix(b"\r").unwrap_or(line).len();
        if left > 0 && traces.go_on(&bytes[at..at + left]) && ends.pop().is_some() {
            // The end of the line above made room for it.
            bytes[kept] = b'\n';
            kept += 1;
        }
        bytes.copy_within(at..at + left, kept);
        while left > 0 {
            let piece = left.min(PIECE_BYTES_MAX);
            kept += piece;
            left -= piece;
            ends.push(u32::try_from(kept).expect("a body is cut far below 4 GiB"));
        }
        at = line_end + 1;
    }
    bytes.truncate(kept);
    Records::from_parts(bytes, ends).expect("each line ends after the one before it")
}
