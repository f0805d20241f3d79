//! The Python scripts of the harness: in the binary, written to where they are run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const SCRIPTS: [(&str, &str); 5] = [
    ("clickhouse.py", include_str!("../scripts/clickhouse.py")),
    ("duck.py", include_str!("../scripts/duck.py")),
    ("protocol.py", include_str!("../scripts/protocol.py")),
    ("shared_logs.py", include_str!("../scripts/shared_logs.py")),
    ("typed.py", include_str!("../scripts/typed.py")),
];

/// Writes all of them below `work` and answers their folder.
pub(crate) fn write(work: &Path) -> Result<PathBuf> {
    let folder = work.join("scripts");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, text) in SCRIPTS {
        fs::write(folder.join(name), text)?;
    }
    Ok(folder)
}
