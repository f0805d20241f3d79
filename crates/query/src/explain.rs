//! What an answer took: what was read of the store, and the time of each step.

use serde::{Deserialize, Serialize};

/// How a question was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What was read of the store.
    pub reading: Reading,
    /// The steps, in the order in which rows pass them.
    pub steps: Vec<Step>,
    /// Rows of the answer.
    pub rows: u64,
    /// Time from the question to the last row, in microseconds.
    pub took_us: u64,
}

/// How far an answer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Events in the parts of the store that may have wanted ones. A question inside of another
    /// adds its own when it begins.
    pub events: u64,
    /// Those in the parts that are done: read, or ruled out.
    pub events_done: u64,
    /// Bytes read of files so far.
    pub bytes_read: u64,
    /// Time since the question, in microseconds.
    pub took_us: u64,
}

/// What was read of the store. A question inside of another counts with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Segments of the store.
    pub segments: u64,
    /// Segments of which something was read.
    pub segments_read: u64,
    /// Row groups of all segments.
    pub row_groups: u64,
    /// Row groups of which something was read: what is missing was ruled out by the range of time,
    /// by statistics or an index, or its figures are in the file.
    pub row_groups_read: u64,
    /// Events of the store.
    pub events: u64,
    /// Events in memory and in the row groups that were read.
    pub events_read: u64,
    /// Bytes read of files; what was kept in memory is not read again.
    pub bytes_read: u64,
}

/// A part of the work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is done, such as `read events` or `sort`.
    pub name: String,
    /// More about it in words of the engine; may be empty.
    pub detail: String,
    /// Rows that it gave to the next.
    pub rows: u64,
    /// Time in microseconds; where several threads work on a step, of all of them together.
    pub took_us: u64,
}
