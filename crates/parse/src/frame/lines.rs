//! Lines: ended by LF or CR LF; empty ones are no records.

use super::PIECE_BYTES_MAX;

/// Cuts bytes into lines, keeping the unfinished one between calls.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    pub(super) fn feed(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(&[u8])) {
        while let Some(at) = memchr::memchr(b'\n', bytes) {
            let (line, after) = (&bytes[..at], &bytes[at + 1..]);
            if self.rest.is_empty() {
                pieces(line, emit);
            } else {
                self.keep(line, emit);
                self.finish(emit);
            }
            bytes = after;
        }
        self.keep(bytes, emit);
    }

    /// Keeps the start of a line, giving out whole pieces of one that is too long.
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

    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(&[u8])) {
        pieces(&self.rest, emit);
        self.rest = Vec::new();
    }
}

fn pieces(line: &[u8], emit: &mut dyn FnMut(&[u8])) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.chunks(PIECE_BYTES_MAX).for_each(emit);
}
