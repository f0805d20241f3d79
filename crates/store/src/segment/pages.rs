//! Pages of a segment, unpacked by one context per thread and kept for a while.
//!
//! Parquet's own reader makes contexts of zstd for every column that it opens, which takes longer
//! than unpacking a page of a few rows does. A question for few rows reads some pages more than
//! once, and whole dictionaries for a value each: these stay unpacked in [`PageCache`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;
use zstd::bulk::Decompressor;

use super::Tail;
use super::cache::Cache;
use super::file::SegmentFile;

/// Largest page that is kept.
const PAGE_KEPT_MAX: usize = 2 << 20;
/// Largest page that is unpacked; a file of ours has far smaller ones.
const UNPACKED_BYTES_MAX: usize = 64 << 20;

thread_local! {
    /// Making one takes longer than unpacking a page.
    static UNPACKER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A page by the number of its segment in this process, its column and its place in the file.
pub(crate) type Key = (u64, usize, u64);

/// Unpacked pages that were in use lately.
pub(crate) type PageCache = Cache<Key, Page>;

/// One row group of a segment, as Parquet's reader of arrays wants it.
pub(super) struct GroupPages {
    pub(super) file: SegmentFile,
    /// The number of the segment, with the cache.
    pub(super) cache: (u64, Arc<PageCache>),
    /// Whether only few rows are read: then all pages of them are kept, else only dictionaries.
    pub(super) few: bool,
    pub(super) tail: Arc<Tail>,
    pub(super) group: usize,
}

impl GroupPages {
    fn row_group(&self) -> &RowGroupMetaData {
        self.metadata().row_group(self.group)
    }

    /// The pages of a column; `None` when only Parquet's own reader can read them.
    pub(super) fn column(&self, leaf: usize) -> Option<ColumnPages> {
        let chunk = self.row_group().columns().get(leaf)?;
        let packed = match chunk.compression() {
            Compression::ZSTD(_) => true,
            Compression::UNCOMPRESSED => false,
            _ => return None,
        };
        let locations = self.metadata().offset_index()?.get(self.group)?.get(leaf)?;
        let mut waiting: VecDeque<PageLocation> = locations.page_locations().clone().into();
        let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
        let first = waiting.front()?.offset;
        let has_dictionary = first != start;
        if has_dictionary {
            let compressed_page_size = i32::try_from(first.checked_sub(start)?).ok()?;
            waiting.push_front(PageLocation {
                offset: start,
                compressed_page_size,
                first_row_index: 0,
            });
        }
        Some(ColumnPages {
            file: Arc::new(self.file.clone()),
            cache: self.cache.clone(),
            few: self.few,
            chunk: chunk.clone(),
            leaf,
            packed,
            waiting,
            has_dictionary,
            rows: self.row_group().num_rows(),
        })
    }
}

impl RowGroups for GroupPages {
    fn num_rows(&self) -> usize {
        self.row_group().num_rows() as usize
    }

    fn column_chunks(&self, leaf: usize) -> Result<Box<dyn PageIterator>> {
        let pages: Box<dyn PageReader> = match self.column(leaf) {
            Some(pages) => Box::new(pages),
            None => {
                let index = self.metadata().offset_index();
                let locations = index.and_then(|index| index.get(self.group)?.get(leaf));
                Box::new(SerializedPageReader::new(
                    Arc::new(self.file.clone()),
                    self.row_group().column(leaf),
                    self.num_rows(),
                    locations.map(|found| found.page_locations().clone()),
                )?)
            }
        };
        Ok(Box::new(Once(Some(pages))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.row_group()))
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.tail.footer.metadata()
    }
}

/// The only column chunk there is.
struct Once(Option<Box<dyn PageReader>>);

impl Iterator for Once {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for Once {}

/// The pages of one column of a row group, one after another.
pub(super) struct ColumnPages {
    file: Arc<SegmentFile>,
    cache: (u64, Arc<PageCache>),
    few: bool,
    chunk: ColumnChunkMetaData,
    leaf: usize,
    packed: bool,
    /// Where those are that are still to come; the first may be the dictionary.
    waiting: VecDeque<PageLocation>,
    has_dictionary: bool,
    rows: i64,
}

impl ColumnPages {
    fn kept(&self, at: &PageLocation) -> Result<Page> {
        let (segment, cache) = &self.cache;
        let key = (*segment, self.leaf, u64::try_from(at.offset).map_err(|_| odd())?);
        if let Some(page) = cache.get(key) {
            return Ok(page);
        }
        let page = self.read(at)?;
        let bytes = page.buffer().len();
        if bytes <= PAGE_KEPT_MAX {
            cache.put(key, page.clone(), bytes);
        }
        Ok(page)
    }

    /// Reads and unpacks a page.
    fn read(&self, at: &PageLocation) -> Result<Page> {
        if at.offset < 0 || at.compressed_page_size < 0 {
            return Err(odd());
        }
        // Told that nothing is packed, Parquet's reader reads headers and leaves the rest to us.
        let chunk = ColumnChunkMetaData::builder(self.chunk.column_descr_ptr())
            .set_data_page_offset(at.offset)
            .set_total_compressed_size(at.compressed_page_size.into())
            .build()?;
        let (file, only) = (self.file.clone(), Some(vec![at.clone()]));
        let mut reader = SerializedPageReader::new(file, &chunk, 0, only)?;
        let page = reader.get_next_page()?.ok_or_else(odd)?;
        let max = usize::try_from(self.chunk.uncompressed_size()).map_err(|_| odd())?;
        if self.packed { unpacked(page, max) } else { Ok(alone(page)) }
    }
}

/// The page with bytes of its own: those that were read may be a part of far more.
fn alone(mut page: Page) -> Page {
    match &mut page {
        Page::DataPage { buf, .. }
        | Page::DataPageV2 { buf, .. }
        | Page::DictionaryPage { buf, .. } => *buf = Bytes::copy_from_slice(buf),
    }
    page
}

/// The page with its bytes unpacked, at most `max` of them.
fn unpacked(mut page: Page, max: usize) -> Result<Page> {
    let levels = match &page {
        Page::DataPageV2 { is_compressed: false, .. } => return Ok(alone(page)),
        Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
            *def_levels_byte_len as usize + *rep_levels_byte_len as usize
        }
        Page::DataPage { .. } | Page::DictionaryPage { .. } => 0,
    };
    match &mut page {
        Page::DataPage { buf, .. }
        | Page::DataPageV2 { buf, .. }
        | Page::DictionaryPage { buf, .. } => *buf = unpack(buf, levels, max)?,
    }
    Ok(page)
}

/// The bytes behind the first `plain` ones unpacked.
fn unpack(bytes: &Bytes, plain: usize, max: usize) -> Result<Bytes> {
    let (plain, packed) = bytes.split_at_checked(plain).ok_or_else(odd)?;
    if packed.is_empty() {
        return Ok(Bytes::copy_from_slice(bytes));
    }
    let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten().ok_or_else(odd)?;
    let size = usize::try_from(size).ok().filter(|size| *size <= max.min(UNPACKED_BYTES_MAX));
    let size = size.ok_or_else(odd)?;
    UNPACKER.with_borrow_mut(|unpacker| {
        let unpacker = match unpacker {
            Some(unpacker) => unpacker,
            none => none.insert(Decompressor::new()?),
        };
        let mut out = Vec::new();
        out.try_reserve_exact(plain.len() + size).map_err(|_| odd())?;
        out.extend_from_slice(plain);
        match plain.is_empty() {
            true => drop(unpacker.decompress_to_buffer(packed, &mut out)?),
            false => out.extend_from_slice(&unpacker.decompress(packed, size)?),
        }
        Ok(out.into())
    })
}

fn odd() -> ParquetError {
    ParquetError::General("a page is not what the footer says".to_string())
}

impl Iterator for ColumnPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for ColumnPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let keep = self.few || self.has_dictionary;
        self.has_dictionary = false;
        let next = self.waiting.pop_front();
        next.map(|at| if keep { self.kept(&at) } else { self.read(&at) }).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        let Some(next) = self.waiting.front() else { return Ok(None) };
        if self.has_dictionary {
            return Ok(Some(PageMetadata { num_rows: None, num_levels: None, is_dict: true }));
        }
        let end = self.waiting.get(1).map_or(self.rows, |after| after.first_row_index);
        let rows = end.checked_sub(next.first_row_index);
        let rows = rows.and_then(|rows| usize::try_from(rows).ok()).ok_or_else(odd)?;
        Ok(Some(PageMetadata { num_rows: Some(rows), num_levels: None, is_dict: false }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.has_dictionary = false;
        self.waiting.pop_front();
        Ok(())
    }

    /// The offset index says where pages begin, and they do with a row.
    fn at_record_boundary(&mut self) -> Result<bool> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_unpacked_and_hostile_ones_refused() {
        let packed = zstd::bulk::compress(&[7; 1000], 3).unwrap();
        let mut behind = b"levels".to_vec();
        behind.extend_from_slice(&packed);
        let check = |bytes: &[u8], plain, max, expected: Option<usize>| {
            let found = unpack(&Bytes::copy_from_slice(bytes), plain, max);
            assert_eq!(found.ok().map(|found| found.len()), expected, "{plain} {max}");
        };
        check(&packed, 0, 1000, Some(1000));
        // The head of a frame that says 2^50 bytes.
        let huge = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &(1u64 << 50).to_le_bytes()].concat();
        check(&huge, 0, usize::MAX, None);
        check(&behind, 6, 1000, Some(1006));
        check(b"levels", 6, 0, Some(6));
        check(&packed, 0, 999, None);
        check(&packed[..packed.len() - 1], 0, 1000, None);
        check(&behind, 0, 1000, None);
        check(b"levels", 7, 1000, None);
    }
}
