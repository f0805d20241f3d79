//! Any bytes as records of any format, by any pack: no panic, and what [`pugmark_fuzz::parse`]
//! asserts.
//!
//! The first bytes of an input say how the rest is read:
//!
//! ```text
//! format  1 byte   what the door says: 0 nothing, 1 the first line of the rest, else a format
//! pack    2 bytes  0 all packs, else the only one that is asked
//! way     1 byte   the rest is one record, a body, or records with NUL between them
//! ```

#![no_main]

use std::sync::{LazyLock, Mutex};

use libfuzzer_sys::fuzz_target;
use pugmark_event::Records;
use pugmark_fuzz::RECEIVED;
use pugmark_parse::{Headers, Input, Parser, frame};

static PARSER: LazyLock<Parser> = LazyLock::new(parser);
/// Asks one pack alone, another one for each input.
static FORCED: LazyLock<Mutex<Parser>> = LazyLock::new(|| Mutex::new(parser()));
static PACKS: LazyLock<Vec<String>> =
    LazyLock::new(|| PARSER.names().map(str::to_string).collect());
static FORMATS: LazyLock<Vec<&str>> = LazyLock::new(|| pugmark_parse::formats().collect());

fn parser() -> Parser {
    Parser::builtin().expect("the built-in packs compile")
}

fuzz_target!(|bytes: &[u8]| {
    let [format, pack_high, pack_low, way, rest @ ..] = bytes else { return };
    let (format, rest) = door(usize::from(*format), rest);
    let records = records(*way, rest);
    // A body without a hint may bring its header with it.
    let format = format.or_else(|| Headers::default().next(&records));
    let input = Input {
        source: "fuzz",
        records: &records,
        first_id: 1,
        received: RECEIVED,
        format: format.as_deref(),
    };
    match u16::from_be_bytes([*pack_high, *pack_low]) {
        0 => pugmark_fuzz::parse(&PARSER, &input),
        pack => {
            let mut parser = FORCED.lock().expect("a panic ends the process");
            let name = &PACKS[usize::from(pack - 1) % PACKS.len()];
            parser.force(name).expect("it is the name of a pack");
            pugmark_fuzz::parse(&parser, &input)
        }
    };
});

/// What the door says of the records, and the rest. Formats of rows come with their header.
fn door(choice: usize, rest: &[u8]) -> (Option<String>, &[u8]) {
    let Some(choice) = choice.checked_sub(1) else { return (None, rest) };
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (line, below) = (String::from_utf8_lossy(&rest[..end]), rest.get(end + 1..).unwrap_or(&[]));
    let Some(choice) = choice.checked_sub(1) else { return (Some(line.into_owned()), below) };
    match FORMATS[choice % FORMATS.len()] {
        name @ ("w3c" | "zeek" | "table") => (Some(format!("{name} {line}")), below),
        name => (Some(name.to_string()), rest),
    }
}

fn records(way: u8, bytes: &[u8]) -> Records {
    match way % 3 {
        0 => [bytes].into_iter().collect(),
        1 => frame::body(bytes.to_vec()),
        _ => bytes.split(|byte| *byte == 0).collect(),
    }
}
