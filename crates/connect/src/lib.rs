//! The other side's protocols: sources that listen, and the only HTTP client.
//!
//! A source is one file in [`source`]: it frames what arrives, hands records to the engine, and
//! has a stated answer for when the engine is full.

pub mod client;
pub mod source;

pub use client::{Client, ClientError};
