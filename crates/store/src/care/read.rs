//! What the check, the backup and the replay read of the manifest.

use std::path::Path;

use super::replay::ReplayFilter;
use crate::error::StoreError;
use crate::manifest::sql::{Pool, args};
use crate::manifest::{Manifest, Tier};

/// Integrity problems that are listed at most.
const PROBLEMS_MAX: usize = 20;

/// A record in quarantine, packed.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) id: i64,
    pub(crate) source: String,
    pub(crate) bytes: u64,
    pub(crate) packed: Vec<u8>,
}

/// The file of a segment, of whatever dataset.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) checksum: u32,
    pub(crate) tier: Tier,
}

impl Manifest {
    /// Records in quarantine with ids above `after`, the oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn quarantine_page(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Held>, StoreError> {
        const SQL: &str = "SELECT id, source, bytes, record FROM quarantine \
            WHERE id > $1 ORDER BY id LIMIT $2";
        let mut held = Vec::new();
        for row in self.rows(SQL, args![after, limit]).await? {
            let (id, source) = (row.get(0)?, row.get(1)?);
            held.push(Held { id, source, bytes: row.count(2)?, packed: row.get(3)? });
        }
        Ok(held)
    }

    /// Ids in quarantine that fit the filter, the oldest first, with the size of each record.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn quarantine_ids(
        &self,
        filter: &ReplayFilter,
    ) -> Result<Vec<(i64, u64)>, StoreError> {
        const SQL: &str = "SELECT id, bytes, source, reason FROM quarantine \
            WHERE ($1 = '' OR source = $1) ORDER BY id";
        let source = filter.source.as_deref().unwrap_or_default();
        let mut ids = Vec::new();
        for row in self.rows(SQL, args![source]).await? {
            let (id, reason): (i64, String) = (row.get(0)?, row.get(3)?);
            let by_reason = filter.reason.as_ref().is_none_or(|part| reason.contains(part));
            if by_reason && (filter.ids.is_empty() || filter.ids.contains(&id)) {
                ids.push((id, row.count(1)?));
            }
        }
        Ok(ids)
    }

    /// The files of all segments.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn segment_files(&self) -> Result<Vec<SegmentFile>, StoreError> {
        const SQL: &str = "SELECT path, bytes, checksum, tier FROM segments ORDER BY id";
        let mut files = Vec::new();
        for row in self.rows(SQL, args![]).await? {
            let tier: String = row.get(3)?;
            files.push(SegmentFile {
                path: row.get(0)?,
                bytes: row.count(1)?,
                checksum: row.count(2)? as u32,
                tier: Tier::parse(&tier).unwrap_or_default(),
            });
        }
        Ok(files)
    }

    /// What the database says of its own state; nothing when it is sound. PostgreSQL looks after
    /// itself and has no such question.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn integrity(&self) -> Result<Vec<String>, StoreError> {
        let Pool::Sqlite(_) = &self.reader else { return Ok(Vec::new()) };
        let rows = match self.rows("PRAGMA integrity_check(20)", args![]).await {
            Ok(rows) => rows,
            // A database that is damaged enough refuses even this.
            Err(error) => return Ok(vec![error.to_string()]),
        };
        let mut problems = Vec::new();
        for row in rows {
            let said: String = row.get(0)?;
            if said != "ok" {
                problems.push(said);
            }
        }
        for row in self.rows("PRAGMA foreign_key_check", args![]).await? {
            let table: String = row.get(0)?;
            problems.push(format!("a row of {table} belongs to one that is not there"));
        }
        problems.truncate(PROBLEMS_MAX);
        Ok(problems)
    }

    /// Writes everything at one moment as a new database file. A server may go on writing.
    ///
    /// # Errors
    /// When the manifest is in PostgreSQL, or SQLite refuses.
    pub(crate) async fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let Pool::Sqlite(_) = &self.reader else {
            let message = "it is in PostgreSQL: back that database up with pg_dump, and the data \
                folder with a snapshot of its file system";
            return Err(StoreError::State { what: "manifest", message: message.into() });
        };
        self.rows("VACUUM INTO $1", args![path.display().to_string()]).await?;
        Ok(())
    }
}
