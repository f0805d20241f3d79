//! What stands at the door of the manifest. Tests make it fail there.

use std::io;
use std::sync::Arc;

/// Asked at each change of the manifest. The simulator's makes changes fail as a database or the
/// way to it may.
pub trait Gate: Send + Sync + std::fmt::Debug {
    /// Before a transaction begins.
    ///
    /// # Errors
    /// When it cannot begin.
    fn begin(&self) -> io::Result<()>;

    /// Before it is committed.
    ///
    /// # Errors
    /// When it is to be undone.
    fn commit(&self) -> io::Result<()>;

    /// After it was committed.
    ///
    /// # Errors
    /// When the answer of the database is to be lost.
    fn committed(&self) -> io::Result<()>;
}

/// The gate that is always open.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Open;

impl Gate for Open {
    fn begin(&self) -> io::Result<()> {
        Ok(())
    }

    fn commit(&self) -> io::Result<()> {
        Ok(())
    }

    fn committed(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The gate that is always open.
pub(crate) fn open() -> Arc<dyn Gate> {
    Arc::new(Open)
}
