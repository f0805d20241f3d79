//! What the Explore page draws beside the events: counts over time, and the values of fields.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use axum::Json as Answer;
use axum::extract::State;
use pugmark_event::Batch;
use pugmark_event::fields::{self, FIELDS, FieldId};
use pugmark_event::time::{self, DAY, Micros, SECOND};
use pugmark_query::pipes::Stats;
use pugmark_query::{
    Aggregate, Expr, FieldRef, Filter, Function, Named, Pipe, Plan, Request, Target,
};

use crate::App;
use crate::auth::Reader;
use crate::body::Json;
use crate::error::ApiError;
use crate::questions::{Range, events_of};
use crate::wire::{
    Bucket, ErrorBody, Facet, FacetValue, Facets, FacetsRequest, Histogram, HistogramRequest,
};

/// Buckets when nothing is said, and at most.
const BUCKETS: usize = 60;
const BUCKETS_MAX: usize = 1000;
/// Values that split a bucket; events with rarer values are in the count of the bucket alone.
const SPLITS_MAX: usize = 12;
/// Events that facets look at: the newest.
const SAMPLE_ROWS: usize = 20_000;
/// Values listed for a field when nothing is said, and at most.
const VALUES: usize = 8;
const VALUES_MAX: usize = 1000;
/// Different values of a field that are counted.
const DISTINCT_MAX: usize = 10_000;
/// Fields in an answer.
const FACETS_MAX: usize = 200;
/// Longer values are counted as present and not listed.
const VALUE_BYTES_MAX: usize = 512;
/// Columns whose values say nothing in a list.
const NO_FACETS: &[FieldId] = &[
    fields::EVENT_TIME,
    fields::RECEIVED_TIME,
    fields::EVENT_ID,
    fields::MESSAGE,
    fields::ATTRIBUTE_KINDS,
    fields::ORIGINAL,
    fields::ORIGINAL_BYTES,
];

/// Count events over time.
///
/// Pipes of the query are left out: what is counted are the events that it starts from.
#[utoipa::path(
    post, path = "/api/v1/histogram", tag = "questions", operation_id = "histogram",
    request_body = HistogramRequest,
    responses((status = 200, body = Histogram), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn histogram(
    _: Reader,
    State(app): State<App>,
    Json(request): Json<HistogramRequest>,
) -> Result<Answer<Histogram>, ApiError> {
    let range = Range::read(request.from.as_ref(), request.to.as_ref(), app.engine.now())?;
    let filter = events_of(pugmark_query::parse(&request.query)?);
    let (from, to) = bounds(&app, &filter, range).await?;
    let buckets = request.buckets.unwrap_or(BUCKETS).clamp(1, BUCKETS_MAX);
    let span = span_for(to.saturating_sub(from), buckets as i64);
    let by = request.by.filter(|by| !by.is_empty()).map(|by| FieldRef::new(&by));
    let split = by.is_some();
    let time = Named::span(FieldRef::new(fields::EVENT_TIME.name()), span);
    let by = std::iter::once(time).chain(by.map(Named::field)).collect();
    let chart = Pipe::Stats(Stats { figures: vec![Aggregate::count()], by });
    let plan = Plan { filter, pipes: vec![chart] };
    let now = app.engine.now();
    let asked = Request { from: Some(from), to: Some(to), ..Request::new(plan, now) };
    let mut drawn = Drawn::new(from, to, span);
    for batch in app.ask(asked).await?.collect().await? {
        drawn.add(&batch, split)?;
    }
    Ok(Answer(Histogram {
        from: time::format(from),
        to: time::format(to),
        bucket_ms: span / 1000,
        buckets: drawn.finish(),
    }))
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
    let batches = app.ask(asked).await?.collect().await?;
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
    buckets: Vec<(u64, HashMap<String, u64>)>,
    totals: HashMap<String, u64>,
}

impl Drawn {
    fn new(from: Micros, to: Micros, span: Micros) -> Self {
        let start = from.div_euclid(span) * span;
        let count = if to > from { (to - 1 - start).div_euclid(span) + 1 } else { 0 };
        let buckets = vec![(0, HashMap::new()); count.clamp(0, 2 * BUCKETS_MAX as i64) as usize];
        Self { start, span, buckets, totals: HashMap::new() }
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
            let Some(bucket) = self.buckets.get_mut(place) else { continue };
            let count = (*count).max(0) as u64;
            bucket.0 += count;
            if let Some(values) = &values {
                let value = values.value(row).to_string();
                *self.totals.entry(value.clone()).or_default() += count;
                *bucket.1.entry(value).or_default() += count;
            }
        }
        Ok(())
    }

    fn finish(self) -> Vec<Bucket> {
        let mut ranked: Vec<(&String, &u64)> = self.totals.iter().collect();
        ranked.sort_unstable_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let kept: Vec<String> =
            ranked.into_iter().take(SPLITS_MAX).map(|(value, _)| value.clone()).collect();
        let bucket = |(i, (count, mut by)): (usize, (u64, HashMap<String, u64>))| Bucket {
            time: time::format(self.start + i as i64 * self.span),
            count,
            by: kept
                .iter()
                .filter_map(|value| Some((value.clone(), by.remove(value)?)))
                .collect::<BTreeMap<_, _>>(),
        };
        self.buckets.into_iter().enumerate().map(bucket).collect()
    }
}

/// The most frequent values of fields, counted in the newest events.
#[utoipa::path(
    post, path = "/api/v1/facets", tag = "questions", operation_id = "facets",
    request_body = FacetsRequest,
    responses((status = 200, body = Facets), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn facets(
    _: Reader,
    State(app): State<App>,
    Json(request): Json<FacetsRequest>,
) -> Result<Answer<Facets>, ApiError> {
    let range = Range::read(request.from.as_ref(), request.to.as_ref(), app.engine.now())?;
    let filter = events_of(pugmark_query::parse(&request.query)?);
    let values = request.limit.unwrap_or(VALUES).clamp(1, VALUES_MAX);
    let wanted = request.fields.map(|mut wanted| {
        wanted.truncate(FACETS_MAX);
        wanted
    });
    let (batches, sampled) = newest(&app, filter, range, SAMPLE_ROWS).await?;
    let count = move || count_values(&batches, wanted.as_deref(), values, sampled);
    let counted = tokio::task::spawn_blocking(count);
    Ok(Answer(counted.await.map_err(ApiError::internal)?))
}

/// The newest events that pass, and whether there are more.
pub(crate) async fn newest(
    app: &App,
    filter: Filter,
    range: Range,
    rows_max: usize,
) -> Result<(Vec<Batch>, bool), ApiError> {
    let plan = Plan { filter, pipes: Vec::new() };
    let limit = Some(rows_max + 1);
    let now = app.engine.now();
    let request = Request { plan, from: range.from, to: range.to, limit, now };
    let mut batches = Vec::new();
    let mut room = rows_max;
    for batch in app.ask(request).await?.collect().await? {
        let batch = Batch::new(batch).map_err(ApiError::internal)?;
        if batch.rows() > room {
            batches.push(batch.slice(0, room));
            return Ok((batches, true));
        }
        room -= batch.rows();
        batches.push(batch);
    }
    Ok((batches, false))
}

fn count_values(
    batches: &[Batch],
    wanted: Option<&[String]>,
    values: usize,
    sampled: bool,
) -> Facets {
    let rows: usize = batches.iter().map(Batch::rows).sum();
    let mut counted: Vec<(String, &'static str, Tally<'_>)> = match wanted {
        Some(wanted) => wanted.iter().map(|name| one_field(batches, name)).collect(),
        None => all_fields(batches),
    };
    if wanted.is_none() {
        counted.retain(|(_, _, tally)| tally.present > 0);
        counted.sort_by_key(|(_, _, tally)| std::cmp::Reverse(tally.present));
        counted.truncate(FACETS_MAX);
    }
    let fields =
        counted.into_iter().map(|(name, kind, tally)| tally.facet(name, kind, rows, values));
    Facets { rows: rows as u64, sampled, fields: fields.collect() }
}

fn one_field<'a>(batches: &'a [Batch], name: &str) -> (String, &'static str, Tally<'a>) {
    let mut tally = Tally::default();
    match FieldRef::new(name).target {
        Target::Column(id) => {
            batches.iter().for_each(|batch| tally.column(batch, id));
            (name.to_string(), id.field().kind.name(), tally)
        }
        Target::Attribute(attribute) => {
            for batch in batches {
                for row in 0..batch.rows() {
                    if let Some(value) = batch.attributes().get(row, &attribute) {
                        tally.add(Text::Borrowed(value.text()));
                    }
                }
            }
            (name.to_string(), "text", tally)
        }
    }
}

fn all_fields(batches: &[Batch]) -> Vec<(String, &'static str, Tally<'_>)> {
    let ids = (0..FIELDS.len()).map(|i| FieldId(i as u16)).filter(|id| !NO_FACETS.contains(id));
    let mut counted: Vec<_> = ids.map(|id| one_field(batches, id.name())).collect();
    let mut attributes: HashMap<&str, Tally<'_>> = HashMap::new();
    for batch in batches {
        for row in 0..batch.rows() {
            for (name, value) in batch.attributes().row(row) {
                // A hostile source could name a new attribute in every record.
                if attributes.len() < 10 * FACETS_MAX || attributes.contains_key(name) {
                    attributes.entry(name).or_default().add(Text::Borrowed(value.text()));
                }
            }
        }
    }
    let mut attributes: Vec<_> =
        attributes.into_iter().map(|(name, tally)| (name.to_string(), "text", tally)).collect();
    attributes.sort_by(|a, b| a.0.cmp(&b.0));
    counted.extend(attributes);
    counted
}

type Text<'a> = std::borrow::Cow<'a, str>;

/// Values of one field and how often each is there.
#[derive(Default)]
struct Tally<'a> {
    present: u64,
    counts: HashMap<Text<'a>, u64>,
}

impl<'a> Tally<'a> {
    fn column(&mut self, batch: &'a Batch, id: FieldId) {
        if let Some(column) = batch.text(id) {
            column.iter().flatten().for_each(|value| self.add(Text::Borrowed(value)));
        } else if let Some(column) = batch.long(id) {
            column.iter().flatten().for_each(|value| self.add(Text::Owned(value.to_string())));
        } else if id == fields::EVENT_TIME {
            batch.event_times().iter().for_each(|at| self.add(Text::Owned(time::format(*at))));
        }
    }

    fn add(&mut self, value: Text<'a>) {
        self.present += 1;
        if let Some(count) = self.counts.get_mut(&value) {
            *count += 1;
        } else if self.counts.len() < DISTINCT_MAX {
            self.counts.insert(value, 1);
        }
    }

    fn facet(self, name: String, kind: &str, rows: usize, values: usize) -> Facet {
        let distinct = self.counts.len() as u64;
        let mut ranked: Vec<_> =
            self.counts.into_iter().filter(|(value, _)| value.len() <= VALUE_BYTES_MAX).collect();
        ranked.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked.truncate(values);
        let values = ranked
            .into_iter()
            .map(|(value, count)| FacetValue { value: value.into_owned(), count })
            .collect();
        let coverage = if rows == 0 { 0.0 } else { self.present as f64 / rows as f64 };
        Facet { name, kind: kind.into(), coverage, distinct, values }
    }
}

#[cfg(test)]
mod tests {
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
        let times: Vec<_> = drawn.finish().into_iter().map(|b| b.time).collect();
        assert_eq!(times[0], "1970-01-01T00:01:00Z");
        assert_eq!(times.len(), 4);
        assert!(Drawn::new(5, 5, SECOND).buckets.is_empty());
    }
}
