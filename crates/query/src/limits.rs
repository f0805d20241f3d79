//! What one question may take before it is stopped.

use std::time::Duration;

/// Limits of one question. `None` is no limit.
///
/// A question that reaches one ends with [`SearchError::Limited`](crate::SearchError::Limited),
/// which names the limit and says how much had been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest time from the question to the last row of its answer.
    pub time_max: Duration,
    /// Bytes read of segments, as [`Reading::bytes_read`](crate::explain::Reading::bytes_read)
    /// counts them: what is still in memory costs nothing.
    pub read_bytes_max: Option<u64>,
    /// Events read, whether they are in the answer or not.
    pub rows_read_max: Option<u64>,
    /// Memory of the question, in bytes.
    pub memory_bytes_max: Option<usize>,
}

impl Default for Limits {
    /// A quarter of an hour, and as many bytes and rows as that gives.
    fn default() -> Self {
        Self {
            time_max: Duration::from_secs(900),
            read_bytes_max: None,
            rows_read_max: None,
            memory_bytes_max: None,
        }
    }
}
