//! The browser tests: a real server on an empty folder, Chromium, and `npm run e2e` between them.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{Outcome, binary};
use crate::{shell, web};

/// A dev-profile server on a busy machine needs a while for its first breath.
const START_MAX: Duration = Duration::from_secs(60);

pub(super) fn e2e() -> Result<Outcome> {
    web::install()?;
    if !Path::new("/usr/bin/chromium").exists() {
        shell::install(&["chromium"], "the browser tests drive Chromium")?;
    }
    let server = Server::start()?;
    let mut npm = shell::npm(&["run", "--silent", "e2e"]);
    npm.env("PUGMARK_URL", format!("http://{}", server.address));
    npm.env("PUGMARK_TOKEN", server.wait_for(Server::admin_token)?);
    let setup = server.wait_for(Server::setup_token)?;
    npm.env("PUGMARK_SETUP_LINK", format!("http://{}/setup#token={setup}", server.address));
    npm.env("PUGMARK_SETUP_TOKEN", setup);
    let result = shell::run(&mut npm);
    if result.is_err() {
        eprintln!("the server wrote:\n{}", server.log());
    }
    result.map(|()| Outcome::Passed)
}

/// A server of our own; it ends, and its folder goes, with this value.
struct Server {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Server {
    fn start() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("pugmark-e2e-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let address = free_address()?;
        let log = File::create(folder.join("log"))?;
        let child = Command::new(binary())
            .args(["serve", "--listen", &address.to_string(), "--data"])
            .arg(folder.join("data"))
            .arg("--setup-token-file")
            .arg(folder.join("token"))
            // No pugmark.toml there: the settings are the defaults.
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start the server")?;
        let mut server = Self { child, address, folder };
        server.wait_until_healthy()?;
        Ok(server)
    }

    fn wait_until_healthy(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < START_MAX {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at once ({status}):\n{}", self.log());
            }
            if healthy(self.address) {
                return Ok(());
            }
            sleep(Duration::from_millis(100));
        }
        bail!("the server did not take logs within {START_MAX:?}:\n{}", self.log())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// What a started server says or writes soon after it opened its doors.
    fn wait_for(&self, what: fn(&Self) -> Option<String>) -> Result<String> {
        let start = Instant::now();
        while start.elapsed() < START_MAX {
            if let Some(text) = what(self) {
                return Ok(text);
            }
            sleep(Duration::from_millis(50));
        }
        bail!("the server gave no token and no set-up link:\n{}", self.log())
    }

    fn admin_token(&self) -> Option<String> {
        let token = fs::read_to_string(self.folder.join("token")).ok()?;
        Some(token.trim().to_string()).filter(|token| !token.is_empty())
    }

    /// The one-time token in the link that the first start prints.
    fn setup_token(&self) -> Option<String> {
        let log = self.log();
        let (_, rest) = log.split_once("/setup#token=")?;
        let (token, _) = rest.split_once(char::is_whitespace)?;
        Some(token.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// An address on loopback that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn healthy(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
