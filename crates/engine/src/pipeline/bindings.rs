//! Who had which address, written down now and then, so that a start knows it again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pugmark_store::{CheckpointOf, Store};

use crate::enrichment::Enrichment;
use crate::reader::Reader;

/// Writing takes at most this share of the time.
const KEEP_SHARE: u32 = 50;

/// Keeps what the stream teaches of addresses.
pub(super) struct KeptBindings {
    store: Arc<Store>,
    reader: Arc<Reader>,
    due: Instant,
    /// Time between two writings at least.
    interval: Duration,
}

impl KeptBindings {
    /// Takes up what the last process wrote.
    pub(super) fn start(store: Arc<Store>, reader: Arc<Reader>, interval: Duration) -> Self {
        if let Some(enrichment) = reader.enrichment() {
            match store.checkpoint(CheckpointOf::Bindings) {
                Ok(Some(bytes)) => enrichment.restore(&bytes),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "who had which address is learnt anew"),
            }
        }
        Self { store, reader, due: Instant::now() + interval, interval }
    }

    /// Writes if it is time.
    pub(super) fn keep_if_due(&mut self) {
        if Instant::now() >= self.due {
            self.keep();
        }
    }

    /// Writes. What fails is tried again later; meanwhile nothing but a little memory is at stake.
    pub(super) fn keep(&mut self) {
        let begun = Instant::now();
        if let Some(bytes) = self.reader.enrichment().and_then(Enrichment::save)
            && let Err(error) = self.store.put_checkpoint(CheckpointOf::Bindings, &bytes)
        {
            tracing::warn!(%error, "cannot write down who had which address");
        }
        self.due = Instant::now() + self.interval.max(begun.elapsed() * KEEP_SHARE);
    }
}
