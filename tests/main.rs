//! Whole-product cases: the built binary, real folders, real sockets, as users meet them.

#![allow(clippy::print_stderr, reason = "a test that skips itself says so")]

mod ask;
mod bad_input;
mod care;
mod crash;
mod detection;
mod enrich;
mod folding;
mod harness;
mod hunt;
mod main_path;
mod parse;
mod postgres;
mod retention;
mod saved;
mod settings;
mod sources;
mod syslog;
mod transform;
