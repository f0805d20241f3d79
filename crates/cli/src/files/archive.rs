//! Archives as folders: zip and tar, also compressed, and archives in them, one level down.
//!
//! An archive is the attacker's too. What it grows to, how many files it holds and how deep it
//! nests are bounded, and what was left out for that is a problem with a name, never silence.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use parking_lot::Mutex;
use rayon::prelude::*;
use tempfile::NamedTempFile;
use zip::read::{Config, ZipFileEntry, ZipReadOptions};
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

use super::Input;
use super::tar::{Tar, is_tar};

/// Files that are read from one archive at most, those of archives in it included.
const ENTRIES_MAX: u64 = 200_000;
/// What one archive may grow to, in bytes: so many times its own size ...
const GROWTH_MAX: u64 = 200;
/// ... but always this much ...
const BYTES_ALWAYS: u64 = 2 << 30;
/// ... and never more than this.
const BYTES_MAX: u64 = 64 << 30;
/// Archives inside of archives: one level.
const DEPTH_MAX: usize = 1;
/// Enough to tell a tar archive, also from its compressed start.
const LOOK_BYTES: usize = 4096;
/// What malware samples and evidence are usually encrypted with.
const PASSWORD: &str = "infected";

/// Reads files out of archives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unpacker {
    /// Opens encrypted entries; without it `infected` is tried.
    pub(crate) password: Option<String>,
}

/// Takes a file: its name, `archive.zip/inner/file.evtx` for one out of an archive, and its bytes.
pub(crate) type Take<'a> = &'a (dyn Fn(&str, &mut (dyn Read + Send)) + Sync);

/// Bytes as they come.
type Bytes<'a> = &'a mut (dyn Read + Send + 'a);

/// What is still allowed to come out of one archive.
struct Budget {
    entries: AtomicU64,
    bytes: AtomicU64,
    bytes_max: u64,
}

impl Budget {
    fn of(archive_bytes: u64) -> Arc<Self> {
        let bytes_max = archive_bytes.saturating_mul(GROWTH_MAX).clamp(BYTES_ALWAYS, BYTES_MAX);
        Self::with(ENTRIES_MAX, bytes_max)
    }

    fn with(entries: u64, bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            entries: AtomicU64::new(entries),
            bytes: AtomicU64::new(bytes_max),
            bytes_max,
        })
    }

    /// True when one more file may be read.
    fn take_entry(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        self.entries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// A reader that stops with an error when its archive's budget is used up.
struct Bounded<R> {
    reader: R,
    budget: Arc<Budget>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        let less = |left: u64| left.checked_sub(count as u64);
        match self.budget.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => Ok(count),
            Err(_) => Err(io::Error::other(format!(
                "the archive grew past {} bytes; if it is no bomb, unpack it and name the folder",
                self.budget.bytes_max
            ))),
        }
    }
}

/// Where in an archive we are.
#[derive(Clone)]
struct Place<'a> {
    name: String,
    /// Archives around it.
    depth: usize,
    /// `None` outside of archives.
    budget: Option<Arc<Budget>>,
    take: Take<'a>,
    problems: &'a Mutex<Vec<String>>,
}

impl Place<'_> {
    fn problem(&self, what: impl std::fmt::Display) {
        let mut problems = self.problems.lock();
        // A hostile archive must not fill the memory with complaints.
        if problems.len() < 1000 {
            problems.push(format!("{}: {what}", self.name));
        }
    }

    /// The budget of the outermost archive; `size` says how large that is, if it is here.
    fn budget(&self, size: impl FnOnce() -> u64) -> Arc<Budget> {
        self.budget.clone().unwrap_or_else(|| Budget::of(size()))
    }

    /// The place of a file in the archive that is here.
    fn inside(&self, name: &str, budget: &Arc<Budget>) -> Self {
        Self {
            name: format!("{}/{}", self.name, name.trim_start_matches('/')),
            depth: self.depth + 1,
            budget: Some(budget.clone()),
            ..self.clone()
        }
    }
}

/// What the first bytes of a file say that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Zip,
    Tar,
    TarGzip,
    TarZstd,
}

impl Kind {
    fn of(head: &[u8]) -> Kind {
        let unpacks_to_tar = |decoder: &mut dyn Read| {
            let mut start = Vec::new();
            // The head is cut off somewhere, so the decoder ends in an error; what it gave counts.
            let _ = decoder.take(512).read_to_end(&mut start);
            is_tar(&start)
        };
        match head {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Kind::Zip,
            [0x1f, 0x8b, ..] => match unpacks_to_tar(&mut MultiGzDecoder::new(head)) {
                true => Kind::TarGzip,
                false => Kind::Plain,
            },
            [0x28, 0xb5, 0x2f, 0xfd, ..] => match zstd::stream::read::Decoder::new(head) {
                Ok(mut decoder) => match unpacks_to_tar(&mut decoder) {
                    true => Kind::TarZstd,
                    false => Kind::Plain,
                },
                Err(_) => Kind::Plain,
            },
            _ if is_tar(head) => Kind::Tar,
            _ => Kind::Plain,
        }
    }
}

impl Unpacker {
    /// Gives `take` every file that `input` stands for: itself, or the files of the archive that it
    /// is. Files of a zip archive come on all cores. Returns what could not be read.
    pub(crate) fn each(&self, input: &Input, take: Take<'_>) -> Vec<String> {
        let problems = Mutex::new(Vec::new());
        let place = Place { name: input.name(), depth: 0, budget: None, take, problems: &problems };
        match input.open(&Arc::default()) {
            Ok(mut reader) => self.stream(&place, &mut reader, Some(input)),
            Err(error) => problems.lock().push(format!("{error:#}")),
        }
        problems.into_inner()
    }

    /// Tells what a stream holds, and reads it. `input` is what it came from, if from a file.
    fn stream(&self, place: &Place<'_>, reader: Bytes<'_>, input: Option<&Input>) {
        let mut head = Vec::new();
        if let Err(error) = reader.take(LOOK_BYTES as u64).read_to_end(&mut head) {
            place.problem(format_args!("reading stopped after {} bytes: {error}", head.len()));
        }
        let kind = Kind::of(&head);
        if kind != Kind::Plain && place.depth > DEPTH_MAX {
            return place.problem("an archive two archives deep is not opened; unpack one of them");
        }
        let mut whole = Cursor::new(head).chain(reader);
        match (kind, input) {
            (Kind::Plain, _) => (place.take)(&place.name, &mut whole),
            (Kind::Tar, _) => self.tar(place, &mut whole, input),
            (Kind::TarGzip, _) => self.tar(place, &mut MultiGzDecoder::new(whole), input),
            (Kind::TarZstd, _) => match zstd::stream::read::Decoder::new(whole) {
                Ok(mut decoder) => self.tar(place, &mut decoder, input),
                Err(error) => place.problem(error),
            },
            (Kind::Zip, Some(Input::File(path))) => self.zip(place, || File::open(path)),
            // A zip is read from its end, so one that streams lands in a file that has no name.
            (Kind::Zip, _) => match spool(&mut whole) {
                Ok(file) => self.zip(place, || file.reopen()),
                Err(error) => place.problem(format_args!("cannot be unpacked: {error}")),
            },
        }
    }

    fn tar(&self, place: &Place<'_>, reader: Bytes<'_>, input: Option<&Input>) {
        let budget = place.budget(|| input.map_or(0, Input::size));
        // Also what is passed over counts: a bomb need not be a file that we read.
        let mut tar = Tar::new(Bounded { reader, budget: budget.clone() });
        loop {
            match tar.next_file() {
                Ok(Some(entry)) if budget.take_entry() => {
                    self.stream(&place.inside(&entry.name, &budget), &mut tar, None);
                }
                Ok(Some(_)) => return place.problem(Overfull),
                Ok(None) => return,
                Err(error) => {
                    return place.problem(format_args!("{error}; files before that were read"));
                }
            }
        }
    }

    fn zip(&self, place: &Place<'_>, open: impl Fn() -> io::Result<File> + Sync) {
        let opened = open().and_then(|file| Ok((file.metadata()?.len(), file)));
        let archive = opened.map_err(ZipError::from).and_then(|(size, file)| {
            Ok((size, ZipIterable::try_new(io::BufReader::new(file), Config::default())?))
        });
        let (size, mut archive) = match archive {
            Ok(archive) => archive,
            Err(error) => return place.problem(explain(&error)),
        };
        let budget = place.budget(|| size);
        let entries = match archive.files() {
            Ok(entries) => entries,
            Err(error) => return place.problem(explain(&error)),
        };
        let overfull = AtomicBool::new(false);
        let entries = entries.take_while(|_| {
            let room = budget.take_entry();
            overfull.fetch_or(!room, Ordering::Relaxed);
            room
        });
        entries.par_bridge().for_each(|entry| match entry {
            Ok(entry) if entry.is_dir() => {}
            Ok(entry) => {
                let inside = place.inside(&name(&entry), &budget);
                if let Err(error) = open().map_err(ZipError::from).and_then(|file| {
                    self.zip_entry(&inside, entry, &mut io::BufReader::new(file), &budget)
                }) {
                    inside.problem(explain(&error));
                }
            }
            Err(error) => place.problem(explain(&error)),
        });
        if overfull.into_inner() {
            place.problem(Overfull);
        }
    }

    fn zip_entry(
        &self,
        place: &Place<'_>,
        entry: ZipFileEntry<'_>,
        file: &mut io::BufReader<File>,
        budget: &Arc<Budget>,
    ) -> Result<(), ZipError> {
        let password = self.password.as_deref().unwrap_or(PASSWORD).as_bytes();
        let options = ZipReadOptions::new().password(Some(password));
        let reader = entry.with_reader(file, options)?;
        self.stream(place, &mut Bounded { reader, budget: budget.clone() }, None);
        Ok(())
    }
}

/// More files than are read from one archive.
struct Overfull;

impl std::fmt::Display for Overfull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "more than {ENTRIES_MAX} files; the others were left out: unpack the archive")
    }
}

/// The name of an entry, however it is encoded.
fn name(entry: &ZipFileEntry<'_>) -> String {
    match entry.name() {
        Ok(name) => name.into_owned(),
        Err(_) => String::from_utf8_lossy(entry.name_raw()).into_owned(),
    }
}

fn explain(error: &ZipError) -> String {
    match error {
        ZipError::InvalidPassword => {
            "is encrypted with another password; give it with --password".to_string()
        }
        ZipError::Io(error) => format!("cannot be unpacked: {error}"),
        other => format!("cannot be unpacked: {other}"),
    }
}

/// Puts a stream into a file that is gone when nobody has it open any more.
fn spool(reader: Bytes<'_>) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    let bytes = io::copy(&mut reader.take(BYTES_MAX + 1), &mut file)?;
    match bytes > BYTES_MAX {
        true => Err(io::Error::other(format!("it has more than {BYTES_MAX} bytes"))),
        false => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;
    use zip::{AesMode, CompressionMethod, ZipWriter};

    use super::super::tar::tests::entry;
    use super::*;

    fn zip(files: &[(&str, &[u8])], password: Option<&str>) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            let options =
                SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
            match password {
                Some(password) => {
                    let options = options.with_aes_encryption(AesMode::Aes256, password);
                    zip.start_file(*name, options).unwrap();
                }
                None => zip.start_file(*name, options).unwrap(),
            }
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Names and texts of the files of `bytes` in a file `a`, and the problems.
    fn read(bytes: &[u8], password: Option<&str>) -> (Vec<String>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, bytes).unwrap();
        let root = format!("{}/", dir.path().display());
        let files = Mutex::new(Vec::new());
        let unpacker = Unpacker { password: password.map(str::to_string) };
        let problems = unpacker.each(&Input::File(path), &|name, reader| {
            let mut bytes = Vec::new();
            let error = reader.read_to_end(&mut bytes).err();
            let error = error.map(|error| format!(" {error}")).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(20)]).into_owned();
            files.lock().push(format!("{}={text}{error}", name.replace(&root, "")));
        });
        let mut files = files.into_inner();
        files.sort();
        (files, problems.iter().map(|p| p.replace(&root, "")).collect())
    }

    #[track_caller]
    fn check(bytes: &[u8], files: &[&str], problem: &str) {
        let (got, problems) = read(bytes, None);
        assert_eq!(got, files);
        let problems = problems.join("\n");
        assert!(problems.contains(problem), "{problems}");
        assert_eq!(problems.is_empty(), problem.is_empty(), "{problems}");
    }

    #[test]
    fn archives_are_folders() {
        let two = [("x/1.log", &b"one"[..]), ("2.log", b"two")];
        check(b"plain", &["a=plain"], "");
        check(&zip(&two, None), &["a/2.log=two", "a/x/1.log=one"], "");
        let tar = [entry("x/1.log", b'0', b"one"), entry("2.log", b'0', b"two")].concat();
        for tar in [tar.clone(), gzip(&tar), zstd::encode_all(&tar[..], 1).unwrap()] {
            check(&tar, &["a/2.log=two", "a/x/1.log=one"], "");
        }
        // A compressed file that is no archive goes on as it is.
        check(&gzip(b"text")[..2], &["a=\u{1f}\u{fffd}"], "");
    }

    #[test]
    fn one_archive_in_another_is_opened_and_no_more() {
        let inner = zip(&[("1.log", b"one")], None);
        let tar = entry("t.log", b'0', b"three");
        let middle = zip(&[("in.zip", &inner), ("in.tgz", &gzip(&tar))], None);
        check(&middle, &["a/in.tgz/t.log=three", "a/in.zip/1.log=one"], "");
        check(&entry("in.zip", b'0', &inner), &["a/in.zip/1.log=one"], "");
        check(
            &zip(&[("m.zip", &middle)], None),
            &[],
            "a/m.zip/in.zip: an archive two archives deep",
        );
    }

    #[test]
    fn encrypted_entries_need_their_password() {
        let files = [("1.log", &b"one"[..])];
        check(&zip(&files, Some("infected")), &["a/1.log=one"], "");
        check(&zip(&files, Some("other")), &[], "a/1.log: is encrypted with another password");
        let (read, problems) = read(&zip(&files, Some("other")), Some("other"));
        assert_eq!((read.len(), problems.len()), (1, 0));
    }

    #[test]
    fn damage_costs_only_what_it_hits() {
        let whole = zip(&[("1.log", b"one"), ("2.log", b"two")], None);
        check(&whole[..whole.len() - 30], &[], "cannot be unpacked");
        let at = whole.windows(3).position(|w| w == b"two").unwrap();
        let mut damaged = whole.clone();
        damaged[at] = b'X';
        let (files, problems) = read(&damaged, None);
        assert!(files.contains(&"a/1.log=one".to_string()), "{files:?}");
        assert!(!problems.is_empty() || files.iter().any(|f| f.contains("hecksum")), "{files:?}");
    }

    #[test]
    fn bombs_end_at_the_budget() {
        let budget = Budget::with(2, 10);
        assert!(budget.take_entry() && budget.take_entry() && !budget.take_entry());
        let mut read = Vec::new();
        let mut reader = Bounded { reader: &[0u8; 100][..], budget };
        let error = reader.read_to_end(&mut read).unwrap_err();
        assert!(error.to_string().contains("grew past 10 bytes"), "{error}");
        let sizes = [(0, BYTES_ALWAYS), (1 << 28, (1 << 28) * GROWTH_MAX), (1 << 40, BYTES_MAX)];
        for (size, expected) in sizes {
            assert_eq!(Budget::of(size).bytes_max, expected);
        }
    }
}
