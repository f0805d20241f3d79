//! What is imported, read into memory: the files of a zip archive or of a folder that may be rules
//! or licences. Every byte of it is somebody else's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::ImportError;

/// Largest file that is taken over: what a rule file may have.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;
/// Largest archive, and most bytes of all files together. The largest public collection has 20 MB.
const BYTES_MAX: u64 = 256 << 20;
/// Most entries of an archive or a folder.
const ENTRIES_MAX: usize = 200_000;
/// Folders in folders.
const DEPTH_MAX: usize = 32;

/// Files by path, with `/` between folders.
#[derive(Debug, Default)]
pub(super) struct Package {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    bytes: u64,
}

/// Reads a zip archive or a folder.
pub(super) fn read(from: &Path) -> Result<Package, ImportError> {
    let mut package = Package::default();
    match from.is_dir() {
        true => {
            let mut entries = 0;
            folder(from, "", 0, &mut entries, &mut package)?;
        }
        false => archive(from, &mut package)?,
    }
    Ok(package)
}

/// True for a relative path that stays below where it starts, on every system.
pub(super) fn is_plain(path: &str) -> bool {
    let odd = |c: char| c.is_control() || matches!(c, '\\' | ':');
    !path.is_empty()
        && !path.contains(odd)
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// True for the file of a licence.
pub(super) fn is_license(path: &str) -> bool {
    let name = name(path).to_ascii_uppercase();
    ["LICENSE", "LICENCE", "COPYING"].iter().any(|start| name.starts_with(start))
}

/// True for a file that may be taken over. Hidden ones are the tools' of whoever made it, and what
/// speaks for a whole folder of rules is not theirs to say.
fn is_wanted(path: &str) -> bool {
    let ours = ["import.yaml", "placeholders.yaml", "placeholders.yml"];
    let rule = (path.ends_with(".yml") || path.ends_with(".yaml")) && !ours.contains(&name(path));
    (rule || is_license(path)) && !path.split('/').any(|part| part.starts_with('.'))
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Package {
    /// Adds a file. One that is larger than rules are is left out.
    fn add(&mut self, path: &str, mut from: impl Read) -> std::io::Result<Result<(), ImportError>> {
        let mut bytes = Vec::new();
        from.by_ref().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        self.bytes += bytes.len() as u64;
        if self.bytes > BYTES_MAX {
            return Ok(Err(ImportError::TooBig { what: "bytes of all files", max: BYTES_MAX }));
        }
        if bytes.len() as u64 <= FILE_BYTES_MAX {
            self.files.insert(path.to_string(), bytes);
        }
        Ok(Ok(()))
    }
}

fn archive(from: &Path, package: &mut Package) -> Result<(), ImportError> {
    let error = |error| ImportError::File { path: from.to_path_buf(), error };
    let broken = |message: String| ImportError::Archive { path: from.to_path_buf(), message };
    let file = File::open(from).map_err(error)?;
    if file.metadata().map_err(error)?.len() > BYTES_MAX {
        return Err(ImportError::TooBig { what: "bytes of the archive", max: BYTES_MAX });
    }
    let mut zip = zip::ZipArchive::new(file).map_err(|e| broken(e.to_string()))?;
    if zip.len() > ENTRIES_MAX {
        return Err(ImportError::TooBig { what: "entries", max: ENTRIES_MAX as u64 });
    }
    // All names first: one that leads elsewhere spoils the rest.
    let mut names = Vec::with_capacity(zip.len());
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index).map_err(|e| broken(e.to_string()))?;
        let name = entry.name().map_err(|e| broken(e.to_string()))?.into_owned();
        if !is_plain(name.strip_suffix('/').unwrap_or(&name)) {
            return Err(ImportError::Outside(name));
        }
        names.push(if entry.is_file() { name } else { String::new() });
    }
    let start = common_folder(&names).map_or(0, |folder| folder.len() + 1);
    for (index, name) in names.iter().enumerate() {
        let Some(path) = name.get(start..).filter(|path| is_wanted(path)) else { continue };
        let entry = zip.by_index(index).map_err(|e| broken(e.to_string()))?;
        package.add(path, entry).map_err(|e| broken(format!("{name}: {e}")))??;
    }
    Ok(())
}

/// The one folder that holds all files: code hosts name it after the version, which would make
/// every file of the next version a new one. One that is called after rules belongs to the files.
fn common_folder(names: &[String]) -> Option<&str> {
    let mut files = names.iter().filter(|name| !name.is_empty());
    let (first, _) = files.next()?.split_once('/')?;
    let in_it = |name: &String| name.split_once('/').is_some_and(|(folder, _)| folder == first);
    (!first.starts_with("rules") && files.all(in_it)).then_some(first)
}

fn folder(
    root: &Path,
    below: &str,
    depth: usize,
    entries: &mut usize,
    package: &mut Package,
) -> Result<(), ImportError> {
    let dir = root.join(below);
    let error = |error| ImportError::File { path: dir.clone(), error };
    if depth > DEPTH_MAX {
        return Err(ImportError::TooBig { what: "folders in folders", max: DEPTH_MAX as u64 });
    }
    for entry in std::fs::read_dir(&dir).map_err(error)? {
        let entry = entry.map_err(error)?;
        *entries += 1;
        if *entries > ENTRIES_MAX {
            return Err(ImportError::TooBig { what: "entries", max: ENTRIES_MAX as u64 });
        }
        let Some(name) = entry.file_name().to_str().map(str::to_string) else { continue };
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        // Links are not followed.
        let kind = entry.file_type().map_err(error)?;
        if kind.is_dir() && !path.split('/').any(|part| part.starts_with('.')) {
            folder(root, &path, depth + 1, entries, package)?;
        } else if kind.is_file() && is_wanted(&path) && is_plain(&path) {
            let file = File::open(entry.path()).map_err(error)?;
            package.add(&path, file).map_err(error)??;
        }
    }
    Ok(())
}
