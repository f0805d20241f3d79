//! The text files of the repository, read once.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use walkdir::{DirEntry, WalkDir};

use super::rust;

/// Folders of things that are made, not written.
const NOT_OURS: [&str; 6] = [".git", "target", "node_modules", "dist", "shots", "corpus"];

/// No text that a person writes is as long; what is longer is data.
const FILE_BYTES_MAX: u64 = 2_000_000;

/// Every text file of the repository, in the order of their paths.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

/// One text file.
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// For Rust: the text with comments blank and strings as NUL, see [`rust::code_only`].
    pub(crate) code: Option<String>,
}

/// Something to put right.
pub(crate) struct Problem {
    pub(crate) place: String,
    pub(crate) what: String,
    pub(crate) hint: String,
}

impl Tree {
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let ours = |entry: &DirEntry| {
            !entry.file_type().is_dir()
                || NOT_OURS.iter().all(|name| entry.file_name() != *name)
                || entry.depth() == 0
        };
        let mut files = Vec::new();
        for entry in WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(ours) {
            let entry = entry?;
            if !entry.file_type().is_file() || entry.metadata()?.len() > FILE_BYTES_MAX {
                continue;
            }
            let path = entry.path().strip_prefix(root)?.to_string_lossy().replace('\\', "/");
            // What is not UTF-8 is not text; that it is meant to be is for other tools to say.
            if let Ok(text) = std::fs::read_to_string(entry.path()) {
                files.push(File::new(path, text));
            }
        }
        Ok(Self { files })
    }

    /// The files whose paths start and end so.
    pub(crate) fn find<'a>(
        &'a self,
        start: &'a str,
        end: &'a str,
    ) -> impl Iterator<Item = &'a File> {
        self.files
            .iter()
            .filter(move |file| file.path.starts_with(start) && file.path.ends_with(end))
    }

    /// The Rust files, with their code.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&File, &str)> {
        self.files.iter().filter_map(|file| Some((file, file.code.as_deref()?)))
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl File {
    pub(crate) fn new(path: String, text: String) -> Self {
        let code = path.ends_with(".rs").then(|| rust::code_only(&text));
        Self { path, text, code }
    }

    /// The folder under `crates/` that this file belongs to.
    pub(crate) fn krate(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    pub(crate) fn problem(&self, line: usize, what: impl Into<String>, hint: &str) -> Problem {
        let place = format!("{}:{line}", self.path);
        Problem { place, what: what.into(), hint: hint.to_string() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.what, self.hint)
    }
}

/// A tree of the given paths and texts.
#[cfg(test)]
pub(crate) fn tree_of(files: &[(&str, &str)]) -> Tree {
    let files = files.iter().map(|(path, text)| File::new((*path).into(), (*text).into()));
    Tree { files: files.collect() }
}
