//! The alert book: folds detections into the alerts that the store keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pugmark_alert::{Alert, Applied};
use pugmark_detect::Detection;
use pugmark_event::Entity;
use pugmark_event::entity::EntityKind;
use pugmark_event::time::{DAY, Micros};
use pugmark_store::{Store, StoreError};

/// Rule id and entity: what detections share to become one alert.
type Key = (String, Entity);

/// In which order detections come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// That of their events' ids, as always on the stream.
    Stream,
    /// After others that are about later events.
    Late,
    /// That of the rows of an answer, which may have been asked for before.
    Asked,
}

/// Alerts that rules have opened, which their noise budgets count.
struct Budget {
    /// Alerts a day of a rule that says nothing itself; 0 for no limit.
    alerts_per_day: u64,
    /// By rule and day of the events.
    opened: BTreeMap<(String, Micros), u64>,
}

/// Rules and days whose alerts are counted in memory.
const COUNTED_MAX: usize = 10_000;

/// Folds detections into stored alerts.
pub(crate) struct AlertBook {
    store: Arc<Store>,
    budget: Budget,
}

/// The alerts that the detections of a block touch.
#[derive(Default)]
struct Page {
    newest: BTreeMap<Key, Alert>,
    asked: BTreeSet<Key>,
    changed: BTreeMap<String, Alert>,
}

impl AlertBook {
    /// A book for rules that may open so many alerts a day each, unless they say otherwise; 0 for
    /// any number.
    pub(crate) fn new(store: Arc<Store>, alerts_per_day: u64) -> Self {
        Self { store, budget: Budget { alerts_per_day, opened: BTreeMap::new() } }
    }

    /// Folds the detections of a block in order and stores every alert that changed. Returns
    /// those alerts. Alerts are read afresh for each block, since people judge them in between.
    pub(crate) async fn fold(
        &mut self,
        detections: &[Detection],
        order: Order,
    ) -> Result<Vec<Alert>, StoreError> {
        let mut page = Page::default();
        for detection in detections {
            match self.apply(&mut page, detection, order).await? {
                Applied::Opened(_) if self.is_spent(detection).await? => {
                    let rest = pugmark_alert::beyond_budget(detection);
                    let applied = self.apply(&mut page, &rest, order).await?;
                    page.keep(&rest, applied, true);
                }
                applied => {
                    if matches!(applied, Applied::Opened(_)) {
                        self.count(detection);
                    }
                    page.keep(detection, applied, false);
                }
            }
        }
        for alert in page.changed.values() {
            self.store.alerts().upsert(alert).await?;
        }
        Ok(page.changed.into_values().collect())
    }

    async fn apply(
        &self,
        page: &mut Page,
        detection: &Detection,
        order: Order,
    ) -> Result<Applied, StoreError> {
        let (rule, entity) = pugmark_alert::key(detection);
        let key = (rule.to_string(), entity.clone());
        if page.asked.insert(key.clone())
            && let Some(alert) = self.store.alerts().newest_for(&key.0, &key.1).await?
        {
            page.newest.insert(key.clone(), alert);
        }
        let known = page.newest.get(&key).cloned();
        Ok(match order {
            Order::Stream => pugmark_alert::apply(known, detection),
            Order::Late => pugmark_alert::apply_late(known, detection),
            Order::Asked => pugmark_alert::apply_asked(known, detection),
        })
    }

    /// True when the rule has opened all the alerts of its budget on the day of the detection.
    async fn is_spent(&mut self, detection: &Detection) -> Result<bool, StoreError> {
        let budget = detection.rule.noise_budget.unwrap_or(self.budget.alerts_per_day);
        if budget == 0 || detection.entity.kind == EntityKind::None {
            return Ok(false);
        }
        let (rule, day) = counted(detection);
        let key = (rule.clone(), day);
        let opened = match self.budget.opened.get(&key) {
            Some(opened) => *opened,
            None => {
                let opened = self.store.alerts().opened(&rule, (day, day + DAY)).await?;
                if self.budget.opened.len() >= COUNTED_MAX {
                    self.budget.opened.clear();
                }
                self.budget.opened.insert(key, opened);
                opened
            }
        };
        Ok(opened >= budget)
    }

    fn count(&mut self, detection: &Detection) {
        if let Some(opened) = self.budget.opened.get_mut(&counted(detection)) {
            *opened += 1;
        }
    }
}

fn counted(detection: &Detection) -> (String, Micros) {
    (detection.rule.id.clone(), detection.time.div_euclid(DAY) * DAY)
}

impl Page {
    fn keep(&mut self, detection: &Detection, applied: Applied, over_budget: bool) {
        // A replay after a crash: the detection is part of the alert already.
        let (Applied::Opened(mut alert) | Applied::Folded(mut alert)) = applied else { return };
        if over_budget {
            pugmark_alert::mark_over_budget(&mut alert);
        }
        let (rule, entity) = pugmark_alert::key(detection);
        self.changed.insert(alert.id.clone(), alert.clone());
        self.newest.insert((rule.to_string(), entity.clone()), alert);
    }
}
