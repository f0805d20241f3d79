//! Keeps every record once: WAL, segments, manifest, ledger, quarantine, state.
