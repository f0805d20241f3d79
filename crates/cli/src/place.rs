//! The place of a file that is written: what is there stays until all of the new one is.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

/// Where a file belongs that was written beside it; dropped before [`Place::take`], it goes.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// The file that was written and the one that it replaces; `None` when they are the same.
    beside: Option<(TempPath, PathBuf)>,
}

impl Place {
    /// A new file for `path`, and its place.
    ///
    /// # Errors
    /// When there can be no such file.
    pub(crate) fn create(path: &Path) -> io::Result<(File, Self)> {
        let there = fs::symlink_metadata(path).ok();
        // A pipe or a link is written to, not replaced; nor is what nobody may write to.
        if there.as_ref().is_some_and(|there| !there.is_file() || there.permissions().readonly()) {
            return Ok((File::create(path)?, Self::default()));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".pugmark-");
        // Those of any new file, since temporary ones are only for their owner.
        let usual = || Permissions::from_mode(0o666);
        builder.permissions(there.map_or_else(usual, |there| there.permissions()));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Ok(file) = builder.tempfile_in(folder.unwrap_or(Path::new("."))) else {
            // The folder takes no new files, but the file may be there.
            return Ok((File::create(path)?, Self::default()));
        };
        let (file, written) = file.into_parts();
        Ok((file, Self { beside: Some((written, path.to_path_buf())) }))
    }

    /// Puts the file, which is whole now, where it belongs.
    ///
    /// # Errors
    /// When the folder does not take it.
    pub(crate) fn take(self) -> io::Result<()> {
        match self.beside {
            Some((written, path)) => Ok(written.persist(path)?),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let names = fs::read_dir(dir).unwrap().map(name);
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_is_replaced_when_the_new_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("found.csv");
        for (text, whole, expected) in [
            ("given up", false, None),
            ("one", true, Some("one")),
            ("given up", false, Some("one")),
            ("two", true, Some("two")),
        ] {
            let (mut file, place) = Place::create(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            match whole {
                true => place.take().unwrap(),
                false => drop(place),
            }
            assert_eq!(fs::read_to_string(&path).ok().as_deref(), expected);
            assert_eq!(names(dir.path()).len(), usize::from(expected.is_some()));
        }
        assert!(Place::create(dir.path()).is_err());
        assert!(Place::create(&dir.path().join("none").join("found.csv")).is_err());
    }

    #[test]
    fn a_link_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("found.csv"), dir.path().join("link"));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let (mut file, place) = Place::create(&link).unwrap();
        file.write_all(b"one").unwrap();
        place.take().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
    }
}
