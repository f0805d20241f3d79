//! Writes events as segments: sorts them into partitions, assembles the columns, makes the file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

use super::assemble::{assemble, lay_out};
use super::columns::{fit, unite};
use super::encoding::{Encodings, numbers, of_blocks};
use super::file::{Checked, checksum};
use super::gather::{Pick, gather};
use super::index::{BLOCK_ROWS, GROUP_ROWS, IndexBuilder};
use super::layout::{FOOTER_KEY, FORMAT, Layout};
use super::{Segment, Tails};
use crate::codec::encode::Encoder;
use crate::codec::rows::Rows;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::manifest::SegmentInfo;
use crate::retention::Classify;

/// Files that one flush writes at most, however far its event times are spread.
pub const FILES_PER_FLUSH_MAX: usize = 64;
/// Bytes of text that statistics keep of a smallest and a largest value.
const STATISTICS_BYTES_MAX: usize = 64;
/// Largest dictionary of a column chunk; a column with more goes without.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;
/// Rows after which it is seen whether a page is full.
const PAGE_CHECK_ROWS: usize = 512;
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
        let mut written: Vec<Arc<Segment>> = Vec::new();
        let result = self.write_partitions(batches, &mut written);
        if let Err(error) = result {
            written.iter().for_each(|segment| segment.doom());
            return Err(error);
        }
        Ok(written)
    }

    fn write_partitions(
        &self,
        batches: &[Batch],
        written: &mut Vec<Arc<Segment>>,
    ) -> Result<(), StoreError> {
        let mut encoder = self.encoder.lock();
        if encoder.is_full() {
            *encoder = Encoder::default();
        }
        let columns: Vec<&RecordBatch> = batches.iter().map(Batch::columns).collect();
        let rows: Vec<Rows<'_>> = columns.iter().map(|columns| Rows::new(columns)).collect();
        let raw_bytes: Vec<Vec<usize>> = batches.iter().map(crate::ledger::raw_bytes).collect();
        for (partition, picks) in self.partitions(batches, &rows) {
            let layout = lay_out(&rows, &picks);
            // Which columns the file has is known when all of its blocks are there.
            let numbers = numbers(&columns, &picks);
            let block =
                |picks| assemble(&gather(&columns, picks)?, &layout, &numbers, &mut encoder);
            let blocks = picks.chunks(BLOCK_ROWS).map(block).collect::<Result<Vec<_>, _>>()?;
            let facts = Facts::of(batches, &rows, &raw_bytes, &picks);
            let info = self.write_file(&partition, &facts, blocks, layout)?;
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
    fn partitions(&self, batches: &[Batch], rows: &[Rows<'_>]) -> Vec<(Partition, Vec<Pick>)> {
        let ranks = source_ranks(rows);
        let mut all: Vec<SortedRow> = Vec::with_capacity(batches.iter().map(Batch::rows).sum());
        for (place, batch) in batches.iter().enumerate() {
            let classes = self.classify.classes(batch);
            let times = batch.event_times();
            all.extend((0..batch.rows()).map(|row| SortedRow {
                class: classes.get(row).map_or(0, |class| class.0),
                day: times[row].div_euclid(DAY) as i32,
                source: ranks[place][row],
                time: times[row],
                batch: place as u32,
                row: row as u32,
            }));
        }
        let own = self.own_days(&all);
        for row in all.iter_mut().filter(|row| !own.contains(&(row.class, row.day))) {
            row.day = MIXED_DAY;
        }
        all.sort_unstable();
        let names = self.classify.names();
        all.chunk_by(|a, b| (a.class, a.day) == (b.class, b.day))
            .map(|rows| {
                let class = names.get(usize::from(rows[0].class)).map_or("default", |n| n);
                let partition = Partition { class: class.to_string(), day: day_name(rows[0].day) };
                (partition, rows.iter().map(|r| (r.batch as usize, r.row as usize)).collect())
            })
            .collect()
    }

    /// Classes and days that get files of their own: those with the most rows.
    fn own_days(&self, rows: &[SortedRow]) -> HashSet<(u16, i32)> {
        let mut counts: HashMap<(u16, i32), usize> = HashMap::new();
        for run in rows.chunk_by(|a, b| (a.class, a.day) == (b.class, b.day)) {
            *counts.entry((run[0].class, run[0].day)).or_default() += run.len();
        }
        let mut ranked: Vec<_> = counts
            .into_iter()
            .filter(|(key, _)| day_name(key.1) != MIXED)
            .map(|(key, n)| (n, key))
            .collect();
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        let classes = self.classify.names().len();
        if ranked.len() > FILES_PER_FLUSH_MAX {
            // The rest of each class goes into one file.
            ranked.truncate(FILES_PER_FLUSH_MAX.saturating_sub(classes).max(1));
        }
        ranked.into_iter().map(|(_, key)| key).collect()
    }

    fn write_file(
        &self,
        partition: &Partition,
        facts: &Facts,
        blocks: Vec<RecordBatch>,
        layout: Layout,
    ) -> Result<SegmentInfo, StoreError> {
        let schema = unite(blocks.iter().map(|block| &**block.schema_ref()), &layout);
        let encodings = of_blocks(&blocks, &schema);
        let mut file = self.begin(partition, facts, &schema, &encodings, Effort::Flush)?;
        for block in blocks {
            file.write(&fit(&block, &schema)?, &layout)?;
        }
        file.finish(layout)
    }

    /// Begins a file. Dropped before it is finished, it leaves nothing.
    pub(super) fn begin(
        &self,
        partition: &Partition,
        facts: &Facts,
        schema: &SchemaRef,
        encodings: &Encodings,
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
        let properties = properties(schema, encodings, effort)?;
        OpenSegment::create(&self.disk, &self.dir, info, schema, properties)
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

    fn of(batches: &[Batch], rows: &[Rows<'_>], raw_bytes: &[Vec<usize>], picks: &[Pick]) -> Self {
        let mut facts = Self::sum(std::iter::empty());
        let wider = |a: (i64, i64), v: i64| (a.0.min(v), a.1.max(v));
        let source = |pick: &Pick| rows[pick.0].source(pick.1);
        for run in picks.chunk_by(|a, b| source(a) == source(b)) {
            *facts.sources.entry(source(&run[0]).to_string()).or_default() += run.len() as u64;
        }
        facts.rows = picks.len() as u64;
        for (batch, row) in picks {
            facts.raw_bytes += raw_bytes[*batch][*row] as u64;
            facts.times = wider(facts.times, batches[*batch].event_times()[*row]);
            facts.ids = wider(facts.ids, batches[*batch].ids()[*row]);
        }
        facts
    }
}

/// A segment being written.
pub(super) struct OpenSegment {
    disk: Arc<dyn Disk>,
    info: SegmentInfo,
    path: PathBuf,
    unfinished: PathBuf,
    index: IndexBuilder,
    /// `None` once it is finished.
    writer: Option<ArrowWriter<Checked>>,
}

impl OpenSegment {
    fn create(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        info: SegmentInfo,
        schema: &SchemaRef,
        properties: WriterProperties,
    ) -> Result<Self, StoreError> {
        let path = dir.join(&info.path);
        if let Some(folder) = path.parent() {
            disk.make_dirs(folder).map_err(StoreError::io("make the folder", folder))?;
        }
        let unfinished = path.with_extension("tmp");
        let file = disk.create(&unfinished);
        let file = file.map_err(StoreError::io("create the segment", &unfinished))?;
        let index = IndexBuilder::new(schema);
        let mut open = Self { disk: disk.clone(), info, path, unfinished, index, writer: None };
        let writer = ArrowWriter::try_new(Checked::new(file), schema.clone(), Some(properties));
        open.writer = Some(writer.map_err(StoreError::parquet(&open.unfinished))?);
        Ok(open)
    }

    fn writer(&mut self) -> Result<&mut ArrowWriter<Checked>, StoreError> {
        let message = "it is finished already".to_string();
        let finished = StoreError::Segment { path: self.path.clone(), message };
        self.writer.as_mut().ok_or(finished)
    }

    /// Adds the next rows: [`BLOCK_ROWS`] of them, fewer at the end.
    pub(super) fn write(
        &mut self,
        columns: &RecordBatch,
        layout: &Layout,
    ) -> Result<(), StoreError> {
        self.index.block(columns, layout);
        let written = self.writer()?.write(columns);
        written.map_err(StoreError::parquet(&self.unfinished))
    }

    /// Adds filters, index and footer, syncs the file, and gives it its name.
    pub(super) fn finish(mut self, mut layout: Layout) -> Result<SegmentInfo, StoreError> {
        let unfinished = self.unfinished.clone();
        let failed = StoreError::parquet(&unfinished);
        let io = |action| StoreError::io(action, &unfinished);
        let index = std::mem::take(&mut self.index);
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

/// A row to be written; sorted, they are in the order of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SortedRow {
    class: u16,
    day: i32,
    /// Rank of its source among the names of all sources.
    source: u32,
    time: Micros,
    batch: u32,
    row: u32,
}

/// For every row of every batch the rank of its source among the names of all sources.
fn source_ranks(batches: &[Rows<'_>]) -> Vec<Vec<u32>> {
    let sources: Vec<Vec<&str>> =
        batches.iter().map(|rows| (0..rows.len()).map(|row| rows.source(row)).collect()).collect();
    let mut ranks: BTreeMap<&str, u32> = BTreeMap::new();
    for run in sources.iter().flat_map(|sources| sources.chunk_by(|a, b| a == b)) {
        ranks.insert(run[0], 0);
    }
    ranks.values_mut().zip(0..).for_each(|(rank, place)| *rank = place);
    let rank = |run: &[&str]| std::iter::repeat_n(ranks[run[0]], run.len());
    sources.iter().map(|s| s.chunk_by(|a, b| a == b).flat_map(rank).collect()).collect()
}

/// Stands for all days without a file of their own. Event times are far from it.
const MIXED_DAY: i32 = i32::MAX;

fn day_name(day: i32) -> String {
    match DateTime::from_timestamp(i64::from(day).saturating_mul(86_400), 0) {
        Some(time) if (0..=9999).contains(&chrono::Datelike::year(&time)) => {
            time.format("%Y-%m-%d").to_string()
        }
        _ => MIXED.to_string(),
    }
}

fn properties(
    schema: &SchemaRef,
    encodings: &Encodings,
    effort: Effort,
) -> Result<WriterProperties, StoreError> {
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
        .set_data_page_row_count_limit(GROUP_ROWS)
        .set_write_batch_size(PAGE_CHECK_ROWS)
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
    for (name, style) in encodings {
        let column = ColumnPath::from(name.as_str());
        properties = properties.set_column_data_page_size_limit(column.clone(), style.page_bytes);
        if let Some(encoding) = style.encoding {
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, encoding);
        }
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
