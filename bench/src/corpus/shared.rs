//! Real logs that others published, gathered from a folder that is not part of the project.
//!
//! scripts/shared_logs.py says what counts as a log there. Nothing of it is ever committed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Corpus, load};
use crate::scripts;

/// The corpus of the logs below `data`, under `folder`: found there, or gathered.
pub(crate) fn ensure(folder: &Path, data: &Path) -> Result<Corpus> {
    let out = folder.join("corpus-shared");
    if let Some(corpus) = load(&out) {
        return Ok(corpus);
    }
    if !data.is_dir() {
        bail!("{} is no folder: name the one with the published logs with --data", data.display());
    }
    let script = scripts::write(folder)?.join("shared_logs.py");
    let status = Command::new("python3")
        .args([&script, data, &out])
        .status()
        .context("cannot start python3, which gathers the published logs")?;
    if !status.success() {
        bail!("shared_logs.py could not gather {} ({status})", data.display());
    }
    load(&out).with_context(|| format!("{} has no whole corpus", out.display()))
}
