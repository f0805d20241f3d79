//! One run: every measure that was asked for, in order, on one corpus.
//!
//! Nothing is tuned and nothing is left out: what a user waits for is what the clock counts,
//! client and server sharing the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::args::{Args, Known};
use crate::corpus::{self, Corpus};
use crate::http::Client;
use crate::measure::{MEASURES, Measure, ingest};
use crate::peers::{self, Peer};
use crate::report::{self, Report};
use crate::send::{BODY_BYTES, Sample};
use crate::server::{Server, Setting, wal_bytes};
use crate::time::{Parts, now_us};

const SETTLE_WAIT_MAX: Duration = Duration::from_secs(600);
const SETTLE_LOOK: Duration = Duration::from_millis(500);
/// A server that uses less of a core than this does nothing that the user asked for.
const IDLE_CORES: f64 = 0.04;
const EXACT_WAIT_MAX: Duration = Duration::from_secs(300);

const KNOWN: Known = Known {
    options: &[
        "pugmark",
        "corpus",
        "data",
        "mb",
        "seed",
        "clients",
        "passes",
        "warm",
        "quiet-seconds",
        "wal-mb",
        "only",
        "set",
        "rules",
        "work",
        "out",
        "note",
    ],
    flags: &["flame", "no-peers"],
};

/// What a run is made of.
pub(crate) struct Plan {
    pub(crate) binary: PathBuf,
    corpus: String,
    /// Where published logs lie, for the corpus `shared`.
    data: PathBuf,
    seed: u64,
    mb: u64,
    pub(crate) clients: usize,
    /// How often the corpus is taken in.
    pub(crate) passes: usize,
    /// How often a question is asked after its first time.
    pub(crate) warm: usize,
    /// How long a server must do nothing to count as settled: longer than events wait in memory.
    quiet: Duration,
    /// The WAL that a crash leaves behind, in millions of bytes.
    pub(crate) wal_mb: u64,
    /// Settings that differ from the defaults.
    pub(crate) settings: Vec<Setting>,
    pub(crate) rules: PathBuf,
    pub(crate) flame: bool,
    peers: bool,
    only: Vec<String>,
    work: PathBuf,
    pub(crate) out: PathBuf,
    note: String,
}

/// A run under way: what the measures share.
pub(crate) struct Bench {
    pub(crate) plan: Plan,
    pub(crate) corpus: Corpus,
    pub(crate) report: Report,
    /// Where servers keep their data and their words.
    folder: PathBuf,
    /// The server with the whole corpus.
    server: Option<Server>,
    peers: Option<Vec<Peer>>,
    peer_versions: Vec<String>,
}

/// `pugmark-bench run ...`
pub(crate) fn run(words: &[String]) -> Result<()> {
    let plan = plan(words)?;
    let measures = chosen(&plan.only)?;
    println!("making the corpus");
    let corpus = match plan.corpus.as_str() {
        "shared" => corpus::shared::ensure(&plan.work, &plan.data)?,
        name => corpus::ensure(&plan.work, corpus::recipe(name)?, plan.seed, plan.mb)?,
    };
    let folder = plan.work.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let report = Report::default();
    let (server, peers, peer_versions) = (None, None, Vec::new());
    let mut bench = Bench { plan, corpus, report, folder, server, peers, peer_versions };
    for measure in measures {
        println!("\n{}: {}", measure.name, measure.about);
        if let Err(error) = (measure.run)(&mut bench) {
            let place = bench.folder.display();
            bail!("{}: {error:#}\n\nhint: the server's words are under {place}", measure.name);
        }
    }
    bench.server.take();
    fs::remove_dir_all(&bench.folder)?;
    bench.report.write(&bench.plan.out, &bench.corpus.name, &bench.about())?;
    println!("\nwrote {}", bench.plan.out.display());
    Ok(())
}

fn plan(words: &[String]) -> Result<Plan> {
    let args = Args::parse(words, &KNOWN)?;
    let (date, corpus) = (Parts::of(now_us()).date(), args.text("corpus", "mixed"));
    let out = match args.path("out") {
        Ok(out) => out,
        Err(_) => report::fresh_folder(&Path::new("bench/runs").join(date), &corpus),
    };
    let count = |name: &str, default: u64, most: u64| -> Result<usize> {
        Ok(usize::try_from(args.number(name, default)?.clamp(1, most))?)
    };
    let setting = |text: &str| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_string(), value.to_string())),
        None => bail!("--set {text}: write it as section.key=value"),
    };
    Ok(Plan {
        binary: args.path("pugmark")?.canonicalize().context("--pugmark names no file")?,
        corpus,
        data: args.text("data", "../shared/data").into(),
        seed: args.number("seed", 1)?,
        mb: args.number("mb", 200)?,
        clients: count("clients", 2, 64)?,
        passes: count("passes", 3, 20)?,
        warm: count("warm", 50, 10_000)?,
        quiet: Duration::from_secs(args.number("quiet-seconds", 15)?),
        wal_mb: args.number("wal-mb", 950)?,
        settings: args.all("set").map(setting).collect::<Result<_>>()?,
        rules: args.text("rules", "content/rules").into(),
        flame: args.flag("flame"),
        peers: !args.flag("no-peers"),
        only: args.text("only", "").split(',').filter(|n| !n.is_empty()).map(Into::into).collect(),
        work: std::path::absolute(args.text("work", "target/bench"))?,
        out: std::path::absolute(out)?,
        note: args.text("note", ""),
    })
}

/// The measures of these names, all without names, in the order of the list.
fn chosen(only: &[String]) -> Result<Vec<&'static Measure>> {
    if let Some(unknown) = only.iter().find(|name| MEASURES.iter().all(|m| m.name != **name)) {
        let names: Vec<&str> = MEASURES.iter().map(|measure| measure.name).collect();
        bail!("--only {unknown}: there are {}", names.join(", "));
    }
    let wanted = |measure: &&Measure| only.is_empty() || only.iter().any(|n| n == measure.name);
    Ok(MEASURES.iter().filter(wanted).collect())
}

impl Bench {
    /// A server of its own for a measure, on the data of an earlier one of this name if it ran.
    pub(crate) fn start(&self, name: &str, more: &[(&str, String)]) -> Result<Server> {
        let folder = self.place(name);
        fs::create_dir_all(&folder)?;
        let mut settings = self.plan.settings.clone();
        settings.extend(more.iter().map(|(key, value)| (key.to_string(), value.clone())));
        Server::start(&self.plan.binary, &folder, &settings)
    }

    /// The folder of the server of this name.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Removes what a server of this name kept.
    pub(crate) fn forget(&self, name: &str) -> Result<()> {
        let folder = self.place(name);
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
    }

    /// The server that has the whole corpus: loaded first if no measure has done so.
    pub(crate) fn loaded(&mut self) -> Result<&Server> {
        if self.server.is_none() {
            if !self.place(ingest::LOADED).exists() {
                println!("loading the corpus");
                let server = self.start(ingest::LOADED, &[])?;
                ingest::take_in(self, &server)?;
                server.stop()?;
            }
            self.server = Some(self.start(ingest::LOADED, &[])?);
        }
        self.server.as_ref().context("it was just started")
    }

    /// Stops the server that has the whole corpus, so that its folder is complete and another
    /// measure has the machine.
    pub(crate) fn unload(&mut self) -> Result<()> {
        if let Some(server) = self.server.take() {
            server.stop()?;
        }
        Ok(())
    }

    /// Ends that server and the peers: what follows has the machine for itself.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.peers = None;
        self.unload()
    }

    /// The peers, loaded; none where they cannot be had, which the report then says.
    pub(crate) fn peers(&mut self) -> &mut [Peer] {
        if self.peers.is_none() {
            let peers = self.start_peers();
            self.peers = Some(peers);
        }
        self.peers.as_deref_mut().unwrap_or_default()
    }

    fn start_peers(&mut self) -> Vec<Peer> {
        let skipped = match (self.plan.peers, self.corpus.needles.is_empty()) {
            (false, _) => "--no-peers".to_string(),
            (_, true) => "no typed table was written for these logs".to_string(),
            _ => match peers::start(&self.plan.work, &self.corpus) {
                Ok(peers) => {
                    self.peer_versions = peers.iter().map(|peer| peer.version.clone()).collect();
                    return peers;
                }
                Err(error) => format!("{error:#}"),
            },
        };
        self.report.note(format!("peers skipped: {skipped}"));
        Vec::new()
    }

    fn about(&self) -> Vec<(&'static str, String)> {
        let (plan, corpus) = (&self.plan, &self.corpus);
        let binary = plan.binary.to_string_lossy();
        let parts = corpus.parts.iter();
        let sources: Vec<String> =
            parts.map(|part| format!("{} ({} bytes)", part.name, part.bytes)).collect();
        let (records, bytes) = (corpus.records(), corpus.bytes());
        let mut settings: Vec<String> =
            plan.settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        if settings.is_empty() {
            settings.push("the defaults".into());
        }
        let mut about = vec![
            ("date", Parts::of(now_us()).date()),
            ("machine", report::machine()),
            ("version", report::words(&binary, &["--version"])),
            ("commit", report::words("git", &["describe", "--always", "--dirty", "--abbrev=12"])),
            ("compiler", report::words("rustc", &["--version"])),
            ("peers", self.peer_versions.join("; ")),
            ("corpus", format!("{}: {records} records, {bytes} bytes", corpus.name)),
            ("sources", sources.join(", ")),
            ("settings", settings.join(", ")),
            (
                "ingest",
                format!("{} clients, bodies up to {BODY_BYTES} bytes, uncompressed", plan.clients),
            ),
            ("warm", format!("{} times after a first, cold one", plan.warm)),
            ("recipe", format!("`{}`", self.recipe())),
        ];
        if !plan.note.is_empty() {
            about.push(("note", plan.note.clone()));
        }
        about
    }

    fn recipe(&self) -> String {
        let plan = &self.plan;
        let mut recipe = format!("cargo xtask bench --corpus {}", plan.corpus);
        if plan.corpus != "shared" {
            recipe += &format!(" --mb {} --seed {}", plan.mb, plan.seed);
        }
        let (clients, passes, warm) = (plan.clients, plan.passes, plan.warm);
        recipe += &format!(" --clients {clients} --passes {passes} --warm {warm}");
        if !plan.only.is_empty() {
            recipe += &format!(" --only {}", plan.only.join(","));
        }
        for (key, value) in &plan.settings {
            recipe += &format!(" --set {key}={value}");
        }
        recipe
    }

    /// Waits until the server has nothing more to do: memory is in segments, segments are merged.
    pub(crate) fn settle(&self, server: &Server) -> Result<Settled> {
        let mut reader = server.client("read")?;
        let start = Instant::now();
        let mut settled = Settled::default();
        let (mut wal, mut cpu, mut since) = (u64::MAX, server.cpu_seconds()?, Instant::now());
        let mut looked = Instant::now();
        while start.elapsed() < SETTLE_WAIT_MAX && since.elapsed() < self.plan.quiet {
            sleep(SETTLE_LOOK);
            let wal_now = wal_bytes(&mut reader)?;
            let cpu_now = server.cpu_seconds()?;
            settled.samples.extend(Sample::of(server.pid()));
            let elapsed = looked.elapsed().as_secs_f64();
            looked = Instant::now();
            if wal_now != wal || (cpu_now - cpu) / elapsed > IDLE_CORES {
                (since, settled.cpu_seconds, settled.wall) = (looked, cpu_now, start.elapsed());
            }
            (wal, cpu) = (wal_now, cpu_now);
        }
        Ok(settled)
    }

    /// Waits until a search counts exactly this many events.
    pub(crate) fn wait_until_exact(&self, reader: &mut Client, records: u64) -> Result<()> {
        let start = Instant::now();
        let mut found = 0;
        while start.elapsed() < EXACT_WAIT_MAX {
            let rows = reader.lines("/api/v1/search", &json!({"query": "* | stats count()"}))?;
            let row = rows.first().and_then(Value::as_object).context("no row")?;
            found = row.values().find_map(Value::as_u64).context("no count in the row")?;
            if found >= records {
                break;
            }
            sleep(Duration::from_millis(20));
        }
        if found != records {
            bail!("{records} records were acknowledged, search finds {found}");
        }
        Ok(())
    }

    /// Whether the binary under test has a setting.
    pub(crate) fn has_setting(&self, section: &str, key: &str) -> Result<bool> {
        let output = Command::new(&self.plan.binary).args(["config", "--defaults"]).output()?;
        Ok(lists_setting(&String::from_utf8_lossy(&output.stdout), section, key))
    }
}

/// What it took until the server had nothing more to do.
#[derive(Default)]
pub(crate) struct Settled {
    /// The server's processor seconds since its start, when it last did something.
    pub(crate) cpu_seconds: f64,
    /// From the call to then.
    pub(crate) wall: Duration,
    /// The server each half second.
    pub(crate) samples: Vec<Sample>,
}

fn lists_setting(defaults: &str, section: &str, key: &str) -> bool {
    let mut inside = false;
    for line in defaults.lines() {
        if line.starts_with('[') {
            inside = line.trim() == format!("[{section}]");
        }
        let name = line.split_once('=').map(|(name, _)| name.trim());
        if inside && name == Some(key) {
            return true;
        }
    }
    false
}

/// Milliseconds, as the report has them.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_belongs_to_its_section() {
        let defaults = "[store]\n# compaction = false\nflush = 1\n[other]\ncompaction = true\n";
        assert!(lists_setting(defaults, "store", "flush"));
        assert!(lists_setting(defaults, "other", "compaction"));
        assert!(!lists_setting(defaults, "store", "compaction"));
    }

    #[test]
    fn measures_are_chosen_by_name() {
        let names = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(ToString::to_string).collect();
            chosen(&only).map(|found| found.iter().map(|m| m.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["size", "ingest"]).expect("they exist"), ["ingest", "size"]);
        assert_eq!(names(&[]).expect("all").len(), MEASURES.len());
        assert!(names(&["sizes"]).is_err());
    }
}
