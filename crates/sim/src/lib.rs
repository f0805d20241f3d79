//! The simulator: the store on a fake disk and clock, everything that goes wrong from one seed.
//!
//! A run is a list of actions that follows from its seed: records are appended, processed, flushed
//! and read while the disk fails, fills up and loses power. After every start, and at the end, the
//! store is held to its promises: what was acknowledged is there once and to the byte, what was
//! refused is there whole or not at all, and the ledger balances. See the README for what is
//! simulated and what is not.

pub mod disk;
mod model;
pub mod objects;
pub mod plan;
pub mod random;
mod run;
mod world;

pub use run::{Failure, run, run_seed, run_seeds, shrink};
