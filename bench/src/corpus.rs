//! Logs of a company that does not exist, from a seed; and real logs that others published.
//!
//! What decides compression, index size and rule cost is how values repeat, so that is what is
//! modelled: users, hosts, addresses, paths and names follow Zipf's law over populations of a
//! company of two thousand; ids are random; sizes have long tails. A corpus is written once into
//! a folder of its own and read from there piece by piece: it may be larger than memory.

mod app;
mod dns;
mod firewall;
mod ndjson;
mod nginx;
pub(crate) mod shared;
mod sshd;
mod windows;
mod world;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::random::Random;
use crate::time::Parts;
pub(crate) use world::World;

/// One source of a corpus.
struct Kind {
    /// The source's name, and its file's.
    name: &'static str,
    extension: &'static str,
    /// How many of a hundred records are of this kind.
    percent: u32,
    /// Appends one record, without a line end.
    write: fn(&mut World, &Parts, &mut String),
}

/// A corpus that a seed makes.
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    kinds: &'static [Kind],
    /// The mean size of a record with its line end, so that any size fills about a day.
    record_bytes_mean: f64,
}

/// Every corpus that a seed makes.
pub(crate) const RECIPES: [Recipe; 2] = [
    Recipe {
        name: "mixed",
        kinds: &[
            Kind { name: "nginx", extension: "log", percent: 30, write: nginx::write },
            Kind { name: "app", extension: "ndjson", percent: 24, write: app::write },
            Kind { name: "firewall", extension: "log", percent: 20, write: firewall::write },
            Kind { name: "dns", extension: "log", percent: 12, write: dns::write },
            Kind { name: "windows", extension: "ndjson", percent: 9, write: windows::write },
            Kind { name: "sshd", extension: "log", percent: 5, write: sshd::write },
        ],
        record_bytes_mean: 267.0,
    },
    Recipe {
        name: "ndjson",
        kinds: &[
            Kind { name: "nginx", extension: "ndjson", percent: 22, write: ndjson::nginx },
            Kind { name: "app", extension: "ndjson", percent: 33, write: ndjson::app },
            Kind { name: "firewall", extension: "ndjson", percent: 20, write: ndjson::firewall },
            Kind { name: "dns", extension: "ndjson", percent: 15, write: ndjson::dns },
            Kind { name: "sshd", extension: "ndjson", percent: 10, write: ndjson::sshd },
        ],
        record_bytes_mean: 291.0,
    },
];

/// 2026-11-01T00:00:00Z: not today, so that the same seed is the same bytes for ever.
const START_US: i64 = 1_793_491_200_000_000;
const DAY_US: f64 = 86_400e6;

/// Words that are hidden, and in how many records each: several, so that no answer is a memory
/// of the one before.
const NEEDLES: usize = 5;
pub(crate) const NEEDLE_COPIES: usize = 7;

/// Raise this when the bytes for a seed change, so that an old folder is not taken for a new one.
const VERSION: u64 = 2;

/// A corpus on disk.
pub(crate) struct Corpus {
    /// `mixed`, `ndjson` or `shared`.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) parts: Vec<Part>,
    /// Words that stand in exactly [`NEEDLE_COPIES`] records each; none in real logs.
    pub(crate) needles: Vec<String>,
    /// An address that few records have as `source.ip`.
    pub(crate) rare_address: Option<String>,
}

/// One source's file.
#[derive(Clone)]
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

    pub(crate) fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    fn new(name: &str, folder: &Path, parts: Vec<Part>) -> Self {
        let (name, folder) = (name.to_string(), folder.to_path_buf());
        Self { name, folder, parts, needles: Vec::new(), rare_address: None }
    }
}

/// The recipe of a name.
pub(crate) fn recipe(name: &str) -> Result<&'static Recipe> {
    let known = RECIPES.iter().map(|recipe| recipe.name).collect::<Vec<_>>().join(", ");
    let found = RECIPES.iter().find(|recipe| recipe.name == name);
    found.with_context(|| format!("there is no corpus {name}: a seed makes {known}"))
}

/// The corpus of a recipe, a seed and a size under `folder`: found there, or written.
pub(crate) fn ensure(folder: &Path, recipe: &Recipe, seed: u64, mb: u64) -> Result<Corpus> {
    let folder = folder.join(format!("corpus-v{VERSION}-{}-{seed}-{mb}", recipe.name));
    match load(&folder) {
        Some(corpus) => Ok(corpus),
        None => write(&folder, recipe, seed, mb),
    }
}

/// Writes about `mb` million bytes: a file per kind, all.log, and corpus.json about them.
pub(crate) fn write(folder: &Path, recipe: &Recipe, seed: u64, mb: u64) -> Result<Corpus> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut parts: Vec<Part> = recipe.kinds.iter().map(|kind| part_of(kind, folder)).collect();
    let mut files = Vec::new();
    for part in &parts {
        files.push(BufWriter::new(File::create(&part.file)?));
    }
    let mut all = BufWriter::new(File::create(folder.join("all.log"))?);

    let bytes_max = mb * 1_000_000;
    let step_us = DAY_US / (bytes_max as f64 / recipe.record_bytes_mean);
    let weights: Vec<_> = recipe.kinds.iter().map(|kind| kind.percent).zip(0..).collect();
    let mut world = World::new(Random::new(seed));
    let needles: Vec<String> =
        (0..NEEDLES).map(|_| format!("k{:012x}", world.random.next() >> 16)).collect();
    let (mut now_us, mut bytes, mut hidden) = (START_US as f64, 0, 0);
    let mut line = String::new();
    while bytes < bytes_max {
        // Exponential gaps: arrivals that know nothing of each other.
        now_us -= (1.0 - world.random.unit()).ln() * step_us;
        let index = world.random.weighted(&weights);
        if bytes / (hidden + 1) > bytes_max / (NEEDLES * NEEDLE_COPIES + 1) as u64
            && hidden < (NEEDLES * NEEDLE_COPIES) as u64
        {
            world.hide(&needles[hidden as usize % NEEDLES]);
            hidden += 1;
        }
        line.clear();
        (recipe.kinds[index].write)(&mut world, &Parts::of(now_us as i64), &mut line);
        line.push('\n');
        files[index].write_all(line.as_bytes())?;
        all.write_all(line.as_bytes())?;
        bytes += line.len() as u64;
        parts[index].records += 1;
        parts[index].bytes += line.len() as u64;
    }
    all.flush()?;
    for mut file in files {
        file.flush()?;
    }
    if !world.all_hidden() || hidden != (NEEDLES * NEEDLE_COPIES) as u64 {
        bail!("{mb} MB are too few to hide {NEEDLES} words in");
    }
    let rare_address = world.rare().map(str::to_string);
    let corpus = Corpus { needles, rare_address, ..Corpus::new(recipe.name, folder, parts) };
    save(&corpus)?;
    Ok(corpus)
}

fn part_of(kind: &Kind, folder: &Path) -> Part {
    let file = folder.join(format!("{}.{}", kind.name, kind.extension));
    Part { name: kind.name.to_string(), file, records: 0, bytes: 0 }
}

/// Written last: a folder without it is not complete.
fn save(corpus: &Corpus) -> Result<()> {
    let parts: Vec<Value> = corpus
        .parts
        .iter()
        .map(|part| {
            let file = part.file.file_name().unwrap_or_default().to_string_lossy();
            json!({"name": part.name, "file": file, "records": part.records, "bytes": part.bytes})
        })
        .collect();
    let about = json!({
        "name": corpus.name, "needles": corpus.needles, "rare_address": corpus.rare_address,
        "parts": parts,
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
    let corpus = Corpus::new(about["name"].as_str()?, folder, parts.collect::<Option<_>>()?);
    let needles = about["needles"].as_array()?.iter();
    let needles = needles.map(|word| word.as_str().map(str::to_string)).collect::<Option<_>>()?;
    let rare_address = about["rare_address"].as_str().map(str::to_string);
    Some(Corpus { needles, rare_address, ..corpus })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of all.log for a recipe and a seed, after the promises every corpus keeps.
    fn text(recipe: &Recipe, test: &str, seed: u64) -> String {
        let folder = std::env::temp_dir().join(format!("pugmark-{test}-{}", std::process::id()));
        let corpus = write(&folder, recipe, seed, 2).expect("the folder is ours");
        let text = fs::read_to_string(folder.join("all.log")).expect("it is UTF-8");
        assert_eq!(text.lines().count() as u64, corpus.records());
        assert_eq!(text.len() as u64, corpus.bytes());
        for needle in &corpus.needles {
            assert_eq!(text.matches(needle).count(), NEEDLE_COPIES, "{needle}");
        }
        let rare = corpus.rare_address.as_deref().expect("strangers come by");
        assert!((1..20).contains(&text.matches(rare).count()), "{rare}");
        let loaded = load(&folder).expect("it was saved");
        assert_eq!(loaded.needles, corpus.needles);
        let _ = fs::remove_dir_all(&folder);
        text
    }

    #[test]
    fn a_seed_is_a_corpus() {
        let of_one = text(&RECIPES[0], "a", 1);
        assert_eq!(of_one, text(&RECIPES[0], "b", 1));
        assert_ne!(of_one, text(&RECIPES[0], "c", 2));
    }

    #[test]
    fn json_is_json_and_a_day_is_full() {
        for recipe in &RECIPES {
            let text = text(recipe, recipe.name, 3);
            let json = text.lines().filter(|line| line.starts_with('{'));
            for line in json.clone() {
                serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            }
            assert!(recipe.name == "mixed" || json.count() == text.lines().count());
            let mean = text.len() as f64 / text.lines().count() as f64;
            assert!((mean - recipe.record_bytes_mean).abs() < 8.0, "a record has {mean} bytes");
        }
    }
}
