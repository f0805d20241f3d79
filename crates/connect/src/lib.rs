//! The other side's protocols: sources, outputs, feeds, and the HTTP client.
