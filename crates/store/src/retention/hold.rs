//! Legal holds: a person forbids that a class loses anything, until a person allows it again.

use std::collections::{BTreeMap, BTreeSet};

use pugmark_event::time::Micros;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::manifest::{AuditEntry, args};
use crate::store::{Inner, Store};

/// Name under which the holds are kept.
const NAME: &str = "retention.holds";

/// Why a class is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What for.
    pub reason: String,
    /// Who said so.
    pub actor: String,
    /// Since when.
    pub since: Micros,
}

impl Store {
    /// The classes that a person has put on hold.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn holds(&self) -> Result<BTreeMap<String, Hold>, StoreError> {
        self.inner.holds().await
    }

    /// Forbids that a class loses anything. A class that is held already keeps its first reason,
    /// and the new one is in the audit trail.
    ///
    /// # Errors
    /// When the store was opened for reading, or the manifest cannot be written to.
    pub async fn hold(&self, class: &str, reason: &str, actor: &str) -> Result<(), StoreError> {
        // A run that is under way must not delete what is held from now on.
        let _alone = self.inner.aging.turn.lock().await;
        let mut holds = self.inner.holds().await?;
        let since = crate::now();
        let hold = Hold { reason: reason.to_string(), actor: actor.to_string(), since };
        holds.entry(class.to_string()).or_insert(hold);
        let detail = serde_json::json!({ "reason": reason });
        self.inner.keep_holds(&holds, &AuditEntry::now(actor, "hold", class, detail)).await
    }

    /// Allows again what a hold forbade. False when the class was not held.
    ///
    /// # Errors
    /// When the store was opened for reading, or the manifest cannot be written to.
    pub async fn release(
        &self,
        class: &str,
        reason: &str,
        actor: &str,
    ) -> Result<bool, StoreError> {
        let _alone = self.inner.aging.turn.lock().await;
        let mut holds = self.inner.holds().await?;
        let Some(hold) = holds.remove(class) else { return Ok(false) };
        let detail = serde_json::json!({ "reason": reason, "held_for": hold.reason });
        self.inner.keep_holds(&holds, &AuditEntry::now(actor, "release", class, detail)).await?;
        Ok(true)
    }
}

impl Inner {
    pub(crate) async fn holds(&self) -> Result<BTreeMap<String, Hold>, StoreError> {
        let sql = "SELECT value FROM settings WHERE name = $1";
        let Some(row) = self.manifest.row(sql, args![NAME]).await? else {
            return Ok(BTreeMap::new());
        };
        let text: String = row.get(0)?;
        // Holds that cannot be read must not count as none.
        serde_json::from_str(&text)
            .map_err(|e| StoreError::State { what: "legal holds", message: e.to_string() })
    }

    pub(crate) async fn held_classes(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.holds().await?.into_keys().collect())
    }

    async fn keep_holds(
        &self,
        holds: &BTreeMap<String, Hold>,
        audit: &AuditEntry,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(holds)
            .map_err(|e| StoreError::State { what: "legal holds", message: e.to_string() })?;
        self.manifest.keep(NAME, &text, audit).await
    }
}
