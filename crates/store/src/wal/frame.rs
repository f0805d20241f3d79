//! A frame: one block of records, compressed and checksummed.
//!
//! ```text
//! magic "PMW2" | payload bytes u32 | crc32 u32 | first id i64 | records u32 | codec u8 | payload
//! ```
//!
//! Little-endian. The checksum covers everything but the magic and itself. Ids stand outside of the
//! payload, so that a start can find its way through the WAL without unpacking it. The first
//! version had no magic, began with the length, and had the ids in its payload alone; it is still
//! read.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use pugmark_event::Records;
use zstd::bulk::Compressor;

use crate::Block;
use crate::disk::DiskRead;
use crate::little_endian::Reader;

/// Largest block in bytes: its records and four bytes for each.
pub(crate) const BLOCK_BYTES_MAX: usize = 256 << 20;
/// Largest frame: a block that does not compress, its header, and what zstd adds.
const FRAME_BYTES_MAX: usize = BLOCK_BYTES_MAX + (4 << 20);
/// The first bytes of a frame. As a length of the first version they would be too large.
const MAGIC: [u8; 4] = *b"PMW2";
/// Bytes before the payload.
const HEAD_BYTES: usize = 25;
/// Length and checksum before each payload of the first version.
const HEAD_BYTES_1: usize = 8;
/// Every payload of the first version starts with these bytes (RFC 8878, 3.1.1), which helps to
/// find the next frame after a broken one.
const ZSTD_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
const CODEC_PLAIN: u8 = 0;
const CODEC_ZSTD: u8 = 1;
/// See docs/decisions/0003 for what each level costs.
const LEVEL: i32 = 1;
/// A payload that is smaller is not compressed: a disk writes whole pages, so nothing is gained,
/// and the processor has up to five times the work for each record.
const PACKED_BYTES_MIN: usize = 4096;
/// Bytes that are read at once; a frame that is larger is read whole.
const WINDOW_BYTES: usize = 1 << 20;

const HAS_FORMAT: u8 = 1;
const HAS_QUARANTINE: u8 = 2;

/// Where a frame lies in its file, and which ids it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameAt {
    /// Offset of the head.
    pub(crate) offset: u64,
    /// Bytes of head and payload.
    pub(crate) len: usize,
    /// Id of the first record.
    pub(crate) first_id: i64,
    /// Number of records.
    pub(crate) count: u32,
}

impl FrameAt {
    /// Offset after it.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.len as u64
    }

    /// Id after its last record.
    pub(crate) fn end_id(&self) -> i64 {
        self.first_id.saturating_add(i64::from(self.count))
    }
}

/// Writes frames; keeps the compressor's memory between them.
pub(crate) struct Encoder {
    zstd: Compressor<'static>,
    plain: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { zstd: Compressor::new(LEVEL)?, plain: Vec::new() })
    }

    /// Adds the frame of `block` to `out`.
    pub(crate) fn encode(&mut self, block: &Block, out: &mut Vec<u8>) -> io::Result<()> {
        self.plain.clear();
        write_payload(block, &mut self.plain);
        let start = out.len();
        out.resize(start + HEAD_BYTES, 0);
        let codec = self.pack(out)?;
        let len = out.len() - start - HEAD_BYTES;
        let len = u32::try_from(len).map_err(io::Error::other)?.to_le_bytes();
        let count = block.records.len() as u32;
        let mut ids = [0; 13];
        ids[..8].copy_from_slice(&block.first_id.to_le_bytes());
        ids[8..12].copy_from_slice(&count.to_le_bytes());
        ids[12] = codec;
        let (head, payload) = out[start..].split_at_mut(HEAD_BYTES);
        head[..4].copy_from_slice(&MAGIC);
        head[4..8].copy_from_slice(&len);
        head[8..12].copy_from_slice(&checksum(&[&len, &ids, payload]).to_le_bytes());
        head[12..].copy_from_slice(&ids);
        // One huge block must not hold its memory for ever.
        self.plain.shrink_to(4 << 20);
        Ok(())
    }

    /// Adds the payload to `out`, compressed where that makes it smaller.
    fn pack(&mut self, out: &mut Vec<u8>) -> io::Result<u8> {
        if self.plain.len() >= PACKED_BYTES_MIN {
            let packed = self.zstd.compress(&self.plain)?;
            if packed.len() < self.plain.len() {
                out.extend_from_slice(&packed);
                return Ok(CODEC_ZSTD);
            }
        }
        out.extend_from_slice(&self.plain);
        Ok(CODEC_PLAIN)
    }
}

fn checksum(parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize()
}

fn write_payload(block: &Block, out: &mut Vec<u8>) {
    let (bytes, ends) = block.records.parts();
    let long = |n: usize| (n as u32).to_le_bytes();
    out.extend_from_slice(&block.received.to_le_bytes());
    let has = |present: bool, bit: u8| if present { bit } else { 0 };
    out.push(
        has(block.format.is_some(), HAS_FORMAT) | has(block.quarantine.is_some(), HAS_QUARANTINE),
    );
    let texts = [Some(&*block.source), block.format.as_deref(), block.quarantine.as_deref()];
    for text in texts.into_iter().flatten() {
        out.extend_from_slice(&long(text.len()));
        out.extend_from_slice(text.as_bytes());
    }
    for end in ends {
        out.extend_from_slice(&end.to_le_bytes());
    }
    out.extend_from_slice(bytes);
}

/// Reads the frames of a file, a window at a time: memory does not grow with the file.
pub(crate) struct Frames {
    file: Arc<dyn DiskRead>,
    window: Bytes,
    /// Where the window begins.
    start: u64,
}

impl Frames {
    pub(crate) fn new(file: Arc<dyn DiskRead>) -> Self {
        Self { file, window: Bytes::new(), start: 0 }
    }

    /// Size of the file when it was opened.
    pub(crate) fn len(&self) -> u64 {
        self.file.len()
    }

    /// Bytes of the file; `None` when it ends before.
    pub(crate) fn bytes(&mut self, offset: u64, len: usize) -> io::Result<Option<Bytes>> {
        let size = self.file.len();
        let Some(end) = offset.checked_add(len as u64).filter(|end| *end <= size) else {
            return Ok(None);
        };
        if offset < self.start || end > self.start + self.window.len() as u64 {
            let rest = usize::try_from(size - offset).unwrap_or(usize::MAX);
            self.window = self.file.read_at(offset, len.max(WINDOW_BYTES).min(rest))?;
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(Some(self.window.slice(from..from + len)))
    }

    /// The frame at `offset`, if it is whole and its checksum holds.
    pub(crate) fn at(&mut self, offset: u64) -> io::Result<Option<FrameAt>> {
        let Some(magic) = self.bytes(offset, MAGIC.len())? else { return Ok(None) };
        if *magic != MAGIC {
            return self.at_1(offset);
        }
        let Some(head) = self.bytes(offset, HEAD_BYTES)? else { return Ok(None) };
        let mut read = Reader(&head[MAGIC.len()..]);
        let (Some(len), Some(crc)) = (read.u32(), read.u32()) else { return Ok(None) };
        let ids = read.0;
        let (Some(first_id), Some(count)) = (read.i64(), read.u32()) else { return Ok(None) };
        let Some(payload) = self.payload(offset, HEAD_BYTES, len)? else { return Ok(None) };
        if checksum(&[&len.to_le_bytes(), ids, &payload]) != crc {
            return Ok(None);
        }
        Ok(Some(FrameAt { offset, len: HEAD_BYTES + payload.len(), first_id, count }))
    }

    /// The same for a frame of the first version.
    fn at_1(&mut self, offset: u64) -> io::Result<Option<FrameAt>> {
        let Some(head) = self.bytes(offset, HEAD_BYTES_1)? else { return Ok(None) };
        let mut read = Reader(&head);
        let (Some(len), Some(crc)) = (read.u32(), read.u32()) else { return Ok(None) };
        let Some(payload) = self.payload(offset, HEAD_BYTES_1, len)? else { return Ok(None) };
        if checksum(&[&len.to_le_bytes(), &payload]) != crc {
            return Ok(None);
        }
        Ok(ids_1(&payload).map(|(first_id, count)| FrameAt {
            offset,
            len: HEAD_BYTES_1 + payload.len(),
            first_id,
            count,
        }))
    }

    fn payload(&mut self, offset: u64, head: usize, len: u32) -> io::Result<Option<Bytes>> {
        if len as usize > FRAME_BYTES_MAX {
            return Ok(None);
        }
        self.bytes(offset.saturating_add(head as u64), len as usize)
    }

    /// The first whole frame that begins after `from`.
    pub(crate) fn after(&mut self, from: u64) -> io::Result<Option<FrameAt>> {
        let mut at = from.saturating_add(1);
        loop {
            let rest = usize::try_from(self.len().saturating_sub(at)).unwrap_or(usize::MAX);
            let Some(bytes) = self.bytes(at, rest.min(WINDOW_BYTES))? else { return Ok(None) };
            for (i, window) in bytes.windows(MAGIC.len()).enumerate() {
                let place = at + i as u64;
                let begin = if window == MAGIC {
                    Some(place)
                } else if window == ZSTD_MAGIC {
                    place.checked_sub(HEAD_BYTES_1 as u64).filter(|begin| *begin > from)
                } else {
                    None
                };
                let Some(begin) = begin else { continue };
                if let Some(found) = self.at(begin)? {
                    return Ok(Some(found));
                }
            }
            if rest <= WINDOW_BYTES {
                return Ok(None);
            }
            // Bytes that may begin a magic at the end of the window are looked at again.
            at += (WINDOW_BYTES + 1 - MAGIC.len()) as u64;
        }
    }

    /// The block in a frame, whose checksum is known to hold; `None` when it is no block.
    pub(crate) fn block(&mut self, at: &FrameAt) -> io::Result<Option<Block>> {
        Ok(self.bytes(at.offset, at.len)?.and_then(|frame| decode(&frame)))
    }
}

/// First id and count in a payload of the first version, without unpacking the rest.
fn ids_1(payload: &[u8]) -> Option<(i64, u32)> {
    let mut ids = [0; 12];
    zstd::stream::read::Decoder::with_buffer(payload).ok()?.read_exact(&mut ids).ok()?;
    let mut ids = Reader(&ids);
    Some((ids.i64()?, ids.u32()?))
}

fn unpack(payload: &[u8]) -> Option<Vec<u8>> {
    // The size is in the frame: memory is asked for once.
    let len = zstd::zstd_safe::get_frame_content_size(payload).ok()??;
    let len = usize::try_from(len).ok().filter(|len| *len <= FRAME_BYTES_MAX)?;
    zstd::bulk::decompress(payload, len).ok()
}

/// The block in a frame of any version.
fn decode(frame: &[u8]) -> Option<Block> {
    let Some(rest) = frame.strip_prefix(&MAGIC) else {
        let plain = unpack(frame.get(HEAD_BYTES_1..)?)?;
        let mut read = Reader(&plain);
        let (first_id, count) = (read.i64()?, read.u32()?);
        return read_payload(first_id, count, read);
    };
    let mut read = Reader(rest.get(8..)?);
    let (first_id, count, codec) = (read.i64()?, read.u32()?, read.take(1)?[0]);
    match codec {
        CODEC_PLAIN => read_payload(first_id, count, read),
        CODEC_ZSTD => read_payload(first_id, count, Reader(&unpack(read.0)?)),
        _ => None,
    }
}

fn read_payload(first_id: i64, count: u32, mut read: Reader<'_>) -> Option<Block> {
    let received = read.i64()?;
    let flags = read.take(1)?[0];
    let source: Arc<str> = read.text()?.into();
    let format = if flags & HAS_FORMAT != 0 { Some(read.text()?.into()) } else { None };
    let quarantine = if flags & HAS_QUARANTINE != 0 { Some(read.text()?.into()) } else { None };
    let ends = read.take((count as usize).checked_mul(4)?)?;
    let ends = ends.chunks_exact(4).filter_map(|e| Some(u32::from_le_bytes(e.try_into().ok()?)));
    let records = Records::from_parts(read.0.to_vec(), ends.collect())?;
    Some(Block { source, records: Arc::new(records), first_id, received, format, quarantine })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(first_id: i64, records: &[Vec<u8>]) -> Block {
        Block {
            source: "web".into(),
            records: Arc::new(records.iter().map(Vec::as_slice).collect()),
            first_id,
            received: 42,
            format: (first_id % 2 == 0).then(|| "json".into()),
            quarantine: (first_id % 3 == 0).then(|| "too long".into()),
        }
    }

    /// A file in memory.
    struct Memory(Vec<u8>);

    impl DiskRead for Memory {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
            Ok(Bytes::copy_from_slice(&self.0[offset as usize..offset as usize + len]))
        }
    }

    fn frames(file: &[u8]) -> Frames {
        Frames::new(Arc::new(Memory(file.to_vec())))
    }

    /// The frame that the first version wrote.
    fn encode_1(block: &Block) -> Vec<u8> {
        let mut plain = block.first_id.to_le_bytes().to_vec();
        plain.extend_from_slice(&(block.records.len() as u32).to_le_bytes());
        write_payload(block, &mut plain);
        let payload = zstd::bulk::compress(&plain, 1).unwrap();
        let len = (payload.len() as u32).to_le_bytes();
        let crc = checksum(&[&len, &payload]).to_le_bytes();
        [&len[..], &crc, &payload].concat()
    }

    #[track_caller]
    fn comes_back(block: &Block, file: &[u8], offset: u64) {
        let mut frames = frames(file);
        let at = frames.after(0).unwrap().unwrap();
        assert_eq!((at.offset, at.first_id), (offset, block.first_id));
        assert_eq!((at.count as usize, at.end()), (block.records.len(), file.len() as u64));
        assert_eq!(frames.at(at.offset).unwrap(), Some(at));
        assert_eq!(frames.block(&at).unwrap().as_ref(), Some(block));
    }

    #[test]
    fn a_frame_is_found_behind_many_windows() {
        let (block, mut file) = (block(7, &[vec![b'x'; 100]]), vec![b'P'; 2 * WINDOW_BYTES - 3]);
        Encoder::new().unwrap().encode(&block, &mut file).unwrap();
        comes_back(&block, &file, 2 * WINDOW_BYTES as u64 - 3);
    }

    proptest! {
        #[test]
        fn blocks_come_back_as_they_went_in(
            first_id in 1..i64::MAX,
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
        ) {
            let block = block(first_id, &records);
            let mut file = b"junk before".to_vec();
            Encoder::new().unwrap().encode(&block, &mut file).unwrap();
            comes_back(&block, &file, 11);
            comes_back(&block, &[b"junk before", &encode_1(&block)[..]].concat(), 11);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let magic = [&MAGIC[..], &bytes].concat();
            for bytes in [&bytes, &magic] {
                let mut frames = frames(bytes);
                let _ = (frames.at(0), frames.after(0), decode(bytes));
            }
        }

        #[test]
        fn a_changed_byte_is_noticed(at in 0usize..200, flip in 1u8.., first: bool) {
            let (block, mut file) = (block(7, &[vec![b'x'; 100]]), Vec::new());
            Encoder::new().unwrap().encode(&block, &mut file).unwrap();
            if first {
                file = encode_1(&block);
            }
            let at = at % file.len();
            file[at] ^= flip;
            prop_assert_eq!(frames(&file).at(0).unwrap(), None);
        }
    }
}
