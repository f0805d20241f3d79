//! Tiers: hot segments lie on the local disk, cold ones on object storage.
//!
//! A segment that moves is uploaded whole and read back whole before the manifest says that it is
//! cold; only then does the local file go. What a question needs first, the filters and the footer
//! at the end of the file, stays local as `<file>.tail`, with a checksum of every chunk of the rest
//! beside it: pruning needs no network, and wrong bytes from the storage are noticed whatever part
//! of the file is read. Chunks that were read are kept in a bounded local cache.
//!
//! [`Objects`] is the storage as the store sees it. [`ObjectStorage`] is a real one; the simulator
//! puts one in its place that fails, hangs and answers twice.

mod cache;
mod cold;
mod doubt;
mod objects;
mod storage;
mod tail;

pub(crate) use cold::{Body, Needed, Tiers};
pub use cold::{Cold, ColdUsage};
pub use objects::{ObjectError, Objects};
pub use storage::{ObjectStorage, StorageError, StorageSettings};
pub(crate) use tail::{tail_path, tail_problem};
