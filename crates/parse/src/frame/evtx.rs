//! EVTX: a header block and chunks of 64 KiB, each of which can be read alone. So a file is read as
//! a stream, and a chunk that is corrupt costs only itself.
//!
//! Every record becomes one JSON object; that text is the raw record from here on.

use std::collections::VecDeque;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use evtx::{EvtxChunkData, ParserSettings};
use pugmark_event::Records;

use super::{FrameError, add, failure};

/// The first bytes of an EVTX file.
pub(super) const MAGIC: &[u8] = b"ElfFile\0";
const HEADER_BYTES: u64 = 4096;
const CHUNK_BYTES: usize = 64 << 10;

/// Blocks of the records of one file.
pub(super) struct Blocks<R> {
    reader: R,
    settings: Arc<ParserSettings>,
    /// Chunks begun.
    chunks: u64,
    open: Records,
    ready: VecDeque<Result<Records, FrameError>>,
    problems: u64,
    first_problem: Option<String>,
    done: bool,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(reader: R) -> Self {
        let settings = ParserSettings::new().num_threads(1).indent(false);
        Self {
            reader,
            settings: Arc::new(settings),
            chunks: 0,
            open: Records::new(),
            ready: VecDeque::new(),
            problems: 0,
            first_problem: None,
            done: false,
        }
    }

    /// Reads one chunk; a last one that is cut short is filled with zeros and read as far as it
    /// goes.
    fn step(&mut self) {
        if self.chunks == 0 {
            match std::io::copy(&mut (&mut self.reader).take(HEADER_BYTES), &mut std::io::sink()) {
                Ok(HEADER_BYTES) => {}
                Ok(length) => self.problem(0, &format!("the file ends after {length} bytes")),
                Err(error) => return self.close(Some(failure(0, error))),
            }
        }
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = (&mut self.reader).take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
        let offset = HEADER_BYTES + self.chunks * CHUNK_BYTES as u64;
        self.chunks += 1;
        if chunk.iter().any(|byte| *byte != 0) {
            if chunk.len() < CHUNK_BYTES {
                let length = chunk.len();
                self.problem(offset, &format!("the file ends {length} bytes into this chunk"));
                chunk.resize(CHUNK_BYTES, 0);
            }
            self.chunk(chunk, offset);
        }
        match read {
            Err(error) => self.close(Some(failure(offset, error))),
            Ok(count) if count < CHUNK_BYTES => self.close(None),
            Ok(_) => {}
        }
    }

    fn chunk(&mut self, bytes: Vec<u8>, offset: u64) {
        let settings = self.settings.clone();
        // Whatever a hostile file makes the reader do, it costs one chunk.
        let rendered = catch_unwind(AssertUnwindSafe(|| render(bytes, settings)));
        let Ok((records, problems)) = rendered else {
            return self.problem(offset, "the reader gave up on this chunk");
        };
        for record in records {
            add(&record, &mut self.open, &mut self.ready);
        }
        for problem in problems {
            self.problem(offset, &problem);
        }
    }

    fn problem(&mut self, offset: u64, why: &str) {
        self.problems += 1;
        self.first_problem.get_or_insert_with(|| format!("in the chunk at byte {offset}: {why}"));
    }

    fn close(&mut self, error: Option<FrameError>) {
        self.done = true;
        if !self.open.is_empty() {
            self.ready.push_back(Ok(std::mem::take(&mut self.open)));
        }
        let corrupt =
            self.first_problem.take().map(|first| FrameError::Evtx { count: self.problems, first });
        self.ready.extend(error.or(corrupt).map(Err));
    }
}

/// The records of one chunk as JSON, and what was wrong with the others.
fn render(bytes: Vec<u8>, settings: Arc<ParserSettings>) -> (Vec<Vec<u8>>, Vec<String>) {
    let (mut records, mut problems) = (Vec::new(), Vec::new());
    let mut data = match EvtxChunkData::new(bytes, false) {
        Ok(data) => data,
        Err(error) => return (records, vec![error.to_string()]),
    };
    let mut chunk = match data.parse(settings) {
        Ok(chunk) => chunk,
        Err(error) => return (records, vec![error.to_string()]),
    };
    for record in chunk.iter() {
        match record.and_then(|record| record.into_json_bytes()) {
            Ok(json) => records.push(json.data),
            Err(error) => problems.push(error.to_string()),
        }
    }
    (records, problems)
}

impl<R: Read> Iterator for Blocks<R> {
    type Item = Result<Records, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.done {
            self.step();
        }
        self.ready.pop_front()
    }
}
