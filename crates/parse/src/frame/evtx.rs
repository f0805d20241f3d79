//! EVTX: a header block and chunks of 64 KiB, each of which can be read alone. So a file is read as
//! a stream, and a chunk that is corrupt costs only itself. Chunks can also be carved: found by
//! their signature in bytes of any kind.
//!
//! Every record becomes one JSON object; that text is the raw record from here on.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use evtx::{EvtxChunkData, ParserSettings};
use memchr::memmem;
use pugmark_event::Records;

use super::{FrameError, add, failure};

/// The first bytes of an EVTX file.
pub(super) const MAGIC: &[u8] = b"ElfFile\0";
/// The first bytes of a chunk.
const CHUNK_MAGIC: &[u8] = b"ElfChnk\0";
const HEADER_BYTES: u64 = 4096;
const CHUNK_BYTES: usize = 64 << 10;
const CHUNK_HEADER_BYTES: usize = 512;
/// Where a chunk's header says at which byte its records end.
const FREE_SPACE_AT: usize = 48;
/// Where the file's header has its flags, and the one that says that it was not closed.
const FLAGS_AT: usize = 120;
const DIRTY: u8 = 1;
/// Bytes looked through at once when carving.
const WINDOW_BYTES: usize = 1 << 20;

/// Which records of a chunk are wanted beside those that its header counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    /// None.
    Nothing,
    /// Newer ones than the header knows: it was not brought up to date.
    Newer,
    /// All, also what an earlier use of the chunk left behind.
    Everything,
}

/// The records of one file.
pub(super) struct Blocks<R> {
    reader: R,
    beyond: Beyond,
    /// Chunks begun.
    chunks: u64,
    out: Out,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, beyond: Beyond::Nothing, chunks: 0, out: Out::default() }
    }

    /// Reads one chunk; a last one that is cut short is filled with zeros and read as far as it
    /// goes.
    fn step(&mut self) {
        if self.chunks == 0
            && let Err(error) = self.header()
        {
            return self.out.close(Some(failure(0, error)));
        }
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = (&mut self.reader).take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
        let offset = HEADER_BYTES + self.chunks * CHUNK_BYTES as u64;
        self.chunks += 1;
        if chunk.iter().any(|byte| *byte != 0) {
            if chunk.len() < CHUNK_BYTES {
                let length = chunk.len();
                let why = format!("the file ends {length} bytes into this chunk");
                self.out.problem(offset, &why);
                chunk.resize(CHUNK_BYTES, 0);
            }
            self.out.chunk(chunk, offset, self.beyond);
        }
        match read {
            Err(error) => self.out.close(Some(failure(offset, error))),
            Ok(count) if count < CHUNK_BYTES => self.out.close(None),
            Ok(_) => {}
        }
    }

    fn header(&mut self) -> io::Result<()> {
        let mut header = Vec::new();
        (&mut self.reader).take(HEADER_BYTES).read_to_end(&mut header)?;
        if header.len() < HEADER_BYTES as usize {
            self.out.problem(0, &format!("the file ends after {} bytes", header.len()));
        }
        // A log copied while Windows wrote it: the headers of its last chunks lag behind.
        if header.get(FLAGS_AT).is_some_and(|flags| flags & DIRTY != 0) {
            self.beyond = Beyond::Newer;
        }
        Ok(())
    }
}

impl<R: Read> Iterator for Blocks<R> {
    type Item = Result<Records, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.out.is_waiting() {
            self.step();
        }
        self.out.ready.pop_front()
    }
}

/// The records of all chunks in bytes of any kind: a memory dump, unallocated space, a file whose
/// chunks have moved. Also those that an earlier use of a chunk left behind.
pub(super) struct Carved<R> {
    reader: R,
    /// Bytes not looked through yet.
    window: Vec<u8>,
    /// Where in the input the window starts.
    offset: u64,
    ended: bool,
    out: Out,
}

impl<R: Read> Carved<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, window: Vec::new(), offset: 0, ended: false, out: Out::default() }
    }

    /// Reads the next chunk of the window, or fills the window.
    fn step(&mut self) {
        let at = memmem::find(&self.window, CHUNK_MAGIC);
        // A signature may lie across the end of the window.
        let passed = at.unwrap_or((self.window.len() + 1).saturating_sub(CHUNK_MAGIC.len()));
        self.pass(passed);
        if at.is_some() && (self.window.len() >= CHUNK_BYTES || self.ended) {
            let used = self.chunk();
            return self.pass(used);
        }
        if self.ended {
            return self.out.close(None);
        }
        self.fill();
    }

    fn pass(&mut self, bytes: usize) {
        self.window.drain(..bytes);
        self.offset += bytes as u64;
    }

    fn fill(&mut self) {
        let before = self.window.len();
        let room = (WINDOW_BYTES - before.min(CHUNK_BYTES)) as u64;
        match (&mut self.reader).take(room).read_to_end(&mut self.window) {
            Ok(count) => self.ended = (count as u64) < room,
            Err(error) => {
                self.ended = true;
                let read = self.offset + before as u64;
                self.out.error = Some(failure(read, error));
            }
        }
    }

    /// Reads the chunk at the start of the window; returns how many bytes belong to it.
    fn chunk(&mut self) -> usize {
        let length = self.window.len().min(CHUNK_BYTES);
        let mut chunk = self.window[..length].to_vec();
        if length < CHUNK_BYTES || !is_sound(&chunk) {
            // Only a piece of it, and then another begins: no record may come twice.
            let next = memmem::find(&chunk[CHUNK_MAGIC.len()..], CHUNK_MAGIC);
            chunk.truncate(next.map_or(length, |next| next + CHUNK_MAGIC.len()));
        }
        let used = chunk.len();
        chunk.resize(CHUNK_BYTES, 0);
        self.out.chunk(chunk, self.offset, Beyond::Everything);
        used
    }
}

impl<R: Read> Iterator for Carved<R> {
    type Item = Result<Records, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.out.is_waiting() {
            self.step();
        }
        self.out.ready.pop_front()
    }
}

/// True when the checksums of a whole chunk hold.
fn is_sound(chunk: &[u8]) -> bool {
    EvtxChunkData::new(chunk.to_vec(), true).is_ok()
}

/// Records on their way out, and what went wrong.
#[derive(Default)]
struct Out {
    open: Records,
    ready: VecDeque<Result<Records, FrameError>>,
    problems: u64,
    first_problem: Option<String>,
    error: Option<FrameError>,
    done: bool,
}

impl Out {
    /// True while there is nothing to hand out and more may come.
    fn is_waiting(&self) -> bool {
        self.ready.is_empty() && !self.done
    }

    fn chunk(&mut self, bytes: Vec<u8>, offset: u64, beyond: Beyond) {
        // Whatever a hostile file makes the reader do, it costs one chunk.
        let rendered = catch_unwind(AssertUnwindSafe(|| {
            let (mut records, mut problems) = (Vec::new(), Vec::new());
            render(bytes, beyond, &mut records, &mut problems);
            (records, problems)
        }));
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
        self.ready.extend(error.or(self.error.take()).or(corrupt).map(Err));
    }
}

/// The records of one chunk as JSON, and what was wrong with the others. Where the header of the
/// chunk is unusable, its records are looked for one by one.
fn render(
    mut bytes: Vec<u8>,
    beyond: Beyond,
    records: &mut Vec<Vec<u8>>,
    problems: &mut Vec<String>,
) {
    if bytes.starts_with(CHUNK_MAGIC) {
        match walk(bytes, beyond, records, problems) {
            Ok(()) => return,
            Err((error, rest)) => {
                problems.push(error);
                bytes = rest;
            }
        }
    } else {
        problems.push("its header is damaged; records were looked for one by one".to_string());
    }
    clear_header(&mut bytes);
    if let Err((error, _)) = walk(bytes, Beyond::Everything, records, problems) {
        problems.push(error);
    }
}

/// A header that counts no records, so that all of them are beyond it.
fn clear_header(chunk: &mut [u8]) {
    chunk[..CHUNK_HEADER_BYTES].fill(0);
    chunk[..CHUNK_MAGIC.len()].copy_from_slice(CHUNK_MAGIC);
    let start = (CHUNK_HEADER_BYTES as u32).to_le_bytes();
    chunk[FREE_SPACE_AT..FREE_SPACE_AT + start.len()].copy_from_slice(&start);
}

/// # Errors
/// When the header of the chunk cannot be used: why, and the bytes again.
fn walk(
    bytes: Vec<u8>,
    beyond: Beyond,
    records: &mut Vec<Vec<u8>>,
    problems: &mut Vec<String>,
) -> Result<(), (String, Vec<u8>)> {
    let settings = ParserSettings::new()
        .num_threads(1)
        .indent(false)
        .recover_records(beyond != Beyond::Nothing);
    let mut data =
        EvtxChunkData::new(bytes, false).map_err(|error| (error.to_string(), Vec::new()))?;
    let last = data.header.last_event_record_id;
    let error = match data.parse(Arc::new(settings)) {
        Ok(mut chunk) => {
            for record in chunk.iter() {
                match record {
                    // What an earlier use of the chunk left is no event of this log any more.
                    Ok(record)
                        if beyond == Beyond::Newer
                            && record.recovered
                            && record.event_record_id <= last => {}
                    Ok(record) => match record.into_json_bytes() {
                        Ok(json) => records.push(json.data),
                        Err(error) => problems.push(error.to_string()),
                    },
                    Err(error) => problems.push(error.to_string()),
                }
            }
            return Ok(());
        }
        Err(error) => error.to_string(),
    };
    Err((error, data.data))
}
