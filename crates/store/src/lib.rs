//! The store: keeps every record once, and proves that the account balances.
//!
//! A record is acknowledged when it is in the WAL (fsync). The engine turns durable blocks into
//! events and gives them back with [`Store::insert`]; search sees them at once through
//! [`Store::snapshot`]. [`Store::flush`] turns events in memory into Parquet segments; segments,
//! ledger, quarantine and the WAL mark change in one transaction, so that a replay after a crash
//! neither loses nor doubles a record.
//!
//! Floor 3. The only crate that names parquet and sqlx.

mod audit;
mod care;
mod checkpoint;
mod codec;
mod compact;
mod derived;
mod disk;
mod error;
mod export;
mod keep;
mod ledger;
mod little_endian;
mod lock;
mod manifest;
mod memtable;
mod meter;
mod presence;
mod pressure;
mod quarantine;
mod retention;
mod scan;
mod segment;
mod state;
mod store;
mod tier;
mod undecided;
mod wal;
mod worker;

pub use care::account::{LedgerFilter, LedgerMinute};
pub use care::backup::{BackupReport, RestoreReport, backup, restore};
pub use care::check::{Depth, Finding, Level, Report, check};
pub use care::reparse::{Rewrite, RewriteScope, Rewritten};
pub use care::replay::ReplayFilter;
pub use checkpoint::CheckpointOf;
pub use compact::Compacted;
pub use derived::ROW;
pub use disk::{Disk, DiskEntry, DiskRead, DiskWrite, RealDisk};
pub use error::{AppendError, StoreError};
pub use export::ParquetExport;
pub use keep::{Keep, Phrase, RecordTest};
pub use ledger::{LedgerCheck, LedgerRow};
pub use manifest::{
    AuditEntry, Gate, LedgerReason, ManifestAt, PostgresAt, QuarantineFilter, Tier,
};
pub use meter::{Counter, Meter};
pub use presence::{Present, PresentColumns};
pub use quarantine::{QUARANTINE_RECORD_BYTES_MAX, QuarantineEntry};
pub use retention::{
    Aged, Amount, CLASSES_MAX, Class, ClassError, ClassId, ClassPreview, Classes, Classify,
    DEFAULT as DEFAULT_CLASS, Hold, OneClass, Preview,
};
pub use scan::{AnyOf, Batches, Prune, PruneOp, PruneValue, Scan, ScanPart, Snapshot};
pub use segment::counts::Counts;
pub use segment::write::FILES_PER_FLUSH_MAX;
pub use state::accounts::{Accounts, TokenRow};
pub use state::alerts::{AlertFilter, Alerts};
pub use state::corrections::{KeptCorrection, KeptCorrections};
pub use state::rules::{KeptRule, KeptRules};
pub use state::searches::{Kept, KeptSchedule, KeptSearch, KeptSearches, SEARCHES_MAX, SearchRun};
pub use state::transforms::{KeptTransform, KeptTransforms};
pub use store::{Appended, Block, Flushed, Options, Store, Usage};
pub use tier::{
    Cold, ColdUsage, ObjectError, ObjectStorage, Objects, StorageError, StorageSettings,
};
pub use wal::Recovery;
pub use wal::recover::DAMAGED_SOURCE;

/// The time now, in microseconds since the epoch.
fn now() -> pugmark_event::time::Micros {
    chrono::Utc::now().timestamp_micros()
}
