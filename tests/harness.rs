//! Starts the built binary and talks to it as a client would, over plain HTTP/1.1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest that a case waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Path of the built binary.
pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_pugmark")
}

/// A command of the binary, free of settings of this machine.
pub(crate) fn pugmark(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PUGMARK_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null()).current_dir(std::env::temp_dir());
    command
}

/// Runs a command to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    pugmark(args).output().expect("the binary runs")
}

/// Stdout of a command that must succeed.
#[track_caller]
pub(crate) fn stdout(args: &[&str]) -> String {
    let output = run(args);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{args:?} ended with {}\n{out}\n{err}", output.status);
    out
}

/// Exit code and stderr of a command that must fail.
#[track_caller]
pub(crate) fn failure(args: &[&str]) -> (i32, String) {
    let output = run(args);
    assert!(!output.status.success(), "{args:?} succeeded: {}", text(&output.stdout));
    (output.status.code().unwrap_or(-1), text(&output.stderr))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Lines of NDJSON.
#[track_caller]
pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// A folder beside the repository, or nothing, said visibly.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let full = Path::new(env!("WORKSPACE_ROOT")).join("../shared/data").join(path);
    if full.exists() {
        return Some(full);
    }
    eprintln!("skipped: ../shared/data/{path} is absent");
    None
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Server {
    /// Starts a server on a folder, on any free port.
    #[track_caller]
    pub(crate) fn start(dir: &Path) -> Server {
        Server::start_with(dir, &[], &[])
    }

    /// Starts a server with more arguments and environment.
    #[track_caller]
    pub(crate) fn start_with(dir: &Path, args: &[&str], environment: &[(&str, &str)]) -> Server {
        let server = Server::spawn(dir, args, environment);
        server.wait_until("healthz", |s| s.get("/healthz").0 == 200);
        server
    }

    /// Starts a server that will not take logs, so its health is not waited for.
    #[track_caller]
    pub(crate) fn start_full(dir: &Path, environment: &[(&str, &str)]) -> Server {
        let server = Server::spawn(dir, &[], environment);
        server.wait_until("an answer", |s| s.get("/healthz").0 != 0);
        server
    }

    #[track_caller]
    fn spawn(dir: &Path, args: &[&str], environment: &[(&str, &str)]) -> Server {
        let token_file = dir.with_extension("token");
        let (data, token_path) = (dir.display().to_string(), token_file.display().to_string());
        let base = ["serve", "--data", &data, "--listen", "127.0.0.1:0", "--setup-token-file"];
        let mut command = pugmark(&base);
        command.arg(&token_path).args(args).envs(environment.iter().copied());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("serve starts");
        let lines = lines_of(child.stdout.take().expect("stdout is piped"));
        // Stderr must be read, or the server would stop when the pipe is full.
        let errors = lines_of(child.stderr.take().expect("stderr is piped"));
        let deadline = Instant::now() + PATIENCE;
        let address = loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let at = line
                        .split("http://")
                        .nth(1)
                        .and_then(|rest| rest.split(['/', ' ', '#']).next()?.parse().ok());
                    if let Some(address) = at {
                        break address;
                    }
                }
                Err(_) => {
                    let said: Vec<String> = errors.try_iter().collect();
                    let _ = child.kill();
                    panic!("serve did not say its address: {}", said.join("\n"));
                }
            }
        };
        let mut server = Server { child, address, token: String::new() };
        server.token = std::fs::read_to_string(&token_file).expect("the token file").trim().into();
        server
    }

    /// Waits until something holds.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&Server) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}: still not after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, &[], b"").map_or((0, String::new()), |(s, b)| (s, text(&b)))
    }

    pub(crate) fn post(&self, path: &str, body: &[u8]) -> (u16, String) {
        self.request("POST", path, &[], body).map_or((0, String::new()), |(s, b)| (s, text(&b)))
    }

    /// Reads a JSON resource.
    #[track_caller]
    pub(crate) fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"))
    }

    /// Sends records and expects them to be taken.
    #[track_caller]
    pub(crate) fn ingest(&self, source: &str, body: impl AsRef<[u8]>) -> Value {
        let (status, answer) = self.post(&format!("/api/v1/ingest/{source}"), body.as_ref());
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str(&answer).expect("a receipt")
    }

    /// Asks a question over all time.
    #[track_caller]
    pub(crate) fn search(&self, query: &str) -> Vec<Value> {
        let body = serde_json::json!({"query": query, "limit": 100_000}).to_string();
        let (status, answer) = self.request_json("/api/v1/search", &body);
        assert_eq!(status, 200, "{query}: {answer}");
        json_lines(&answer)
    }

    pub(crate) fn request_json(&self, path: &str, body: &str) -> (u16, String) {
        let headers = [("content-type", "application/json")];
        self.request("POST", path, &headers, body.as_bytes())
            .map_or((0, String::new()), |(s, b)| (s, text(&b)))
    }

    /// One request on a connection of its own, with the server's token unless headers have one.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n",
            self.address,
            body.len()
        );
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            head += &format!("authorization: Bearer {}\r\n", self.token);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        // A server may answer before it has read a body that it refuses.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer)
            && answer.is_empty()
        {
            return Err(error);
        }
        parse_answer(&answer)
    }

    /// Ends the server as an administrator would, and waits.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        let id = self.child.id().to_string();
        let done = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(done.success());
        let status = self.child.wait().expect("the server ends");
        assert!(status.success(), "serve ended with {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(stream: impl Read + Send + 'static) -> std::sync::mpsc::Receiver<String> {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    receive
}

fn parse_answer(answer: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
    let broken = || std::io::Error::other(format!("no HTTP answer: {}", text(answer)));
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(broken)?;
    let head = text(&answer[..end]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(broken)?;
    let body = &answer[end + 4..];
    let body = match head.contains("transfer-encoding: chunked") {
        true => unchunk(body),
        false => body.to_vec(),
    };
    Ok((status, body))
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(&text(&body[..end]), 16).unwrap_or(0);
        if size == 0 || body.len() < end + 2 + size {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = body.get(end + 4 + size..).unwrap_or(&[]);
    }
    whole
}
