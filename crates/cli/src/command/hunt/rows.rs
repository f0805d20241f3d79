//! A finding as a row of the timeline: as much as the output shows, and no more, since rows wait
//! until all are there.

use pugmark_engine::hunt::Finding;
use pugmark_event::{fields, time};
use serde_json::{Value, json};

use super::samples;
use crate::output::Format;

const TABLE: &[&str] = &["time", "level", "rule.title", "host.name", "entity", "count", "file"];
const CSV: &[&str] = &[
    "time",
    "level",
    "rule.title",
    "rule.id",
    "tags",
    "host.name",
    "user.name",
    "winlog.channel",
    "event.code",
    "entity",
    "count",
    "why",
    "details",
    "file",
];

/// The columns that a format has; JSON has all that [`text`] writes.
pub(super) fn columns(format: Format) -> &'static [&'static str] {
    match format {
        Format::Csv => CSV,
        Format::Table | Format::Json => TABLE,
    }
}

/// The row as a JSON object.
pub(super) fn text(format: Format, finding: &Finding<'_>, file: &str) -> Vec<u8> {
    let detection = finding.detection;
    let rule = &detection.rule;
    let common = json!({
        "time": time::format(detection.time),
        "level": rule.level.name(),
        "rule.title": rule.title,
        "entity": detection.entity.value,
        "count": detection.count,
        "file": file,
    });
    match format {
        Format::Table => with(common, json!({ "host.name": finding.text(fields::HOST_NAME) })),
        Format::Csv => with(common, csv(finding)),
        Format::Json => {
            let more = json!({
                "rule.id": rule.id,
                "rule.author": rule.author,
                "tags": rule.tags,
                "why": detection.why,
            });
            let mut row = with(common, more);
            // The event is JSON already, and by far the largest part.
            row.pop();
            row.extend_from_slice(b",\"event\":");
            row.extend_from_slice(&finding.event());
            row.push(b'}');
            row
        }
    }
}

fn with(mut row: Value, more: Value) -> Vec<u8> {
    if let (Some(row), Value::Object(more)) = (row.as_object_mut(), more) {
        row.extend(more);
    }
    row.to_string().into_bytes()
}

fn csv(finding: &Finding<'_>) -> Value {
    let rule = &finding.detection.rule;
    let details: Vec<String> = samples::fields(&finding.event())
        .into_iter()
        .filter(|(name, _)| !CSV.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", samples::one_line(&value)))
        .collect();
    json!({
        "rule.id": rule.id,
        "tags": rule.tags.join(" "),
        "host.name": finding.text(fields::HOST_NAME),
        "user.name": finding.text(fields::USER_NAME),
        "winlog.channel": finding.text(fields::EVENT_CHANNEL),
        "event.code": finding.text(fields::EVENT_CODE),
        "why": samples::one_line(&samples::why(finding).join("; ")),
        "details": details.join(" | "),
    })
}
