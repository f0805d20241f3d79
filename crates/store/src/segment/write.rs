//! Writes events as segments: sorts them into partitions, assembles the columns, makes the file.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use chrono::DateTime;
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use pugmark_event::batch::Batch;
use pugmark_event::fields::{self, FIELDS};
use pugmark_event::time::{DAY, Micros};

use super::assemble::{Assembled, assemble};
use super::file::{Checked, checksum};
use super::index::{BLOCK_ROWS, GROUP_ROWS, IndexBuilder};
use super::layout::{FOOTER_KEY, FORMAT, Layout};
use super::{Segment, Tails};
use crate::codec::encode::Encoder;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::manifest::SegmentInfo;
use crate::retention::Classify;

/// Files that one flush writes at most, however far its event times are spread.
pub const FILES_PER_FLUSH_MAX: usize = 64;
/// Bytes of text that statistics keep of a smallest and a largest value.
const STATISTICS_BYTES_MAX: usize = 64;
/// Largest dictionary of a column chunk; a column with more goes without.
const DICTIONARY_BYTES_MAX: usize = 256 << 10;
/// Partition of rows whose day has no file of its own.
const MIXED: &str = "mixed";

/// How hard a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Written while records come in; merged with others soon.
    Flush,
    /// Written once, in the background, and kept.
    Merge,
}

impl Effort {
    fn zstd_level(self) -> i32 {
        match self {
            Effort::Flush => 1,
            Effort::Merge => 6,
        }
    }
}

/// Makes segments in one data folder.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    classify: Arc<dyn Classify>,
    tails: Arc<Tails>,
    /// What was learnt of records; kept from flush to flush.
    encoder: Mutex<Encoder>,
    /// Makes names of files unique: events may be written more than once.
    serial: AtomicU64,
}

impl SegmentWriter {
    /// A writer whose first file has the serial number `serial`: one that no file has had.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: &Path,
        classify: Arc<dyn Classify>,
        tails: Arc<Tails>,
        serial: u64,
    ) -> Self {
        let (encoder, serial) = (Mutex::default(), AtomicU64::new(serial));
        Self { disk, dir: dir.to_path_buf(), classify, tails, encoder, serial }
    }

    /// Writes events as segments: one file for each of the partitions with most rows, one more for
    /// each class with all other days. Files already written are removed when a later one fails.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn write(&self, batches: &[Batch]) -> Result<Vec<Arc<Segment>>, StoreError> {
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Batch::concat(batches)?;
        let mut written: Vec<Arc<Segment>> = Vec::new();
        let result = self.write_partitions(&batch, &mut written);
        if let Err(error) = result {
            written.iter().for_each(|segment| segment.doom());
            return Err(error);
        }
        Ok(written)
    }

    fn write_partitions(
        &self,
        batch: &Batch,
        written: &mut Vec<Arc<Segment>>,
    ) -> Result<(), StoreError> {
        let mut encoder = self.encoder.lock();
        if encoder.is_full() {
            *encoder = Encoder::default();
        }
        for (partition, rows) in self.partitions(batch) {
            let sorted = take_record_batch(batch.columns(), &UInt32Array::from(rows))?;
            let assembled = assemble(&sorted, &mut encoder)?;
            let facts = Facts::of(&Batch::new(sorted)?);
            let info = self.write_file(&partition, &facts, assembled, Effort::Flush)?;
            written.push(self.handle(info));
        }
        let mut folders: Vec<PathBuf> =
            written.iter().filter_map(|s| Some(s.path.parent()?.to_path_buf())).collect();
        // The folders of the partitions too: a partition may be new.
        folders
            .extend(written.iter().filter_map(|s| Some(s.path.parent()?.parent()?.to_path_buf())));
        folders.push(self.dir.join("segments"));
        folders.sort();
        folders.dedup();
        for folder in folders {
            self.disk.sync_dir(&folder).map_err(StoreError::io("sync the folder", &folder))?;
        }
        Ok(())
    }

    /// A handle of a file that was just written.
    pub(crate) fn handle(&self, info: SegmentInfo) -> Arc<Segment> {
        Arc::new(Segment::new(&self.disk, &self.dir, info, &self.tails))
    }

    /// Makes the names in the folder of a segment durable.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn sync_folder(&self, segment: &Segment) -> Result<(), StoreError> {
        let Some(folder) = segment.path.parent() else { return Ok(()) };
        self.disk.sync_dir(folder).map_err(StoreError::io("sync the folder", folder))
    }

    /// Rows by partition, in the order in which they are written: by source, then time.
    fn partitions(&self, batch: &Batch) -> Vec<(Partition, Vec<u32>)> {
        let days: Vec<i64> = batch.event_times().iter().map(|t| t.div_euclid(DAY)).collect();
        let classes = self.classify.classes(batch);
        let mut counts: HashMap<(u16, i64), usize> = HashMap::new();
        for (class, day) in classes.iter().zip(&days) {
            *counts.entry((class.0, *day)).or_default() += 1;
        }
        let mut ranked: Vec<_> = counts.into_iter().map(|(key, n)| (n, key)).collect();
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        let names = self.classify.names();
        if ranked.len() > FILES_PER_FLUSH_MAX {
            // The rest of each class goes into one file.
            ranked.truncate(FILES_PER_FLUSH_MAX.saturating_sub(names.len()).max(1));
        }
        let own: BTreeMap<(u16, i64), String> =
            ranked.iter().map(|(_, key)| (*key, day_name(key.1))).collect();
        let name_of = |key: (u16, i64)| own.get(&key).map_or(MIXED, String::as_str);
        let sources = source_ranks(batch);
        let times = batch.event_times();
        let mut rows: Vec<(u16, &str, u32, Micros, u32)> = (0..batch.rows())
            .map(|row| {
                let class = classes.get(row).map_or(0, |c| c.0);
                (class, name_of((class, days[row])), sources[row], times[row], row as u32)
            })
            .collect();
        rows.sort_unstable();
        rows.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
            .map(|chunk| {
                let class = names.get(usize::from(chunk[0].0)).map_or("default", |n| n);
                let partition = Partition { class: class.to_string(), day: chunk[0].1.to_string() };
                (partition, chunk.iter().map(|r| r.4).collect())
            })
            .collect()
    }

    fn write_file(
        &self,
        partition: &Partition,
        facts: &Facts,
        assembled: Assembled,
        effort: Effort,
    ) -> Result<SegmentInfo, StoreError> {
        let mut file = self.begin(partition, facts, &assembled.columns.schema(), effort)?;
        for start in (0..assembled.columns.num_rows()).step_by(BLOCK_ROWS) {
            let rows = BLOCK_ROWS.min(assembled.columns.num_rows() - start);
            file.write(&assembled.columns.slice(start, rows))?;
        }
        file.finish(assembled.layout, assembled.index)
    }

    /// Begins a file. Dropped before it is finished, it leaves nothing.
    pub(super) fn begin(
        &self,
        partition: &Partition,
        facts: &Facts,
        schema: &SchemaRef,
        effort: Effort,
    ) -> Result<OpenSegment, StoreError> {
        let serial = self.serial.fetch_add(1, Ordering::SeqCst);
        let folder = format!("segments/{}", partition.folder());
        let name = format!("{:016}-{:016}-{serial:08x}.parquet", facts.ids.0, facts.ids.1);
        let info = SegmentInfo {
            path: format!("{folder}/{name}"),
            partition: partition.day.clone(),
            rows: facts.rows,
            raw_bytes: facts.raw_bytes,
            class: partition.class.clone(),
            format: FORMAT,
            times: facts.times,
            ids: facts.ids,
            sources: facts.sources.clone(),
            ..SegmentInfo::default()
        };
        OpenSegment::create(&self.disk, &self.dir, info, schema, effort)
    }
}

/// Where a segment belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Partition {
    /// Retention class.
    pub(crate) class: String,
    /// The UTC day of all events in it, or `mixed`.
    pub(crate) day: String,
}

impl Partition {
    /// Its folder below `segments`. Class names are plain words, see the settings.
    fn folder(&self) -> String {
        format!("{}/{}", self.class, self.day)
    }
}

/// What the manifest wants to know of the rows of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) rows: u64,
    pub(crate) raw_bytes: u64,
    pub(crate) times: (Micros, Micros),
    pub(crate) ids: (i64, i64),
    pub(crate) sources: BTreeMap<String, u64>,
}

impl Facts {
    /// Those of files whose rows are put into one.
    pub(super) fn sum<'a>(infos: impl Iterator<Item = &'a SegmentInfo>) -> Self {
        let mut sum = Self {
            rows: 0,
            raw_bytes: 0,
            times: (i64::MAX, i64::MIN),
            ids: (i64::MAX, i64::MIN),
            sources: BTreeMap::new(),
        };
        let wider = |a: (i64, i64), b: (i64, i64)| (a.0.min(b.0), a.1.max(b.1));
        for info in infos {
            sum.rows += info.rows;
            sum.raw_bytes += info.raw_bytes;
            (sum.times, sum.ids) = (wider(sum.times, info.times), wider(sum.ids, info.ids));
            for (source, rows) in &info.sources {
                *sum.sources.entry(source.clone()).or_default() += rows;
            }
        }
        sum
    }

    fn of(batch: &Batch) -> Self {
        let bounds = |values: &[i64]| {
            values.iter().fold((i64::MAX, i64::MIN), |(min, max), v| (min.min(*v), max.max(*v)))
        };
        let mut sources: BTreeMap<String, u64> = BTreeMap::new();
        let column = batch.text(fields::EVENT_SOURCE);
        for row in 0..batch.rows() {
            let source = column.map_or("", |c| c.value(row));
            match sources.get_mut(source) {
                Some(count) => *count += 1,
                None => drop(sources.insert(source.to_string(), 1)),
            }
        }
        Self {
            rows: batch.rows() as u64,
            raw_bytes: crate::ledger::raw_bytes(batch).iter().map(|bytes| *bytes as u64).sum(),
            times: bounds(batch.event_times()),
            ids: bounds(batch.ids()),
            sources,
        }
    }
}

/// A segment being written.
pub(super) struct OpenSegment {
    disk: Arc<dyn Disk>,
    info: SegmentInfo,
    path: PathBuf,
    unfinished: PathBuf,
    /// `None` once it is finished.
    writer: Option<ArrowWriter<Checked>>,
}

impl OpenSegment {
    fn create(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        info: SegmentInfo,
        schema: &SchemaRef,
        effort: Effort,
    ) -> Result<Self, StoreError> {
        let path = dir.join(&info.path);
        if let Some(folder) = path.parent() {
            disk.make_dirs(folder).map_err(StoreError::io("make the folder", folder))?;
        }
        let unfinished = path.with_extension("tmp");
        let file = disk.create(&unfinished);
        let file = file.map_err(StoreError::io("create the segment", &unfinished))?;
        let mut open = Self { disk: disk.clone(), info, path, unfinished, writer: None };
        let properties = properties(schema, effort)?;
        let writer = ArrowWriter::try_new(Checked::new(file), schema.clone(), Some(properties));
        open.writer = Some(writer.map_err(StoreError::parquet(&open.unfinished))?);
        Ok(open)
    }

    fn writer(&mut self) -> Result<&mut ArrowWriter<Checked>, StoreError> {
        let message = "it is finished already".to_string();
        let finished = StoreError::Segment { path: self.path.clone(), message };
        self.writer.as_mut().ok_or(finished)
    }

    pub(super) fn write(&mut self, columns: &RecordBatch) -> Result<(), StoreError> {
        let written = self.writer()?.write(columns);
        written.map_err(StoreError::parquet(&self.unfinished))
    }

    /// Adds filters, index and footer, syncs the file, and gives it its name.
    pub(super) fn finish(
        mut self,
        mut layout: Layout,
        index: IndexBuilder,
    ) -> Result<SegmentInfo, StoreError> {
        let unfinished = self.unfinished.clone();
        let failed = StoreError::parquet(&unfinished);
        let io = |action| StoreError::io(action, &unfinished);
        let (filters, index) = index.finish().map_err(io("pack the index of"))?;
        let writer = self.writer()?;
        writer.flush().map_err(&failed)?;
        let start = writer.bytes_written() as u64;
        writer.write_all(&filters).map_err(io("write the filters of"))?;
        writer.write_all(&index).map_err(io("write the index of"))?;
        layout.filters = Some((start, filters.len() as u64));
        layout.checksum = checksum(&filters, &index);
        layout.index = Some((start + filters.len() as u64, index.len() as u64));
        writer.append_key_value_metadata(KeyValue::new(FOOTER_KEY.to_string(), layout.text()));
        let writer = self.writer.take();
        let Some(writer) = writer else { return Err(StoreError::ReadOnly) };
        let file = writer.into_inner().map_err(&failed)?;
        let (bytes, sum) = file.finish().map_err(io("sync the segment"))?;
        self.disk.rename(&unfinished, &self.path).map_err(io("rename"))?;
        (self.info.bytes, self.info.checksum, self.info.tail_offset) = (bytes, sum, start);
        Ok(self.info.clone())
    }
}

impl Drop for OpenSegment {
    fn drop(&mut self) {
        // Nothing is there any more when it was finished.
        if self.info.bytes == 0 {
            let _ = self.disk.remove(&self.unfinished);
        }
    }
}

/// For every row the rank of its source among the names of all sources.
fn source_ranks(batch: &Batch) -> Vec<u32> {
    let Some(sources) = batch.text(fields::EVENT_SOURCE) else { return vec![0; batch.rows()] };
    let names: BTreeMap<&str, u32> = sources.iter().map(|s| (s.unwrap_or(""), 0)).collect();
    let ranks: HashMap<&str, u32> =
        names.keys().enumerate().map(|(rank, name)| (*name, rank as u32)).collect();
    sources.iter().map(|s| ranks[s.unwrap_or("")]).collect()
}

fn day_name(day: i64) -> String {
    match DateTime::from_timestamp(day.saturating_mul(86_400), 0) {
        Some(time) if (0..=9999).contains(&chrono::Datelike::year(&time)) => {
            time.format("%Y-%m-%d").to_string()
        }
        _ => MIXED.to_string(),
    }
}

fn properties(schema: &SchemaRef, effort: Effort) -> Result<WriterProperties, StoreError> {
    let level = ZstdLevel::try_new(effort.zstd_level());
    let level = level.map_err(StoreError::parquet(Path::new("zstd")))?;
    let sorting = [fields::EVENT_SOURCE, fields::EVENT_TIME]
        .iter()
        .filter_map(|id| schema.index_of(id.column()).ok())
        .map(|column| SortingColumn {
            column_idx: column as i32,
            descending: false,
            nulls_first: false,
        })
        .collect();
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(BLOCK_ROWS)
        .set_write_batch_size(BLOCK_ROWS)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES_MAX))
        .set_column_index_truncate_length(Some(STATISTICS_BYTES_MAX))
        .set_sorting_columns(Some(sorting))
        .set_created_by(concat!("pugmark ", env!("CARGO_PKG_VERSION")).to_string());
    // Bounds of registered columns help questions; of the others nobody asks.
    for field in FIELDS.iter().filter(|f| super::layout::has_bounds(f)) {
        let column = ColumnPath::from(field.column);
        properties = properties.set_column_statistics_enabled(column, EnabledStatistics::Page);
    }
    // Ids and times grow slowly: differences are small where a dictionary would hold every value.
    for id in [fields::EVENT_ID, fields::EVENT_TIME, fields::RECEIVED_TIME] {
        let column = ColumnPath::from(id.column());
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    for id in [fields::ORIGINAL, fields::ORIGINAL_BYTES] {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(id.column()), false);
    }
    Ok(properties.build())
}
