//! What the API says and takes: types of its own, so that a change inside never changes the API
//! by accident. Times are RFC 3339 in UTC.

use std::collections::BTreeMap;

use pugmark_engine::Corrections;
use pugmark_event::time::{self, Micros, SECOND};
use pugmark_parse::clean::Estimate;
use pugmark_parse::health;
use pugmark_store::KeptCorrection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ServerOptions;
use crate::auth::Purpose;

/// One event or one row: flat, dotted ECS names.
#[derive(Debug, ToSchema)]
#[schema(value_type = Object)]
pub(crate) struct Row(#[allow(dead_code, reason = "rows are written as text")] ());

/// The shape of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetail {
    /// A word for programs.
    code: String,
    /// What happened.
    message: String,
    /// What to do next.
    hint: Option<String>,
    /// Where a query is wrong: first byte.
    from: Option<usize>,
    /// Where a query is wrong: the byte after the last.
    to: Option<usize>,
    /// The id under which the log of the server names this request.
    request_id: Option<String>,
}

// Sign in

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuthState {
    /// True until there is a first user.
    pub(crate) setup_needed: bool,
    /// The signed-in user.
    #[schema(required)]
    pub(crate) user: Option<String>,
}

/// The first user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetupRequest {
    /// The one-time token of the link that the server printed.
    pub(crate) token: String,
    /// Name of the user.
    pub(crate) user: String,
    /// At least 10 characters.
    pub(crate) password: String,
}

/// Name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginRequest {
    pub(crate) user: String,
    pub(crate) password: String,
}

// Tokens

/// All tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tokens {
    pub(crate) tokens: Vec<Token>,
}

/// A token, without its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) name: String,
    /// ingest, read or admin.
    pub(crate) purpose: String,
    pub(crate) created: String,
    #[schema(required)]
    pub(crate) last_used: Option<String>,
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRequest {
    pub(crate) name: String,
    /// `ingest` or `read`.
    pub(crate) purpose: Purpose,
}

/// A new token with its text, which is shown only now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenMade {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) purpose: Purpose,
    pub(crate) token: String,
}

// Intake

/// What became of the records of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Receipt {
    pub(crate) received: u64,
    pub(crate) stored: u64,
    /// Records that were not stored again, since equal ones of the source just were.
    pub(crate) folded: u64,
    pub(crate) quarantined: u64,
    pub(crate) shed: u64,
}

impl From<pugmark_engine::Receipt> for Receipt {
    fn from(r: pugmark_engine::Receipt) -> Self {
        Self {
            received: r.received,
            stored: r.stored,
            folded: r.folded,
            quarantined: r.quarantined,
            shed: r.shed,
        }
    }
}

// Questions

/// A moment as people and programs write it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Moment {
    /// RFC 3339, `now`, `now-15m`, `now-1d/d`.
    Text(String),
    /// Milliseconds since 1970.
    Millis(i64),
}

/// A question in the query language.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchRequest {
    /// `user:root and event.outcome:failure | stats count() by source.ip`
    #[serde(default)]
    pub(crate) query: String,
    /// Earliest event time. Absent: no bound.
    pub(crate) from: Option<Moment>,
    /// Event time before which events count. Absent: no bound.
    pub(crate) to: Option<Moment>,
    /// Most rows to answer. Absent: all; of a stream, 1000.
    pub(crate) limit: Option<usize>,
    /// Go on after the page that ended with this cursor.
    pub(crate) cursor: Option<String>,
    /// Of a stream: after the rows that are there, those that arrive.
    #[serde(default)]
    pub(crate) live: bool,
    /// Of a stream: events over time, too.
    pub(crate) histogram: Option<HistogramWish>,
}

/// How events over time are drawn.
#[derive(Debug, Default, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistogramWish {
    /// About how many buckets, 1 to 1000; the span of a bucket is a round time.
    pub(crate) buckets: Option<usize>,
    /// A field whose values split each bucket.
    pub(crate) by: Option<String>,
}

/// How a question was answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainAnswer {
    pub(crate) reading: ExplainReading,
    /// The steps, in the order in which rows pass them.
    pub(crate) steps: Vec<ExplainStep>,
    /// Rows of the answer.
    pub(crate) rows: u64,
    /// Time to the last row, in microseconds.
    pub(crate) took_us: u64,
}

/// What was read of the store. What is not read was ruled out by the range of time, by statistics
/// or an index, or its figures are in the file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainReading {
    pub(crate) segments: u64,
    pub(crate) segments_read: u64,
    pub(crate) row_groups: u64,
    pub(crate) row_groups_read: u64,
    pub(crate) events: u64,
    /// Events in memory and in the row groups that were read.
    pub(crate) events_read: u64,
    /// Bytes read of files; what was kept in memory is not read again.
    pub(crate) bytes_read: u64,
}

/// A part of the work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainStep {
    /// `read events`, `filter`, `group`, `sort`, `evaluate` and their like.
    pub(crate) name: String,
    /// More about it in words of the engine; may be empty.
    pub(crate) detail: String,
    /// Rows that it gave to the next.
    pub(crate) rows: u64,
    /// Time in microseconds; where several threads work on a step, of all of them together.
    pub(crate) took_us: u64,
}

/// A question in SQL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlRequest {
    /// `SELECT source_ip, count(*) FROM events GROUP BY 1`
    pub(crate) sql: String,
    /// Most rows to answer. Absent: all.
    pub(crate) limit: Option<usize>,
}

/// Events over time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistogramRequest {
    #[serde(default)]
    pub(crate) query: String,
    pub(crate) from: Option<Moment>,
    pub(crate) to: Option<Moment>,
    /// About how many buckets, 1 to 1000; the span of a bucket is a round time.
    pub(crate) buckets: Option<usize>,
    /// A field whose values split each bucket.
    pub(crate) by: Option<String>,
}

/// Events over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Histogram {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) bucket_ms: i64,
    /// Events in all buckets.
    pub(crate) count: u64,
    /// From this time on buckets have all their events; as long as it is later than `from` the
    /// histogram grows, and `count` is a part of what there is.
    pub(crate) complete_from: String,
    pub(crate) buckets: Vec<Bucket>,
}

/// Events of one span of time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Bucket {
    /// Start of the span.
    pub(crate) time: String,
    pub(crate) count: u64,
    /// Counts by value; the empty text counts events without a value.
    pub(crate) by: BTreeMap<String, u64>,
}

/// Which values fields have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FacetsRequest {
    #[serde(default)]
    pub(crate) query: String,
    pub(crate) from: Option<Moment>,
    pub(crate) to: Option<Moment>,
    /// Absent: all fields that events in the range have.
    pub(crate) fields: Option<Vec<String>>,
    /// Most values of a field, 1 to 1000; 8 when absent.
    pub(crate) limit: Option<usize>,
}

/// Which values fields have.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Facets {
    /// Events looked at.
    pub(crate) rows: u64,
    /// True when there are more events than were looked at; these are the newest.
    pub(crate) sampled: bool,
    pub(crate) fields: Vec<Facet>,
}

/// Values of one field.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Facet {
    pub(crate) name: String,
    /// text, long, ip, time, bytes.
    pub(crate) kind: String,
    /// Share of the events that have the field, 0 to 1.
    pub(crate) coverage: f64,
    /// Different values; counting stops at 10,000.
    pub(crate) distinct: u64,
    /// The most frequent values.
    pub(crate) values: Vec<FacetValue>,
}

/// One value and how many events have it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FacetValue {
    pub(crate) value: String,
    pub(crate) count: u64,
}

/// A query to look at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParseRequest {
    pub(crate) query: String,
}

/// What a query is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParseAnswer {
    pub(crate) ok: bool,
    /// events or table.
    pub(crate) kind: &'static str,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// What is wrong with a query, and where: byte offsets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Diagnostic {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) severity: &'static str,
    pub(crate) message: String,
    #[schema(required)]
    pub(crate) fix: Option<String>,
}

/// A query that is being written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteRequest {
    pub(crate) query: String,
    /// Byte offset of the cursor.
    pub(crate) pos: usize,
    /// Earliest event time. With a bound, fields that events of the range have come first.
    pub(crate) from: Option<Moment>,
    /// Event time before which events count.
    pub(crate) to: Option<Moment>,
}

/// What may stand at the cursor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompleteAnswer {
    /// First byte that an item replaces.
    pub(crate) from: usize,
    /// The byte after the last.
    pub(crate) to: usize,
    pub(crate) items: Vec<CompleteItem>,
}

/// One thing that may stand at the cursor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompleteItem {
    pub(crate) label: String,
    /// field, value, command, function or keyword.
    pub(crate) kind: &'static str,
    pub(crate) detail: String,
}

/// All registered fields; for a range of time also the attributes that its events have.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Fields {
    /// Events of the range. Absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<u64>,
    /// False when `events` is an estimate. Absent without a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exact: Option<bool>,
    /// For a range those that most events have come first, and those that none has last.
    pub(crate) fields: Vec<Field>,
}

/// A registered field or an attribute.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Its name in SQL.
    pub(crate) column: String,
    pub(crate) kind: &'static str,
    /// The sort of entity that it names.
    #[schema(required)]
    pub(crate) role: Option<&'static str>,
    pub(crate) doc: &'static str,
    #[serde(flatten)]
    pub(crate) present: Option<FieldPresent>,
}

/// How many events of a range have a field.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldPresent {
    /// Events that have it.
    pub(crate) events: u64,
    /// Share of the events that have it, 0 to 1.
    pub(crate) coverage: f64,
    /// False when these are estimates.
    pub(crate) exact: bool,
}

// Alerts and rules

/// Alerts, the one seen last first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alerts {
    pub(crate) alerts: Vec<Alert>,
}

/// An alert and the events behind it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertDetail {
    pub(crate) alert: Alert,
    /// The detections that were folded: the first 50 and the last 50.
    pub(crate) detections: Vec<AlertDetection>,
    /// Evidence, at most 100 events.
    #[schema(value_type = Vec<Object>)]
    pub(crate) events: Vec<Box<serde_json::value::RawValue>>,
}

/// One alert.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertAnswer {
    pub(crate) alert: Alert,
}

/// Detections of one rule on one entity, folded.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Alert {
    pub(crate) id: String,
    pub(crate) rule: AlertRule,
    /// informational, low, medium, high or critical.
    pub(crate) severity: String,
    /// open or closed.
    pub(crate) status: String,
    /// true_positive, false_positive or benign.
    #[schema(required)]
    pub(crate) verdict: Option<Verdict>,
    pub(crate) note: String,
    pub(crate) entity: Entity,
    pub(crate) summary: String,
    /// Detections folded into this alert.
    pub(crate) count: u64,
    pub(crate) first_seen: String,
    pub(crate) last_seen: String,
    pub(crate) attack: Attack,
    /// Ids of events.
    pub(crate) evidence: Vec<String>,
    pub(crate) why: Vec<Reason>,
}

/// A detection that was folded into an alert.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct AlertDetection {
    /// The same events give the same id.
    pub(crate) id: String,
    pub(crate) time: String,
    /// The event that completed it.
    pub(crate) event: String,
    /// Events, or different values, that the rule counted.
    pub(crate) count: u64,
}

/// The parts of a rule that an alert keeps.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct AlertRule {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) level: String,
    pub(crate) description: String,
    /// Who wrote it; may be empty.
    pub(crate) author: String,
    /// The licence of the rule; may be empty.
    pub(crate) license: String,
    pub(crate) falsepositives: Vec<String>,
    /// What to look at and do first; may be empty.
    pub(crate) next_steps: String,
    pub(crate) references: Vec<String>,
    pub(crate) tags: Vec<String>,
}

/// Who or what an alert is about.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Entity {
    /// user, host, address, process, resource or none.
    pub(crate) kind: String,
    pub(crate) value: String,
}

/// MITRE ATT&CK.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Attack {
    pub(crate) tactics: Vec<String>,
    pub(crate) techniques: Vec<String>,
}

/// Why a rule fired.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Reason {
    pub(crate) selection: String,
    pub(crate) field: String,
    pub(crate) value: String,
    pub(crate) test: String,
}

/// What a person judged.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    TruePositive,
    FalsePositive,
    Benign,
}

impl From<&pugmark_alert::Firing> for AlertDetection {
    fn from(firing: &pugmark_alert::Firing) -> Self {
        Self {
            id: firing.id.clone(),
            time: time::format(firing.time),
            event: firing.event_id.to_string(),
            count: firing.count,
        }
    }
}

impl From<Verdict> for pugmark_alert::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::TruePositive => Self::TruePositive,
            Verdict::FalsePositive => Self::FalsePositive,
            Verdict::Benign => Self::Benign,
        }
    }
}

impl From<pugmark_alert::Verdict> for Verdict {
    fn from(verdict: pugmark_alert::Verdict) -> Self {
        match verdict {
            pugmark_alert::Verdict::TruePositive => Self::TruePositive,
            pugmark_alert::Verdict::FalsePositive => Self::FalsePositive,
            pugmark_alert::Verdict::Benign => Self::Benign,
        }
    }
}

/// A judgement: a verdict closes the alert, none opens it again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerdictRequest {
    pub(crate) verdict: Option<Verdict>,
    #[serde(default)]
    pub(crate) note: String,
}

impl From<&pugmark_alert::Alert> for Alert {
    fn from(alert: &pugmark_alert::Alert) -> Self {
        let rule = &alert.rule;
        Self {
            id: alert.id.clone(),
            rule: AlertRule {
                id: rule.id.clone(),
                title: rule.title.clone(),
                level: rule.level.name().into(),
                description: rule.description.clone(),
                author: rule.author.clone(),
                license: rule.license.clone(),
                falsepositives: rule.falsepositives.clone(),
                next_steps: rule.next_steps.clone(),
                references: rule.references.clone(),
                tags: rule.tags.clone(),
            },
            severity: alert.severity.name().into(),
            status: alert.status.name().into(),
            verdict: alert.verdict.map(Into::into),
            note: alert.note.clone(),
            entity: (&alert.entity).into(),
            summary: alert.summary.clone(),
            count: alert.count,
            first_seen: time::format(alert.first_seen),
            last_seen: time::format(alert.last_seen),
            attack: Attack {
                tactics: alert.attack.tactics.clone(),
                techniques: alert.attack.techniques.clone(),
            },
            evidence: alert.evidence.iter().map(ToString::to_string).collect(),
            why: alert.why.iter().map(Into::into).collect(),
        }
    }
}

impl From<&pugmark_event::Entity> for Entity {
    fn from(entity: &pugmark_event::Entity) -> Self {
        Self { kind: entity.kind.name().into(), value: entity.value.clone() }
    }
}

impl From<&pugmark_detect::Reason> for Reason {
    fn from(reason: &pugmark_detect::Reason) -> Self {
        Self {
            selection: reason.selection.clone(),
            field: reason.field.clone(),
            value: reason.value.clone(),
            test: reason.test.clone(),
        }
    }
}

/// All rules.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rules {
    pub(crate) rules: Vec<Rule>,
    /// Rules that cannot be used, and why.
    pub(crate) problems: Vec<RuleProblem>,
}

/// Something wrong with a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleProblem {
    /// The file.
    pub(crate) path: String,
    /// Line where the rule starts.
    #[schema(required)]
    pub(crate) line: Option<u64>,
    /// Id of the rule, if it got so far.
    #[schema(required)]
    pub(crate) rule: Option<String>,
    pub(crate) message: String,
    /// What to do about it; may be empty.
    pub(crate) hint: String,
}

/// Why a rule does not run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleOff {
    pub(crate) reason: String,
    pub(crate) actor: String,
    pub(crate) since: String,
}

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) level: String,
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
    pub(crate) logsource: LogSource,
    /// event or correlation.
    pub(crate) kind: &'static str,
    /// Where it comes from: builtin, folder or product.
    pub(crate) origin: &'static str,
    /// Changes when what it detects may change.
    pub(crate) version: String,
    /// Who switched it off and why; null while it runs.
    #[schema(required)]
    pub(crate) off: Option<RuleOff>,
    /// Alerts of this rule.
    pub(crate) alerts: u64,
}

/// A rule with its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleDetail {
    #[serde(flatten)]
    pub(crate) rule: Rule,
    /// The rule as written, YAML.
    pub(crate) source: String,
    pub(crate) references: Vec<String>,
    pub(crate) falsepositives: Vec<String>,
    /// What to look at and do first; may be empty.
    pub(crate) next_steps: String,
    /// Who wrote it; may be empty.
    pub(crate) author: String,
    /// The licence of the rule; may be empty.
    pub(crate) license: String,
    /// What the rule leaves out.
    pub(crate) exceptions: Vec<Exception>,
}

/// What a rule leaves out, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Exception {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) reason: String,
    /// Who answers for it.
    pub(crate) owner: String,
    /// The last day on which it applies: `2027-06-30`.
    #[schema(required)]
    pub(crate) expires: Option<String>,
}

impl From<&pugmark_detect::Exception> for Exception {
    fn from(exception: &pugmark_detect::Exception) -> Self {
        Self {
            id: exception.id.clone(),
            title: exception.title.clone(),
            reason: exception.reason.clone(),
            owner: exception.owner.clone(),
            expires: exception.expires.clone(),
        }
    }
}

/// Which logs a rule is about, as Sigma says it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogSource {
    #[schema(required)]
    pub(crate) product: Option<String>,
    #[schema(required)]
    pub(crate) category: Option<String>,
    #[schema(required)]
    pub(crate) service: Option<String>,
}

// State

/// The state of the server.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) started: String,
    pub(crate) uptime_seconds: u64,
    /// Events that search can find.
    pub(crate) events: u64,
    pub(crate) events_per_second: f64,
    pub(crate) raw_bytes: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) wal_bytes: u64,
    pub(crate) segments: u64,
    pub(crate) rules: u64,
    /// Detections since the start.
    pub(crate) detections: u64,
    /// Records since the start that no format understood.
    pub(crate) not_understood: u64,
    /// Records that are taken and on disk, and not searchable yet.
    pub(crate) pending_records: u64,
    /// Rules over time that had to forget what they were counting for want of room.
    pub(crate) forgotten: Vec<Forgotten>,
    /// Rules that cost too much on the stream and go on over stored events, behind it.
    pub(crate) throttled: Vec<Throttled>,
    /// Transforms that fail or do not run.
    pub(crate) transforms: Vec<TransformTrouble>,
    /// Values masked at the door since the start, by kind.
    pub(crate) masked: BTreeMap<String, u64>,
    /// Records that were not stored again, since equal ones of their source just were.
    pub(crate) folded: u64,
    /// Open alerts by severity; every severity is listed.
    pub(crate) open_alerts: BTreeMap<String, u64>,
    pub(crate) sources: u64,
    pub(crate) listen: Listen,
    pub(crate) taking_logs: bool,
    /// Why logs are not taken.
    #[schema(required)]
    pub(crate) problem: Option<String>,
}

/// A transform that leaves events as the parser made them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TransformTrouble {
    pub(crate) name: String,
    /// False when it does not run at all.
    pub(crate) running: bool,
    /// Events that it was for, since the start or since it was changed.
    pub(crate) events: u64,
    /// Of these, those that it failed on.
    pub(crate) failed: u64,
    /// What is wrong, or why it failed last.
    pub(crate) reason: String,
}

impl From<pugmark_engine::status::TransformTrouble> for TransformTrouble {
    fn from(trouble: pugmark_engine::status::TransformTrouble) -> Self {
        let pugmark_engine::status::TransformTrouble { name, running, events, failed, reason } =
            trouble;
        Self { name, running, events, failed, reason }
    }
}

/// A rule over time that ran out of room.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Forgotten {
    pub(crate) rule: String,
    pub(crate) title: String,
    /// Addresses, users or whatever it groups by, dropped before their time was over.
    pub(crate) keys: u64,
}

impl From<pugmark_engine::status::Forgotten> for Forgotten {
    fn from(forgotten: pugmark_engine::status::Forgotten) -> Self {
        Self { rule: forgotten.rule, title: forgotten.title, keys: forgotten.keys }
    }
}

/// A rule that cost too much on the stream.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Throttled {
    pub(crate) rule: String,
    pub(crate) title: String,
    /// What it took of one core on the stream, in percent.
    pub(crate) core_percent: f64,
    /// Events on the stream that it has not looked at yet.
    pub(crate) events_behind: u64,
}

impl From<pugmark_engine::status::Throttled> for Throttled {
    fn from(throttled: pugmark_engine::status::Throttled) -> Self {
        Self {
            rule: throttled.rule,
            title: throttled.title,
            core_percent: throttled.core_percent,
            events_behind: throttled.events_behind,
        }
    }
}

/// Where the server listens.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Listen {
    pub(crate) http: String,
    #[schema(required)]
    pub(crate) syslog_udp: Option<String>,
    #[schema(required)]
    pub(crate) syslog_tcp: Option<String>,
}

impl Status {
    pub(crate) fn new(status: pugmark_engine::Status, options: &ServerOptions) -> Self {
        let mut open_alerts = status.open_alerts;
        for severity in ["critical", "high", "medium", "low", "informational"] {
            open_alerts.entry(severity.into()).or_default();
        }
        Self {
            version: status.version.to_string(),
            started: time::format(status.started),
            uptime_seconds: status.uptime_seconds,
            events: status.events,
            events_per_second: status.events_per_second,
            raw_bytes: status.raw_bytes,
            disk_bytes: status.disk_bytes,
            wal_bytes: status.wal_bytes,
            segments: status.segments,
            rules: status.rules,
            detections: status.detections,
            not_understood: status.not_understood,
            pending_records: status.pending_records,
            forgotten: status.forgotten.into_iter().map(Into::into).collect(),
            throttled: status.throttled.into_iter().map(Into::into).collect(),
            transforms: status.transforms.into_iter().map(Into::into).collect(),
            masked: status.masked,
            folded: status.folded,
            open_alerts,
            sources: status.sources,
            listen: Listen {
                http: options.listen.to_string(),
                syslog_udp: options.syslog_udp.map(|address| address.to_string()),
                syslog_tcp: options.syslog_tcp.map(|address| address.to_string()),
            },
            taking_logs: status.taking_logs,
            problem: status.problem,
        }
    }
}

/// All sources.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sources {
    pub(crate) sources: Vec<Source>,
}

/// A source and what came from it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) received: u64,
    pub(crate) stored: u64,
    pub(crate) folded: u64,
    pub(crate) quarantined: u64,
    pub(crate) shed: u64,
    pub(crate) raw_bytes: u64,
    #[schema(required)]
    pub(crate) last_received: Option<String>,
    /// healthy: its records look as they did; broken: they do not; learning: too few came to say.
    pub(crate) health: &'static str,
    /// Share of its records of late that were understood, 0 to 1; null before the first.
    #[schema(required)]
    pub(crate) understood: Option<f64>,
    /// The last 60 minutes, oldest first.
    pub(crate) per_minute: Vec<Minute>,
}

/// Records of one minute.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Minute {
    pub(crate) time: String,
    pub(crate) count: u64,
}

/// What the records of a source look like, and whether that is still as it was.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceHealth {
    pub(crate) name: String,
    /// healthy, broken or learning.
    pub(crate) health: &'static str,
    /// Events looked at.
    pub(crate) events: u64,
    /// Events of programs or kinds beyond those that are told apart.
    pub(crate) beyond: u64,
    /// Event time of the newest.
    #[schema(required)]
    pub(crate) last_event: Option<String>,
    /// Share of the records of late that were understood, 0 to 1.
    pub(crate) understood: f64,
    /// Who reads the records, those with the most first.
    pub(crate) readers: Vec<SourceReader>,
    /// What was odd about records of late, the most first.
    pub(crate) issues: Vec<SourceIssue>,
    /// Events of one program, reader and kind, those with the most first.
    pub(crate) streams: Vec<SourceStream>,
    /// Records that nobody understood, by template, the most first.
    pub(crate) errors: Vec<SourceError>,
    /// Messages of a kind that the source did not have before, the newest first.
    pub(crate) new_kinds: Vec<NewKind>,
    /// True when the source is known well enough to tell new kinds.
    pub(crate) settled: bool,
    /// What is not as it was.
    pub(crate) breaks: Vec<SourceBreak>,
    pub(crate) clock: SourceClock,
}

/// What the clock of a source is wrong by, and what is done about it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceClock {
    /// What it is probably wrong by, by the times that were written; null while too little came to
    /// say.
    #[schema(required)]
    pub(crate) estimate: Option<ClockEstimate>,
    /// What is added to the times of events; 0 for nothing.
    pub(crate) correction_seconds: i64,
    /// What was added since when, the newest first.
    pub(crate) corrections: Vec<ClockCorrection>,
}

/// What the clock of a source is probably wrong by.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClockEstimate {
    /// none: by less than a minute; late: events come late and their times are right; zone: local
    /// time is written without its zone; clock: the clock is wrong by a constant.
    pub(crate) cause: &'static str,
    /// To be added to the times of events: -7200 where they are two hours ahead.
    pub(crate) correction_seconds: i64,
    /// The share of the last minutes that agree, 0 to 1; less where few were seen.
    pub(crate) confidence: f64,
    /// Median of the time between an event and its receipt; negative where events come from the
    /// future.
    pub(crate) delay_seconds: f64,
}

/// A correction of the clock of a source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClockCorrection {
    /// Time of receipt of the first records that it is for.
    pub(crate) since: String,
    /// What is added to the times of their events; 0 where a correction was taken off.
    pub(crate) seconds: i64,
    pub(crate) actor: String,
    pub(crate) reason: String,
}

/// Who reads records of a source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceReader {
    /// The pack (vendor/product) or the format; empty for nobody.
    pub(crate) name: String,
    /// True for a pack.
    pub(crate) pack: bool,
    /// Share of the records of late, 0 to 1.
    pub(crate) share: f64,
}

/// Something odd about records of a source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceIssue {
    pub(crate) issue: String,
    /// Share of the records of late that had it, 0 to 1.
    pub(crate) share: f64,
}

/// Events of one program, reader and kind.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceStream {
    /// The program that the envelope names; may be empty.
    pub(crate) program: String,
    /// The pack or the format.
    pub(crate) reader: String,
    /// True for a pack.
    pub(crate) pack: bool,
    /// event.code or event.action; may be empty.
    pub(crate) kind: String,
    /// healthy, broken or learning.
    pub(crate) health: &'static str,
    pub(crate) events: u64,
    /// Those that most events have first.
    pub(crate) fields: Vec<SourceField>,
}

/// A field of the events of a source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceField {
    pub(crate) name: String,
    /// text, number, boolean, json, ip, time, or conflict for values that do not fit the column.
    pub(crate) kind: &'static str,
    /// Share of the events that usually have it, 0 to 1.
    pub(crate) share: f64,
    /// Share of the newest events that had it, 0 to 1.
    pub(crate) newest: f64,
    /// True when most events had it and none of the newest has.
    pub(crate) vanished: bool,
    /// The kind of its newest values, where that is another.
    #[schema(required)]
    pub(crate) changed_to: Option<&'static str>,
}

/// Records that nobody understood and that look alike.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceError {
    /// With <*> for what varies.
    pub(crate) template: String,
    pub(crate) example: String,
    pub(crate) count: u64,
}

/// A kind of messages that a source did not have before.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewKind {
    /// With what varies in angle brackets.
    pub(crate) template: String,
    pub(crate) example: String,
    /// The first event.
    pub(crate) event: String,
    pub(crate) time: String,
}

/// Something about a source that is not as it was.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceBreak {
    /// understood, reader, vanished or type.
    pub(crate) what: &'static str,
    /// One sentence.
    pub(crate) text: String,
    /// The program that it is about; may be empty.
    pub(crate) program: String,
    /// The pack or the format that it is about; may be empty.
    pub(crate) reader: String,
    /// The event.code or event.action that it is about; may be empty.
    pub(crate) kind: String,
    /// First and last event of the window that showed it.
    pub(crate) events: Vec<String>,
}

impl SourceHealth {
    pub(crate) fn new(name: String, report: health::Report, corrections: &Corrections) -> Self {
        Self {
            clock: SourceClock::new(report.clock, &name, corrections),
            name,
            health: report.state.name(),
            events: report.events,
            beyond: report.beyond,
            last_event: moment(Some(report.last_event)),
            understood: report.understood,
            readers: report.readers.into_iter().map(Into::into).collect(),
            issues: (report.issues.into_iter())
                .map(|(issue, share)| SourceIssue { issue, share })
                .collect(),
            streams: report.streams.into_iter().map(Into::into).collect(),
            errors: report.errors.into_iter().map(Into::into).collect(),
            new_kinds: report.new_kinds.into_iter().map(Into::into).collect(),
            settled: report.settled,
            breaks: report.breaks.into_iter().map(Into::into).collect(),
        }
    }
}

impl SourceClock {
    fn new(estimate: Option<Estimate>, source: &str, corrections: &Corrections) -> Self {
        let corrections_of = corrections.of(source).iter().rev();
        Self {
            estimate: estimate.map(Into::into),
            correction_seconds: corrections.newest_seconds(source),
            corrections: corrections_of.cloned().map(Into::into).collect(),
        }
    }
}

impl From<Estimate> for ClockEstimate {
    fn from(estimate: Estimate) -> Self {
        Self {
            cause: estimate.cause.name(),
            correction_seconds: (estimate.correction + SECOND / 2).div_euclid(SECOND),
            confidence: estimate.confidence,
            delay_seconds: estimate.delay as f64 / SECOND as f64,
        }
    }
}

impl From<KeptCorrection> for ClockCorrection {
    fn from(correction: KeptCorrection) -> Self {
        let KeptCorrection { source: _, since, seconds, reason, actor } = correction;
        Self { since: time::format(since), seconds, actor, reason }
    }
}

impl From<health::ReaderReport> for SourceReader {
    fn from(r: health::ReaderReport) -> Self {
        Self { name: r.name, pack: r.pack, share: r.share }
    }
}

impl From<health::StreamReport> for SourceStream {
    fn from(s: health::StreamReport) -> Self {
        Self {
            program: s.program,
            reader: s.reader,
            pack: s.pack,
            kind: s.kind,
            health: s.state.name(),
            events: s.events,
            fields: s.fields.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<health::FieldReport> for SourceField {
    fn from(f: health::FieldReport) -> Self {
        Self {
            name: f.name,
            kind: f.kind.name(),
            share: f.share,
            newest: f.newest,
            vanished: f.vanished,
            changed_to: f.changed_to.map(health::FieldKind::name),
        }
    }
}

impl From<health::ErrorReport> for SourceError {
    fn from(e: health::ErrorReport) -> Self {
        Self { template: e.text, example: e.example, count: e.count }
    }
}

impl From<health::NewKind> for NewKind {
    fn from(k: health::NewKind) -> Self {
        Self {
            template: k.text,
            example: k.example,
            event: k.event_id.to_string(),
            time: time::format(k.time),
        }
    }
}

impl From<health::Break> for SourceBreak {
    fn from(b: health::Break) -> Self {
        Self {
            what: b.what.name(),
            text: b.what.to_string(),
            program: b.program,
            reader: b.reader,
            kind: b.kind,
            events: vec![b.events.0.to_string(), b.events.1.to_string()],
        }
    }
}

/// The ledger: received = stored + sampled + folded + quarantined + shed, for every source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ledger {
    pub(crate) balanced: bool,
    pub(crate) sources: Vec<LedgerSource>,
    pub(crate) total: LedgerCounts,
    /// Why records were set aside or dropped.
    pub(crate) reasons: Vec<LedgerReason>,
    /// The same by minute of receipt, when that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) minutes: Option<Vec<LedgerMinute>>,
}

/// Why records of a source were set aside or dropped.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerReason {
    pub(crate) source: String,
    /// quarantined or shed.
    pub(crate) fate: String,
    pub(crate) reason: String,
    pub(crate) count: u64,
}

/// The ledger of one source in one minute of receipt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerMinute {
    pub(crate) minute: String,
    pub(crate) source: String,
    #[serde(flatten)]
    pub(crate) counts: LedgerCounts,
}

/// The ledger of one source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerSource {
    pub(crate) source: String,
    #[serde(flatten)]
    pub(crate) counts: LedgerCounts,
}

/// What became of records.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct LedgerCounts {
    pub(crate) received: u64,
    pub(crate) stored: u64,
    pub(crate) sampled: u64,
    /// Records that were not stored again, since equal ones of the source just were.
    pub(crate) folded: u64,
    pub(crate) quarantined: u64,
    pub(crate) shed: u64,
    /// Of those stored, how many retention has deleted since; not known by minute.
    pub(crate) expired: u64,
    pub(crate) balanced: bool,
}

// Care

/// Records that were set aside.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Quarantine {
    pub(crate) records: Vec<QuarantineRecord>,
}

/// A record that was set aside.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QuarantineRecord {
    pub(crate) id: String,
    pub(crate) received: String,
    pub(crate) source: String,
    pub(crate) reason: String,
    pub(crate) bytes: u64,
    /// Its first bytes, as text.
    pub(crate) start: String,
}

/// Which records in quarantine are parsed again; all when nothing is said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReplayRequest {
    /// Only of this source.
    pub(crate) source: Option<String>,
    /// Only with this in their reason.
    pub(crate) reason: Option<String>,
    /// Only with these ids.
    pub(crate) ids: Vec<String>,
}

/// What became of records that were parsed again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replayed {
    /// Records that fitted.
    pub(crate) tried: u64,
    /// Records that are events now, with their old ids.
    pub(crate) events: u64,
    /// Records that stay: the parser fails on them.
    pub(crate) failed: u64,
    /// Records that stay: they are longer than a parser takes.
    pub(crate) too_long: u64,
    /// Records that stay: their bytes were lost with a damaged piece of the WAL.
    pub(crate) lost: u64,
}

impl From<pugmark_engine::Replayed> for Replayed {
    fn from(r: pugmark_engine::Replayed) -> Self {
        Self {
            tried: r.tried,
            events: r.events,
            failed: r.failed,
            too_long: r.too_long,
            lost: r.lost,
        }
    }
}

/// Which stored records are read again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReparseRequest {
    pub(crate) source: String,
    /// Start of the range of event time.
    #[serde(default)]
    pub(crate) from: Option<Moment>,
    /// End, not included.
    #[serde(default)]
    pub(crate) to: Option<Moment>,
    /// The format to try first, such as syslog.
    #[serde(default)]
    pub(crate) format: Option<String>,
}

/// How the reparse that was started last is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reparse {
    pub(crate) running: bool,
    pub(crate) source: String,
    pub(crate) done: ReparseDone,
    /// Why it ended before its end.
    #[schema(required)]
    pub(crate) error: Option<String>,
}

/// How far a reparse is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReparseDone {
    /// Segments looked at.
    pub(crate) segments: u64,
    /// Segments in whose place new ones are.
    pub(crate) replaced: u64,
    /// Events read again.
    pub(crate) events: u64,
    /// Segments left alone: they are on object storage.
    pub(crate) remote: u64,
}

impl From<pugmark_engine::ReparseState> for Reparse {
    fn from(state: pugmark_engine::ReparseState) -> Self {
        let done = ReparseDone {
            segments: state.done.segments,
            replaced: state.done.replaced,
            events: state.done.events,
            remote: state.done.remote,
        };
        Self { running: state.running, source: state.source, done, error: state.error }
    }
}

/// The audit trail, the newest entry first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Audit {
    pub(crate) entries: Vec<AuditEntry>,
}

/// Who did what to the data.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    pub(crate) id: String,
    pub(crate) time: String,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    #[schema(value_type = Object)]
    pub(crate) detail: serde_json::Value,
}

/// A time, or nothing for a time that never was.
pub(crate) fn moment(at: Option<Micros>) -> Option<String> {
    at.filter(|at| *at > 0).map(time::format)
}
