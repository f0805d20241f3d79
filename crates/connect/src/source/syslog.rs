//! Syslog over UDP (RFC 5426) and TCP (RFC 6587: octet counting and line framing, told apart for
//! each message by its first byte).
//!
//! When the engine is full, TCP senders are held back: nothing is read until there is room. A UDP
//! sender cannot be held back, so what finds no room is shed and counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use pugmark_engine::{Engine, IngestError};
use pugmark_event::Records;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

/// Longest message in bytes; a longer one is cut into several records, so no byte is lost.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// TCP connections at once; more wait in the listen queue. Each may hold one message in memory.
const CONNECTIONS_MAX: usize = 256;
/// A connection that says nothing for this long is closed.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// Datagrams that wait for the engine.
const DATAGRAMS_MAX: usize = 8192;
/// Datagrams that go to the engine together.
const DATAGRAMS_PER_BATCH_MAX: usize = 1024;
/// How long the first datagram of a batch waits for others.
const BATCH_WAIT: Duration = Duration::from_millis(20);
/// Times that a batch of datagrams is offered to a full engine before it is shed.
const OFFERS_MAX: u32 = 4;

/// Where syslog is taken.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address for UDP, such as `127.0.0.1:5514`.
    pub udp: Option<SocketAddr>,
    /// Address for TCP.
    pub tcp: Option<SocketAddr>,
    /// The source that the records belong to.
    pub source: String,
}

/// Listening doors, with the addresses they really have (port 0 asks for any).
#[derive(Debug)]
pub struct Syslog {
    /// Address of the UDP door.
    pub udp: Option<SocketAddr>,
    /// Address of the TCP door.
    pub tcp: Option<SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

impl Syslog {
    /// Opens the doors.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub async fn listen(settings: &Settings, engine: &Engine) -> anyhow::Result<Syslog> {
        let source: Arc<str> = settings.source.as_str().into();
        let mut syslog = Syslog { udp: None, tcp: None, tasks: Vec::new() };
        if let Some(address) = settings.udp {
            let socket = UdpSocket::bind(address)
                .await
                .with_context(|| format!("cannot listen for syslog on udp {address}"))?;
            syslog.udp = Some(socket.local_addr()?);
            let (send, receive) = mpsc::channel(DATAGRAMS_MAX);
            syslog.tasks.push(tokio::spawn(receive_datagrams(
                socket,
                send,
                engine.clone(),
                source.clone(),
            )));
            syslog.tasks.push(tokio::spawn(send_datagrams(
                receive,
                engine.clone(),
                source.clone(),
            )));
        }
        if let Some(address) = settings.tcp {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen for syslog on tcp {address}"))?;
            syslog.tcp = Some(listener.local_addr()?);
            syslog.tasks.push(tokio::spawn(accept(listener, engine.clone(), source)));
        }
        Ok(syslog)
    }

    /// Closes the doors. What was read is with the engine.
    pub fn close(self) {
        for task in self.tasks {
            task.abort();
        }
    }
}

async fn receive_datagrams(
    socket: UdpSocket,
    send: mpsc::Sender<Vec<u8>>,
    engine: Engine,
    source: Arc<str>,
) {
    // The largest datagram that UDP carries.
    let mut buffer = vec![0; 65_536];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, _)) => {
                let message = trim_end(&buffer[..length]).to_vec();
                if !message.is_empty() && send.try_send(message).is_err() {
                    engine.shed(&source, 1, "syslog udp: the queue was full");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "syslog udp: cannot receive");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn send_datagrams(mut receive: mpsc::Receiver<Vec<u8>>, engine: Engine, source: Arc<str>) {
    let mut batch = Vec::with_capacity(DATAGRAMS_PER_BATCH_MAX);
    while let Some(first) = receive.recv().await {
        batch.push(first);
        tokio::time::sleep(BATCH_WAIT).await;
        while batch.len() < DATAGRAMS_PER_BATCH_MAX {
            let Ok(message) = receive.try_recv() else { break };
            batch.push(message);
        }
        let records: Records = batch.iter().map(Vec::as_slice).collect();
        let count = records.len() as u64;
        if !offer(&engine, &source, records, OFFERS_MAX).await {
            engine.shed(&source, count, "syslog udp: the engine was full");
        }
        batch.clear();
    }
}

async fn accept(listener: TcpListener, engine: Engine, source: Arc<str>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (engine, source) = (engine.clone(), source.clone());
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, &engine, &source).await {
                        tracing::warn!(%peer, %error, "syslog tcp: connection closed");
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "syslog tcp: cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, engine: &Engine, source: &str) -> anyhow::Result<()> {
    let mut framer = Framer::default();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = tokio::time::timeout(IDLE_MAX, stream.read(&mut buffer)).await;
        let length = match read {
            Ok(length) => length.context("cannot read")?,
            Err(_) => 0,
        };
        let mut records = Records::new();
        if length == 0 {
            framer.finish(&mut records);
        } else {
            framer.push(&buffer[..length], &mut records);
        }
        if !records.is_empty() {
            offer(engine, source, records, u32::MAX).await;
        }
        if length == 0 {
            return Ok(());
        }
    }
}

/// Offers records until they are taken, at most `offers_max` times. False when they were not.
async fn offer(engine: &Engine, source: &str, records: Records, offers_max: u32) -> bool {
    for offer in 1.. {
        let wait = match engine.ingest(source, records.clone(), Some("syslog")).await {
            Ok(_) => return true,
            Err(IngestError::Full { .. }) => Duration::from_millis(50),
            Err(IngestError::Stopping | IngestError::BadSource(_)) => return false,
            Err(error) => {
                tracing::error!(%error, "syslog: records are waiting");
                Duration::from_secs(1)
            }
        };
        if offer >= offers_max {
            return false;
        }
        tokio::time::sleep(wait).await;
    }
    false
}

fn trim_end(message: &[u8]) -> &[u8] {
    let end = message.iter().rposition(|b| !matches!(b, b'\n' | b'\r' | 0)).map_or(0, |i| i + 1);
    &message[..end]
}

/// Cuts a TCP stream into messages.
#[derive(Debug, Default)]
struct Framer {
    pending: Vec<u8>,
    /// Bytes of `pending` already searched for a line end.
    searched: usize,
}

/// What the framer found at the start of its buffer.
enum Frame {
    /// A message in this range, and where the next begins.
    Message(std::ops::Range<usize>, usize),
    /// More bytes are needed.
    Incomplete,
}

impl Framer {
    fn push(&mut self, bytes: &[u8], records: &mut Records) {
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        while let Frame::Message(message, next) = self.frame(at) {
            let message = trim_end(&self.pending[message]);
            if !message.is_empty() {
                records.push(message);
            }
            at = next;
            self.searched = 0;
        }
        self.pending.drain(..at);
    }

    /// The connection ended: what is left is a record too, since a cut message is still evidence.
    fn finish(&mut self, records: &mut Records) {
        let left = std::mem::take(&mut self.pending);
        let message = trim_end(&left);
        if !message.is_empty() {
            records.push(message);
        }
    }

    fn frame(&mut self, at: usize) -> Frame {
        let rest = &self.pending[at..];
        if let Some((digits, length)) = octet_count(rest) {
            let start = at + digits + 1;
            return match length {
                Some(length) if self.pending.len() >= start + length => {
                    Frame::Message(start..start + length, start + length)
                }
                _ => Frame::Incomplete,
            };
        }
        match rest[self.searched..].iter().position(|b| matches!(b, b'\n' | 0)) {
            Some(end) => {
                let end = at + self.searched + end;
                Frame::Message(at..end, end + 1)
            }
            None if rest.len() >= MESSAGE_BYTES_MAX => {
                Frame::Message(at..at + MESSAGE_BYTES_MAX, at + MESSAGE_BYTES_MAX)
            }
            None => {
                self.searched = rest.len();
                Frame::Incomplete
            }
        }
    }
}

/// Digits of an octet count at the start, and the count once its blank has arrived. `None` when
/// the bytes are no octet count: a line may start with digits too, so only `digits blank <` (or
/// fewer bytes so far) is taken for one, and only up to the longest message.
fn octet_count(bytes: &[u8]) -> Option<(usize, Option<usize>)> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 7 || bytes[0] == b'0' {
        return None;
    }
    match (bytes.get(digits), bytes.get(digits + 1)) {
        (None, _) | (Some(b' '), None) => Some((digits, None)),
        (Some(b' '), Some(b'<')) => {
            let count = std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()?;
            (count <= MESSAGE_BYTES_MAX).then_some((digits, Some(count)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the input in chunks of every size; the messages must not depend on it.
    #[track_caller]
    fn check(input: &[u8], expected: &[&str]) {
        for chunk in 1..=input.len().max(1) {
            let (mut framer, mut records) = (Framer::default(), Records::new());
            for piece in input.chunks(chunk) {
                framer.push(piece, &mut records);
            }
            framer.finish(&mut records);
            let got: Vec<_> = records.iter().map(String::from_utf8_lossy).collect();
            assert_eq!(got, expected, "in chunks of {chunk}");
        }
    }

    #[test]
    fn both_framings_may_be_mixed() {
        check(b"<34>one\n<34>two\r\n", &["<34>one", "<34>two"]);
        check(b"7 <34>one8 <34>t\nwo<34>three\n", &["<34>one", "<34>t\nwo", "<34>three"]);
        check(b"<34>a\0<34>b\0", &["<34>a", "<34>b"]);
    }

    #[test]
    fn lines_that_start_with_digits_are_lines() {
        check(b"2026 was a year\n", &["2026 was a year"]);
        check(b"99999999999 <34>x\n", &["99999999999 <34>x"]);
        check(b"0 <34>x\n", &["0 <34>x"]);
    }

    #[test]
    fn a_cut_message_is_kept() {
        check(b"<34>one\n<34>hal", &["<34>one", "<34>hal"]);
        check(b"500 <34>short", &["500 <34>short"]);
        check(b"\n\n\n", &[]);
    }

    #[test]
    fn an_endless_line_is_cut_and_nothing_is_lost() {
        let (mut framer, mut records) = (Framer::default(), Records::new());
        let line = vec![b'x'; MESSAGE_BYTES_MAX * 2 + 5];
        for piece in line.chunks(100_000) {
            framer.push(piece, &mut records);
        }
        framer.finish(&mut records);
        let lengths: Vec<_> = records.iter().map(<[u8]>::len).collect();
        assert_eq!(lengths, [MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX, 5]);
    }
}
