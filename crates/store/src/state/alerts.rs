//! Alerts, as JSON with indexed columns beside it.

use pugmark_alert::{Alert, Status};
use pugmark_event::{Entity, Severity};
use sqlx::AssertSqlSafe;

use crate::error::StoreError;
use crate::manifest::{Arg, Manifest, Row, args};

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

/// Every method fails when the database refuses or an alert is not one that this version can read,
/// and those that write also when the store was opened for reading.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
impl Alerts {
    pub(crate) fn new(manifest: Manifest) -> Self {
        Self { manifest }
    }

    /// The alert with this id.
    pub async fn get(&self, id: &str) -> Result<Option<Alert>, StoreError> {
        let row = self.manifest.row("SELECT alert FROM alerts WHERE id = $1", args![id]).await?;
        row.as_ref().map(alert).transpose()
    }

    /// The alert of this rule and entity that folded the newest event, open or not.
    pub async fn newest_for(
        &self,
        rule_id: &str,
        entity: &Entity,
    ) -> Result<Option<Alert>, StoreError> {
        const SQL: &str = "SELECT alert FROM alerts \
            WHERE rule_id = $1 AND entity_kind = $2 AND entity_value = $3 \
            ORDER BY last_event DESC LIMIT 1";
        let args = args![rule_id, entity.kind.name(), &entity.value];
        let row = self.manifest.row(SQL, args).await?;
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
        let wanted: [(&str, Option<Arg<'_>>); 4] = [
            ("status", filter.status.map(|status| status.name().into())),
            ("severity", filter.severity.map(|severity| (severity as i64).into())),
            ("rule_id", filter.rule.as_ref().map(Arg::from)),
            ("entity_value", filter.entity.as_ref().map(Arg::from)),
        ];
        let mut sql = "SELECT alert FROM alerts WHERE 1 = 1".to_string();
        let mut args = Vec::new();
        for (column, value) in wanted {
            if let Some(value) = value {
                args.push(value);
                sql += &format!(" AND {column} = ${}", args.len());
            }
        }
        args.push(filter.limit.into());
        sql += &format!(" ORDER BY last_seen DESC, id LIMIT ${}", args.len());
        // Names of columns and numbers of values: what was asked for is bound, not written.
        let rows = self.manifest.rows(AssertSqlSafe(sql), &args).await?;
        rows.iter().map(alert).collect()
    }

    /// Keeps an alert in place of the one with the same id.
    pub async fn upsert(&self, alert: &Alert) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO alerts (id, rule_id, entity_kind, entity_value, severity, \
            status, first_seen, last_seen, last_event, alert) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO UPDATE SET \
            rule_id = excluded.rule_id, entity_kind = excluded.entity_kind, \
            entity_value = excluded.entity_value, severity = excluded.severity, \
            status = excluded.status, first_seen = excluded.first_seen, \
            last_seen = excluded.last_seen, last_event = excluded.last_event, \
            alert = excluded.alert";
        let json = serde_json::to_string(alert)
            .map_err(|e| StoreError::State { what: "alert", message: e.to_string() })?;
        let args = args![
            &alert.id,
            &alert.rule.id,
            alert.entity.kind.name(),
            &alert.entity.value,
            alert.severity as i64,
            alert.status.name(),
            alert.first_seen,
            alert.last_seen,
            alert.last_event_id,
            json,
        ];
        self.manifest.run(SQL, args).await?;
        Ok(())
    }

    /// Open alerts by the word of their severity; severities without any are left out.
    pub async fn counts_by_severity(&self) -> Result<Vec<(String, u64)>, StoreError> {
        const SQL: &str =
            "SELECT severity, count(*) FROM alerts WHERE status = 'open' GROUP BY severity";
        let rows = self.manifest.rows(SQL, args![]).await?;
        let mut counts = Vec::new();
        for row in &rows {
            let number: i64 = row.get(0)?;
            if let Some(severity) = SEVERITIES.iter().find(|s| **s as i64 == number) {
                counts.push((severity.name().to_string(), row.count(1)?));
            }
        }
        Ok(counts)
    }

    /// Alerts, open and closed, by the id of their rule.
    pub async fn count_by_rule(&self) -> Result<Vec<(String, u64)>, StoreError> {
        const SQL: &str = "SELECT rule_id, count(*) FROM alerts GROUP BY rule_id";
        let rows = self.manifest.rows(SQL, args![]).await?;
        let pairs = rows.iter().map(|row| Ok((row.get(0)?, row.count(1)?)));
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

fn alert(row: &Row) -> Result<Alert, StoreError> {
    let json: String = row.get(0)?;
    serde_json::from_str(&json)
        .map_err(|e| StoreError::State { what: "alert", message: e.to_string() })
}
