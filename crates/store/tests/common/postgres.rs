//! A PostgreSQL server for the tests of one process: a cluster in a folder of its own, reached
//! through a unix socket there. It goes when the process goes, however that ends.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each user of it uses a part")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Set for a process that a test starts: it uses the server of its parent.
pub const SOCKET: &str = "PUGMARK_TEST_POSTGRES";

/// Makes the cluster, serves until standard input ends, and cleans up. PostgreSQL refuses to run
/// as root, so root becomes the user that Debian's package makes.
const SCRIPT: &str = r#"
set -e
dir=$1; bin=$2
cd "$dir"
"$bin/initdb" -D data --no-sync -A trust -U pugmark --no-locale -E UTF8 >log 2>&1
"$bin/pg_ctl" -D data -w -l log -o "-k $dir -c listen_addresses= -c fsync=${3:-off} \
    -c shared_buffers=16MB -c max_connections=200" start >/dev/null
echo ready
cat >/dev/null || true
"$bin/pg_ctl" -D data -m immediate stop >/dev/null || true
rm -rf "$dir"
"#;

/// A server that runs.
pub struct Server {
    socket: PathBuf,
    /// Its standard input ends with this process, and then it ends too.
    _child: Option<Child>,
}

/// The server of this process; `None` where PostgreSQL is not installed, with a word about it and
/// how many tests were skipped so far.
#[allow(clippy::print_stderr, reason = "a test that skips itself says so")]
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    static SKIPPED: AtomicUsize = AtomicUsize::new(0);
    let server = SERVER.get_or_init(|| match std::env::var_os(SOCKET) {
        Some(socket) => Some(Server { socket: socket.into(), _child: None }),
        None => programs().map(|bin| Server::start(&bin)),
    });
    if server.is_none() {
        let skipped = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
        eprintln!("skipped: PostgreSQL is not installed ({skipped} tests so far)");
    }
    server.as_ref()
}

/// The folder of the newest PostgreSQL, as Debian lays it out.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|version| Some(version.ok()?.path()));
    let mut found: Vec<(u32, PathBuf)> = folders
        .filter(|folder| folder.join("bin/initdb").exists())
        .filter_map(|f| Some((f.file_name()?.to_str()?.parse().ok()?, f.join("bin"))))
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin)
}

impl Server {
    fn start(bin: &Path) -> Server {
        let socket = tempfile::Builder::new().prefix("pugmark-pg").tempdir().unwrap().keep();
        let root = std::fs::metadata("/proc/self").is_ok_and(|meta| is_root(&meta));
        let mut command = Command::new(if root { "setpriv" } else { "sh" });
        if root {
            let given = Command::new("chown").arg("postgres").arg(&socket).status().unwrap();
            assert!(given.success(), "there is no user postgres");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
        }
        let fsync = std::env::var("PUGMARK_TEST_POSTGRES_FSYNC").unwrap_or_else(|_| "off".into());
        let mut child = command
            .args(["-c", SCRIPT, "sh"])
            .args([socket.as_path(), bin])
            .arg(fsync)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = || std::fs::read_to_string(socket.join("log")).unwrap_or_default();
        assert_eq!(line, "ready\n", "PostgreSQL does not start: {}", log());
        Server { socket, _child: Some(child) }
    }

    /// The folder of its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The address of a database, which is made if it is not there.
    pub async fn database(&self, name: &str) -> String {
        let url =
            |name: &str| format!("postgres:///{name}?host={}&user=pugmark", self.socket.display());
        let mut connection = PgConnection::connect(&url("postgres")).await.unwrap();
        loop {
            let sql = AssertSqlSafe(format!("CREATE DATABASE {name}"));
            match sqlx::raw_sql(sql).execute(&mut connection).await {
                Ok(_) => break,
                Err(error) if error.to_string().contains("already exists") => break,
                // Being made at this moment, by a process that was killed meanwhile.
                Err(error) => assert!(error.to_string().contains("duplicate key"), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        connection.close().await.unwrap();
        url(name)
    }

    /// The address of the database that belongs to a data folder.
    pub async fn database_of(&self, dir: &Path) -> String {
        let name = dir.display().to_string();
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.database(&format!("of_{hash:016x}")).await
    }
}

fn is_root(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    meta.uid() == 0
}
