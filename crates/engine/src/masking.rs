//! Masking at the door: secrets and personal data leave a record before it is kept anywhere.
//!
//! A YAML file says what is masked; without one nothing is. Values that are hashed are hashed under
//! a key that the node makes itself and keeps beside its data.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use pugmark_event::Records;
use pugmark_parse::mask::{Counts, MaskConfig, MaskError, Masker};

/// Bytes of the key of hashes.
const KEY_BYTES: usize = 32;
/// Longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why masking cannot be set up. Nothing is taken in then: what must not be kept would be.
#[derive(Debug, thiserror::Error)]
pub enum MaskingError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is no description of masking.
    #[error("{}: {message}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A rule in it cannot be used.
    #[error(transparent)]
    Rule(#[from] MaskError),
}

/// Masks records, and counts what it masked by kind. Values are never counted or said.
pub struct Masking {
    masker: Masker,
    counts: Mutex<Counts>,
}

impl Masking {
    /// What the file says. The key stands in `key`, and is made when it is not there.
    ///
    /// # Errors
    /// See [`MaskingError`].
    pub fn open(file: &Path, key: &Path) -> Result<Self, MaskingError> {
        let config = read_config(file)?;
        let bytes =
            read_key(key).map_err(|error| MaskingError::Read { path: key.into(), error })?;
        Ok(Self { masker: Masker::new(&config, &bytes)?, counts: Mutex::default() })
    }

    /// The records without what is masked in them.
    pub fn mask(&self, records: Records) -> Records {
        let mut counts = Counts::new();
        let masked = self.masker.mask_all(&records, &mut counts);
        if !counts.is_empty() {
            let mut all = self.counts.lock();
            for (kind, count) in counts {
                *all.entry(kind).or_default() += count;
            }
        }
        masked.unwrap_or(records)
    }

    /// Values masked since the start, by kind.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().clone()
    }
}

/// What a file says of masking.
///
/// # Errors
/// When it cannot be read, or is none.
pub fn read_config(path: &Path) -> Result<MaskConfig, MaskingError> {
    let read = || {
        let mut text = String::new();
        std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error| MaskingError::Read { path: path.into(), error })?;
    yaml_serde::from_str(&text)
        .map_err(|error| MaskingError::Form { path: path.into(), message: error.to_string() })
}

/// The key; a new one when there is none yet.
fn read_key(path: &Path) -> std::io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Ok(bytes) if bytes.len() >= KEY_BYTES => Ok(bytes),
        Ok(_) => Err(std::io::Error::other("the key is cut off; restore it from a backup")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make_key(path),
        Err(error) => Err(error),
    }
}

fn make_key(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut key = vec![0; KEY_BYTES];
    rand::fill(&mut key[..]);
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(masking: &Masking, record: &str) -> String {
        let records: Records = [record.as_bytes()].into_iter().collect();
        let masked = masking.mask(records);
        String::from_utf8_lossy(masked.iter().next().unwrap()).into_owned()
    }

    #[test]
    fn a_file_says_what_is_masked_and_the_key_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (file, key) = (dir.path().join("mask.yaml"), dir.path().join("mask.key"));
        assert!(matches!(Masking::open(&file, &key), Err(MaskingError::Read { .. })));
        std::fs::write(&file, "secret: {treatment: mask}\nemail: {treatment: hash}\n").unwrap();
        let masking = Masking::open(&file, &key).unwrap();
        let first = masked(&masking, "password=hunter2hunter2 to=ann@example.org");
        assert!(!first.contains("hunter2") && !first.contains("ann@"), "{first}");
        assert_eq!(masking.counts(), BTreeMap::from([("email".into(), 1), ("secret".into(), 1)]));
        let again = Masking::open(&file, &key).unwrap();
        assert_eq!(masked(&again, "password=hunter2hunter2 to=ann@example.org"), first);
        assert_eq!(masked(&again, "nothing here"), "nothing here");
        std::fs::write(&file, "secrets: {}").unwrap();
        assert!(matches!(Masking::open(&file, &key), Err(MaskingError::Form { .. })));
        std::fs::write(&key, "short").unwrap();
        std::fs::write(&file, "secret: {treatment: mask}").unwrap();
        assert!(matches!(Masking::open(&file, &key), Err(MaskingError::Read { .. })));
    }
}
