//! Alerts, as JSON with indexed columns beside it.

use pugmark_alert::{Alert, Status};
use pugmark_event::{Entity, Severity};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use crate::error::StoreError;
use crate::manifest::{Manifest, count};

/// The alerts in a data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Alerts {
    manifest: Manifest,
}

/// Which alerts to list.
#[derive(Debug, Clone)]
pub struct AlertFilter {
    /// Open or closed.
    pub status: Option<Status>,
    /// Exactly this severity.
    pub severity: Option<Severity>,
    /// Of the rule with this id.
    pub rule: Option<String>,
    /// About the entity with this value, of whatever kind.
    pub entity: Option<String>,
    /// Alerts at most.
    pub limit: usize,
}

impl Default for AlertFilter {
    fn default() -> Self {
        Self { status: None, severity: None, rule: None, entity: None, limit: 200 }
    }
}

/// Every method fails when SQLite refuses or an alert is not one that this version can read, and
/// those that write also when the store was opened for reading.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
impl Alerts {
    pub(crate) fn new(manifest: Manifest) -> Self {
        Self { manifest }
    }

    /// The alert with this id.
    pub async fn get(&self, id: &str) -> Result<Option<Alert>, StoreError> {
        let row = sqlx::query("SELECT alert FROM alerts WHERE id = ?")
            .bind(id)
            .fetch_optional(self.manifest.reader())
            .await?;
        row.as_ref().map(alert).transpose()
    }

    /// The alert of this rule and entity that folded the newest event, open or not.
    pub async fn newest_for(
        &self,
        rule_id: &str,
        entity: &Entity,
    ) -> Result<Option<Alert>, StoreError> {
        let row = sqlx::query(
            "SELECT alert FROM alerts WHERE rule_id = ? AND entity_kind = ? AND entity_value = ? \
             ORDER BY last_event DESC LIMIT 1",
        )
        .bind(rule_id)
        .bind(entity.kind.name())
        .bind(&entity.value)
        .fetch_optional(self.manifest.reader())
        .await?;
        row.as_ref().map(alert).transpose()
    }

    /// The open alert of this rule and entity that folded the newest event.
    pub async fn open_for(
        &self,
        rule_id: &str,
        entity: &Entity,
    ) -> Result<Option<Alert>, StoreError> {
        let newest = self.newest_for(rule_id, entity).await?;
        Ok(newest.filter(|alert| alert.status == Status::Open))
    }

    /// Alerts that fit the filter, the one seen last first.
    pub async fn list(&self, filter: &AlertFilter) -> Result<Vec<Alert>, StoreError> {
        let mut query: QueryBuilder<Sqlite> =
            QueryBuilder::new("SELECT alert FROM alerts WHERE true");
        if let Some(status) = filter.status {
            query.push(" AND status = ").push_bind(status.name());
        }
        if let Some(severity) = filter.severity {
            query.push(" AND severity = ").push_bind(severity as i64);
        }
        if let Some(rule) = &filter.rule {
            query.push(" AND rule_id = ").push_bind(rule.clone());
        }
        if let Some(entity) = &filter.entity {
            query.push(" AND entity_value = ").push_bind(entity.clone());
        }
        query.push(" ORDER BY last_seen DESC, id LIMIT ");
        query.push_bind(i64::try_from(filter.limit).unwrap_or(i64::MAX));
        let rows = query.build().fetch_all(self.manifest.reader()).await?;
        rows.iter().map(alert).collect()
    }

    /// Keeps an alert in place of the one with the same id.
    pub async fn upsert(&self, alert: &Alert) -> Result<(), StoreError> {
        let json = serde_json::to_string(alert)
            .map_err(|e| StoreError::State { what: "alert", message: e.to_string() })?;
        sqlx::query("INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(&alert.id)
            .bind(&alert.rule.id)
            .bind(alert.entity.kind.name())
            .bind(&alert.entity.value)
            .bind(alert.severity as i64)
            .bind(alert.status.name())
            .bind(alert.first_seen)
            .bind(alert.last_seen)
            .bind(alert.last_event_id)
            .bind(json)
            .execute(self.manifest.writer()?)
            .await?;
        Ok(())
    }

    /// Open alerts by the word of their severity; severities without any are left out.
    pub async fn counts_by_severity(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT severity, count(*) FROM alerts WHERE status = 'open' GROUP BY severity",
        )
        .fetch_all(self.manifest.reader())
        .await?;
        let mut counts = Vec::new();
        for row in &rows {
            let number: i64 = row.try_get(0)?;
            if let Some(severity) = SEVERITIES.iter().find(|s| **s as i64 == number) {
                counts.push((severity.name().to_string(), count(row, 1)?));
            }
        }
        Ok(counts)
    }

    /// Alerts, open and closed, by the id of their rule.
    pub async fn count_by_rule(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = sqlx::query("SELECT rule_id, count(*) FROM alerts GROUP BY rule_id")
            .fetch_all(self.manifest.reader())
            .await?;
        let pairs = rows.iter().map(|row| Ok((row.try_get(0)?, count(row, 1)?)));
        pairs.collect()
    }
}

const SEVERITIES: [Severity; 6] = [
    Severity::Informational,
    Severity::Low,
    Severity::Medium,
    Severity::High,
    Severity::Critical,
    Severity::Fatal,
];

fn alert(row: &SqliteRow) -> Result<Alert, StoreError> {
    let json: &str = row.try_get(0)?;
    serde_json::from_str(json)
        .map_err(|e| StoreError::State { what: "alert", message: e.to_string() })
}
