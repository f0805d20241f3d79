//! Logs of a company that does not exist: a day of six kinds of source, from a seed.
//!
//! What decides compression, index size and rule cost is how values repeat, so that is what is
//! modelled: users, hosts, addresses, paths and names follow Zipf's law over populations of a
//! company of two thousand; ids are random; sizes have long tails.

mod app;
mod dns;
mod firewall;
mod nginx;
mod sshd;
mod windows;
mod world;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::random::Random;
use crate::time::Parts;
pub(crate) use world::World;

/// One source of the corpus.
struct Kind {
    /// The source's name, and its file's.
    name: &'static str,
    extension: &'static str,
    /// How many of a hundred records are of this kind.
    percent: u32,
    /// Appends one record, without a line end.
    write: fn(&mut World, &Parts, &mut String),
}

const KINDS: [Kind; 6] = [
    Kind { name: "nginx", extension: "log", percent: 30, write: nginx::write },
    Kind { name: "app", extension: "ndjson", percent: 24, write: app::write },
    Kind { name: "firewall", extension: "log", percent: 20, write: firewall::write },
    Kind { name: "dns", extension: "log", percent: 12, write: dns::write },
    Kind { name: "windows", extension: "ndjson", percent: 9, write: windows::write },
    Kind { name: "sshd", extension: "log", percent: 5, write: sshd::write },
];

/// 2026-11-01T00:00:00Z: not today, so that the same seed is the same bytes for ever.
const START_US: i64 = 1_793_491_200_000_000;
const DAY_US: f64 = 86_400e6;

/// The mean size of a record with its line end, so that `mb` megabytes fill about a day.
const RECORD_BYTES_MEAN: f64 = 267.0;

/// Raise this when the bytes for a seed change, so that an old folder is not taken for a new one.
const VERSION: u64 = 1;

/// A corpus on disk.
pub(crate) struct Corpus {
    pub(crate) folder: PathBuf,
    pub(crate) parts: Vec<Part>,
    /// A trace id that stands in exactly one record of `app`.
    pub(crate) needle: String,
}

/// One kind's file.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Corpus {
    pub(crate) fn records(&self) -> u64 {
        self.parts.iter().map(|part| part.records).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    pub(crate) fn part(&self, name: &str) -> Result<&Part> {
        let found = self.parts.iter().find(|part| part.name == name);
        found.with_context(|| format!("the corpus has no {name}"))
    }
}

/// The corpus of a seed and a size under `folder`: found there, or written.
pub(crate) fn ensure(folder: &Path, seed: u64, mb: u64) -> Result<Corpus> {
    let folder = folder.join(format!("corpus-v{VERSION}-{seed}-{mb}"));
    match load(&folder) {
        Some(corpus) => Ok(corpus),
        None => write(&folder, seed, mb),
    }
}

/// Writes about `mb` million bytes: a file per kind, mixed.log, and corpus.json about them.
pub(crate) fn write(folder: &Path, seed: u64, mb: u64) -> Result<Corpus> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut parts: Vec<Part> = KINDS.iter().map(|kind| part_of(kind, folder)).collect();
    let mut files = Vec::new();
    for part in &parts {
        files.push(BufWriter::new(File::create(&part.file)?));
    }
    let mut mixed = BufWriter::new(File::create(folder.join("mixed.log"))?);

    let bytes_max = mb * 1_000_000;
    let step_us = DAY_US / (bytes_max as f64 / RECORD_BYTES_MEAN);
    let weights: Vec<(u32, usize)> = KINDS.iter().map(|kind| kind.percent).zip(0..).collect();
    let mut world = World::new(Random::new(seed));
    let (mut now_us, mut bytes) = (START_US as f64, 0);
    let mut line = String::new();
    while bytes < bytes_max {
        // Exponential gaps: arrivals that know nothing of each other.
        now_us -= (1.0 - world.random.unit()).ln() * step_us;
        let index = world.random.weighted(&weights);
        if bytes > bytes_max / 2 {
            world.hide_needle();
        }
        line.clear();
        (KINDS[index].write)(&mut world, &Parts::of(now_us as i64), &mut line);
        line.push('\n');
        files[index].write_all(line.as_bytes())?;
        mixed.write_all(line.as_bytes())?;
        bytes += line.len() as u64;
        parts[index].records += 1;
        parts[index].bytes += line.len() as u64;
    }
    mixed.flush()?;
    for mut file in files {
        file.flush()?;
    }
    let corpus = Corpus { folder: folder.to_path_buf(), parts, needle: world.needle };
    save(&corpus, seed, mb)?;
    Ok(corpus)
}

fn part_of(kind: &Kind, folder: &Path) -> Part {
    let file = folder.join(format!("{}.{}", kind.name, kind.extension));
    Part { name: kind.name.to_string(), file, records: 0, bytes: 0 }
}

/// Written last: a folder without it is not complete.
fn save(corpus: &Corpus, seed: u64, mb: u64) -> Result<()> {
    let parts: Vec<Value> = corpus
        .parts
        .iter()
        .map(|part| {
            let file = part.file.file_name().unwrap_or_default().to_string_lossy();
            json!({"name": part.name, "file": file, "records": part.records, "bytes": part.bytes})
        })
        .collect();
    let about = json!({
        "version": VERSION, "seed": seed, "mb": mb, "needle": corpus.needle, "parts": parts,
    });
    fs::write(corpus.folder.join("corpus.json"), format!("{about:#}\n"))?;
    Ok(())
}

fn load(folder: &Path) -> Option<Corpus> {
    let text = fs::read_to_string(folder.join("corpus.json")).ok()?;
    let about: Value = serde_json::from_str(&text).ok()?;
    let parts = about["parts"].as_array()?.iter().map(|part| {
        let file = folder.join(part["file"].as_str()?);
        let bytes = part["bytes"].as_u64()?;
        let name = part["name"].as_str()?.to_string();
        (file.metadata().ok()?.len() == bytes).then_some(())?;
        Some(Part { name, file, records: part["records"].as_u64()?, bytes })
    });
    let parts = parts.collect::<Option<Vec<_>>>()?;
    Some(Corpus { folder: folder.to_path_buf(), parts, needle: about["needle"].as_str()?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of mixed.log for a seed.
    fn mixed(name: &str, seed: u64) -> String {
        let folder = std::env::temp_dir().join(format!("pugmark-{name}-{}", std::process::id()));
        let corpus = write(&folder, seed, 1).expect("the folder is ours");
        let text = fs::read_to_string(folder.join("mixed.log")).expect("it is UTF-8");
        assert_eq!(text.lines().count() as u64, corpus.records());
        assert_eq!(text.len() as u64, corpus.bytes());
        assert_eq!(text.matches(&corpus.needle).count(), 1);
        assert!(load(&folder).is_some());
        let _ = fs::remove_dir_all(&folder);
        text
    }

    #[test]
    fn a_seed_is_a_corpus() {
        let text = mixed("a", 1);
        assert_eq!(text, mixed("b", 1));
        assert_ne!(text, mixed("c", 2));
    }

    #[test]
    fn json_is_json_and_a_day_is_full() {
        let text = mixed("d", 3);
        for line in text.lines().filter(|line| line.starts_with('{')) {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
        let mean = text.len() as f64 / text.lines().count() as f64;
        assert!((mean - RECORD_BYTES_MEAN).abs() < 12.0, "a record has {mean} bytes");
    }
}
