//! tar: blocks of 512 bytes, a header and then the file, read as a stream.
//!
//! Understands ustar, the long names of GNU and of pax, and sizes past 8 GiB. What is no ordinary
//! file (folders, links, devices) is passed over. Names and headers are bounded: a hostile archive
//! costs no more memory than a good one.

use std::io::{self, Read};

const BLOCK_BYTES: usize = 512;
/// A name or a pax header longer than this is refused.
const EXTRA_BYTES_MAX: u64 = 64 << 10;

/// True when these first bytes are those of a tar archive.
pub(super) fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// The files of an archive, one after the other.
pub(super) struct Tar<R> {
    reader: R,
    /// Bytes of the file at hand that are not read yet, and of the padding after it.
    left: u64,
    padding: u64,
}

/// A file in the archive; its bytes are read from the [`Tar`] itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name as it stands in the archive; bytes that are no UTF-8 show as U+FFFD.
    pub(super) name: String,
    /// Its size in bytes.
    pub(super) size: u64,
}

impl<R: Read> Tar<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, left: 0, padding: 0 }
    }

    /// Goes to the next ordinary file; `None` at the end of the archive.
    pub(super) fn next_file(&mut self) -> io::Result<Option<Entry>> {
        let (mut long_name, mut long_size) = (None, None);
        loop {
            self.skip()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let size = number(&header[124..136]).ok_or_else(|| broken("a size"))?;
            self.left = size;
            self.padding = size.next_multiple_of(BLOCK_BYTES as u64) - size;
            match header[156] {
                b'L' => long_name = Some(text(&self.extra()?)),
                b'x' => {
                    let (name, size) = pax(&self.extra()?);
                    long_name = name.or(long_name);
                    long_size = size.or(long_size);
                }
                b'0' | 0 | b'7' => {
                    let name = long_name.unwrap_or_else(|| name(&header));
                    self.left = long_size.unwrap_or(size);
                    self.padding = padding(self.left)?;
                    return Ok(Some(Entry { name, size: self.left }));
                }
                // A global header of pax, and kinds that hold no file of their own.
                b'g' => {}
                _ => (long_name, long_size) = (None, None),
            }
        }
    }

    /// Passes over what is left of the file at hand.
    fn skip(&mut self) -> io::Result<()> {
        let bytes = self.left + self.padding;
        let skipped = io::copy(&mut (&mut self.reader).take(bytes), &mut io::sink())?;
        (self.left, self.padding) = (0, 0);
        if skipped < bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// The next header block; `None` at the end, which is a block of zeros or simply no more.
    fn header(&mut self) -> io::Result<Option<[u8; BLOCK_BYTES]>> {
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.reader.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum = block.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        let own = block[148..156].iter().map(|byte| u64::from(*byte)).sum::<u64>();
        match number(&block[148..156]) {
            Some(expected) if expected == sum - own + 8 * u64::from(b' ') => Ok(Some(block)),
            _ => Err(broken("the checksum of a header")),
        }
    }

    /// The bytes of a header that is longer than a block.
    fn extra(&mut self) -> io::Result<Vec<u8>> {
        if self.left > EXTRA_BYTES_MAX {
            return Err(broken("a name, which is too long"));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl<R: Read> Read for Tar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&mut self.reader).take(self.left).read(buffer)?;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("this tar archive is damaged: {what}"))
}

fn padding(size: u64) -> io::Result<u64> {
    let whole = size.checked_next_multiple_of(BLOCK_BYTES as u64);
    whole.map(|whole| whole - size).ok_or_else(|| broken("a size"))
}

/// A number: octal digits, or binary with the first bit set.
fn number(field: &[u8]) -> Option<u64> {
    if let [0x80, rest @ ..] = field {
        let (high, low) = rest.split_at(rest.len().saturating_sub(8));
        // No file has an exabyte; a size that large would only overflow.
        let value = low.iter().fold(0u64, |n, byte| (n << 8) | u64::from(*byte));
        return (high.iter().all(|byte| *byte == 0) && value < 1 << 60).then_some(value);
    }
    let digits = field.split(|byte| *byte == 0).next()?.trim_ascii();
    digits.iter().try_fold(0u64, |n, digit| match digit {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// The name in a header, with the prefix that ustar puts in front of it.
fn name(header: &[u8; BLOCK_BYTES]) -> String {
    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
    let is_posix = header[257..263] == *b"ustar\0";
    if is_posix && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
}

/// Text up to the first zero.
fn text(field: &[u8]) -> String {
    let end = memchr::memchr(0, field).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// Name and size of a pax header, whose lines are `length key=value`.
fn pax(bytes: &[u8]) -> (Option<String>, Option<u64>) {
    let (mut name, mut size) = (None, None);
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let Some((key, value)) = line.split_once(' ').and_then(|(_, pair)| pair.split_once('='))
        else {
            continue;
        };
        match key {
            "path" => name = Some(value.to_string()),
            "size" => size = value.parse().ok().filter(|size| *size < 1 << 60),
            _ => {}
        }
    }
    (name, size)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One entry of an archive: header, bytes, padding.
    pub(crate) fn entry(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
        let mut header = [0u8; BLOCK_BYTES];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = kind;
        header[257..263].copy_from_slice(b"ustar\0");
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let padding = bytes.len().next_multiple_of(BLOCK_BYTES) - bytes.len();
        [&header[..], bytes, &vec![0; padding]].concat()
    }

    /// Names and texts of all files, and the error at the end.
    fn read(archive: &[u8]) -> (Vec<(String, String)>, String) {
        let (mut tar, mut files) = (Tar::new(archive), Vec::new());
        loop {
            match tar.next_file() {
                Ok(Some(entry)) => {
                    let mut text = String::new();
                    let error = tar.read_to_string(&mut text).err();
                    files.push((entry.name, text));
                    if let Some(error) = error {
                        return (files, error.to_string());
                    }
                }
                Ok(None) => return (files, String::new()),
                Err(error) => return (files, error.to_string()),
            }
        }
    }

    #[track_caller]
    fn check(archive: &[u8], expected: &[(&str, &str)], error: &str) {
        let (files, said) = read(archive);
        let files: Vec<_> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        assert_eq!(files, expected);
        assert!(said.contains(error) && said.is_empty() == error.is_empty(), "{said}");
    }

    #[test]
    fn files_come_out_with_their_names() {
        let end = vec![0; 1024];
        let long = "d/".repeat(90) + "long.log";
        let pax = format!("{} path={long}\n", long.len() + 10);
        let archive = [
            entry("a.log", b'0', b"one"),
            entry("folder/", b'5', b""),
            entry("link", b'2', b""),
            entry("././@LongLink", b'L', long.as_bytes()),
            entry("d/d/cut", b'0', b"two"),
            entry("PaxHeader", b'x', pax.as_bytes()),
            entry("d/d/cut", 0, &[b'x'; 513]),
            end,
        ]
        .concat();
        let exes = "x".repeat(513);
        check(&archive, &[("a.log", "one"), (&long, "two"), (&long, &exes)], "");
        check(&archive[..512 + 2], &[("a.log", "on")], "unexpected end");
        check(&entry("giant", b'L', &vec![b'n'; 70_000]), &[], "too long");
        let mut damaged = archive.clone();
        damaged[3] ^= 1;
        check(&damaged, &[], "checksum");
        check(b"", &[], "");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000),
        ) {
            let _ = read(&bytes);
            let _ = read(&[entry("a", b'0', b"x"), bytes].concat());
        }
    }
}
