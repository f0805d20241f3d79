//! The alert book: folds detections into the alerts that the store keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pugmark_alert::{Alert, Applied};
use pugmark_detect::Detection;
use pugmark_event::Entity;
use pugmark_store::{Store, StoreError};

/// Rule id and entity: what detections share to become one alert.
type Key = (String, Entity);

/// Folds detections into stored alerts.
pub(crate) struct AlertBook {
    store: Arc<Store>,
}

impl AlertBook {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Folds the detections of a block in order and stores every alert that changed. Returns
    /// those alerts. Alerts are read afresh for each block, since people judge them in between.
    pub(crate) async fn fold(&self, detections: &[Detection]) -> Result<Vec<Alert>, StoreError> {
        let mut newest: BTreeMap<Key, Alert> = BTreeMap::new();
        let mut asked: BTreeSet<Key> = BTreeSet::new();
        let mut changed: BTreeMap<String, Alert> = BTreeMap::new();
        for detection in detections {
            let (rule, entity) = pugmark_alert::key(detection);
            let key = (rule.to_string(), entity.clone());
            if asked.insert(key.clone())
                && let Some(alert) = self.store.alerts().newest_for(&key.0, &key.1).await?
            {
                newest.insert(key.clone(), alert);
            }
            let known = newest.remove(&key);
            let alert = match pugmark_alert::apply(known.clone(), detection) {
                Applied::Opened(alert) | Applied::Folded(alert) => {
                    changed.insert(alert.id.clone(), alert.clone());
                    Some(alert)
                }
                // A replay after a crash: this detection is part of the alert already.
                Applied::Known => known,
            };
            newest.extend(alert.map(|alert| (key, alert)));
        }
        for alert in changed.values() {
            self.store.alerts().upsert(alert).await?;
        }
        Ok(changed.into_values().collect())
    }
}
