//! What is measured: one file each, one line in [`MEASURES`].

pub(crate) mod aggregates;
pub(crate) mod compaction;
pub(crate) mod equality;
pub(crate) mod hunt;
pub(crate) mod ingest;
pub(crate) mod needle;
pub(crate) mod queries;
mod question;
pub(crate) mod restart;
pub(crate) mod size;
pub(crate) mod word;

use anyhow::Result;

use crate::harness::Bench;

/// One measure.
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    /// What it finds out, in one line.
    pub(crate) about: &'static str,
    pub(crate) run: fn(&mut Bench) -> Result<()>,
}

/// All measures, in the order in which they run: later ones use what `ingest` loaded.
pub(crate) const MEASURES: [Measure; 10] = [
    ingest::MEASURE,
    size::MEASURE,
    needle::MEASURE,
    word::MEASURE,
    equality::MEASURE,
    aggregates::MEASURE,
    queries::MEASURE,
    hunt::MEASURE,
    restart::MEASURE,
    compaction::MEASURE,
];
