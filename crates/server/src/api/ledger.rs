//! The ledger: what became of every record.

use axum::Json as Answer;
use axum::extract::State;

use crate::App;
use crate::auth::Reader;
use crate::error::ApiError;
use crate::wire::{Ledger, LedgerCounts, LedgerSource};

/// received = stored + sampled + quarantined + shed, for each source and for all.
#[utoipa::path(
    get, path = "/api/v1/ledger", tag = "state", operation_id = "ledger",
    responses((status = 200, body = Ledger)), security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn ledger(_: Reader, State(app): State<App>) -> Result<Answer<Ledger>, ApiError> {
    let mut total = LedgerCounts::default();
    let mut sources = Vec::new();
    for row in app.engine.store().ledger().await? {
        total.received += row.received;
        total.stored += row.stored;
        total.sampled += row.sampled;
        total.quarantined += row.quarantined;
        total.shed += row.shed;
        let counts = LedgerCounts {
            received: row.received,
            stored: row.stored,
            sampled: row.sampled,
            quarantined: row.quarantined,
            shed: row.shed,
            balanced: false,
        };
        sources.push(LedgerSource { source: row.source, counts: counts.checked() });
    }
    let total = total.checked();
    let balanced = total.balanced && sources.iter().all(|source| source.counts.balanced);
    Ok(Answer(Ledger { balanced, sources, total }))
}

impl LedgerCounts {
    fn checked(mut self) -> Self {
        let known = self.stored + self.sampled + self.quarantined + self.shed;
        self.balanced = self.received == known;
        self
    }
}
