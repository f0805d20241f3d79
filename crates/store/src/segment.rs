//! Segments: immutable Parquet files of events, one per UTC day and flush.
//!
//! Rows are sorted by source, then time. The columns are those of the field registry that some
//! event in the file has, so any Parquet reader understands them; `attributes` is a map from text
//! to text. A file is written beside its place, synced, and renamed: a file with its final name
//! is whole. The manifest says which files count.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use chrono::DateTime;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use pugmark_event::fields::{self, Kind};
use pugmark_event::time::{DAY, Micros};
use pugmark_event::{Batch, Field};

use crate::error::StoreError;
use crate::manifest::SegmentInfo;
use crate::memtable::Entry;
use crate::wal::sync_dir;

/// Files that one flush writes at most, however far its event times are spread.
pub const FILES_PER_FLUSH_MAX: usize = 64;
/// Rows of a row group.
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Rows of a page: the unit that the page index lets a reader skip.
const PAGE_ROWS: usize = 8192;
/// Bytes of text that statistics keep of a smallest and a largest value.
const STATISTICS_BYTES_MAX: usize = 64;
const ZSTD_LEVEL: i32 = 3;
/// Partition of rows whose day has no file of its own.
const MIXED: &str = "mixed";
/// Footers kept in memory at most; beyond it they are read again.
const FOOTERS_MAX: usize = 2000;

/// A segment in use. The file goes when the manifest has let go of it and no snapshot holds it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) info: SegmentInfo,
    pub(crate) path: PathBuf,
    doomed: AtomicBool,
    footer: OnceLock<ArrowReaderMetadata>,
    footers: Arc<AtomicUsize>,
}

impl Segment {
    pub(crate) fn new(dir: &Path, info: SegmentInfo, footers: &Arc<AtomicUsize>) -> Self {
        let path = dir.join(&info.path);
        Self {
            info,
            path,
            doomed: AtomicBool::new(false),
            footer: OnceLock::new(),
            footers: footers.clone(),
        }
    }

    /// The file is removed when the last holder lets go.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) -> Result<File, StoreError> {
        File::open(&self.path).map_err(StoreError::io("open the segment", &self.path))
    }

    /// The footer with the page index.
    pub(crate) fn footer(&self, file: &File) -> Result<ArrowReaderMetadata, StoreError> {
        if let Some(footer) = self.footer.get() {
            return Ok(footer.clone());
        }
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let footer =
            ArrowReaderMetadata::load(file, options).map_err(StoreError::parquet(&self.path))?;
        if self.footers.load(Ordering::Relaxed) < FOOTERS_MAX
            && self.footer.set(footer.clone()).is_ok()
        {
            self.footers.fetch_add(1, Ordering::Relaxed);
        }
        Ok(footer)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.footer.get().is_some() {
            self.footers.fetch_sub(1, Ordering::Relaxed);
        }
        if *self.doomed.get_mut()
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            // The next start removes files that the manifest does not know.
            tracing::warn!(file = %self.path.display(), %error, "cannot remove a segment");
        }
    }
}

/// Writes events as segments below `dir`: one file for each of the days with most rows, one more
/// for all other days. Files already written are removed when a later one fails.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(
    dir: &Path,
    entries: &[Arc<Entry>],
    footers: &Arc<AtomicUsize>,
) -> Result<Vec<Arc<Segment>>, StoreError> {
    let batches: Vec<Batch> = entries.iter().map(|e| e.batch.clone()).collect();
    if batches.is_empty() {
        return Ok(Vec::new());
    }
    let batch = Batch::concat(&batches)?;
    let mut written: Vec<Arc<Segment>> = Vec::new();
    let mut folders: Vec<PathBuf> = Vec::new();
    for (partition, rows) in partitions(&batch) {
        match write_file(dir, &partition, &batch, &rows) {
            Ok(info) => {
                let segment = Segment::new(dir, info, footers);
                folders.extend(segment.path.parent().map(Path::to_path_buf));
                written.push(Arc::new(segment));
            }
            Err(error) => {
                written.iter().for_each(|segment| segment.doom());
                return Err(error);
            }
        }
    }
    // The folder of the partitions too: a partition may be new.
    folders.push(dir.join("segments"));
    for folder in folders {
        if let Err(source) = sync_dir(&folder) {
            written.iter().for_each(|segment| segment.doom());
            return Err(StoreError::Io { action: "sync the folder", path: folder, source });
        }
    }
    Ok(written)
}

/// Row numbers by partition, in the order in which they are written.
fn partitions(batch: &Batch) -> Vec<(String, Vec<u32>)> {
    let days: Vec<i64> = batch.event_times().iter().map(|t| t.div_euclid(DAY)).collect();
    let mut counts: HashMap<i64, usize> = HashMap::new();
    for day in &days {
        *counts.entry(*day).or_default() += 1;
    }
    let mut ranked: Vec<(usize, i64)> = counts.into_iter().map(|(d, n)| (n, d)).collect();
    ranked.sort_unstable_by(|a, b| b.cmp(a));
    if ranked.len() > FILES_PER_FLUSH_MAX {
        ranked.truncate(FILES_PER_FLUSH_MAX - 1);
    }
    let own: BTreeMap<i64, String> = ranked.iter().map(|(_, d)| (*d, day_name(*d))).collect();
    let name_of = |day: &i64| own.get(day).map_or(MIXED, String::as_str);

    let sources = source_ranks(batch);
    let times = batch.event_times();
    let mut rows: Vec<(&str, u32, Micros, u32)> = (0..batch.rows())
        .map(|row| (name_of(&days[row]), sources[row], times[row], row as u32))
        .collect();
    rows.sort_unstable();
    rows.chunk_by(|a, b| a.0 == b.0)
        .map(|chunk| (chunk[0].0.to_string(), chunk.iter().map(|r| r.3).collect()))
        .collect()
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

fn write_file(
    dir: &Path,
    partition: &str,
    batch: &Batch,
    rows: &[u32],
) -> Result<SegmentInfo, StoreError> {
    let (ids, times) = (batch.ids(), batch.event_times());
    let of = |values: &[i64]| {
        let picked = rows.iter().map(|r| values[*r as usize]);
        picked.fold((i64::MAX, i64::MIN), |(min, max), v| (min.min(v), max.max(v)))
    };
    let (ids, times) = (of(ids), of(times));
    let folder = dir.join("segments").join(partition);
    std::fs::create_dir_all(&folder).map_err(StoreError::io("make the folder", &folder))?;
    // Events that are made anew have the ids of the old ones: never write over a file.
    let stem = format!("{:016}-{:016}", ids.0, ids.1);
    let names = (0..).map(|serial| match serial {
        0 => format!("{stem}.parquet"),
        _ => format!("{stem}-{serial}.parquet"),
    });
    let name = names.into_iter().find(|name| !folder.join(name).exists()).unwrap_or_default();
    let path = folder.join(&name);
    let unfinished = folder.join(format!("{name}.tmp"));
    let result = write_parquet(&unfinished, batch.columns(), rows).and_then(|bytes| {
        std::fs::rename(&unfinished, &path).map_err(StoreError::io("rename", &unfinished))?;
        Ok(bytes)
    });
    let bytes = result.inspect_err(|_| {
        let _ = std::fs::remove_file(&unfinished);
    })?;
    let mut sources: BTreeMap<String, u64> = BTreeMap::new();
    let column = batch.text(fields::EVENT_SOURCE);
    for row in rows {
        let source = column.map_or("", |c| c.value(*row as usize));
        match sources.get_mut(source) {
            Some(count) => *count += 1,
            None => drop(sources.insert(source.to_string(), 1)),
        }
    }
    Ok(SegmentInfo {
        path: format!("segments/{partition}/{name}"),
        partition: partition.to_string(),
        rows: rows.len() as u64,
        bytes,
        times,
        ids,
        sources,
        ..SegmentInfo::default()
    })
}

/// Writes the rows and syncs the file; returns its size.
fn write_parquet(path: &Path, columns: &RecordBatch, rows: &[u32]) -> Result<u64, StoreError> {
    let failed = StoreError::parquet(path);
    let columns = without_empty(columns, rows.len())?;
    let file = File::create(path).map_err(StoreError::io("create the segment", path))?;
    let mut writer =
        ArrowWriter::try_new(file, columns.schema(), Some(properties()?)).map_err(&failed)?;
    for rows in rows.chunks(ROW_GROUP_ROWS / 4) {
        let sorted = take_record_batch(&columns, &UInt32Array::from(rows.to_vec()))?;
        writer.write(&sorted).map_err(&failed)?;
    }
    let file = writer.into_inner().map_err(&failed)?;
    file.sync_all().map_err(StoreError::io("sync the segment", path))?;
    Ok(file.metadata().map_err(StoreError::io("read the size of", path))?.len())
}

/// Drops columns that hold nothing but nulls.
fn without_empty(columns: &RecordBatch, rows: usize) -> Result<RecordBatch, StoreError> {
    let kept: Vec<usize> = (0..columns.num_columns())
        .filter(|i| rows == 0 || columns.column(*i).null_count() < columns.num_rows())
        .collect();
    Ok(columns.project(&kept)?)
}

fn properties() -> Result<WriterProperties, StoreError> {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(StoreError::parquet(Path::new("zstd")))?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES_MAX))
        .set_column_index_truncate_length(Some(STATISTICS_BYTES_MAX))
        .set_created_by(concat!("pugmark ", env!("CARGO_PKG_VERSION")).to_string());
    // Ids and times grow slowly: differences are small where a dictionary would hold every value.
    for id in [fields::EVENT_ID, fields::EVENT_TIME, fields::RECEIVED_TIME] {
        let column = ColumnPath::from(id.column());
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    // The smallest and the largest raw record tell a reader nothing.
    for id in [fields::ORIGINAL, fields::ORIGINAL_BYTES] {
        let column = ColumnPath::from(id.column());
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_statistics_enabled(column, EnabledStatistics::None);
    }
    Ok(properties.build())
}

/// True for a column whose statistics are worth a look.
pub(crate) fn has_bounds(field: &Field) -> bool {
    !matches!(field.kind, Kind::Bytes) && field.column != fields::ORIGINAL.column()
}

/// Removes files below `dir` that the manifest does not know: what a crash left of a flush.
///
/// # Errors
/// When a folder cannot be read.
pub(crate) fn remove_orphans(dir: &Path, known: &[Arc<Segment>]) -> Result<usize, StoreError> {
    let root = dir.join("segments");
    std::fs::create_dir_all(&root).map_err(StoreError::io("make the folder", &root))?;
    let known: std::collections::HashSet<&Path> = known.iter().map(|s| s.path.as_path()).collect();
    let mut removed = 0;
    let list = |path: &Path| -> Result<Vec<PathBuf>, StoreError> {
        let entries = std::fs::read_dir(path).map_err(StoreError::io("list", path))?;
        Ok(entries.filter_map(|e| Some(e.ok()?.path())).collect())
    };
    for folder in list(&root)?.into_iter().filter(|p| p.is_dir()) {
        for file in list(&folder)? {
            let ours = file.extension().is_some_and(|e| e == "parquet" || e == "tmp");
            if ours && !known.contains(file.as_path()) {
                tracing::info!(file = %file.display(), "removing what a crash left of a flush");
                std::fs::remove_file(&file).map_err(StoreError::io("remove", &file))?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}
