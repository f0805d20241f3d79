//! A disk that runs full: what matters least goes first, and nothing is lost silently.
//!
//! Below `disk_free_bytes_low` the cache of cold segments goes, then segments move to object
//! storage if there is one, and else they are deleted: the lowest retention class first, in it the
//! oldest. What is held is never deleted. When there is nothing left to give, the WAL stops taking
//! records at `disk_free_bytes_min`; everything acknowledged is safe.

use std::sync::Arc;

use crate::error::StoreError;
use crate::retention::{Aged, Relief, relieve};
use crate::store::{Inner, Store};

impl Store {
    /// Gets the disk above its low watermark, as far as that can be done in one run.
    ///
    /// # Errors
    /// When the manifest cannot be read or written to.
    pub async fn relieve(&self) -> Result<Aged, StoreError> {
        let inner = self.inner.clone();
        // A task of its own: a caller that goes away must not leave a move half-way.
        let run = tokio::spawn(async move { inner.relieve().await });
        run.await.map_err(|e| StoreError::State { what: "disk", message: e.to_string() })?
    }
}

impl Inner {
    async fn relieve(self: &Arc<Self>) -> Result<Aged, StoreError> {
        if self.writing.is_none() || self.missing_bytes().is_none() {
            return Ok(Aged::default());
        }
        let _alone = self.aging.turn.lock().await;
        self.decide_swaps().await?;
        let cached = self.tiers.as_ref().map_or(0, |tiers| tiers.clear_cache());
        let Some(missing) = self.missing_bytes() else { return Ok(Aged::default()) };
        tracing::warn!(missing, cached, "the disk is nearly full: making room");
        let (classes, holds) = (&self.options.classes, self.held_classes().await?);
        let mut aged = Aged::default();
        if self.tiers.is_some() {
            let steps = relieve(&self.kept(), classes, &holds, Relief::Move, missing);
            aged = self.carry_out(steps).await?;
            // While the storage is away, there is still half of the way to the end.
            if aged.problem.is_none() || !self.is_urgent() {
                return Ok(aged);
            }
        }
        let Some(missing) = self.missing_bytes() else { return Ok(aged) };
        let steps = relieve(&self.kept(), classes, &holds, Relief::Delete, missing);
        if steps.is_empty() {
            tracing::error!("the disk is nearly full, and there is nothing that may be deleted");
        }
        let deleted = self.carry_out(steps).await?;
        Ok(Aged { moved: aged.moved, problem: aged.problem, ..deleted })
    }

    /// Bytes that the disk lacks to its low watermark, beyond what comes free by itself. `None`
    /// when it lacks none.
    fn missing_bytes(&self) -> Option<u64> {
        let low = self.options.disk_free_bytes_low;
        let free = self.options.disk.free_bytes(&self.dir)?;
        low.checked_sub(free)?.checked_sub(self.aging.leaving_bytes()).filter(|bytes| *bytes > 0)
    }

    /// True when half of what lies between the watermarks is used up.
    fn is_urgent(&self) -> bool {
        let (low, min) = (self.options.disk_free_bytes_low, self.options.disk_free_bytes_min);
        let middle = min + low.saturating_sub(min) / 2;
        self.options.disk.free_bytes(&self.dir).is_some_and(|free| free < middle)
    }
}
