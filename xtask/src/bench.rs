//! `cargo xtask bench`: release builds of the product and of its harness, then one run.

use std::process::Command;

use anyhow::Result;

use crate::{shell, web};

/// Measures; the given words go to `pugmark-bench run` (see bench/README.md).
pub(crate) fn bench(args: &[String]) -> Result<()> {
    web::build(false)?;
    let packages = ["--package", "pugmark", "--package", "pugmark-bench"];
    shell::run(shell::cargo(&["build", "--release"]).args(packages))?;
    let release = shell::target_dir().join("release");
    let mut harness = Command::new(release.join("pugmark-bench"));
    harness.arg("run").arg("--pugmark").arg(release.join("pugmark"));
    harness.arg("--work").arg(shell::target_dir().join("bench"));
    shell::run(harness.args(args).current_dir(shell::root()))
}
