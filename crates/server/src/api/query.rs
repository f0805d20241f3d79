//! Help with writing a query: what is wrong with it, and what may come next.

use axum::Json as Answer;
use axum::extract::State;
use pugmark_query::{Diagnostic, FieldRef, Filter, Kind, Test};

use super::explore;
use crate::App;
use crate::auth::Reader;
use crate::body::Json;
use crate::error::ApiError;
use crate::questions::Range;
use crate::wire::{
    self, CompleteAnswer, CompleteItem, CompleteRequest, ErrorBody, ParseAnswer, ParseRequest,
};

/// Events that are looked at for values.
const VALUE_ROWS: usize = 2000;
/// Values suggested.
const VALUES: usize = 20;

/// What a query is, or what is wrong with it and where.
#[utoipa::path(
    post, path = "/api/v1/query/parse", tag = "questions", operation_id = "query_parse",
    request_body = ParseRequest,
    responses((status = 200, body = ParseAnswer), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn parse(_: Reader, Json(request): Json<ParseRequest>) -> Answer<ParseAnswer> {
    let (kind, diagnostics) = match pugmark_query::parse(&request.query) {
        Ok(plan) => (plan.kind(), Vec::new()),
        Err(diagnostics) => (Kind::Events, diagnostics),
    };
    Answer(ParseAnswer {
        ok: diagnostics.is_empty(),
        kind: kind.name(),
        diagnostics: diagnostics.into_iter().map(Into::into).collect(),
    })
}

impl From<Diagnostic> for wire::Diagnostic {
    fn from(diagnostic: Diagnostic) -> Self {
        let Diagnostic { from, to, message, hint } = diagnostic;
        Self { from, to, severity: "error", message, fix: hint }
    }
}

/// What may stand at the cursor: fields, commands, functions, and values from the newest events.
#[utoipa::path(
    post, path = "/api/v1/query/complete", tag = "questions", operation_id = "query_complete",
    request_body = CompleteRequest,
    responses((status = 200, body = CompleteAnswer), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn complete(
    _: Reader,
    State(app): State<App>,
    Json(request): Json<CompleteRequest>,
) -> Result<Answer<CompleteAnswer>, ApiError> {
    let text = request.query.as_str();
    let mut pos = request.pos.min(text.len());
    while !text.is_char_boundary(pos) {
        pos -= 1;
    }
    if let Some(value) = half_value(text, pos) {
        return Ok(Answer(values(&app, value, pos).await?));
    }
    let found = pugmark_query::complete::complete(text, pos);
    let items = found.items.into_iter().map(|item| CompleteItem {
        label: item.label,
        kind: item.kind.name().into(),
        detail: item.detail,
    });
    Ok(Answer(CompleteAnswer { from: found.from, to: found.to, items: items.collect() }))
}

/// A value that is being written: `user.name:al`.
#[derive(Debug, PartialEq)]
struct HalfValue<'a> {
    field: &'a str,
    from: usize,
    typed: &'a str,
}

fn half_value(text: &str, pos: usize) -> Option<HalfValue<'_>> {
    let before = &text[..pos];
    let start = before.rfind([' ', '(', '|', '\t', '\n']).map_or(0, |i| i + 1);
    let (field, typed) = before[start..].split_once(':')?;
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    let is_name = !field.is_empty() && field.chars().all(plain);
    let is_plain = !typed.contains(['"', '*', '/', '[', '>', '<']);
    (is_name && is_plain).then_some(HalfValue { field, from: start + field.len() + 1, typed })
}

async fn values(app: &App, half: HalfValue<'_>, to: usize) -> Result<CompleteAnswer, ApiError> {
    let field = half.field.to_string();
    let filter = Filter::Field(FieldRef::new(&field), Test::Exists);
    let everything = Range { from: None, to: None };
    let (batches, _) = explore::newest(app, filter, everything, VALUE_ROWS).await?;
    let count = move || explore::count_values(&batches, Some(&[field]), 1000, false);
    let facets = tokio::task::spawn_blocking(count).await.map_err(ApiError::internal)?;
    let typed = half.typed.to_lowercase();
    let items = facets
        .fields
        .into_iter()
        .flat_map(|facet| facet.values)
        .filter(|value| value.value.to_lowercase().starts_with(&typed))
        .take(VALUES)
        .map(|value| CompleteItem {
            label: quoted(&value.value),
            kind: "value".into(),
            detail: format!("{} of the newest {VALUE_ROWS} events that have it", value.count),
        });
    Ok(CompleteAnswer { from: half.from, to, items: items.collect() })
}

/// The value as a query takes it.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '/');
    if !value.is_empty() && value.chars().all(plain) && !value.starts_with('/') {
        return value.to_string();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_values_are_seen_where_one_is_written() {
        for (text, expected) in [
            ("user.name:al", Some(("user.name", 10, "al"))),
            ("a b (user:", Some(("user", 10, ""))),
            ("user.na", None),
            ("user.name:\"al", None),
            ("source.ip:10.0.0.0/", None),
            ("\"a:b\" c", None),
            (":x", None),
        ] {
            let got = half_value(text, text.len()).map(|half| (half.field, half.from, half.typed));
            assert_eq!(got, expected, "{text:?}");
        }
    }

    #[test]
    fn values_are_quoted_where_they_must() {
        for (value, expected) in [
            ("root", "root"),
            ("10.0.0.1", "10.0.0.1"),
            ("a b", "\"a b\""),
            ("say \"hi\" \\", r#""say \"hi\" \\""#),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(value), expected);
        }
    }
}
