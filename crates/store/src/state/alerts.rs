//! Alerts, as JSON with indexed columns beside it. What an alert says of its rule is kept once for
//! all alerts of the rule.

use pugmark_alert::{Alert, Status};
use pugmark_event::time::Micros;
use pugmark_event::{Entity, Severity};
use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;
use twox_hash::XxHash3_64;

use crate::error::StoreError;
use crate::manifest::{Arg, Manifest, Row, args};

/// The alerts in a data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Alerts {
    manifest: Manifest,
}

/// What [`alert`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT alert, rule FROM alerts LEFT JOIN alert_rules ON hash = rule_hash ", $rest)
    };
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
        let row = self.manifest.row(select!("WHERE id = $1"), args![id]).await?;
        row.as_ref().map(alert).transpose()
    }

    /// The alert of this rule and entity that folded the newest event, open or not.
    pub async fn newest_for(
        &self,
        rule_id: &str,
        entity: &Entity,
    ) -> Result<Option<Alert>, StoreError> {
        const SQL: &str = select!(
            "WHERE rule_id = $1 AND entity_kind = $2 AND entity_value = $3 \
            ORDER BY last_event DESC LIMIT 1"
        );
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

    /// How many alerts about somebody a rule has that were first seen from one moment up to before
    /// another.
    pub async fn opened(
        &self,
        rule_id: &str,
        (from, to): (Micros, Micros),
    ) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT count(*) FROM alerts WHERE rule_id = $1 AND first_seen >= $2 \
            AND first_seen < $3 AND entity_kind <> 'none'";
        let row = self.manifest.row(SQL, args![rule_id, from, to]).await?;
        Ok(row.map(|row| row.count(0)).transpose()?.unwrap_or(0))
    }

    /// Alerts that fit the filter, the one seen last first.
    pub async fn list(&self, filter: &AlertFilter) -> Result<Vec<Alert>, StoreError> {
        let wanted: [(&str, Option<Arg<'_>>); 4] = [
            ("status", filter.status.map(|status| status.name().into())),
            ("severity", filter.severity.map(|severity| (severity as i64).into())),
            ("rule_id", filter.rule.as_ref().map(Arg::from)),
            ("entity_value", filter.entity.as_ref().map(Arg::from)),
        ];
        let mut sql = select!("WHERE 1 = 1").to_string();
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

    /// Alerts in the order of their ids, from the one after `after` on: a page of all there are.
    pub async fn page(&self, after: &str, limit: usize) -> Result<Vec<Alert>, StoreError> {
        const SQL: &str = select!("WHERE id > $1 ORDER BY id LIMIT $2");
        let rows = self.manifest.rows(SQL, args![after, limit]).await?;
        rows.iter().map(alert).collect()
    }

    /// Keeps an alert in place of the one with the same id.
    pub async fn upsert(&self, alert: &Alert) -> Result<(), StoreError> {
        const RULE: &str =
            "INSERT INTO alert_rules (hash, rule) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING";
        const SQL: &str = "INSERT INTO alerts (id, rule_id, entity_kind, entity_value, severity, \
            status, first_seen, last_seen, last_event, alert, rule_hash) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO UPDATE SET \
            rule_id = excluded.rule_id, entity_kind = excluded.entity_kind, \
            entity_value = excluded.entity_value, severity = excluded.severity, \
            status = excluded.status, first_seen = excluded.first_seen, \
            last_seen = excluded.last_seen, last_event = excluded.last_event, \
            alert = excluded.alert, rule_hash = excluded.rule_hash";
        let Parts { alert: json, rule } = Parts::of(alert)?;
        let hash = format!("{} {:016x}", alert.rule.id, XxHash3_64::oneshot(rule.as_bytes()));
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
            &hash,
        ];
        let mut tx = self.manifest.begin().await?;
        tx.run(RULE, args![&hash, &rule]).await?;
        tx.run(SQL, args).await?;
        self.manifest.finish(tx).await
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

/// The JSON of an alert in the two parts in which it is kept.
struct Parts {
    alert: String,
    rule: String,
}

/// The part of an alert's JSON that is kept apart.
const RULE: &str = "rule";

impl Parts {
    fn of(alert: &Alert) -> Result<Self, StoreError> {
        let rule = serde_json::to_string(&alert.rule).map_err(unreadable)?;
        let Value::Object(mut alert) = serde_json::to_value(alert).map_err(unreadable)? else {
            return Err(StoreError::State { what: "alert", message: "it is no object".into() });
        };
        alert.remove(RULE);
        Ok(Self { alert: serde_json::to_string(&alert).map_err(unreadable)?, rule })
    }
}

/// Reads what [`select`] gives.
fn alert(row: &Row) -> Result<Alert, StoreError> {
    let (alert, rule): (String, Option<String>) = (row.get(0)?, row.get(1)?);
    let mut alert: Map<String, Value> = serde_json::from_str(&alert).map_err(unreadable)?;
    if let Some(rule) = rule {
        alert.insert(RULE.into(), serde_json::from_str(&rule).map_err(unreadable)?);
    }
    serde_json::from_value(Value::Object(alert)).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError::State { what: "alert", message: error.to_string() }
}
