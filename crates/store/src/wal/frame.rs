//! A frame: one block of records, compressed and checksummed.

use std::io::{self, Read};
use std::sync::Arc;

use pugmark_event::Records;
use zstd::bulk::Compressor;

use crate::Block;

/// Largest block in bytes: its records and four bytes for each.
pub(crate) const BLOCK_BYTES_MAX: usize = 256 << 20;
/// Largest frame: a block that does not compress, its header, and what zstd adds.
const FRAME_BYTES_MAX: usize = BLOCK_BYTES_MAX + (4 << 20);
/// Length and checksum before each payload.
pub(crate) const HEAD_BYTES: usize = 8;
/// Every zstd payload starts with these bytes (RFC 8878, 3.1.1), which helps to find the next
/// frame after a broken one.
const ZSTD_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// Fast: the WAL is written once and read after a crash only.
const LEVEL: i32 = 1;

const HAS_FORMAT: u8 = 1;
const HAS_QUARANTINE: u8 = 2;

/// Where a frame lies in its file, and which ids it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameAt {
    /// Offset of the head.
    pub(crate) offset: usize,
    /// Bytes of head and payload.
    pub(crate) len: usize,
    /// Id of the first record.
    pub(crate) first_id: i64,
    /// Number of records.
    pub(crate) count: u32,
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
        let payload = self.zstd.compress(&self.plain)?;
        let len = u32::try_from(payload.len()).map_err(io::Error::other)?.to_le_bytes();
        out.extend_from_slice(&len);
        out.extend_from_slice(&checksum(&len, &payload).to_le_bytes());
        out.extend_from_slice(&payload);
        // One huge block must not hold its memory for ever.
        self.plain.shrink_to(4 << 20);
        Ok(())
    }
}

fn checksum(len: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(len);
    crc.update(payload);
    crc.finalize()
}

fn write_payload(block: &Block, out: &mut Vec<u8>) {
    let (bytes, ends) = block.records.parts();
    let long = |n: usize| (n as u32).to_le_bytes();
    out.extend_from_slice(&block.first_id.to_le_bytes());
    out.extend_from_slice(&long(ends.len()));
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

/// The frame at `offset`, if it is whole and its checksum holds.
pub(crate) fn frame_at(file: &[u8], offset: usize) -> Option<FrameAt> {
    let head = file.get(offset..offset + HEAD_BYTES)?;
    let (len, crc) = head.split_at(4);
    let payload_len = u32::from_le_bytes(len.try_into().ok()?) as usize;
    if payload_len > FRAME_BYTES_MAX {
        return None;
    }
    let start = offset + HEAD_BYTES;
    let payload = file.get(start..start + payload_len)?;
    if checksum(len, payload).to_le_bytes() != crc {
        return None;
    }
    // Id and count are the first bytes of the payload: no need to unpack the rest.
    let mut ids = [0; 12];
    zstd::stream::read::Decoder::with_buffer(payload).ok()?.read_exact(&mut ids).ok()?;
    let mut ids = Reader(&ids);
    let (first_id, count) = (ids.i64()?, ids.u32()?);
    Some(FrameAt { offset, len: HEAD_BYTES + payload_len, first_id, count })
}

/// The first whole frame after `from`.
pub(crate) fn next_frame(file: &[u8], from: usize) -> Option<FrameAt> {
    let first = from + HEAD_BYTES;
    let rest = file.get(first..)?;
    rest.windows(ZSTD_MAGIC.len())
        .enumerate()
        .filter(|(_, window)| *window == ZSTD_MAGIC)
        .find_map(|(i, _)| frame_at(file, from + i))
}

/// The block in a frame, whose checksum is known to hold.
pub(crate) fn decode(frame: &[u8]) -> Option<Block> {
    let mut plain = Vec::new();
    zstd::stream::read::Decoder::with_buffer(frame.get(HEAD_BYTES..)?)
        .ok()?
        .take(FRAME_BYTES_MAX as u64)
        .read_to_end(&mut plain)
        .ok()?;
    let mut read = Reader(&plain);
    let first_id = read.i64()?;
    let count = read.u32()? as usize;
    let received = read.i64()?;
    let flags = read.take(1)?[0];
    let source: Arc<str> = read.text()?.into();
    let format = if flags & HAS_FORMAT != 0 { Some(read.text()?.into()) } else { None };
    let quarantine = if flags & HAS_QUARANTINE != 0 { Some(read.text()?.into()) } else { None };
    let ends = read.take(count.checked_mul(4)?)?;
    let ends = ends.chunks_exact(4).filter_map(|e| Some(u32::from_le_bytes(e.try_into().ok()?)));
    let records = Records::from_parts(read.0.to_vec(), ends.collect())?;
    Some(Block { source, records: Arc::new(records), first_id, received, format, quarantine })
}

/// Reads little-endian parts from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn i64(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = self.u32()? as usize;
        std::str::from_utf8(self.take(len)?).ok()
    }
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

    proptest! {
        #[test]
        fn blocks_come_back_as_they_went_in(
            first_id in 1..i64::MAX,
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
        ) {
            let block = block(first_id, &records);
            let mut file = b"junk before".to_vec();
            Encoder::new().unwrap().encode(&block, &mut file).unwrap();
            let at = next_frame(&file, 0).unwrap();
            prop_assert_eq!((at.offset, at.first_id), (11, first_id));
            prop_assert_eq!(at.count as usize, records.len());
            prop_assert_eq!(decode(&file[at.offset..at.offset + at.len]), Some(block));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = (frame_at(&bytes, 0), next_frame(&bytes, 0), decode(&bytes));
        }

        #[test]
        fn a_changed_byte_is_noticed(at in 0usize..60, flip in 1u8..) {
            let mut file = Vec::new();
            Encoder::new().unwrap().encode(&block(7, &[vec![b'x'; 100]]), &mut file).unwrap();
            let at = at % file.len();
            file[at] ^= flip;
            prop_assert_eq!(frame_at(&file, 0), None);
        }
    }
}
