//! The cold tier on a real S3 server: SeaweedFS, when it is installed.
//!
//! `cargo xtask test` installs it. Without it the cases are skipped, and say so.

#![allow(clippy::print_stderr, reason = "it says what it skips and what it measured")]

mod common;

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::cold::{self, add, options, read_error};
use common::{NOW, Node, read};
use pugmark_store::{ObjectStorage, Objects, Scan, StorageSettings};

/// Set for the process that runs the cases, which has the keys in its environment.
const PORT: &str = "PUGMARK_TEST_S3_PORT";
/// Where the server's program is, if it is not where `cargo xtask test` puts it.
const PROGRAM: &str = "PUGMARK_TEST_WEED";
const KEYS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "pugmark"),
    ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
    ("AWS_REGION", "us-east-1"),
];
/// Cases below: what is skipped when there is no server.
const CASES: usize = 6;
const START_TIMEOUT: Duration = Duration::from_secs(100);

/// A server that ends with this.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os(PROGRAM) {
        return Some(program.into());
    }
    // target/debug/deps/s3-1234: the tools lie beside `debug`.
    let target = std::env::current_exe().ok()?.ancestors().nth(3)?.to_path_buf();
    Some(target.join("tools/seaweedfs/bin/weed")).filter(|program| program.is_file())
}

/// Starts a server; returns it and the port of S3. Its other ports are free ones too, with room
/// for those that it adds 10,000 to.
fn start(program: &Path, dir: &Path) -> (Server, u16) {
    let ports: Vec<u16> = (0..5).map(|_| free_port()).collect();
    let mut command = Command::new(program);
    command
        .args(["mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-bucket=logs", "-webdav=false"])
        .args(["-admin.ui=false", "-metricsPort=0", "-s3.port.iceberg=0"])
        .arg(format!("-dir={}", dir.display()));
    for (name, port) in ["s3", "master", "volume", "filer", "admin"].into_iter().zip(&ports) {
        command.arg(format!("-{name}.port={port}"));
    }
    command.envs(KEYS).stdout(Stdio::null()).stderr(Stdio::null());
    (Server(command.spawn().unwrap()), ports[0])
}

fn free_port() -> u16 {
    (0..100)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port())
        .map(|port| 20_000 + port % 30_000)
        .find(|port| {
            [*port, *port + 10_000].iter().all(|p| TcpListener::bind(("127.0.0.1", *p)).is_ok())
        })
        .expect("a port is free")
}

fn settings(port: u16, prefix: &str) -> StorageSettings {
    StorageSettings {
        url: format!("s3://logs/{prefix}"),
        endpoint: format!("http://127.0.0.1:{port}"),
        allow_http: true,
        ..StorageSettings::default()
    }
}

fn storage(port: u16, prefix: &str) -> Arc<ObjectStorage> {
    Arc::new(ObjectStorage::new(&settings(port, prefix)).unwrap())
}

/// The bucket is made a moment after the port opens.
fn wait_until_ready(port: u16, dir: &Path) {
    let end = Instant::now() + START_TIMEOUT;
    while TcpStream::connect(("127.0.0.1", port)).is_err() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
    }
    let path = dir.join("probe");
    std::fs::write(&path, "probe").unwrap();
    let probe = pugmark_store::Disk::open(&pugmark_store::RealDisk, &path).unwrap();
    // A request that comes too early may hang for good; the next one does not.
    let settings =
        StorageSettings { request_timeout: Duration::from_secs(3), ..settings(port, "probe") };
    let storage = ObjectStorage::new(&settings).unwrap();
    while let Err(error) = storage.put("probe", &probe) {
        assert!(Instant::now() < end, "the S3 server does not get ready: {error}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn cold_segments_on_a_real_s3_server() {
    let Some(program) = program() else {
        eprintln!("skipped: {CASES} cases on a real S3 server; `cargo xtask test` installs one");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (server, port) = start(&program, dir.path());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "cases", "--nocapture"]).envs(KEYS);
    child.env(PORT, port.to_string()).env("PUGMARK_TEST_S3_PID", server.0.id().to_string());
    assert!(child.status().unwrap().success());
    drop(server);
}

/// The cases, one after the other. Does nothing in a normal run.
#[tokio::test]
async fn cases() {
    let Some(port) = std::env::var(PORT).ok().and_then(|port| port.parse().ok()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let data = |name: &str| dir.path().join(name);
    wait_until_ready(port, dir.path());
    cold::moves_and_reads(&data("moves"), storage(port, "moves"), 300).await;
    large_segments_go_in_parts(&data("large"), storage(port, "large")).await;
    cold::cache_is_bounded(&data("cache"), storage(port, "a/b/cache"), 20_000).await;
    cold::wrong_bytes_are_noticed(&data("wrong"), storage(port, "wrong"), 900).await;
    cold::expiry_removes_the_object(&data("expiry"), storage(port, "expiry")).await;
    a_server_that_is_away_is_no_disaster(&data("away"), port).await;
}

async fn large_segments_go_in_parts(dir: &Path, objects: Arc<dyn Objects>) {
    let node = Node::open(dir, options(Some(objects))).await;
    let rows = std::env::var("PUGMARK_TEST_S3_ROWS").map_or(30_000, |rows| rows.parse().unwrap());
    add(&node, 5, rows).await;
    let bytes = node.store.usage().disk_bytes;
    assert!(bytes > 9 << 20, "{bytes} bytes are one part");
    let begun = Instant::now();
    assert_eq!(node.store.age(NOW).await.unwrap().moved.segments, 1);
    let seconds = begun.elapsed().as_secs_f64();
    let megabytes = bytes as f64 / 1e6;
    eprintln!(
        "moved {megabytes:.1} MB in {seconds:.2} s, {:.0} MB/s: read, sent, read back, compared",
        megabytes / seconds
    );
    let begun = Instant::now();
    assert_eq!(read(&node.store, Scan::default()).len(), rows);
    eprintln!("read it cold in {:.2} s", begun.elapsed().as_secs_f64());
    node.close().await;
}

async fn a_server_that_is_away_is_no_disaster(dir: &Path, port: u16) {
    let node = Node::open(dir, options(Some(storage(port, "away")))).await;
    for days in [0, 4, 5] {
        add(&node, days, 50).await;
    }
    let later = NOW - pugmark_event::time::DAY * 5 / 2;
    assert_eq!(node.store.age(later).await.unwrap().moved.segments, 1);
    let pid = std::env::var("PUGMARK_TEST_S3_PID").unwrap();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());

    let begun = Instant::now();
    let error = read_error(&node.store);
    eprintln!("away: {error}");
    assert!(error.contains("could not be read from s3://logs/away"), "{error}");
    let hot = Scan { from: Some(NOW - pugmark_event::time::DAY * 9 / 2), ..Scan::default() };
    assert_eq!(read(&node.store, hot).len(), 100);
    let problem = node.store.age(NOW).await.unwrap().problem.unwrap();
    eprintln!("away: {problem}");
    assert!(problem.contains("could not be moved to s3://logs/away"), "{problem}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    add(&node, 0, 10).await;
    node.close().await;
}
