//! The search engine over a real store. One binary, since each links all of DataFusion.

mod common;
mod differential;
mod explain;
mod limits;
mod promises;
mod views;
