//! Segments as other programs read them: DuckDB and ClickHouse, which PyPI has as libraries.

use anyhow::Result;

use super::Outcome;
use super::venv::venv;
use crate::shell;

/// The packages, at the versions that the cases were written with.
const PACKAGES: [&str; 2] = ["duckdb==2.0.0", "chdb==4.4.0"];
/// What the report says without them.
const SKIPPED: &str = "2 cases not run: pip could not install duckdb and chdb";

/// Installs the readers below the target folder if they are not there, then runs the cases.
pub(super) fn readers() -> Result<Outcome> {
    let Some(dir) = venv("readers", &PACKAGES) else { return Ok(Outcome::Skipped(SKIPPED)) };
    let mut cases = shell::cargo(&["test", "--workspace", "--test", "readers"]);
    shell::run(
        cases.args(["--", "--nocapture"]).env("PUGMARK_TEST_PYTHON", dir.join("bin/python")),
    )?;
    Ok(Outcome::Passed)
}
