//! In how many events of a range of time each column has a value, told without reading rows: from
//! what batches in memory and the tails of segments say.
//!
//! A row group's statistics count the nulls of most fields; footers count the rest
//! ([`crate::segment::counted`]). Tails stay in memory, so nothing else needs to be kept.

use std::collections::{BTreeMap, BTreeSet};

use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::RowGroupMetaData;
use pugmark_event::fields::{self, ATTRIBUTE_KINDS, EVENT_TIME, FIELDS};
use pugmark_event::time::Micros;

use crate::error::StoreError;
use crate::memtable::Entry;
use crate::scan::{Snapshot, longs};
use crate::segment::counted::is_cut;
use crate::segment::layout::{ATTRIBUTE_PREFIX, has_bounds};
use crate::segment::{Segment, Tail};

/// A number of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// How many.
    pub events: u64,
    /// False when it is an estimate.
    pub exact: bool,
}

/// What events of a range have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentColumns {
    /// The events.
    pub events: Present,
    /// Those with a value, by column as a [`Scan`](crate::Scan) calls it: that of a field, or
    /// `attributes.NAME`. Columns that no event has are not there. A value that did not fit its
    /// field is an attribute.
    pub columns: BTreeMap<String, Present>,
    /// Some attributes may not be listed.
    cut: bool,
}

impl Snapshot {
    /// In how many events from `from` to before `to` each column has a value; `None` is unbounded.
    /// Blocks the thread.
    ///
    /// Row groups and batches that lie only partly in the range count with the share of their time
    /// that does, as if their events came evenly: then the numbers are estimates. So are those of
    /// files that were written before footers counted.
    ///
    /// # Errors
    /// When the tail of a segment cannot be read or is damaged.
    pub fn present(
        &self,
        from: Option<Micros>,
        to: Option<Micros>,
    ) -> Result<PresentColumns, StoreError> {
        let range = Range { from, to };
        let mut present = PresentColumns::none();
        for entry in &self.entries {
            present.add_entry(entry, range.share(entry.times));
        }
        for segment in self.segments.iter().filter(|s| !range.share(s.info.times).is_nothing()) {
            let tail = segment.tail(&segment.open()?)?;
            present.add_segment(segment, &tail, range)?;
        }
        Ok(present.finish())
    }
}

/// Different columns that are named, of all files together.
const NAMES_MAX: usize = 10_000;

impl PresentColumns {
    fn none() -> Self {
        let events = Present { events: 0, exact: true };
        Self { events, columns: BTreeMap::new(), cut: false }
    }

    fn finish(mut self) -> Self {
        // It says how attributes are stored, nothing about events.
        self.columns.remove(ATTRIBUTE_KINDS.column());
        let attributes = self.columns.iter_mut().filter(|(c, _)| c.starts_with(ATTRIBUTE_PREFIX));
        for (_, present) in attributes.filter(|_| self.cut) {
            present.exact = false;
        }
        self
    }

    fn add(&mut self, column: &str, more: Present) {
        let is_full = self.columns.len() >= NAMES_MAX;
        match self.columns.get_mut(column) {
            _ if more.events == 0 => {}
            Some(present) => present.add(more),
            // A hostile source could name a new attribute in every record.
            None if is_full => self.cut = true,
            None => drop(self.columns.insert(column.to_string(), more)),
        }
    }

    fn add_entry(&mut self, entry: &Entry, share: Share) {
        if share.is_nothing() {
            return;
        }
        let counted = entry.counted();
        self.events.add(share.of(entry.batch.rows() as u64));
        self.cut |= is_cut(counted);
        counted.iter().for_each(|(column, events)| self.add(column, share.of(*events)));
    }

    fn add_segment(
        &mut self,
        segment: &Segment,
        tail: &Tail,
        range: Range,
    ) -> Result<(), StoreError> {
        let footer = &tail.footer;
        let groups = footer.metadata().row_groups();
        let shares = match range.share(segment.info.times) {
            whole if whole.exact => vec![whole; groups.len()],
            _ => shares(footer, range).map_err(StoreError::parquet(&segment.path))?,
        };
        let mut wanted = Present { events: 0, exact: true };
        groups.iter().zip(&shares).for_each(|(group, share)| wanted.add(share.of(rows_of(group))));
        self.events.add(wanted);
        self.add_statistics(footer, &shares);
        let rows = groups.iter().map(rows_of).sum();
        // The footer counts in the whole file.
        let exact = wanted.exact && wanted.events == rows;
        let share = Share { wanted: wanted.events, of: rows, exact };
        match &tail.layout.counted {
            Some(counted) => {
                self.cut |= is_cut(counted);
                counted.iter().for_each(|(column, events)| self.add(column, share.of(*events)));
            }
            None => self.add_uncounted(tail, wanted.events),
        }
        Ok(())
    }

    /// Fields of which statistics of the row groups count the nulls.
    fn add_statistics(&mut self, footer: &ArrowReaderMetadata, shares: &[Share]) {
        let columns = footer.schema().fields();
        let descriptor = footer.parquet_schema();
        for leaf in 0..descriptor.num_columns() {
            let name = columns[descriptor.get_column_root_idx(leaf)].name().as_str();
            let field = fields::by_name(name).filter(|id| id.column() == name);
            if !field.is_some_and(|id| has_bounds(id.field())) {
                continue;
            }
            for (group, share) in footer.metadata().row_groups().iter().zip(shares) {
                let statistics = group.column(leaf).statistics();
                let nulls = statistics.and_then(|statistics| statistics.null_count_opt());
                let rows = rows_of(group);
                let all = Present { exact: false, ..share.of(rows) };
                let with = |nulls: u64| share.of(rows.saturating_sub(nulls));
                self.add(name, nulls.map_or(all, with));
            }
        }
    }

    /// What an older file tells of columns without statistics: every event may have them.
    fn add_uncounted(&mut self, tail: &Tail, events: u64) {
        let (layout, schema) = (&tail.layout, tail.footer.schema());
        let templates = || tail.index.iter().flat_map(|index| &index.templates);
        let promoted = layout.promoted.iter().map(|promoted| promoted.name.as_str());
        let in_map = layout.frequent.iter().map(|frequent| frequent.name.as_str());
        let made = templates().flat_map(|template| template.made_attributes());
        let attributes = promoted.chain(in_map).chain(made.map(|(name, ..)| name));
        let attributes = attributes.map(|name| format!("{ATTRIBUTE_PREFIX}{name}"));
        let made = templates().flat_map(|template| template.derives());
        let made: BTreeSet<&str> = made.map(|id| id.column()).collect();
        let fields = FIELDS.iter().filter(|field| !has_bounds(field)).map(|field| field.column);
        let fields = fields.filter(|c| made.contains(c) || schema.column_with_name(c).is_some());
        let columns: BTreeSet<String> = attributes.chain(fields.map(str::to_string)).collect();
        columns.iter().for_each(|column| self.add(column, Present { events, exact: false }));
        self.cut = true;
    }
}

impl Present {
    fn add(&mut self, more: Present) {
        self.events += more.events;
        self.exact &= more.exact;
    }
}

/// A range of event time, the first bound inclusive.
#[derive(Debug, Clone, Copy)]
struct Range {
    from: Option<Micros>,
    to: Option<Micros>,
}

impl Range {
    /// The part of it that events between these times, both inclusive, have.
    fn share(self, (first, last): (Micros, Micros)) -> Share {
        let from = self.from.map_or(first, |from| from.max(first));
        let to = self.to.map_or(last, |to| to.saturating_sub(1).min(last));
        let length = |from: Micros, to: Micros| to.abs_diff(from).saturating_add(1);
        let wanted = if from <= to { length(from, to) } else { 0 };
        let of = length(first, last);
        Share { wanted, of, exact: wanted == of }
    }
}

/// The part of some events that lies in a range: so many of so many.
#[derive(Debug, Clone, Copy)]
struct Share {
    wanted: u64,
    of: u64,
    /// True when these are all of them.
    exact: bool,
}

impl Share {
    fn is_nothing(self) -> bool {
        self.wanted == 0
    }

    /// That part of so many events; of some at least one.
    fn of(self, events: u64) -> Present {
        let part = u128::from(events) * u128::from(self.wanted);
        let part = part.div_ceil(u128::from(self.of.max(1)));
        Present { events: part as u64, exact: self.exact || part == 0 }
    }
}

/// The share of each row group, by the bounds of its times.
fn shares(
    footer: &ArrowReaderMetadata,
    range: Range,
) -> Result<Vec<Share>, parquet::errors::ParquetError> {
    let groups = footer.metadata().row_groups();
    let (schema, descriptor) = (footer.schema(), footer.parquet_schema());
    let times = StatisticsConverter::try_new(EVENT_TIME.column(), schema, descriptor)?;
    let first = longs(&times.row_group_mins(groups)?);
    let last = longs(&times.row_group_maxes(groups)?);
    let bounds = first.iter().flatten().zip(last.iter().flatten());
    let share = |bounds| match bounds {
        (Some(first), Some(last)) if first <= last => range.share((first, last)),
        // Without bounds all of it may be in the range.
        _ => Share { wanted: 1, of: 1, exact: false },
    };
    Ok(bounds.map(share).collect())
}

fn rows_of(group: &RowGroupMetaData) -> u64 {
    group.num_rows().max(0) as u64
}
