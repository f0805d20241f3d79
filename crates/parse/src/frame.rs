//! Bytes to records: what a file or a request body holds, found by its first bytes.
//!
//! gzip and zstd are undone (also several members or frames one after the other), UTF-16 with a
//! byte order mark becomes UTF-8, EVTX becomes one JSON object a record, a JSON array is taken
//! apart, a message of CloudWatch gives a record for each of its events, everything else is lines.
//! Memory stays bounded: one block of records, one unfinished record of at most
//! [`PIECE_BYTES_MAX`], the records of one message of a few MiB.
//!
//! What is corrupt or cut short yields every record that can be read, and then one error.

use std::collections::VecDeque;
use std::io::{self, Read};

use pugmark_event::Records;

mod cloudwatch;
mod evtx;
mod journal;
mod json;
mod lines;
mod trace;
mod utf16;

/// A longer record is kept whole but set aside, so that one giant does not hold up the rest.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// A record longer than this is cut into pieces of this size.
pub const PIECE_BYTES_MAX: usize = 64 << 20;
/// A block ends when it holds this many bytes.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// A block ends when it holds this many records.
const BLOCK_RECORDS_MAX: usize = 4096;
/// A longer body is not taken apart into the events of its messages.
const MESSAGES_BYTES_MAX: usize = u32::MAX as usize / cloudwatch::GROWTH_MAX;
/// Bytes looked at to tell what an input holds.
const LOOK_BYTES: usize = 4096;
const GZIP: &[u8] = &[0x1f, 0x8b];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// What an input holds, once it is decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A Windows event log file.
    Evtx,
    /// One record a line; NDJSON too.
    Lines,
    /// JSON objects that are not one a line: an array of them, or objects spread over lines.
    JsonArray,
    /// Messages of CloudWatch, each around several events.
    Messages,
    /// The systemd journal's export format.
    Journal,
}

/// Why an input could not be read to its end. Records before that point have been handed out.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The input is more than it was allowed to grow to.
    #[error(
        "decompressed past {bytes_max} bytes and stopped there; if the input is no bomb, raise the limit or split it"
    )]
    TooBig {
        /// The limit in bytes.
        bytes_max: u64,
    },
    /// Reading or decompressing failed.
    #[error("reading stopped after {bytes} bytes: {source}; records before that were kept")]
    Read {
        /// Bytes read until then, decompressed.
        bytes: u64,
        /// What happened.
        source: io::Error,
    },
    /// Parts of an EVTX file could not be read.
    #[error(
        "{count} parts of this EVTX file are unreadable, the first {first}; all others were kept"
    )]
    Evtx {
        /// How many chunks or records.
        count: u64,
        /// Where and why the first.
        first: String,
    },
}

/// Blocks of records of one input, in order, each of about 1 MiB or 4096 records.
pub struct Frames<'a> {
    content: Content,
    blocks: Box<dyn Iterator<Item = Result<Records, FrameError>> + Send + 'a>,
}

impl std::fmt::Debug for Frames<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("content", &self.content).finish_non_exhaustive()
    }
}

impl Frames<'_> {
    /// What the input holds.
    pub fn content(&self) -> Content {
        self.content
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Records, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.blocks.next()
    }
}

/// Reads an input of any kind. `bytes_max` bounds what a compressed input may grow to, in bytes;
/// an input that is not compressed is read to its end.
///
/// # Errors
/// When the first bytes cannot be read.
pub fn open<'a>(reader: impl Read + Send + 'a, bytes_max: u64) -> Result<Frames<'a>, FrameError> {
    frames(decompressed(reader, bytes_max)?)
}

/// Reads the EVTX chunks of an input of any kind, wherever they lie in it: in a memory dump, in
/// unallocated space. Also gives records that were overwritten or deleted and can still be read.
///
/// # Errors
/// When the first bytes cannot be read.
pub fn carve<'a>(reader: impl Read + Send + 'a, bytes_max: u64) -> Result<Frames<'a>, FrameError> {
    let blocks = evtx::Carved::new(decompressed(reader, bytes_max)?);
    Ok(Frames { content: Content::Evtx, blocks: Box::new(blocks) })
}

/// Bytes as they are written, decompressed.
type Plain<'a> = Limited<Box<dyn Read + Send + 'a>>;

fn decompressed<'a>(
    mut reader: impl Read + Send + 'a,
    bytes_max: u64,
) -> Result<Plain<'a>, FrameError> {
    let magic = look(&mut reader, ZSTD.len())?;
    let gzip = magic.starts_with(GZIP);
    let zstd = magic.starts_with(ZSTD);
    let whole = io::Cursor::new(magic).chain(reader);
    if gzip {
        let decoder = flate2::read::MultiGzDecoder::new(whole);
        Ok(Limited::new(Box::new(decoder), Some(bytes_max)))
    } else if zstd {
        let decoder = zstd::stream::read::Decoder::new(whole)
            .map_err(|source| FrameError::Read { bytes: 0, source })?;
        Ok(Limited::new(Box::new(decoder), Some(bytes_max)))
    } else {
        Ok(Limited::new(Box::new(whole), None))
    }
}

/// Bytes that [`body`] takes at most for such a body, the body among them.
pub fn body_bytes_max(bytes: &[u8]) -> usize {
    let copies = match body_content(bytes).1 {
        Content::Messages => cloudwatch::GROWTH_MAX,
        // Framing may copy the records into a block of their own.
        Content::Lines | Content::JsonArray | Content::Journal | Content::Evtx => 1,
    };
    bytes.len().saturating_mul(1 + copies)
}

/// Where the text of a body begins, and what it holds. No more is looked at than of a file, so that
/// both are cut the same.
fn body_content(bytes: &[u8]) -> (usize, Content) {
    let mark = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    match content(&bytes[mark..bytes.len().min(LOOK_BYTES)]) {
        // Its records might be more than fit into one block.
        Content::Messages if bytes.len() > MESSAGES_BYTES_MAX => (mark, Content::Lines),
        content => (mark, content),
    }
}

/// Reads a request body that has been decompressed: a JSON array, or lines, which stay in the
/// memory of the body.
pub fn body(bytes: Vec<u8>) -> Records {
    let (mark, content) = body_content(&bytes);
    match content {
        Content::JsonArray | Content::Journal | Content::Messages => {
            let mut records = Records::new();
            let mut splitter = Splitter::of(content);
            // In the same steps as a file, whose first bytes say how it is cut.
            let (head, rest) = bytes[mark..].split_at(bytes.len().min(LOOK_BYTES) - mark);
            splitter.feed(head, &mut |record| records.push(record));
            splitter.feed(rest, &mut |record| records.push(record));
            splitter.finish(&mut |record| records.push(record));
            records
        }
        Content::Lines | Content::Evtx => lines::in_place(bytes, mark),
    }
}

fn frames<'a>(mut reader: Limited<impl Read + Send + 'a>) -> Result<Frames<'a>, FrameError> {
    let head = look(&mut reader, LOOK_BYTES)?;
    if head.starts_with(evtx::MAGIC) {
        let whole = io::Cursor::new(head).chain(reader);
        return Ok(Frames { content: Content::Evtx, blocks: Box::new(evtx::Blocks::new(whole)) });
    }
    if let Some(order) = utf16::order(&head) {
        let mut reader = utf16::Decoder::new(io::Cursor::new(head).chain(reader), order);
        let head = look(&mut reader, LOOK_BYTES)?;
        return Ok(text(head, reader));
    }
    Ok(text(head, reader))
}

fn text<'a>(head: Vec<u8>, reader: impl Read + Send + 'a) -> Frames<'a> {
    let mark = if head.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let content = content(&head[mark..]);
    let mut head = io::Cursor::new(head);
    head.set_position(mark as u64);
    let blocks = Blocks::new(head.chain(reader), Splitter::of(content));
    Frames { content, blocks: Box::new(blocks) }
}

/// Tells JSON that is not one object a line from lines.
fn content(head: &[u8]) -> Content {
    let text = head.trim_ascii_start();
    if text.starts_with(journal::MAGIC) {
        return Content::Journal;
    }
    if cloudwatch::begins(text) {
        return Content::Messages;
    }
    if json::list_at(text).is_some() {
        return Content::JsonArray;
    }
    let mut rest = match text.first() {
        Some(b'[') => text[1..].trim_ascii_start(),
        Some(b'{') => {
            let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
            // `{` alone on its line: the object goes on below.
            return match text[..end].trim_ascii_end() {
                b"{" if end < text.len() => Content::JsonArray,
                _ => Content::Lines,
            };
        }
        _ => return Content::Lines,
    };
    // `[Mon Nov 23 ...` is a line; `[{` and `[]` are arrays.
    if let [b']', after @ ..] = rest {
        rest = after.trim_ascii_start();
        return if rest.is_empty() { Content::JsonArray } else { Content::Lines };
    }
    if rest.first() == Some(&b'{') { Content::JsonArray } else { Content::Lines }
}

/// Reads up to `count` bytes; fewer only at the end of the input.
fn look(reader: &mut impl Read, count: usize) -> Result<Vec<u8>, FrameError> {
    let mut head = Vec::new();
    match reader.take(count as u64).read_to_end(&mut head) {
        Err(source) if head.is_empty() => Err(failure(0, source)),
        // What fails later fails again when the rest is read.
        _ => Ok(head),
    }
}

fn failure(bytes: u64, source: io::Error) -> FrameError {
    match source.get_ref().and_then(|inner| inner.downcast_ref::<Overflow>()) {
        Some(Overflow { bytes_max }) => FrameError::TooBig { bytes_max: *bytes_max },
        None => FrameError::Read { bytes, source },
    }
}

#[derive(Debug, thiserror::Error)]
#[error("more than {bytes_max} bytes")]
struct Overflow {
    bytes_max: u64,
}

/// Stops a compressed input that grows past its limit, and repeats the last error for ever, so
/// that no decoder is asked again after it failed.
struct Limited<R> {
    reader: R,
    left: Option<u64>,
    bytes_max: u64,
    failed: Option<(io::ErrorKind, String)>,
}

impl<R: Read> Limited<R> {
    fn new(reader: R, bytes_max: Option<u64>) -> Self {
        Self { reader, left: bytes_max, bytes_max: bytes_max.unwrap_or(0), failed: None }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some((kind, message)) = &self.failed {
            return Err(io::Error::new(*kind, message.clone()));
        }
        if self.left == Some(0) {
            // The limit is reached; only the very end of the input is no overflow.
            return match self.reader.read(&mut [0]) {
                Ok(0) => Ok(0),
                Ok(_) => Err(io::Error::other(Overflow { bytes_max: self.bytes_max })),
                Err(error) => Err(error),
            };
        }
        let room = self.left.map_or(buffer.len(), |left| {
            buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX))
        });
        match self.reader.read(&mut buffer[..room]) {
            Ok(count) => {
                self.left = self.left.map(|left| left - count as u64);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.failed = Some((error.kind(), error.to_string()));
                Err(error)
            }
        }
    }
}

/// Cuts text into records.
enum Splitter {
    Lines(lines::Lines),
    Json(json::Objects),
    Messages(cloudwatch::Messages),
    Journal(journal::Entries),
}

impl Splitter {
    fn of(content: Content) -> Self {
        match content {
            Content::JsonArray => Splitter::Json(json::Objects::default()),
            Content::Messages => Splitter::Messages(cloudwatch::Messages::default()),
            Content::Journal => Splitter::Journal(journal::Entries::default()),
            Content::Lines | Content::Evtx => Splitter::Lines(lines::Lines::default()),
        }
    }

    fn feed(&mut self, bytes: &[u8], emit: &mut dyn FnMut(&[u8])) {
        match self {
            Splitter::Lines(lines) => lines.feed(bytes, emit),
            Splitter::Json(objects) => objects.feed(bytes, emit),
            Splitter::Messages(messages) => messages.feed(bytes, emit),
            Splitter::Journal(entries) => entries.feed(bytes, emit),
        }
    }

    fn finish(&mut self, emit: &mut dyn FnMut(&[u8])) {
        match self {
            Splitter::Lines(lines) => lines.finish(emit),
            Splitter::Json(objects) => objects.finish(emit),
            Splitter::Messages(messages) => messages.finish(emit),
            Splitter::Journal(entries) => entries.finish(emit),
        }
    }
}

/// Reads text in steps and hands it out in blocks.
struct Blocks<R> {
    reader: R,
    splitter: Splitter,
    buffer: Vec<u8>,
    bytes: u64,
    open: Records,
    ready: VecDeque<Result<Records, FrameError>>,
    done: bool,
}

impl<R: Read> Blocks<R> {
    fn new(reader: R, splitter: Splitter) -> Self {
        Self {
            reader,
            splitter,
            buffer: vec![0; 256 << 10],
            bytes: 0,
            open: Records::new(),
            ready: VecDeque::new(),
            done: false,
        }
    }

    fn step(&mut self) {
        let Self { splitter, open, ready, .. } = self;
        let mut emit = |record: &[u8]| add(record, open, ready);
        match self.reader.read(&mut self.buffer) {
            Ok(0) => {
                splitter.finish(&mut emit);
                self.close(None);
            }
            Ok(count) => {
                self.bytes += count as u64;
                splitter.feed(&self.buffer[..count], &mut emit);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                splitter.finish(&mut emit);
                let error = failure(self.bytes, error);
                self.close(Some(error));
            }
        }
    }

    fn close(&mut self, error: Option<FrameError>) {
        self.done = true;
        if !self.open.is_empty() {
            self.ready.push_back(Ok(std::mem::take(&mut self.open)));
        }
        self.ready.extend(error.map(Err));
    }
}

fn add(record: &[u8], open: &mut Records, ready: &mut VecDeque<Result<Records, FrameError>>) {
    open.push(record);
    if open.byte_len() >= BLOCK_BYTES_MAX || open.len() >= BLOCK_RECORDS_MAX {
        ready.push_back(Ok(std::mem::take(open)));
    }
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

#[cfg(test)]
mod tests;
