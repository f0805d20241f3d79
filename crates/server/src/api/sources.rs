//! Sources and how much comes from them.

use std::collections::HashMap;

use axum::Json as Answer;
use axum::extract::{Path, State};
use pugmark_event::time::{self, MINUTE, Micros};
use pugmark_parse::health::State as Known;

use crate::App;
use crate::auth::Reader;
use crate::error::ApiError;
use crate::wire::{ErrorBody, Minute, Source, SourceHealth, Sources, moment};

/// Minutes of history in the answer.
const MINUTES: i64 = 60;

/// All sources with the last hour minute by minute.
#[utoipa::path(
    get, path = "/api/v1/sources", tag = "state", operation_id = "sources",
    responses((status = 200, body = Sources)), security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn sources(
    _: Reader,
    State(app): State<App>,
) -> Result<Answer<Sources>, ApiError> {
    let store = app.engine.store();
    let last = app.engine.now().div_euclid(MINUTE) * MINUTE;
    let first = last - (MINUTES - 1) * MINUTE;
    let mut by_source: HashMap<String, HashMap<Micros, u64>> = HashMap::new();
    for (source, minute, received) in store.ledger_minutes(first).await? {
        *by_source.entry(source).or_default().entry(minute).or_default() += received;
    }
    let states = app.engine.source_states();
    let sources = store.ledger().await?.into_iter().map(|row| {
        let minutes = by_source.get(row.source.as_str());
        let count = |at: Micros| minutes.and_then(|m| m.get(&at)).copied().unwrap_or_default();
        Source {
            per_minute: (0..MINUTES)
                .map(|i| first + i * MINUTE)
                .map(|at| Minute { time: time::format(at), count: count(at) })
                .collect(),
            health: states.get(&row.source).map_or(Known::Learning, |known| known.state).name(),
            understood: states.get(&row.source).map(|known| known.understood),
            name: row.source,
            received: row.received,
            stored: row.stored,
            folded: row.folded,
            quarantined: row.quarantined,
            shed: row.shed,
            raw_bytes: row.raw_bytes,
            last_received: moment(Some(row.last_received)),
        }
    });
    Ok(Answer(Sources { sources: sources.collect() }))
}

/// What the records of a source look like: who reads them, their fields, what nobody understood,
/// what is new, and what is not as it was; and what its clock is wrong by.
#[utoipa::path(
    get, path = "/api/v1/sources/{name}/health", tag = "state", operation_id = "source_health",
    params(("name" = String, Path, description = "Name of the source.")),
    responses((status = 200, body = SourceHealth), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn health(
    _: Reader,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Answer<SourceHealth>, ApiError> {
    let report = app.engine.source_health(&name);
    let report =
        report.ok_or_else(|| ApiError::not_found("source with events since it is watched"))?;
    let corrections = app.engine.reader().corrections();
    Ok(Answer(SourceHealth::new(name, report, &corrections)))
}
