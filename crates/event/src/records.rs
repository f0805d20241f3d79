//! Records as they came: one buffer and where each record ends in it.

use std::ops::Range;

/// A block of records of one source. Bytes are untouched; framing characters are not part of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    bytes: Vec<u8>,
    /// End of each record in `bytes`. `u32` bounds a block to 4 GiB; doors cut far earlier.
    ends: Vec<u32>,
}

impl Records {
    /// An empty block.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rebuilds a block from its parts; `None` if the ends do not fit the bytes.
    pub fn from_parts(bytes: Vec<u8>, ends: Vec<u32>) -> Option<Self> {
        let ordered = ends.windows(2).all(|w| w[0] <= w[1]);
        let whole = ends.last().copied().unwrap_or(0) as usize == bytes.len();
        (ordered && whole).then_some(Self { bytes, ends })
    }

    /// The buffer and the ends, as [`Records::from_parts`] takes them.
    pub fn parts(&self) -> (&[u8], &[u32]) {
        (&self.bytes, &self.ends)
    }

    /// Adds one record.
    ///
    /// # Panics
    /// If the block would pass 4 GiB; callers cut blocks at a few MiB.
    pub fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(u32::try_from(self.bytes.len()).expect("a block is cut far below 4 GiB"));
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when there are no records.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all records together.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The record at `index`.
    pub fn get(&self, index: usize) -> &[u8] {
        &self.bytes[self.range(index)]
    }

    /// Where the record at `index` lies in the buffer.
    fn range(&self, index: usize) -> Range<usize> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        start..self.ends[index] as usize
    }

    /// All records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }
}

impl<'a> FromIterator<&'a [u8]> for Records {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(records: I) -> Self {
        let mut block = Records::new();
        for record in records {
            block.push(record);
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_went_in() {
        let block: Records = [&b"one"[..], b"", b"\xff\x00"].into_iter().collect();
        assert_eq!(block.iter().collect::<Vec<_>>(), [&b"one"[..], b"", b"\xff\x00"]);
        let (bytes, ends) = block.parts();
        assert_eq!(Records::from_parts(bytes.to_vec(), ends.to_vec()), Some(block));
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        assert_eq!(Records::from_parts(b"abc".to_vec(), vec![2]), None);
        assert_eq!(Records::from_parts(b"abc".to_vec(), vec![3, 2]), None);
    }
}
