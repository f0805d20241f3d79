//! Hits sorted by the ids of their events, however many there are: what does not fit in memory is
//! sorted piece by piece, put aside in files, and merged when it is read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::PathBuf;

use pugmark_detect::Hit;

use super::HistoryError;

/// Bytes of hits that stay in memory.
const BYTES_MAX: usize = 64 << 20;

/// Hits that are being collected.
#[derive(Debug)]
pub struct SortedHits {
    aside: Option<PathBuf>,
    bytes_max: usize,
    memory: Run,
    files: Vec<File>,
    len: u64,
}

/// Hits in memory, each as bytes.
#[derive(Debug, Default)]
struct Run {
    bytes: Vec<u8>,
    /// Id, start and end.
    index: Vec<(i64, usize, usize)>,
}

impl SortedHits {
    pub(super) fn new(aside: Option<PathBuf>) -> Self {
        Self { aside, bytes_max: BYTES_MAX, memory: Run::default(), files: Vec::new(), len: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push(&mut self, hit: &Hit) -> Result<(), HistoryError> {
        let start = self.memory.bytes.len();
        let bytes = std::mem::take(&mut self.memory.bytes);
        self.memory.bytes = postcard::to_extend(hit, bytes).map_err(odd)?;
        self.memory.index.push((hit.id, start, self.memory.bytes.len()));
        self.len += 1;
        if self.memory.bytes.len() > self.bytes_max {
            let run = std::mem::take(&mut self.memory);
            let file = run.put_aside(self.aside.as_deref()).map_err(HistoryError::Aside)?;
            self.files.push(file);
        }
        Ok(())
    }

    /// The hits in the order of their ids.
    ///
    /// # Errors
    /// When the files cannot be read; also from the iterator.
    pub fn read(mut self) -> Result<Sorted, HistoryError> {
        self.memory.sort();
        let mut sorted = Sorted { runs: Vec::new(), next: BinaryHeap::new() };
        for mut file in self.files {
            file.rewind().map_err(HistoryError::Aside)?;
            sorted.runs.push(Reading::File(BufReader::with_capacity(256 << 10, file)));
        }
        sorted.runs.push(Reading::Memory(self.memory, 0));
        for run in 0..sorted.runs.len() {
            sorted.fill(run)?;
        }
        Ok(sorted)
    }
}

impl Run {
    fn sort(&mut self) {
        self.index.sort_unstable();
    }

    fn put_aside(mut self, dir: Option<&std::path::Path>) -> io::Result<File> {
        self.sort();
        let file = match dir {
            Some(dir) => tempfile::tempfile_in(dir)?,
            None => tempfile::tempfile()?,
        };
        let mut out = BufWriter::with_capacity(256 << 10, file);
        for (_, start, end) in self.index {
            let len = u32::try_from(end - start).map_err(io::Error::other)?;
            out.write_all(&len.to_le_bytes())?;
            out.write_all(&self.bytes[start..end])?;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// Hits in the order of their ids.
pub struct Sorted {
    runs: Vec<Reading>,
    /// The next hit of each run: its id, the run, and its bytes.
    next: BinaryHeap<Reverse<(i64, usize, Vec<u8>)>>,
}

enum Reading {
    File(BufReader<File>),
    Memory(Run, usize),
}

impl Sorted {
    fn fill(&mut self, run: usize) -> Result<(), HistoryError> {
        let bytes = match &mut self.runs[run] {
            Reading::Memory(run, at) => {
                let Some((_, start, end)) = run.index.get(*at) else { return Ok(()) };
                *at += 1;
                run.bytes[*start..*end].to_vec()
            }
            Reading::File(file) => {
                let mut len = [0; 4];
                match file.read_exact(&mut len) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                    read => read.map_err(HistoryError::Aside)?,
                }
                let mut bytes = vec![0; u32::from_le_bytes(len) as usize];
                file.read_exact(&mut bytes).map_err(HistoryError::Aside)?;
                bytes
            }
        };
        // A hit begins with its id.
        let (id, _) = postcard::take_from_bytes::<i64>(&bytes).map_err(odd)?;
        self.next.push(Reverse((id, run, bytes)));
        Ok(())
    }
}

impl Iterator for Sorted {
    type Item = Result<Hit, HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((_, run, bytes)) = self.next.pop()?;
        if let Err(error) = self.fill(run) {
            self.next.clear();
            return Some(Err(error));
        }
        Some(postcard::from_bytes(&bytes).map_err(odd))
    }
}

fn odd(error: postcard::Error) -> HistoryError {
    HistoryError::Aside(io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A hit with this id; the other fields stand in the bytes as they do in a real one.
    fn hit(id: i64) -> Hit {
        let bytes = postcard::to_allocvec(&(id, 1i64, 2i64, 3u32, 4u64, Vec::<u8>::new())).unwrap();
        postcard::from_bytes(&bytes).unwrap()
    }

    proptest! {
        #[test]
        fn hits_come_in_the_order_of_their_ids(
            ids in prop::collection::vec(any::<i64>(), 0..200),
            bytes_max in 1usize..4000,
        ) {
            let mut hits = SortedHits { bytes_max, ..SortedHits::new(None) };
            ids.iter().for_each(|id| hits.push(&hit(*id)).unwrap());
            prop_assert_eq!(hits.len(), ids.len() as u64);
            let found: Vec<i64> = hits.read().unwrap().map(|hit| hit.unwrap().id).collect();
            let mut expected = ids;
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
