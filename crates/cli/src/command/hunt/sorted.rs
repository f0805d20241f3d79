//! Rows in the order of their keys, of any number, in bounded memory: what does not fit is sorted
//! and put into a file that has no name, a run, and in the end all runs are merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::sync::Arc;

use pugmark_event::time::Micros;
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

/// Memory for rows that are in no run yet, in bytes.
const BYTES_MAX: usize = 8 << 20;
/// So many runs become one: each that is read costs a buffer.
const RUNS_MAX: usize = 32;
/// What a row costs beside its text, in bytes, about.
const ROW_BYTES: usize = size_of::<Row>() + 16;
/// Back references reach this far, as a power of two: small, since every run has its own.
const WINDOW_LOG: u32 = 17;

/// Event time, then file, then place in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) time: Micros,
    pub(super) file: Arc<str>,
    pub(super) place: u64,
}

/// A row and what it is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) text: Vec<u8>,
}

/// Takes rows in any order.
pub(super) struct Sorter {
    rows: Vec<Row>,
    bytes: usize,
    bytes_max: usize,
    runs: Vec<File>,
}

impl Default for Sorter {
    fn default() -> Self {
        Self::new(BYTES_MAX)
    }
}

impl Sorter {
    fn new(bytes_max: usize) -> Self {
        Self { rows: Vec::new(), bytes: 0, bytes_max, runs: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When the disk for temporary files is full: no row is ever left out.
    pub(super) fn push(&mut self, row: Row) -> io::Result<()> {
        self.bytes += row.text.capacity() + ROW_BYTES;
        self.rows.push(row);
        if self.bytes < self.bytes_max {
            return Ok(());
        }
        self.rows.sort_unstable();
        let rows = std::mem::take(&mut self.rows);
        self.runs.push(write_run(rows.into_iter().map(Ok))?);
        self.bytes = 0;
        if self.runs.len() >= RUNS_MAX {
            let merged = write_run(merge(std::mem::take(&mut self.runs), Vec::new())?)?;
            self.runs.push(merged);
        }
        Ok(())
    }

    /// All rows, in order.
    pub(super) fn finish(mut self) -> io::Result<impl Iterator<Item = io::Result<Row>>> {
        self.rows.sort_unstable();
        merge(self.runs, self.rows)
    }
}

fn write_run(rows: impl Iterator<Item = io::Result<Row>>) -> io::Result<File> {
    let mut encoder = Encoder::new(BufWriter::new(tempfile::tempfile()?), 1)?;
    encoder.window_log(WINDOW_LOG)?;
    for row in rows {
        let Row { key, text } = row?;
        encoder.write_all(&key.time.to_le_bytes())?;
        encoder.write_all(&key.place.to_le_bytes())?;
        for bytes in [key.file.as_bytes(), &text] {
            encoder.write_all(&(bytes.len() as u64).to_le_bytes())?;
            encoder.write_all(bytes)?;
        }
    }
    let mut file = encoder.finish()?.into_inner()?;
    file.rewind()?;
    Ok(file)
}

/// A run that is being read.
struct Run(Decoder<'static, BufReader<File>>);

impl Run {
    fn open(file: File) -> io::Result<Self> {
        Ok(Run(Decoder::with_buffer(BufReader::with_capacity(16 << 10, file))?))
    }

    fn next(&mut self) -> io::Result<Option<Row>> {
        let mut start = [0; 1];
        if self.0.read(&mut start)? == 0 {
            return Ok(None);
        }
        let mut rest = [0; 7];
        self.0.read_exact(&mut rest)?;
        let mut time = [0; 8];
        time[0] = start[0];
        time[1..].copy_from_slice(&rest);
        let place = self.number()?;
        let file = String::from_utf8(self.bytes()?).map_err(io::Error::other)?;
        let key = Key { time: Micros::from_le_bytes(time), file: file.into(), place };
        Ok(Some(Row { key, text: self.bytes()? }))
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let length = self.number()?;
        let mut bytes = Vec::new();
        (&mut self.0).take(length).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}

/// The first rows of all runs, and the rows that are in none.
struct Merge {
    heads: BinaryHeap<Reverse<(Row, usize)>>,
    runs: Vec<Run>,
    rows: std::iter::Peekable<std::vec::IntoIter<Row>>,
}

fn merge(files: Vec<File>, rows: Vec<Row>) -> io::Result<impl Iterator<Item = io::Result<Row>>> {
    let mut merge =
        Merge { heads: BinaryHeap::new(), runs: Vec::new(), rows: rows.into_iter().peekable() };
    for (index, file) in files.into_iter().enumerate() {
        let mut run = Run::open(file)?;
        merge.heads.extend(run.next()?.map(|row| Reverse((row, index))));
        merge.runs.push(run);
    }
    Ok(merge)
}

impl Iterator for Merge {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        let from_memory = match (self.heads.peek(), self.rows.peek()) {
            (Some(Reverse((head, _))), Some(row)) => row <= head,
            (None, _) => true,
            (Some(_), None) => false,
        };
        if from_memory {
            return self.rows.next().map(Ok);
        }
        let Reverse((row, index)) = self.heads.pop()?;
        match self.runs[index].next() {
            Ok(next) => self.heads.extend(next.map(|next| Reverse((next, index)))),
            Err(error) => return Some(Err(error)),
        }
        Some(Ok(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(time: Micros, file: &str, place: u64) -> Row {
        let text = format!("{time} {file} {place}").into_bytes();
        Row { key: Key { time, file: file.into(), place }, text }
    }

    /// Sorts `count` rows with room for so many bytes, and expects all of them in order.
    #[track_caller]
    fn check(count: u64, bytes_max: usize, runs: std::ops::Range<usize>) {
        let mut sorter = Sorter::new(bytes_max);
        let mut expected = Vec::new();
        for i in 0..count {
            // Times before 1970 too, and the same time often.
            let time = (i.wrapping_mul(7919) % 101) as Micros - 50;
            let row = row(time, ["b", "a"][i as usize % 2], i);
            sorter.push(row.clone()).unwrap();
            expected.push(row);
        }
        assert!(runs.contains(&sorter.runs.len()), "{} runs", sorter.runs.len());
        expected.sort();
        let sorted: Vec<Row> = sorter.finish().unwrap().map(Result::unwrap).collect();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn rows_come_back_in_order_whether_they_fit_or_not() {
        check(0, 1 << 20, 0..1);
        check(100, 1 << 20, 0..1);
        check(200, 10 * ROW_BYTES, 15..RUNS_MAX);
        // Every row is a run, so runs have been merged.
        check(100, 1, 1..RUNS_MAX);
    }
}
