//! The peers: ClickHouse (chdb) and DuckDB, each a Python process with a typed table of the corpus.
//!
//! They run inside their process, without HTTP and without JSON rows: they are asked over a pipe
//! and time themselves, which is in their favour.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::corpus::{Corpus, Part};
use crate::scripts;

const PACKAGES: [&str; 4] = ["duckdb", "chdb", "pyarrow", "pytz"];
/// Name and script; the second reads what the first wrote.
const PEERS: [(&str, &str); 2] = [("ClickHouse", "clickhouse.py"), ("DuckDB", "duck.py")];

/// Where their tables are kept. Another number when scripts/ makes other tables.
const TABLES: &str = "peers-v1";

/// A peer with the corpus loaded.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    /// What it makes of the corpus on disk: layout and bytes.
    pub(crate) sizes: Vec<(String, u64)>,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// A peer's answer to a question.
pub(crate) struct Asked {
    pub(crate) ms: f64,
    pub(crate) rows: u64,
    /// Of the counts in the last column.
    pub(crate) sum: u64,
}

/// Starts every peer on a corpus; its tables are kept beside it for the next run.
pub(crate) fn start(work: &Path, corpus: &Corpus) -> Result<Vec<Peer>> {
    let python = environment(work)?;
    let scripts = scripts::write(work)?;
    let tables = corpus.folder.join(TABLES);
    fs::create_dir_all(&tables)?;
    let mut peers = Vec::new();
    for (name, script) in PEERS {
        println!("{name} loads the corpus");
        peers.push(Peer::start(name, &python, &scripts.join(script), &tables, corpus)?);
    }
    Ok(peers)
}

/// A Python with the peers in it, made once.
fn environment(work: &Path) -> Result<std::path::PathBuf> {
    let folder = work.join("python");
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    if ready.exists() {
        return Ok(python);
    }
    fs::create_dir_all(work)?;
    let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status();
    if !made.context("cannot start python3")?.success() {
        bail!("python3 cannot make a virtual environment in {}", folder.display());
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let installed = Command::new(&python).args(pip).args(PACKAGES).status()?;
    if !installed.success() {
        bail!("pip cannot install {}", PACKAGES.join(", "));
    }
    fs::write(ready, "")?;
    Ok(python)
}

impl Peer {
    fn start(
        name: &'static str,
        python: &Path,
        script: &Path,
        tables: &Path,
        corpus: &Corpus,
    ) -> Result<Self> {
        let mut child = Command::new(python)
            .arg(script)
            .arg(tables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdin = child.stdin.take().context("no pipe")?;
        let stdout = BufReader::new(child.stdout.take().context("no pipe")?);
        let (version, sizes) = (String::new(), Vec::new());
        let mut peer = Self { name, version, sizes, child, stdin, stdout };
        let version = peer.tell(&json!({"do": "version"}))?;
        peer.version = version["version"].as_str().unwrap_or("?").to_string();
        let parts: Vec<Value> = corpus.parts.iter().map(file_of).collect();
        let load = json!({"do": "load", "corpus": corpus.name, "parts": parts});
        let loaded = peer.tell(&load)?;
        if loaded["rows"].as_u64() != Some(corpus.records()) {
            bail!("{name} loaded {} of {} records", loaded["rows"], corpus.records());
        }
        let sizes = loaded["bytes"].as_object().context("no sizes")?;
        peer.sizes = sizes.iter().map(|(k, v)| (k.clone(), v.as_u64().unwrap_or(0))).collect();
        Ok(peer)
    }

    /// Asks in its SQL.
    pub(crate) fn ask(&mut self, sql: &str) -> Result<Asked> {
        let answer = self.tell(&json!({"do": "ask", "sql": sql}))?;
        let number = |name: &str| answer[name].as_u64().unwrap_or(0);
        let ms = answer["ms"].as_f64().context("no time")?;
        Ok(Asked { ms, rows: number("rows"), sum: number("sum") })
    }

    /// Does what is no question, such as making a table.
    pub(crate) fn run(&mut self, sql: &str) -> Result<()> {
        self.tell(&json!({"do": "run", "sql": sql})).map(drop)
    }

    fn tell(&mut self, asked: &Value) -> Result<Value> {
        writeln!(self.stdin, "{asked}")?;
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            bail!("{} ended", self.name);
        }
        let answer: Value =
            serde_json::from_str(&line).with_context(|| format!("{} wrote {line}", self.name))?;
        match answer.get("error") {
            Some(error) => bail!("{}: {error}", self.name),
            None => Ok(answer),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn file_of(part: &Part) -> Value {
    json!({"name": part.name, "file": part.file})
}
