//! Programs and libraries that PyPI has, installed below the target folder for tests alone.

use std::path::PathBuf;
use std::process::Command;

use crate::shell;

/// The folder of a Python environment with these packages; made when it is not there yet. `None`
/// when pip cannot install them: no network and no Python are no fault of this checkout.
pub(super) fn venv(name: &str, packages: &[&str]) -> Option<PathBuf> {
    let dir = shell::target_dir().join("tools").join(name);
    let done = dir.join("installed");
    if done.is_file() {
        return Some(dir);
    }
    shell::run(Command::new("python3").args(["-m", "venv"]).arg(&dir)).ok()?;
    let mut pip = Command::new(dir.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages);
    shell::run(&mut pip).ok()?;
    std::fs::write(done, packages.join("\n")).ok()?;
    Some(dir)
}
