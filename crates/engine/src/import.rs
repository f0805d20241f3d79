//! Rules of others: taken over from an archive or a folder, and brought up to date later.
//!
//! Everything lands below `imported/<name>/` in the folder of rules, each file as it came, beside
//! two files of ours: `import.yaml` says where the rules came from and under which licence, and
//! `SHA256SUMS` what was written, in the form that `sha256sum -c` reads. A file whose sum differs
//! was edited by a person and stays as it is; nothing outside that folder is touched. What is local
//! (exceptions, placeholders) belongs outside.

mod package;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use pugmark_event::Severity;
use pugmark_event::time::{self, Micros};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::package::Package;

/// Largest list of sums that is read, in bytes.
const SUMS_BYTES_MAX: u64 = 32 << 20;
const RECORD: &str = "import.yaml";
const SUMS: &str = "SHA256SUMS";

/// What to take over, and how to call it.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Name of the folder below `imported/`.
    pub name: String,
    /// The licence, where the package does not say it in a way that is understood.
    pub license: Option<String>,
    /// Rules below this level stay out.
    pub min_level: Option<Severity>,
    /// Only rules of these statuses; all but `deprecated` and `unsupported` when empty.
    pub statuses: Vec<String>,
}

/// What an import did. Paths are relative to its folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// The folder that was filled.
    pub folder: PathBuf,
    /// The licence; empty where nobody says one.
    pub license: String,
    /// Rule files that are now there.
    pub rules: usize,
    /// Files that were not there before.
    pub new: Vec<String>,
    /// Files that had another text before.
    pub changed: Vec<String>,
    /// Files that the package no longer has.
    pub removed: Vec<String>,
    /// Files that a person edited or deleted; they are as they were.
    pub kept: Vec<String>,
    /// Files of filters: what narrows your rules is yours to write.
    pub filters: Vec<String>,
    /// Rule files left out for their level or status.
    pub left_out: usize,
}

/// Why nothing was imported, or not all.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file or folder cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The archive is broken.
    #[error("{} is no archive that can be read: {message}", path.display())]
    Archive {
        /// Which.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// An entry has a path that leads elsewhere.
    #[error("the entry {0:?} would be written outside of its folder: the whole archive is refused")]
    Outside(String),
    /// Larger than rules ever are.
    #[error("{what}: more than {max}; this is no package of rules")]
    TooBig {
        /// What.
        what: &'static str,
        /// The most that is read.
        max: u64,
    },
    /// A name that is no folder's.
    #[error("the name {0:?} is not made of letters, digits, - and _; choose another with --name")]
    Name(String),
    /// Nothing in it is a rule.
    #[error("{} has no Sigma rules of the level and status asked for", .0.display())]
    Nothing(PathBuf),
    /// A link stands where a folder should.
    #[error("{} is a link: an import writes into plain folders only", .0.display())]
    Link(PathBuf),
}

/// What `import.yaml` says.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    source: String,
    imported: String,
    license: String,
    rules: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_level: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    statuses: Vec<String>,
}

type Sums = BTreeMap<String, String>;

/// Takes over the rules of `from`, a zip archive or a folder, into the folder of rules `into`.
///
/// # Errors
/// When the package cannot be read or is not what it should be, before anything is written; and
/// when a file cannot be written: then importing again goes on where this ended.
pub fn import(
    from: &Path,
    into: &Path,
    options: &ImportOptions,
    now: Micros,
) -> Result<Imported, ImportError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if options.name.is_empty() || options.name.len() > 64 || !options.name.chars().all(plain) {
        return Err(ImportError::Name(options.name.clone()));
    }
    let package = package::read(from)?;
    let (files, mut imported) = choose(package, options);
    if imported.rules == 0 {
        return Err(ImportError::Nothing(from.to_path_buf()));
    }
    let folder = plain_folder(into, &format!("imported/{}", options.name))?;
    update(&folder, &files, &mut imported)?;
    let record = Record {
        source: from.file_name().unwrap_or(from.as_os_str()).to_string_lossy().into_owned(),
        imported: time::format(now),
        license: imported.license.clone(),
        rules: imported.rules,
        min_level: options.min_level.map(|level| level.name().to_string()),
        statuses: options.statuses.clone(),
    };
    let path = folder.join(RECORD);
    let text = yaml_serde::to_string(&record).map_err(|error| ImportError::File {
        path: path.clone(),
        error: io::Error::other(error),
    })?;
    write(&path, text.as_bytes())?;
    imported.folder = folder;
    Ok(imported)
}

/// The files to be written, and what is known before.
fn choose(package: Package, options: &ImportOptions) -> (BTreeMap<String, Vec<u8>>, Imported) {
    let mut imported = Imported::default();
    let mut files = BTreeMap::new();
    let mut licenses = Vec::new();
    for (path, bytes) in package.files {
        if package::is_license(&path) {
            licenses.push(String::from_utf8_lossy(&bytes).into_owned());
            files.insert(path, bytes);
            continue;
        }
        match rank(&bytes, options) {
            Rank::Wanted => {
                imported.rules += 1;
                files.insert(path, bytes);
            }
            Rank::LeftOut => imported.left_out += 1,
            Rank::Filter => imported.filters.push(path),
            Rank::NoRule => {}
        }
    }
    let found = || licenses.iter().find_map(|text| license(text)).unwrap_or_default().to_string();
    imported.license = options.license.clone().unwrap_or_else(found);
    (files, imported)
}

/// What a file is to an import.
#[derive(Debug, PartialEq, Eq)]
enum Rank {
    Wanted,
    LeftOut,
    Filter,
    NoRule,
}

/// The keys of a document that decide.
#[derive(Deserialize)]
struct Head {
    title: Option<String>,
    level: Option<String>,
    status: Option<String>,
    detection: Option<serde::de::IgnoredAny>,
    correlation: Option<serde::de::IgnoredAny>,
    filter: Option<serde::de::IgnoredAny>,
}

/// A file of several documents is wanted when one of them is: they belong together.
fn rank(bytes: &[u8], options: &ImportOptions) -> Rank {
    let Ok(text) = std::str::from_utf8(bytes) else { return Rank::NoRule };
    let mut rank = Rank::NoRule;
    for document in yaml_serde::Deserializer::from_str(text) {
        let Ok(head) = Head::deserialize(document) else { break };
        if head.filter.is_some() {
            return Rank::Filter;
        }
        if head.title.is_none() || (head.detection.is_none() && head.correlation.is_none()) {
            continue;
        }
        if rank == Rank::NoRule {
            rank = Rank::LeftOut;
        }
        if is_wanted(&head, options) {
            rank = Rank::Wanted;
        }
    }
    rank
}

fn is_wanted(head: &Head, options: &ImportOptions) -> bool {
    // A rule that does not say its level has the middle one.
    let level = head.level.as_deref().and_then(Severity::from_name).unwrap_or(Severity::Medium);
    let status = head.status.as_deref().unwrap_or_default();
    let wanted = match options.statuses.is_empty() {
        true => !matches!(status, "deprecated" | "unsupported"),
        false => options.statuses.iter().any(|wanted| wanted == status),
    };
    wanted && options.min_level.is_none_or(|least| level >= least)
}

/// The usual name of a licence, from its text.
fn license(text: &str) -> Option<&'static str> {
    // What is rare stands first: a text may name other licences in passing.
    const KNOWN: &[(&[&str], &str)] = &[
        (&["Detection Rule License", "1.1"], "DRL 1.1"),
        (&["Detection Rule License"], "DRL"),
        (&["Elastic License 2.0"], "Elastic-2.0"),
        (&["GNU AFFERO GENERAL PUBLIC LICENSE", "Version 3"], "AGPL-3.0"),
        (&["GNU GENERAL PUBLIC LICENSE", "Version 3"], "GPL-3.0"),
        (&["GNU GENERAL PUBLIC LICENSE", "Version 2"], "GPL-2.0"),
        (&["Apache License", "Version 2.0"], "Apache-2.0"),
        (&["Permission is hereby granted, free of charge"], "MIT"),
        (
            &["Redistribution and use in source and binary forms", "Neither the name"],
            "BSD-3-Clause",
        ),
        (&["Redistribution and use in source and binary forms"], "BSD-2-Clause"),
        (&["CC0 1.0 Universal"], "CC0-1.0"),
        (&["This is free and unencumbered software"], "Unlicense"),
    ];
    // Lines of a licence end where they like.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = KNOWN.iter().find(|(parts, _)| parts.iter().all(|part| text.contains(part)));
    found.map(|(_, name)| *name)
}

/// Brings the folder to the state of `files`, but for what people changed.
fn update(
    folder: &Path,
    files: &BTreeMap<String, Vec<u8>>,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    let before = read_sums(&folder.join(SUMS))?;
    let mut after = Sums::new();
    for (path, bytes) in files {
        let (wanted, known) = (sum(bytes), before.get(path));
        let there = sum_of_file(&folder.join(path))?;
        let untouched = there.as_ref() == known;
        if there.as_ref() == Some(&wanted) {
            after.insert(path.clone(), wanted);
        } else if untouched {
            let name = Path::new(path);
            let parent = name.parent().map(|p| p.to_string_lossy().into_owned());
            plain_folder(folder, &parent.unwrap_or_default())?;
            write(&folder.join(path), bytes)?;
            let list = if known.is_some() { &mut imported.changed } else { &mut imported.new };
            list.push(path.clone());
            after.insert(path.clone(), wanted);
        } else {
            imported.kept.push(path.clone());
            after.extend(known.map(|known| (path.clone(), known.clone())));
        }
    }
    for (path, known) in before.iter().filter(|(path, _)| !files.contains_key(*path)) {
        let place = folder.join(path);
        match sum_of_file(&place)? {
            None => {}
            Some(there) if there == *known => {
                let error = |error| ImportError::File { path: place.clone(), error };
                std::fs::remove_file(&place).map_err(error)?;
                remove_empty(folder, &place);
                imported.removed.push(path.clone());
            }
            Some(_) => imported.kept.push(path.clone()),
        }
    }
    // Last: when this ends early, what was written is known by its own sum.
    let text: String = after.iter().map(|(path, sum)| format!("{sum}  {path}\n")).collect();
    write(&folder.join(SUMS), text.as_bytes())
}

/// The sums of the last import; those of paths that lead elsewhere are not believed.
fn read_sums(path: &Path) -> Result<Sums, ImportError> {
    let Some(bytes) = read_file(path, SUMS_BYTES_MAX)? else { return Ok(Sums::new()) };
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    let plain = lines.filter(|(_, path)| package::is_plain(path));
    Ok(plain.map(|(sum, path)| (path.to_string(), sum.to_string())).collect())
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The sum of what is there; of a link or a folder, one that nothing has.
fn sum_of_file(path: &Path) -> Result<Option<String>, ImportError> {
    match std::fs::symlink_metadata(path) {
        Ok(about) if about.is_file() && about.len() <= package::FILE_BYTES_MAX => {
            Ok(read_file(path, package::FILE_BYTES_MAX)?.map(|bytes| sum(&bytes)))
        }
        Ok(_) => Ok(Some("-".into())),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(ImportError::File { path: path.to_path_buf(), error }),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A whole file of at most `bytes_max`; `None` where there is none.
fn read_file(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, ImportError> {
    use io::Read;
    let error = |error| ImportError::File { path: path.to_path_buf(), error };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(absent) if is_absent(&absent) => return Ok(None),
        Err(other) => return Err(error(other)),
    };
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(error)?;
    match bytes.len() as u64 > bytes_max {
        true => Err(ImportError::TooBig { what: "bytes of one file", max: bytes_max }),
        false => Ok(Some(bytes)),
    }
}

/// Makes the folders of `path` below `root` where they are missing. A link among them would lead
/// out of the import's folder.
fn plain_folder(root: &Path, path: &str) -> Result<PathBuf, ImportError> {
    let mut folder = root.to_path_buf();
    let make = |folder: &Path| {
        let error = |error| ImportError::File { path: folder.to_path_buf(), error };
        std::fs::create_dir_all(folder).map_err(error)
    };
    make(&folder)?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        folder.push(part);
        if folder.is_symlink() {
            return Err(ImportError::Link(folder));
        }
        make(&folder)?;
    }
    Ok(folder)
}

/// Writes a file as a whole or not at all. What stands there is replaced, a link too.
fn write(path: &Path, bytes: &[u8]) -> Result<(), ImportError> {
    let error = |error| ImportError::File { path: path.to_path_buf(), error };
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let new = path.with_file_name(name);
    std::fs::write(&new, bytes).map_err(error)?;
    std::fs::rename(&new, path).map_err(error)
}

/// Removes the folders that a removed file leaves empty.
fn remove_empty(root: &Path, file: &Path) {
    for folder in file.ancestors().skip(1).take_while(|folder| *folder != root) {
        // Not empty is the usual case, and no fault.
        if std::fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
