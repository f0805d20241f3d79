//! As much of an HTTP/1.1 client as a harness needs: one kept connection, whole answers.
//!
//! Written out so that the client's own cost is small and known: two threads of it share two
//! cores with the server under test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

const ANSWER_BYTES_MAX: usize = 256 << 20;
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(300);

/// A connection that presents a token.
pub(crate) struct Client {
    address: SocketAddr,
    token: String,
    stream: BufReader<TcpStream>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Of a 429.
    pub(crate) retry_after_seconds: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, token: &str) -> Result<Self> {
        Ok(Self { address, token: token.to_string(), stream: open(address)? })
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask("GET", path, b"")
    }

    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> Result<Answer> {
        self.ask("POST", path, body)
    }

    /// Posts JSON and answers the lines of an NDJSON answer; any status but 200 is an error.
    pub(crate) fn lines(&mut self, path: &str, body: &Value) -> Result<Vec<Value>> {
        let answer = self.post(path, body.to_string().as_bytes())?.ok(path)?;
        let text = String::from_utf8_lossy(&answer.body);
        let lines: Result<Vec<Value>, _> =
            text.lines().filter(|line| !line.is_empty()).map(serde_json::from_str).collect();
        let lines = lines.with_context(|| format!("{path} answered no NDJSON"))?;
        match lines.last().and_then(|line| line.get("error")) {
            Some(error) => bail!("{path}: {error}"),
            None => Ok(lines),
        }
    }

    fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        let kind = if body.starts_with(b"{") && !path.contains("/ingest/") {
            "application/json"
        } else {
            "text/plain"
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            self.token,
            body.len(),
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let (answer, close) = read_answer(&mut self.stream)
            .with_context(|| format!("{method} {path}: no whole answer"))?;
        if close {
            self.stream = open(self.address)?;
        }
        Ok(answer)
    }
}

impl Answer {
    /// Itself, when the status is 2xx.
    pub(crate) fn ok(self, path: &str) -> Result<Self> {
        if !(200..300).contains(&self.status) {
            bail!("{path} answered {}: {}", self.status, String::from_utf8_lossy(&self.body));
        }
        Ok(self)
    }

    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).context("the answer is not JSON")
    }
}

fn open(address: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    stream.set_write_timeout(Some(ANSWER_WAIT_MAX))?;
    Ok(BufReader::new(stream))
}

/// The answer, and whether the server closes the connection after it.
fn read_answer(stream: &mut BufReader<TcpStream>) -> Result<(Answer, bool)> {
    let status = line(stream)?;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.context("not HTTP")?;
    let (mut length, mut chunked, mut close, mut retry_after_seconds) = (None, false, false, None);
    loop {
        let header = line(stream)?;
        let Some((name, value)) = header.split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse::<usize>()?),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => close = value.eq_ignore_ascii_case("close"),
            "retry-after" => retry_after_seconds = value.parse().ok(),
            _ => {}
        }
    }
    let mut body = Vec::new();
    match length {
        _ if chunked => read_chunks(stream, &mut body)?,
        Some(length) => read_exactly(stream, length, &mut body)?,
        None if status == 204 => {}
        None => bail!("an answer of unknown length"),
    }
    Ok((Answer { status, retry_after_seconds, body }, close))
}

fn read_chunks(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> Result<()> {
    loop {
        let size = line(stream)?;
        let size = size.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).context("not a chunk")?;
        read_exactly(stream, size, body)?;
        line(stream)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn read_exactly(stream: &mut BufReader<TcpStream>, size: usize, body: &mut Vec<u8>) -> Result<()> {
    if body.len() + size > ANSWER_BYTES_MAX {
        bail!("an answer over {ANSWER_BYTES_MAX} bytes");
    }
    let read = stream.take(size as u64).read_to_end(body)?;
    if read != size {
        bail!("the answer was cut");
    }
    Ok(())
}

fn line(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut text = String::new();
    if stream.take(64 << 10).read_line(&mut text)? == 0 {
        bail!("the connection closed");
    }
    Ok(text.trim_end().to_string())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What a client makes of an answer's bytes: status and body.
    #[track_caller]
    fn check(answer: &'static str, expected: Option<(u16, &str)>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the client comes");
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        });
        let mut client = Client::connect(address, "t").expect("the server listens");
        let got = client.get("/").ok();
        server.join().expect("the server ends");
        let got = got.map(|a| (a.status, String::from_utf8(a.body).expect("text")));
        assert_eq!(got, expected.map(|(status, body)| (status, body.to_string())));
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Some((200, "ok")));
        let chunks =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        check(chunks, Some((200, "abc")));
        check("HTTP/1.1 204 No Content\r\n\r\n", Some((204, "")));
        check("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", None);
        check("", None);
    }
}
