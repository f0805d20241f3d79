//! What is asked: text to AST to plan, the Search trait, and a naive evaluator as the oracle.
//!
//! Floor 2: knows no clock, no file, no engine. [`parse`] turns text into a [`Plan`] of plain
//! types; whoever implements [`Search`] answers it, and [`eval`] says what the answer must be.

pub mod cell;
pub mod check;
pub mod complete;
mod condition;
mod cursor;
pub mod diagnostic;
mod display;
pub mod eval;
pub mod explain;
pub mod expr;
pub mod figures;
mod finder;
pub mod functions;
pub mod limits;
mod parse;
pub mod pipes;
pub mod plan;
pub mod presence;
pub mod reference;
mod required;
pub mod sample;
pub mod scope;
pub mod search;
#[cfg(test)]
mod testing;
mod wildcard;
pub mod words;

pub use diagnostic::Diagnostic;
pub use expr::Expr;
pub use limits::Limits;
pub use parse::{DEPTH_MAX, TESTS_MAX, TEXT_BYTES_MAX, parse, parse_expr};
pub use plan::{
    Aggregate, Bound, FieldRef, Filter, Function, Kind, Named, Pattern, Piece, Pipe, Plan, SortKey,
    Target, Test, span_for,
};
pub use presence::{FieldPresence, FieldValues, Presence};
pub use search::{Answer, Request, Search, SearchError};
