//! State beside the events, in the same database.

pub(crate) mod accounts;
pub(crate) mod alerts;
pub(crate) mod corrections;
pub(crate) mod rules;
pub(crate) mod searches;
pub(crate) mod transforms;
