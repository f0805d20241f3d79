//! Reading: a snapshot cut into independent parts, each a plain blocking iterator.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions,
    UInt64Array, new_null_array,
};
use arrow::compute::{and, cast, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::RowGroupMetaData;
use pugmark_event::Batch;
use pugmark_event::batch::schema;
use pugmark_event::conflict::{self, CONFLICTS_PREFIX};
use pugmark_event::fields::{self, EVENT_ID, EVENT_TIME, ISSUES, ORIGINAL};
use pugmark_event::time::Micros;

use crate::codec::words::has_words;
use crate::derived;
use crate::disk::DiskRead;
use crate::error::StoreError;
use crate::keep::{Keep, RecordTest};
use crate::memtable::Entry;
use crate::meter::Meter;
use crate::segment::counts::{Counts, counts};
use crate::segment::index::{GROUP_ROWS, Index};
use crate::segment::layout::has_bounds;
use crate::segment::read::SegmentScan;
use crate::segment::{Segment, Tail};

/// Rows of a batch that a scan of memory returns, at most.
const BATCH_ROWS: usize = 8192;

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// Columns in the order wanted, by column name; `None` means all of the registry. Also
    /// `attributes.NAME`, the text of an attribute (null where it is absent, empty where it has no
    /// value), `conflicts.COLUMN`, the list of a field's values that did not fit its column, and
    /// [`ROW`](crate::ROW), the place for [`ScanPart::take`].
    pub columns: Option<Vec<String>>,
    /// Earliest event time, inclusive.
    pub from: Option<Micros>,
    /// Latest event time, exclusive.
    pub to: Option<Micros>,
    /// Conditions that every wanted row meets, in the column or with a value that did not fit it.
    /// Parts use them to skip what cannot match; rows that do not match may still come.
    pub filters: Vec<Prune>,
    /// More such conditions: the values of which a column has one.
    pub any_of: Vec<AnyOf>,
    /// Words that the record of every wanted row has: longest runs of ASCII letters, digits and
    /// underscores, letters in lower case. No other row comes.
    pub words: Vec<String>,
    /// Texts of which the record of every wanted row has one; their ASCII letters are in lower
    /// case and count in both, and they have neither quotes nor backslashes. Rows of segments that
    /// have none do not come.
    pub parts: Vec<String>,
    /// Rows that it does not keep are not returned.
    pub keep: Option<Arc<dyn Keep>>,
    /// Rows whose record does not pass all of these are not returned.
    pub records: Vec<Arc<dyn RecordTest>>,
    /// Smallest and largest event id, both inclusive.
    pub ids: Option<(i64, i64)>,
    /// Which attributes the column `attributes` is asked for, by their names in ASCII lower case;
    /// others may be missing from it then. `None` asks for all.
    pub attributes: Option<Arc<BTreeSet<String>>>,
    /// Text may come as dictionaries of 32-bit keys, where it is stored so: each value is there
    /// once, and batches one after the other share the values. That of an attribute may come as
    /// integers, where each is as people write it.
    pub dictionaries: bool,
}

/// A condition on a column: a null never meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    /// Column name.
    pub column: String,
    /// How the column's value compares to `value`.
    pub op: PruneOp,
    /// The other side.
    pub value: PruneValue,
}

/// A condition on a column: it has one of these values, text in upper or lower case of its ASCII
/// letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyOf {
    /// Column name.
    pub column: String,
    /// The values.
    pub values: Vec<PruneValue>,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneOp {
    /// Equal.
    Eq,
    /// Less than.
    Lt,
    /// At most.
    LtEq,
    /// Greater than.
    Gt,
    /// At least.
    GtEq,
}

/// A literal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PruneValue {
    /// Text, compared byte by byte.
    Text(String),
    /// An integer, or microseconds for a time.
    Long(i64),
}

impl Scan {
    /// The schema of every batch that this scan returns, but for dictionaries.
    ///
    /// # Errors
    /// When a column is asked for that the registry does not have.
    pub fn schema(&self) -> Result<SchemaRef, StoreError> {
        let all = schema();
        let Some(columns) = &self.columns else { return Ok(all) };
        let field = |name: &String| {
            let found = all.fields().iter().find(|f| f.name() == name).cloned();
            found.or_else(|| derived::field(name)).ok_or_else(|| StoreError::Column(name.clone()))
        };
        let fields = columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(Schema::new(fields)))
    }

    /// True when something between these times and ids may be wanted.
    fn touches(&self, times: (Micros, Micros), ids: (i64, i64)) -> bool {
        self.from.is_none_or(|from| times.1 >= from)
            && self.to.is_none_or(|to| times.0 < to)
            && self.ids.is_none_or(|(first, last)| ids.1 >= first && ids.0 <= last)
    }

    /// True when everything between these times and ids is wanted.
    fn covers(&self, times: (Micros, Micros), ids: (i64, i64)) -> bool {
        self.from.is_none_or(|from| times.0 >= from)
            && self.to.is_none_or(|to| times.1 < to)
            && self.ids.is_none_or(|(first, last)| ids.0 >= first && ids.1 <= last)
    }

    /// The rows of a batch with `event_id` and `event_time` that are wanted.
    pub(crate) fn within(&self, batch: &RecordBatch) -> BooleanArray {
        let longs = |name: &str| -> Option<Vec<i64>> {
            Some(longs(batch.column_by_name(name)?)?.values().to_vec())
        };
        let times = longs(EVENT_TIME.column()).unwrap_or_default();
        let ids = longs(EVENT_ID.column()).unwrap_or_default();
        (0..batch.num_rows())
            .map(|row| {
                let (time, id) = (times.get(row).copied(), ids.get(row).copied());
                Some(time.zip(id).is_some_and(|(t, i)| self.touches((t, t), (i, i))))
            })
            .collect()
    }
}

/// A stable view of everything in the store at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) segments: Arc<Vec<Arc<Segment>>>,
    meter: Option<Arc<Meter>>,
}

impl Snapshot {
    pub(crate) fn new(entries: Vec<Arc<Entry>>, segments: Arc<Vec<Arc<Segment>>>) -> Self {
        Self { entries, segments, meter: None }
    }

    /// The same view; what its scans look at is counted.
    #[must_use]
    pub fn metered(self, meter: Arc<Meter>) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// Independent parts that together hold every wanted row once, those with the newest event
    /// first. Within a part rows have no order.
    pub fn scan(&self, scan: Scan) -> Vec<ScanPart> {
        let scan = Arc::new(scan);
        let fresh = self.entries.iter().map(|entry| Origin::Memory(entry.clone()));
        let stored = self.segments.iter().flat_map(|segment| {
            let groups = groups_of(segment);
            (0..groups).map(move |group| Origin::Segment(segment.clone(), group, groups))
        });
        if let Some(meter) = &self.meter {
            meter.segments.add(self.segments.len() as u64);
            meter.row_groups.add(self.segments.iter().map(|s| groups_of(s) as u64).sum());
            meter.rows.add(self.rows());
        }
        let mut parts: Vec<ScanPart> = fresh
            .chain(stored)
            .map(|origin| ScanPart { scan: scan.clone(), origin, meter: self.meter.clone() })
            .filter(|part| scan.touches(part.times(), part.ids()))
            .collect();
        // The rows of a source are sorted by time: of a file, what comes last is newest.
        parts.sort_by_key(|part| std::cmp::Reverse((part.times().1, part.group())));
        parts
    }

    /// Number of events.
    pub fn rows(&self) -> u64 {
        let fresh: usize = self.entries.iter().map(|e| e.batch.rows()).sum();
        fresh as u64 + self.segments.iter().map(|s| s.info.rows).sum::<u64>()
    }

    /// Largest event id; 0 without events.
    pub fn last_id(&self) -> i64 {
        let fresh = self.entries.iter().map(|e| e.ids.1 - 1);
        fresh.chain(self.segments.iter().map(|s| s.info.ids.1)).max().unwrap_or(0)
    }

    /// Event time of the newest event.
    pub fn newest_event_time(&self) -> Option<Micros> {
        let fresh = self.entries.iter().map(|e| e.times.1);
        fresh.chain(self.segments.iter().map(|s| s.info.times.1)).max()
    }
}

/// Row groups of a segment: the writer fills each before it begins the next.
fn groups_of(segment: &Segment) -> usize {
    segment.info.rows.div_ceil(GROUP_ROWS as u64).max(1) as usize
}

/// A piece of a snapshot that can be read on its own.
#[derive(Debug, Clone)]
pub struct ScanPart {
    scan: Arc<Scan>,
    origin: Origin,
    meter: Option<Arc<Meter>>,
}

#[derive(Debug, Clone)]
enum Origin {
    Memory(Arc<Entry>),
    /// A segment, one of its row groups, and how many it has.
    Segment(Arc<Segment>, usize, usize),
}

/// Batches of a part.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch, StoreError>> + Send>;

impl ScanPart {
    /// Rows that the part holds at most.
    pub fn rows(&self) -> u64 {
        match &self.origin {
            Origin::Memory(entry) => entry.batch.rows() as u64,
            Origin::Segment(segment, group, _) => {
                let before = (*group * GROUP_ROWS) as u64;
                segment.info.rows.saturating_sub(before).min(GROUP_ROWS as u64)
            }
        }
    }

    /// Which row group of its file it is.
    fn group(&self) -> usize {
        match &self.origin {
            Origin::Memory(_) => 0,
            Origin::Segment(_, group, _) => *group,
        }
    }

    /// Earliest and latest event time in it.
    pub fn times(&self) -> (Micros, Micros) {
        match &self.origin {
            Origin::Memory(entry) => entry.times,
            Origin::Segment(segment, ..) => segment.info.times,
        }
    }

    /// Its rows, where it is known without reading that all of them are wanted.
    pub fn rows_wanted(&self) -> Option<u64> {
        let all = self.scan.keep.is_none()
            && self.scan.records.is_empty()
            && self.scan.parts.is_empty()
            && self.scan.covers(self.times(), self.ids());
        all.then(|| self.rows())
    }

    /// How many of its wanted rows have each value of a column, where the file says so without
    /// its rows being read; `None` where it does not.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn counts(&self, column: &str) -> Result<Option<Counts>, StoreError> {
        let Origin::Segment(segment, group, of) = &self.origin else { return Ok(None) };
        let scan = &self.scan;
        let Some(id) = fields::by_name(column) else { return Ok(None) };
        let of_conflicts =
            |name: &str| name.strip_prefix(CONFLICTS_PREFIX).and_then(fields::by_name);
        let is_its = |name: &String| *name == column || of_conflicts(name) == Some(id);
        let plain = scan.words.is_empty()
            && scan.parts.is_empty()
            && scan.records.is_empty()
            // Whoever looks for one value has the index, which says where it is.
            && scan.any_of.is_empty()
            && scan.covers(self.times(), self.ids())
            && scan.keep.as_ref().is_none_or(|keep| keep.columns().iter().all(is_its));
        if !plain {
            return Ok(None);
        }
        let file = self.open(segment)?;
        let tail = segment.tail(&file)?;
        let metadata = tail.footer.metadata();
        // What the manifest says bounds what is read of a file that says otherwise.
        let as_said = metadata.num_row_groups() == *of
            && metadata.row_group(*group).num_rows() as u64 == self.rows();
        let fits = |index: &Index| !index.conflicts(id);
        if !as_said || scan.keep.is_some() && !tail.index.as_ref().is_some_and(fits) {
            return Ok(None);
        }
        if !row_groups(scan, segment, &tail)?.contains(group) {
            return Ok(Some(Counts::empty()));
        }
        let Some(counts) = counts(segment, &file, &tail, *group, column)? else { return Ok(None) };
        match (&scan.keep, scan.keep_schema()?) {
            (Some(keep), Some(schema)) => {
                counts.only(&kept_values(&**keep, &schema, column, &counts.values)?).map(Some)
            }
            _ => Ok(Some(counts)),
        }
    }

    /// The same part for another scan.
    pub fn with(&self, scan: Arc<Scan>) -> ScanPart {
        ScanPart { scan, ..self.clone() }
    }

    /// Smallest and largest event id in it.
    fn ids(&self) -> (i64, i64) {
        match &self.origin {
            Origin::Memory(entry) => (entry.ids.0, entry.ids.1 - 1),
            Origin::Segment(segment, ..) => segment.info.ids,
        }
    }

    /// Reads it. Blocks the thread; every batch has exactly the columns of [`Scan::schema`].
    pub fn read(self) -> Batches {
        let all = self.scan.covers(self.times(), self.ids());
        let result = match &self.origin {
            Origin::Memory(entry) => {
                if let Some(meter) = &self.meter {
                    meter.rows_read.add(self.rows());
                }
                read_memory(&self.scan, entry, all)
            }
            Origin::Segment(segment, group, of) => self.read_segment(segment, (*group, *of), all),
        };
        result.unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))
    }

    /// Reads the rows at these places, which a scan of this part for [`ROW`](crate::ROW) gave, with
    /// the columns of this scan and whatever else it asks. Blocks the thread.
    pub fn take(self, places: &[i64]) -> Batches {
        let result = match &self.origin {
            Origin::Memory(entry) => take_memory(&self.scan, entry, places),
            Origin::Segment(segment, ..) => self.take_segment(segment, places),
        };
        result.unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))
    }

    fn take_segment(&self, segment: &Arc<Segment>, places: &[i64]) -> Result<Batches, StoreError> {
        let file = self.open(segment)?;
        let tail = segment.tail(&file)?;
        let (scan, segment, meter) = (self.scan.clone(), segment.clone(), self.meter.clone());
        let read = SegmentScan { scan, segment, file, tail, groups: Vec::new(), all: true, meter };
        Ok(Box::new(read.take(places)?))
    }

    fn read_segment(
        &self,
        segment: &Arc<Segment>,
        (group, of): (usize, usize),
        all: bool,
    ) -> Result<Batches, StoreError> {
        let file = self.open(segment)?;
        let tail = segment.tail(&file)?;
        let mut groups = row_groups(&self.scan, segment, &tail)?;
        // Files of format 1 may cut their groups elsewhere: the last part takes what is beyond.
        groups.retain(|g| *g == group || group + 1 == of && *g >= of);
        if groups.is_empty() {
            return Ok(Box::new(std::iter::empty()));
        }
        let (scan, segment, meter) = (self.scan.clone(), segment.clone(), self.meter.clone());
        Ok(Box::new(SegmentScan { scan, segment, file, tail, groups, all, meter }.read()?))
    }

    fn open(&self, segment: &Segment) -> Result<Arc<dyn DiskRead>, StoreError> {
        let file = segment.open()?;
        Ok(match &self.meter {
            Some(meter) => meter.of_file(file),
            None => file,
        })
    }
}

fn take_memory(scan: &Scan, entry: &Arc<Entry>, places: &[i64]) -> Result<Batches, StoreError> {
    let columns = derived::align(entry.batch.columns(), &scan.schema()?)?;
    let rows = UInt64Array::from_iter_values(places.iter().map(|place| *place as u64));
    Ok(Box::new(std::iter::once(Ok(take_record_batch(&columns, &rows)?))))
}

fn read_memory(scan: &Scan, entry: &Arc<Entry>, all: bool) -> Result<Batches, StoreError> {
    let wanted = scan.schema()?;
    let columns = entry.batch.columns();
    // Cut the columns first: filtering copies.
    let mut keep: Option<BooleanArray> = None;
    let mut only = |part: BooleanArray| -> Result<(), StoreError> {
        keep = Some(match &keep {
            Some(before) => and(before, &part)?,
            None => part,
        });
        Ok(())
    };
    if !all {
        only(scan.within(columns))?;
    }
    if let (Some(keep), Some(schema)) = (&scan.keep, scan.keep_schema()?) {
        only(keep.keep(&derived::align(columns, &schema)?))?;
    }
    if !scan.words.is_empty() {
        only(with_words(&entry.batch, &scan.words))?;
    }
    if scan.asks_records() {
        only(BooleanArray::new(scan.records_pass(columns), None))?;
    }
    let columns = match keep {
        Some(keep) if keep.true_count() == 0 => return Ok(Box::new(std::iter::empty())),
        Some(keep) => filter_record_batch(&derived::align(columns, &wanted)?, &keep)?,
        None => derived::align(columns, &wanted)?,
    };
    if columns.num_rows() == 0 {
        return Ok(Box::new(std::iter::empty()));
    }
    let starts = (0..columns.num_rows()).step_by(BATCH_ROWS);
    Ok(Box::new(
        starts
            .map(move |start| Ok(columns.slice(start, BATCH_ROWS.min(columns.num_rows() - start)))),
    ))
}

/// Which of these values of a column `keep` keeps, of which null is one perhaps. Every value fits
/// its column.
fn kept_values(
    keep: &dyn Keep,
    schema: &SchemaRef,
    column: &str,
    values: &ArrayRef,
) -> Result<BooleanArray, StoreError> {
    let rows = values.len();
    let of_field = |field: &Arc<Field>| match field.name() == column {
        true => values.clone(),
        false => new_null_array(field.data_type(), rows),
    };
    let columns = schema.fields().iter().map(of_field).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(keep.keep(&RecordBatch::try_new_with_options(schema.clone(), columns, &options)?))
}

/// Events whose record has every word.
fn with_words(batch: &Batch, words: &[String]) -> BooleanArray {
    let records = batch.text(ORIGINAL);
    let record = |row| records.filter(|r| r.is_valid(row)).map_or("", |r| r.value(row)).as_bytes();
    (0..batch.rows()).map(|row| Some(has_words(record(row), words))).collect()
}

/// Row groups that may hold a wanted row.
fn row_groups(scan: &Scan, segment: &Segment, tail: &Tail) -> Result<Vec<usize>, StoreError> {
    let footer = &tail.footer;
    let mut conditions = scan.filters.clone();
    let mut bound = |column: fields::FieldId, op, value| {
        let (column, value) = (column.column().to_string(), PruneValue::Long(value));
        conditions.push(Prune { column, op, value });
    };
    if let Some(from) = scan.from {
        bound(EVENT_TIME, PruneOp::GtEq, from);
    }
    if let Some(to) = scan.to {
        bound(EVENT_TIME, PruneOp::Lt, to);
    }
    if let Some((first, last)) = scan.ids {
        bound(EVENT_ID, PruneOp::GtEq, first);
        bound(EVENT_ID, PruneOp::LtEq, last);
    }
    let groups = footer.metadata().num_row_groups();
    if conditions.is_empty() && scan.any_of.is_empty() {
        return Ok((0..groups).collect());
    }
    let mut kept = vec![true; groups];
    let parquet = StoreError::parquet(&segment.path);
    let odd = with_issues(footer);
    let mut cut = |column: &str, may: Vec<bool>| {
        // A value that did not fit its column is not in the column's bounds.
        let field = fields::by_name(column).filter(|f| conflict::possible(*f));
        let field = field.filter(|f| tail.index.as_ref().is_none_or(|index| index.conflicts(*f)));
        for ((kept, may), odd) in kept.iter_mut().zip(may).zip(&odd) {
            *kept &= may || field.is_some() && *odd;
        }
    };
    for condition in &conditions {
        cut(&condition.column, may_meet(condition, footer).map_err(&parquet)?);
    }
    for condition in &scan.any_of {
        let mut may = vec![false; groups];
        for value in &condition.values {
            let (low, high) = cases(value);
            let bound = |op, value| Prune { column: condition.column.clone(), op, value };
            let low = may_meet(&bound(PruneOp::GtEq, low), footer).map_err(&parquet)?;
            let high = may_meet(&bound(PruneOp::LtEq, high), footer).map_err(&parquet)?;
            may.iter_mut().zip(low).zip(high).for_each(|((may, l), h)| *may |= l && h);
        }
        cut(&condition.column, may);
    }
    Ok(kept.iter().enumerate().filter(|(_, kept)| **kept).map(|(i, _)| i).collect())
}

/// Least and greatest value that is this one, whatever the case of its ASCII letters.
fn cases(value: &PruneValue) -> (PruneValue, PruneValue) {
    match value {
        PruneValue::Text(text) => (
            PruneValue::Text(text.to_ascii_uppercase()),
            PruneValue::Text(text.to_ascii_lowercase()),
        ),
        long => (long.clone(), long.clone()),
    }
}

/// For every row group whether an event in it has issues.
fn with_issues(footer: &ArrowReaderMetadata) -> Vec<bool> {
    let Some((column, _)) = footer.schema().column_with_name(ISSUES.column()) else {
        return vec![false; footer.metadata().num_row_groups()];
    };
    let leaf = (0..footer.parquet_schema().num_columns())
        .find(|i| footer.parquet_schema().get_column_root_idx(*i) == column);
    let nulls = |group: &RowGroupMetaData| {
        group.column(leaf?).statistics().and_then(|s| s.null_count_opt())
    };
    let groups = footer.metadata().row_groups().iter();
    groups.map(|group| nulls(group) != Some(group.num_rows() as u64)).collect()
}

/// For every row group whether some row in it may meet `condition`.
fn may_meet(
    condition: &Prune,
    footer: &ArrowReaderMetadata,
) -> Result<Vec<bool>, parquet::errors::ParquetError> {
    let groups = footer.metadata().row_groups();
    let field = fields::FIELDS.iter().find(|f| f.column == condition.column);
    // A column that the registry does not know, or that has no bounds, says nothing.
    if !field.is_some_and(has_bounds) {
        return Ok(vec![true; groups.len()]);
    }
    // A registered column that is not in the file is null in every row.
    if footer.schema().column_with_name(&condition.column).is_none() {
        return Ok(vec![false; groups.len()]);
    }
    let statistics =
        StatisticsConverter::try_new(&condition.column, footer.schema(), footer.parquet_schema())?
            .with_missing_null_counts_as_zero(false);
    let mins = statistics.row_group_mins(groups)?;
    let maxes = statistics.row_group_maxes(groups)?;
    let nulls = statistics.row_group_null_counts(groups)?;
    Ok(groups
        .iter()
        .enumerate()
        .map(|(i, group)| {
            if nulls.is_valid(i) && nulls.value(i) == group.num_rows() as u64 {
                return false;
            }
            match (bound_at(&mins, i), bound_at(&maxes, i)) {
                (Some(min), Some(max)) => within(condition, &min, &max),
                _ => true,
            }
        })
        .collect())
}

/// Integers, and times in microseconds, whatever the file has them in.
pub(crate) fn longs(column: &ArrayRef) -> Option<Int64Array> {
    let column = match column.data_type() {
        DataType::Timestamp(..) => cast(column, &fields::Kind::Time.data_type()).ok()?,
        _ => column.clone(),
    };
    cast(&column, &DataType::Int64).ok()?.as_primitive_opt::<Int64Type>().cloned()
}

fn bound_at(bounds: &ArrayRef, row: usize) -> Option<PruneValue> {
    if bounds.is_null(row) {
        return None;
    }
    match bounds.data_type() {
        DataType::Utf8 => Some(PruneValue::Text(bounds.as_string::<i32>().value(row).to_string())),
        DataType::Int64 | DataType::Timestamp(..) => {
            Some(PruneValue::Long(longs(&bounds.slice(row, 1))?.value(0)))
        }
        _ => None,
    }
}

/// True when some value between `min` and `max` may meet the condition. Bounds of long text are
/// cut by the writer so that they only grow.
fn within(condition: &Prune, min: &PruneValue, max: &PruneValue) -> bool {
    if std::mem::discriminant(&condition.value) != std::mem::discriminant(min) {
        return true;
    }
    let (to_min, to_max) = (condition.value.cmp(min), condition.value.cmp(max));
    match condition.op {
        PruneOp::Eq => to_min != Ordering::Less && to_max != Ordering::Greater,
        PruneOp::Lt => to_min == Ordering::Greater,
        PruneOp::LtEq => to_min != Ordering::Less,
        PruneOp::Gt => to_max == Ordering::Less,
        PruneOp::GtEq => to_max != Ordering::Greater,
    }
}
