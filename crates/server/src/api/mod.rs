//! The handlers, one file for each resource.

pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod clock;
pub(crate) mod events;
pub(crate) mod explore;
pub(crate) mod export;
pub(crate) mod fields;
pub(crate) mod ingest;
pub(crate) mod ledger;
pub(crate) mod lookups;
pub(crate) mod parsers;
pub(crate) mod quarantine;
pub(crate) mod query;
pub(crate) mod reparse;
pub(crate) mod retention;
pub(crate) mod rules;
pub(crate) mod search;
pub(crate) mod searches;
pub(crate) mod sources;
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod stream;
pub(crate) mod tokens;
pub(crate) mod transforms;
