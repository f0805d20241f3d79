//! Nanoseconds per event and format to parse, and to watch the health of the source, for built-in
//! samples or for files of logs, such as those that `pugmark-bench corpus` writes. Run it by hand:
//! `cargo run --release -p pugmark-parse --example rate -- [FILE...]`.

// An example talks to the person who runs it.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use pugmark_event::{Batch, Records};
use pugmark_parse::health::Health;
use pugmark_parse::{Input, Parser, Readings, frame};

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Times that a sample is read; the fastest counts, since a machine has other things to do, too.
const ROUNDS: u32 = 200;
const RECORDS: usize = 1000;
/// Times that a body of a file is read; the fastest counts.
const FILE_ROUNDS: usize = 7;
/// Bytes of a body, as senders cut them.
const BODY_BYTES: usize = 1 << 20;
/// 2026-11-23T10:00:00Z
const RECEIVED: i64 = 1_795_428_000_000_000;

const SAMPLES: &[(&str, &str)] = &[
    (
        "json",
        r#"{"time":"2026-11-23T09:00:00.123Z","level":"info","msg":"order placed","service":"shop","order":{"id":81723,"total":"12.50"},"user":{"name":"anna"},"client_ip":"192.0.2.10","duration_ms":17,"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}"#,
    ),
    (
        "syslog sshd",
        "<38>1 2026-11-23T09:00:00.123Z web1 sshd 812 - - Failed password for invalid user admin from 203.0.113.7 port 40022 ssh2",
    ),
    (
        "syslog other",
        "Nov 23 09:00:00 web1 postfix/smtpd[812]: connect from mail.example[192.0.2.25]",
    ),
    (
        "access",
        r#"192.0.2.10 - - [23/Nov/2026:09:00:00 +0000] "GET /shop/item?id=7 HTTP/1.1" 200 5120 "https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0""#,
    ),
    (
        "keyvalue fortigate",
        r#"date=2026-11-23 time=09:00:00 tz="+0000" devname="fw1" devid="FGT40FTK00000001" logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root" srcip=192.0.2.10 srcport=40022 dstip=198.51.100.23 dstport=443 proto=6 action="accept" policyid=7 duration=12 sentbyte=120 rcvdbyte=5120"#,
    ),
    (
        "audit execve",
        r#"type=EXECVE msg=audit(1795424400.123:4102): argc=3 a0="sh" a1="-c" a2=6563686F2068692074686572652026"#,
    ),
    (
        "windows flat",
        r#"{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"ws1.example","TimeCreated":"2026-11-23T09:00:00.123Z","UtcTime":"2026-11-23 09:00:00.100","ProcessGuid":"{0197231E-005A-6928-A50B-000000000D00}","ProcessId":4460,"Image":"C:\\Windows\\System32\\cmd.exe","OriginalFileName":"Cmd.Exe","CommandLine":"cmd /c whoami","CurrentDirectory":"C:\\Users\\anna\\","User":"EXAMPLE\\anna","LogonId":"0x529ae3","IntegrityLevel":"High","Hashes":"SHA1=BC2820B5,MD5=8903A338","ParentImage":"C:\\Windows\\explorer.exe","ParentCommandLine":"C:\\Windows\\explorer.exe","ParentProcessId":6304}"#,
    ),
    ("plain", "2026-11-23 09:00:00,123 ERROR main: the order 81723 could not be placed"),
];

fn main() {
    let parser = Parser::builtin().expect("the built-in packs compile");
    let files: Vec<String> = std::env::args().skip(1).collect();
    for file in &files {
        run(&parser, file);
    }
    if !files.is_empty() {
        return;
    }
    for (name, sample) in SAMPLES {
        let records: Records = std::iter::repeat_n(sample.as_bytes(), RECORDS).collect();
        let mut health = Health::new(1);
        let (mut parsing, mut watching) = (u128::MAX, u128::MAX);
        for round in 0..ROUNDS {
            let first_id = 1 + i64::from(round) * RECORDS as i64;
            let start = Instant::now();
            let (batch, readings) = readings(&parser, "rate", &records, first_id);
            parsing = parsing.min(start.elapsed().as_nanos());
            let start = Instant::now();
            health.observe(&batch, &readings);
            watching = watching.min(start.elapsed().as_nanos());
        }
        let each = |nanos: u128| nanos / RECORDS as u128;
        println!(
            "{name:20} {:6} ns/event {:5} ns health {:5} bytes",
            each(parsing),
            each(watching),
            sample.len()
        );
    }
}

fn parse(parser: &Parser, source: &str, records: &Records) -> Batch {
    readings(parser, source, records, 1).0
}

fn readings(parser: &Parser, source: &str, records: &Records, first_id: i64) -> (Batch, Readings) {
    let input = Input { source, records, first_id, received: RECEIVED, format: None };
    parser.parse_readings(&input)
}

/// Nanoseconds for each event of the bodies to watch the health of their source, and what it says.
fn watch(parser: &Parser, source: &str, bodies: &[&[u8]]) -> u128 {
    let (mut health, mut nanos, mut next) = (Health::new(1), 0, 1);
    for body in bodies {
        let records = frame::body(body.to_vec());
        let (batch, readings) = readings(parser, source, &records, next);
        next += batch.rows() as i64;
        let start = Instant::now();
        let breaks = health.observe(&batch, &readings);
        nanos += start.elapsed().as_nanos();
        for each in breaks {
            println!("  {}|{}|{}: {}", each.program, each.reader, each.kind, each.what);
        }
    }
    if let Some(report) = health.report(source) {
        for kind in &report.new_kinds {
            println!("  new kind at event {}: {}", kind.event_id, kind.text);
        }
    }
    let size = health.to_bytes("").map_or(0, |bytes| bytes.len());
    println!("  {size} bytes to keep, {} breaks stand", health.breaks().len());
    nanos / (next as u128).max(1)
}

/// Frames and parses a file as bodies of requests.
fn run(parser: &Parser, file: &str) {
    let bytes = std::fs::read(file).expect("the file can be read");
    let bodies = bodies(&bytes);
    let name = std::path::Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
    let (mut framing, mut parsing, mut events) = (0, 0, 0);
    for body in &bodies {
        let (mut frames, mut parses, mut rows) = (u128::MAX, u128::MAX, 0);
        for _ in 0..FILE_ROUNDS {
            let start = Instant::now();
            let records = frame::body(body.to_vec());
            frames = frames.min(start.elapsed().as_nanos());
            let start = Instant::now();
            let batch = std::hint::black_box(parse(parser, &name, &records));
            parses = parses.min(start.elapsed().as_nanos());
            rows = batch.rows();
        }
        (framing, parsing, events) = (framing + frames, parsing + parses, events + rows);
    }
    let each = |nanos: u128| nanos / events.max(1) as u128;
    let watching = watch(parser, &name, &bodies);
    println!(
        "{name:20} {events:8} events {:5} bytes {:6} ns framing {:6} ns parsing {watching:5} ns \
         health",
        bytes.len() / events.max(1),
        each(framing),
        each(parsing)
    );
}

/// Cuts at line ends into bodies.
fn bodies(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut bodies = Vec::new();
    while bytes.len() > BODY_BYTES {
        let end =
            bytes[..BODY_BYTES].iter().rposition(|b| *b == b'\n').map_or(BODY_BYTES, |i| i + 1);
        let (body, rest) = bytes.split_at(end);
        bodies.push(body);
        bytes = rest;
    }
    bodies.push(bytes);
    bodies
}
