//! A data folder and its manifest belong together.
//!
//! Files that the manifest does not know are taken for what a crash left, and removed. So nothing
//! is worse than the right folder with the wrong manifest: it is refused before a file is touched.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use super::ManifestAt;
use super::place;
use super::sql::{Pool, args};
use crate::error::StoreError;

/// Name of the file that says which manifest in PostgreSQL belongs to the folder.
const FILE: &str = "manifest.id";

/// Before a manifest is opened for writing: it is not one that would be made new in a folder that
/// has segments, or where another has been before.
///
/// # Errors
/// When folder and manifest do not belong together.
pub(super) fn check_place(dir: &Path, at: &ManifestAt) -> Result<(), StoreError> {
    let (has_file, has_id) = (place::path(dir).exists(), dir.join(FILE).exists());
    let problem = match at {
        ManifestAt::Folder if has_file => return Ok(()),
        ManifestAt::Folder if has_id => "the manifest of this folder is in PostgreSQL",
        ManifestAt::Folder if has_segments(dir) => "the folder has segments and no manifest",
        ManifestAt::Postgres(_) if has_file => "the folder has a manifest of its own, pugmark.db",
        _ => return Ok(()),
    };
    Err(mismatch(dir, at, problem))
}

/// After a manifest was opened for writing: a database is the one of this folder. A new one becomes
/// that.
///
/// # Errors
/// When it is not, or the database or the disk refuse.
pub(super) async fn check_database(
    dir: &Path,
    at: &ManifestAt,
    writer: &Pool,
) -> Result<(), StoreError> {
    let ManifestAt::Postgres(_) = at else { return Ok(()) };
    let file = dir.join(FILE);
    let of_folder: Option<i64> = match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().ok(),
        Err(_) => None,
    };
    let row = writer.row("SELECT value FROM progress WHERE name = 'folder'", args![]).await?;
    let of_database: Option<i64> = row.map(|row| row.get(0)).transpose()?;
    match (of_folder, of_database) {
        (Some(one), Some(other)) if one == other => Ok(()),
        (_, Some(_)) => Err(mismatch(dir, at, "the manifest belongs to another data folder")),
        (_, None) if has_segments(dir) => {
            Err(mismatch(dir, at, "the folder has segments, and the manifest there is empty"))
        }
        (of_folder, None) => {
            let id = of_folder.unwrap_or_else(|| RandomState::new().hash_one(dir) as i64);
            // The file first: a crash in between leaves a file, which is taken up here again.
            let written = std::fs::create_dir_all(dir)
                .and_then(|()| std::fs::write(&file, format!("{id}\n")))
                .and_then(|()| std::fs::File::open(&file)?.sync_all())
                .and_then(|()| std::fs::File::open(dir)?.sync_all());
            written.map_err(StoreError::io("write", &file))?;
            let sql = "INSERT INTO progress (name, value) VALUES ('folder', $1)";
            writer.rows(sql, args![id]).await?;
            Ok(())
        }
    }
}

/// True when a partition holds a file.
fn has_segments(dir: &Path) -> bool {
    let Ok(partitions) = std::fs::read_dir(dir.join("segments")) else { return false };
    partitions.flatten().any(|partition| {
        std::fs::read_dir(partition.path()).is_ok_and(|mut files| files.next().is_some())
    })
}

fn mismatch(dir: &Path, at: &ManifestAt, problem: &'static str) -> StoreError {
    StoreError::NotTogether { dir: dir.to_path_buf(), place: at.to_string(), problem }
}
