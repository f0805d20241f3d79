//! The ledger: what became of every record.

use axum::Json as Answer;
use axum::extract::{Query, State};
use pugmark_event::time;
use pugmark_store::{LedgerFilter, LedgerRow};
use serde::Deserialize;

use crate::App;
use crate::auth::Reader;
use crate::error::ApiError;
use crate::questions::Range;
use crate::wire::{
    ErrorBody, Ledger, LedgerCounts, LedgerMinute, LedgerReason, LedgerSource, Moment,
};

/// Lines by minute in an answer at most: four sources for a week.
const MINUTES_MAX: usize = 50_000;

/// Which part of the ledger.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only this source.
    source: Option<String>,
    /// Only records received from the minute of this time on.
    from: Option<String>,
    /// Only records received in minutes that begin before this time.
    to: Option<String>,
    /// `minute` adds the same by minute of receipt.
    by: Option<String>,
}

/// received = stored + sampled + folded + quarantined + shed, for each source and for all.
#[utoipa::path(
    get, path = "/api/v1/ledger", tag = "state", operation_id = "ledger", params(Which),
    responses((status = 200, body = Ledger), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn ledger(
    _: Reader,
    State(app): State<App>,
    Query(which): Query<Which>,
) -> Result<Answer<Ledger>, ApiError> {
    let moment = |text: Option<String>| text.map(Moment::Text);
    let (from, to) = (moment(which.from), moment(which.to));
    let range = Range::read(from.as_ref(), to.as_ref(), app.engine.now())?;
    let filter = LedgerFilter {
        source: which.source.filter(|source| !source.is_empty()),
        from: range.from,
        to: range.to,
    };
    let minutes = match which.by.as_deref().unwrap_or_default() {
        "" | "source" => None,
        "minute" => Some(by_minute(&app, &filter).await?),
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(ApiError::bad_request(format!("the ledger is not kept by {other:?}"))
                .hint("by is source or minute"));
        }
    };
    let store = app.engine.store();
    let mut total = LedgerCounts::default();
    let mut sources = Vec::new();
    for row in store.ledger_of(&filter).await? {
        let counts = LedgerCounts::from(&row);
        total.add(&counts);
        sources.push(LedgerSource { source: row.source, counts });
    }
    total.balanced = total.balances();
    let reasons = store.ledger_reasons(&filter).await?.into_iter().map(|reason| LedgerReason {
        source: reason.source,
        fate: reason.fate,
        reason: reason.reason,
        count: reason.count,
    });
    let balanced = total.balanced && sources.iter().all(|source| source.counts.balanced);
    Ok(Answer(Ledger { balanced, sources, total, reasons: reasons.collect(), minutes }))
}

async fn by_minute(app: &App, filter: &LedgerFilter) -> Result<Vec<LedgerMinute>, ApiError> {
    let minutes = app.engine.store().ledger_by_minute(filter).await?;
    if minutes.len() > MINUTES_MAX {
        let message = format!("that is more than {MINUTES_MAX} lines");
        return Err(ApiError::bad_request(message).hint("ask for a shorter range, or one source"));
    }
    let shown = minutes.into_iter().map(|minute| LedgerMinute {
        minute: time::format(minute.minute),
        counts: LedgerCounts::from(&minute.row),
        source: minute.row.source,
    });
    Ok(shown.collect())
}

impl From<&LedgerRow> for LedgerCounts {
    fn from(row: &LedgerRow) -> Self {
        Self {
            received: row.received,
            stored: row.stored,
            sampled: row.sampled,
            folded: row.folded,
            quarantined: row.quarantined,
            shed: row.shed,
            expired: row.expired,
            balanced: row.balanced(),
        }
    }
}

impl LedgerCounts {
    fn add(&mut self, other: &LedgerCounts) {
        self.received += other.received;
        self.stored += other.stored;
        self.sampled += other.sampled;
        self.folded += other.folded;
        self.quarantined += other.quarantined;
        self.shed += other.shed;
        self.expired += other.expired;
    }

    fn balances(&self) -> bool {
        self.received == self.stored + self.sampled + self.folded + self.quarantined + self.shed
    }
}
