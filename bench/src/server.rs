//! The server under test: a process of its own, on a folder of its own.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::http::Client;
use crate::process;

/// Key and value: `store.flush_interval_seconds` and `10`.
pub(crate) type Setting = (String, String);

const START_MAX: Duration = Duration::from_secs(300);
const STOP_MAX: Duration = Duration::from_secs(120);

/// A running `pugmark serve`; killed, if it still runs, when this value goes.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first healthy answer.
    pub(crate) started_in: Duration,
    admin: String,
}

impl Server {
    /// Starts `binary` on `folder/data`, which may hold the data of an earlier run; `settings` are
    /// key and value, `store.compaction` and `false`.
    pub(crate) fn start(binary: &Path, folder: &Path, settings: &[Setting]) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log_path = folder.join("server.log");
        let log = File::options().create(true).append(true).open(&log_path)?;
        let token = folder.join("token");
        if token.exists() {
            fs::remove_file(&token)?; // of an earlier run
        }
        let start = Instant::now();
        let child = Command::new(binary)
            .args(["serve", "--listen", &address.to_string(), "--data"])
            .arg(data(folder))
            .arg("--setup-token-file")
            .arg(&token)
            // No pugmark.toml there: all other settings are the defaults.
            .current_dir(folder)
            .envs(settings.iter().map(|(key, value)| (variable(key), value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut server = Self { child, address, started_in: Duration::ZERO, admin: String::new() };
        server.wait_until_healthy(start, &log_path)?;
        server.started_in = start.elapsed();
        server.admin = wait_for_token(&token, start)?;
        Ok(server)
    }

    fn wait_until_healthy(&mut self, start: Instant, log: &Path) -> Result<()> {
        while start.elapsed() < START_MAX {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at once ({status}): see {}", log.display());
            }
            let answer = Client::connect(self.address, "").and_then(|mut c| c.get("/healthz"));
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            sleep(Duration::from_millis(5));
        }
        bail!("the server took no logs within {START_MAX:?}: see {}", log.display())
    }

    /// A client with a fresh token of one purpose: `ingest` or `read`, as users have them.
    pub(crate) fn client(&self, purpose: &str) -> Result<Client> {
        let mut admin = Client::connect(self.address, &self.admin)?;
        let path = "/api/v1/tokens";
        let body = json!({"name": format!("bench {purpose}"), "purpose": purpose}).to_string();
        let answer = admin.post(path, body.as_bytes())?.ok(path)?.json()?;
        let token = answer["token"].as_str().context("no token in the answer")?;
        Client::connect(self.address, token)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor seconds that it has used so far.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        process::cpu_seconds(self.pid()).context("the server's process is gone")
    }

    /// The most memory it held at once so far, in bytes.
    pub(crate) fn rss_peak_bytes(&self) -> Result<u64> {
        process::memory_bytes(self.pid(), "VmHWM").context("the server's process is gone")
    }

    /// Ends it without warning, as a crash does.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?; // SIGKILL
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, as a service manager does, and waits.
    pub(crate) fn stop(mut self) -> Result<Duration> {
        let start = Instant::now();
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status()?;
        if !asked.success() {
            bail!("cannot signal the server");
        }
        while start.elapsed() < STOP_MAX {
            if self.child.try_wait()?.is_some() {
                return Ok(start.elapsed());
            }
            sleep(Duration::from_millis(10));
        }
        bail!("the server did not end within {STOP_MAX:?} of SIGTERM")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The length of the WAL, at most a second ago.
pub(crate) fn wal_bytes(reader: &mut Client) -> Result<u64> {
    let path = "/api/v1/status";
    let status = reader.get(path)?.ok(path)?.json()?;
    status["wal_bytes"].as_u64().context("no wal_bytes in the status")
}

/// The token file is written once the doors are open.
fn wait_for_token(file: &Path, start: Instant) -> Result<String> {
    while start.elapsed() < START_MAX {
        let token = fs::read_to_string(file).unwrap_or_default();
        if !token.is_empty() {
            return Ok(token.trim().to_string());
        }
        sleep(Duration::from_millis(5));
    }
    bail!("the server did not write --setup-token-file {}", file.display())
}

/// The data folder of a server.
pub(crate) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// The environment variable of a setting.
fn variable(key: &str) -> String {
    format!("PUGMARK_{}", key.replace('.', "_").to_uppercase())
}
