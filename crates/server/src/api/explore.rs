//! What the Explore page draws beside the events: counts over time, and the values of fields.

use std::collections::HashMap;

use axum::Json as Answer;
use axum::extract::State;
use pugmark_event::Batch;
use pugmark_event::fields::{self, FIELDS, FieldId};
use pugmark_event::time;
use pugmark_query::{FieldRef, Filter, Plan, Request, Target};

use crate::App;
use crate::auth::{Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::histogram::Drawing;
use crate::questions::{Range, events_of};
use crate::turns::{Class, Turn};
use crate::wire::{
    ErrorBody, Facet, FacetValue, Facets, FacetsRequest, Histogram, HistogramRequest, HistogramWish,
};

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
    who: Caller,
    State(app): State<App>,
    Json(request): Json<HistogramRequest>,
) -> Result<Answer<Histogram>, ApiError> {
    let range = Range::read(request.from.as_ref(), request.to.as_ref(), app.engine.now())?;
    let filter = events_of(pugmark_query::parse(&request.query)?);
    let _turn = app.turn(&who, Class::Question).await?;
    let wish = HistogramWish { buckets: request.buckets, by: request.by };
    Ok(Answer(Drawing::new(&app, filter, range, wish).await?.whole().await?))
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
    who: Caller,
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
    let turn = app.turn(&who, Class::Question).await?;
    let (batches, sampled) = newest(&app, turn, filter, range, SAMPLE_ROWS).await?;
    let count = move || count_values(&batches, wanted.as_deref(), values, sampled);
    let counted = tokio::task::spawn_blocking(count);
    Ok(Answer(counted.await.map_err(ApiError::internal)?))
}

/// The newest events that pass, and whether there are more.
pub(crate) async fn newest(
    app: &App,
    turn: Turn,
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
    for batch in app.ask_in(turn, request).await?.collect().await? {
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
