//! State beside the events, in the same SQLite file.

pub(crate) mod accounts;
pub(crate) mod alerts;
