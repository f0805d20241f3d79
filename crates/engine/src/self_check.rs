//! The self-check: the store looks at its own books, at the start and every few minutes. What is
//! wrong becomes an alert like any other, one for each source, judged and closed like any other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pugmark_alert::{Alert, Applied, WHY_MAX};
use pugmark_detect::{Detection, Reason, RuleInfo, stable_id};
use pugmark_event::entity::EntityKind;
use pugmark_event::time::Micros;
use pugmark_event::{Entity, Severity};
use pugmark_store::{Depth, Finding, Level, Store, StoreError};
use tokio::sync::{broadcast, watch};

use crate::clock::Clock;
use crate::engine::Notice;

/// Id of the rule that these alerts name.
pub const RULE_ID: &str = "pugmark.store-check";
/// How often the store is checked.
const INTERVAL: Duration = Duration::from_secs(5 * 60);
/// What an alert is about when a finding touches no source.
const EVERY_SOURCE: &str = "all sources";

/// What the check needs.
pub(crate) struct SelfCheck {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) notices: broadcast::Sender<Arc<Notice>>,
}

impl SelfCheck {
    /// Checks now and every few minutes, until `stop` says so.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            if let Err(error) = self.look().await {
                tracing::error!(%error, "the store cannot be checked; trying again later");
            }
            tokio::select! {
                _ = tokio::time::sleep(INTERVAL) => {}
                _ = stop.changed() => return,
            }
        }
    }

    /// Checks once, and raises what is new.
    pub(crate) async fn look(&self) -> Result<(), StoreError> {
        let report = pugmark_store::check(&self.store, Depth::Light).await?;
        for (source, findings) in by_source(&report.findings) {
            for finding in &findings {
                tracing::error!(source, place = finding.place, "{}", say(finding));
            }
            let entity = Entity { kind: EntityKind::Resource, value: source.to_string() };
            let known = self.store.alerts().newest_for(RULE_ID, &entity).await?;
            if let Some(alert) = raise(known, entity, &findings, self.clock.now()) {
                self.store.alerts().upsert(&alert).await?;
                // Nobody listening is fine.
                let _ = self.notices.send(Arc::new(Notice::Alert(alert)));
            }
        }
        Ok(())
    }
}

/// What is wrong, by the source that it touches.
fn by_source(findings: &[Finding]) -> BTreeMap<&str, Vec<&Finding>> {
    let mut sorted: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| finding.level == Level::Wrong) {
        for source in &finding.sources {
            sorted.entry(source).or_default().push(finding);
        }
        if finding.sources.is_empty() {
            sorted.entry(EVERY_SOURCE).or_default().push(finding);
        }
    }
    sorted
}

fn say(finding: &Finding) -> String {
    format!("{} ({}); {}", finding.what, finding.detail, finding.next)
}

/// The alert that the findings make, or `None` when the newest one says all of it already: an
/// imbalance that stays is one alert, also after somebody has judged it.
fn raise(
    known: Option<Alert>,
    entity: Entity,
    findings: &[&Finding],
    now: Micros,
) -> Option<Alert> {
    let is_known = |finding: &&&Finding| {
        known.as_ref().is_some_and(|alert| alert.why.iter().any(|why| says(why, finding)))
    };
    let mut why: Vec<Reason> = Vec::new();
    for finding in findings.iter().filter(|finding| !is_known(finding)) {
        if !why.iter().any(|why| says(why, finding)) {
            why.push(reason(finding));
        }
    }
    if why.is_empty() {
        return None;
    }
    let rule = Arc::new(rule());
    let detection = Detection {
        id: stable_id(&[RULE_ID, &entity.value, &now.to_string()]),
        rule,
        time: now,
        // These detections have no event; the time orders them as an event id would.
        event_id: now,
        entity,
        events: Vec::new(),
        count: why.len() as u64,
        why,
    };
    match pugmark_alert::apply(known, &detection) {
        Applied::Opened(alert) => Some(alert),
        Applied::Folded(mut alert) => {
            alert.why.extend(detection.why);
            alert.why.truncate(WHY_MAX);
            Some(alert)
        }
        Applied::Known => None,
    }
}

fn says(why: &Reason, finding: &Finding) -> bool {
    why.field == finding.place && why.test == finding.what
}

fn reason(finding: &Finding) -> Reason {
    Reason {
        selection: "check".into(),
        field: finding.place.clone(),
        test: finding.what.clone(),
        value: say(finding),
    }
}

fn rule() -> RuleInfo {
    RuleInfo {
        id: RULE_ID.into(),
        version: String::new(),
        title: "Stored records do not add up".into(),
        level: Severity::Critical,
        description: "Pugmark checks its own books: what was received must be stored, sampled, \
            folded, quarantined or shed, and every segment must be on the disk. Here it is not. Logs \
            of this source may be lost or changed. `pugmark doctor` says everything that is wrong."
            .into(),
        author: "Pugmark".into(),
        license: String::new(),
        references: Vec::new(),
        falsepositives: vec!["Somebody removed or restored files of the data folder".into()],
        next_steps: "Run `pugmark doctor` on the data folder and follow what it says for each \
            finding."
            .into(),
        noise_budget: None,
        tags: vec!["attack.t1070".into()],
        product: None,
        category: None,
        service: None,
        correlation: false,
        path: "builtin".into(),
        text: String::new(),
        silent: false,
        exceptions: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pugmark_alert::Verdict;

    fn finding(place: &str, what: &str, detail: &str) -> Finding {
        Finding {
            level: Level::Wrong,
            place: place.into(),
            sources: vec!["web".into()],
            what: what.into(),
            detail: detail.into(),
            next: "look".into(),
        }
    }

    fn entity() -> Entity {
        Entity { kind: EntityKind::Resource, value: "web".into() }
    }

    #[test]
    fn what_stays_wrong_is_one_alert_and_what_is_new_is_another() {
        let first = finding("web", "does not balance", "5 and 4");
        let mut alert = raise(None, entity(), &[&first], 10).unwrap();
        assert_eq!((alert.severity, alert.count), (Severity::Critical, 1));
        // Traffic goes on, and the numbers with it.
        let later = finding("web", "does not balance", "9 and 8");
        assert_eq!(raise(Some(alert.clone()), entity(), &[&later], 20), None);
        let missing = finding("segments/a", "is missing", "");
        let folded = raise(Some(alert.clone()), entity(), &[&later, &missing], 30).unwrap();
        assert_eq!((&folded.id, folded.why.len(), folded.count), (&alert.id, 2, 2));

        pugmark_alert::judge(&mut alert, Some(Verdict::Benign), "restored", 40);
        assert_eq!(raise(Some(alert.clone()), entity(), &[&later], 50), None);
        let opened = raise(Some(alert.clone()), entity(), &[&later, &missing], 60).unwrap();
        assert_ne!(opened.id, alert.id);
    }

    #[test]
    fn findings_go_to_their_sources() {
        let mut all = finding("pugmark.db", "is damaged", "");
        all.sources.clear();
        let mut notice = finding("x", "y", "");
        notice.level = Level::Notice;
        let findings = [finding("web", "a", ""), all, notice];
        let sorted = by_source(&findings);
        let shape: Vec<_> = sorted.iter().map(|(source, list)| (*source, list.len())).collect();
        assert_eq!(shape, [("all sources", 1), ("web", 1)]);
    }
}
