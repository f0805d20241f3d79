//! Parser packs: those in the binary, and those of the user's own in a folder,
//! `<vendor>/<product>/parser.yaml`.
//!
//! Own packs are asked first, and one stands in for that of the same name in the binary. A pack
//! that cannot be used is left out with its reason, and the others read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pugmark_parse::{PackError, PackSource, Parser};

use crate::rules;

/// The file that a pack is.
const FILE: &str = "parser.yaml";

/// The parser that is in force, and what it is made of.
#[derive(Debug)]
pub struct ParserBook {
    /// Reads records.
    pub parser: Arc<Parser>,
    /// Own packs that are in force.
    pub own: Vec<PackSource>,
    /// Own packs that are left out.
    pub problems: Vec<PackError>,
}

/// Why an own pack is not kept.
#[derive(Debug, thiserror::Error)]
pub enum ParserWriteError {
    /// The name could leave the folder or be none.
    #[error(
        "{0:?} is no name for a pack: write vendor/product, each 1 to 64 small letters, digits, \
         dashes or underscores"
    )]
    Name(String),
    /// The text is no pack.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The disk refused.
    #[error("cannot write {}: {error}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

impl ParserBook {
    /// The packs in the binary and those in `dir`, which need not be there.
    ///
    /// # Errors
    /// When a pack in the binary is broken, which a test rules out.
    pub fn load(dir: Option<&Path>) -> Result<Self, PackError> {
        let (mut own, mut problems) = dir.map(own_packs).unwrap_or_default();
        let (parser, broken) = Parser::with_own(&own)?;
        own.retain(|pack| !broken.iter().any(|problem| problem.path == pack.path));
        problems.extend(broken);
        Ok(Self { parser: Arc::new(parser), own, problems })
    }

    /// This parser alone, without packs of the user's own.
    pub fn of(parser: Parser) -> Self {
        Self { parser: Arc::new(parser), own: Vec::new(), problems: Vec::new() }
    }

    /// Says what was left out.
    pub fn report(&self) {
        for problem in &self.problems {
            tracing::warn!(path = problem.path, "parser pack left out: {}", problem.message);
        }
    }
}

/// The texts of the packs in a folder, and the files that cannot be read.
pub fn own_packs(dir: &Path) -> (Vec<PackSource>, Vec<PackError>) {
    let (mut own, mut problems) = (Vec::new(), Vec::new());
    for path in files(dir) {
        let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
        match rules::read_text(&path) {
            Ok(text) => own.push(PackSource { path: name, text }),
            Err(message) => problems.push(PackError { path: name, message }),
        }
    }
    (own, problems)
}

/// Keeps an own pack as a file; the one of that name before goes.
///
/// # Errors
/// See [`ParserWriteError`].
pub fn put(dir: &Path, name: &str, text: &str) -> Result<(), ParserWriteError> {
    let path = path_of(dir, name)?;
    Parser::new(&[PackSource { path: format!("{name}/{FILE}"), text: text.to_string() }])?;
    let write = || {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        let aside = path.with_extension("new");
        std::fs::write(&aside, text)?;
        std::fs::rename(&aside, &path)
    };
    write().map_err(|error| ParserWriteError::Disk { path: path.clone(), error })
}

/// Forgets an own pack and its file; false when there is none of that name.
///
/// # Errors
/// See [`ParserWriteError`].
pub fn remove(dir: &Path, name: &str) -> Result<bool, ParserWriteError> {
    let path = path_of(dir, name)?;
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(ParserWriteError::Disk { path, error }),
    }
}

/// The files of own packs, by name.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let is_pack = |path: &PathBuf| path.file_name().is_some_and(|name| name == FILE);
    rules::files(dir).unwrap_or_default().into_iter().filter(is_pack).collect()
}

/// Checks that a pack may be called so.
///
/// # Errors
/// [`ParserWriteError::Name`].
pub fn check_name(name: &str) -> Result<(), ParserWriteError> {
    path_of(Path::new(""), name).map(drop)
}

fn path_of(dir: &Path, name: &str) -> Result<PathBuf, ParserWriteError> {
    let is_word = |word: &str| {
        (1..=64).contains(&word.len())
            && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    match name.split_once('/') {
        Some((vendor, product)) if is_word(vendor) && is_word(product) => {
            Ok(dir.join(vendor).join(product).join(FILE))
        }
        _ => Err(ParserWriteError::Name(name.chars().take(130).collect())),
    }
}

#[cfg(test)]
mod tests {
    use pugmark_event::{Records, fields};
    use pugmark_parse::Input;

    use super::*;

    const PACK: &str = "applies: [{format: plain, pattern: true}]\nvalues: {event.category: web}\n\
                        patterns: [{pattern: 'bought (?<item>\\S+)'}]\n";

    fn module(book: &ParserBook, record: &str) -> Option<String> {
        let records: Records = [record.as_bytes()].into_iter().collect();
        let (source, format) = ("test", None);
        let input = Input { source, records: &records, first_id: 1, received: 0, format };
        let batch = book.parser.parse(&input);
        batch.text(fields::EVENT_MODULE).map(|column| column.value(0).to_string())
    }

    #[test]
    fn own_packs_are_asked_first_and_broken_ones_named() {
        let dir = tempfile::tempdir().unwrap();
        let load = || ParserBook::load(Some(dir.path())).unwrap();
        let sshd = "Accepted password for ann from 192.0.2.1 port 22 ssh2";
        assert_eq!(module(&load(), "bought tea"), None);
        put(dir.path(), "shop/till", PACK).unwrap();
        put(dir.path(), "openssh/sshd", &PACK.replace("bought", "Accepted")).unwrap();
        let book = load();
        assert_eq!(module(&book, "bought tea").as_deref(), Some("shop/till"));
        assert_eq!(module(&book, sshd).as_deref(), Some("openssh/sshd"));
        assert_eq!((book.own.len(), book.problems.len()), (2, 0));
        let broken = dir.path().join("shop/broken");
        std::fs::create_dir(&broken).unwrap();
        std::fs::write(broken.join(FILE), "patterns: [").unwrap();
        let book = load();
        assert_eq!((book.own.len(), book.problems.len()), (2, 1));
        assert_eq!(book.problems[0].path, "shop/broken/parser.yaml");
        assert!(remove(dir.path(), "shop/till").unwrap());
        assert!(!remove(dir.path(), "shop/till").unwrap());
        assert_eq!(module(&load(), "bought tea"), None);
    }

    #[test]
    fn names_stay_in_the_folder_and_texts_are_packs() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("till", PACK),
            ("../till", PACK),
            ("a/b/c", PACK),
            ("A/b", PACK),
            ("a/", PACK),
            ("a/b", "nonsense"),
            ("a/b", "applies: [{format: plain}]\npatterns: [{pattern: '('}]"),
        ] {
            assert!(put(dir.path(), name, text).is_err(), "{name} {text}");
        }
        assert!(files(dir.path()).is_empty());
    }
}
