//! Messages of the PostgreSQL protocol, version 3: bytes to messages and back, within bounds.
//!
//! A message is a letter, its length, and a body; the first ones of a connection have no letter.
//! Nothing is read further than the length says, and no length is believed beyond a maximum.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::fault::{BAD_PROTOCOL, BAD_TEXT, Fault, TOO_LONG};

/// Largest message that is kept: a statement of the longest, or as much in values.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Largest message that is read past and answered with an error; beyond it the connection ends.
const SKIPPED_BYTES_MAX: usize = 64 << 20;
/// Largest first message.
const START_BYTES_MAX: usize = 10_000;
/// Bytes of an answer that are gathered before they are sent.
pub(super) const SENT_BYTES: usize = 64 << 10;
/// Time to take what is sent: who reads nothing must not hold what others wait for.
const SEND_TIME: Duration = Duration::from_secs(60);

/// What a client says before it has told who it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// It would like TLS, or another way to hide what is said.
    Encryption,
    /// It wants the running statement of another connection stopped.
    Cancel { process: u32, secret: u32 },
    /// Names and values: `user`, `database`, settings.
    Startup { minor: u16, parameters: Vec<(String, String)> },
}

/// What a client says later.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    Password(String),
    Query(String),
    Parse {
        name: String,
        sql: String,
        types: Vec<u32>,
    },
    Bind {
        portal: String,
        statement: String,
        values: Values,
        formats: Vec<Format>,
    },
    Describe(Named),
    Execute {
        portal: String,
        rows_max: usize,
    },
    Close(Named),
    Flush,
    Sync,
    Terminate,
    /// Too long, or no text where text must be: it is told, and the connection goes on.
    Unread {
        fault: Fault,
        /// Whether it belongs to the extended protocol.
        extended: bool,
    },
}

/// The values of a statement's parameters.
#[derive(Debug, PartialEq)]
pub(super) struct Values {
    pub(super) formats: Vec<Format>,
    pub(super) values: Vec<Option<Vec<u8>>>,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Binary,
}

/// Something that has a name within a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    Statement(String),
    Portal(String),
}

/// The format of the value at `index`: none given is text, one is for all.
pub(super) fn format_at(formats: &[Format], index: usize) -> Format {
    match formats {
        [] => Format::Text,
        [all] => *all,
        formats => formats.get(index).copied().unwrap_or(Format::Text),
    }
}

/// The body of a message, read from its front.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(broken)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.bytes(N)?.try_into().map_err(|_| broken())
    }

    fn short(&mut self) -> Result<i16, Fault> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    fn long(&mut self) -> Result<i32, Fault> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// Text up to a zero byte.
    fn text(&mut self) -> Result<String, Fault> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(broken)?;
        let text = self.bytes(end)?;
        self.bytes(1)?;
        let text = std::str::from_utf8(text);
        Ok(text.map_err(|_| Fault::new(BAD_TEXT, "text must be UTF-8"))?.to_string())
    }

    /// A number of things, then each of them.
    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let count = u16::from_be_bytes(self.array()?);
        (0..count).map(|_| item(self)).collect()
    }

    fn format(&mut self) -> Result<Format, Fault> {
        match self.short()? {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(Fault::new(BAD_PROTOCOL, format!("{other} is no format of values"))),
        }
    }

    fn value(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        match self.long()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| broken())?;
                Ok(Some(self.bytes(length)?.to_vec()))
            }
        }
    }

    fn named(&mut self) -> Result<Named, Fault> {
        let [kind] = self.array()?;
        let name = self.text()?;
        match kind {
            b'S' => Ok(Named::Statement(name)),
            b'P' => Ok(Named::Portal(name)),
            _ => Err(broken()),
        }
    }
}

fn broken() -> Fault {
    Fault::new(BAD_PROTOCOL, "a message is not what its length and its letter say")
}

/// Reads a first message.
fn start(body: &[u8]) -> Result<Start, Fault> {
    const CANCEL: u32 = (1234 << 16) | 5678;
    const TLS: u32 = (1234 << 16) | 5679;
    const GSSAPI: u32 = (1234 << 16) | 5680;
    let mut body = Body(body);
    let code = u32::from_be_bytes(body.array()?);
    match code {
        TLS | GSSAPI => Ok(Start::Encryption),
        CANCEL => {
            let (process, secret) = (body.array()?, body.array()?);
            let number = u32::from_be_bytes;
            Ok(Start::Cancel { process: number(process), secret: number(secret) })
        }
        _ if code >> 16 == 3 => {
            let mut parameters = Vec::new();
            loop {
                let name = body.text()?;
                if name.is_empty() {
                    return Ok(Start::Startup { minor: (code & 0xffff) as u16, parameters });
                }
                parameters.push((name, body.text()?));
            }
        }
        _ => Err(Fault::new(BAD_PROTOCOL, "only version 3 of the protocol is spoken here")),
    }
}

/// Reads a message.
pub(super) fn message(letter: u8, body: &[u8]) -> Result<Message, Fault> {
    let mut body = Body(body);
    Ok(match letter {
        b'p' => Message::Password(body.text()?),
        b'Q' => Message::Query(body.text()?),
        b'P' => Message::Parse {
            name: body.text()?,
            sql: body.text()?,
            types: body.list(|body| Ok(u32::from_be_bytes(body.array()?)))?,
        },
        b'B' => Message::Bind {
            portal: body.text()?,
            statement: body.text()?,
            values: Values { formats: body.list(Body::format)?, values: body.list(Body::value)? },
            formats: body.list(Body::format)?,
        },
        b'D' => Message::Describe(body.named()?),
        b'E' => Message::Execute {
            portal: body.text()?,
            rows_max: usize::try_from(body.long()?).unwrap_or(0),
        },
        b'C' => Message::Close(body.named()?),
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        other => {
            let message = format!("messages of kind {:?} are not understood", char::from(other));
            return Err(Fault::new(BAD_PROTOCOL, message));
        }
    })
}

/// A connection: what came and was not read yet, what is to be sent.
#[derive(Debug)]
pub(super) struct Wire {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    input: BytesMut,
    output: Vec<u8>,
    /// Bytes of a message that is too long, which are still to be read past.
    skipping: usize,
}

/// Why there is no next message.
#[derive(Debug)]
pub(super) enum Ended {
    /// The client went away, or the network did.
    Gone,
    /// It said what cannot be understood: it is told, and the connection ends.
    Fault(Fault),
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Ended::Gone
    }
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Ended::Fault(fault)
    }
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        let (from, to) = stream.into_split();
        Self { from, to, input: BytesMut::new(), output: Vec::new(), skipping: 0 }
    }

    /// The next of the first messages.
    pub(super) async fn start(&mut self) -> Result<Start, Ended> {
        let length = self.length(0).await?;
        if length > START_BYTES_MAX {
            return Err(broken().into());
        }
        self.fill(length).await?;
        Ok(start(&self.input.split_to(length)[4..])?)
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Result<Message, Ended> {
        self.skip().await?;
        let length = 1 + self.length(1).await?;
        let extended = self.input[0] != b'Q';
        if length > SKIPPED_BYTES_MAX {
            return Err(too_long().into());
        }
        if length > MESSAGE_BYTES_MAX {
            self.skipping = length;
            return Ok(Message::Unread { fault: too_long(), extended });
        }
        self.fill(length).await?;
        let whole = self.input.split_to(length);
        match message(whole[0], &whole[5..]) {
            Err(fault) if fault.code == BAD_TEXT => Ok(Message::Unread { fault, extended }),
            read => Ok(read?),
        }
    }

    /// The length of the message that begins in the input, of which `before` bytes do not count.
    async fn length(&mut self, before: usize) -> Result<usize, Ended> {
        self.fill(before + 4).await?;
        let length = Body(&self.input[before..]).long()?;
        let length = usize::try_from(length).map_err(|_| broken())?;
        if length < 4 { Err(broken().into()) } else { Ok(length) }
    }

    /// Reads past a message that is too long to be kept. What is left of it is known when this is
    /// dropped half-way.
    async fn skip(&mut self) -> Result<(), Ended> {
        while self.skipping > 0 {
            self.fill(1).await?;
            let part = self.skipping.min(self.input.len());
            self.input.advance(part);
            self.skipping -= part;
        }
        Ok(())
    }

    async fn fill(&mut self, length: usize) -> Result<(), Ended> {
        while self.input.len() < length {
            self.read().await?;
        }
        Ok(())
    }

    /// Reads what there is. Nothing is lost when this is dropped half-way.
    async fn read(&mut self) -> Result<(), Ended> {
        self.input.reserve(8192);
        match self.from.read_buf(&mut self.input).await? {
            0 => Err(Ended::Gone),
            _ => Ok(()),
        }
    }

    /// Ends when the client goes away. What it says meanwhile is kept, up to a message.
    pub(super) async fn gone(&mut self) {
        while self.input.len() < MESSAGE_BYTES_MAX {
            if self.read().await.is_err() {
                return;
            }
        }
        std::future::pending().await
    }

    /// One byte without letter and length: the answer to a wish for encryption.
    pub(super) async fn refuse_encryption(&mut self) -> Result<(), Ended> {
        self.output.push(b'N');
        self.send().await
    }

    /// Adds a message to the output.
    pub(super) fn put(&mut self, letter: u8, body: impl FnOnce(&mut Vec<u8>)) {
        self.output.push(letter);
        let at = self.output.len();
        self.output.extend([0; 4]);
        body(&mut self.output);
        set_length(&mut self.output, at);
    }

    /// Bytes that wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.output.len()
    }

    /// Sends all that waits, to a client that takes it.
    pub(super) async fn send(&mut self) -> Result<(), Ended> {
        let sent = timeout(SEND_TIME, self.to.write_all(&self.output));
        sent.await.map_err(|_| Ended::Gone)??;
        self.output.clear();
        self.output.shrink_to(2 * SENT_BYTES);
        Ok(())
    }

    /// Adds an error or a notice: `level` is FATAL, ERROR or WARNING.
    pub(super) fn put_fault(&mut self, level: &str, fault: &Fault) {
        let letter = if level == "WARNING" { b'N' } else { b'E' };
        self.put(letter, |out| {
            for (field, value) in [
                (b'S', Some(level)),
                (b'V', Some(level)),
                (b'C', Some(fault.code)),
                (b'M', Some(fault.message.as_str())),
                (b'H', fault.hint.as_deref()),
            ] {
                if let Some(value) = value {
                    out.push(field);
                    put_text(out, value);
                }
            }
            out.push(0);
        });
    }
}

fn too_long() -> Fault {
    Fault::new(TOO_LONG, format!("a message has at most {MESSAGE_BYTES_MAX} bytes"))
        .hint("send fewer values at once")
}

/// Writes the number of bytes from `at` on, itself included, at `at`.
fn set_length(out: &mut [u8], at: usize) {
    let length = i32::try_from(out.len() - at).unwrap_or(i32::MAX);
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Adds text and a zero byte; zero bytes within cannot be said.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().filter(|byte| *byte != 0));
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(letter: u8, body: &[u8], expected: Result<Message, &str>) {
        let read = message(letter, body).map_err(|fault| fault.code);
        assert_eq!(read, expected);
    }

    #[test]
    fn messages_are_read_within_their_bounds() {
        check(b'Q', b"SELECT 1\0", Ok(Message::Query("SELECT 1".into())));
        check(b'Q', b"SELECT 1", Err(BAD_PROTOCOL));
        check(b'Q', b"\xff\0", Err(BAD_TEXT));
        check(b'S', b"", Ok(Message::Sync));
        check(b'!', b"", Err(BAD_PROTOCOL));
        check(b'D', b"Ss1\0", Ok(Message::Describe(Named::Statement("s1".into()))));
        check(b'D', b"Xs1\0", Err(BAD_PROTOCOL));
        let parse = Message::Parse { name: "a".into(), sql: "b".into(), types: vec![23] };
        check(b'P', b"a\0b\0\0\x01\0\0\0\x17", Ok(parse));
        check(b'P', b"a\0b\0\xff\xff\0\0\0\x17", Err(BAD_PROTOCOL));
        let values = Values { formats: vec![], values: vec![None, Some(b"x".to_vec())] };
        let (portal, statement) = (String::new(), "s".to_string());
        let bind = Message::Bind { portal, statement, values, formats: vec![Format::Binary] };
        check(b'B', b"\0s\0\0\0\0\x02\xff\xff\xff\xff\0\0\0\x01x\0\x01\0\x01", Ok(bind));
        check(b'B', b"\0s\0\0\0\0\x01\x7f\xff\xff\xffx\0\0", Err(BAD_PROTOCOL));
        check(b'E', b"p\0\0\0\0\x05", Ok(Message::Execute { portal: "p".into(), rows_max: 5 }));
    }

    proptest::proptest! {
        /// Whatever comes is a message or a fault.
        #[test]
        fn any_bytes_are_read(letter: u8, body: Vec<u8>) {
            let _ = (message(letter, &body), start(&body));
        }
    }

    #[test]
    fn first_messages_have_no_letter() {
        let startup = |parameters| Start::Startup { minor: 0, parameters };
        for (body, expected) in [
            (&b"\x04\xd2\x16\x2f"[..], Some(Start::Encryption)),
            (
                b"\x04\xd2\x16\x2e\0\0\0\x07\0\0\0\x09",
                Some(Start::Cancel { process: 7, secret: 9 }),
            ),
            (b"\0\x03\0\0user\0ann\0\0", Some(startup(vec![("user".into(), "ann".into())]))),
            (b"\0\x03\0\0user\0ann\0", None),
            (b"\0\x02\0\0", None),
            (b"\0", None),
        ] {
            assert_eq!(start(body).ok(), expected, "{body:?}");
        }
    }
}
