//! The run loop: intake, pipeline, flushes, status. Also the offline hunt and the rule tests.
//!
//! One path, each stage a type of its own: [`intake`] takes records and answers once they are on
//! disk; [`pipeline`] turns durable blocks into events, detections and alerts; [`flusher`] moves
//! events from memory into segments; [`compactor`] merges small segments; [`aging`] moves and
//! deletes those that grow old; [`schedule`] asks saved searches again and again. The engine holds
//! `Arc<dyn query::Search>` and so compiles without the query engine behind it.

pub mod aging;
pub mod backtest;
pub mod care;
pub mod clock;
pub mod compactor;
pub mod corrections;
pub mod engine;
pub mod enrichment;
pub mod flusher;
pub mod folding;
pub mod history;
pub mod hunt;
pub mod import;
pub mod intake;
pub mod masking;
pub mod parsers;
pub mod pipeline;
pub mod reader;
mod reloader;
pub mod retention;
pub mod rulebook;
pub mod rules;
pub mod schedule;
pub mod self_check;
pub mod status;
pub mod tables;
pub mod transforms;

pub use care::{ReparseState, Replayed};
pub use clock::{Clock, SystemClock};
pub use corrections::{CorrectionError, Corrections};
pub use engine::{Engine, EngineError, Notice, Options};
pub use intake::{IngestError, Receipt};
pub use pipeline::CostLimit;
pub use reader::Reader;
pub use rulebook::RuleBook;
pub use status::Status;
pub use transforms::TransformBook;
