//! Rules that people write in the product, and rules that they switch off.

use pugmark_event::time::Micros;

use crate::error::StoreError;
use crate::manifest::{AuditEntry, Manifest, Row, add_audit, args};

/// The rules in a data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeptRules {
    manifest: Manifest,
}

/// A rule that was written in the product, or a switch of one that comes from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRule {
    /// Id of the rule.
    pub id: String,
    /// Its YAML; `None` where it comes from elsewhere.
    pub text: Option<String>,
    /// True when it is switched off.
    pub off: bool,
    /// Why it was changed or switched, in a person's words.
    pub reason: String,
    /// Who did.
    pub actor: String,
    /// When.
    pub changed: Micros,
}

/// Every method fails when the database refuses, and those that write also when the store was
/// opened for reading.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
impl KeptRules {
    pub(crate) fn new(manifest: Manifest) -> Self {
        Self { manifest }
    }

    /// All of them, by id.
    pub async fn list(&self) -> Result<Vec<KeptRule>, StoreError> {
        const SQL: &str = "SELECT id, text, off, reason, actor, changed FROM rules ORDER BY id";
        self.manifest.rows(SQL, args![]).await?.iter().map(kept).collect()
    }

    /// The one with this id.
    pub async fn get(&self, id: &str) -> Result<Option<KeptRule>, StoreError> {
        const SQL: &str = "SELECT id, text, off, reason, actor, changed FROM rules WHERE id = $1";
        self.manifest.row(SQL, args![id]).await?.as_ref().map(kept).transpose()
    }

    /// Keeps a rule in place of the one with the same id, with an entry in the audit trail.
    pub async fn put(&self, rule: &KeptRule, action: &str) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO rules (id, text, off, reason, actor, changed) \
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET text = excluded.text, \
            off = excluded.off, reason = excluded.reason, actor = excluded.actor, \
            changed = excluded.changed";
        let (text, off) = (rule.text.as_deref(), i64::from(rule.off));
        let args = args![&rule.id, text, off, &rule.reason, &rule.actor, rule.changed];
        let mut tx = self.manifest.begin().await?;
        tx.run(SQL, args).await?;
        add_audit(&mut tx, Some(&entry(rule, action))).await?;
        self.manifest.finish(tx).await
    }

    /// Forgets a rule, with an entry in the audit trail. What comes from elsewhere is as it comes
    /// again.
    pub async fn remove(&self, rule: &KeptRule, action: &str) -> Result<(), StoreError> {
        let mut tx = self.manifest.begin().await?;
        tx.run("DELETE FROM rules WHERE id = $1", args![&rule.id]).await?;
        add_audit(&mut tx, Some(&entry(rule, action))).await?;
        self.manifest.finish(tx).await
    }
}

fn entry(rule: &KeptRule, action: &str) -> AuditEntry {
    AuditEntry {
        id: 0,
        time: rule.changed,
        actor: rule.actor.clone(),
        action: action.to_string(),
        subject: rule.id.clone(),
        detail: serde_json::json!({"reason": rule.reason, "text": rule.text}),
    }
}

fn kept(row: &Row) -> Result<KeptRule, StoreError> {
    let off: i64 = row.get(2)?;
    Ok(KeptRule {
        id: row.get(0)?,
        text: row.get(1)?,
        off: off != 0,
        reason: row.get(3)?,
        actor: row.get(4)?,
        changed: row.get(5)?,
    })
}
