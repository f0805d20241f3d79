//! Reads little-endian parts of bytes that anybody may have written.

/// What is not read yet. Every part is `None` when the bytes end before it does.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        Some(self.array::<1>()? != [0])
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// A text behind its length, four bytes.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let len = self.u32()? as usize;
        std::str::from_utf8(self.take(len)?).ok()
    }

    /// Numbers behind their count, four bytes.
    pub(crate) fn u32s(&mut self) -> Option<Vec<u32>> {
        let count = self.u32()? as usize;
        let (numbers, _) = self.take(count.checked_mul(4)?)?.as_chunks::<4>();
        Some(numbers.iter().map(|number| u32::from_le_bytes(*number)).collect())
    }

    /// Parts of one kind behind their count, four bytes.
    pub(crate) fn many<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = self.u32()?;
        // Each takes a byte at least, so a count beyond the bytes is none.
        (count as usize <= self.0.len()).then_some(())?;
        (0..count).map(|_| one(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_in_their_order_and_none_beyond_the_end() {
        let bytes = [7, 0, 0, 0, 1, 2, 0, 0, 0, b'h', b'i', 1, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0];
        let mut read = Reader(&bytes);
        assert_eq!((read.u32(), read.flag(), read.text()), (Some(7), Some(true), Some("hi")));
        assert_eq!((read.u32s(), read.i64()), (Some(vec![9]), None));
        // What could not be read is still there.
        assert_eq!((read.u32(), read.u32(), read.take(0)), (Some(5), None, Some(&[][..])));
    }

    #[test]
    fn counts_that_the_bytes_cannot_hold_are_refused() {
        let check = |bytes: &[u8], expected| {
            assert_eq!(Reader(bytes).many(Reader::flag), expected, "{bytes:?}");
        };
        check(&[0; 4], Some(vec![]));
        check(&[2, 0, 0, 0, 1, 0], Some(vec![true, false]));
        check(&[3, 0, 0, 0, 1, 0], None);
        check(&[0xff; 9], None);
        assert_eq!(Reader(&[0xff; 9]).u32s(), None);
        assert_eq!(Reader(&[0xff; 9]).text(), None);
        assert_eq!(Reader(&[1, 0, 0, 0, 0xff]).text(), None);
    }
}
