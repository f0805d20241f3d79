//! Care with today's parsers: records in quarantine get another chance, and stored records are read
//! again, so that a parser that was fixed fixes the past too.
//!
//! Rules do not watch either: their detections belong to the time when records arrive.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use pugmark_event::batch::BatchError;
use pugmark_event::{Batch, Records, Value, fields};
use pugmark_parse::frame::RECORD_BYTES_MAX;
use pugmark_parse::{HEADER, Input};
use pugmark_store::{
    DAMAGED_SOURCE, QuarantineEntry, ReplayFilter, RewriteScope, Rewritten, StoreError,
};
use serde::Serialize;

use crate::engine::{Engine, EngineError};
use crate::reader::Reader;

/// Bytes of records that one transaction takes out of quarantine, about.
const GROUP_BYTES: u64 = 8 << 20;
/// Records that one transaction takes out of quarantine at most.
const GROUP_RECORDS_MAX: usize = 4096;
/// Why a record stays that makes the parser panic.
const FAILED: &str = "the parser failed on this record";

/// What became of records in quarantine that were tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Records that fit the filter.
    pub tried: u64,
    /// Records that are events now, with their old ids.
    pub events: u64,
    /// Records that stay, because the parser fails on them.
    pub failed: u64,
    /// Records that stay, because they are longer than a parser takes.
    pub too_long: u64,
    /// Records that stay, because their bytes were lost with a damaged piece of the WAL.
    pub lost: u64,
}

/// How a reparse in the background is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReparseState {
    /// True while it works.
    pub running: bool,
    /// The source.
    pub source: String,
    /// How far it is.
    pub done: Rewritten,
    /// Why it ended before its end.
    pub error: Option<String>,
}

impl Engine {
    /// Parses records in quarantine again. Those that parse become events with their old ids and
    /// count as stored; the others stay, with the reason of today.
    ///
    /// # Errors
    /// When the store refuses; what was replayed before stays replayed.
    pub async fn replay_quarantine(
        &self,
        actor: &str,
        filter: &ReplayFilter,
    ) -> Result<Replayed, EngineError> {
        let store = self.store();
        let mut replayed = Replayed::default();
        let mut group: Vec<QuarantineEntry> = Vec::new();
        let mut bytes = 0;
        for (id, size) in store.quarantine_ids(filter).await? {
            replayed.tried += 1;
            if size > RECORD_BYTES_MAX as u64 {
                replayed.too_long += 1;
                continue;
            }
            // Somebody else may have taken it meanwhile.
            let Some(entry) = store.quarantined_record(id).await? else { continue };
            if entry.source == DAMAGED_SOURCE {
                replayed.lost += 1;
                continue;
            }
            bytes += size;
            group.push(entry);
            if bytes >= GROUP_BYTES || group.len() >= GROUP_RECORDS_MAX {
                self.replay_group(actor, std::mem::take(&mut group), &mut replayed).await?;
                bytes = 0;
            }
        }
        self.replay_group(actor, group, &mut replayed).await?;
        Ok(replayed)
    }

    async fn replay_group(
        &self,
        actor: &str,
        group: Vec<QuarantineEntry>,
        replayed: &mut Replayed,
    ) -> Result<(), EngineError> {
        let reader = self.reader();
        let parsed = tokio::task::spawn_blocking(move || parse_group(&reader, &group)).await;
        let (batches, failed) = parsed.map_err(|error| StoreError::State {
            what: "quarantine",
            message: error.to_string(),
        })?;
        let events: usize = batches.iter().map(Batch::rows).sum();
        if events > 0 {
            self.store().replay(actor, batches).await?;
        }
        if !failed.is_empty() {
            self.store().set_quarantine_reason(&failed, FAILED).await?;
        }
        replayed.events += events as u64;
        replayed.failed += failed.len() as u64;
        Ok(())
    }

    /// Reads stored records of a scope again with today's parsers, and puts the events in the place
    /// of the old ones. `format` is what the door would name, such as `syslog`.
    ///
    /// # Errors
    /// When another reparse is under way, or the store refuses.
    pub async fn reparse(
        &self,
        actor: &str,
        scope: &RewriteScope,
        format: Option<&str>,
    ) -> Result<Rewritten, EngineError> {
        self.take_reparse(&scope.source)?;
        self.reparse_taken(actor, scope, format).await
    }

    /// The same in the background; [`Engine::reparse_state`] says how far it is.
    ///
    /// # Errors
    /// When another reparse is under way.
    pub fn start_reparse(
        &self,
        actor: &str,
        scope: RewriteScope,
        format: Option<String>,
    ) -> Result<(), EngineError> {
        self.take_reparse(&scope.source)?;
        let (engine, actor) = (self.clone(), actor.to_string());
        tokio::spawn(async move {
            if let Err(error) = engine.reparse_taken(&actor, &scope, format.as_deref()).await {
                tracing::error!(%error, source = %scope.source, "a reparse ended");
            }
        });
        Ok(())
    }

    async fn reparse_taken(
        &self,
        actor: &str,
        scope: &RewriteScope,
        format: Option<&str>,
    ) -> Result<Rewritten, EngineError> {
        let result = self.reparse_now(actor, scope, format).await;
        let mut state = self.reparse_cell().lock();
        state.running = false;
        match &result {
            Ok(done) => state.done = *done,
            Err(error) => state.error = Some(error.to_string()),
        }
        result
    }

    /// How the reparse that was started last is.
    pub fn reparse_state(&self) -> ReparseState {
        self.reparse_cell().lock().clone()
    }

    fn take_reparse(&self, source: &str) -> Result<(), EngineError> {
        let mut state = self.reparse_cell().lock();
        if state.running {
            return Err(EngineError::Busy);
        }
        *state =
            ReparseState { running: true, source: source.to_string(), ..ReparseState::default() };
        Ok(())
    }

    async fn reparse_now(
        &self,
        actor: &str,
        scope: &RewriteScope,
        format: Option<&str>,
    ) -> Result<Rewritten, EngineError> {
        let (reader, source) = (self.reader(), scope.source.clone());
        let format = format.map(str::to_string);
        let rewrite = move |batch: &Batch| parse_again(&reader, &source, format.as_deref(), batch);
        let note = |done| self.reparse_cell().lock().done = done;
        Ok(self.store().rewrite(scope, actor, Arc::new(rewrite), note).await?)
    }
}

/// Batches of what parses, and the ids of what does not.
fn parse_group(reader: &Reader, group: &[QuarantineEntry]) -> (Vec<Batch>, Vec<i64>) {
    let (mut batches, mut failed) = (Vec::new(), Vec::new());
    let together = |a: &QuarantineEntry, b: &QuarantineEntry| {
        a.id + 1 == b.id && a.source == b.source && a.received == b.received
    };
    for run in group.chunk_by(together) {
        if let Some(batch) = parse_entries(reader, run) {
            batches.push(batch);
            continue;
        }
        // One record must not hold its neighbours back.
        for entry in run {
            match parse_entries(reader, std::slice::from_ref(entry)) {
                Some(batch) => batches.push(batch),
                None => failed.push(entry.id),
            }
        }
    }
    (batches, failed)
}

/// `None` when a defect makes the parser panic.
fn parse_entries(reader: &Reader, run: &[QuarantineEntry]) -> Option<Batch> {
    let first = run.first()?;
    let records: Records = run.iter().map(|entry| entry.record.as_slice()).collect();
    let input = Input {
        source: &first.source,
        records: &records,
        first_id: first.id,
        received: first.received,
        format: None,
    };
    catch_unwind(AssertUnwindSafe(|| reader.read(&input))).ok()
}

/// Parses the raw records of a batch. Ids, times of receipt and order stay.
fn parse_again(
    reader: &Reader,
    source: &str,
    format: Option<&str>,
    batch: &Batch,
) -> Result<Batch, String> {
    let (ids, received) = (batch.ids(), batch.received_times());
    let mut anew = Vec::new();
    let mut start = 0;
    let attributes = batch.attributes();
    // Rows of a table keep the header that stood above them.
    let header = |row| match attributes.get(row, HEADER) {
        Some(Value::Text(header)) => Some(header),
        _ => None,
    };
    // Years are guessed from the time of receipt, so only records that came together go together.
    let together = |a: usize, b: usize| received[a] == received[b] && header(a) == header(b);
    let all: Vec<usize> = (0..batch.rows()).collect();
    for run in all.chunk_by(|a, b| together(*a, *b)) {
        let rows = start..start + run.len();
        start = rows.end;
        let records: Records = rows.clone().map(|row| batch.original(row)).collect();
        let input = Input {
            source,
            records: &records,
            first_id: ids[rows.start],
            received: received[rows.start],
            format: format.or(header(rows.start)),
        };
        let parsed = catch_unwind(AssertUnwindSafe(|| reader.read(&input)));
        let parsed = parsed.map_err(|_| {
            format!("the parser failed on a record among ids {} and above", ids[rows.start])
        })?;
        anew.push(with_ids(&parsed, &ids[rows]).map_err(|error| error.to_string())?);
    }
    Batch::concat(&anew).map_err(|error| error.to_string())
}

/// The batch with these ids.
fn with_ids(batch: &Batch, ids: &[i64]) -> Result<Batch, BatchError> {
    if batch.ids() == ids {
        return Ok(batch.clone());
    }
    let columns = batch.columns();
    let at = columns.schema_ref().index_of(fields::EVENT_ID.column())?;
    let mut arrays: Vec<ArrayRef> = columns.columns().to_vec();
    arrays[at] = Arc::new(Int64Array::from(ids.to_vec()));
    Batch::new(RecordBatch::try_new(columns.schema(), arrays)?)
}

#[cfg(test)]
mod tests {
    use pugmark_event::time::Micros;

    use super::*;

    const RECEIVED: Micros = 1_795_428_000_000_000; // 2026-11-23T10:00:00Z

    fn entry(id: i64, record: &str) -> QuarantineEntry {
        QuarantineEntry {
            id,
            source: "web".into(),
            received: RECEIVED,
            reason: "the parser failed on this block".into(),
            bytes: record.len() as u64,
            record: record.as_bytes().to_vec(),
        }
    }

    #[test]
    fn records_keep_their_ids_when_they_are_parsed_again() {
        let parsers = crate::parsers::ParserBook::load(None).unwrap();
        let reader = Reader::new(parsers, Default::default());
        let group = [entry(5, "{\"a\":1}"), entry(6, "plain"), entry(9, "{\"b\":2}")];
        let (batches, failed) = parse_group(&reader, &group);
        let ids: Vec<_> = batches.iter().map(|batch| batch.ids().to_vec()).collect();
        assert_eq!((ids, failed), (vec![vec![5, 6], vec![9]], vec![]));

        // Rows know their header, also without the record that held it.
        let rows: Records = [&b"192.0.2.1,anna"[..], b"192.0.2.2,bob"].into_iter().collect();
        let format = Some("table ,source.ip,user.name");
        let (source, first_id, received) = ("web", 20, RECEIVED);
        let read = reader.read(&Input { source, records: &rows, first_id, received, format });
        let again = parse_again(&reader, "web", None, &read).unwrap();
        assert_eq!(again.columns(), read.columns());
        assert!(again.text(fields::USER_NAME).is_some());

        let batch = Batch::concat(&batches).unwrap();
        let again = parse_again(&reader, "web", None, &batch).unwrap();
        assert_eq!(again.ids(), [5, 6, 9]);
        assert_eq!(again.columns(), batch.columns());
    }
}
