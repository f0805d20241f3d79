//! SQL over the PostgreSQL protocol, asked by clients that Debian and PyPI have.

use anyhow::Result;

use super::Outcome;
use super::venv::venv;
use crate::shell;

/// The package, at the version that the cases were written with.
const PACKAGE: &str = "psycopg[binary]==3.3.9";
/// What the report says without it.
const SKIPPED: &str = "1 case not run: pip could not install psycopg";

/// Installs the clients if they are not there, then runs the cases.
pub(super) fn clients() -> Result<Outcome> {
    if !shell::works("psql", &["--version"]) {
        shell::install(&["postgresql-client"], "a test asks with psql")?;
    }
    let Some(dir) = venv("psycopg", &[PACKAGE]) else { return Ok(Outcome::Skipped(SKIPPED)) };
    let mut cases = shell::cargo(&["test", "--workspace", "--test", "product"]);
    let python = dir.join("bin/python");
    shell::run(
        cases.args(["--", "--nocapture", "postgres::"]).env("PUGMARK_TEST_PSYCOPG", python),
    )?;
    Ok(Outcome::Passed)
}
