//! Events over time, drawn from the newest on.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::{Stream, TryStreamExt, stream};
use pugmark_event::fields;
use pugmark_event::time::{self, DAY, Micros, SECOND};
use pugmark_query::pipes::Stats;
use pugmark_query::{Aggregate, Expr, FieldRef, Filter, Function, Named, Pipe, Plan, Request};

use crate::App;
use crate::error::ApiError;
use crate::questions::Range;
use crate::wire::{Bucket, Histogram, HistogramWish};

/// Buckets when nothing is said, and at most.
const BUCKETS: usize = 60;
const BUCKETS_MAX: usize = 1000;
/// Values that split a bucket; events with rarer values are in the count of the bucket alone.
const SPLITS_MAX: usize = 12;
/// Counts of values in buckets that are kept at once. When there are more, so many of the most
/// frequent values stay, and those of the others are in the counts of the buckets alone.
const CELLS_MAX: usize = 100_000;
const VALUES_KEPT: usize = 32;
/// Longer values split nothing.
const VALUE_BYTES_MAX: usize = 512;
/// The newest slice of time that is drawn by itself is one of so many; each further one is as
/// long as all before it.
const FIRST_SLICE: i64 = 16;

/// A histogram to be drawn. Whoever draws it has a place among the questions.
pub(crate) struct Drawing {
    app: App,
    filter: Filter,
    from: Micros,
    to: Micros,
    /// The length of a bucket.
    span: Micros,
    /// The field whose values split each bucket.
    by: Option<FieldRef>,
}

impl Drawing {
    /// Events that pass `filter` within `range`; where that has no bound, from the first or to the
    /// last of them.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn new(
        app: &App,
        filter: Filter,
        range: Range,
        wish: HistogramWish,
    ) -> Result<Self, ApiError> {
        let (from, to) = bounds(app, &filter, range).await?;
        let buckets = wish.buckets.unwrap_or(BUCKETS).clamp(1, BUCKETS_MAX);
        let span = span_for(to.saturating_sub(from), buckets as i64);
        let by = wish.by.filter(|by| !by.is_empty()).map(|by| FieldRef::new(&by));
        Ok(Self { app: app.clone(), filter, from, to, span, by })
    }

    /// All of it.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn whole(self) -> Result<Histogram, ApiError> {
        let mut drawn = Drawn::new(self.from, self.to, self.span);
        self.draw(self.from, self.to, &mut drawn).await?;
        Ok(self.shown(&drawn, self.from))
    }

    /// All that is drawn so far, again and again: the newest time first. The last one has all.
    /// Nothing is asked before the first is asked for.
    pub(crate) fn grown(
        app: App,
        filter: Filter,
        range: Range,
        wish: HistogramWish,
    ) -> impl Stream<Item = Result<Histogram, ApiError>> + Send {
        let begun = async move { Self::new(&app, filter, range, wish).await };
        stream::once(begun).map_ok(Self::growing).try_flatten()
    }

    fn growing(self) -> impl Stream<Item = Result<Histogram, ApiError>> + Send {
        async_stream::try_stream! {
            let mut drawn = Drawn::new(self.from, self.to, self.span);
            let mut to = self.to;
            for from in self.slices() {
                self.draw(from, to, &mut drawn).await?;
                yield self.shown(&drawn, from);
                to = from;
            }
        }
    }

    /// Where slices start, the newest first: each at the start of a bucket, but for the last.
    fn slices(&self) -> Vec<Micros> {
        let range = self.to.saturating_sub(self.from);
        let mut starts = Vec::new();
        let mut parts = FIRST_SLICE;
        while parts > 1 {
            let start = self.to.saturating_sub(range / parts).div_euclid(self.span) * self.span;
            if start > self.from && starts.last() != Some(&start) {
                starts.push(start);
            }
            parts /= 2;
        }
        starts.push(self.from);
        starts
    }

    /// Counts the events of a slice.
    async fn draw(&self, from: Micros, to: Micros, drawn: &mut Drawn) -> Result<(), ApiError> {
        let time = Named::span(FieldRef::new(fields::EVENT_TIME.name()), self.span);
        let by = std::iter::once(time).chain(self.by.clone().map(Named::field)).collect();
        let chart = Pipe::Stats(Stats { figures: vec![Aggregate::count()], by });
        let plan = Plan { filter: self.filter.clone(), pipes: vec![chart] };
        let now = self.app.engine.now();
        let asked = Request { from: Some(from), to: Some(to), ..Request::new(plan, now) };
        let mut rows = self.app.engine.search().search(asked).await?.rows;
        while let Some(batch) = rows.try_next().await? {
            drawn.add(&batch, self.by.is_some())?;
        }
        Ok(())
    }

    fn shown(&self, drawn: &Drawn, complete_from: Micros) -> Histogram {
        let buckets = drawn.buckets();
        Histogram {
            from: time::format(self.from),
            to: time::format(self.to),
            bucket_ms: self.span / 1000,
            count: buckets.iter().map(|bucket| bucket.count).sum(),
            complete_from: time::format(complete_from),
            buckets,
        }
    }
}

/// The range asked for; where it has no bound, the first and the last event of the filter.
async fn bounds(app: &App, filter: &Filter, range: Range) -> Result<(Micros, Micros), ApiError> {
    if let (Some(from), Some(to)) = (range.from, range.to) {
        return Ok((from, to.max(from)));
    }
    let field = FieldRef::new(fields::EVENT_TIME.name());
    let of = Some(Expr::Field(field));
    let end = |function| Aggregate { function, of: of.clone(), alias: None };
    let figures = vec![end(Function::Min), end(Function::Max)];
    let pipes = vec![Pipe::Stats(Stats { figures, by: Vec::new() })];
    let plan = Plan { filter: filter.clone(), pipes };
    let now = app.engine.now();
    let asked = Request { from: range.from, to: range.to, ..Request::new(plan, now) };
    let batches: Vec<RecordBatch> =
        app.engine.search().search(asked).await?.rows.try_collect().await?;
    let batch = batches.iter().find(|batch| batch.num_rows() > 0 && batch.num_columns() >= 2);
    let (first, last) = match batch {
        Some(batch) => (time_at(batch, 0)?, time_at(batch, 1)?),
        None => (None, None),
    };
    let to = range.to.or(last.map(|last| last.saturating_add(1))).unwrap_or(now);
    let from = range.from.or(first).unwrap_or(to);
    Ok((from, to.max(from)))
}

fn time_at(batch: &RecordBatch, column: usize) -> Result<Option<Micros>, ApiError> {
    Ok(times(batch, column)?.first().copied().flatten())
}

fn times(batch: &RecordBatch, column: usize) -> Result<Vec<Option<Micros>>, ApiError> {
    let utc = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
    let column = cast(batch.column(column), &utc).map_err(ApiError::internal)?;
    longs(&cast(&column, &DataType::Int64).map_err(ApiError::internal)?)
}

fn longs(column: &dyn Array) -> Result<Vec<Option<i64>>, ApiError> {
    let column = cast(column, &DataType::Int64).map_err(ApiError::internal)?;
    Ok(column.as_primitive::<Int64Type>().iter().collect())
}

/// The narrowest round span that needs at most so many buckets.
fn span_for(range: Micros, buckets: i64) -> Micros {
    const SECONDS: [i64; 17] =
        [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200];
    const DAYS: [i64; 7] = [1, 2, 7, 14, 28, 91, 364];
    let mut spans = SECONDS.iter().map(|n| n * SECOND).chain(DAYS.iter().map(|n| n * DAY));
    let fits = |span: Micros| (range - 1).max(0) / span < buckets;
    spans.find(|span| fits(*span)).unwrap_or((range / buckets / DAY).saturating_add(1) * DAY)
}

/// Buckets being filled.
struct Drawn {
    start: Micros,
    span: Micros,
    /// Events of each bucket.
    counts: Vec<u64>,
    /// The values that split the buckets.
    splits: HashMap<String, Split>,
    /// Buckets of all of them together.
    cells: usize,
}

/// How many events have a value: all, and by the number of their bucket.
#[derive(Default)]
struct Split {
    total: u64,
    counts: BTreeMap<usize, u64>,
}

impl Drawn {
    fn new(from: Micros, to: Micros, span: Micros) -> Self {
        let start = from.div_euclid(span) * span;
        let count = if to > from { (to - 1 - start).div_euclid(span) + 1 } else { 0 };
        let counts = vec![0; count.clamp(0, 2 * BUCKETS_MAX as i64) as usize];
        Self { start, span, counts, splits: HashMap::new(), cells: 0 }
    }

    fn add(&mut self, batch: &RecordBatch, split: bool) -> Result<(), ApiError> {
        let counts = longs(batch.column(batch.num_columns() - 1))?;
        let options = FormatOptions::default();
        let values = match split {
            true => ArrayFormatter::try_new(batch.column(1), &options).map(Some),
            false => Ok(None),
        };
        let values = values.map_err(ApiError::internal)?;
        for (row, time) in times(batch, 0)?.into_iter().enumerate() {
            let (Some(time), Some(Some(count))) = (time, counts.get(row)) else { continue };
            let place = (time - self.start).div_euclid(self.span).max(0) as usize;
            let Some(all) = self.counts.get_mut(place) else { continue };
            let count = (*count).max(0) as u64;
            *all += count;
            if let Some(values) = &values {
                self.split(values.value(row).to_string(), place, count);
            }
        }
        Ok(())
    }

    /// Counts events of a bucket that have a value.
    fn split(&mut self, value: String, place: usize, count: u64) {
        if value.len() > VALUE_BYTES_MAX {
            return;
        }
        let split = self.splits.entry(value).or_default();
        let known = split.counts.len();
        split.total += count;
        *split.counts.entry(place).or_default() += count;
        self.cells += split.counts.len() - known;
        if self.cells > CELLS_MAX {
            let kept: HashSet<String> = self.frequent(VALUES_KEPT).into_iter().cloned().collect();
            self.splits.retain(|value, _| kept.contains(value));
            self.cells = self.splits.values().map(|split| split.counts.len()).sum();
        }
    }

    /// The values that most events have, at most so many.
    fn frequent(&self, most: usize) -> Vec<&String> {
        let mut ranked: Vec<(&String, u64)> =
            self.splits.iter().map(|(value, split)| (value, split.total)).collect();
        ranked.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        ranked.into_iter().take(most).map(|(value, _)| value).collect()
    }

    /// The buckets with the values that most events have.
    fn buckets(&self) -> Vec<Bucket> {
        let shown = self.frequent(SPLITS_MAX);
        let bucket = |(place, count): (usize, &u64)| {
            let of = |value: &&String| {
                let count = self.splits.get(*value)?.counts.get(&place)?;
                Some(((*value).clone(), *count))
            };
            Bucket {
                time: time::format(self.start + place as i64 * self.span),
                count: *count,
                by: shown.iter().filter_map(of).collect(),
            }
        };
        self.counts.iter().enumerate().map(bucket).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use pugmark_event::time::{HOUR, MINUTE};

    use super::*;

    #[test]
    fn spans_are_round_and_few() {
        for (range, buckets, expected) in [
            (0, 60, SECOND),
            (MINUTE, 60, SECOND),
            (15 * MINUTE, 60, 15 * SECOND),
            (HOUR, 60, MINUTE),
            (DAY, 60, 30 * MINUTE),
            (30 * DAY, 60, 12 * HOUR),
            (100 * 365 * DAY, 10, 3651 * DAY),
        ] {
            assert_eq!(span_for(range, buckets), expected, "{range} {buckets}");
        }
        assert!(span_for(100_000 * 365 * DAY, 1) > 100_000 * 365 * DAY);
    }

    #[test]
    fn empty_buckets_are_there_too() {
        let drawn = Drawn::new(90 * SECOND, 5 * MINUTE, MINUTE);
        let times: Vec<_> = drawn.buckets().into_iter().map(|b| b.time).collect();
        assert_eq!(times[0], "1970-01-01T00:01:00Z");
        assert_eq!(times.len(), 4);
        assert!(Drawn::new(5, 5, SECOND).buckets().is_empty());
    }

    /// A row of one event every microsecond.
    fn rows(values: &[String]) -> RecordBatch {
        let columns: [(&str, ArrayRef); 3] = [
            ("time", Arc::new(Int64Array::from_iter_values(0..values.len() as i64))),
            ("value", Arc::new(StringArray::from_iter_values(values))),
            ("count", Arc::new(Int64Array::from(vec![1; values.len()]))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn of_very_many_values_the_frequent_ones_are_shown() {
        let many = 3 * CELLS_MAX;
        let value = |i: usize| match i % 4 {
            0 => "most".to_string(),
            1 => "x".repeat(VALUE_BYTES_MAX + 1),
            _ => format!("rare {i}"),
        };
        let mut drawn = Drawn::new(0, many as i64, many as i64 / 10);
        for part in (0..many).collect::<Vec<_>>().chunks(1000) {
            let values: Vec<String> = part.iter().map(|i| value(*i)).collect();
            drawn.add(&rows(&values), true).unwrap();
            assert!(drawn.cells <= CELLS_MAX);
        }
        // All parts have the same times.
        let buckets = drawn.buckets();
        assert_eq!(buckets[0].count, many as u64);
        assert_eq!(buckets[0].by["most"], many as u64 / 4);
        assert!(buckets.iter().all(|bucket| bucket.by.len() <= SPLITS_MAX));
    }
}
