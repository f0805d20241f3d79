//! Transforms that people write in the product.

use pugmark_event::time::Micros;

use crate::error::StoreError;
use crate::manifest::{AuditEntry, Manifest, Row, add_audit, args};

/// The transforms in a data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeptTransforms {
    manifest: Manifest,
}

/// A transform that was written in the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTransform {
    /// Its name.
    pub name: String,
    /// Its YAML.
    pub text: String,
    /// Why it was changed, in a person's words.
    pub reason: String,
    /// Who did.
    pub actor: String,
    /// When.
    pub changed: Micros,
}

/// Every method fails when the database refuses, and those that write also when the store was
/// opened for reading.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
impl KeptTransforms {
    pub(crate) fn new(manifest: Manifest) -> Self {
        Self { manifest }
    }

    /// All of them, by name.
    pub async fn list(&self) -> Result<Vec<KeptTransform>, StoreError> {
        const SQL: &str = "SELECT name, text, reason, actor, changed FROM transforms ORDER BY name";
        self.manifest.rows(SQL, args![]).await?.iter().map(kept).collect()
    }

    /// The one of this name.
    pub async fn get(&self, name: &str) -> Result<Option<KeptTransform>, StoreError> {
        const SQL: &str =
            "SELECT name, text, reason, actor, changed FROM transforms WHERE name = $1";
        self.manifest.row(SQL, args![name]).await?.as_ref().map(kept).transpose()
    }

    /// Keeps a transform in place of the one of the same name, with an entry in the audit trail.
    pub async fn put(&self, transform: &KeptTransform) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO transforms (name, text, reason, actor, changed) \
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET text = excluded.text, \
            reason = excluded.reason, actor = excluded.actor, changed = excluded.changed";
        let KeptTransform { name, text, reason, actor, changed } = transform;
        let mut tx = self.manifest.begin().await?;
        tx.run(SQL, args![name, text, reason, actor, *changed]).await?;
        add_audit(&mut tx, Some(&entry(transform, "transform written"))).await?;
        self.manifest.finish(tx).await
    }

    /// Forgets a transform, with an entry in the audit trail.
    pub async fn remove(&self, transform: &KeptTransform) -> Result<(), StoreError> {
        let mut tx = self.manifest.begin().await?;
        tx.run("DELETE FROM transforms WHERE name = $1", args![&transform.name]).await?;
        add_audit(&mut tx, Some(&entry(transform, "transform removed"))).await?;
        self.manifest.finish(tx).await
    }
}

fn entry(transform: &KeptTransform, action: &str) -> AuditEntry {
    AuditEntry {
        id: 0,
        time: transform.changed,
        actor: transform.actor.clone(),
        action: action.to_string(),
        subject: transform.name.clone(),
        detail: serde_json::json!({"reason": transform.reason, "text": transform.text}),
    }
}

fn kept(row: &Row) -> Result<KeptTransform, StoreError> {
    Ok(KeptTransform {
        name: row.get(0)?,
        text: row.get(1)?,
        reason: row.get(2)?,
        actor: row.get(3)?,
        changed: row.get(4)?,
    })
}
