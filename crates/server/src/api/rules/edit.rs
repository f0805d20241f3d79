//! Rules written, switched and forgotten in the product.

use axum::Json as Answer;
use axum::extract::{Path, State};
use pugmark_detect::RuleSource;
use pugmark_engine::rulebook::PRODUCT;
use pugmark_store::KeptRule;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RuleProblem;
use crate::App;
use crate::api::audit::check_reason;
use crate::auth::{Admin, Caller, Reader};
use crate::body::Json;
use crate::error::ApiError;
use crate::wire::ErrorBody;

/// Longest text of a rule in bytes.
const TEXT_BYTES_MAX: usize = 256 << 10;

/// The text of a rule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleText {
    /// YAML.
    text: String,
}

/// Whether a text is a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleCheck {
    /// Ids of the rules in it.
    ids: Vec<String>,
    problems: Vec<RuleProblem>,
}

/// A rule to keep.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleWrite {
    /// YAML: one rule, whose id is that of the address.
    text: String,
    /// Why, for the audit trail.
    #[serde(default)]
    reason: String,
}

/// A rule to switch on or off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleSwitch {
    on: bool,
    /// Why, for the audit trail and for those who wonder later. Needed to switch off.
    #[serde(default)]
    reason: String,
}

/// Say what is wrong with a rule, without keeping it.
#[utoipa::path(
    post, path = "/api/v1/rules/check", tag = "rules", operation_id = "rules_check",
    request_body = RuleText,
    responses((status = 200, body = RuleCheck), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn check(
    _: Reader,
    State(app): State<App>,
    Json(request): Json<RuleText>,
) -> Result<Answer<RuleCheck>, ApiError> {
    Ok(Answer(checked(&app, "rule", request.text).await?))
}

/// Keep a rule. It watches the stream at once, in place of one with the same id from elsewhere.
#[utoipa::path(
    put, path = "/api/v1/rules/{id}", tag = "rules", operation_id = "rules_put",
    params(("id" = String, Path)), request_body = RuleWrite,
    responses((status = 200, body = RuleCheck), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn put(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
    Json(request): Json<RuleWrite>,
) -> Result<Answer<RuleCheck>, ApiError> {
    let reason = request.reason;
    check_reason(&reason)?;
    let check = checked(&app, &id, request.text.clone()).await?;
    if let Some(problem) = check.problems.first() {
        return Err(ApiError::bad_request(problem.message.clone()).hint(problem.hint.clone()));
    }
    if check.ids != [id.as_str()] {
        return Err(ApiError::bad_request(format!(
            "the text must be one rule with the id {id}, it has {:?}",
            check.ids
        )));
    }
    let before = app.engine.store().kept_rules().get(&id).await?.filter(|kept| kept.off);
    let mut rule = kept(&app, &caller, id, Some(request.text), before.is_some(), reason);
    if let Some(off) = before {
        // Why it is off is what others want to know.
        (rule.reason, rule.actor, rule.changed) = (off.reason, off.actor, off.changed);
    }
    app.engine.store().kept_rules().put(&rule, "rule written").await?;
    app.engine.reload_rules().await?;
    Ok(Answer(check))
}

/// Switch a rule on or off, wherever it comes from.
#[utoipa::path(
    post, path = "/api/v1/rules/{id}/switch", tag = "rules", operation_id = "rules_switch",
    params(("id" = String, Path)), request_body = RuleSwitch,
    responses((status = 204), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn switch(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
    Json(request): Json<RuleSwitch>,
) -> Result<axum::http::StatusCode, ApiError> {
    let reason = request.reason;
    check_reason(&reason)?;
    if !request.on && reason.trim().is_empty() {
        return Err(ApiError::bad_request("a rule is switched off with a reason"));
    }
    let rules = app.engine.store().kept_rules();
    let known = rules.get(&id).await?;
    let book = app.engine.rule_book();
    if known.is_none() && !book.loaded.iter().any(|rule| rule.info.id == id) {
        return Err(ApiError::not_found("rule with this id"));
    }
    let action = if request.on { "rule switched on" } else { "rule switched off" };
    let rule = kept(&app, &caller, id, known.and_then(|known| known.text), !request.on, reason);
    match rule.off || rule.text.is_some() {
        true => rules.put(&rule, action).await?,
        false => rules.remove(&rule, action).await?,
    }
    app.engine.reload_rules().await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}

/// Forget a rule that was written here. One with the same id from elsewhere is in force again.
#[utoipa::path(
    delete, path = "/api/v1/rules/{id}", tag = "rules", operation_id = "rules_delete",
    params(("id" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["admin"]))
)]
pub(crate) async fn delete(
    _: Admin,
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<axum::http::StatusCode, ApiError> {
    let rules = app.engine.store().kept_rules();
    let known = rules.get(&id).await?.filter(|known| known.text.is_some());
    let known = known.ok_or_else(|| {
        ApiError::not_found("rule with this id that was written here")
            .hint("a rule from elsewhere can be switched off")
    })?;
    match known.off {
        // It stays off, whoever it comes from.
        true => rules.put(&KeptRule { text: None, ..known }, "rule removed").await?,
        false => {
            let rule = kept(&app, &caller, id, known.text, false, String::new());
            rules.remove(&rule, "rule removed").await?;
        }
    }
    app.engine.reload_rules().await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}

fn kept(
    app: &App,
    caller: &Caller,
    id: String,
    text: Option<String>,
    off: bool,
    reason: String,
) -> KeptRule {
    let actor = caller.name().to_string();
    KeptRule { id, text, off, reason, actor, changed: app.engine.now() }
}

/// Loads a text beside the rules in force, which it may refer to.
async fn checked(app: &App, id: &str, text: String) -> Result<RuleCheck, ApiError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ApiError::too_large(format!("a rule has at most {TEXT_BYTES_MAX} bytes")));
    }
    let book = app.engine.rule_book();
    // A rule without an id has one that its path is part of.
    let source = RuleSource { path: format!("{PRODUCT}{id}.yaml"), text };
    let check = tokio::task::spawn_blocking(move || {
        let (ids, problems) = book.check(source);
        RuleCheck { ids, problems: problems.iter().map(Into::into).collect() }
    });
    check.await.map_err(ApiError::internal)
}
