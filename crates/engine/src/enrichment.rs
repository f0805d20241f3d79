//! What is known about the values of events, kept current: the user's files, and who had an
//! address.
//!
//! One folder holds them. Whatever stands in it is taken up while the node runs:
//!
//! - `lookups/*.csv`: tables. The first column of the header names the fields whose values are its
//!   keys (`host.name`, `source.ip|destination.ip`); see [`pugmark_enrich::lookup`] for the rest.
//! - `ranges/*.txt`, `ranges/*.json`: addresses and ranges under the label that the file is named
//!   after: `ranges/tor.txt`.
//! - `maxmind/*.mmdb`: databases of MaxMind; they go before the built-in table.
//!
//! A file that cannot be used is left out with its reason, and the others are in force.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
pub use pugmark_enrich::Config;
use pugmark_enrich::geo::{GeoError, Place};
use pugmark_enrich::ranges::List;
use pugmark_enrich::{Attached, Bindings, Enricher, Lookup, MaxMind, Ranges};
use pugmark_event::Batch;
use pugmark_event::fields::{self, FieldId, Kind};

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Files of one kind, at most.
const FILES_MAX: usize = 256;
/// Between the fields of a key.
const OR: char = '|';

/// Where tables, ranges and databases stand below the folder.
const LOOKUPS: &str = "lookups";
const RANGES: &str = "ranges";
const MAXMIND: &str = "maxmind";

/// A file that is left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong and what to do.
    pub message: String,
}

/// A table that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupState {
    /// The name of its file, without the ending.
    pub name: String,
    /// ECS names of the fields whose values are its keys.
    pub fields: Vec<String>,
    /// The names of its values.
    pub columns: Vec<String>,
    /// Different keys.
    pub keys: usize,
}

/// What a name or a text of a table can lack.
#[derive(Debug, thiserror::Error)]
pub enum LookupWriteError {
    /// The name could leave the folder or be none.
    #[error("{0:?} is no name for a table: use 1 to 64 letters, digits, dashes or underscores")]
    Name(String),
    /// The text is no table.
    #[error("{0}")]
    Table(String),
    /// The disk refused.
    #[error("cannot write {}: {error}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Adds to events what is known about their values. Shared by all that make events.
pub struct Enrichment {
    dir: PathBuf,
    enricher: RwLock<Enricher>,
    lookups: Mutex<Vec<(LookupState, Arc<Lookup>)>>,
    problems: Mutex<Vec<FileProblem>>,
    bindings_max: usize,
}

/// What stands in the folder.
#[derive(Default)]
struct Files {
    tables: Vec<Attached>,
    states: Vec<LookupState>,
    ranges: Vec<List>,
    databases: Vec<MaxMind>,
    problems: Vec<FileProblem>,
}

impl Enrichment {
    /// With the built-in table and what stands in `dir`, which need not be there.
    ///
    /// # Errors
    /// When the built-in table is damaged.
    pub fn open(dir: &Path, config: Config) -> Result<Self, GeoError> {
        let bindings_max = config.bindings_max;
        let enrichment = Self {
            dir: dir.to_path_buf(),
            enricher: RwLock::new(Enricher::new(config)?),
            lookups: Mutex::default(),
            problems: Mutex::default(),
            bindings_max,
        };
        enrichment.reload();
        Ok(enrichment)
    }

    /// Adds what is known to the events of a batch.
    pub fn enrich(&self, batch: Batch) -> Batch {
        match self.enricher.read().enrich(&batch) {
            Ok(enriched) => enriched.batch,
            Err(error) => {
                tracing::error!(%error, "BUG: events stay as they are, without what is known");
                batch
            }
        }
    }

    /// Learns from events of the stream who has which address.
    pub fn learn(&self, batch: &Batch) {
        // Most batches teach nothing, and whoever enriches must not wait for them.
        if batch.text(fields::EVENT_ACTION).is_some() {
            self.enricher.write().learn(batch);
        }
    }

    /// Reads the folder again. What is wrong in it is said once, and kept for whoever asks.
    pub fn reload(&self) {
        let files = Files::read(&self.dir);
        for problem in &files.problems {
            tracing::warn!(path = %problem.path.display(), "left out: {}", problem.message);
        }
        let tables = files.tables.iter().map(|table| table.lookup.clone());
        let lookups = files.states.into_iter().zip(tables).collect();
        let mut enricher = self.enricher.write();
        enricher.set_tables(files.tables);
        enricher.set_ranges(Ranges::new(&files.ranges));
        enricher.set_maxmind(files.databases);
        *self.lookups.lock() = lookups;
        *self.problems.lock() = files.problems;
    }

    /// A number that is another one when a file has changed, come or gone.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        for kind in [LOOKUPS, RANGES, MAXMIND] {
            for file in files(&self.dir.join(kind)) {
                file.hash(&mut hash);
                if let Ok(metadata) = std::fs::metadata(&file) {
                    (metadata.len(), metadata.modified().ok()).hash(&mut hash);
                }
            }
        }
        hash.finish()
    }

    /// The tables in force.
    pub fn lookups(&self) -> Vec<LookupState> {
        self.lookups.lock().iter().map(|(state, _)| state.clone()).collect()
    }

    /// The user's table of this name.
    pub fn table(&self, name: &str) -> Option<Arc<Lookup>> {
        let lookups = self.lookups.lock();
        lookups.iter().find(|(state, _)| state.name == name).map(|(_, table)| table.clone())
    }

    /// What `take` takes of what is known about an address; nothing when a database is broken.
    pub fn place<T>(
        &self,
        address: IpAddr,
        take: impl FnOnce(Place<'_>) -> Option<T>,
    ) -> Option<T> {
        self.enricher.read().place(address).ok().and_then(take)
    }

    /// The label of the list of ranges that an address is in.
    pub fn label(&self, address: IpAddr) -> Option<String> {
        self.enricher.read().label(address).map(str::to_string)
    }

    /// The files that are left out.
    pub fn problems(&self) -> Vec<FileProblem> {
        self.problems.lock().clone()
    }

    /// Whom to name for the built-in table of countries and networks; empty when there is none.
    pub fn attribution(&self) -> String {
        self.enricher.read().table().attribution().to_string()
    }

    /// Keeps a table as a file of the folder and takes it up; the one of that name before goes.
    ///
    /// # Errors
    /// See [`LookupWriteError`].
    pub fn put_lookup(&self, name: &str, csv: &[u8]) -> Result<(), LookupWriteError> {
        let path = self.lookup_path(name)?;
        attached(csv).map_err(LookupWriteError::Table)?;
        let write = || {
            std::fs::create_dir_all(self.dir.join(LOOKUPS))?;
            let aside = path.with_extension("new");
            std::fs::write(&aside, csv)?;
            std::fs::rename(&aside, &path)
        };
        write().map_err(|error| LookupWriteError::Disk { path: path.clone(), error })?;
        self.reload();
        Ok(())
    }

    /// Forgets a table and its file; false when there is none of that name.
    ///
    /// # Errors
    /// See [`LookupWriteError`].
    pub fn delete_lookup(&self, name: &str) -> Result<bool, LookupWriteError> {
        let path = self.lookup_path(name)?;
        match std::fs::remove_file(&path) {
            Ok(()) => self.reload(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(LookupWriteError::Disk { path, error }),
        }
        Ok(true)
    }

    fn lookup_path(&self, name: &str) -> Result<PathBuf, LookupWriteError> {
        let is_safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        match (1..=64).contains(&name.len()) && name.bytes().all(is_safe) {
            true => Ok(self.dir.join(LOOKUPS).join(format!("{name}.csv"))),
            false => Err(LookupWriteError::Name(name.chars().take(80).collect())),
        }
    }

    /// Who had an address when, as bytes to be kept over a restart; `None` when nobody did.
    pub(crate) fn save(&self) -> Option<Vec<u8>> {
        let enricher = self.enricher.read();
        let known = Some(enricher.bindings()).filter(|bindings| !bindings.is_empty())?;
        let saved = known.save();
        saved.inspect_err(|error| tracing::error!(%error, "BUG: leases cannot be kept")).ok()
    }

    /// Takes up what [`Enrichment::save`] gave.
    pub(crate) fn restore(&self, bytes: &[u8]) {
        match Bindings::load(bytes, self.bindings_max) {
            Ok(bindings) => *self.enricher.write().bindings_mut() = bindings,
            Err(error) => {
                tracing::warn!(%error, "who had which address is learnt anew");
            }
        }
    }
}

impl Files {
    fn read(dir: &Path) -> Self {
        let mut found = Files::default();
        for path in files(&dir.join(LOOKUPS)) {
            let read = content(&path).and_then(|bytes| attached(&bytes));
            if let Some((table, state)) = found.keep(&path, read) {
                found.states.push(LookupState { name: stem(&path), ..state });
                found.tables.push(table);
            }
        }
        for path in files(&dir.join(RANGES)) {
            let list = content(&path)
                .and_then(|bytes| List::read(&stem(&path), &bytes).map_err(|e| e.to_string()));
            if let Some(list) = found.keep(&path, list) {
                found.ranges.push(list);
            }
        }
        for path in files(&dir.join(MAXMIND)) {
            let database = content(&path)
                .and_then(|bytes| MaxMind::new(bytes).map_err(|error| error.to_string()));
            if let Some(database) = found.keep(&path, database) {
                found.databases.push(database);
            }
        }
        found
    }

    fn keep<T>(&mut self, path: &Path, read: Result<T, String>) -> Option<T> {
        read.map_err(|message| {
            self.problems.push(FileProblem { path: path.to_path_buf(), message });
        })
        .ok()
    }
}

/// The files of a folder by name; none when it is not there.
fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let is_ours = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        path.is_file() && matches!(ending, Some("csv" | "txt" | "json" | "mmdb"))
    };
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_ours).collect();
    files.sort();
    files.truncate(FILES_MAX);
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn content(path: &Path) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(format!("the file has more than {FILE_BYTES_MAX} bytes; split it")),
        false => Ok(bytes),
    }
}

/// A table and the fields that its first column names.
fn attached(csv: &[u8]) -> Result<(Attached, LookupState), String> {
    let lookup = Lookup::read(csv).map_err(|error| error.to_string())?;
    let csv = csv.strip_prefix(b"\xef\xbb\xbf").unwrap_or(csv);
    let header = csv.split(|byte| matches!(byte, b',' | b'\r' | b'\n')).next().unwrap_or_default();
    let header = String::from_utf8_lossy(header);
    let names: Vec<&str> = header.trim_matches(['"', ' ']).split(OR).map(str::trim).collect();
    let fields = names.iter().map(|name| key_field(name)).collect::<Result<Vec<_>, _>>()?;
    let state = LookupState {
        name: String::new(),
        fields: names.iter().map(ToString::to_string).collect(),
        columns: lookup.columns().to_vec(),
        keys: lookup.len(),
    };
    Ok((Attached { lookup: Arc::new(lookup), fields }, state))
}

fn key_field(name: &str) -> Result<FieldId, String> {
    let is_key = |id: &FieldId| matches!(id.field().kind, Kind::Text | Kind::Ip);
    fields::by_ecs_name(name).filter(is_key).ok_or_else(|| {
        format!(
            "line 1: the first column is called {name:?}; name the fields whose values are its \
             keys, such as host.name or source.ip|destination.ip"
        )
    })
}

#[cfg(test)]
mod tests {
    use pugmark_event::json::RowWriter;
    use pugmark_event::{BatchBuilder, Value};

    use super::*;

    fn event(pairs: &[(&str, &str)]) -> Batch {
        let mut builder = BatchBuilder::new("test", 1_795_428_000_000_000);
        builder.begin(1, b"raw");
        pairs.iter().for_each(|(name, value)| builder.named(name, Value::Text(value)));
        builder.end(None);
        builder.finish().unwrap()
    }

    fn shown(batch: &Batch) -> String {
        let mut json = Vec::new();
        RowWriter::new(batch.columns()).write(0, &mut json);
        String::from_utf8(json).unwrap()
    }

    fn open(dir: &Path) -> Enrichment {
        // The table of the build takes a while to read.
        Enrichment::open(dir, Config { geo: false, ..Config::default() }).unwrap()
    }

    #[test]
    fn files_are_taken_up_and_broken_ones_named() {
        let dir = tempfile::tempdir().unwrap();
        let known = open(dir.path());
        let web = event(&[("host.name", "web1"), ("source.ip", "192.0.2.7")]);
        assert!(!shown(&known.enrich(web.clone())).contains("anna"));
        let before = known.fingerprint();
        known.put_lookup("hosts", b"host.name|destination.domain,owner\nweb1,anna\n").unwrap();
        assert_ne!(known.fingerprint(), before);
        std::fs::create_dir(dir.path().join(RANGES)).unwrap();
        std::fs::write(dir.path().join("ranges/tor.txt"), "192.0.2.7\n").unwrap();
        std::fs::write(dir.path().join("ranges/bad.txt"), "nonsense\n").unwrap();
        std::fs::write(dir.path().join("lookups/odd.csv"), "name,owner\nx,y\n").unwrap();
        known.reload();
        let text = shown(&known.enrich(web.clone()));
        assert!(text.contains(r#""host.owner":"anna""#), "{text}");
        assert!(text.contains(r#""source.network.name":"tor""#), "{text}");
        let (mut states, problems) = (known.lookups(), known.problems());
        let state = states.remove(0);
        assert_eq!((state.name.as_str(), state.keys), ("hosts", 1));
        assert_eq!(state.fields, ["host.name", "destination.domain"]);
        let wrong: Vec<String> = problems.iter().map(|problem| stem(&problem.path)).collect();
        assert_eq!(wrong, ["odd", "bad"]);
        assert!(problems[0].message.contains("host.name or"), "{}", problems[0].message);
        assert!(known.delete_lookup("hosts").unwrap());
        assert!(!known.delete_lookup("hosts").unwrap());
        assert!(!shown(&known.enrich(web)).contains("anna"));
    }

    #[test]
    fn names_stay_in_the_folder_and_texts_are_tables() {
        let dir = tempfile::tempdir().unwrap();
        let known = open(dir.path());
        for (name, csv) in [
            ("../x", "host.name,a\nb,c\n"),
            ("", "host.name,a\nb,c\n"),
            ("x", "host,a\nb,c\n"),
            ("x", "host.name\nb\n"),
            ("x", "event.severity,a\n1,c\n"),
        ] {
            assert!(known.put_lookup(name, csv.as_bytes()).is_err(), "{name} {csv}");
        }
        assert!(known.lookups().is_empty());
    }

    #[test]
    fn who_had_an_address_outlives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let known = open(dir.path());
        assert_eq!(known.save(), None);
        let lease = [("event.action", "dhcp_ack"), ("source.ip", "10.0.0.7")];
        known.learn(&event(&[&lease[..], &[("source.domain", "pc1")]].concat()));
        let saved = known.save().unwrap();
        let again = open(dir.path());
        again.restore(&saved);
        let seen = event(&[("destination.ip", "10.0.0.7")]);
        assert!(shown(&again.enrich(seen)).contains(r#""destination.host.name":"pc1""#));
        again.restore(b"nonsense");
    }
}
