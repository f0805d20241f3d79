//! The audit trail: who did what to the data. Entries are only ever added.

use crate::error::StoreError;
use crate::manifest::AuditEntry;
use crate::store::Store;

impl Store {
    /// Adds an entry to the audit trail. What changes segments writes its entry in the same
    /// transaction; this is for everything else.
    ///
    /// # Errors
    /// When the store was opened for reading, or the manifest cannot be written to.
    pub async fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.inner.manifest.audit(entry).await
    }

    /// The newest entries of the audit trail, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn audit_list(&self, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.inner.manifest.audit_list(limit).await
    }
}
