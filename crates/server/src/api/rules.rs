//! The rules that watch the stream.

use std::collections::HashMap;

use axum::Json as Answer;
use axum::extract::{Path, State};
use pugmark_detect::RuleInfo;

use crate::App;
use crate::auth::Reader;
use crate::error::ApiError;
use crate::wire::{ErrorBody, LogSource, Rule, RuleDetail, Rules};

/// All rules that raise alerts.
#[utoipa::path(
    get, path = "/api/v1/rules", tag = "rules", operation_id = "rules_list",
    responses((status = 200, body = Rules)), security(("session" = []), ("token" = ["read"]))
)]
pub(crate) async fn list(_: Reader, State(app): State<App>) -> Result<Answer<Rules>, ApiError> {
    let counts = counts(&app).await?;
    let rules = app.engine.rules();
    let rules = rules.rules().iter().filter(|info| !info.silent).map(|info| rule(info, &counts));
    Ok(Answer(Rules { rules: rules.collect() }))
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
    let rules = app.engine.rules();
    let info = rules.rules().iter().find(|info| info.id == id);
    let info = info.ok_or_else(|| ApiError::not_found("rule with this id"))?;
    Ok(Answer(RuleDetail {
        rule: rule(info, &counts(&app).await?),
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

fn rule(info: &RuleInfo, counts: &HashMap<String, u64>) -> Rule {
    Rule {
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
