//! `cargo xtask run`: from a fresh checkout to the demo in a browser.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Result;

use crate::{geo, shell, web};

/// Builds the web app and the binary, then becomes `pugmark demo` with the given words.
pub(crate) fn run(args: &[String]) -> Result<()> {
    web::build(false)?;
    if let Err(error) = geo::geo(&[]) {
        println!("this build will not know the countries of addresses: {error:#}");
    }
    shell::run(&mut shell::cargo(&["build", "--release", "--package", "pugmark"]))?;
    let binary = shell::target_dir().join("release/pugmark");
    // exec, so that Ctrl-C and the exit code are the demo's own.
    let error = Command::new(&binary).arg("demo").args(args).exec();
    Err(anyhow::anyhow!("cannot start {}: {error}", binary.display()))
}
