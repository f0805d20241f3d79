//! Who answers: the trait between those who ask and the engine that searches.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::stream::BoxStream;
use pugmark_event::Batch;
use pugmark_event::time::Micros;

use crate::diagnostic::Diagnostic;
use crate::explain::{Explanation, Progress};
use crate::limits::Limits;
use crate::plan::{FieldRef, Kind, Plan};
use crate::presence::{FieldValues, Presence};

/// A question with its bounds.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked.
    pub plan: Plan,
    /// First event time, in microseconds since the epoch.
    pub from: Option<Micros>,
    /// First event time after the range, in microseconds since the epoch.
    pub to: Option<Micros>,
    /// When it is asked, in microseconds since the epoch: what `now()` is.
    pub now: Micros,
    /// Rows at most. With a limit events come newest first; without one they stream from the
    /// newest segment on, each in its own order.
    pub limit: Option<usize>,
}

impl Request {
    /// A question over everything, without a limit.
    pub fn new(plan: Plan, now: Micros) -> Self {
        Self { plan, from: None, to: None, now, limit: None }
    }
}

/// An answer that arrives piece by piece. Dropping it stops the work.
pub struct Answer {
    /// What the rows are.
    pub kind: Kind,
    /// Names of the columns as they are shown, in order.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: BoxStream<'static, Result<RecordBatch, SearchError>>,
    /// Largest id of an event that the answer could see: what arrives later has a greater one.
    pub last_id: i64,
    /// Says how far the answer is; also while its rows are waited for.
    pub progress: Arc<dyn Fn() -> Progress + Send + Sync>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("kind", &self.kind)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

/// Answers questions over everything that is stored.
#[async_trait]
pub trait Search: Send + Sync {
    /// Answers a plan.
    ///
    /// # Errors
    /// When the question cannot be answered as it is, or the store fails.
    async fn search(&self, request: Request) -> Result<Answer, SearchError>;

    /// Answers a plan, forgets the rows, and says what that took.
    ///
    /// # Errors
    /// As [`Search::search`].
    async fn explain(&self, request: Request) -> Result<Explanation, SearchError>;

    /// Answers a plan over events that have just come, whose pipes take each row by itself
    /// ([`Pipe::is_by_row`](crate::Pipe::is_by_row)); `None` when none of them passes.
    ///
    /// # Errors
    /// With a sentence when a table is not there.
    fn arrived(
        &self,
        plan: &Plan,
        events: &Batch,
        now: Micros,
    ) -> Result<Option<RecordBatch>, SearchError>;

    /// Longest time for an answer: later it ends with [`SearchError::Limited`].
    fn time_max(&self) -> Duration {
        Limits::default().time_max
    }

    /// Answers SQL that reads; at most `limit` rows.
    ///
    /// # Errors
    /// When the SQL is wrong or does anything but read, or the store fails.
    async fn sql(&self, sql: &str, limit: Option<usize>) -> Result<Answer, SearchError>;

    /// Says which fields the events from `from` to before `to` have; `None` is unbounded. No rows
    /// are read for it.
    ///
    /// # Errors
    /// When the store fails.
    async fn fields(
        &self,
        from: Option<Micros>,
        to: Option<Micros>,
    ) -> Result<Presence, SearchError>;

    /// Counts values of a field in some of the newest events of such a range: few enough to be
    /// quick.
    ///
    /// # Errors
    /// When the store fails.
    async fn values(
        &self,
        field: &FieldRef,
        from: Option<Micros>,
        to: Option<Micros>,
    ) -> Result<FieldValues, SearchError>;
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SearchError {
    /// The question is wrong.
    #[error("the query is not understood: {}", first(.0))]
    BadQuery(Vec<Diagnostic>),
    /// The SQL is wrong.
    #[error("the SQL is not understood: {0}")]
    BadSql(String),
    /// The answer needs more memory than a question may take.
    #[error("the question needs too much memory: {0}; narrow the time range or group by less")]
    TooBig(String),
    /// A limit stopped the question.
    #[error("{message} (setting {limit})")]
    Limited {
        /// The setting that says how much is allowed, such as `search.time_seconds_max`.
        limit: &'static str,
        /// What was reached, and how much had been read by then.
        message: String,
        /// How to narrow the question.
        hint: String,
    },
    /// The search failed.
    #[error("the search failed: {0}")]
    Failed(String),
}

fn first(diagnostics: &[Diagnostic]) -> String {
    diagnostics.first().map(Diagnostic::to_string).unwrap_or_default()
}
