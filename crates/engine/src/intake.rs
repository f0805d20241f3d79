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
use pugmark_store::{AppendError, Appended, CheckpointOf, Store};
use serde::Serialize;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::folding::{Folded, Folding, Kept};
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
    /// Records that equal one that is durable since a moment, and are not stored again.
    pub folded: u64,
    /// Records that are durable but set aside.
    pub quarantined: u64,
    /// Records that were refused or dropped.
    pub shed: u64,
}

impl std::ops::AddAssign for Receipt {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.stored += other.stored;
        self.folded += other.folded;
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

/// What is done to records at the door.
#[derive(Clone, Default)]
pub struct Doors {
    /// Masks what must not be kept; `None` for nothing.
    pub masking: Option<Arc<Masking>>,
    /// Folds records that come again; `None` for none.
    pub folding: Option<Arc<Folding>>,
}

/// The way in.
pub struct Intake {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    doors: Doors,
    /// The header of the columns of each source that sends rows.
    headers: Arc<Mutex<BTreeMap<Arc<str>, String>>>,
    /// One writes them at a time.
    writing: Arc<Mutex<()>>,
}

impl Intake {
    /// An intake in front of `store`.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, doors: Doors) -> Self {
        let headers = Arc::new(Mutex::new(read_headers(&store)));
        Self { store, clock, doors, headers, writing: Arc::default() }
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
        let folded = self.folded((&source, format), records, &headers, received).await?;
        let again = folded.again;
        let refuse_at = Instant::now() + ROOM_WAIT_MAX;
        for (i, part) in split(folded).into_iter().enumerate() {
            let (count, repeats) = (part.records.len() as u64, part.repeats());
            let set_aside = part.set_aside.is_some();
            // A block says what its columns are, so that it can be parsed by itself.
            let format: Option<Arc<str>> = match format {
                Some(format) => Some(format.into()),
                // Where records may be folded, none has a header.
                None if !part.kept.is_empty() => None,
                None => headers.next(&part.records).map(Into::into),
            };
            // Once a part is stored, a refusal would make the sender double it.
            let until = (i == 0).then_some(refuse_at);
            match self.append(&source, part, received, format.as_ref(), until).await {
                Ok(()) => {
                    let fate =
                        if set_aside { &mut receipt.quarantined } else { &mut receipt.stored };
                    *fate += count;
                    receipt.folded += repeats;
                }
                // Nothing is stored yet, so the sender may send everything again.
                Err(error) if i == 0 => return Err(error.into()),
                Err(error) => {
                    let count = count + repeats;
                    tracing::error!(%error, %source, count, "part of a request was shed");
                    self.store.shed(&source, count, "the disk refused a later part of a request");
                    receipt.shed += count;
                }
            }
        }
        receipt.folded += again;
        self.store.folded(&source, receipt.folded);
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
        let Some(masking) = self.doors.masking.clone() else { return Ok(records) };
        let masked = tokio::task::spawn_blocking(move || masking.mask(records)).await;
        // What cannot be masked is not kept, so it is not taken.
        masked.map_err(|_| IngestError::Failed("masking failed on these records".into()))
    }

    /// The records without those that came a moment ago already, of sources that fold.
    async fn folded(
        &self,
        (source, format): (&Arc<str>, Option<&str>),
        records: Records,
        headers: &Headers,
        now: Micros,
    ) -> Result<Folded, IngestError> {
        let folding = self.doors.folding.clone().filter(|folding| folding.concerns(source));
        let Some(folding) = folding else { return Ok(Folded::nothing(records)) };
        // What a row of a table says depends on the header above it: equal rows may differ.
        if format.is_none() && has_header(headers.clone(), &records) {
            return Ok(Folded::nothing(records));
        }
        let (source, format) = (source.clone(), format.map(str::to_string));
        let fold = move || folding.fold((&source, format.as_deref()), records, now);
        let folded = tokio::task::spawn_blocking(fold).await;
        folded.map_err(|_| IngestError::Failed("folding failed on these records".into()))
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
        Part { records, set_aside, kept }: Part,
        received: Micros,
        format: Option<&Arc<str>>,
        until: Option<Instant>,
    ) -> Result<(), AppendError> {
        let (records, kept) = (Arc::new(records), Arc::new(kept));
        loop {
            let (store, source, format) = (self.store.clone(), source.clone(), format.cloned());
            let (records, set_aside) = (records.clone(), set_aside.clone());
            let append =
                async move { store.append(source, records, received, format, set_aside).await };
            let folding = self.doors.folding.clone().filter(|_| !kept.is_empty());
            let appended = match folding {
                None => append.await,
                Some(folding) => remembered(append, folding, kept.clone(), received).await,
            };
            match appended {
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

/// True when a header is in force for some of the records.
fn has_header(mut headers: Headers, records: &Records) -> bool {
    headers.next(records);
    headers.current().is_some()
}

/// Remembers records when they are durable, also when the sender does not wait for it: it will send
/// them again.
async fn remembered(
    append: impl Future<Output = Result<Appended, AppendError>> + Send + 'static,
    folding: Arc<Folding>,
    kept: Arc<Vec<Kept>>,
    now: Micros,
) -> Result<Appended, AppendError> {
    let task = tokio::spawn(async move {
        let appended = append.await;
        if appended.is_ok() {
            folding.remember(&kept, now);
        }
        appended
    });
    task.await.unwrap_or(Err(AppendError::Closed))
}

/// A run of records with one fate.
struct Part {
    records: Records,
    set_aside: Option<String>,
    /// What is remembered of each record; empty where nothing is folded.
    kept: Vec<Kept>,
}

impl Part {
    fn new(set_aside: Option<String>) -> Self {
        Self { records: Records::new(), set_aside, kept: Vec::new() }
    }

    /// Records of the request that are folded into these.
    fn repeats(&self) -> u64 {
        self.kept.iter().map(|kept| kept.repeats).sum()
    }
}

/// Cuts records into parts for the pipeline and parts for the quarantine, in order.
fn split(Folded { records, kept, .. }: Folded) -> Vec<Part> {
    if records.iter().all(|r| r.len() <= RECORD_BYTES_MAX) {
        let is_empty = records.is_empty();
        let part = Part { records, set_aside: None, kept };
        return if is_empty { vec![] } else { vec![part] };
    }
    let mut parts: Vec<Part> = Vec::new();
    for (row, record) in records.iter().enumerate() {
        let set_aside = (record.len() > RECORD_BYTES_MAX).then(|| {
            let mib = record.len() as f64 / 1_048_576.0;
            format!("the record has {mib:.1} MiB; records up to 1 MiB are parsed")
        });
        let goes_on = set_aside.is_none() && parts.last().is_some_and(|p| p.set_aside.is_none());
        if !goes_on {
            parts.push(Part::new(set_aside));
        }
        if let Some(part) = parts.last_mut() {
            part.records.push(record);
            part.kept.extend(kept.get(row));
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
        let intake = Intake::new(store.clone(), Arc::new(SystemClock), Doors::default());
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

    /// A clock that the test sets, in seconds.
    #[derive(Default)]
    struct Hand(std::sync::atomic::AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> Micros {
            self.0.load(std::sync::atomic::Ordering::SeqCst) * 1_000_000
        }
    }

    fn folds(sources: &[&str]) -> Doors {
        let sources: Vec<String> = sources.iter().map(|source| source.to_string()).collect();
        let folding = Folding::new(&sources, Duration::from_secs(60)).unwrap();
        Doors { folding: Some(Arc::new(folding)), ..Doors::default() }
    }

    fn lines(text: &str) -> Records {
        text.split(' ').map(str::as_bytes).collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn records_that_come_again_are_counted_and_not_stored() {
        let dir = tempfile::tempdir().unwrap();
        let (store, blocks) = Store::open(dir.path(), Options::default()).await.unwrap();
        let clock = Arc::new(Hand::default());
        let intake = Intake::new(store.clone(), clock.clone(), folds(&["app-*", "rows"]));
        let long = "x".repeat(RECORD_BYTES_MAX + 1);
        let with_long = format!("d {long} d {long} d");
        // When, of which source, what; how many are stored, folded, set aside.
        type Case<'c> = (i64, &'c str, &'c str, (u64, u64, u64));
        let cases: [Case<'_>; 12] = [
            (0, "app-1", "a b a", (2, 1, 0)),
            (10, "app-1", "b c", (1, 1, 0)),
            (10, "app-1", "a b c", (0, 3, 0)),
            (10, "app-2", "a b", (2, 0, 0)),
            // Not a source that folds.
            (10, "web", "a a", (2, 0, 0)),
            (10, "web", "a", (1, 0, 0)),
            (11, "app-1", &with_long, (1, 3, 1)),
            (12, "app-1", &with_long, (0, 5, 0)),
            (60, "app-1", "a b c", (2, 1, 0)),
            // Rows of a table have their header besides.
            (60, "rows", "a,b,c 1,2,3 1,2,3", (3, 0, 0)),
            (60, "rows", "1,2,3", (1, 0, 0)),
            (999, "app-1", "c", (1, 0, 0)),
        ];
        let (mut all, mut stored) = (Receipt::default(), Vec::new());
        for (now, source, text, expected) in cases {
            clock.0.store(now, std::sync::atomic::Ordering::SeqCst);
            let receipt = intake.ingest(source, lines(text), None).await.unwrap();
            let counts = (receipt.stored, receipt.folded, receipt.quarantined);
            assert_eq!(counts, expected, "{now} {source} {}", &text[..text.len().min(20)]);
            assert_eq!(receipt.received, receipt.stored + receipt.folded + receipt.quarantined);
            all += receipt;
            while !store.is_settled() {
                let block = blocks.recv().unwrap();
                let records = block.records.iter().map(|r| String::from_utf8_lossy(r).into_owned());
                stored.extend(records.filter(|_| &*block.source == "app-1"));
                let rows = 0..block.records.len();
                store.quarantine(&block, rows, "the test needs no events");
                store.processed(block.first_id + block.records.len() as i64);
            }
        }
        assert_eq!(stored, ["a", "b", "c", "d", &long, "a", "b", "c"]);
        // The books balance, in memory and in the manifest.
        for _ in 0..2 {
            let rows = store.ledger().await.unwrap();
            assert!(rows.iter().all(|row| row.balanced()), "{rows:?}");
            let sum = |count: fn(&pugmark_store::LedgerRow) -> u64| rows.iter().map(count).sum();
            let counts: (u64, u64) = (sum(|row| row.received), sum(|row| row.folded));
            assert_eq!(counts, (all.received, all.folded));
            store.flush().await.unwrap();
        }
        let check = store.check_ledger().await.unwrap();
        assert!(check.balanced, "{check:?}");
        drop(blocks);
        store.close().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_refused_is_stored_when_it_comes_again() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _blocks) = narrow(dir.path()).await;
        let clock = Arc::new(Hand::default());
        let intake = Intake::new(store.clone(), clock, folds(&["*"]));
        intake.ingest("web", lines("a"), None).await.unwrap();
        let refused = intake.ingest("web", lines("a b b"), None).await;
        assert_eq!(refused, Err(IngestError::Full { retry_after_seconds: 1 }));
        // Nothing of it counts.
        assert_eq!(store.ledger().await.unwrap(), []);
        store.processed(2);
        let receipt = intake.ingest("web", lines("a b b"), None).await.unwrap();
        let expected = Receipt { received: 3, stored: 1, folded: 2, ..Receipt::default() };
        assert_eq!(receipt, expected);
    }

    #[test]
    fn long_records_are_set_aside_in_order() {
        let long = vec![b'x'; RECORD_BYTES_MAX + 1];
        let records: Records = [&b"a"[..], b"b", &long, b"c"].into_iter().collect();
        let parts = split(Folded::nothing(records));
        let shape: Vec<_> =
            parts.iter().map(|p| (p.records.len(), p.set_aside.is_some())).collect();
        assert_eq!(shape, [(2, false), (1, true), (1, false)]);
    }
}
