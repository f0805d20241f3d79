//! The rules that watch the stream.

pub(crate) mod backtest;
pub(crate) mod edit;

use std::collections::HashMap;

use axum::Json as Answer;
use axum::extract::{Path, State};
use pugmark_detect::{Problem, RuleInfo};
use pugmark_event::time;
use pugmark_store::KeptRule;

use crate::App;
use crate::auth::Reader;
use crate::error::ApiError;
use crate::wire::{ErrorBody, LogSource, Rule, RuleDetail, RuleOff, Rules};

pub(crate) use crate::wire::RuleProblem;

/// All rules that raise alerts, those that are switched off, and what was set aside.
#[utoipa::path(
    get, path = "/api/v1/rules", tag = "rules", operation_id = "rules_list",
    responses((status = 200, body = Rules)), security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn list(_: Reader, State(app): State<App>) -> Result<Answer<Rules>, ApiError> {
    let counts = counts(&app).await?;
    let book = app.engine.rule_book();
    let on = book.rules.rules().iter().filter(|info| !info.silent);
    let on = on.map(|info| rule(info, None, &counts));
    let off = book.off.iter().map(|off| rule(&off.rule, Some(&off.switch), &counts));
    let problems = book.problems.iter().map(Into::into).collect();
    Ok(Answer(Rules { rules: on.chain(off).collect(), problems }))
}

/// One rule with its text.
#[utoipa::path(
    get, path = "/api/v1/rules/{id}", tag = "rules", operation_id = "rules_get",
    params(("id" = String, Path)),
    responses((status = 200, body = RuleDetail), (status = "4XX", body = ErrorBody)),
    security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn get(
    _: Reader,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Answer<RuleDetail>, ApiError> {
    let book = app.engine.rule_book();
    let off = book.off.iter().find(|off| off.rule.id == id);
    let on = || book.rules.rules().iter().find(|info| info.id == id).map(|info| info.as_ref());
    let info = off.map(|off| &off.rule).or_else(on);
    let info = info.ok_or_else(|| ApiError::not_found("rule with this id"))?;
    Ok(Answer(RuleDetail {
        rule: rule(info, off.map(|off| &off.switch), &counts(&app).await?),
        source: info.text.clone(),
        references: info.references.clone(),
        falsepositives: info.falsepositives.clone(),
        next_steps: info.next_steps.clone(),
        author: info.author.clone(),
        license: info.license.clone(),
        exceptions: info.exceptions.iter().map(Into::into).collect(),
    }))
}

async fn counts(app: &App) -> Result<HashMap<String, u64>, ApiError> {
    Ok(app.engine.store().alerts().count_by_rule().await?.into_iter().collect())
}

/// Where a rule comes from: the binary, a folder, or the product.
fn origin(info: &RuleInfo) -> &'static str {
    match info.path.split('/').next() {
        Some("builtin") => "builtin",
        Some("product") => "product",
        _ => "folder",
    }
}

impl From<&Problem> for RuleProblem {
    fn from(problem: &Problem) -> Self {
        Self {
            path: problem.path.clone(),
            line: problem.line.map(|line| line as u64),
            rule: problem.rule.clone(),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }
}

fn rule(info: &RuleInfo, off: Option<&KeptRule>, counts: &HashMap<String, u64>) -> Rule {
    Rule {
        origin: origin(info),
        version: info.version.clone(),
        off: off.map(|switch| RuleOff {
            reason: switch.reason.clone(),
            actor: switch.actor.clone(),
            since: time::format(switch.changed),
        }),
        id: info.id.clone(),
        title: info.title.clone(),
        level: info.level.name().into(),
        description: info.description.clone(),
        tags: info.tags.clone(),
        logsource: LogSource {
            product: info.product.clone(),
            category: info.category.clone(),
            service: info.service.clone(),
        },
        kind: if info.correlation { "correlation" } else { "event" },
        alerts: counts.get(&info.id).copied().unwrap_or_default(),
    }
}
