//! Intake: records of a source become durable, or the sender is told why not.
//!
//! Every way in ends here. An answer of `Ok` means that the records are on disk (fsync). A record
//! longer than [`RECORD_BYTES_MAX`] is kept whole, but in quarantine: no parser and no screen has
//! to survive it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pugmark_event::Records;
use pugmark_event::time::Micros;
use pugmark_parse::Headers;
use pugmark_parse::frame::RECORD_BYTES_MAX;
use pugmark_store::{AppendError, CheckpointOf, Store};
use serde::Serialize;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::masking::Masking;

/// Longest name of a source in bytes.
pub const SOURCE_NAME_BYTES_MAX: usize = 64;
/// What a sender is told to wait when the queue is full.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Sources whose headers are kept; a header has up to 16 KiB.
const HEADERS_MAX: usize = 4096;

/// How long a request waits for room before it is refused. A queue that is full has room again
/// after some milliseconds as a rule, and a sender that must come back later leaves it empty
/// meanwhile. The server bounds the bytes of all requests that wait.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long a request that waits for room pauses before it asks again.
const ROOM_PAUSE: Duration = Duration::from_millis(10);

/// What became of the records of one request. `received` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Records that arrived.
    pub received: u64,
    /// Records that are durable and will be events.
    pub stored: u64,
    /// Records that are durable but set aside.
    pub quarantined: u64,
    /// Records that were refused or dropped.
    pub shed: u64,
}

impl std::ops::AddAssign for Receipt {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.stored += other.stored;
        self.quarantined += other.quarantined;
        self.shed += other.shed;
    }
}

/// Why records were not taken. Nothing of a refused request is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// The queue has no room.
    #[error("the intake queue is full; send again in {retry_after_seconds} s")]
    Full {
        /// Seconds to wait.
        retry_after_seconds: u64,
    },
    /// The disk has no room.
    #[error("{0}")]
    DiskFull(String),
    /// The source has no usable name.
    #[error(
        "{0:?} is no name for a source: use 1 to {SOURCE_NAME_BYTES_MAX} letters, digits, dots, \
         dashes or underscores"
    )]
    BadSource(String),
    /// The disk refused.
    #[error("{0}")]
    Failed(String),
    /// Pugmark is shutting down.
    #[error("Pugmark is stopping; send again when it is back")]
    Stopping,
}

impl From<AppendError> for IngestError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full => IngestError::Full { retry_after_seconds: RETRY_AFTER_SECONDS },
            AppendError::DiskFull(why) => IngestError::DiskFull(why),
            AppendError::Closed => IngestError::Stopping,
            other => IngestError::Failed(other.to_string()),
        }
    }
}

/// True for a name that a source may have: it becomes part of paths, queries and screens.
pub fn is_source_name(name: &str) -> bool {
    (1..=SOURCE_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && !name.starts_with('.')
}

/// The way in.
pub struct Intake {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    masking: Option<Arc<Masking>>,
    /// The header of the columns of each source that sends rows.
    headers: Arc<Mutex<BTreeMap<Arc<str>, String>>>,
    /// One writes them at a time.
    writing: Arc<Mutex<()>>,
}

impl Intake {
    /// An intake in front of `store`.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, masking: Option<Arc<Masking>>) -> Self {
        let headers = Arc::new(Mutex::new(read_headers(&store)));
        Self { store, clock, masking, headers, writing: Arc::default() }
    }

    /// Takes records; the answer comes when they are on disk.
    ///
    /// # Errors
    /// When nothing could be taken; see [`IngestError`].
    pub async fn ingest(
        &self,
        source: &str,
        records: Records,
        format: Option<&str>,
    ) -> Result<Receipt, IngestError> {
        if !is_source_name(source) {
            return Err(IngestError::BadSource(source.chars().take(80).collect()));
        }
        let source: Arc<str> = source.into();
        let records = self.masked(records).await?;
        let mut headers = Headers::from(self.headers.lock().get(&source).cloned());
        let received = self.clock.now();
        let mut receipt = Receipt { received: records.len() as u64, ..Receipt::default() };
        let refuse_at = Instant::now() + ROOM_WAIT_MAX;
        for (i, part) in split(records).into_iter().enumerate() {
            let count = part.records.len() as u64;
            let set_aside = part.set_aside.is_some();
            // A block says what its columns are, so that it can be parsed by itself.
            let format: Option<Arc<str>> = match format {
                Some(format) => Some(format.into()),
                None => headers.next(&part.records).map(Into::into),
            };
            // Once a part is stored, a refusal would make the sender double it.
            let block = (Arc::new(part.records), part.set_aside);
            let until = (i == 0).then_some(refuse_at);
            match self.append(&source, block, received, format.as_ref(), until).await {
                Ok(()) if set_aside => receipt.quarantined += count,
                Ok(()) => receipt.stored += count,
                // Nothing is stored yet, so the sender may send everything again.
                Err(error) if i == 0 => return Err(error.into()),
                Err(error) => {
                    tracing::error!(%error, %source, count, "part of a request was shed");
                    self.store.shed(&source, count, "the disk refused a later part of a request");
                    receipt.shed += count;
                }
            }
        }
        if self.remember(source, &headers) {
            let (store, known) = (self.store.clone(), self.headers.clone());
            let writing = self.writing.clone();
            // Without it, rows that come after a restart are lines until their header comes again.
            let write = move || {
                let _one = writing.lock();
                let known = known.lock().clone();
                write_headers(&store, &known);
            };
            drop(tokio::task::spawn_blocking(write));
        }
        Ok(receipt)
    }

    /// The records without what must not be kept. Looking for it takes a while: not on the threads
    /// that answer.
    async fn masked(&self, records: Records) -> Result<Records, IngestError> {
        let Some(masking) = self.masking.clone() else { return Ok(records) };
        let masked = tokio::task::spawn_blocking(move || masking.mask(records)).await;
        // What cannot be masked is not kept, so it is not taken.
        masked.map_err(|_| IngestError::Failed("masking failed on these records".into()))
    }

    /// Keeps the header that is in force after a request; true when it is another one.
    fn remember(&self, source: Arc<str>, headers: &Headers) -> bool {
        let Some(header) = headers.current() else { return false };
        let mut known = self.headers.lock();
        let is_new = known.get(&source).is_none_or(|known| known != header)
            && (known.len() < HEADERS_MAX || known.contains_key(&source));
        if is_new {
            known.insert(source, header.to_string());
        }
        is_new
    }

    /// Appends one part. A full queue is waited for, until then or for ever.
    async fn append(
        &self,
        source: &Arc<str>,
        (records, set_aside): (Arc<Records>, Option<String>),
        received: Micros,
        format: Option<&Arc<str>>,
        until: Option<Instant>,
    ) -> Result<(), AppendError> {
        loop {
            let (source, format) = (source.clone(), format.cloned());
            let appended =
                self.store.append(source, records.clone(), received, format, set_aside.clone());
            match appended.await {
                Err(AppendError::Full) if until.is_none_or(|until| Instant::now() < until) => {
                    tokio::time::sleep(ROOM_PAUSE).await;
                }
                result => return result.map(|_| ()),
            }
        }
    }
}

/// The headers that the last process knew.
fn read_headers(store: &Store) -> BTreeMap<Arc<str>, String> {
    let read = store.checkpoint(CheckpointOf::Headers).ok().flatten();
    let known: Option<Vec<(String, String)>> =
        read.and_then(|bytes| postcard::from_bytes(&bytes).ok());
    let known = known.unwrap_or_default().into_iter().take(HEADERS_MAX);
    known.map(|(source, header)| (source.into(), header)).collect()
}

fn write_headers(store: &Store, known: &BTreeMap<Arc<str>, String>) {
    let known: Vec<(&str, &str)> = known.iter().map(|(s, h)| (&**s, h.as_str())).collect();
    let written =
        postcard::to_allocvec(&known).map_err(|error| error.to_string()).and_then(|bytes| {
            let put = store.put_checkpoint(CheckpointOf::Headers, &bytes);
            put.map_err(|error| error.to_string())
        });
    if let Err(error) = written {
        tracing::warn!(error, "headers of tables are not kept over a restart");
    }
}

/// A run of records with one fate.
struct Part {
    records: Records,
    set_aside: Option<String>,
}

/// Cuts records into parts for the pipeline and parts for the quarantine, in order.
fn split(records: Records) -> Vec<Part> {
    if records.iter().all(|r| r.len() <= RECORD_BYTES_MAX) {
        return if records.is_empty() { vec![] } else { vec![Part { records, set_aside: None }] };
    }
    let mut parts: Vec<Part> = Vec::new();
    for record in records.iter() {
        let set_aside = (record.len() > RECORD_BYTES_MAX).then(|| {
            let mib = record.len() as f64 / 1_048_576.0;
            format!("the record has {mib:.1} MiB; records up to 1 MiB are parsed")
        });
        match parts.last_mut() {
            Some(last) if last.set_aside.is_none() && set_aside.is_none() => {
                last.records.push(record);
            }
            _ => parts.push(Part { records: [record].into_iter().collect(), set_aside }),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use pugmark_store::Options;

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn names_of_sources_are_safe_everywhere() {
        for (name, expected) in [
            ("nginx", true),
            ("web-1.access_log", true),
            ("", false),
            ("../etc", false),
            (".hidden", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(is_source_name(name), expected, "{name:?}");
        }
        assert!(!is_source_name(&"x".repeat(65)));
    }

    /// A store whose queue holds one record until it is processed.
    async fn narrow(dir: &std::path::Path) -> (Arc<Store>, impl Sized) {
        let options = Options { queue_bytes_max: 1, disk_free_bytes_min: 0, ..Options::default() };
        Store::open(dir, options).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_queue_is_waited_for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _blocks) = narrow(dir.path()).await;
        let intake = Intake::new(store.clone(), Arc::new(SystemClock), None);
        let record = |text: &str| -> Records { [text.as_bytes()].into_iter().collect() };
        intake.ingest("web", record("a"), None).await.unwrap();
        let makes_room = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            store.processed(2);
        });
        let receipt = intake.ingest("web", record("b"), None).await.unwrap();
        assert_eq!((receipt.received, receipt.stored), (1, 1));
        makes_room.await.unwrap();
        // Nobody makes room now.
        let start = Instant::now();
        let refused = intake.ingest("web", record("c"), None).await;
        assert_eq!(refused, Err(IngestError::Full { retry_after_seconds: 1 }));
        assert!(start.elapsed() >= ROOM_WAIT_MAX);
    }

    #[test]
    fn long_records_are_set_aside_in_order() {
        let long = vec![b'x'; RECORD_BYTES_MAX + 1];
        let records: Records = [&b"a"[..], b"b", &long, b"c"].into_iter().collect();
        let shape: Vec<_> =
            split(records).iter().map(|p| (p.records.len(), p.set_aside.is_some())).collect();
        assert_eq!(shape, [(2, false), (1, true), (1, false)]);
    }
}
