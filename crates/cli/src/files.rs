//! Paths that a person types: files, folders, globs, `-`.

pub(crate) mod archive;
mod tar;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;

use crate::error::CliError;

/// One thing to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    /// The name that output shows.
    pub(crate) fn name(&self) -> String {
        match self {
            Input::Stdin => "-".to_string(),
            Input::File(path) => path.display().to_string(),
        }
    }

    /// Size in bytes; 0 where it cannot be known.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Input::Stdin => 0,
            Input::File(path) => std::fs::metadata(path).map_or(0, |m| m.len()),
        }
    }

    /// Opens it; `read` counts the bytes as they are read.
    pub(crate) fn open(&self, read: &Arc<AtomicU64>) -> anyhow::Result<Counted> {
        let inner: Box<dyn Read + Send> = match self {
            Input::Stdin => Box::new(std::io::stdin()),
            Input::File(path) => Box::new(
                std::fs::File::open(path)
                    .with_context(|| format!("cannot open {}", path.display()))?,
            ),
        };
        Ok(Counted { inner, read: read.clone() })
    }
}

/// A reader that counts.
pub(crate) struct Counted {
    inner: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// All files that the paths name, each once, in order. A folder stands for the files below it,
/// hidden ones left out; a path that does not exist may be a glob.
pub(crate) fn expand(paths: &[PathBuf]) -> Result<Vec<Input>, CliError> {
    let mut inputs: Vec<Input> = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            inputs.push(Input::Stdin);
        } else if path.is_dir() {
            below(path, |_| true, &mut inputs)?;
        } else if path.exists() {
            inputs.push(Input::File(path.clone()));
        } else {
            glob(path, &mut inputs)?;
        }
    }
    let mut seen = std::collections::HashSet::new();
    inputs.retain(|input| seen.insert(input.name()));
    Ok(inputs)
}

fn below(
    folder: &Path,
    wanted: impl Fn(&Path) -> bool,
    inputs: &mut Vec<Input>,
) -> Result<(), CliError> {
    let hidden = |entry: &walkdir::DirEntry| {
        entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.')
    };
    let walk = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| !hidden(entry)) {
        let entry = entry.map_err(|e| anyhow::anyhow!("cannot read {}: {e}", folder.display()))?;
        if entry.file_type().is_file() && wanted(entry.path()) {
            inputs.push(Input::File(entry.into_path()));
        }
    }
    Ok(())
}

fn glob(pattern: &Path, inputs: &mut Vec<Input>) -> Result<(), CliError> {
    let shown = pattern.display().to_string();
    let missing = || CliError::usage(format!("there is no file {shown}"));
    if !shown.contains(['*', '?', '[', '{']) {
        return Err(missing());
    }
    let matcher = globset::GlobBuilder::new(&shown)
        .literal_separator(true)
        .build()
        .map_err(|e| CliError::usage(format!("{shown} is no file and no glob: {e}")))?
        .compile_matcher();
    // The walk starts at the part of the path that has no wildcard.
    let fixed: PathBuf = pattern
        .components()
        .take_while(|c| !c.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']))
        .collect();
    let start = if fixed.as_os_str().is_empty() { PathBuf::from(".") } else { fixed };
    let before = inputs.len();
    let relative = |path: &Path| path.strip_prefix("./").unwrap_or(path).to_path_buf();
    below(&start, |path| matcher.is_match(relative(path)), inputs)?;
    if inputs.len() == before { Err(missing()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_folders_and_globs_name_files() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("sub/.git")).unwrap();
        for name in ["a.log", "b.txt", "sub/c.log", "sub/.git/x", ".hidden"] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        let names = |path: &str| -> Result<Vec<String>, String> {
            expand(&[root.join(path)])
                .map(|inputs| {
                    let strip = |i: &Input| i.name()[root.display().to_string().len() + 1..].into();
                    inputs.iter().map(strip).collect()
                })
                .map_err(|e| format!("{e:?}"))
        };
        assert_eq!(names("").unwrap(), ["a.log", "b.txt", "sub/c.log"]);
        assert_eq!(names("*.log").unwrap(), ["a.log"]);
        assert_eq!(names("**/*.log").unwrap(), ["a.log", "sub/c.log"]);
        assert!(names("none.log").unwrap_err().contains("there is no file"));
        assert!(names("none*.log").unwrap_err().contains("there is no file"));
        let twice = expand(&[root.join("a.log"), root.join("*.log")]).unwrap();
        assert_eq!(twice.len(), 1);
    }
}
