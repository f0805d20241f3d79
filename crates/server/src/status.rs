//! The state of the engine, asked for at most once a second however many look at it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::App;
use crate::error::ApiError;
use crate::wire;

/// How old an answer may be.
const AGE_MAX: Duration = Duration::from_secs(1);

/// The last answer.
#[derive(Debug, Default)]
pub(crate) struct StatusCache {
    last: tokio::sync::Mutex<Option<(Instant, Arc<wire::Status>)>>,
}

impl App {
    /// The status, at most a second old.
    pub(crate) async fn status(&self) -> Result<Arc<wire::Status>, ApiError> {
        let mut last = self.status.last.lock().await;
        if let Some((at, status)) = last.as_ref()
            && at.elapsed() < AGE_MAX
        {
            return Ok(status.clone());
        }
        let status = self.engine.status().await?;
        let status = Arc::new(wire::Status::new(status, &self.options));
        *last = Some((Instant::now(), status.clone()));
        Ok(status)
    }
}
